/*
 * The graph sink between the store and a backend that only writes down: what is told,
 * when kinds are swept, what a failure and a resync change.
 */
#include "sink/graph/graph.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

struct rig {
	struct graph_backend b; /* first */
	struct store *s;
	store_kind pods, secrets;
	uint16_t pods_source, secrets_source;
	struct graph *g;
	nsec_t now;
	graph_done done;
	void *ctx;
	enum vector_outcome next;
	struct buf log;
	bool cancelled;
};

static int begin(struct rig *w, graph_done done, void *ctx)
{
	w->done = done;
	w->ctx = ctx;
	return 0;
}

static int write_items(struct graph_backend *b, const struct relay_item *items, uint32_t n,
		       graph_done done, void *ctx)
{
	struct rig *w = (struct rig *)b;

	for (uint32_t i = 0; i < n; i++) {
		const struct graph_made *made = items[i].made;

		assert_int_equal(buf_printf(&w->log, "%c:%.*s:%u ",
					    relay_action_name(items[i].action)[0],
					    STR_ARG(items[i].name), made ? made->set.n_edges : 0),
				 0);
	}
	return begin(w, done, ctx);
}

static int sweep(struct graph_backend *b, struct str group, struct str kind, graph_done done,
		 void *ctx)
{
	struct rig *w = (struct rig *)b;

	assert_int_equal(group.n, 0);
	assert_int_equal(buf_printf(&w->log, "sweep:%.*s@%d ", STR_ARG(kind), (int)b->epoch), 0);
	return begin(w, done, ctx);
}

static void cancel(struct graph_backend *b)
{
	((struct rig *)b)->cancelled = true;
}

static nsec_t now_of(void *ctx)
{
	return ((struct rig *)ctx)->now;
}

static store_kind add_kind(struct rig *w, const char *kind, const char *plural, uint16_t *source)
{
	struct store_kind_opts o = {.version = STR("v1"),
				    .kind = str_of(kind),
				    .plural = str_of(plural),
				    .namespaced = true};
	_buf_ struct buf error = {.max = 1024};
	store_kind k;

	assert_int_equal(store_kind_add(w->s, &o, &k, &error), 0);
	assert_int_equal(store_source_add(w->s, k, STR(""), source), 0);
	return k;
}

static void start(struct rig *w)
{
	static const struct graph_backend_ops ops = {
		.write = write_items, .sweep = sweep, .cancel = cancel};

	*w = (struct rig){.b = {.ops = &ops, .epoch = 5}, .now = 1000 * NSEC_PER_SEC};
	buf_init(&w->log, 1 << 20);
	assert_int_equal(store_new(&(struct store_opts){0}, &w->s), 0);
	w->pods = add_kind(w, "Pod", "pods", &w->pods_source);
	w->secrets = add_kind(w, "Secret", "secrets", &w->secrets_source);
	assert_int_equal(graph_new(
				 &(struct graph_opts){
					 .store = w->s, .backend = &w->b, .now = now_of, .ctx = w},
				 &w->g),
			 0);
}

static void stop(struct rig *w)
{
	graph_free(&w->g);
	assert_true(w->cancelled);
	store_free(&w->s);
	buf_done(&w->log);
}

static void apply(struct rig *w, const char *name, const char *secret)
{
	static int version;
	char json[512];
	struct tree *t;
	struct arena a;

	version++;
	(void)snprintf(json, sizeof(json),
		       "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"%s\","
		       "\"namespace\":\"n\",\"uid\":\"u-%s\",\"resourceVersion\":\"%d\"},\"spec\":{"
		       "\"volumes\":[{\"secret\":{\"secretName\":\"%s\"}}],\"x\":%d}}",
		       name, name, version, secret, version);
	arena_init(&a, 1 << 20);
	assert_int_equal(tree_parse(&a, str_of(json), &t), 0);
	assert_int_equal(store_apply(w->s, w->pods_source, w->now, t), 0);
	arena_done(&a);
}

static void says(struct rig *w, const char *want)
{
	for (int i = 0; i < 100; i++) {
		nsec_t next = graph_run(w->g, w->now, w->now);

		if (w->done) {
			struct vector_end end = {.how = w->next, .text = STR("no")};
			graph_done done = w->done;

			w->done = NULL;
			w->next = VECTOR_OK;
			done(w->ctx, &end);
		} else if (next == NSEC_NEVER) {
			break;
		} else {
			w->now = MAX(w->now, next);
		}
	}
	assert_int_equal(buf_append(&w->log, "", 1), 0);
	assert_string_equal(buf_str(&w->log).p, want);
	buf_reset(&w->log);
}

static void list(struct rig *w, uint16_t source)
{
	store_list_begin(w->s, source);
	store_list_end(w->s, source, w->now);
}

static void kinds_are_swept_when_complete(void **state)
{
	struct rig w;

	(void)state;
	start(&w);
	store_list_begin(w.s, w.pods_source);
	apply(&w, "a", "s");
	says(&w, "A:a:1 "); /* the list goes on */
	store_list_end(w.s, w.pods_source, w.now);
	says(&w, "sweep:Pod@5 ");
	w.next = VECTOR_RETRY;
	list(&w, w.secrets_source);
	says(&w, "sweep:Secret@5 sweep:Secret@5 ");
	says(&w, "");
	graph_resync(w.g);
	says(&w, "A:a:1 sweep:Pod@6 sweep:Secret@6 ");
	stop(&w);
}

/* What makes no other nodes, edges or state is not told. */
static void only_what_matters(void **state)
{
	struct rig w;

	(void)state;
	start(&w);
	list(&w, w.pods_source);
	apply(&w, "a", "s");
	says(&w, "A:a:1 sweep:Pod@5 ");
	apply(&w, "a", "s"); /* spec.x is another */
	says(&w, "");
	apply(&w, "a", "t");
	says(&w, "A:a:1 ");
	store_delete(w.s, w.pods_source, STR("n"), STR("a"), STR("u-a"), w.now);
	says(&w, "D:a:0 ");
	stop(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kinds_are_swept_when_complete),
		cmocka_unit_test(only_what_matters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
