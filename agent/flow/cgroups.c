/*
 * The cgroup tree: directories by id, as records and the walk at start tell of
 * them. An id that a flow names before its directory was told of has a node, too
 * (awaited): the record fills it in and wakes the flows that wait there.
 *
 * A removed directory stays for cgroup_linger and as long as something refers to
 * it; its id may come again as another node.
 */
#include "flow/state.h"

#include "base/mem.h"

#include <errno.h>

#define MAX_DEPTH 1024 /* a deeper directory is taken for a root */
#define V2_ROOT	  1    /* id of the root of cgroup v2: the first inode of its kernfs */

static uint32_t id_hash(const struct flows *f, uint64_t id)
{
	return (uint32_t)hash_numbers(&f->seed, id, 0);
}

cgroup_ix cgroups_find(const struct flows *f, uint64_t id)
{
	uint32_t at, h = id_hash(f, id);

	for (cgroup_ix ix = index_first(&f->by_cgroup, h, &at); ix;
	     ix = index_next(&f->by_cgroup, h, &at))
		if (node_at(f, ix)->id == id)
			return ix;
	return 0;
}

/* ---- removal --------------------------------------------------------------------------------- */

static void gone_remove(struct flows *f, cgroup_ix ix)
{
	struct cg_node *n = node_at(f, ix);

	if (!(n->flags & NODE_LINGERS))
		return;
	if (n->gone.prev)
		node_at(f, n->gone.prev)->gone.next = n->gone.next;
	else
		f->gone_nodes.head = n->gone.next;
	if (n->gone.next)
		node_at(f, n->gone.next)->gone.prev = n->gone.prev;
	else
		f->gone_nodes.tail = n->gone.prev;
	f->gone_nodes.n--;
	n->flags &= (uint8_t)~NODE_LINGERS;
}

static void gone_append(struct flows *f, cgroup_ix ix)
{
	struct cg_node *n = node_at(f, ix);

	n->gone = (struct id_link){.prev = f->gone_nodes.tail};
	if (f->gone_nodes.tail)
		node_at(f, f->gone_nodes.tail)->gone.next = ix;
	else
		f->gone_nodes.head = ix;
	f->gone_nodes.tail = ix;
	f->gone_nodes.n++;
	n->flags |= NODE_LINGERS;
}

static void child_unlink(struct flows *f, cgroup_ix ix)
{
	struct cg_node *n = node_at(f, ix);

	if (!n->parent)
		return;
	if (n->sibs.prev)
		node_at(f, n->sibs.prev)->sibs.next = n->sibs.next;
	else
		node_at(f, n->parent)->first_child = n->sibs.next;
	if (n->sibs.next)
		node_at(f, n->sibs.next)->sibs.prev = n->sibs.prev;
	n->sibs = (struct id_link){0};
	n->parent = 0;
}

static void child_link(struct flows *f, cgroup_ix ix, cgroup_ix parent)
{
	struct cg_node *n = node_at(f, ix), *p = node_at(f, parent);

	n->parent = parent;
	n->sibs = (struct id_link){.next = p->first_child};
	if (p->first_child)
		node_at(f, p->first_child)->sibs.prev = ix;
	p->first_child = ix;
}

static void node_free(struct flows *f, cgroup_ix ix)
{
	struct cg_node *n = node_at(f, ix);

	gone_remove(f, ix);
	says_forget(f, ix);
	if (cgroups_find(f, n->id) == ix)
		index_del(&f->by_cgroup, id_hash(f, n->id), ix);
	child_unlink(f, ix);
	intern_put(&f->strings, n->name);
	f->cgroups_changes += !(n->flags & NODE_AWAITED);
	n->flags = 0;
	pool_release(&f->nodes, ix);
}

/* Nothing refers to it, and no time keeps it. */
static bool is_free(const struct cg_node *n)
{
	return !n->refs && !(n->flags & NODE_LINGERS) && n->flags & (NODE_AWAITED | NODE_GONE);
}

void cgroups_put(struct flows *f, cgroup_ix ix)
{
	cgroup_ix up;

	while (ix) {
		struct cg_node *n = node_at(f, ix);

		n->refs--;
		if (!is_free(n))
			return;
		up = n->parent;
		node_free(f, ix);
		ix = up;
	}
}

/* Its id is free for another; itself stays as long as it is needed. */
static void bury(struct flows *f, nsec_t now, cgroup_ix ix)
{
	struct cg_node *n = node_at(f, ix);

	if (n->flags & (NODE_GONE | NODE_AWAITED))
		return;
	n->flags |= NODE_GONE;
	n->gone_at = now;
	gone_append(f, ix);
	f->cgroups_changes++;
}

void cgroups_gone(struct flows *f, nsec_t now, uint64_t id)
{
	cgroup_ix ix = cgroups_find(f, id);

	if (ix)
		bury(f, now, ix);
}

