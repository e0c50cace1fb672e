/* What scopes watch, how paths are cut and written, and what texts may say. */
#include "kube/watchset.h"

#include "kube/redact.h"
#include "kube/target.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

static void node_scope(void **state)
{
	struct watchset w;

	(void)state;
	assert_int_equal(watchset_make(&(struct watchset_opts){.node_name = "node-1.example",
							       .label_selector = "app=a"},
				       &w),
			 0);
	assert_int_equal(w.n, 1);
	assert_string_equal(w.specs[0].path, "/api/v1/pods");
	assert_string_equal(w.specs[0].field_selector, "spec.nodeName=node-1.example");
	assert_string_equal(w.specs[0].label_selector, "app=a");
	assert_true(w.specs[0].list_from_cache);
	assert_int_equal(w.specs[0].shape, SHAPE_POD);
	watchset_done(&w);
}

static void cluster_scope(void **state)
{
	struct watchset w;

	(void)state;
	assert_int_equal(watchset_make(&(struct watchset_opts){.label_selector = "app=a"}, &w), 0);
	assert_int_equal(w.n, 3);
	assert_string_equal(w.specs[1].path, "/apis/apps/v1/replicasets");
	assert_string_equal(w.specs[2].path, "/apis/batch/v1/jobs");
	assert_true(w.specs[1].metadata_only && w.specs[2].metadata_only);
	assert_false(w.specs[0].metadata_only);
	assert_null(w.specs[0].field_selector);
	/* A ReplicaSet does not carry its pods' labels. */
	assert_non_null(w.specs[0].label_selector);
	assert_null(w.specs[1].label_selector);
	watchset_done(&w);
}

static void namespaces(void **state)
{
	const struct str ns[] = {STR("shop"), STR("web"), STR("shop")};
	struct watchset w;

	(void)state;
	assert_int_equal(
		watchset_make(&(struct watchset_opts){.namespaces = ns, .n_namespaces = 3}, &w), 0);
	assert_int_equal(w.n, 6);
	assert_string_equal(w.specs[1].path, "/api/v1/namespaces/web/pods");
	assert_string_equal(w.specs[1].ns, "web");
	assert_string_equal(w.specs[2].path, "/apis/apps/v1/namespaces/shop/replicasets");
	watchset_done(&w);
}

/* Services and Nodes, for the addresses; never in node scope. */
static void places(void **state)
{
	const struct str ns[] = {STR("shop"), STR("web")};
	struct watchset w;

	(void)state;
	assert_int_equal(watchset_make(&(struct watchset_opts){.places = true}, &w), 0);
	assert_int_equal(w.n, 5);
	assert_string_equal(w.specs[3].path, "/api/v1/services");
	assert_string_equal(w.specs[4].path, "/api/v1/nodes");
	assert_int_equal(w.specs[3].shape, SHAPE_SERVICE);
	assert_int_equal(w.specs[4].shape, SHAPE_NODE);
	assert_false(w.specs[3].metadata_only || w.specs[4].metadata_only);
	watchset_done(&w);
	assert_int_equal(watchset_make(&(struct watchset_opts){.places = true,
							       .label_selector = "app=a",
							       .namespaces = ns,
							       .n_namespaces = 2},
				       &w),
			 0);
	assert_int_equal(w.n, 9);
	assert_string_equal(w.specs[7].path, "/api/v1/namespaces/web/services");
	assert_null(w.specs[7].label_selector);
	assert_string_equal(w.specs[8].path, "/api/v1/nodes");
	assert_null(w.specs[8].ns);
	watchset_done(&w);
	assert_int_equal(
		watchset_make(&(struct watchset_opts){.node_name = "a", .places = true}, &w), 0);
	assert_int_equal(w.n, 1);
	watchset_done(&w);
}

static void bad_scopes(void **state)
{
	static struct str many[2000];
	const struct str bad[] = {STR("a/b"), STR(""), STR("A"), STR("a%2e"), STR("a b")};
	struct watchset w = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(watchset_make(&(struct watchset_opts){.namespaces = &bad[i],
								       .n_namespaces = 1},
					       &w),
				 -EINVAL);
	assert_int_equal(watchset_make(&(struct watchset_opts){.node_name = ""}, &w), -EINVAL);
	for (size_t i = 0; i < 2000; i++)
		many[i] = STR("a");
	assert_int_equal(
		watchset_make(&(struct watchset_opts){.namespaces = many, .n_namespaces = 2000},
			      &w),
		-EMSGSIZE);
	assert_null(w.specs);
	watchset_done(&w);
}

static void paths_are_split(void **state)
{
	static const struct {
		const char *path, *group, *ns, *resource; /* resource NULL: no collection */
	} cases[] = {
		{"/api/v1/pods", "", "", "pods"},
		{"/api/v1/namespaces/shop/pods", "", "shop", "pods"},
		{"/api/v1/namespaces", "", "", "namespaces"},
		{"/apis/apps/v1/replicasets", "apps", "", "replicasets"},
		{"/apis/apps/v1/namespaces/x/jobs", "apps", "x", "jobs"},
		{"/api/v1/namespaces/shop/pods/a", NULL, NULL, NULL},
		{"/api/v1", NULL, NULL, NULL},
		{"/healthz", NULL, NULL, NULL},
		{"", NULL, NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct target_parts t;

		assert_int_equal(target_split(str_of(cases[i].path), &t),
				 cases[i].resource != NULL);
		if (!cases[i].resource)
			continue;
		assert_true(str_eq(t.group, str_of(cases[i].group)));
		assert_true(str_eq(t.ns, str_of(cases[i].ns)));
		assert_true(str_eq(t.resource, str_of(cases[i].resource)));
	}
}

static void parameters_are_escaped(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 64);
	assert_int_equal(buf_append_str(&b, STR("/p")), 0);
	assert_int_equal(target_param(&b, "a", STR("x=1&y/\n")), 0);
	assert_int_equal(target_param(&b, "b", STR("-._~")), 0);
	assert_true(str_eq(buf_str(&b), STR("/p?a=x%3D1%26y%2F%0A&b=-._~")));
	assert_int_equal(target_param(&b, "c", str_make("                    ", 20)), -EMSGSIZE);
	buf_done(&b);
}

static void texts_are_made_fit(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{"one\r\n two\t\x01three", "one two three"},
		{"Authorization: Bearer abc.def", "Authorization: Bearer [redacted]"},
		{"authorization:basic  dXNlcg== next", "authorization:basic [redacted] next"},
		{"token=eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ", "token=[redacted]"},
		{"eyJ is short", "eyJ is short"},
		{"", ""},
		{"   ", ""},
	};
	char text[64], small[8];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		redact_text(text, sizeof(text), str_of(cases[i].in));
		assert_string_equal(text, cases[i].out);
	}
	redact_text(small, sizeof(small), STR("abcdef\xc3\xa4\xc3\xa4"));
	assert_string_equal(small, "abcdef"); /* no half character */
	redact_text(small, sizeof(small), STR("abcde\xc3\xa4\xc3\xa4"));
	assert_string_equal(small, "abcde\xc3\xa4");
	redact_text(small, 1, STR("abc"));
	assert_string_equal(small, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(node_scope),
		cmocka_unit_test(cluster_scope),
		cmocka_unit_test(namespaces),
		cmocka_unit_test(places),
		cmocka_unit_test(bad_scopes),
		cmocka_unit_test(paths_are_split),
		cmocka_unit_test(parameters_are_escaped),
		cmocka_unit_test(texts_are_made_fit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
