/*
 * Leases written to kube-replay, with the API server's rules of resourceVersion.
 */
#include "tests/unit/kube-replay/client.h"

#include <jansson.h>

#define ALL "/apis/coordination.k8s.io/v1/namespaces/obs/leases"
#define ONE ALL "/kindred"

static struct replay r;

static int begin(void **state)
{
	const char *none[] = {NULL};

	(void)state;
	start(&r, DIR, none);
	return 0;
}

static int end(void **state)
{
	(void)state;
	stop(&r);
	return 0;
}

/* The status, and the Lease of the answer. */
static int say(const char *method, const char *target, const char *data, json_t **ret)
{
	struct answer a;
	json_t *o;

	ask_with(&r, method, target, "application/json", data, &a);
	o = json_loadb(a.body.p ? a.body.p : "", a.body.n, 0, NULL);
	answer_done(&a);
	if (ret)
		*ret = o;
	else
		json_decref(o);
	return a.status;
}

static const char *text(const char *holder, const char *version, char ret[512])
{
	(void)snprintf(ret, 512,
		       "{\"apiVersion\":\"coordination.k8s.io/v1\",\"kind\":\"Lease\",\"metadata\":"
		       "{\"name\":\"kindred\",\"namespace\":\"obs\"%s%s%s},\"spec\":{"
		       "\"holderIdentity\":\"%s\"}}",
		       *version ? ",\"resourceVersion\":\"" : "", version, *version ? "\"" : "",
		       holder);
	return ret;
}

static const char *version_of(const json_t *o)
{
	return json_string_value(
		json_object_get(json_object_get(o, "metadata"), "resourceVersion"));
}

static void only_the_latest_version_is_replaced(void **state)
{
	json_t *first = NULL, *second = NULL, *now = NULL;
	char data[512];

	(void)state;
	assert_int_equal(say("GET", ONE, "", NULL), 404);
	assert_int_equal(say("POST", ALL, text("a", "", data), &first), 201);
	assert_int_equal(say("POST", ALL, text("b", "", data), NULL), 409);
	assert_int_equal(say("PUT", ONE, text("b", "", data), NULL), 422);
	assert_int_equal(say("PUT", ONE, text("b", version_of(first), data), &second), 200);
	assert_string_not_equal(version_of(first), version_of(second));
	assert_int_equal(say("PUT", ONE, text("c", version_of(first), data), NULL), 409);
	assert_int_equal(say("GET", ONE, "", &now), 200);
	assert_string_equal(version_of(now), version_of(second));
	json_decref(first);
	json_decref(second);
	json_decref(now);
}

static void every_try_is_remembered(void **state)
{
	static const int expected[] = {201, 409, 422, 200, 409};
	json_t *all = NULL, *tries, *one;
	size_t i;

	(void)state;
	assert_int_equal(say("GET", "/replay/state", "", &all), 200);
	tries = json_object_get(all, "leases");
	assert_int_equal(json_array_size(tries), 5);
	json_array_foreach(tries, i, one)
	{
		assert_int_equal(json_integer_value(json_object_get(one, "status")), expected[i]);
	}
	json_decref(all);
}

/* It was done, and nobody heard of it. */
static void an_answer_may_be_lost(void **state)
{
	json_t *before = NULL, *after = NULL;
	char data[512];

	(void)state;
	assert_int_equal(say("GET", ONE, "", &before), 200);
	assert_int_equal(say("POST", "/replay/fault?set=500-written", "", NULL), 200);
	assert_int_equal(say("PUT", ONE, text("d", version_of(before), data), NULL), 500);
	assert_int_equal(say("POST", "/replay/fault?set=500-write", "", NULL), 200);
	assert_int_equal(say("PUT", ONE, text("e", version_of(before), data), NULL), 500);
	assert_int_equal(say("POST", "/replay/fault?clear=1", "", NULL), 200);
	assert_int_equal(say("GET", ONE, "", &after), 200);
	assert_string_equal(json_string_value(json_object_get(json_object_get(after, "spec"),
							      "holderIdentity")),
			    "d");
	json_decref(before);
	json_decref(after);
}

static void nothing_else_is_written(void **state)
{
	char data[512];

	(void)state;
	(void)text("a", "", data);
	assert_int_equal(say("POST", "/api/v1/pods", data, NULL), 405);
	assert_int_equal(say("PUT", "/api/v1/namespaces/a/pods/b", data, NULL), 405);
	assert_int_equal(say("DELETE", ONE, "", NULL), 405);
	assert_int_equal(say("PUT", ALL "/other", data, NULL), 400);
	assert_int_equal(say("POST", ALL, "{", NULL), 400);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_the_latest_version_is_replaced),
		cmocka_unit_test(every_try_is_remembered),
		cmocka_unit_test(an_answer_may_be_lost),
		cmocka_unit_test(nothing_else_is_written),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
