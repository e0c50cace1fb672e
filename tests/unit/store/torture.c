/*
 * The store when memory is short: a call that fails changes nothing that can be
 * seen, the same call made again works, and nothing leaks.
 */
#include "tests/unit/store/rig.h"

#include "tests/lib/torture.h"

enum { UIDS = 700 };

/* All that can be seen, as text; written without an allocation. */
struct picture {
	size_t n;
	char p[600000];
};

struct world {
	struct rig w;
	struct store_cursor *c, *holds;
	uint16_t other;
	struct buf body; /* has its memory from the beginning */
	struct picture before, after;
};

__attribute__((format(printf, 2, 3))) static void draw(struct picture *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->p + t->n, sizeof(t->p) - t->n, fmt, ap);
	va_end(ap);
	t->n += (size_t)n;
	assert_true(t->n < sizeof(t->p));
}

static void draw_object(struct picture *t, struct world *x, store_id id)
{
	struct store_view v;

	assert_true(store_get(x->w.s, id, &v));
	draw(t, "%.*s/%.*s %s rv %s dead %d initial %d:", STR_ARG(v.ns), STR_ARG(v.name), v.uid,
	     v.resource_version, v.dead, v.initial);
	buf_reset(&x->body);
	if (store_body(x->w.s, NULL, id, x->w.now, &x->body) == 0)
		draw(t, " %.*s", STR_ARG(buf_str(&x->body)));
	draw(t, "\n");
	assert_int_not_equal(store_find(x->w.s, v.kind, v.ns, v.name), 0);
}

static void draw_all(struct picture *t, struct world *x)
{
	struct store_stats s;
	char uid[16];

	t->n = 0;
	for (int i = 0; i < UIDS; i++) {
		store_id id;

		(void)snprintf(uid, sizeof(uid), "uid-%d", i);
		id = store_by_uid(x->w.s, str_of(uid));
		if (id)
			draw_object(t, x, id);
	}
	store_stats(x->w.s, &s);
	draw(t, "%u live %u dead lag %d\n", s.objects, s.dead,
	     (int)!store_cursor_at_end(x->w.s, x->c));
}

/* What has failed for want of memory is done again with some. */
struct call {
	int i, uid, rv, value;
	bool keys, odd_rv;
};

static int apply(struct world *x, uint16_t source, const struct call *k)
{
	char json[700];
	struct arena a;
	struct tree *t;
	int r;

	(void)snprintf(
		json, sizeof(json),
		"{\"metadata\":{\"name\":\"name-%d\",\"namespace\":\"ns-%d\",\"uid\":\"uid-%d\","
		"\"resourceVersion\":\"%s%d\",\"labels\":{%s}},\"spec\":{\"value\":\"%d\"}}",
		k->i, k->i % 9, k->uid, k->odd_rv ? "v" : "", k->rv, k->keys ? "\"app\":\"x\"" : "",
		k->value);
	arena_init(&a, 1 << 16);
	r = tree_parse(&a, str_of(json), &t);
	if (r == 0)
		r = store_apply(x->w.s, source, x->w.now, t);
	arena_done(&a);
	return r;
}

static int careful(struct world *x, uint16_t source, const struct call *k, bool look)
{
	int r;

	if (look)
		draw_all(&x->before, x);
	r = apply(x, source, k);
	if (r == 0)
		return 0;
	assert_int_equal(r, -ENOMEM);
	if (look) {
		draw_all(&x->after, x);
		assert_string_equal(x->before.p, x->after.p);
	}
	return apply(x, source, k);
}

static int count(void *ctx, store_id id)
{
	(void)id;
	++*(int *)ctx;
	return 0;
}

static int look_up(struct world *x)
{
	const struct str key = STR("x");
	int n = 0, m = 0, r = store_lookup(x->w.s, x->w.kind, &key, 1, count, &n);
	struct store_view v;

	for (store_id id = 0; r == 0 && (id = store_next(x->w.s, x->w.kind, STR(""), id));) {
		assert_true(store_get(x->w.s, id, &v));
		buf_reset(&x->body);
		if (store_body(x->w.s, NULL, id, x->w.now, &x->body) == 0) {
			assert_int_equal(buf_append(&x->body, "", 1), 0);
			m += strstr(x->body.p, "\"app\"") != NULL;
		}
	}
	if (r == 0)
		assert_int_equal(n, m);
	return r;
}

