#include "match/memo.h"

#include "base/hash.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PLACES	 256 /* by a hash of the address: a node's flows go to so many at a time */
#define TEXT_MAX 64  /* of what stands in end_text: a uid is 36, a name seldom longer */

struct kept {
	struct addr ip;
	nsec_t from;
	uint64_t edition;
	bool used, by_peers;
	char text[TEXT_MAX];
	struct flow_end end;
};

struct end_memo {
	struct hash_seed seed;
	struct kept kept[PLACES];
};

int end_memo_new(struct end_memo **ret)
{
	struct end_memo *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	hash_seed_init(&m->seed);
	*ret = m;
	return 0;
}

void end_memo_free(struct end_memo **mp)
{
	free(*mp);
	*mp = NULL;
}

static uint32_t place_of(const struct end_memo *m, const struct addr *ip)
{
	uint64_t half[2];

	memcpy(half, ip->b, sizeof(half));
	return hash_numbers(&m->seed, half[0], half[1]) % PLACES;
}

static void move(struct str *s, const char *from, const char *to)
{
	if (s->p == from)
		s->p = to;
}

/* The texts that may stand in an end_text: see there. */
static void move_texts(struct flow_end *e, const char *from, const char *to)
{
	move(&e->pod_uid, from, to);
	move(&e->pod, from, to);
	move(&e->workload, from, to);
}

bool end_memo_find(const struct end_memo *m, const struct end_memo_key *k, nsec_t start,
		   struct end_text *t, struct flow_end *ret)
{
	const struct kept *e = m ? &m->kept[place_of(m, k->ip)] : NULL;

	if (!e || !e->used || e->edition != k->edition || e->by_peers != k->by_peers ||
	    start < e->from || memcmp(e->ip.b, k->ip->b, sizeof(e->ip.b)) != 0)
		return false;
	memcpy(t->peer, e->text, sizeof(e->text));
	*ret = e->end;
	move_texts(ret, e->text, t->peer);
	return true;
}

void end_memo_keep(struct end_memo *m, const struct end_memo_key *k, nsec_t from,
		   const struct end_text *t, const struct flow_end *end)
{
	const size_t n = strnlen(t->peer, TEXT_MAX);
	struct kept *e = m ? &m->kept[place_of(m, k->ip)] : NULL;

	if (!e || n == TEXT_MAX)
		return;
	*e = (struct kept){.used = true,
			   .ip = *k->ip,
			   .from = from,
			   .edition = k->edition,
			   .by_peers = k->by_peers,
			   .end = *end};
	memcpy(e->text, t->peer, n);
	move_texts(&e->end, t->peer, e->text);
}
