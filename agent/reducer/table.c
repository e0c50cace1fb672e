#include "reducer/table.h"

#include "base/hash.h"
#include "base/index.h"
#include "base/mem.h"
#include "base/pool.h"
#include "reducer/traffic.h"

#include <errno.h>
#include <stdlib.h>

#define MAX_HOSTS 4096

/* One block of memory behind all strings of a record. */
struct pod {
	struct reducer_pod pub;
	char *text;
	uint32_t cap_containers, cap_holders;
	bool used;
};

struct host {
	char *name;
	uint64_t epoch;
};

struct reducer_table {
	struct hash_seed seed;
	struct index by_uid, by_container; /* both to pods */
	struct traffic *traffic;
	struct pool pods;
	uint32_t max_containers, n_containers;
	struct host *hosts;
	size_t n_hosts, next_host; /* a ring: the oldest is overwritten */
};

int reducer_table_new(const struct reducer_table_opts *o, struct reducer_table **ret)
{
	struct reducer_table *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	hash_seed_init(&t->seed);
	index_init(&t->by_uid);
	index_init(&t->by_container);
	pool_init(&t->pods, sizeof(struct pod), o->max_pods ? o->max_pods : REDUCER_MAX_PODS);
	t->max_containers = o->max_containers ? o->max_containers : REDUCER_MAX_CONTAINERS;
	if (traffic_new(&t->traffic) < 0) {
		reducer_table_free(&t);
		return -ENOMEM;
	}
	*ret = t;
	return 0;
}

static void container_done(struct reducer_container *c)
{
	/* `id` is the first string of the container's block. */
	free((void *)(uintptr_t)c->id.p);
}

/* "containerd://abc" and "abc" are one container. */
static struct str bare_id(struct str id)
{
	for (size_t i = 0; i + 3 <= id.n; i++)
		if (memcmp(id.p + i, "://", 3) == 0)
			return str_from(id, i + 3);
	return id;
}

static uint32_t hash_of(const struct reducer_table *t, struct str uid)
{
	return (uint32_t)hash_bytes(&t->seed, uid.p, uid.n);
}

static void pod_done(struct reducer_table *t, pool_id id)
{
	struct pod *p = pool_at(&t->pods, id);

	for (uint32_t i = 0; i < p->pub.n_containers; i++) {
		index_del(&t->by_container, hash_of(t, bare_id(p->pub.containers[i].id)), id);
		container_done(&p->pub.containers[i]);
	}
	t->n_containers -= p->pub.n_containers;
	free(p->pub.containers);
	free(p->pub.holders);
	free(p->text);
	p->used = false;
}

void reducer_table_free(struct reducer_table **tp)
{
	struct reducer_table *t = *tp;

	if (!t)
		return;
	for (uint32_t id = 1; id <= t->pods.next; id++) {
		const struct pod *p = pool_at(&t->pods, id);

		if (p->used)
			pod_done(t, id);
	}
	for (size_t i = 0; i < t->n_hosts; i++)
		free(t->hosts[i].name);
	free(t->hosts);
	pool_done(&t->pods);
	index_done(&t->by_uid);
	index_done(&t->by_container);
	traffic_free(&t->traffic);
	free(t);
	*tp = NULL;
}

static pool_id find(const struct reducer_table *t, struct str uid)
{
	const uint32_t hash = hash_of(t, uid);
	uint32_t at, id;

	for (id = index_first(&t->by_uid, hash, &at); id; id = index_next(&t->by_uid, hash, &at)) {
		const struct pod *p = pool_at(&t->pods, id);

		if (str_eq(p->pub.uid, uid))
			break;
	}
	return id;
}

/* Copies `s` to `*at` and moves on. */
static struct str keep(char **at, struct str s)
{
	struct str kept = str_make(*at, s.n);

	if (s.n)
		memcpy(*at, s.p, s.n);
	*at += s.n;
	return kept;
}

