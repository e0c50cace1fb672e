/* The KServe v2 embedder against a strict stand-in of Triton. */
#include "tests/unit/sink/services_rig.h"

#include "sink/vector/triton_answer.h"

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

static void begin(struct rig *r, const char *mode, struct embedder_opts o)
{
	const char *args[] = {"--mode", mode, NULL};

	rig_fake(r, "triton.py", args);
	o.model = o.model.n ? o.model : STR("embedder");
	rig_embedder(r, "triton", "", o);
}

/* JSON and binary, every shape of inputs: the same vectors. */
static void test_forms(void **state)
{
	static const char *const modes[] = {"batch", "plain", "kserve"};
	struct rig *r = *state;
	float first[4 * 384];

	NEEDS_FAKE();
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		for (int binary = 0; binary < 2; binary++) {
			begin(r, modes[i], (struct embedder_opts){.binary = binary});
			assert_string_equal(r->e->model, "triton:embedder");
			rig_expect(r, rig_embed(r, texts, 4), VECTOR_OK, "");
			assert_int_equal(r->dim, 384);
			assert_int_equal(r->e->dim, 384);
			if (i == 0 && !binary)
				memcpy(first, r->v, sizeof(first));
			assert_memory_equal(first, r->v, sizeof(first));
			rig_expect(r, rig_embed(r, texts, 2), VECTOR_OK, "");
			assert_int_equal(fake_requests(&r->fake), 4); /* metadata, config, 2 */
			fake_tell(&r->fake, "/_fake/set", "{\"nested\":true}");
			rig_expect(r, rig_embed(r, texts, 4), VECTOR_OK, "");
			assert_memory_equal(first, r->v, sizeof(first));
			assert_int_equal(fake_complaints(&r->fake), 0);
			fake_stop(&r->fake);
		}
	}
}

static void test_one_at_a_time(void **state)
{
	struct rig *r = *state;

	NEEDS_FAKE();
	begin(r, "one", (struct embedder_opts){0});
	rig_expect(r, rig_embed(r, texts, 4), VECTOR_SPLIT, "the model takes fewer texts");
	assert_int_equal(r->e->max_batch, 1);
	assert_int_equal(r->e->ops->embed(r->e, texts, 2, rig_on_vectors, r), -EMSGSIZE);
	rig_expect(r, rig_embed(r, texts, 1), VECTOR_OK, "");
	assert_int_equal(fake_complaints(&r->fake), 0);
}

/* The model of S1: other names, a constant input, a batch of its own. */
static void test_names(void **state)
{
	static const struct str extra[] = {STR("mode=embed"), STR("limit=7"), STR("pool=true")};
	struct rig *r = *state;

	NEEDS_FAKE();
	for (int binary = 0; binary < 2; binary++) {
		begin(r, "batch",
		      (struct embedder_opts){.model = STR("qwen3-vl/3"),
					     .input = STR("message"),
					     .output = STR("vector"),
					     .extra = extra,
					     .n_extra = 3,
					     .batch = 64,
					     .binary = binary});
		fake_tell(&r->fake, "/_fake/set",
			  "{\"model\":\"qwen3-vl\",\"input\":\"message\",\"output\":\"vector\","
			  "\"most\":3,"
			  "\"dim\":16,\"extra\":{\"mode\":[\"BYTES\",\"embed\"],\"limit\":["
			  "\"INT32\",7],"
			  "\"pool\":[\"BOOL\",true]}}");
		assert_string_equal(r->e->model, "triton:qwen3-vl/3");
		rig_expect(r, rig_embed(r, texts, 4), VECTOR_SPLIT, "the model takes fewer texts");
		assert_int_equal(r->e->max_batch, 3);
		rig_expect(r, rig_embed(r, texts, 3), VECTOR_OK, "");
		assert_int_equal(r->dim, 16);
		assert_int_equal(fake_complaints(&r->fake), 0);
		fake_stop(&r->fake);
	}
}