static void linger_over(struct flows *f, cgroup_ix ix)
{
	cgroup_ix up = node_at(f, ix)->parent;

	gone_remove(f, ix);
	if (!is_free(node_at(f, ix)))
		return;
	node_free(f, ix);
	cgroups_put(f, up);
}

nsec_t cgroups_tick(struct flows *f, nsec_t now)
{
	cgroup_ix ix;

	while ((ix = f->gone_nodes.head)) {
		nsec_t due = node_at(f, ix)->gone_at + f->opts.cgroup_linger;

		if (due > now)
			return due;
		linger_over(f, ix);
	}
	return NSEC_NEVER;
}

/* ---- making ---------------------------------------------------------------------------------- */

/* 0 or -ENOMEM; with *ret 0 there is no room, counted. */
static int node_new(struct flows *f, uint64_t id, cgroup_ix *ret)
{
	cgroup_ix ix;

	*ret = 0;
	if (index_reserve(&f->by_cgroup, 1) < 0)
		return -ENOMEM;
	if (f->nodes.live >= f->opts.max_cgroups && f->gone_nodes.head)
		linger_over(f, f->gone_nodes.head);
	if (f->nodes.live >= f->opts.max_cgroups) {
		f->stats.cgroups_refused++;
		return 0;
	}
	ix = pool_alloc(&f->nodes);
	if (!ix)
		return -ENOMEM;
	*node_at(f, ix) = (struct cg_node){.id = id, .flags = NODE_USED | NODE_AWAITED};
	(void)index_put(&f->by_cgroup, id_hash(f, id), ix);
	*ret = ix;
	return 0;
}

int cgroups_hold(struct flows *f, uint64_t id, cgroup_ix *ret)
{
	cgroup_ix ix = id ? cgroups_find(f, id) : 0;
	int r;

	if (id && !ix) {
		r = node_new(f, id, &ix);
		if (r < 0)
			return r;
	}
	if (ix)
		node_at(f, ix)->refs++;
	*ret = ix;
	return 0;
}

/* Would this parent make a ring, or too long a way up? */
static bool is_fit(const struct flows *f, cgroup_ix ix, cgroup_ix parent)
{
	uint32_t depth = 0;

	for (; parent; parent = node_at(f, parent)->parent)
		if (parent == ix || ++depth > MAX_DEPTH)
			return false;
	return true;
}

static bool is_same(const struct flows *f, const struct cg_node *n, uint64_t parent,
		    struct str name)
{
	uint64_t up = n->parent ? node_at(f, n->parent)->id : 0;

	return !(n->flags & (NODE_AWAITED | NODE_GONE)) &&
	       (str_empty(name) || str_eq(intern_str(&f->strings, n->name), name)) &&
	       (up == parent || !n->parent);
}

/* An awaited node is what is told of now. */
static int fill(struct flows *f, cgroup_ix ix, uint64_t parent, struct str name)
{
	struct cg_node *n = node_at(f, ix);
	cgroup_ix up = 0;
	pool_id text;
	int r = intern_get(&f->strings, name, &text);

	if (r < 0)
		return -ENOMEM;
	r = parent == n->id ? 0 : cgroups_hold(f, parent, &up);
	if (r < 0) {
		intern_put(&f->strings, text);
		return r;
	}
	n->name = text;
	n->flags &= (uint8_t)~NODE_AWAITED;
	if (up && is_fit(f, ix, up))
		child_link(f, ix, up);
	else
		cgroups_put(f, up);
	r = says_settle(f, ix);
	f->cgroups_changes++;
	return r;
}

int flows_cgroup(struct flows *f, nsec_t now, uint64_t id, uint64_t parent, struct str name)
{
	cgroup_ix ix = cgroups_find(f, id);
	int r;

	if (!id)
		return 0;
	if (ix && is_same(f, node_at(f, ix), parent, name))
		return 0;
	if (ix && !(node_at(f, ix)->flags & NODE_AWAITED)) {
		/* The id came again. */
		bury(f, now, ix);
		index_del(&f->by_cgroup, id_hash(f, id), ix);
		ix = 0;
	}
	if (!ix) {
		r = node_new(f, id, &ix);
		if (r < 0 || !ix)
			return r < 0 ? r : -EMSGSIZE;
	}
	f->follows_v1 |= (id & ABI_CGROUP_V1) != 0;
	node_at(f, ix)->refs++; /* it is not to go amid this */
	r = fill(f, ix, parent, name);
	cgroups_put(f, ix);
	return r;
}

/* ---- which of two ---------------------------------------------------------------------------- */

static bool is_told(const struct flows *f, cgroup_ix ix)
{
	return ix && !(node_at(f, ix)->flags & NODE_AWAITED);
}