/* Replaces what is known of the pod but not its containers and holders. */
static int pod_set(struct pod *p, const struct reducer_pod *from)
{
	const size_t n = from->uid.n + from->ns.n + from->name.n + from->owner_name.n +
			 from->owner_uid.n + from->version.n;
	char *text = malloc(n + 1), *at = text;

	if (!text)
		return -ENOMEM;
	p->pub.uid = keep(&at, from->uid);
	p->pub.ns = keep(&at, from->ns);
	p->pub.name = keep(&at, from->name);
	p->pub.owner_name = keep(&at, from->owner_name);
	p->pub.owner_uid = keep(&at, from->owner_uid);
	p->pub.version = keep(&at, from->version);
	p->pub.ip = from->ip;
	p->pub.owner_kind = from->owner_kind;
	p->pub.host_network = from->host_network;
	free(p->text);
	p->text = text;
	return 0;
}

static int grow(void **array, uint32_t *cap, uint32_t n, size_t size)
{
	uint32_t want = *cap ? *cap * 2 : 1;
	void *p;

	if (n < *cap)
		return 0;
	p = realloc(*array, want * size);
	if (!p)
		return -ENOMEM;
	*array = p;
	*cap = want;
	return 0;
}

static int hold(struct pod *p, uint32_t holder)
{
	int r;

	if (reducer_pod_held_by(&p->pub, holder))
		return 0;
	r = grow((void **)&p->pub.holders, &p->cap_holders, p->pub.n_holders, sizeof(holder));
	if (r == 0)
		p->pub.holders[p->pub.n_holders++] = holder;
	return r;
}

static int create(struct reducer_table *t, uint32_t holder, const struct reducer_pod *from)
{
	pool_id id = pool_alloc(&t->pods);
	struct pod *p;
	int r;

	if (!id)
		return t->pods.live >= t->pods.max ? -ENOSPC : -ENOMEM;
	p = pool_at(&t->pods, id);
	p->used = true;
	r = pod_set(p, from);
	if (r == 0)
		r = hold(p, holder);
	if (r == 0)
		r = index_put(&t->by_uid, hash_of(t, from->uid), id);
	if (r < 0) {
		pod_done(t, id);
		pool_release(&t->pods, id);
	}
	return r;
}

int reducer_table_put(struct reducer_table *t, uint32_t holder, const struct reducer_pod *from)
{
	pool_id id = find(t, from->uid);
	struct pod *p;
	int r;

	if (!id)
		return create(t, holder, from);
	p = pool_at(&t->pods, id);
	r = hold(p, holder);
	return r < 0 ? r : pod_set(p, from);
}

static bool has_container(const struct reducer_pod *p, struct str id)
{
	for (uint32_t i = 0; i < p->n_containers; i++)
		if (str_eq(bare_id(p->containers[i].id), bare_id(id)))
			return true;
	return false;
}

int reducer_table_add_container(struct reducer_table *t, struct str uid,
				const struct reducer_container *c)
{
	pool_id id = find(t, uid);
	struct reducer_container *mine;
	struct pod *p;
	char *text;
	int r;

	if (!id)
		return -ENOENT;
	p = pool_at(&t->pods, id);
	if (has_container(&p->pub, c->id))
		return 0;
	if (t->n_containers >= t->max_containers)
		return -ENOSPC;
	r = grow((void **)&p->pub.containers, &p->cap_containers, p->pub.n_containers,
		 sizeof(*mine));
	if (r == 0)
		r = index_reserve(&t->by_container, 1);
	if (r < 0)
		return r;
	text = malloc(c->id.n + c->name.n + c->image.n + 1);
	if (!text)
		return -ENOMEM;
	mine = &p->pub.containers[p->pub.n_containers++];
	mine->id = keep(&text, c->id);
	mine->name = keep(&text, c->name);
	mine->image = keep(&text, c->image);
	(void)index_put(&t->by_container, hash_of(t, bare_id(mine->id)), id);
	t->n_containers++;
	return 0;
}

