/* The Qdrant client against a strict stand-in; every answer the contract knows. */
#include "tests/unit/sink/services_rig.h"

static int setup(void **state)
{
	static struct rig r;

	rig_loop(&r);
	*state = &r;
	if (!fake_possible())
		return 0;
	rig_fake(&r, "qdrant.py", NULL);
	rig_backend(&r, "qdrant", "", (struct backend_opts){0});
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

static json_t *collection(struct rig *r)
{
	json_t *dump = fake_ask(&r->fake, "GET", "/_fake/dump", NULL), *c;

	c = json_incref(json_object_get(dump, "kindred"));
	json_decref(dump);
	return c;
}

static size_t points(struct rig *r)
{
	json_t *c = collection(r);
	size_t n = json_object_size(json_object_get(c, "points"));

	json_decref(c);
	return n;
}

static void load(struct rig *r, uint32_t n)
{
	rig_docs(r, n);
	rig_expect(r, rig_ensure(r), VECTOR_OK, "");
	rig_expect(r, rig_upsert(r, 0, n), VECTOR_OK, "");
}

static void test_ensure(void **state)
{
	struct rig *r = *state;
	json_t *c;

	NEEDS_FAKE(r);
	assert_string_equal(r->b->name + strlen(r->b->name) - 8, "/kindred");
	rig_expect(r, rig_ensure(r), VECTOR_OK, "");
	c = collection(r);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(c, "vectors"), "size")),
			 RIG_DIM);
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(c, "vectors"), "distance")),
		"Cosine");
	assert_int_equal(json_object_size(json_object_get(c, "schema")), 7);
	json_decref(c);
	assert_int_equal(fake_requests(&r->fake), 10); /* look, create, look, 7 indexes */
	rig_expect(r, rig_ensure(r), VECTOR_OK, "");
	assert_int_equal(fake_requests(&r->fake), 12); /* look, check of points */
	assert_int_equal(fake_complaints(&r->fake), 0);
}

static void test_write(void **state)
{
	struct rig *r = *state;
	json_t *c, *p;
	char before[64];

	NEEDS_FAKE(r);
	load(r, 20);
	assert_int_equal(points(r), 20);
	rig_expect(r, rig_upsert(r, 3, 5), VECTOR_OK, "");
	assert_int_equal(points(r), 20);
	rig_expect(r, rig_remove(r, 0, 5), VECTOR_OK, "");
	assert_int_equal(points(r), 15);
	rig_expect(r, rig_remove(r, 0, 6), VECTOR_OK, ""); /* five are not there */
	assert_int_equal(points(r), 14);

	/* Metadata alone: the vector stays, what is empty now is null. */
	r->docs[7].fields[DOC_LABELS] = (struct str){0};
	r->docs[7].fields[DOC_PHASE] = STR("Running");
	r->bdocs[7].vector = NULL;
	rig_expect(r, rig_payload(r, 7, 3), VECTOR_OK, "");
	c = collection(r);
	p = json_object_get(json_object_get(c, "points"), r->docs[7].uuid);
	assert_non_null(json_object_get(p, "vector"));
	p = json_object_get(p, "payload");
	assert_true(json_is_null(json_object_get(p, "labels")));
	assert_string_equal(json_string_value(json_object_get(p, "phase")), "Running");
	assert_string_equal(json_string_value(json_object_get(p, "_originalId")), r->ids[7]);
	assert_string_equal(json_string_value(json_object_get(p, "document")), r->words[7]);
	json_decref(c);
	(void)snprintf(before, sizeof(before), "No point with id %s", r->docs[0].uuid);
	rig_expect(r, rig_payload(r, 0, 1), VECTOR_GONE, before);
	assert_int_equal(fake_complaints(&r->fake), 0);
}