static void test_wrong_settings(void **state)
{
	static const struct str extra[] = {STR("limit=many")};
	struct rig *r = *state;

	NEEDS_FAKE();
	begin(r, "batch", (struct embedder_opts){.input = STR("text")});
	rig_expect(r, rig_embed(r, texts, 1), VECTOR_REFUSED,
		   "model: model embedder has no input \"text\"; it has text_input, image "
		   "(--embed-input)");
	rig_embedder(r, "triton", "",
		     (struct embedder_opts){.model = STR("embedder"), .output = STR("vec")});
	rig_expect(r, rig_embed(r, texts, 1), VECTOR_REFUSED,
		   "has no output \"vec\"; it has response, embedding (--embed-output)");
	rig_embedder(r, "triton", "",
		     (struct embedder_opts){.model = STR("embedder"), .output = STR("response")});
	rig_expect(r, rig_embed(r, texts, 1), VECTOR_REFUSED, "is BYTES, FP32 is needed");
	rig_embedder(
		r, "triton", "",
		(struct embedder_opts){.model = STR("embedder"), .extra = extra, .n_extra = 1});
	rig_expect(r, rig_embed(r, texts, 1), VECTOR_REFUSED, "no input \"limit\"");
	fake_tell(&r->fake, "/_fake/set", "{\"extra\":{\"limit\":[\"INT32\",7]}}");
	rig_expect(r, rig_embed(r, texts, 1), VECTOR_REFUSED,
		   "input \"limit\" is INT32, which \"many\" is not");
	rig_embedder(r, "triton", "", (struct embedder_opts){.model = STR("embedder"), .dim = 768});
	rig_expect(r, rig_embed(r, texts, 1), VECTOR_MISMATCH,
		   "model embedder answers with 384 dimensions, 768 are expected");
	rig_embedder(r, "triton", "", (struct embedder_opts){.model = STR("other")});
	rig_expect(r, rig_embed(r, texts, 1), VECTOR_GONE,
		   "model: answered 404: Request for unknown model: 'other' is not found");
	fake_tell(&r->fake, "/_fake/set", "{\"input_type\":\"FP32\",\"extra\":null}");
	rig_embedder(r, "triton", "", (struct embedder_opts){.model = STR("embedder")});
	rig_expect(r, rig_embed(r, texts, 1), VECTOR_REFUSED, "is FP32, BYTES is needed");
}

/* The model is unloaded, and comes back with another dimension. */
static void test_model_changes(void **state)
{
	struct rig *r = *state;

	NEEDS_FAKE();
	begin(r, "batch", (struct embedder_opts){0});
	rig_expect(r, rig_embed(r, texts, 4), VECTOR_OK, "");
	fake_tell(&r->fake, "/_fake/set", "{\"model\":\"none\"}");
	rig_expect(r, rig_embed(r, texts, 4), VECTOR_GONE,
		   "answered 400: Request for unknown model");
	rig_expect(r, rig_embed(r, texts, 4), VECTOR_GONE,
		   "answered 404: Request for unknown model");
	fake_tell(&r->fake, "/_fake/set", "{\"model\":\"embedder\",\"dim\":512}");
	rig_expect(r, rig_embed(r, texts, 4), VECTOR_MISMATCH, "512 dimensions, 384 are expected");
	fake_tell(&r->fake, "/_fake/set", "{\"shaped_dim\":false}");
	rig_expect(r, rig_embed(r, texts, 4), VECTOR_MISMATCH, "512 dimensions, 384 are expected");
	fake_tell(&r->fake, "/_fake/set", "{\"dim\":384}");
	rig_expect(r, rig_embed(r, texts, 4), VECTOR_OK, "");
}

static void expect_fault(struct rig *r, const char *fault, uint32_t n, enum vector_outcome how,
			 const char *words)
{
	fake_fault(&r->fake, fault);
	rig_expect(r, rig_embed(r, texts, n), how, words);
	rig_expect(r, rig_embed(r, texts, 4), VECTOR_OK, "");
}