static void pass_all(struct world *x, bool done)
{
	store_id id;

	while ((id = store_cursor_next(x->w.s, x->c)))
		if (done)
			store_cursor_done(x->w.s, x->c, id);
}

static int story(struct world *x, int n)
{
	bool look = n < 20;
	int r = 0;

	store_list_begin(x->w.s, x->w.source);
	for (int i = 0; r == 0 && i < n; i++)
		r = careful(x, x->w.source, &(struct call){i, i, 10 + i, i, i % 3 != 0, i % 4 == 1},
			    look);
	store_list_end(x->w.s, x->w.source, x->w.now);
	pass_all(x, false);
	for (int i = 0; r == 0 && i < n; i += 2) /* changes, also of keys */
		r = careful(x, i % 8 ? x->w.source : x->other,
			    &(struct call){i, i, 1000 + i, i + 1, i % 5 != 0, i % 6 == 0}, look);
	for (int i = 0; i < n; i += 3) {
		char name[32], ns[32];

		(void)snprintf(name, sizeof(name), "name-%d", i);
		(void)snprintf(ns, sizeof(ns), "ns-%d", i % 9);
		store_delete(x->w.s, x->w.source, str_of(ns), str_of(name), STR(""), x->w.now);
	}
	for (int i = 0; r == 0 && i < n; i += 6) /* back from the dead */
		r = careful(x, x->w.source, &(struct call){i, i, 2000 + i, i + 2, true, false},
			    look);
	for (int i = 1; r == 0 && i < n; i += 4) /* another one of that name */
		r = careful(x, x->w.source,
			    &(struct call){i, 350 + i, 3000 + i, i, true, i % 2 == 0}, false);
	if (r == 0)
		r = look_up(x);
	pass_all(x, true);
	return r;
}

struct plan {
	int n;
	bool known; /* the picture of a run with memory is there */
	struct picture good;
	struct buf body;
};

static int begin(struct world *x)
{
	static const struct str path = STR("metadata.labels.app");
	struct buf error = {.max = 4096};
	struct store_kind_opts o = {.version = STR("v1"),
				    .kind = STR("Thing"),
				    .plural = STR("things"),
				    .indexes = &path,
				    .n_indexes = 1};
	int r = store_new(&(struct store_opts){0}, &x->w.s);

	if (r == 0)
		r = store_kind_add(x->w.s, &o, &x->w.kind, &error);
	if (r == 0)
		r = store_source_add(x->w.s, x->w.kind, STR(""), &x->w.source);
	if (r == 0)
		r = store_source_add(x->w.s, x->w.kind, STR("other"), &x->other);
	if (r == 0)
		r = store_cursor_add(x->w.s, &(struct store_cursor_opts){0}, &x->c);
	if (r == 0)
		r = store_cursor_add(x->w.s, &(struct store_cursor_opts){.hold_initial = true},
				     &x->holds);
	buf_done(&error);
	return r;
}

static int run(void *ctx)
{
	static struct world x;
	struct plan *p = ctx;
	int r;

	x.w = (struct rig){.now = SEC};
	x.body = p->body;
	r = begin(&x);
	if (r == 0)
		r = story(&x, p->n);
	if (r == 0) {
		draw_all(&x.after, &x);
		if (p->known)
			assert_string_equal(p->good.p, x.after.p);
		else
			p->good = x.after;
		p->known = true;
	}
	store_free(&x.w.s);
	return r;
}

static void run_plan(struct plan *p)
{
	buf_init(&p->body, 1 << 20);
	assert_int_equal(buf_reserve(&p->body, 4096), 0);
	assert_int_equal(run(p), 0);
	assert_int_equal(torture_run(run, p), 0);
	buf_done(&p->body);
}

static void a_failed_call_changes_nothing(void **state)
{
	static struct plan p = {.n = 12};

	(void)state;
	run_plan(&p);
}

/* Enough for indexes to grow, and for a dictionary. */
static void a_larger_one_recovers(void **state)
{
	static struct plan p = {.n = 80};

	(void)state;
	run_plan(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_failed_call_changes_nothing),
		cmocka_unit_test(a_larger_one_recovers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