static void test_list(void **state)
{
	struct rig *r = *state;
	unsigned pages;

	NEEDS_FAKE(r);
	load(r, 20);
	fake_tell(&r->fake, "/_fake/put",
		  "{\"collection\":\"kindred\",\"id\":\"ffffffff-0000-4000-8000-000000000001\","
		  "\"payload\":{\"_originalId\":\"someone/else\",\"document\":\"x\"}}");
	fake_tell(&r->fake, "/_fake/set", "{\"page_most\":6}");
	assert_int_equal(rig_list(r, &pages), 20);
	assert_int_equal(pages, 4);
	assert_true(r->text_hash_right && r->meta_hash_right);
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(r->known, r->ids[3]), "kind")),
		"Service");
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(r->known, r->ids[3]), "ns")),
		"shop");
	/* A list may be begun anew in the middle. */
	rig_expect(r, rig_page(r, true), VECTOR_OK, "");
	assert_true(r->more);
	assert_int_equal(rig_list(r, &pages), 20);
	fake_fault(&r->fake, "{\"path\":\"scroll\",\"wrong\":\"same-page\",\"times\":2}");
	rig_expect(r, rig_page(r, true), VECTOR_OK, "");
	rig_expect(r, rig_page(r, false), VECTOR_RETRY, "list: the next page is the same one");
	assert_int_equal(fake_complaints(&r->fake), 0);
}

/* Two clusters in one collection: neither lists, and so neither prunes, what is the other's. */
static void test_clusters(void **state)
{
	struct rig *r = *state;

	NEEDS_FAKE(r);
	load(r, 4);
	rig_backend(r, "qdrant", "", (struct backend_opts){.cluster = STR("east")});
	for (uint32_t i = 4; i < 7; i++) {
		rig_doc(r, i, "Pod", "shop");
		r->docs[i].fields[DOC_CLUSTER] = STR("east");
	}
	rig_expect(r, rig_ensure(r), VECTOR_OK, "");
	rig_expect(r, rig_upsert(r, 4, 3), VECTOR_OK, "");
	assert_int_equal(rig_list(r, NULL), 3);
	assert_non_null(json_object_get(r->known, r->ids[4]));
	rig_backend(r, "qdrant", "", (struct backend_opts){0});
	assert_int_equal(rig_list(r, NULL), 4);
	assert_null(json_object_get(r->known, r->ids[4]));
	assert_int_equal(fake_complaints(&r->fake), 0);
}

static void test_search(void **state)
{
	struct rig *r = *state;
	json_t *hit;

	NEEDS_FAKE(r);
	load(r, 8);
	rig_expect(
		r,
		rig_search(r,
			   (struct backend_query){.vector = r->vectors[5], .dim = RIG_DIM, .n = 3}),
		VECTOR_OK, "");
	assert_int_equal(json_array_size(r->json), 3);
	hit = json_array_get(r->json, 0);
	assert_string_equal(json_string_value(json_object_get(hit, "id")), r->ids[5]);
	assert_string_equal(json_string_value(json_object_get(hit, "text")), r->words[5]);
	assert_string_equal(json_string_value(json_object_get(hit, "kind")), "Deployment");
	assert_null(json_object_get(hit, "cluster"));
	assert_true(json_number_value(json_object_get(hit, "score")) > 0.999);
	rig_expect(r,
		   rig_search(r, (struct backend_query){.vector = r->vectors[5],
							.dim = RIG_DIM,
							.n = 10,
							.kind = STR("Service"),
							.ns = STR("shop")}),
		   VECTOR_OK, "");
	assert_int_equal(json_array_size(r->json), 1);
	assert_string_equal(json_string_value(json_object_get(json_array_get(r->json, 0), "id")),
			    r->ids[3]);
	assert_int_equal(r->b->ops->search(r->b, &(struct backend_query){.words = STR("x"), .n = 1},
					   rig_on_search, r),
			 -EINVAL);
	rig_expect(r,
		   rig_search(r, (struct backend_query){.vector = r->vectors[0], .dim = 4, .n = 1}),
		   VECTOR_SPLIT, "expected dim: 8, got 4");
	assert_int_equal(fake_complaints(&r->fake), 0);
}

/* What it was made with, and what is in use now. */
static void test_mismatch(void **state)
{
	struct rig *r = *state;

	NEEDS_FAKE(r);
	load(r, 3);
	rig_backend(r, "qdrant", "", (struct backend_opts){.dim = 4});
	rig_expect(r, rig_ensure(r), VECTOR_MISMATCH,
		   "it holds vectors of 8 dimensions, distance Cosine, but 4 dimensions");
	rig_backend(r, "qdrant", "", (struct backend_opts){.model = STR("openai:other")});
	rig_expect(r, rig_ensure(r), VECTOR_MISMATCH,
		   "it holds documents of model \"hash-v1:8\", but \"openai:other\" is in use");
	rig_backend(r, "qdrant", "", (struct backend_opts){.template_ = STR("t2/rich")});
	rig_expect(r, rig_ensure(r), VECTOR_MISMATCH,
		   "of template \"t1/rich\", but \"t2/rich\" is in use");
	rig_backend(r, "qdrant", "", (struct backend_opts){0});
	rig_expect(r, rig_ensure(r), VECTOR_OK, "");
	/* One point of another program among ours is enough. */
	fake_tell(&r->fake, "/_fake/put",
		  "{\"collection\":\"kindred\",\"payload\":{\"document\":\"x\"}}");
	rig_expect(r, rig_ensure(r), VECTOR_MISMATCH, "entries without model and template");
	assert_int_equal(fake_complaints(&r->fake), 0);
}