/* Frees the pod when that was the last holder. `at` is the holder's place. */
static void unhold(struct reducer_table *t, pool_id id, uint32_t at)
{
	struct pod *p = pool_at(&t->pods, id);

	p->pub.holders[at] = p->pub.holders[--p->pub.n_holders];
	if (p->pub.n_holders)
		return;
	index_del(&t->by_uid, hash_of(t, p->pub.uid), id);
	pod_done(t, id);
	pool_release(&t->pods, id);
}

/* The holder's place among the pod's holders, n_holders when it is not one. */
static uint32_t holder_at(const struct reducer_pod *p, uint32_t holder)
{
	uint32_t i = 0;

	while (i < p->n_holders && p->holders[i] != holder)
		i++;
	return i;
}

bool reducer_pod_held_by(const struct reducer_pod *p, uint32_t holder)
{
	return holder_at(p, holder) < p->n_holders;
}

int reducer_table_drop(struct reducer_table *t, uint32_t holder, struct str uid)
{
	pool_id id = find(t, uid);
	struct pod *p;
	uint32_t at;

	if (!id)
		return -ENOENT;
	p = pool_at(&t->pods, id);
	at = holder_at(&p->pub, holder);
	if (at == p->pub.n_holders)
		return -ENOENT;
	unhold(t, id, at);
	return 0;
}

size_t reducer_table_drop_all(struct reducer_table *t, uint32_t holder)
{
	size_t n = 0;

	for (pool_id id = 1; id <= t->pods.next; id++) {
		const struct pod *p = pool_at(&t->pods, id);
		uint32_t at;

		if (!p->used)
			continue;
		at = holder_at(&p->pub, holder);
		if (at == p->pub.n_holders)
			continue;
		unhold(t, id, at);
		n++;
	}
	return n;
}

const struct reducer_pod *reducer_table_find(const struct reducer_table *t, struct str uid)
{
	pool_id id = find(t, uid);

	return id ? &((const struct pod *)pool_at(&t->pods, id))->pub : NULL;
}

const struct reducer_pod *reducer_table_by_container(const struct reducer_table *t, struct str id)
{
	const uint32_t hash = hash_of(t, id);
	uint32_t at, pod;

	for (pod = index_first(&t->by_container, hash, &at); pod;
	     pod = index_next(&t->by_container, hash, &at)) {
		const struct pod *p = pool_at(&t->pods, pod);

		if (has_container(&p->pub, id))
			return &p->pub;
	}
	return NULL;
}

struct traffic *reducer_table_traffic(const struct reducer_table *t)
{
	return t->traffic;
}

const struct reducer_pod *reducer_table_next(const struct reducer_table *t, uint32_t *at)
{
	while (*at < t->pods.next) {
		const struct pod *p = pool_at(&t->pods, ++*at);

		if (p->used)
			return &p->pub;
	}
	return NULL;
}

uint32_t reducer_table_pods(const struct reducer_table *t)
{
	return t->pods.live;
}

uint32_t reducer_table_containers(const struct reducer_table *t)
{
	return t->n_containers;
}

static struct host *find_host(const struct reducer_table *t, struct str name)
{
	for (size_t i = 0; i < t->n_hosts; i++)
		if (str_eq(str_of(t->hosts[i].name), name))
			return &t->hosts[i];
	return NULL;
}

uint64_t reducer_table_epoch(const struct reducer_table *t, struct str host)
{
	const struct host *h = find_host(t, host);

	return h ? h->epoch : 0;
}

void reducer_table_set_epoch(struct reducer_table *t, struct str host, uint64_t epoch)
{
	struct host *h = find_host(t, host);
	char *name;

	if (h) {
		h->epoch = epoch;
		return;
	}
	if (!t->hosts)
		t->hosts = calloc(MAX_HOSTS, sizeof(*t->hosts));
	name = t->hosts ? str_dup(host) : NULL;
	if (!name)
		return;
	h = &t->hosts[t->next_host];
	free(h->name);
	*h = (struct host){.name = name, .epoch = epoch};
	t->next_host = (t->next_host + 1) % MAX_HOSTS;
	t->n_hosts = MAX(t->n_hosts, t->next_host ? t->next_host : (size_t)MAX_HOSTS);
}
