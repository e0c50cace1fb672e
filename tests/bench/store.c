/*
 * The store with many objects: recorded pods (without managedFields) under new
 * names, namespaces and uids. Parsing is not in the figures; hashing and compressing
 * is.
 */
#include "tests/bench/bench.h"

#include "base/clock.h"
#include "base/mem.h"
#include "store/store.h"
#include "tests/lib/fixture.h"

#include <assert.h>
#include <stdio.h>
#include <time.h>

#define READS 200000

struct world {
	struct store *s;
	store_kind kind;
	uint16_t source;
	struct arena pods, one;
	uint32_t n;
	uint32_t n_pods;
	struct tree *pod[512];
};

/* The processor's time: the machine may be shared. */
static nsec_t cpu(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (nsec_t)ts.tv_sec * NSEC_PER_SEC + (nsec_t)ts.tv_nsec;
}

static struct tree *member(struct tree *of, const char *key)
{
	struct tree *t = of->first;

	while (t && !str_eq(t->key, str_of(key)))
		t = t->next;
	return t;
}

static void load(struct world *w)
{
	struct buf list, json = {.max = 64 << 20};
	struct tree *t;

	arena_init(&w->pods, 64 << 20);
	arena_init(&w->one, 1 << 20);
	assert(fixture_read("list-pods-json", &list) == 0);
	assert(tree_parse(&w->pods, buf_str(&list), &t) == 0);
	for (struct tree *p = member(t, "items")->first; p && w->n_pods < 512; p = p->next) {
		struct tree *meta = member(p, "metadata");
		struct tree *fields = member(meta, "managedFields");

		if (fields)
			tree_remove(meta, fields);
		w->pod[w->n_pods++] = p;
		assert(tree_write(&json, p) == 0);
	}
	printf("store.json %.0f B/object\n", (double)json.n / w->n_pods);
	buf_done(&json);
	buf_done(&list);
}

static void start(struct world *w, bool index)
{
	struct store_opts o = {.max_bodies = (size_t)2 << 30};
	static const struct str path = STR("spec.nodeName");
	struct store_kind_opts k = {.version = STR("v1"),
				    .kind = STR("Pod"),
				    .plural = STR("pods"),
				    .namespaced = true,
				    .indexes = &path,
				    .n_indexes = index};
	struct buf error = {.max = 1000};

	assert(store_new(&o, &w->s) == 0);
	assert(store_kind_add(w->s, &k, &w->kind, &error) == 0);
	assert(store_source_add(w->s, w->kind, STR(""), &w->source) == 0);
}

static void set(struct world *w, struct tree *meta, const char *key, const char *value)
{
	assert(tree_set_text(&w->one, meta, str_of(key), str_of(value)) == 0);
}

static void name_of(uint32_t i, char ns[32], char name[64])
{
	(void)snprintf(ns, 32, "namespace-%u", i % 200);
	(void)snprintf(name, 64, "workload-%u-5d8f9c7b64-x7k2p", i);
}

/* The time that the store took for one. */
static nsec_t apply(struct world *w, uint32_t i, uint32_t rv, const char *phase)
{
	struct tree *pod = w->pod[i % w->n_pods], *meta = member(pod, "metadata");
	char ns[32], name[64], uid[40], version[16];
	nsec_t from;

	arena_reset(&w->one);
	name_of(i, ns, name);
	(void)snprintf(uid, sizeof(uid), "%08x-0000-4abc-8def-%012x", i * 2654435761U, i);
	(void)snprintf(version, sizeof(version), "%u", rv);
	set(w, meta, "namespace", ns);
	set(w, meta, "name", name);
	set(w, meta, "uid", uid);
	set(w, meta, "resourceVersion", version);
	set(w, member(pod, "status"), "phase", phase);
	from = cpu();
	assert(store_apply(w->s, w->source, from, pod) == 0);
	return cpu() - from;
}

static void round_of(struct world *w, const char *what, uint32_t rv, const char *phase)
{
	nsec_t spent = 0;

	for (uint32_t i = 0; i < w->n; i++)
		spent += apply(w, i, rv + i, phase);
	printf("store.%uk.%s %.0f objects/s\n", w->n / 1000, what,
	       (double)w->n * 1e9 / (double)spent);
}

static int count(void *ctx, store_id id)
{
	(void)id;
	++*(uint32_t *)ctx;
	return 0;
}

static void reads(struct world *w)
{
	struct buf b = {.max = 1 << 20};
	struct str node = tree_text_at(w->pod[0], "spec.nodeName");
	char ns[32], name[64];
	nsec_t from = cpu();
	store_id sum = 0;
	uint32_t found = 0;

	for (uint32_t i = 0; i < READS; i++) {
		name_of(i * 7919 % w->n, ns, name);
		sum += store_find(w->s, w->kind, str_of(ns), str_of(name));
	}
	assert(sum);
	printf("store.%uk.find %.0f ns\n", w->n / 1000, (double)(cpu() - from) / READS);
	from = cpu();
	for (uint32_t i = 0; i < READS / 10; i++) {
		buf_reset(&b);
		assert(store_body(w->s, NULL, 1 + i * 7919 % w->n, from, &b) == 0);
	}
	printf("store.%uk.body %.0f ns\n", w->n / 1000, (double)(cpu() - from) / (READS / 10));
	from = cpu();
	assert(store_lookup(w->s, w->kind, &node, 1, count, &found) == 0 && found);
	printf("store.%uk.lookup %.0f ns/object\n", w->n / 1000, (double)(cpu() - from) / found);
	buf_done(&b);
}

static void walk(struct world *w)
{
	struct store_cursor *c;
	uint32_t seen = 0;
	nsec_t from;

	assert(store_cursor_add(w->s, &(struct store_cursor_opts){0}, &c) == 0);
	from = cpu();
	while (store_cursor_next(w->s, c))
		seen++;
	printf("store.%uk.cursor %.0f ns/object\n", w->n / 1000, (double)(cpu() - from) / seen);
	assert(seen == w->n);
}

/* Records alone, of a kind without an index. */
static void records(struct world *w)
{
	struct store_stats s;

	start(w, false);
	for (uint32_t i = 0; i < w->n; i++)
		(void)apply(w, i, i, "Running");
	store_stats(w->s, &s);
	printf("store.%uk.record %.1f B/object\n", w->n / 1000, (double)s.record_bytes / w->n);
	store_free(&w->s);
}

static void run(struct world *w, uint32_t n)
{
	struct store_stats s;

	w->n = n;
	records(w);
	start(w, true);
	store_list_begin(w->s, w->source);
	round_of(w, "create", 1000000, "Running");
	store_list_end(w->s, w->source, cpu());
	round_of(w, "unchanged", 1000000, "Running");
	round_of(w, "modify", 3000000, "Failed");
	reads(w);
	walk(w);
	store_stats(w->s, &s);
	printf("store.%uk.indexed_record %.1f B/object\n", n / 1000, (double)s.record_bytes / n);
	printf("store.%uk.held %.0f B/object\n", n / 1000, (double)s.body_bytes / n);
	store_free(&w->s);
}

void bench_store(void)
{
	static struct world w;

	load(&w);
	run(&w, 10000);
	run(&w, 100000);
	arena_done(&w.pods);
	arena_done(&w.one);
}
