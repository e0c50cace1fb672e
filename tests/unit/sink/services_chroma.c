/* The Chroma client against a real Chroma server, and against answers that it never gives. */
#include "tests/unit/sink/services_rig.h"

#include <arpa/inet.h>
#include <signal.h>
#include <sys/socket.h>

#define PATIENCE (120 * NSEC_PER_SEC)
#define RECORDS	 700 /* more than two pages */

static struct proc chroma;
static char folder[64], data[96];
static unsigned port; /* 0: no server */

/* --- the server ---------------------------------------------------------- */

static unsigned free_port(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
	(void)close(fd);
	return ntohs(a.sin_port);
}

static void run_script(struct proc *p, const char *const *args)
{
	char script[256], home[256], npm[256], chroma_folder[256];
	const char *argv[8] = {"/bin/sh", script};
	const char *env[4] = {home};
	const char *up = access("tests/fake/chroma.sh", R_OK) == 0 ? "" : "../../../../";
	size_t n = 1;

	(void)snprintf(script, sizeof(script), "%stests/fake/chroma.sh", up);
	for (size_t i = 0; args[i]; i++)
		argv[2 + i] = args[i];
	(void)snprintf(home, sizeof(home), "HOME=%s", getenv("HOME") ? getenv("HOME") : "/tmp");
	if (getenv("KINDRED_CHROMA")) {
		(void)snprintf(chroma_folder, sizeof(chroma_folder), "KINDRED_CHROMA=%s",
			       getenv("KINDRED_CHROMA"));
		env[n++] = chroma_folder;
	}
	if (getenv("npm_config_registry")) {
		(void)snprintf(npm, sizeof(npm), "npm_config_registry=%s",
			       getenv("npm_config_registry"));
		env[n++] = npm;
	}
	assert_int_equal(proc_start(p, folder, args[0], argv, env), 0);
}

static void begin_chroma(void)
{
	char text[16];
	const char *args[] = {"run", data, text, NULL};

	(void)snprintf(text, sizeof(text), "%u", port);
	run_script(&chroma, args);
}

static bool answers(struct event_base *base, struct http *http)
{
	char url[96];
	struct probe p;
	bool yes;

	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/api/v2/heartbeat", port);
	probe_init(&p, base, http);
	assert_int_equal(probe_begin(&p, (struct http_request){.url = url, .proxy = ""}), 0);
	probe_wait(&p);
	yes = p.how == HTTP_DONE && p.status == 200;
	probe_done(&p);
	return yes;
}

static void await_chroma(void)
{
	struct rig r;

	rig_loop(&r);
	for (nsec_t end = clock_mono() + PATIENCE; !answers(r.base, r.http);) {
		if (!proc_running(&chroma) || clock_mono() > end)
			fail_msg("Chroma does not start: %s", proc_text(chroma.err));
		proc_sleep(50 * NSEC_PER_MSEC);
	}
	rig_done(&r);
}

static int group_setup(void **state)
{
	static const char *const args[] = {"install", NULL};
	struct proc p;

	(void)state;
	(void)snprintf(folder, sizeof(folder), "/tmp/kindred-chroma-XXXXXX");
	assert_non_null(mkdtemp(folder));
	(void)snprintf(data, sizeof(data), "%s/data", folder);
	run_script(&p, args);
	assert_int_equal(proc_wait(&p, 400 * NSEC_PER_SEC), 0);
	assert_true(p.code == 0 || p.code == 77);
	if (p.code == 77) {
		print_message("%s\n%s\n", proc_text(p.out), proc_text(p.err));
		return 0;
	}
	port = free_port();
	begin_chroma();
	await_chroma();
	return 0;
}

static int group_teardown(void **state)
{
	char rm[128];

	(void)state;
	proc_end_all(); /* SIGKILL: it does not reliably end by others */
	(void)snprintf(rm, sizeof(rm), "rm -rf %s", folder);
	return system(rm);
}

/* --- one test ------------------------------------------------------------ */

static void connect_to(struct rig *r, const char *path, struct backend_opts o)
{
	r->fake =
		(struct fake){.base = r->base, .http = r->http, .host = "127.0.0.1", .port = port};
	rig_backend(r, "chroma", path, o);
}

