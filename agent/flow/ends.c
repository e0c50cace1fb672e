/*
 * The names of an end, kept once for all flows that share them.
 */
#include "flow/state.h"

#include "base/mem.h"

#include <errno.h>
#include <string.h>

struct end_key {
	pool_id text[6];
	uint32_t known;
};

static struct end_key key_of(const struct end_rec *e)
{
	return (struct end_key){
		.text = {e->ns, e->pod, e->container, e->workload, e->workload_kind, e->pod_uid},
		.known = (uint32_t)e->known_by << 8 | e->why};
}

static uint32_t key_hash(const struct flows *f, const struct end_rec *e)
{
	const struct end_key k = key_of(e);

	return (uint32_t)state_hash(f, &k, sizeof(k));
}

static void put_texts(struct flows *f, const struct end_rec *e)
{
	const struct end_key k = key_of(e);

	for (size_t i = 0; i < ARRAY_SIZE(k.text); i++)
		intern_put(&f->strings, k.text[i]);
}

static int get_texts(struct flows *f, const struct flow_end *e, struct end_rec *ret)
{
	int r = intern_get(&f->strings, e->ns, &ret->ns);

	if (r == 0)
		r = intern_get(&f->strings, e->pod, &ret->pod);
	if (r == 0)
		r = intern_get(&f->strings, e->container, &ret->container);
	if (r == 0)
		r = intern_get(&f->strings, e->workload, &ret->workload);
	if (r == 0)
		r = intern_get(&f->strings, e->workload_kind, &ret->workload_kind);
	if (r == 0)
		r = intern_get(&f->strings, e->pod_uid, &ret->pod_uid);
	return r;
}

static uint32_t find(const struct flows *f, const struct end_rec *e, uint32_t h)
{
	const struct end_key k = key_of(e);
	uint32_t at;

	for (uint32_t id = index_first(&f->by_end, h, &at); id;
	     id = index_next(&f->by_end, h, &at)) {
		const struct end_key other = key_of(end_at(f, id));

		if (memcmp(&other, &k, sizeof(k)) == 0)
			return id;
	}
	return 0;
}

static struct flow_end view_of(const struct flows *f, const struct end_rec *e)
{
	return (struct flow_end){
		.known_by = e->known_by,
		.why = e->why,
		.ns = intern_str(&f->strings, e->ns),
		.pod = intern_str(&f->strings, e->pod),
		.container = intern_str(&f->strings, e->container),
		.workload = intern_str(&f->strings, e->workload),
		.workload_kind = intern_str(&f->strings, e->workload_kind),
		.pod_uid = intern_str(&f->strings, e->pod_uid),
	};
}

static int add(struct flows *f, const struct end_rec *e, uint32_t h, uint32_t *ret)
{
	uint32_t id = pool_alloc(&f->ends);
	struct end_rec *at;

	if (!id)
		return -ENOMEM;
	if (index_put(&f->by_end, h, id) < 0) {
		pool_release(&f->ends, id);
		return -ENOMEM;
	}
	at = pool_at(&f->ends, id);
	*at = *e;
	at->serial = ++f->ends_serial;
	at->view = view_of(f, e);
	at->who = spaces_who(f, at->view.pod_uid);
	*ret = id;
	return 0;
}

/* ---- those of late --------------------------------------------------------------------------- */

/* Of its length, first and last bytes. */
static uint64_t sketch(struct str s)
{
	uint64_t first = 0, last = 0;

	if (s.n >= sizeof(last)) {
		memcpy(&first, s.p, sizeof(first));
		memcpy(&last, s.p + s.n - sizeof(last), sizeof(last));
	}
	return first * 3 + last + s.n;
}

static uint32_t *recent_of(struct flows *f, const struct flow_end *e)
{
	const uint64_t kind = e->known_by == KNOWN_NOT ? (uint64_t)e->why << 8 : e->known_by;

	return &f->ends_recent[hash_numbers(&f->seed, sketch(e->pod_uid),
					    sketch(e->workload) + kind) %
			       ENDS_RECENT];
}

static bool is_same(const struct flow_end *a, const struct flow_end *b)
{
	return a->known_by == b->known_by && (a->known_by != KNOWN_NOT || a->why == b->why) &&
	       str_eq(a->pod_uid, b->pod_uid) && str_eq(a->pod, b->pod) && str_eq(a->ns, b->ns) &&
	       str_eq(a->container, b->container) && str_eq(a->workload, b->workload) &&
	       str_eq(a->workload_kind, b->workload_kind);
}

/* ---- all ------------------------------------------------------------------------------------- */

/* Finds or adds it, without a reference of the caller's. */
static int get(struct flows *f, const struct flow_end *e, uint32_t *ret)
{
	struct end_rec want = {.known_by = (uint8_t)e->known_by,
			       .why = e->known_by == KNOWN_NOT ? (uint8_t)e->why : 0};
	uint32_t h, id = 0;
	int r = get_texts(f, e, &want);

	if (r == 0) {
		h = key_hash(f, &want);
		id = find(f, &want, h);
		if (!id) {
			r = add(f, &want, h, ret);
			if (r == 0)
				return 0;
		}
	}
	put_texts(f, &want); /* the record that was found holds its own */
	if (r == 0)
		*ret = id;
	return r;
}

static void hold(struct flows *f, uint32_t id)
{
	((struct end_rec *)pool_at(&f->ends, id))->refs++;
}

int ends_get(struct flows *f, const struct flow_end *e, uint32_t *ret)
{
	uint32_t *recent = recent_of(f, e), id = *recent;
	int r;

	if (!id || !is_same(&end_at(f, id)->view, e)) {
		r = get(f, e, &id);
		if (r < 0)
			return r;
		hold(f, id);
		ends_put(f, *recent);
		*recent = id;
	}
	hold(f, id);
	*ret = id;
	return 0;
}

void ends_put(struct flows *f, uint32_t id)
{
	struct end_rec *e;

	if (!id)
		return;
	e = pool_at(&f->ends, id);
	if (--e->refs)
		return;
	index_del(&f->by_end, key_hash(f, e), id);
	put_texts(f, e);
	pool_release(&f->ends, id);
}