static void test_failures(void **state)
{
	struct rig *r = *state;

	NEEDS_FAKE();
	begin(r, "batch", (struct embedder_opts){0});
	rig_expect(r, rig_embed(r, texts, 4), VECTOR_OK, "");
	expect_fault(r, "{\"wrong\":\"count\"}", 4, VECTOR_SPLIT, "1152 numbers for 4 texts");
	expect_fault(r, "{\"wrong\":\"shape\"}", 4, VECTOR_SPLIT,
		     "which its shape does not explain");
	expect_fault(r, "{\"wrong\":\"shape\"}", 1, VECTOR_RETRY,
		     "which its shape does not explain");
	expect_fault(r, "{\"wrong\":\"dimension\"}", 4, VECTOR_MISMATCH,
		     "answers with 9 dimensions, 384 are expected");
	expect_fault(r, "{\"wrong\":\"zero\"}", 4, VECTOR_SPLIT, "vector 1 of 4 is all zeros");
	expect_fault(r, "{\"wrong\":\"nan\"}", 4, VECTOR_SPLIT, "NaN or Infinity");
	expect_fault(r, "{\"wrong\":\"text\"}", 4, VECTOR_SPLIT, "something else than numbers");
	expect_fault(r, "{\"wrong\":\"no-output\"}", 4, VECTOR_RETRY, "no output \"embedding\"");
	expect_fault(r, "{\"status\":400,\"body\":{\"error\":\"bad tensor\"}}", 4, VECTOR_SPLIT,
		     "embed: answered 400: bad tensor");
	expect_fault(r, "{\"status\":500,\"body\":{\"error\":\"CUDA\"}}", 4, VECTOR_RETRY,
		     "500: CUDA");
	expect_fault(r, "{\"status\":501}", 4, VECTOR_REFUSED, "501");
	expect_fault(r, "{\"status\":503}", 4, VECTOR_RETRY, "503");
	expect_fault(r, "{\"half\":true}", 4, VECTOR_RETRY, "embed: ");
	expect_fault(r, "{\"reset\":true,\"times\":2}", 4, VECTOR_RETRY, "embed: ");
	fake_fault(&r->fake, "{\"hang\":true}");
	assert_int_equal(r->e->ops->embed(r->e, texts, 4, rig_on_vectors, r), 0);
	assert_int_equal(r->e->ops->health(r->e, rig_on_done, r), -EBUSY);
	fake_wait_taken(&r->fake);
	r->e->ops->cancel(r->e);
	probe_turn(r->base, 20);
	assert_false(r->ended);
	rig_expect(r, rig_embed(r, texts, 4), VECTOR_OK, "");
	assert_int_equal(fake_complaints(&r->fake), 0);
}

static void test_binary_failures(void **state)
{
	struct rig *r = *state;

	NEEDS_FAKE();
	begin(r, "batch", (struct embedder_opts){.binary = true});
	rig_expect(r, rig_embed(r, texts, 4), VECTOR_OK, "");
	expect_fault(r, "{\"wrong\":\"header\"}", 4, VECTOR_RETRY, "what is no JSON");
	expect_fault(r, "{\"wrong\":\"short\"}", 4, VECTOR_RETRY,
		     "no output \"embedding\" with data");
	expect_fault(r, "{\"wrong\":\"nan\"}", 4, VECTOR_SPLIT, "vector 4 of 4 holds NaN");
	expect_fault(r, "{\"status\":200,\"body\":\"<html>\"}", 4, VECTOR_RETRY, "what is no JSON");
	expect_fault(r, "{\"status\":200}", 4, VECTOR_RETRY, "what is no JSON");
	assert_int_equal(fake_complaints(&r->fake), 0);
}

/* Before the model is known every failure is told, and nothing is held. */
static void test_first_failures(void **state)
{
	struct rig *r = *state;

	NEEDS_FAKE();
	begin(r, "batch", (struct embedder_opts){0});
	fake_fault(&r->fake, "{\"status\":400,\"body\":{\"error\":\"x\"}}");
	rig_expect(r, rig_embed(r, texts, 4), VECTOR_GONE, "model: answered 400: x");
	fake_fault(&r->fake, "{\"status\":503}");
	rig_expect(r, rig_embed(r, texts, 4), VECTOR_RETRY, "model: answered 503");
	fake_fault(&r->fake, "{\"status\":200,\"body\":[]}");
	rig_expect(r, rig_embed(r, texts, 4), VECTOR_RETRY, "no inputs and outputs");
	fake_fault(&r->fake, "{\"hang\":true}");
	assert_int_equal(r->e->ops->embed(r->e, texts, 4, rig_on_vectors, r), 0);
	fake_wait_taken(&r->fake);
	r->e->ops->cancel(r->e);
	fake_fault(&r->fake, "{\"path\":\"config\",\"status\":500}");
	rig_expect(r, rig_embed(r, texts, 4), VECTOR_OK, "");
}