static void test_other_shapes(void **state)
{
	struct rig *r = *state;

	NEEDS_FAKE(r);
	fake_fault(&r->fake, "{\"status\":200,\"type\":\"application/json\",\"body\":{\"result\":{"
			     "\"config\":{\"params\":{\"vectors\":{\"text\":{\"size\":8,"
			     "\"distance\":\"Cosine\"}}}}}}}");
	rig_expect(r, rig_ensure(r), VECTOR_MISMATCH, "several named vectors");
	fake_fault(&r->fake, "{\"status\":200,\"type\":\"application/json\",\"body\":{\"result\":{"
			     "\"config\":{\"params\":{\"vectors\":{\"size\":8,"
			     "\"distance\":\"Dot\"}}}}}}");
	rig_expect(r, rig_ensure(r), VECTOR_MISMATCH, "distance Dot");
	fake_fault(&r->fake, "{\"wrong\":\"no-result\",\"status\":200,\"body\":{}}");
	rig_expect(r, rig_ensure(r), VECTOR_RETRY, "the answer has no result.config");
	rig_backend(r, "qdrant", "", (struct backend_opts){0});
	r->b->dim = 0;
	assert_int_equal(r->b->ops->ensure(r->b, rig_on_done, r), -EINVAL);
}

/* Somebody else makes it between our look and our creation. */
static void test_race(void **state)
{
	struct rig *r = *state;

	NEEDS_FAKE(r);
	rig_expect(r, rig_ensure(r), VECTOR_OK, "");
	fake_fault(&r->fake, "{\"method\":\"GET\",\"status\":404,\"body\":{\"status\":{\"error\":"
			     "\"Not found\"}}}");
	rig_expect(r, rig_ensure(r), VECTOR_OK, "");
	fake_fault(&r->fake, "{\"method\":\"GET\",\"status\":404,\"times\":0}");
	rig_expect(r, rig_ensure(r), VECTOR_REFUSED, "create collection: answered 409");
}

static void test_strict_mode(void **state)
{
	struct rig *r = *state;

	NEEDS_FAKE(r);
	fake_tell(&r->fake, "/_fake/set",
		  "{\"strict\":{\"enabled\":true,\"upsert_max_batchsize\":5,\"max_query_limit\":4,"
		  "\"unindexed_filtering_retrieve\":false}}");
	assert_int_equal(r->b->max_batch, 100);
	rig_docs(r, 20);
	rig_expect(r, rig_ensure(r), VECTOR_OK, "");
	assert_int_equal(r->b->max_batch, 5);
	assert_int_equal(r->b->ops->upsert(r->b, r->bdocs, 6, rig_on_done, r), -EMSGSIZE);
	for (uint32_t i = 0; i < 20; i += 5)
		rig_expect(r, rig_upsert(r, i, 5), VECTOR_OK, "");
	rig_expect(r, rig_ensure(r), VECTOR_OK, "");
	assert_int_equal(rig_list(r, NULL), 20);
	rig_expect(r,
		   rig_search(r, (struct backend_query){.vector = r->vectors[5],
							.dim = RIG_DIM,
							.n = 30,
							.kind = STR("Service")}),
		   VECTOR_OK, "");
	assert_int_equal(fake_complaints(&r->fake), 0);
}