/* Where v2 is not mounted all sockets name its root, which nobody will tell of. */
static bool is_awaited(const struct flows *f, cgroup_ix ix)
{
	return ix && node_at(f, ix)->flags & NODE_AWAITED &&
	       !(node_at(f, ix)->id == V2_ROOT && f->follows_v1);
}

static enum cgroup_what what_of(const struct flows *f, cgroup_ix ix)
{
	cgroup_ix says = is_told(f, ix) ? node_at(f, ix)->says : 0;

	return says ? node_at(f, says)->what : CGROUP_OTHER;
}

static bool is_pods(enum cgroup_what w)
{
	return w == CGROUP_CONTAINER || w == CGROUP_POD;
}

bool cgroups_awaited(const struct flows *f, const uint32_t ix[2])
{
	return is_awaited(f, ix[0]) || is_awaited(f, ix[1]);
}

static cgroup_ix choose_of_two(const struct flows *f, const uint32_t ix[2], bool late)
{
	const enum cgroup_what w[2] = {what_of(f, ix[0]), what_of(f, ix[1])};

	if (is_pods(w[0]))
		return ix[0];
	if (is_pods(w[1]))
		return ix[1];
	if (!late && cgroups_awaited(f, ix))
		return 0;
	if (w[0] != CGROUP_OTHER)
		return ix[0];
	if (w[1] != CGROUP_OTHER)
		return ix[1];
	/* Where pods may be in v1, a v2 directory that says nothing does not say "no pod". */
	if (is_told(f, ix[0]) && (ix[1] || !f->follows_v1))
		return ix[0];
	return is_told(f, ix[1]) ? ix[1] : 0;
}

cgroup_ix cgroups_choose(const struct flows *f, const uint32_t ix[2], bool late)
{
	/* Where all is v2 there is one only. */
	if (!ix[1] && !f->follows_v1 && is_told(f, ix[0]))
		return ix[0];
	return choose_of_two(f, ix, late);
}

cgroup_ix cgroups_waits_at(const struct flows *f, const uint32_t ix[2])
{
	cgroup_ix at = cgroups_choose(f, ix, false);

	if (at)
		return node_at(f, at)->says ? node_at(f, at)->says : at;
	return is_awaited(f, ix[1]) ? ix[1] : is_awaited(f, ix[0]) ? ix[0] : 0;
}

/* ---- look-ups -------------------------------------------------------------------------------- */

bool flows_cgroup_at(const struct flows *f, cgroup_ix ix, struct flow_cgroup *ret)
{
	const struct cg_node *n, *says;

	if (!ix || ix > f->nodes.next || !is_told(f, ix) || !(node_at(f, ix)->flags & NODE_USED))
		return false;
	n = node_at(f, ix);
	*ret = (struct flow_cgroup){
		.id = n->id,
		.parent_id = n->parent ? node_at(f, n->parent)->id : 0,
		.parent = is_told(f, n->parent) ? n->parent : 0,
		.name = intern_str(&f->strings, n->name),
		.gone = n->flags & NODE_GONE,
	};
	if (!n->says)
		return true;
	says = node_at(f, n->says);
	ret->ref.what = says->what;
	ret->ref.container_id = says_container_id(f, says);
	ret->ref.pod_uid = intern_str(&f->strings, says->pod_uid);
	if (says->what == CGROUP_SERVICE)
		ret->ref.unit = intern_str(&f->strings, says->name);
	return true;
}

cgroup_ix flows_cgroup_by_id(const struct flows *f, uint64_t id)
{
	cgroup_ix ix = cgroups_find(f, id);

	return is_told(f, ix) ? ix : 0;
}

cgroup_ix flows_cgroup_by_container(const struct flows *f, struct str container_id)
{
	uint32_t at, h = says_container_hash(f, container_id);
	cgroup_ix best = 0;

	for (cgroup_ix ix = index_first(&f->by_container, h, &at); ix;
	     ix = index_next(&f->by_container, h, &at)) {
		const struct cg_node *n = node_at(f, ix);

		if (str_eq(says_container_id(f, n), container_id) &&
		    (!best || !(n->flags & NODE_GONE)))
			best = ix;
	}
	return best;
}

cgroup_ix flows_cgroup_next(const struct flows *f, cgroup_ix ix)
{
	while (++ix <= f->nodes.next)
		if (is_told(f, ix) && node_at(f, ix)->flags & NODE_USED)
			return ix;
	return 0;
}

uint32_t flows_cgroup_indexes(const struct flows *f)
{
	return f->nodes.next;
}

uint64_t flows_cgroups_changes(const struct flows *f)
{
	return f->cgroups_changes;
}

void cgroups_done(struct flows *f)
{
	index_done(&f->by_cgroup);
	index_done(&f->by_container);
	index_done(&f->by_pod);
	pool_done(&f->nodes);
}
