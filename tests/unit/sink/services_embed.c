/* Embedders: the built-in one, and /v1/embeddings in each server's manner. */
#include "tests/unit/sink/services_rig.h"

#include "sink/vector/embed_hash.h"

#include <math.h>

static int setup(void **state)
{
	static struct rig r;

	rig_loop(&r);
	*state = &r;
	return 0;
}

static int teardown(void **state)
{
	rig_done(*state);
	return 0;
}

#define NEEDS_FAKE()                  \
	do {                          \
		if (!fake_possible()) \
			skip();       \
	} while (0)

static const struct str texts[] = {STR("Deployment web \"quoted\" \\ \n\xc3\xa9"),
				   STR("Service db"), STR("Secret tls"), STR("ConfigMap a")};

/* --- built in ------------------------------------------------------------ */

static void test_builtin(void **state)
{
	struct rig *r = *state;
	_buf_ struct buf error = {.max = 1024};
	struct embedder_opts o = {.base = r->base, .spec = STR("hash:64"), .batch = 3};
	float want[64];

	assert_int_equal(embedder_new(&o, &r->e, &error), 0);
	assert_string_equal(r->e->model, "hash-v1:64");
	assert_int_equal(r->e->dim, 64);
	assert_int_equal(r->e->max_batch, 3);
	rig_expect(r, rig_embed(r, texts, 3), VECTOR_OK, "");
	assert_int_equal(r->dim, 64);
	for (uint32_t i = 0; i < 3; i++) {
		embed_hash(texts[i], 64, want);
		assert_memory_equal(r->v + (size_t)i * 64, want, sizeof(want));
	}
	assert_int_equal(r->e->ops->embed(r->e, texts, 4, rig_on_vectors, r), -EMSGSIZE);
	assert_int_equal(r->e->ops->embed(r->e, texts, 3, rig_on_vectors, r), 0);
	assert_int_equal(r->e->ops->embed(r->e, texts, 3, rig_on_vectors, r), -EBUSY);
	assert_int_equal(r->e->ops->health(r->e, rig_on_done, r), -EBUSY);
	r->e->ops->cancel(r->e);
	probe_turn(r->base, 5);
	assert_false(r->ended);
	rig_expect(r, rig_wait(r, r->e->ops->health(r->e, rig_on_done, r)), VECTOR_OK, "");
	rig_expect(r, rig_embed(r, texts, 1), VECTOR_OK, "");
}

static void test_builtin_sizes(void **state)
{
	struct rig *r = *state;
	_buf_ struct buf error = {.max = 1024};
	struct embedder_opts o = {.base = r->base, .spec = STR("hash")};

	assert_int_equal(embedder_new(&o, &r->e, &error), 0);
	assert_string_equal(r->e->model, "hash-v1:384");
	assert_int_equal(r->e->max_batch, 32);
	r->e->ops->free(r->e);
	o.dim = 1024;
	assert_int_equal(embedder_new(&o, &r->e, &error), 0);
	assert_string_equal(r->e->model, "hash-v1:1024");
	r->e->ops->free(r->e);
	r->e = NULL;
	o.spec = STR("hash:384");
	assert_int_equal(embedder_new(&o, &r->e, &error), -EINVAL);
	assert_non_null(
		memmem(buf_str(&error).p, buf_str(&error).n, "1024 dimensions are wanted", 26));
}

/* --- /v1/embeddings ------------------------------------------------------ */

static void begin(struct rig *r, const char *mode, struct embedder_opts o)
{
	const char *args[] = {"--mode", mode, NULL};

	rig_fake(r, "openai.py", args);
	rig_embedder(r, "openai", "", o);
}

/* As tests/fake/fake.py makes them: of length 1, and another for each text. */
static void check_vectors(struct rig *r, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		double sum = 0;

		for (uint32_t k = 0; k < r->dim; k++)
			sum += (double)r->v[(size_t)i * r->dim + k] *
			       (double)r->v[(size_t)i * r->dim + k];
		assert_true(fabs(sum - 1) < 1e-4);
		assert_true(i == 0 ||
			    memcmp(r->v, r->v + (size_t)i * r->dim, r->dim * sizeof(float)) != 0);
	}
}