/* A kept connection that has died is opened anew without a word: hanging up takes two. */
static const struct {
	const char *fault;
	enum vector_outcome how;
	const char *words;
} failures[] = {
	{"{\"status\":400,\"body\":{\"status\":{\"error\":\"Wrong input: bad\"},\"time\":0}}",
	 VECTOR_SPLIT, "upsert: answered 400: Wrong input: bad"},
	{"{\"status\":401,\"body\":\"Must provide an API key\"}", VECTOR_REFUSED,
	 "upsert: answered 401: Must provide an API key"},
	{"{\"status\":403,\"body\":\"Forbidden: read only\"}", VECTOR_REFUSED,
	 "answered 403: Forbidden: read only"},
	{"{\"status\":404,\"body\":{\"status\":{\"error\":\"Not found: Collection\"}}}",
	 VECTOR_GONE, "answered 404: Not found: Collection"},
	{"{\"status\":405}", VECTOR_REFUSED, "upsert: answered 405"},
	{"{\"status\":408,\"body\":{\"status\":{\"error\":\"Timeout\"}}}", VECTOR_RETRY,
	 "answered 408: Timeout"},
	{"{\"status\":409,\"body\":{\"status\":{\"error\":\"exists\"}}}", VECTOR_REFUSED,
	 "answered 409: exists"},
	{"{\"status\":413,\"body\":\"too large\"}", VECTOR_SPLIT, "answered 413: too large"},
	{"{\"status\":422,\"body\":{\"status\":{\"error\":\"Validation error\"}}}", VECTOR_SPLIT,
	 "answered 422: Validation error"},
	{"{\"status\":500,\"body\":{\"status\":{\"error\":\"Service internal error\"}}}",
	 VECTOR_RETRY, "answered 500: Service internal error"},
	{"{\"status\":503,\"body\":{\"status\":{\"error\":\"shard unavailable\"}}}", VECTOR_RETRY,
	 "answered 503: shard unavailable"},
	{"{\"status\":507,\"body\":{\"status\":{\"error\":\"quota reached\"}}}", VECTOR_REFUSED,
	 "answered 507: quota reached"},
	{"{\"status\":502,\"type\":\"text/html\",\"body\":\"<html>\\n<h1>Bad   Gateway</h1>\"}",
	 VECTOR_RETRY, "answered 502: <html> <h1>Bad Gateway</h1>"},
	{"{\"status\":200,\"type\":\"text/html\",\"body\":\"<html>sign in</html>\"}", VECTOR_RETRY,
	 "answered 200 with what is no JSON (20 bytes): <html>sign in</html>"},
	{"{\"status\":204}", VECTOR_RETRY, "answered 204 with what is no JSON (0 bytes)"},
	{"{\"half\":true}", VECTOR_RETRY, "upsert: "},
	{"{\"cut\":true,\"times\":2}", VECTOR_RETRY, "upsert: "},
	{"{\"reset\":true,\"times\":2}", VECTOR_RETRY, "upsert: "},
	{"{\"wrong\":\"acknowledged\"}", VECTOR_RETRY, "write: not completed yet"},
	{"{\"wrong\":\"wait_timeout\"}", VECTOR_RETRY, "write: not completed yet"},
	{"{\"wrong\":\"no-result\"}", VECTOR_RETRY, "write: not completed yet"},
	{"{\"wrong\":\"list\"}", VECTOR_RETRY, "write: not completed yet"},
	{"{\"status\":301,\"headers\":{\"Location\":\"https://elsewhere/x\"}}", VECTOR_REFUSED,
	 "answered 301, a redirect to https://elsewhere/x, which is not followed"},
};

static void test_failures(void **state)
{
	struct rig *r = *state;

	NEEDS_FAKE(r);
	load(r, 4);
	for (size_t i = 0; i < ARRAY_SIZE(failures); i++) {
		fake_fault(&r->fake, failures[i].fault);
		rig_expect(r, rig_upsert(r, 0, 4), failures[i].how, failures[i].words);
		assert_int_equal(r->retry_after, 0);
		rig_expect(r, rig_upsert(r, 0, 4), VECTOR_OK, "");
	}
	fake_fault(&r->fake,
		   "{\"status\":429,\"headers\":{\"Retry-After\":17},\"body\":{\"status\":{"
		   "\"error\":\"Rate limiting exceeded\"}}}");
	rig_expect(r, rig_remove(r, 0, 1), VECTOR_RETRY,
		   "delete: answered 429: Rate limiting exceeded");
	assert_int_equal(r->retry_after, 17 * NSEC_PER_SEC);
	assert_int_equal(points(r), 4);
}

