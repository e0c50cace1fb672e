/*
 * Sources: the watches objects come from. Each full list is a generation; what a
 * list did not name when it ends is gone.
 */
#include "inventory/store.h"

#include <errno.h>
#include <stdlib.h>

int inventory_source_add(struct inventory *v, uint16_t *ret_source)
{
	struct source *grown;

	if (v->n_sources == UINT16_MAX)
		return -EMSGSIZE;
	grown = realloc(v->sources, (v->n_sources + 1U) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	v->sources = grown;
	v->sources[v->n_sources++] = (struct source){0};
	*ret_source = v->n_sources; /* 0 is "no source": objects read one by one */
	return 0;
}

void inventory_list_begin(struct inventory *v, uint16_t source)
{
	v->sources[source - 1].gen++;
	v->sources[source - 1].listing = true;
}

uint64_t inventory_edition(const struct inventory *v)
{
	return v->edition;
}

nsec_t inventory_listed_at(const struct inventory *v)
{
	return v->listed_at;
}

static void sweep_pods(struct inventory *v, uint16_t source, nsec_t now)
{
	for (pod_id id = 1; id <= v->pods.next; id++) {
		const struct pod_rec *p = pod_at(v, id);

		if (p->uid_form == UID_NONE || p->source != source || (p->flags & POD_DEAD) ||
		    p->gen == v->sources[source - 1].gen)
			continue;
		v->stats.swept++;
		pods_kill(v, id, now, v->sources[source - 1].heard);
	}
}

static void sweep_owners(struct inventory *v, uint16_t source)
{
	for (owner_id id = 1; id <= v->owners.next; id++) {
		const struct owner_rec *o = owner_at(v, id);

		if (o->uid_form == UID_NONE || o->source != source || o->state != OWNER_KNOWN ||
		    o->gen == v->sources[source - 1].gen)
			continue;
		v->stats.swept++;
		owners_delete(v, id);
	}
}

void inventory_list_end(struct inventory *v, uint16_t source, nsec_t now)
{
	v->sources[source - 1].listing = false;
	v->listed_at = now;
	v->edition++;
	sweep_pods(v, source, now);
	sweep_owners(v, source);
	places_list_end(v, source, now);
}
