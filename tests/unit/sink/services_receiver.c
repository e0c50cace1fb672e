/* S2's payload, to a strict stand-in of cluster-whisperer's receiver. */
#include "tests/unit/sink/services_rig.h"

#define SYNC "/api/v1/instances/sync"

static int setup(void **state)
{
	static struct rig r;

	rig_loop(&r);
	*state = &r;
	if (!fake_possible())
		return 0;
	rig_fake(&r, "whisperer.py", NULL);
	rig_backend(&r, "http", SYNC, (struct backend_opts){0});
	return 0;
}

static int teardown(void **state)
{
	rig_done(*state);
	return 0;
}

#define NEEDS_FAKE(r)                     \
	do {                              \
		if (!(r)->fake.folder[0]) \
			skip();           \
	} while (0)

static void docs(struct rig *r, uint32_t n)
{
	rig_docs(r, n);
	for (uint32_t i = 0; i < n; i++)
		r->bdocs[i].vector = NULL; /* it embeds by itself */
}

static void test_sync(void **state)
{
	static const char want[] =
		"{\"id\":\"_cluster/v1/Namespace/"
		"name-1\",\"namespace\":\"_cluster\",\"name\":\"name-1\","
		"\"kind\":\"Namespace\",\"apiVersion\":\"v1\",\"apiGroup\":\"\",\"labels\":{},"
		"\"annotations\":{\"a/description\":\"it's \\\"quoted\\\"\"},"
		"\"createdAt\":\"1970-01-01T00:00:00Z\"}";
	struct rig *r = *state;
	json_t *dump, *labels, *expected = json_loads(want, 0, NULL);

	NEEDS_FAKE(r);
	assert_true(r->b->own_vectors);
	assert_null(r->b->ops->list);
	assert_null(r->b->ops->search);
	assert_null(r->b->ops->payload);
	assert_string_equal(r->b->name + strlen(r->b->name) - strlen(SYNC), SYNC);
	docs(r, 20);
	(void)snprintf(r->ids[1], sizeof(r->ids[1]), "_cluster/v1/Namespace/name-1");
	r->docs[1].id = str_of(r->ids[1]);
	r->docs[1].fields[DOC_NAMESPACE] = (struct str){0};
	r->docs[1].fields[DOC_KIND] = STR("Namespace");
	r->docs[1].fields[DOC_API_VERSION] = STR("v1");
	r->docs[1].fields[DOC_API_GROUP] = (struct str){0};
	r->docs[1].fields[DOC_LABELS] = (struct str){0};
	r->docs[1].fields[DOC_CREATED_AT] = (struct str){0};
	r->docs[1].annotations = STR("{\"a/description\":\"it's \\\"quoted\\\"\"}");
	rig_expect(r, rig_ensure(r), VECTOR_OK, "");
	rig_expect(r, rig_upsert(r, 0, 20), VECTOR_OK, "");
	dump = fake_ask(&r->fake, "GET", "/_fake/dump", NULL);
	assert_int_equal(json_object_size(dump), 20);
	assert_true(json_equal(json_object_get(dump, r->ids[1]), expected));
	labels = json_object_get(json_object_get(dump, r->ids[2]), "labels");
	assert_int_equal(json_object_size(labels), 2);
	assert_string_equal(json_string_value(json_object_get(labels, "tier")), "front");
	json_decref(dump);
	json_decref(expected);
	rig_expect(r, rig_remove(r, 0, 15), VECTOR_OK, "");
	dump = fake_ask(&r->fake, "GET", "/_fake/dump", NULL);
	assert_int_equal(json_object_size(dump), 5);
	json_decref(dump);
	assert_int_equal(fake_requests(&r->fake), 3); /* deletes are batched, too */
	assert_int_equal(fake_complaints(&r->fake), 0);
}

