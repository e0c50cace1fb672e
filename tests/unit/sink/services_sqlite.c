/* The embedded store as a database: the same operations as the others. */
#include "tests/unit/sink/services_rig.h"

#include "sink/sqlite/worker.h"

static char folder[64], file[96];
static struct worker *worker;

static void open_worker(struct rig *r)
{
	_buf_ struct buf error = {.max = 2048};

	if (worker_new(&(struct worker_opts){.base = r->base, .file = file}, &worker, &error) < 0)
		fail_msg("%.*s", STR_ARG(buf_str(&error)));
}

static void open_backend(struct rig *r, struct backend_opts o)
{
	char spec[128];
	_buf_ struct buf error = {.max = 2048};

	if (r->b)
		r->b->ops->free(r->b);
	r->b = NULL;
	(void)snprintf(spec, sizeof(spec), "sqlite:%s", file);
	o.base = r->base;
	o.worker = worker;
	o.spec = str_of(spec);
	o.collection = STR("kindred");
	o.model = o.model.n ? o.model : STR("hash-v1:8");
	o.template_ = STR("t1/rich");
	o.dim = o.dim ? o.dim : RIG_DIM;
	o.cache = 1 << 20;
	if (backend_new(&o, &r->b, &error) < 0)
		fail_msg("%.*s", STR_ARG(buf_str(&error)));
}

static int setup(void **state)
{
	static struct rig r;

	rig_loop(&r);
	*state = &r;
	(void)snprintf(folder, sizeof(folder), "/tmp/kindred-store-XXXXXX");
	assert_non_null(mkdtemp(folder));
	(void)snprintf(file, sizeof(file), "%s/store.db", folder);
	open_worker(&r);
	open_backend(&r, (struct backend_opts){0});
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;
	char rm[96];

	if (r->b)
		r->b->ops->free(r->b);
	r->b = NULL;
	worker_free(&worker);
	rig_done(r);
	(void)snprintf(rm, sizeof(rm), "rm -rf %s", folder);
	return system(rm);
}

static void load(struct rig *r, uint32_t n)
{
	rig_docs(r, n);
	rig_expect(r, rig_ensure(r), VECTOR_OK, "");
	rig_expect(r, rig_upsert(r, 0, n), VECTOR_OK, "");
}

static void test_write(void **state)
{
	struct rig *r = *state;

	load(r, 20);
	assert_int_equal(rig_list(r, NULL), 20);
	assert_true(r->text_hash_right && r->meta_hash_right);
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(r->known, r->ids[3]), "kind")),
		"Service");
	rig_expect(r, rig_remove(r, 0, 5), VECTOR_OK, "");
	rig_expect(r, rig_remove(r, 0, 6), VECTOR_OK, "");
	assert_int_equal(rig_list(r, NULL), 14);
	r->docs[7].meta_hash[0] ^= 0xff;
	r->bdocs[7].vector = NULL;
	rig_expect(r, rig_payload(r, 7, 1), VECTOR_OK, "");
	assert_int_equal(rig_list(r, NULL), 14);
	assert_true(r->meta_hash_right);
	r->bdocs[0].vector = NULL;
	rig_expect(r, rig_payload(r, 0, 1), VECTOR_GONE, "metadata update: ");
	r->vectors[8][3] = -1.0F / 0.0F;
	rig_expect(r, rig_upsert(r, 7, 2), VECTOR_SPLIT, r->ids[8]);
	assert_int_equal(rig_list(r, NULL), 14);
}

static void test_pages(void **state)
{
	struct rig *r = *state;
	char ids[RIG_DOCS][16];
	unsigned pages;

	rig_docs(r, RIG_DOCS);
	rig_expect(r, rig_ensure(r), VECTOR_OK, "");
	for (uint32_t at = 0; at < 2100; at += RIG_DOCS) {
		for (uint32_t i = 0; i < RIG_DOCS; i++) {
			(void)snprintf(ids[i], sizeof(ids[i]), "id-%05u", at + i);
			r->docs[i].id = str_of(ids[i]);
			document_uuid(r->docs[i].id, r->docs[i].uuid);
			r->docs[i].fields[DOC_CLUSTER] =
				(at / RIG_DOCS) % 2 ? STR("east") : (struct str){0};
		}
		rig_expect(r, rig_upsert(r, 0, RIG_DOCS), VECTOR_OK, "");
	}
	assert_int_equal(rig_list(r, &pages), 17 * RIG_DOCS);
	assert_int_equal(pages, 4); /* the last one is empty */
	open_backend(r, (struct backend_opts){.cluster = STR("east")});
	rig_expect(r, rig_ensure(r), VECTOR_OK, "");
	assert_int_equal(rig_list(r, NULL), 16 * RIG_DOCS);
}