static void test_health(void **state)
{
	struct rig *r = *state;

	NEEDS_FAKE();
	begin(r, "batch", (struct embedder_opts){0});
	rig_expect(r, rig_wait(r, r->e->ops->health(r->e, rig_on_done, r)), VECTOR_OK, "");
	fake_tell(&r->fake, "/_fake/set", "{\"ready\":false}");
	rig_expect(r, rig_wait(r, r->e->ops->health(r->e, rig_on_done, r)), VECTOR_RETRY,
		   "model's readiness: answered 400");
}

static void test_specs(void **state)
{
	static const struct {
		const char *model, *extra, *words;
	} cases[] = {
		{"", NULL, "expected the model's NAME"},
		{"a/b/c", NULL, "expected the model's NAME"},
		{"a b", NULL, "expected the model's NAME"},
		{"m", "mode", "expected NAME=VALUE, such as mode=embed"},
		{"m", "=x", "expected NAME=VALUE"},
		{"m", "a=\x01", "expected NAME=VALUE"},
	};
	struct rig *r = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_buf_ struct buf error = {.max = 1024};
		struct str extra = str_of(cases[i].extra);
		struct embedder_opts o = {.base = r->base,
					  .http = r->http,
					  .spec = STR("triton:http://127.0.0.1:1"),
					  .model = str_of(cases[i].model),
					  .extra = &extra,
					  .n_extra = cases[i].extra != NULL};

		assert_int_equal(embedder_new(&o, &r->e, &error), -EINVAL);
		assert_null(r->e);
		assert_non_null(memmem(buf_str(&error).p, buf_str(&error).n, cases[i].words,
				       strlen(cases[i].words)));
	}
}

/* --- readers ------------------------------------------------------------- */

static void test_split(void **state)
{
	struct str json, rest;

	(void)state;
	assert_true(triton_split(STR("{}abc"), STR("2"), &json, &rest));
	assert_true(str_eq(json, STR("{}")) && str_eq(rest, STR("abc")));
	assert_true(triton_split(STR("{}"), (struct str){0}, &json, &rest));
	assert_true(str_eq(json, STR("{}")) && rest.n == 0);
	assert_false(triton_split(STR("{}"), STR("3"), &json, &rest));
	assert_false(triton_split(STR("{}"), STR("-1"), &json, &rest));
	assert_false(triton_split(STR("{}"), STR("99999999999999999999"), &json, &rest));
}

static void test_hostile(void **state)
{
	static const struct triton_names names = {.model = "m", .input = "i", .output = "o"};
	static const char *const bodies[] = {
		"{\"outputs\":[{\"name\":\"o\",\"shape\":[1,2],\"parameters\":{\"binary_data_"
		"size\":-8}}]}",
		"{\"outputs\":[{\"name\":\"o\",\"parameters\":{\"binary_data_size\":9e9}}]}",
		"{\"outputs\":[{\"name\":\"x\",\"parameters\":{\"binary_data_size\":"
		"9223372036854775807}},"
		"{\"name\":\"o\",\"parameters\":{\"binary_data_size\":8}}]}",
		"{\"outputs\":[{\"name\":\"o\",\"shape\":[1,2],\"parameters\":{\"binary_data_"
		"size\":7}}]}",
		"{\"outputs\":[{\"name\":\"o\",\"data\":[[[[[[[1]]]]]]]}]}",
		"{\"outputs\":[{\"name\":\"o\",\"data\":[]}]}",
		"{\"outputs\":[{\"name\":\"o\",\"data\":{}}]}",
		"{\"outputs\":[{\"name\":\"o\",\"data\":[1,2,3],\"shape\":[-1,-1]}]}",
		"{\"outputs\":{\"name\":\"o\"}}",
		"[]",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
		_buf_ struct buf words = {.max = 1024};
		json_t *root = json_loads(bodies[i], 0, NULL);
		struct vectors v = {0};

		assert_non_null(root);
		assert_int_not_equal(
			triton_read_vectors(root, STR("12345678"), 1, 0, &names, &v, &words),
			VECTOR_OK);
		assert_null(v.v);
		assert_true(buf_str(&words).n > 0);
		json_decref(root);
	}
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_forms),
		TEST(test_one_at_a_time),
		TEST(test_names),
		TEST(test_wrong_settings),
		TEST(test_model_changes),
		TEST(test_failures),
		TEST(test_binary_failures),
		TEST(test_first_failures),
		TEST(test_health),
		TEST(test_specs),
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
