/*
 * Cgroups, under the names that the reducer's parser knows: 64 hex digits for a
 * container, pod<uid> for a pod's directory, a unit's own name, else the last path
 * component. Directories below a container's own are nothing to the reducer: the
 * container's stands for them.
 */
#include "sink/reducer/feed.h"
#include "sink/reducer/state.h"

#include "base/mem.h"

#include <stdio.h>

#define DEPTH	   64 /* directories above one another; what is higher up is left out */
#define WALK_SLICE 512
#define WIRE_NAME  256 /* cgroup_create.name */

static int reach(struct feed *f, cgroup_ix ix)
{
	if (ix < f->n_cgroups)
		return 0;
	return mem_reach(&f->cgroups, &f->n_cgroups, sizeof(*f->cgroups),
			 session_room(MAX(flows_cgroup_indexes(f->flows), ix)));
}

/* Told in this connection, whatever was there then. */
bool feed_cgroup_told(const struct feed *f, cgroup_ix ix)
{
	return ix < f->n_cgroups && f->cgroups[ix].conn && f->cgroups[ix].conn == f->conn;
}

/* Both say the same: the upper one is still part of it. */
static bool is_same(const struct flow_cgroup *c, const struct flow_cgroup *up)
{
	if (c->ref.what != up->ref.what)
		return false;
	if (c->ref.what == CGROUP_CONTAINER)
		return str_eq(c->ref.container_id, up->ref.container_id);
	return c->ref.what == CGROUP_SERVICE && str_eq(c->ref.unit, up->ref.unit);
}

cgroup_ix feed_cgroup_of(const struct session *s, cgroup_ix ix)
{
	const struct flows *flows = s->feed->flows;
	struct flow_cgroup c, up;

	if (!ix || !flows_cgroup_at(flows, ix, &c))
		return 0;
	for (uint32_t n = 0; n < DEPTH; n++) {
		if (!c.parent || !flows_cgroup_at(flows, c.parent, &up))
			break;
		if (c.ref.what == CGROUP_POD) {
			/* Below the pod's directory but in no container. */
			struct flow_cgroup above;

			if (up.ref.what != CGROUP_POD || !up.parent ||
			    !flows_cgroup_at(flows, up.parent, &above) ||
			    above.ref.what != CGROUP_POD)
				break;
		} else if (!is_same(&c, &up)) {
			break;
		}
		ix = c.parent;
		c = up;
	}
	return ix;
}

/* A directory that is a pod's own. */
static bool is_pod_dir(const struct feed *f, const struct flow_cgroup *c)
{
	struct flow_cgroup up;

	return c->ref.what == CGROUP_POD &&
	       !(c->parent && flows_cgroup_at(f->flows, c->parent, &up) &&
		 up.ref.what == CGROUP_POD);
}

/* `uid` is what the API calls the pod: a static pod's directory has its config hash instead. */
static size_t name_of(const struct feed *f, const struct flow_cgroup *c, struct str uid,
		      char out[WIRE_NAME])
{
	struct str name = c->name;
	char text[WIRE_NAME];

	if (c->ref.what == CGROUP_CONTAINER) {
		name = c->ref.container_id;
	} else if (is_pod_dir(f, c)) {
		uid = str_empty(uid) ? c->ref.pod_uid : uid;
		(void)snprintf(text, sizeof(text), "pod%.*s", STR_ARG(feed_clip(uid, 200)));
		name = str_of(text);
	} else if (c->ref.what == CGROUP_SERVICE) {
		name = c->ref.unit;
	}
	name = feed_clip(str_empty(name) ? STR("/") : name, WIRE_NAME);
	memcpy(out, name.p, name.n);
	return name.n;
}

/* ---- coming and going ------------------------------------------------------------------------ */

static uint32_t hash_id(const struct session *s, uint64_t id)
{
	return feed_hash(s, &id, sizeof(id));
}

static int close_one(struct session *s, cgroup_ix ix)
{
	struct feed *f = s->feed;
	struct feed_cgroup *m = &f->cgroups[ix];
	int r;

	r = feed_stand_in_close(s, ix);
	if (r == 0)
		r = feed_put(s, WIRE_cgroup_close, &(struct wire_cgroup_close){.cgroup = m->id},
			     &s->count.flows.cgroup_closes);
	if (r < 0)
		return r;
	index_del(&f->by_id, hash_id(s, m->id), ix);
	*m = (struct feed_cgroup){0};
	return 0;
}