static void test_modes(void **state)
{
	static const char *const modes[] = {"openai", "tei", "ollama", "llamacpp", "vllm"};
	struct rig *r = *state;
	float first[384];

	NEEDS_FAKE();
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		begin(r, modes[i], (struct embedder_opts){0});
		assert_string_equal(r->e->model, "openai:test-model");
		assert_int_equal(r->e->dim, 0);
		rig_expect(r, rig_embed(r, texts, 4), VECTOR_OK, "");
		assert_int_equal(r->dim, 384);
		assert_int_equal(r->e->dim, 384);
		check_vectors(r, 4);
		memcpy(first, r->v, sizeof(first));
		/* The order of the answer is not the order of the texts; nor the form. */
		fake_tell(&r->fake, "/_fake/set", "{\"shuffle\":true,\"knows_base64\":false}");
		rig_expect(r, rig_embed(r, texts, 4), VECTOR_OK, "");
		assert_memory_equal(first, r->v, sizeof(first));
		/* Refused, it is not asked for again. */
		fake_tell(&r->fake, "/_fake/set", "{\"knows_base64\":\"refuses\"}");
		rig_expect(r, rig_embed(r, texts, 4), VECTOR_RETRY, "base64 is not supported");
		rig_expect(r, rig_embed(r, texts, 4), VECTOR_OK, "");
		assert_memory_equal(first, r->v, sizeof(first));
		rig_expect(r, rig_wait(r, r->e->ops->health(r->e, rig_on_done, r)), VECTOR_OK, "");
		assert_int_equal(fake_complaints(&r->fake), 0);
		fake_stop(&r->fake);
	}
}

/* The URL with and without its path means the same. */
static void test_paths(void **state)
{
	static const char *const paths[] = {"", "/", "/v1", "/v1/", "/v1/embeddings"};
	struct rig *r = *state;

	NEEDS_FAKE();
	begin(r, "ollama", (struct embedder_opts){0});
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		rig_embedder(r, "openai", paths[i], (struct embedder_opts){0});
		rig_expect(r, rig_embed(r, texts, 1), VECTOR_OK, "");
	}
}

static void test_limits(void **state)
{
	struct rig *r = *state;
	struct str many[64];
	_free_ char *big = malloc(40000);

	NEEDS_FAKE();
	begin(r, "tei", (struct embedder_opts){.batch = 64});
	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = STR("x");
	rig_expect(r, rig_embed(r, many, 40), VECTOR_SPLIT,
		   "batch size 40 > maximum allowed batch size 32");
	assert_int_equal(r->e->max_batch, 32);
	assert_int_equal(r->e->ops->embed(r->e, many, 33, rig_on_vectors, r), -EMSGSIZE);
	rig_expect(r, rig_embed(r, many, 32), VECTOR_OK, "");
	/* The body, not only the count: 1.5 MiB. */
	assert_non_null(big);
	memset(big, '"', 40000);
	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = str_make(big, 40000);
	assert_int_equal(r->e->ops->embed(r->e, many, 32, rig_on_vectors, r), -EMSGSIZE);
	rig_expect(r, rig_embed(r, many, 16), VECTOR_OK, "");
	assert_int_equal(fake_complaints(&r->fake), 0);
}

static void test_wrong_answers(void **state)
{
	static const struct {
		const char *spoil;
		uint32_t n;
		enum vector_outcome how;
		const char *words;
	} cases[] = {
		{"count", 4, VECTOR_SPLIT, "embed: 3 vectors for 4 texts"},
		{"count", 1, VECTOR_RETRY, "embed: 0 vectors for 1 texts"},
		{"extra", 4, VECTOR_SPLIT, "embed: 5 vectors for 4 texts"},
		{"index", 4, VECTOR_SPLIT, "item 4 of 4 has a wrong or repeated index"},
		{"no-index", 4, VECTOR_OK, ""},
		{"dimension", 4, VECTOR_MISMATCH,
		 "model test-model answers with 385 dimensions, 384 are expected"},
		{"uneven", 4, VECTOR_SPLIT, "vector 4 of 4 is no list of 384 numbers"},
		{"zero", 4, VECTOR_SPLIT, "vector 1 of 4 is all zeros"},
		{"nan", 4, VECTOR_SPLIT, "answered 200 with NaN or Infinity in it"},
		{"nan-base64", 4, VECTOR_SPLIT, "vector 1 of 4 holds NaN or infinity"},
		{"overflow", 4, VECTOR_SPLIT, "vector 1 of 4 holds NaN or infinity"},
		{"text", 4, VECTOR_SPLIT, "vector 1 of 4 is no list of 384 numbers"},
		{"null", 4, VECTOR_SPLIT, "vector 1 of 4 is no list of numbers"},
		{"no-data", 4, VECTOR_RETRY, "no list \"data\""},
	};
	struct rig *r = *state;
	char fault[128];

	NEEDS_FAKE();
	begin(r, "openai", (struct embedder_opts){0});
	fake_fault(&r->fake, "{\"wrong\":\"huge-dimension\"}");
	rig_expect(r, rig_embed(r, texts, 1), VECTOR_MISMATCH,
		   "answers with 9000 dimensions; at most 8192 can be used");
	rig_expect(r, rig_embed(r, texts, 4), VECTOR_OK, "");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		(void)snprintf(fault, sizeof(fault), "{\"wrong\":\"%s\"}", cases[i].spoil);
		fake_fault(&r->fake, fault);
		rig_expect(r, rig_embed(r, texts, cases[i].n), cases[i].how, cases[i].words);
		assert_int_equal(r->e->dim, 384);
	}
	rig_embedder(r, "openai", "", (struct embedder_opts){.dim = 768});
	rig_expect(r, rig_embed(r, texts, 1), VECTOR_MISMATCH, "384 dimensions, 768 are expected");
	rig_embedder(r, "openai", "", (struct embedder_opts){.model = STR("missing")});
	rig_expect(r, rig_embed(r, texts, 1), VECTOR_GONE, "model \"missing\" not found");
}

