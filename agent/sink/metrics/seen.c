#include "sink/metrics/seen.h"

#include "base/mem.h"

#include <stdlib.h>

void seen_done(struct seen_table *t)
{
	free(t->v);
	*t = (struct seen_table){0};
}

struct seen *seen_get(struct seen_table *t, const struct flow_view *v)
{
	if (v->id >= t->n &&
	    mem_reach(&t->v, &t->n, sizeof(*t->v), MAX(v->id + 1, t->n + t->n / 2)) < 0)
		return NULL;
	if (t->v[v->id].mark != v->serial + 1)
		t->v[v->id] = (struct seen){.mark = v->serial + 1};
	return &t->v[v->id];
}

/* Who connected tells; where neither is known to have, the one that was seen first. */
static bool goes_first(const struct flow_view *a, const struct flow_view *b)
{
	static const int rank[_FLOW_DIR_MAX] = {
		[FLOW_OUT] = 0, [FLOW_DIR_UNKNOWN] = 1, [FLOW_IN] = 2};

	return rank[a->dir] != rank[b->dir] ? rank[a->dir] < rank[b->dir] : a->serial < b->serial;
}

/* It was counted before its twin came to light: its bytes are the other's, seen from there. */
static void hand_over(struct seen *from, struct seen *to)
{
	if (from->flags & SEEN_TWIN)
		return;
	to->sent = MAX(to->sent, from->received);
	to->received = MAX(to->received, from->sent);
	to->flags |= from->flags & SEEN_CONNECTED;
	from->flags |= SEEN_TWIN;
}

bool seen_primary(struct seen_table *t, const struct flow_view *v, const struct flow_view *twin)
{
	struct seen *mine = &t->v[v->id];
	bool first = twin && !(mine->flags & SEEN_TWIN) && goes_first(v, twin);

	if (twin && first)
		hand_over(&t->v[twin->id], mine);
	else if (twin)
		hand_over(mine, &t->v[twin->id]);
	return !(mine->flags & SEEN_TWIN);
}