static int setup(void **state)
{
	static struct rig r;
	static unsigned number;
	static char collection[32];

	rig_loop(&r);
	*state = &r;
	if (!port)
		return 0;
	(void)snprintf(collection, sizeof(collection), "kindred-%u", number++);
	connect_to(&r, "", (struct backend_opts){.collection = str_of(collection)});
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;

	r->fake.port = 0;
	rig_done(r);
	return 0;
}

#define NEEDS_CHROMA()          \
	do {                    \
		if (!port)      \
			skip(); \
	} while (0)

static struct str collection_of(const struct rig *r)
{
	return str_of(strrchr(r->b->name, '/') + 1);
}

/* A request of the test's own. */
static json_t *raw(struct rig *r, const char *method, const char *path, const char *body)
{
	char full[256];

	(void)snprintf(full, sizeof(full),
		       "/api/v2/tenants/default_tenant/databases/default_database/collections%s",
		       path);
	return fake_ask(&r->fake, method, full, body);
}

static json_t *record(struct rig *r, const char *id)
{
	char path[128], body[256];
	json_t *c, *got;

	(void)snprintf(path, sizeof(path), "/%.*s", STR_ARG(collection_of(r)));
	c = raw(r, "GET", path, NULL);
	(void)snprintf(path, sizeof(path), "/%s/get", json_string_value(json_object_get(c, "id")));
	(void)snprintf(
		body, sizeof(body),
		"{\"ids\":[\"%s\"],\"include\":[\"metadatas\",\"documents\",\"embeddings\"]}", id);
	got = raw(r, "POST", path, body);
	json_decref(c);
	return got;
}

static size_t metadata_size(json_t *got, const char *key, const char **ret)
{
	json_t *m = json_array_get(json_object_get(got, "metadatas"), 0);

	*ret = json_string_value(json_object_get(m, key));
	return json_object_size(m);
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
	const char *value;
	json_t *got;
	size_t before;

	NEEDS_CHROMA();
	load(r, 20);
	assert_int_equal(rig_list(r, NULL), 20);
	assert_true(r->text_hash_right && r->meta_hash_right);
	rig_expect(r, rig_ensure(r), VECTOR_OK, "");
	got = record(r, r->ids[7]);
	before = metadata_size(got, "labels", &value);
	assert_string_equal(value, ",app=web,tier=front,");
	assert_string_equal(json_string_value(json_array_get(json_object_get(got, "documents"), 0)),
			    r->words[7]);
	for (uint32_t k = 0; k < RIG_DIM; k++) { /* through base64 */
		json_t *v = json_array_get(json_object_get(got, "embeddings"), 0);
		float f = (float)json_number_value(json_array_get(v, k));

		assert_memory_equal(&f, &r->vectors[7][k], sizeof(f));
	}
	json_decref(got);

	/* What became empty is gone there, by update and by upsert. */
	r->docs[7].fields[DOC_LABELS] = (struct str){0};
	rig_expect(r, rig_payload(r, 7, 1), VECTOR_OK, "");
	got = record(r, r->ids[7]);
	assert_int_equal(metadata_size(got, "labels", &value), before - 1);
	assert_null(value);
	assert_int_equal(json_array_size(json_object_get(got, "embeddings")), 1);
	json_decref(got);
	r->docs[7].fields[DOC_CREATED_AT] = (struct str){0};
	rig_expect(r, rig_upsert(r, 7, 1), VECTOR_OK, "");
	got = record(r, r->ids[7]);
	assert_int_equal(metadata_size(got, "created_at", &value), before - 2);
	json_decref(got);

	rig_expect(r, rig_remove(r, 0, 5), VECTOR_OK, "");
	rig_expect(r, rig_remove(r, 0, 6), VECTOR_OK, "");
	assert_int_equal(rig_list(r, NULL), 14);
}

static void test_pages(void **state)
{
	struct rig *r = *state;
	unsigned pages;
	char ids[RIG_DOCS][16];

	NEEDS_CHROMA();
	rig_docs(r, RIG_DOCS);
	rig_expect(r, rig_ensure(r), VECTOR_OK, "");
	for (uint32_t at = 0; at < RECORDS; at += RIG_DOCS) {
		for (uint32_t i = 0; i < RIG_DOCS; i++) {
			(void)snprintf(ids[i], sizeof(ids[i]), "id-%u", at + i);
			r->docs[i].id = str_of(ids[i]);
		}
		rig_expect(r, rig_upsert(r, 0, RIG_DOCS), VECTOR_OK, "");
	}
	assert_int_equal(rig_list(r, &pages), 704);
	assert_int_equal(pages, 3);
	rig_expect(r, rig_page(r, true), VECTOR_OK, "");
	assert_int_equal(json_object_size(r->known), 300);
	assert_int_equal(rig_list(r, NULL), 704);
}

