/* No memory: whatever is being made, asked for or read is left out whole, and said. */
#include "tests/unit/sink/services_rig.h"

#include "sink/vector/chroma_answer.h"
#include "sink/vector/openai_answer.h"
#include "sink/vector/qdrant_answer.h"
#include "sink/vector/service_text.h"
#include "sink/vector/triton_answer.h"
#include "tests/lib/torture.h"

static struct rig rig;

static int setup(void **state)
{
	rig_loop(&rig);
	rig_docs(&rig, 4);
	(void)rig_token(&rig, RIG_SECRET);
	*state = &rig;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rig_done(&rig);
	return 0;
}

static void no_vectors(void *ctx, const struct vector_end *end, const float *v, uint32_t dim)
{
	(void)ctx;
	(void)end;
	(void)v;
	(void)dim;
}

static void no_end(void *ctx, const struct vector_end *end)
{
	(void)ctx;
	(void)end;
}

/* Made, asked, dropped before anything is sent, and freed. */
static int one_embedder(void *ctx)
{
	static const struct str texts[] = {STR("a"), STR("b \"c\"")}, extra[] = {STR("mode=embed")};
	_buf_ struct buf error = {.max = 1024};
	struct embedder *e = NULL;
	struct embedder_opts o = {.base = rig.base,
				  .http = rig.http,
				  .spec = str_of(ctx),
				  .model = STR("m"),
				  .extra = extra,
				  .n_extra = 1,
				  .binary = true,
				  .access.token_file = rig.token_file,
				  .access.header = "api-key"};
	int r = embedder_new(&o, &e, &error);

	if (r < 0)
		return r;
	r = e->ops->embed(e, texts, 2, no_vectors, NULL);
	e->ops->cancel(e);
	if (r == 0)
		r = e->ops->health(e, no_end, NULL);
	e->ops->free(e);
	return r;
}

static int one_backend(void *ctx)
{
	_buf_ struct buf error = {.max = 1024};
	struct backend *b = NULL;
	struct backend_opts o = {.base = rig.base,
				 .http = rig.http,
				 .spec = str_of(ctx),
				 .collection = STR("kindred"),
				 .model = STR("m"),
				 .template_ = STR("t"),
				 .dim = RIG_DIM,
				 .access.token_file = rig.token_file};
	int r = backend_new(&o, &b, &error);

	if (r < 0)
		return r;
	r = b->ops->ensure(b, no_end, NULL);
	b->ops->cancel(b);
	if (r == 0)
		r = b->ops->upsert(b, rig.bdocs, 4, no_end, NULL);
	if (r == -EINVAL) /* Chroma: not ensured */
		r = 0;
	b->ops->free(b);
	return r;
}

static void test_makers(void **state)
{
	static char specs[][40] = {"hash:64", "openai:http://127.0.0.1:1",
				   "triton:http://127.0.0.1:1"};
	static char backends[][40] = {"qdrant:http://127.0.0.1:1", "chroma:http://127.0.0.1:1",
				      "chroma:http://h/api/v2/tenants/t",
				      "http:http://127.0.0.1:1/sync"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(specs); i++)
		assert_int_equal(torture_run(one_embedder, specs[i]), 0);
	for (size_t i = 0; i < ARRAY_SIZE(backends); i++)
		assert_int_equal(torture_run(one_backend, backends[i]), 0);
}

static void no_row(void *ctx, const struct backend_known *k)
{
	(void)ctx;
	(void)k;
}

/* Readers may fail for want of memory, by VECTOR_RETRY and nothing else. */
static int read_all(void *ctx)
{
	static const struct triton_names names = {.model = "m", .output = "o"};
	json_t **roots = ctx;
	_buf_ struct buf words = {.max = 4096}, out = {.max = 4096}, next = {.max = 100};
	enum vector_outcome how[6];
	struct vectors v = {0}, w = {0};
	size_t n;

	how[0] = openai_read(roots[0], 2, 0, "m", &v, &words);
	how[1] = triton_read_vectors(roots[1], (struct str){0}, 1, 0, &names, &w, &words);
	how[2] = qdrant_read_page(roots[2], (struct str){0}, no_row, NULL, &next, &words);
	how[3] = qdrant_read_hits(roots[2], &out, &words);
	how[4] = chroma_read_page(roots[3], (struct str){0}, no_row, NULL, &n, &words);
	how[5] = chroma_read_hits(roots[4], &out, &words);
	vectors_done(&v);
	vectors_done(&w);
	for (size_t i = 0; i < ARRAY_SIZE(how); i++) {
		if (how[i] == VECTOR_RETRY)
			return -ENOMEM;
		if (how[i] != VECTOR_OK)
			return -EPROTO;
	}
	return service_error_text(STR("{\"error\":\"Bearer abcd1234\"}"), STR("x"), &words);
}

static void test_readers(void **state)
{
	json_t *roots[] = {
		json_loads("{\"data\":[{\"index\":1,\"embedding\":[1]},{\"index\":0,\"embedding\":"
			   "\"AACAPw==\"}]}",
			   0, NULL),
		json_loads("{\"outputs\":[{\"name\":\"o\",\"data\":[1,2]}]}", 0, NULL),
		json_loads("{\"result\":{\"points\":[{\"payload\":{\"_originalId\":\"a\"}}],"
			   "\"next_page_offset\":\"b\"}}",
			   0, NULL),
		json_loads("{\"ids\":[\"a\"],\"metadatas\":[{}]}", 0, NULL),
		json_loads("{\"ids\":[[\"a\"]],\"distances\":[[1]]}", 0, NULL),
	};

	(void)state;
	assert_int_equal(torture_run(read_all, roots), 0);
	for (size_t i = 0; i < ARRAY_SIZE(roots); i++)
		json_decref(roots[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_makers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_readers, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