/* A batch with one bad document is refused whole; it alone is refused when it comes alone. */
static void test_bad_document(void **state)
{
	struct rig *r = *state;

	NEEDS_FAKE(r);
	rig_docs(r, 4);
	(void)snprintf(r->words[2], sizeof(r->words[2]), "refuse-me");
	r->bdocs[2].text = r->docs[2].text = str_of(r->words[2]);
	rig_expect(r, rig_ensure(r), VECTOR_OK, "");
	rig_expect(r, rig_upsert(r, 0, 4), VECTOR_SPLIT, "payload is refused");
	rig_expect(r, rig_upsert(r, 0, 2), VECTOR_OK, "");
	rig_expect(r, rig_upsert(r, 2, 1), VECTOR_SPLIT, "payload is refused");
	rig_expect(r, rig_upsert(r, 3, 1), VECTOR_OK, "");
	assert_int_equal(points(r), 3);
}

static void test_gone_and_made_again(void **state)
{
	struct rig *r = *state;

	NEEDS_FAKE(r);
	load(r, 2);
	fake_tell(&r->fake, "/_fake/drop", "{}");
	rig_expect(r, rig_upsert(r, 0, 2), VECTOR_GONE, "doesn't exist");
	rig_expect(r, rig_remove(r, 0, 2), VECTOR_GONE, "doesn't exist");
	rig_expect(r, rig_page(r, true), VECTOR_GONE, "doesn't exist");
	rig_expect(r, rig_ensure(r), VECTOR_OK, "");
	rig_expect(r, rig_upsert(r, 0, 2), VECTOR_OK, "");
	assert_int_equal(points(r), 2);
}

static void test_busy_and_cancel(void **state)
{
	struct rig *r = *state;

	NEEDS_FAKE(r);
	load(r, 2);
	fake_fault(&r->fake, "{\"hang\":true}");
	assert_int_equal(r->b->ops->upsert(r->b, r->bdocs, 2, rig_on_done, r), 0);
	assert_int_equal(r->b->ops->upsert(r->b, r->bdocs, 2, rig_on_done, r), -EBUSY);
	assert_int_equal(r->b->ops->ensure(r->b, rig_on_done, r), -EBUSY);
	assert_int_equal(r->b->ops->health(r->b, rig_on_done, r), -EBUSY);
	fake_wait_taken(&r->fake);
	assert_false(r->ended);
	r->b->ops->cancel(r->b);
	probe_turn(r->base, 20);
	assert_false(r->ended);
	rig_expect(r, rig_upsert(r, 0, 2), VECTOR_OK, "");
	/* Before anything was sent. */
	assert_int_equal(r->b->ops->upsert(r->b, r->bdocs, 2, rig_on_done, r), 0);
	r->b->ops->cancel(r->b);
	probe_turn(r->base, 20);
	assert_false(r->ended);
	/* Freed in the middle. */
	fake_fault(&r->fake, "{\"hang\":true}");
	assert_int_equal(r->b->ops->upsert(r->b, r->bdocs, 2, rig_on_done, r), 0);
	fake_wait_taken(&r->fake);
	r->b->ops->free(r->b);
	r->b = NULL;
	probe_turn(r->base, 20);
	assert_false(r->ended);
}

static void test_health(void **state)
{
	struct rig *r = *state;

	NEEDS_FAKE(r);
	rig_expect(r, rig_health(r), VECTOR_OK, "");
	fake_tell(&r->fake, "/_fake/set", "{\"ready\":false}");
	rig_expect(r, rig_health(r), VECTOR_RETRY,
		   "health: answered 503: some shards are not ready");
	fake_stop(&r->fake);
	rig_expect(r, rig_health(r), VECTOR_RETRY, "health: ");
}

static void test_timeout(void **state)
{
	struct rig *r = *state;

	NEEDS_FAKE(r);
	rig_backend(r, "qdrant", "", (struct backend_opts){.access.timeout = 1500 * NSEC_PER_MSEC});
	fake_fault(&r->fake, "{\"hang\":true}");
	rig_expect(r, rig_ensure(r), VECTOR_RETRY, "took more than 1.5 s");
	rig_expect(r, rig_ensure(r), VECTOR_OK, "");
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_ensure),	    TEST(test_write),	     TEST(test_list),
		TEST(test_clusters),	    TEST(test_search),	     TEST(test_mismatch),
		TEST(test_other_shapes),    TEST(test_race),	     TEST(test_strict_mode),
		TEST(test_failures),	    TEST(test_bad_document), TEST(test_gone_and_made_again),
		TEST(test_busy_and_cancel), TEST(test_health),	     TEST(test_timeout),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