static void test_failures(void **state)
{
	static const struct {
		const char *fault;
		enum vector_outcome how;
		const char *words;
	} cases[] = {
		{"{\"status\":400,\"body\":{\"error\":{\"message\":\"too many tokens\"}}}",
		 VECTOR_SPLIT, "embed: answered 400: too many tokens"},
		{"{\"status\":413,\"body\":\"length limit exceeded\"}", VECTOR_SPLIT, "413"},
		{"{\"status\":424,\"body\":{\"message\":\"backend\",\"type\":\"Backend\"}}",
		 VECTOR_RETRY, "answered 424: backend"},
		{"{\"status\":422,\"body\":{\"detail\":\"bad\"}}", VECTOR_SPLIT,
		 "answered 422: bad"},
		{"{\"status\":500,\"body\":{\"error\":\"oops\"}}", VECTOR_RETRY, "500: oops"},
		{"{\"status\":503,\"body\":{\"error\":{\"message\":\"Loading model\"}}}",
		 VECTOR_RETRY, "503: Loading model"},
		{"{\"half\":true}", VECTOR_RETRY, "embed: "},
		{"{\"cut\":true,\"times\":2}", VECTOR_RETRY, "embed: "},
		{"{\"reset\":true,\"times\":2}", VECTOR_RETRY, "embed: "},
		{"{\"status\":200,\"type\":\"text/html\",\"body\":\"<html>\"}", VECTOR_RETRY,
		 "no JSON (6 bytes): <html>"},
		{"{\"delay\":0.1}", VECTOR_OK, ""},
	};
	struct rig *r = *state;

	NEEDS_FAKE();
	begin(r, "openai", (struct embedder_opts){0});
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		fake_fault(&r->fake, cases[i].fault);
		rig_expect(r, rig_embed(r, texts, 4), cases[i].how, cases[i].words);
		rig_expect(r, rig_embed(r, texts, 4), VECTOR_OK, "");
	}
	fake_fault(&r->fake,
		   "{\"status\":429,\"headers\":{\"Retry-After\":\"3\"},\"body\":{\"error\":"
		   "{\"message\":\"Rate limit reached\"}}}");
	rig_expect(r, rig_embed(r, texts, 4), VECTOR_RETRY, "answered 429: Rate limit reached");
	assert_int_equal(r->retry_after, 3 * NSEC_PER_SEC);
	fake_fault(&r->fake, "{\"hang\":true}");
	assert_int_equal(r->e->ops->embed(r->e, texts, 4, rig_on_vectors, r), 0);
	assert_int_equal(r->e->ops->embed(r->e, texts, 4, rig_on_vectors, r), -EBUSY);
	fake_wait_taken(&r->fake);
	r->e->ops->cancel(r->e);
	probe_turn(r->base, 20);
	assert_false(r->ended);
	rig_expect(r, rig_embed(r, texts, 4), VECTOR_OK, "");
	assert_int_equal(fake_complaints(&r->fake), 0);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_builtin), TEST(test_builtin_sizes), TEST(test_modes),	   TEST(test_paths),
		TEST(test_limits),  TEST(test_wrong_answers), TEST(test_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
