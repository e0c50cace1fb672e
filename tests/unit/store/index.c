/*
 * Look-up by keys: no duplicates, no leftovers, no mistaking of one key's end.
 */
#include "tests/unit/store/rig.h"

static const struct str paths[] = {STR(".metadata.labels['app']"), STR("$.spec.class")};

struct names {
	size_t n;
	char p[4096];
};

static int add_name(void *ctx, store_id id)
{
	struct names *names = ctx;
	(void)id;
	names->n++;
	return 0;
}

static struct rig *current; /* whose views are written */

static int write_name(void *ctx, store_id id)
{
	struct names *t = ctx;
	struct store_view v;

	assert_true(store_get(current->s, id, &v));
	t->n += (size_t)snprintf(t->p + t->n, sizeof(t->p) - t->n, "%.*s/%.*s ", STR_ARG(v.ns),
				 STR_ARG(v.name));
	return 0;
}

static void start(struct rig *w)
{
	*w = (struct rig){.now = SEC};
	current = w;
	assert_int_equal(store_new(&(struct store_opts){0}, &w->s), 0);
	w->kind = rig_kind_with(w, "things", STORE_MEMORY, paths, 2);
	assert_int_equal(store_source_add(w->s, w->kind, STR(""), &w->source), 0);
}

static void put(struct rig *w, const char *ns, const char *name, const char *app, const char *class)
{
	static int rv = 10;
	char json[512], label[64] = "", member[64] = "";

	if (app)
		(void)snprintf(label, sizeof(label), ",\"labels\":{\"app\":%s}", app);
	if (class)
		(void)snprintf(member, sizeof(member), "\"class\":%s", class);
	(void)snprintf(json, sizeof(json),
		       "{\"metadata\":{\"name\":\"%s\",\"namespace\":\"%s\",\"uid\":\"%s-%s\","
		       "\"resourceVersion\":\"%d\"%s},\"spec\":{%s}}",
		       name, ns, ns, name, ++rv, label, member);
	assert_int_equal(rig_apply_json(w, w->source, str_of(json)), 0);
}

static const char *look_up(struct rig *w, const char *app, const char *class)
{
	static struct names t;
	struct str keys[] = {str_of(app), str_of(class)};

	t.n = 0;
	t.p[0] = '\0';
	assert_int_equal(store_lookup(w->s, w->kind, keys, class ? 2 : 1, write_name, &t), 0);
	return t.p;
}

static void by_prefix_and_in_order(void **state)
{
	struct rig w;

	(void)state;
	start(&w);
	put(&w, "b", "one", "\"x\"", "\"c\"");
	put(&w, "a", "two", "\"x\"", "\"c\"");
	put(&w, "a", "one", "\"x\"", "\"d\"");
	put(&w, "a", "three", "\"y\"", "\"c\"");
	assert_string_equal(look_up(&w, "x", NULL), "a/one a/two b/one ");
	assert_string_equal(look_up(&w, "x", "c"), "a/two b/one ");
	assert_string_equal(look_up(&w, "y", "c"), "a/three ");
	assert_string_equal(look_up(&w, "c", NULL), "");
	assert_string_equal(look_up(&w, "", NULL), "");
	store_free(&w.s);
}

static void a_slash_is_a_character(void **state)
{
	struct rig w;

	(void)state;
	start(&w);
	put(&w, "a", "one", "\"x/y\"", "\"z\"");
	put(&w, "a", "two", "\"x\"", "\"y/z\"");
	put(&w, "a", "nul", "\"x\\u0000\"", "\"y\"");
	assert_string_equal(look_up(&w, "x/y", "z"), "a/one ");
	assert_string_equal(look_up(&w, "x", "y/z"), "a/two ");
	assert_string_equal(look_up(&w, "x", NULL), "a/two ");
	store_free(&w.s);
}

/* S5 kept an object under its old key, and a repeated add twice. */
static void keys_follow_the_object(void **state)
{
	struct rig w;

	(void)state;
	start(&w);
	for (int i = 0; i < 3; i++)
		put(&w, "a", "one", "\"x\"", "\"c\"");
	assert_string_equal(look_up(&w, "x", NULL), "a/one ");
	put(&w, "a", "one", "\"x\"", "\"d\"");
	assert_string_equal(look_up(&w, "x", "c"), "");
	assert_string_equal(look_up(&w, "x", "d"), "a/one ");
	assert_string_equal(look_up(&w, "x", NULL), "a/one ");
	put(&w, "a", "one", "\"y\"", "\"d\"");
	assert_string_equal(look_up(&w, "x", NULL), "");
	assert_string_equal(look_up(&w, "y", "d"), "a/one ");
	put(&w, "a", "one", "\"y\"", NULL);
	assert_string_equal(look_up(&w, "y", NULL), "");
	assert_int_not_equal(store_find(w.s, w.kind, STR("a"), STR("one")), 0);
	put(&w, "a", "one", "\"y\"", "\"e\"");
	assert_string_equal(look_up(&w, "y", "e"), "a/one ");
	store_free(&w.s);
}