static void test_clusters(void **state)
{
	struct rig *r = *state;
	_free_ char *collection = NULL;

	NEEDS_CHROMA();
	load(r, 4);
	collection = str_dup(collection_of(r));
	connect_to(r, "",
		   (struct backend_opts){.cluster = STR("east"), .collection = str_of(collection)});
	for (uint32_t i = 4; i < 7; i++) {
		rig_doc(r, i, "Pod", "shop");
		r->docs[i].fields[DOC_CLUSTER] = STR("east");
	}
	rig_expect(r, rig_ensure(r), VECTOR_OK, "");
	rig_expect(r, rig_upsert(r, 4, 3), VECTOR_OK, "");
	assert_int_equal(rig_list(r, NULL), 3);
	connect_to(r, "", (struct backend_opts){.collection = str_of(collection)});
	rig_expect(r, rig_ensure(r), VECTOR_OK, "");
	assert_int_equal(rig_list(r, NULL), 4);
}

static void test_search(void **state)
{
	struct rig *r = *state;
	struct backend_query q = {.dim = RIG_DIM, .n = 3};
	json_t *hit;

	NEEDS_CHROMA();
	load(r, 8);
	q.vector = r->vectors[5];
	rig_expect(r, rig_search(r, q), VECTOR_OK, "");
	assert_int_equal(json_array_size(r->json), 3);
	hit = json_array_get(r->json, 0);
	assert_string_equal(json_string_value(json_object_get(hit, "id")), r->ids[5]);
	assert_string_equal(json_string_value(json_object_get(hit, "text")), r->words[5]);
	assert_string_equal(json_string_value(json_object_get(hit, "kind")), "Deployment");
	assert_true(json_number_value(json_object_get(hit, "score")) > 0.999);
	assert_true(json_number_value(json_object_get(json_array_get(r->json, 1), "score")) < 0.5);
	q.n = 10;
	q.kind = STR("Service");
	rig_expect(r, rig_search(r, q), VECTOR_OK, "");
	assert_int_equal(json_array_size(r->json), 3);
	q.ns = STR("shop");
	rig_expect(r, rig_search(r, q), VECTOR_OK, "");
	assert_int_equal(json_array_size(r->json), 1);
	assert_string_equal(json_string_value(json_object_get(json_array_get(r->json, 0), "id")),
			    r->ids[3]);
	q.dim = 4;
	rig_expect(r, rig_search(r, q), VECTOR_SPLIT, "dimension of 8, got 4");
	q.vector = NULL;
	assert_int_equal(r->b->ops->search(r->b, &q, rig_on_search, r), -EINVAL);
}

static void test_mismatch(void **state)
{
	struct rig *r = *state;
	_free_ char *collection = NULL;
	struct backend_opts o = {0};

	NEEDS_CHROMA();
	rig_docs(r, 2);
	rig_expect(r, rig_ensure(r), VECTOR_OK, "");
	collection = str_dup(collection_of(r));
	o.collection = str_of(collection);
	/* Before the first record, too. */
	o.dim = 4;
	connect_to(r, "", o);
	rig_expect(r, rig_ensure(r), VECTOR_MISMATCH,
		   "it holds vectors of 8 dimensions, distance cosine, but 4 dimensions");
	o.dim = 0;
	connect_to(r, "", o);
	rig_expect(r, rig_ensure(r), VECTOR_OK, "");
	rig_expect(r, rig_upsert(r, 0, 2), VECTOR_OK, "");
	o.dim = 4;
	connect_to(r, "", o);
	rig_expect(r, rig_ensure(r), VECTOR_MISMATCH, "it holds vectors of 8 dimensions");
	o.dim = 0;
	o.model = STR("openai:other");
	connect_to(r, "", o);
	rig_expect(r, rig_ensure(r), VECTOR_MISMATCH,
		   "model \"hash-v1:8\", but \"openai:other\" is in use");
	o.model = (struct str){0};
	o.template_ = STR("t9/json");
	connect_to(r, "", o);
	rig_expect(r, rig_ensure(r), VECTOR_MISMATCH,
		   "template \"t1/rich\", but \"t9/json\" is in use");
}