/* A body over the receiver's limit is never sent. */
static void test_limit(void **state)
{
	struct rig *r = *state;
	_free_ char *big = malloc(200000);

	NEEDS_FAKE(r);
	assert_non_null(big);
	docs(r, 30);
	memset(big, 'x', 200000);
	memcpy(big, "{\"a\":\"", 6);
	memcpy(big + 200000 - 2, "\"}", 2);
	for (uint32_t i = 0; i < 30; i++)
		r->docs[i].annotations = str_make(big, 200000);
	assert_int_equal(r->b->ops->upsert(r->b, r->bdocs, 30, rig_on_done, r), -EMSGSIZE);
	assert_int_equal(fake_requests(&r->fake), 0);
	rig_expect(r, rig_upsert(r, 0, 15), VECTOR_OK, "");
	rig_expect(r, rig_upsert(r, 15, 15), VECTOR_OK, "");
	r->b->max_batch = 10;
	assert_int_equal(r->b->ops->upsert(r->b, r->bdocs, 11, rig_on_done, r), -EMSGSIZE);
	assert_int_equal(fake_complaints(&r->fake), 0);
}

static void test_failures(void **state)
{
	static const struct {
		const char *fault;
		enum vector_outcome how;
		const char *words;
	} cases[] = {
		{"{\"status\":400,\"body\":{\"error\":\"Invalid payload\",\"details\":[\"x\"]}}",
		 VECTOR_SPLIT, "sync: answered 400: Invalid payload"},
		{"{\"status\":413,\"body\":{\"error\":\"Payload too large\"}}", VECTOR_SPLIT,
		 "413: Payload too large"},
		{"{\"status\":429,\"body\":{\"error\":\"busy\"}}", VECTOR_RETRY, "429: busy"},
		{"{\"status\":500,\"body\":{\"error\":\"db\"}}", VECTOR_RETRY, "500: db"},
		{"{\"status\":404}", VECTOR_REFUSED, "answered 404"},
		{"{\"status\":401,\"body\":\"no\"}", VECTOR_REFUSED, "answered 401: no"},
		{"{\"status\":200,\"body\":\"<html>\"}", VECTOR_RETRY, "no JSON (6 bytes): <html>"},
		{"{\"wrong\":\"later\"}", VECTOR_RETRY, "sync: answered 200 without status \"ok\""},
		{"{\"wrong\":\"list\"}", VECTOR_RETRY, "without status \"ok\""},
		{"{\"half\":true}", VECTOR_RETRY, "sync: "},
		{"{\"reset\":true,\"times\":2}", VECTOR_RETRY, "sync: "},
	};
	struct rig *r = *state;

	NEEDS_FAKE(r);
	docs(r, 4);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		fake_fault(&r->fake, cases[i].fault);
		rig_expect(r, rig_upsert(r, 0, 4), cases[i].how, cases[i].words);
		rig_expect(r, rig_upsert(r, 0, 4), VECTOR_OK, "");
	}
	fake_fault(&r->fake, "{\"hang\":true}");
	assert_int_equal(r->b->ops->remove(r->b, &r->docs[0].id, 1, rig_on_done, r), 0);
	assert_int_equal(r->b->ops->upsert(r->b, r->bdocs, 1, rig_on_done, r), -EBUSY);
	assert_int_equal(r->b->ops->health(r->b, rig_on_done, r), -EBUSY);
	fake_wait_taken(&r->fake);
	r->b->ops->cancel(r->b);
	probe_turn(r->base, 20);
	assert_false(r->ended);
	rig_expect(r, rig_upsert(r, 0, 4), VECTOR_OK, "");
	assert_int_equal(fake_complaints(&r->fake), 0);
}

static void test_health(void **state)
{
	struct rig *r = *state;

	NEEDS_FAKE(r);
	rig_expect(r, rig_health(r), VECTOR_OK, "");
	fake_tell(&r->fake, "/_fake/set", "{\"ready\":false}");
	rig_expect(r, rig_health(r), VECTOR_RETRY, "health: answered 503: starting");
	rig_expect(r, rig_ensure(r), VECTOR_RETRY, "health: answered 503: starting");
	fake_fault(&r->fake, "{\"status\":404}");
	rig_expect(r, rig_health(r), VECTOR_OK, "");
	fake_fault(&r->fake, "{\"status\":403}");
	rig_expect(r, rig_health(r), VECTOR_REFUSED, "health: answered 403");
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_sync),
		TEST(test_limit),
		TEST(test_failures),
		TEST(test_health),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