/* S5 deleted every object that shared the keys. */
static void a_delete_takes_exactly_one(void **state)
{
	struct rig w;

	(void)state;
	start(&w);
	(void)rig_cursor(&w, NULL); /* the tombstone stays */
	put(&w, "a", "one", "\"x\"", "\"c\"");
	put(&w, "a", "two", "\"x\"", "\"c\"");
	put(&w, "b", "one", "\"x\"", "\"c\"");
	rig_delete(&w, "one");
	assert_string_equal(look_up(&w, "x", "c"), "a/two b/one ");
	put(&w, "a", "one", "\"x\"", "\"c\"");
	assert_string_equal(look_up(&w, "x", "c"), "a/one a/two b/one ");
	store_list_begin(w.s, w.source);
	put(&w, "a", "two", "\"x\"", "\"c\"");
	store_list_end(w.s, w.source, w.now);
	assert_string_equal(look_up(&w, "x", "c"), "a/two ");
	store_free(&w.s);
}

static void values_that_are_no_text(void **state)
{
	struct store_stats stats;
	struct rig w;

	(void)state;
	start(&w);
	put(&w, "a", "number", "\"x\"", "8080");
	put(&w, "a", "yes", "\"x\"", "true");
	put(&w, "a", "no", "\"x\"", "false");
	put(&w, "a", "null", "\"x\"", "null");
	put(&w, "a", "list", "\"x\"", "[\"c\"]");
	put(&w, "a", "none", "\"x\"", NULL);
	put(&w, "a", "empty", "\"x\"", "\"\"");
	assert_string_equal(look_up(&w, "x", "8080"), "a/number ");
	assert_string_equal(look_up(&w, "x", "true"), "a/yes ");
	assert_string_equal(look_up(&w, "x", "false"), "a/no ");
	assert_string_equal(look_up(&w, "x", ""), "a/empty ");
	assert_string_equal(look_up(&w, "x", NULL), "a/empty a/no a/number a/yes ");
	assert_true(store_kind_stats(w.s, w.kind, &stats));
	assert_int_equal(stats.unindexed, 3);
	assert_int_equal(stats.objects, 7);
	store_free(&w.s);
}

static int stop_at_second(void *ctx, store_id id)
{
	(void)id;
	return ++*(int *)ctx == 2 ? 42 : 0;
}

static void wrong_questions(void **state)
{
	const struct str keys[] = {STR("x"), STR("c"), STR("d")};
	struct names names = {0};
	struct rig w;
	int n = 0;

	(void)state;
	start(&w);
	put(&w, "a", "one", "\"x\"", "\"c\"");
	put(&w, "a", "two", "\"x\"", "\"c\"");
	put(&w, "b", "one", "\"x\"", "\"c\"");
	assert_int_equal(store_lookup(w.s, w.kind, keys, 0, add_name, &names), -EINVAL);
	assert_int_equal(store_lookup(w.s, w.kind, keys, 3, add_name, &names), -EINVAL);
	assert_int_equal(store_lookup(w.s, 0, keys, 1, add_name, &names), -EINVAL);
	assert_int_equal(store_lookup(w.s, 7, keys, 1, add_name, &names), -EINVAL);
	assert_int_equal(names.n, 0);
	assert_int_equal(store_lookup(w.s, w.kind, keys, 2, stop_at_second, &n), 42);
	assert_int_equal(n, 2);
	store_free(&w.s);
}

static void a_bad_expression_is_named(void **state)
{
	static const struct str bad[] = {STR("metadata.name"), STR("spec[")};
	_buf_ struct buf error = {.max = 4096};
	struct store_kind_opts o = {.version = STR("v1"),
				    .kind = STR("Pod"),
				    .plural = STR("pods"),
				    .indexes = bad,
				    .n_indexes = 2};
	struct rig w;
	store_kind k = 0;

	(void)state;
	start(&w);
	assert_int_equal(store_kind_add(w.s, &o, &k, &error), -EINVAL);
	assert_int_equal(buf_append(&error, "", 1), 0);
	assert_non_null(strstr(error.p, "spec["));
	assert_int_equal(store_kind_find(w.s, STR("pods")), 0);
	o.n_indexes = STORE_MAX_INDEXES + 1;
	buf_reset(&error);
	assert_int_equal(store_kind_add(w.s, &o, &k, &error), -EINVAL);
	assert_true(buf_str(&error).n > 0);
	store_free(&w.s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_prefix_and_in_order),
		cmocka_unit_test(a_slash_is_a_character),
		cmocka_unit_test(keys_follow_the_object),
		cmocka_unit_test(a_delete_takes_exactly_one),
		cmocka_unit_test(values_that_are_no_text),
		cmocka_unit_test(wrong_questions),
		cmocka_unit_test(a_bad_expression_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