static void test_search(void **state)
{
	struct rig *r = *state;
	struct backend_query q = {.words = STR("name-5"), .n = 3};
	json_t *hit;

	load(r, 8);
	rig_expect(r, rig_search(r, q), VECTOR_OK, "");
	hit = json_array_get(r->json, 0);
	assert_string_equal(json_string_value(json_object_get(hit, "id")), r->ids[5]);
	assert_string_equal(json_string_value(json_object_get(hit, "found_by")), "words");
	q.words = (struct str){0};
	q.vector = r->vectors[2];
	q.dim = RIG_DIM;
	rig_expect(r, rig_search(r, q), VECTOR_OK, "");
	hit = json_array_get(r->json, 0);
	assert_string_equal(json_string_value(json_object_get(hit, "id")), r->ids[2]);
	q.kind = STR("service");
	rig_expect(r, rig_search(r, q), VECTOR_OK, "");
	assert_int_equal(json_array_size(r->json), 3);
	q.dim = 4;
	rig_expect(r, rig_search(r, q), VECTOR_SPLIT, "search: ");
}

static void test_mismatch(void **state)
{
	struct rig *r = *state;

	load(r, 2);
	open_backend(r, (struct backend_opts){.dim = 4});
	rig_expect(r, rig_ensure(r), VECTOR_MISMATCH, "open: ");
	open_backend(r, (struct backend_opts){.model = STR("openai:other")});
	rig_expect(r, rig_ensure(r), VECTOR_MISMATCH, "openai:other");
	assert_non_null(strstr(r->text, "hash-v1:8"));
	rig_expect(r, rig_upsert(r, 0, 1), VECTOR_RETRY, "write: the collection is not open");
}

static void test_again(void **state)
{
	struct rig *r = *state;

	load(r, 5);
	r->b->ops->free(r->b);
	r->b = NULL;
	worker_free(&worker);
	open_worker(r);
	open_backend(r, (struct backend_opts){0});
	rig_expect(r, rig_ensure(r), VECTOR_OK, "");
	rig_expect(r, rig_ensure(r), VECTOR_OK, "");
	assert_int_equal(rig_list(r, NULL), 5);
	rig_expect(r, rig_health(r), VECTOR_OK, "");
}

static void test_busy_and_cancel(void **state)
{
	struct rig *r = *state;

	load(r, 5);
	assert_int_equal(r->b->ops->upsert(r->b, r->bdocs, 5, rig_on_done, r), 0);
	assert_int_equal(r->b->ops->upsert(r->b, r->bdocs, 5, rig_on_done, r), -EBUSY);
	assert_int_equal(r->b->ops->health(r->b, rig_on_done, r), -EBUSY);
	r->b->ops->cancel(r->b);
	probe_turn(r->base, 20);
	assert_false(r->ended);
	assert_int_equal(r->b->ops->ensure(r->b, rig_on_done, r), 0);
	r->b->ops->cancel(r->b);
	rig_expect(r, rig_ensure(r), VECTOR_OK, "");
	rig_expect(r, rig_upsert(r, 0, 5), VECTOR_OK, "");
	r->b->max_batch = 4;
	assert_int_equal(r->b->ops->upsert(r->b, r->bdocs, 5, rig_on_done, r), -EMSGSIZE);
	assert_int_equal(r->b->ops->upsert(r->b, r->bdocs, 4, rig_on_done, r), 0);
	r->b->ops->free(r->b);
	r->b = NULL;
	probe_turn(r->base, 20);
	assert_false(r->ended);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_write),    TEST(test_pages), TEST(test_search),
		TEST(test_mismatch), TEST(test_again), TEST(test_busy_and_cancel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
