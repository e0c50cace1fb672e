/* What one connection has told; see ingest_state.h. */
#include "reducer/ingest_state.h"

#include <stdlib.h>

static void spans_one(struct spans *s, size_t size, uint32_t max)
{
	pool_init(&s->pool, size, max);
	index_init(&s->index);
}

void spans_init(struct ingest *in)
{
	hash_seed_init(&in->seed);
	spans_one(&in->cgroups, sizeof(struct span_cgroup), INGEST_MAX_CGROUPS);
	spans_one(&in->procs, sizeof(struct span_proc), INGEST_MAX_PROCS);
	spans_one(&in->socks, sizeof(struct span_sock), INGEST_MAX_SOCKS);
	spans_one(&in->udp, sizeof(struct span_udp), INGEST_MAX_UDP);
}

static void spans_free(struct spans *s)
{
	pool_done(&s->pool);
	index_done(&s->index);
}

void spans_done(struct ingest *in)
{
	for (pool_id id = 1; id <= in->socks.pool.next; id++)
		if (span_sock_at(in, id)->open)
			span_sock_close(in, id, true);
	for (pool_id id = 1; id <= in->udp.pool.next; id++)
		if (span_udp_at(in, id)->open)
			span_udp_close(in, id, true);
	for (pool_id id = 1; id <= in->procs.pool.next; id++)
		if (span_proc_at(in, id)->open)
			span_proc_close(in, id);
	for (pool_id id = 1; id <= in->cgroups.pool.next; id++)
		if (span_cgroup_at(in, id)->open)
			span_cgroup_close(in, id);
	spans_free(&in->cgroups);
	spans_free(&in->procs);
	spans_free(&in->socks);
	spans_free(&in->udp);
}

/* ---- keys ------------------------------------------------------------------------------------ */

static uint32_t hash_key(const struct ingest *in, uint64_t key)
{
	return (uint32_t)hash_bytes(&in->seed, &key, sizeof(key));
}

static int add(struct ingest *in, struct spans *s, uint64_t key, pool_id *ret)
{
	pool_id id;

	if (s->pool.live >= s->pool.max)
		return -ENOSPC;
	if (index_reserve(&s->index, 1) < 0)
		return -ENOMEM;
	id = pool_alloc(&s->pool);
	if (!id)
		return -ENOMEM;
	(void)index_put(&s->index, hash_key(in, key), id);
	*ret = id;
	return 0;
}