/* An id came again, at another index or at this one: the old one goes first. */
static int make_room(struct session *s, cgroup_ix ix, uint64_t id)
{
	struct feed *f = s->feed;
	uint32_t at, old;
	int r = 0;

	if (feed_cgroup_told(f, ix))
		r = close_one(s, ix);
	if (r < 0)
		return r;
	for (old = index_first(&f->by_id, hash_id(s, id), &at); old;
	     old = index_next(&f->by_id, hash_id(s, id), &at))
		if (f->cgroups[old].id == id)
			return close_one(s, old);
	return 0;
}

static int create_one(struct session *s, cgroup_ix ix, const struct flow_cgroup *c, struct str uid)
{
	struct feed *f = s->feed;
	char name[WIRE_NAME];
	int r;

	r = make_room(s, ix, c->id);
	if (r == 0)
		r = index_reserve(&f->by_id, 1);
	if (r < 0)
		return r;
	r = feed_put(s, WIRE_cgroup_create,
		     &(struct wire_cgroup_create){
			     .cgroup = c->id,
			     .cgroup_parent =
				     feed_cgroup_told(f, c->parent) ? f->cgroups[c->parent].id : 0,
			     .name = str_make(name, name_of(f, c, uid, name)),
		     },
		     &s->count.flows.cgroups);
	if (r < 0)
		return r;
	f->cgroups[ix] = (struct feed_cgroup){.id = c->id, .conn = f->conn};
	(void)index_put(&f->by_id, hash_id(s, c->id), ix);
	return 0;
}

static bool is_current(const struct feed *f, cgroup_ix ix, const struct flow_cgroup *c)
{
	return feed_cgroup_told(f, ix) && f->cgroups[ix].id == c->id;
}

/* It and what is above it and not told yet, lowest first; their number. */
static uint32_t chain_of(const struct feed *f, cgroup_ix ix, cgroup_ix chain[DEPTH])
{
	struct flow_cgroup c;
	uint32_t n = 0;

	for (; ix && n < DEPTH && flows_cgroup_at(f->flows, ix, &c); ix = c.parent) {
		if (is_current(f, ix, &c))
			break;
		chain[n++] = ix;
	}
	return n;
}

int feed_cgroup_need(struct session *s, cgroup_ix ix, uint64_t *ret)
{
	struct feed *f = s->feed;
	struct flow_cgroup c, up;
	struct inv_pod_view p;
	cgroup_ix chain[DEPTH];
	struct str uid = {0};
	uint32_t n;
	int r;

	*ret = 0;
	if (!ix || !flows_cgroup_at(f->flows, ix, &c))
		return 0;
	n = chain_of(f, ix, chain);
	if (n && inventory_pod(s->inv, feed_pod_of(s, &c), &p))
		uid = str_of(p.uid);
	for (uint32_t i = n; i--;) {
		if (!flows_cgroup_at(f->flows, chain[i], &up))
			continue;
		r = reach(f, chain[i]);
		if (r == 0)
			r = create_one(s, chain[i], &up,
				       str_eq(up.ref.pod_uid, c.ref.pod_uid) ? uid
									     : (struct str){0});
		if (r < 0)
			return r;
	}
	*ret = c.id;
	return feed_names(s, ix);
}

/* 0 or an error: the next of the walk. Containers and host services are told as they come; all are
 * closed when the tree has forgotten them, which is later than their end: a flow that is told late
 * still finds its cgroup. */
static int look_at(struct session *s, cgroup_ix ix)
{
	const struct feed *f = s->feed;
	struct flow_cgroup c;
	const bool there = flows_cgroup_at(f->flows, ix, &c);
	uint64_t id;

	if (feed_cgroup_told(f, ix) && !(there && f->cgroups[ix].id == c.id)) {
		const int r = close_one(s, ix);

		if (r < 0)
			return r;
	}
	if (!there || c.gone || feed_cgroup_told(f, ix) ||
	    (c.ref.what != CGROUP_CONTAINER && c.ref.what != CGROUP_SERVICE) ||
	    feed_cgroup_of(s, ix) != ix)
		return 0;
	return feed_cgroup_need(s, ix, &id);
}

int feed_cgroups_walk(struct session *s)
{
	struct feed *f = s->feed;
	uint32_t end = flows_cgroup_indexes(f->flows) + 1;
	int r;

	end = MAX(end, f->n_cgroups);
	for (uint32_t n = 0; n < WALK_SLICE && f->cgroup_at < end; n++) {
		r = look_at(s, f->cgroup_at);
		if (r < 0)
			return r;
		f->cgroup_at++;
	}
	if (f->cgroup_at < end)
		return 1;
	f->cgroup_at = 0;
	return 0;
}
