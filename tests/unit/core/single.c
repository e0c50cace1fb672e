/* One object watched by itself: what is told, when, and what is not. */
#include "core/single.h"

#include "base/mem.h"
#include "tests/lib/torture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SEC NSEC_PER_SEC

struct world {
	struct single *single;
	nsec_t now;
	unsigned told, firsts, gone;
	char value[64];
};

static void on_changed(void *ctx, const struct tree *o, bool first)
{
	struct world *w = ctx;

	w->told++;
	w->firsts += first;
	w->gone += !o;
	(void)snprintf(w->value, sizeof(w->value), "%.*s", STR_ARG(tree_text_at(o, "data.k")));
}

static int start(struct world *w)
{
	const struct single_opts o = {.path = STR("/api/v1/namespaces/shop/configmaps"),
				      .name = STR("mine"),
				      .watch = {.no_streaming = true},
				      .changed = on_changed,
				      .ctx = w};

	*w = (struct world){.now = 10 * SEC};
	return single_new(&o, &w->single);
}

static struct reflector_request request(struct world *w)
{
	struct reflector *r = single_reflector(w->single);
	struct reflector_request req = {0};
	nsec_t at;

	for (int i = 0; i < 100; i++) {
		enum reflector_action a = reflector_poll(r, w->now, &req, &at);

		if (a == REFLECTOR_START)
			break;
		w->now = a == REFLECTOR_NONE && at != NSEC_NEVER ? MAX(w->now, at) : w->now;
	}
	return req;
}

#define OBJECT(name, rv, value)                                                        \
	"{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"" name \
	"\",\"uid\":\"u\",\"resourceVersion\":\"" rv "\"},\"data\":{\"k\":\"" value "\"}}"

static void list(struct world *w, const char *items)
{
	struct reflector *r = single_reflector(w->single);
	char body[1000];

	assert_non_null(strstr(request(w).target, "fieldSelector=metadata.name%3Dmine"));
	(void)snprintf(body, sizeof(body),
		       "{\"kind\":\"ConfigMapList\",\"apiVersion\":\"v1\",\"metadata\":{"
		       "\"resourceVersion\":\"50\"},\"items\":[%s]}",
		       items);
	assert_int_equal(reflector_response(r, w->now, 200, STR("application/json"), 0), 0);
	assert_int_equal(reflector_data(r, w->now, body, strlen(body)), 0);
	reflector_end(r, w->now, REFLECTOR_END_CLEAN, NULL);
}

static void watch(struct world *w)
{
	assert_non_null(strstr(request(w).target, "watch=1"));
	assert_int_equal(reflector_response(single_reflector(w->single), w->now, 200,
					    STR("application/json"), 0),
			 0);
}

static void event(struct world *w, const char *type, const char *object)
{
	char body[1000];

	(void)snprintf(body, sizeof(body), "{\"type\":\"%s\",\"object\":%s}\n", type, object);
	assert_int_equal(reflector_data(single_reflector(w->single), w->now, body, strlen(body)),
			 0);
}

static void what_is_told(void **state)
{
	struct world w;

	(void)state;
	assert_int_equal(start(&w), 0);
	list(&w, OBJECT("mine", "5", "a"));
	assert_int_equal(w.told, 1);
	assert_int_equal(w.firsts, 1);
	assert_string_equal(w.value, "a");
	watch(&w);
	event(&w, "MODIFIED", OBJECT("mine", "5", "a")); /* the version that is known */
	event(&w, "MODIFIED", OBJECT("other", "6", "x"));
	assert_int_equal(w.told, 1);
	event(&w, "MODIFIED", OBJECT("mine", "51", "b"));
	assert_int_equal(w.told, 2);
	assert_string_equal(w.value, "b");
	event(&w, "DELETED", OBJECT("mine", "52", "b"));
	assert_int_equal(w.gone, 1);
	event(&w, "ADDED", OBJECT("mine", "53", "c"));
	assert_string_equal(w.value, "c");
	assert_int_equal(w.firsts, 1);
	assert_int_equal(w.told, 4);
	/* A list of the same tells nothing, one without it that it is gone. */
	reflector_relist(single_reflector(w.single), w.now);
	list(&w, OBJECT("mine", "53", "c"));
	assert_int_equal(w.told, 4);
	reflector_relist(single_reflector(w.single), w.now);
	list(&w, "");
	assert_int_equal(w.told, 5);
	assert_int_equal(w.gone, 2);
	single_free(&w.single);
}

static void nothing_there(void **state)
{
	struct world w;

	(void)state;
	assert_int_equal(start(&w), 0);
	list(&w, "");
	assert_int_equal(w.told, 1);
	assert_int_equal(w.gone, 1);
	assert_int_equal(w.firsts, 1);
	watch(&w);
	event(&w, "ADDED", OBJECT("mine", "60", "a"));
	assert_int_equal(w.told, 2);
	assert_string_equal(w.value, "a");
	single_free(&w.single);
	single_free(&w.single);
}

static int made(void *ctx)
{
	struct world w;
	int r = start(&w);

	(void)ctx;
	if (r == 0)
		single_free(&w.single);
	return r;
}

static void without_memory(void **state)
{
	(void)state;
	assert_int_equal(torture_run(made, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_told),
		cmocka_unit_test(nothing_there),
		cmocka_unit_test(without_memory),
	};

	return cmocka_run_group_tests_name("core/single", tests, NULL, NULL);
}
