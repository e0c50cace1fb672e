/*
 * What the directories of the cgroup tree are. A directory says it by its name, or
 * is what the nearest one above it says:
 *
 *     above it        itself
 *     a container     that container, unless it is a pod's (kind: nodes are containers)
 *     a pod           a container or a pod; else that pod
 *     a service       whatever it says; else that service
 */
#include "flow/state.h"

#include "base/mem.h"
#include "flow/cgroup_name.h"

#include <errno.h>

#define ID_DIGITS 64

struct str says_container_id(const struct flows *f, const struct cg_node *n)
{
	struct str name = intern_str(&f->strings, n->name);

	if (n->what != CGROUP_CONTAINER)
		return (struct str){0};
	return str_make(name.p + n->id_off, ID_DIGITS);
}

uint32_t says_container_hash(const struct flows *f, struct str id)
{
	return (uint32_t)state_hash(f, id.p, id.n);
}

uint32_t says_pod_hash(pool_id uid)
{
	return uid * 0x9e3779b1U;
}

void says_forget(struct flows *f, cgroup_ix ix)
{
	struct cg_node *n = node_at(f, ix);

	if (n->says != ix) {
		n->says = 0;
		return;
	}
	if (n->what == CGROUP_CONTAINER)
		index_del(&f->by_container, says_container_hash(f, says_container_id(f, n)), ix);
	if (n->pod_uid)
		index_del(&f->by_pod, says_pod_hash(n->pod_uid), ix);
	intern_put(&f->strings, n->pod_uid);
	n->pod_uid = 0;
	n->says = 0;
	n->what = CGROUP_OTHER;
}

/* Bare ids count below a pod, and in the folders of Docker and Podman. */
static bool takes_bare_ids(const struct flows *f, const struct cg_node *up)
{
	struct str name = up ? intern_str(&f->strings, up->name) : (struct str){0};

	return (up && up->says && node_at(f, up->says)->what == CGROUP_POD) ||
	       str_eq(name, STR("docker")) || str_eq(name, STR("libpod_parent"));
}

static bool speaks(const struct cg_node *above, enum cgroup_what what)
{
	if (what == CGROUP_OTHER)
		return false;
	if (!above || above->what == CGROUP_SERVICE)
		return true;
	return what == CGROUP_POD || (above->what == CGROUP_POD && what == CGROUP_CONTAINER);
}

/* 0 or -ENOMEM: then it is what is above it. */
static int settle_one(struct flows *f, cgroup_ix ix)
{
	struct cg_node *n = node_at(f, ix), *up = n->parent ? node_at(f, n->parent) : NULL;
	const struct cg_node *above = up && up->says ? node_at(f, up->says) : NULL;
	struct str name = intern_str(&f->strings, n->name), uid;
	struct cgroup_name said;
	pool_id text = 0;

	says_forget(f, ix);
	n->says = up ? up->says : 0;
	cgroup_name_parse(name, takes_bare_ids(f, up), &said);
	if (!speaks(above, said.what))
		return 0;
	uid = str_of(said.pod_uid);
	if (str_empty(uid) && said.what == CGROUP_CONTAINER && above)
		uid = intern_str(&f->strings, above->pod_uid);
	if (index_reserve(&f->by_container, 1) < 0 || index_reserve(&f->by_pod, 1) < 0 ||
	    intern_get(&f->strings, uid, &text) < 0)
		return -ENOMEM;
	n->says = ix;
	n->what = (uint8_t)said.what;
	n->pod_uid = text;
	if (n->what == CGROUP_CONTAINER) {
		const char *at = memmem(name.p, name.n, said.container_id, ID_DIGITS);

		n->id_off = (uint8_t)(at - name.p);
		(void)index_put(&f->by_container, says_container_hash(f, says_container_id(f, n)),
				ix);
	}
	if (text)
		(void)index_put(&f->by_pod, says_pod_hash(text), ix);
	return 0;
}

/* The next node of the tree below `top`, parents first; 0 at the end. */
static cgroup_ix next_below(const struct flows *f, cgroup_ix top, cgroup_ix ix)
{
	if (node_at(f, ix)->first_child)
		return node_at(f, ix)->first_child;
	while (ix != top && !node_at(f, ix)->sibs.next)
		ix = node_at(f, ix)->parent;
	return ix == top ? 0 : node_at(f, ix)->sibs.next;
}

int says_settle(struct flows *f, cgroup_ix ix)
{
	int r = 0;

	for (cgroup_ix at = ix; at; at = next_below(f, ix, at)) {
		if (node_at(f, at)->flags & NODE_AWAITED)
			continue;
		pending_wake_node(f, at);
		if (settle_one(f, at) < 0)
			r = -ENOMEM;
	}
	return r;
}

/* ---- waking ---------------------------------------------------------------------------------- */

void flows_wake_container(struct flows *f, struct str container_id)
{
	uint32_t at, h = says_container_hash(f, container_id);

	for (cgroup_ix ix = index_first(&f->by_container, h, &at); ix;
	     ix = index_next(&f->by_container, h, &at))
		if (str_eq(says_container_id(f, node_at(f, ix)), container_id))
			pending_wake_node(f, ix);
}

void flows_wake_pod(struct flows *f, struct str pod_uid)
{
	pool_id uid = intern_find(&f->strings, pod_uid);
	uint32_t at, h = says_pod_hash(uid);

	for (cgroup_ix ix = uid ? index_first(&f->by_pod, h, &at) : 0; ix;
	     ix = index_next(&f->by_pod, h, &at))
		if (node_at(f, ix)->pod_uid == uid)
			pending_wake_node(f, ix);
}