/* Made by hand: empty it becomes ours, with records of somebody else it does not. */
static void test_made_by_others(void **state)
{
	struct rig *r = *state;
	json_t *c;
	char path[96];

	NEEDS_CHROMA();
	json_decref(
		raw(r, "POST", "",
		    "{\"name\":\"by-hand\",\"configuration\":{\"hnsw\":{\"space\":\"cosine\"}}}"));
	connect_to(r, "", (struct backend_opts){.collection = STR("by-hand")});
	rig_expect(r, rig_ensure(r), VECTOR_OK, "");
	c = raw(r, "GET", "/by-hand", NULL);
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(c, "metadata"), "model")),
		"hash-v1:8");
	json_decref(c);
	c = raw(r, "POST", "",
		"{\"name\":\"others\",\"configuration\":{\"hnsw\":{\"space\":\"cosine\"}}}");
	(void)snprintf(path, sizeof(path), "/%s/upsert",
		       json_string_value(json_object_get(c, "id")));
	json_decref(c);
	json_decref(raw(r, "POST", path, "{\"ids\":[\"a\"],\"embeddings\":[[1,0,0,0,0,0,0,0]]}"));
	connect_to(r, "", (struct backend_opts){.collection = STR("others")});
	rig_expect(r, rig_ensure(r), VECTOR_MISMATCH, "entries without model and template");
	json_decref(raw(r, "POST", "",
			"{\"name\":\"far\",\"configuration\":{\"hnsw\":{\"space\":\"l2\"}}}"));
	connect_to(r, "", (struct backend_opts){.collection = STR("far")});
	rig_expect(r, rig_ensure(r), VECTOR_MISMATCH, "distance l2");
}

static void test_gone_and_made_again(void **state)
{
	struct rig *r = *state;
	char path[96];

	NEEDS_CHROMA();
	load(r, 2);
	(void)snprintf(path, sizeof(path), "/%.*s", STR_ARG(collection_of(r)));
	json_decref(raw(r, "DELETE", path, NULL));
	rig_expect(r, rig_upsert(r, 0, 2), VECTOR_GONE,
		   "answered 404: NotFoundError: Collection [");
	rig_expect(r, rig_remove(r, 0, 2), VECTOR_GONE, "404");
	rig_expect(r, rig_page(r, true), VECTOR_GONE, "404");
	rig_expect(r, rig_ensure(r), VECTOR_OK, "");
	rig_expect(r, rig_upsert(r, 0, 2), VECTOR_OK, "");
	assert_int_equal(rig_list(r, NULL), 2);
}

/* What was acknowledged outlives a kill. */
static void test_killed(void **state)
{
	struct rig *r = *state;

	NEEDS_CHROMA();
	load(r, 5);
	assert_int_equal(proc_stop(&chroma, SIGKILL, PATIENCE, NULL), 0);
	rig_expect(r, rig_upsert(r, 0, 5), VECTOR_RETRY, "upsert: ");
	rig_expect(r, rig_health(r), VECTOR_RETRY, "health: ");
	begin_chroma();
	await_chroma();
	rig_expect(r, rig_health(r), VECTOR_OK, "");
	rig_expect(r, rig_ensure(r), VECTOR_OK, "");
	assert_int_equal(rig_list(r, NULL), 5);
}

static void test_tenants(void **state)
{
	struct rig *r = *state;

	NEEDS_CHROMA();
	fake_tell(&r->fake, "/api/v2/tenants", "{\"name\":\"team\"}");
	fake_tell(&r->fake, "/api/v2/tenants/team/databases", "{\"name\":\"base\"}");
	connect_to(r, "/api/v2/tenants/team/databases/base/", (struct backend_opts){0});
	assert_non_null(strstr(r->b->name, "/api/v2/tenants/team/databases/base/kindred"));
	load(r, 3);
	assert_int_equal(rig_list(r, NULL), 3);
	connect_to(r, "/api/v2/tenants/team/databases/missing", (struct backend_opts){0});
	assert_int_not_equal(rig_ensure(r), VECTOR_OK);
}

