/*
 * Who has sockets in which network namespace, as far as the flows named so far
 * tell. A table of fixed size: where a set of places is full, the one not heard of
 * for longest is forgotten, and nothing is concluded about it.
 */
#include "flow/state.h"

#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>

#define SETS  512 /* of WAYS namespaces; numbers that follow each other fall into different sets */
#define WAYS  4
#define APART (60 * NSEC_PER_SEC) /* a number that comes again within it tells nothing yet */

static struct space_rec *set_of(const struct flows *f, uint32_t netns)
{
	return &f->spaces[(size_t)(netns % SETS) * WAYS];
}

static struct space_rec *find(const struct flows *f, uint32_t netns)
{
	struct space_rec *set = set_of(f, netns);

	for (int i = 0; netns && i < WAYS; i++)
		if (set[i].netns == netns)
			return &set[i];
	return NULL;
}

/* Free ones were never heard of. */
static struct space_rec *oldest(const struct flows *f, uint32_t netns)
{
	struct space_rec *set = set_of(f, netns), *s = set;

	for (int i = 1; i < WAYS; i++)
		if (set[i].seen < s->seen)
			s = &set[i];
	return s;
}

uint64_t spaces_who(const struct flows *f, struct str uid)
{
	return str_empty(uid) ? 0 : state_hash(f, uid.p, uid.n) | 1;
}

void spaces_note(struct flows *f, const struct flow_rec *r)
{
	const struct end_rec *e = end_at(f, r->local);
	struct space_rec *s = find(f, r->netns);

	if (!r->netns || e->known_by == KNOWN_NOT)
		return;
	if (!s) {
		s = oldest(f, r->netns);
		*s = (struct space_rec){.who = e->who, .netns = r->netns};
	}
	if (s->who != e->who) {
		s->other = s->seen;
		s->who = e->who;
	}
	s->seen = MAX(s->seen, r->start);
}

bool flows_netns_alone(const struct flows *f, uint32_t netns, struct str uid, nsec_t start)
{
	const struct space_rec *s = find(f, netns);
	nsec_t other;

	if (!s)
		return false;
	other = s->who == spaces_who(f, uid) ? s->other : s->seen;
	return !other || other + APART < start;
}

int spaces_new(struct flows *f)
{
	f->spaces = calloc((size_t)SETS * WAYS, sizeof(*f->spaces));
	return f->spaces ? 0 : -ENOMEM;
}

size_t spaces_bytes(void)
{
	return (size_t)SETS * WAYS * sizeof(struct space_rec);
}

void spaces_done(struct flows *f)
{
	free(f->spaces);
}