/* The four kinds differ in their key alone. */
#define FIND(what, plural, type, member)                                 \
	pool_id span_##what##_find(const struct ingest *in, type key)    \
	{                                                                \
		const uint32_t h = hash_key(in, key);                    \
		uint32_t at, id;                                         \
                                                                         \
		for (id = index_first(&in->plural.index, h, &at); id;    \
		     id = index_next(&in->plural.index, h, &at))         \
			if (span_##what##_at(in, id)->member == key)     \
				break;                                   \
		return id;                                               \
	}                                                                \
	int span_##what##_add(struct ingest *in, type key, pool_id *ret) \
	{                                                                \
		const int r = add(in, &in->plural, key, ret);            \
                                                                         \
		if (r == 0) {                                            \
			span_##what##_at(in, *ret)->member = key;        \
			span_##what##_at(in, *ret)->open = true;         \
		}                                                        \
		return r;                                                \
	}
FIND(cgroup, cgroups, uint64_t, id)
FIND(proc, procs, uint32_t, pid)
FIND(sock, socks, uint64_t, sk)
FIND(udp, udp, uint32_t, sk_id)

/* ---- ends ------------------------------------------------------------------------------------ */

static void cgroup_free(struct ingest *in, pool_id id)
{
	struct span_cgroup *c = span_cgroup_at(in, id);
	const pool_id parent = c->parent;

	free(c->text);
	free(c->role);
	free(c->role_ns);
	pool_release(&in->cgroups.pool, id);
	span_cgroup_unref(in, parent);
}

void span_cgroup_unref(struct ingest *in, pool_id id)
{
	struct span_cgroup *c = id ? span_cgroup_at(in, id) : NULL;

	if (c && --c->refs == 0 && !c->open)
		cgroup_free(in, id);
}

void span_cgroup_close(struct ingest *in, pool_id id)
{
	struct span_cgroup *c = span_cgroup_at(in, id);

	index_del(&in->cgroups.index, hash_key(in, c->id), id);
	c->open = false;
	if (!c->refs)
		cgroup_free(in, id);
}

static void proc_free(struct ingest *in, pool_id id)
{
	const pool_id cgroup = span_proc_at(in, id)->cgroup;

	pool_release(&in->procs.pool, id);
	span_cgroup_unref(in, cgroup);
}

static void proc_unref(struct ingest *in, pool_id id)
{
	struct span_proc *p = id ? span_proc_at(in, id) : NULL;

	if (p && --p->refs == 0 && !p->open)
		proc_free(in, id);
}

void span_proc_close(struct ingest *in, pool_id id)
{
	struct span_proc *p = span_proc_at(in, id);

	index_del(&in->procs.index, hash_key(in, p->pid), id);
	p->open = false;
	if (!p->refs)
		proc_free(in, id);
}

void span_sock_close(struct ingest *in, pool_id id, bool lost)
{
	struct span_sock *k = span_sock_at(in, id);
	const pool_id proc = k->proc;

	if (k->link)
		traffic_close(reducer_table_traffic(in->o.table), k->link, k->side, lost,
			      in->last_data);
	index_del(&in->socks.index, hash_key(in, k->sk), id);
	k->open = false;
	pool_release(&in->socks.pool, id);
	proc_unref(in, proc);
}

void span_udp_close(struct ingest *in, pool_id id, bool lost)
{
	struct span_udp *u = span_udp_at(in, id);
	const pool_id proc = u->proc;

	for (int rx = 0; rx < 2; rx++)
		if (u->remote[rx].link)
			traffic_close(reducer_table_traffic(in->o.table), u->remote[rx].link,
				      u->remote[rx].side, lost, in->last_data);
	index_del(&in->udp.index, hash_key(in, u->sk_id), id);
	u->open = false;
	pool_release(&in->udp.pool, id);
	proc_unref(in, proc);
}

/* ---- who it is ------------------------------------------------------------------------------- */

static const struct reducer_pod *pod_by_uid(const struct ingest *in, struct str uid)
{
	const struct reducer_pod *p;

	if (str_empty(uid))
		return NULL;
	p = reducer_table_find(in->o.table, uid);
	return p && !str_empty(p->owner_name) ? p : NULL;
}

/* By the parent's name, else by the own one where it holds both ids; else by the container. */
static const struct reducer_pod *pod_of(const struct ingest *in, const struct span_cgroup *c)
{
	const struct span_cgroup *up = c->parent ? span_cgroup_at(in, c->parent) : NULL;
	const struct reducer_pod *p = NULL;

	if (up && !str_empty(up->uid))
		p = pod_by_uid(in, up->uid);
	else if (!str_empty(c->container))
		p = pod_by_uid(in, c->uid);
	if (!p && !str_empty(c->container))
		p = reducer_table_by_container(in->o.table, c->container);
	return p && !str_empty(p->owner_name) ? p : NULL;
}

int span_proc_resolve(struct ingest *in, pool_id id, traffic_node *ret, bool *ret_pod)
{
	const struct span_proc *p = id ? span_proc_at(in, id) : NULL;
	const struct span_cgroup *c = p && p->cgroup ? span_cgroup_at(in, p->cgroup) : NULL;
	const struct reducer_pod *pod = c ? pod_of(in, c) : NULL;
	struct traffic_end e = {.type = TRAFFIC_PROCESS};

	*ret = 0;
	*ret_pod = pod != NULL;
	if (pod) {
		e = (struct traffic_end){TRAFFIC_K8S, pod->ns, pod->owner_name};
	} else if (c && c->role) {
		e = (struct traffic_end){TRAFFIC_CONTAINER, str_of(c->role_ns), str_of(c->role)};
	} else if (p) {
		e.workload = str_of(p->comm);
		if (c && !str_empty(c->service) && strcmp(p->comm, "kubelet") != 0)
			e.workload = c->service;
	}
	if (str_empty(e.workload))
		return 0;
	return traffic_intern(reducer_table_traffic(in->o.table), &e, ret);
}