static void test_cancel(void **state)
{
	struct rig *r = *state;

	NEEDS_CHROMA();
	load(r, 2);
	assert_int_equal(r->b->ops->upsert(r->b, r->bdocs, 2, rig_on_done, r), 0);
	assert_int_equal(r->b->ops->upsert(r->b, r->bdocs, 2, rig_on_done, r), -EBUSY);
	r->b->ops->cancel(r->b);
	probe_turn(r->base, 20);
	assert_false(r->ended);
	rig_expect(r, rig_upsert(r, 0, 2), VECTOR_OK, "");
	r->b->max_batch = 1;
	assert_int_equal(r->b->ops->upsert(r->b, r->bdocs, 2, rig_on_done, r), -EMSGSIZE);
}

/* --- answers that a real one does not give ------------------------------- */

#define LIMITS "{\"path\":\"pre-flight\",\"status\":200,\"body\":{\"max_batch_size\":7}}"
#define FOUND                                                                                \
	"{\"path\":\"collections\",\"status\":200,\"body\":{\"id\":\"0-a\",\"dimension\":8," \
	"\"metadata\":{\"model\":\"hash-v1:8\",\"template\":\"t1/rich\"}}}"

static void test_strange(void **state)
{
	static const struct {
		const char *limits, *collection;
		enum vector_outcome how;
		const char *words;
	} cases[] = {
		{LIMITS, FOUND, VECTOR_OK, ""},
		{"{\"status\":200,\"body\":[1]}", NULL, VECTOR_RETRY, "no max_batch_size"},
		{"{\"status\":410,\"body\":{\"error\":\"Unimplemented\",\"message\":\"v1\"}}", NULL,
		 VECTOR_GONE, "limits: answered 410: Unimplemented: v1"},
		{"{\"status\":200,\"body\":\"<html>\"}", NULL, VECTOR_RETRY, "no JSON"},
		{"{\"half\":true}", NULL, VECTOR_RETRY, ""},
		{LIMITS, "{\"status\":200,\"body\":{\"id\":\"../x\"}}", VECTOR_RETRY,
		 "no id of a collection"},
		{LIMITS, "{\"status\":200,\"body\":{}}", VECTOR_RETRY, "no id of a collection"},
		{LIMITS, "{\"status\":413,\"body\":\"length limit exceeded\"}", VECTOR_SPLIT,
		 "answered 413: length limit exceeded"},
		{LIMITS, "{\"status\":401,\"body\":{\"error\":\"x\",\"message\":\"no\"}}",
		 VECTOR_REFUSED, "make collection: answered 401: x: no"},
	};
	struct rig *r = *state;

	if (!fake_possible())
		skip();
	rig_fake(r, "openai.py", NULL);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		rig_backend(r, "chroma", "", (struct backend_opts){0});
		fake_tell(&r->fake, "/_fake/clear", "{}");
		fake_fault(&r->fake, cases[i].limits);
		if (cases[i].collection)
			fake_fault(&r->fake, cases[i].collection);
		rig_expect(r, rig_ensure(r), cases[i].how, cases[i].words);
	}
	rig_docs(r, 8);
	fake_fault(&r->fake, LIMITS);
	fake_fault(&r->fake, FOUND);
	rig_expect(r, rig_ensure(r), VECTOR_OK, "");
	assert_int_equal(r->b->max_batch, 7);
	fake_fault(&r->fake, "{\"status\":429,\"headers\":{\"Retry-After\":\"4\"}}");
	rig_expect(r, rig_upsert(r, 0, 7), VECTOR_RETRY, "upsert: answered 429");
	assert_int_equal(r->retry_after, 4 * NSEC_PER_SEC);
	fake_fault(&r->fake, "{\"status\":200,\"body\":{\"ids\":[\"a\"],\"metadatas\":[]}}");
	rig_expect(r, rig_page(r, true), VECTOR_RETRY, "list: the answer has no ids and metadatas");
	fake_fault(&r->fake, "{\"status\":200,\"body\":{\"ids\":[]}}");
	rig_expect(r,
		   rig_search(r, (struct backend_query){.vector = r->vectors[0], .dim = 8, .n = 1}),
		   VECTOR_RETRY, "search: the answer has no ids and distances");
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_write),
		TEST(test_pages),
		TEST(test_clusters),
		TEST(test_search),
		TEST(test_mismatch),
		TEST(test_made_by_others),
		TEST(test_gone_and_made_again),
		TEST(test_tenants),
		TEST(test_cancel),
		TEST(test_strange),
		TEST(test_killed),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
