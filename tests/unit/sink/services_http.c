/* What every service has: credentials, TLS, URLs, limits, and words without secrets. */
#include "tests/unit/sink/services_rig.h"

#include "sink/vector/service_http.h"
#include "tests/lib/test_certs.h"

struct asked {
	struct rig *r;
	int status;
	size_t body;
};
static struct asked seen;

static int setup(void **state)
{
	static struct rig r;

	rig_loop(&r);
	seen = (struct asked){.r = &r};
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

static void on_answer(void *ctx, const struct service_answer *a)
{
	(void)ctx;
	seen.status = a->status;
	seen.body = a->body.n;
	rig_end(seen.r, &a->end);
}

static struct service *make(struct rig *r, const char *path, struct service_access access,
			    size_t max_answer)
{
	char url[200];
	_buf_ struct buf error = {.max = 1024};
	struct service_opts o = {.base = r->base,
				 .http = r->http,
				 .url = str_of(fake_url(&r->fake, path, url, sizeof(url))),
				 .access = access,
				 .max_request = 1 << 20,
				 .max_answer = max_answer ? max_answer : 1 << 20};
	struct service *s = NULL;

	if (service_new(&o, &s, &error) < 0)
		fail_msg("%.*s", STR_ARG(buf_str(&error)));
	return s;
}

static enum vector_outcome ask(struct rig *r, struct service *s)
{
	struct service_request req = {.what = "models",
				      .method = "GET",
				      .path = STR("/v1/models"),
				      .json = true,
				      .done = on_answer};

	return rig_wait(r, service_ask(s, &req));
}

static void test_token(void **state)
{
	struct rig *r = *state;
	static const char *const args[] = {"--token", RIG_SECRET, NULL};
	struct service *s;

	NEEDS_FAKE();
	rig_fake(r, "openai.py", args);
	s = make(r, "", (struct service_access){.token_file = rig_token(r, RIG_SECRET "\n")}, 0);
	rig_expect(r, ask(r, s), VECTOR_OK, "");
	/* The server repeats what it was sent; people are not told. */
	(void)rig_token(r, "  other-" RIG_SECRET);
	rig_expect(r, ask(r, s), VECTOR_REFUSED, "answered 401: Incorrect API key provided: ");
	assert_non_null(strstr(r->text, "[redacted]"));
	(void)rig_token(r, RIG_SECRET);
	rig_expect(r, ask(r, s), VECTOR_OK, "");
	(void)rig_token(r, RIG_SECRET "\nX-Other: 1");
	for (int i = 0; i < 2; i++)
		rig_expect(r, ask(r, s), VECTOR_REFUSED, "holds a blank, line break");
	(void)rig_token(r, RIG_SECRET);
	rig_expect(r, ask(r, s), VECTOR_OK, "");
	/* A file that is being replaced may be away, or empty, for a moment. */
	(void)rig_token(r, "");
	rig_expect(r, ask(r, s), VECTOR_OK, "");
	assert_int_equal(unlink(r->token_file), 0);
	rig_expect(r, ask(r, s), VECTOR_OK, "");
	service_free(&s);
	s = make(r, "", (struct service_access){0}, 0);
	rig_expect(r, ask(r, s), VECTOR_REFUSED, "answered 401");
	service_free(&s);
	assert_int_equal(fake_complaints(&r->fake), 0);
}

static void test_token_header(void **state)
{
	struct rig *r = *state;
	static const char *const args[] = {"--token", RIG_SECRET, "--token-header", "api-key",
					   NULL};
	struct service *s;

	NEEDS_FAKE();
	rig_fake(r, "openai.py", args);
	s = make(r, "",
		 (struct service_access){.token_file = rig_token(r, RIG_SECRET),
					 .header = "api-key"},
		 0);
	rig_expect(r, ask(r, s), VECTOR_OK, "");
	service_free(&s);
}

static void test_prefix_and_ipv6(void **state)
{
	struct rig *r = *state;
	static const char *const args[] = {"--prefix", "/some/where", NULL};
	struct service *s;

	NEEDS_FAKE();
	if (access("/proc/net/if_inet6", R_OK) < 0) {
		print_message("skipped: no IPv6 (cannot run here)\n");
		skip();
	}
	fake_start(&r->fake, r->base, r->http,
		   &(struct fake_opts){.script = "openai.py", .args = args, .host = "::1"});
	s = make(r, "/some/where//", (struct service_access){0}, 0);
	assert_non_null(strstr(service_url(s), "http://[::1]:"));
	assert_null(strstr(service_url(s), "where/"));
	rig_expect(r, ask(r, s), VECTOR_OK, "");
	assert_int_equal(fake_complaints(&r->fake), 0);
	service_free(&s);
}

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void test_tls(void **state)
{
	struct rig *r = *state;
	struct test_cert ca = {0}, other = {0}, cert = {0};
	struct service *s;
	char path[] = "/tmp/kindred-ca-XXXXXX";
	int fd;

	NEEDS_FAKE();
	test_cert_make(&(struct test_cert_opts){.name = "kindred test CA", .ca = true}, &ca);
	test_cert_make(&(struct test_cert_opts){.name = "another CA", .ca = true}, &other);
	test_cert_make(&(struct test_cert_opts){.name = "db", .san = "IP:127.0.0.1", .issuer = &ca},
		       &cert);
	fake_start(&r->fake, r->base, r->http,
		   &(struct fake_opts){
			   .script = "openai.py", .cert = cert.cert_pem, .key = cert.key_pem});
	fd = mkstemp(path);
	assert_true(fd >= 0);
	(void)close(fd);
	write_file(path, other.cert_pem);
	s = make(r, "", (struct service_access){.ca_file = path}, 0);
	rig_expect(r, ask(r, s), VECTOR_RETRY, "its issuer is not among the trusted authorities");
	write_file(path, ca.cert_pem); /* mended while it runs */
	rig_expect(r, ask(r, s), VECTOR_OK, "");
	service_free(&s);
	s = make(r, "", (struct service_access){0}, 0);
	rig_expect(r, ask(r, s), VECTOR_RETRY, "models: ");
	service_free(&s);
	s = make(r, "", (struct service_access){.insecure = true}, 0);
	rig_expect(r, ask(r, s), VECTOR_OK, "");
	service_free(&s);
	(void)unlink(path);
	test_cert_done(&ca);
	test_cert_done(&other);
	test_cert_done(&cert);
}

static void test_redirect(void **state)
{
	struct rig *r = *state;
	struct service *s;

	NEEDS_FAKE();
	rig_fake(r, "openai.py", NULL);
	s = make(r, "", (struct service_access){0}, 0);
	fake_fault(&r->fake, "{\"status\":307,\"headers\":{\"Location\":"
			     "\"https://user:pass" RIG_SECRET "@login.example/next\"}}");
	rig_expect(r, ask(r, s), VECTOR_REFUSED,
		   "a redirect to https://[redacted]@login.example/next, which is not followed");
	assert_int_equal(fake_requests(&r->fake), 1);
	fake_fault(&r->fake, "{\"status\":304}");
	rig_expect(r, ask(r, s), VECTOR_REFUSED, "answered 304");
	service_free(&s);
}

static void test_long_answers(void **state)
{
	struct rig *r = *state;
	struct service *s;
	_buf_ struct buf fault = {.max = 1 << 20};

	NEEDS_FAKE();
	rig_fake(r, "openai.py", NULL);
	s = make(r, "", (struct service_access){0}, 10000);
	assert_int_equal(buf_printf(&fault, "{\"status\":200,\"body\":\"%09999d\"}%c", 0, 0), 0);
	fake_fault(&r->fake, buf_str(&fault).p);
	rig_expect(r, ask(r, s), VECTOR_RETRY, "no JSON (9999 bytes): 0000");
	buf_reset(&fault);
	assert_int_equal(buf_printf(&fault, "{\"status\":200,\"body\":\"%010001d\"}%c", 0, 0), 0);
	fake_fault(&r->fake, buf_str(&fault).p);
	rig_expect(r, ask(r, s), VECTOR_SPLIT, "models: the answer is longer than 10000 bytes");
	/* Of a refusal the beginning is enough. */
	buf_reset(&fault);
	assert_int_equal(buf_printf(&fault, "{\"status\":500,\"body\":\"%0200001d\"}%c", 0, 0), 0);
	fake_fault(&r->fake, buf_str(&fault).p);
	service_free(&s);
	s = make(r, "", (struct service_access){0}, 1 << 20);
	rig_expect(r, ask(r, s), VECTOR_RETRY, "answered 500: 0000");
	assert_true(seen.body <= 65536);
	rig_expect(r, ask(r, s), VECTOR_OK, "");
	service_free(&s);
}

/* Both forms of RFC 9110: seconds here, a date in unit/http. */
static void test_retry_after(void **state)
{
	struct rig *r = *state;
	struct service *s;

	NEEDS_FAKE();
	rig_fake(r, "openai.py", NULL);
	s = make(r, "", (struct service_access){0}, 0);
	fake_fault(&r->fake, "{\"status\":503,\"headers\":{\"Retry-After\":\"9\"}}");
	rig_expect(r, ask(r, s), VECTOR_RETRY, "models: answered 503");
	assert_int_equal(r->retry_after, 9 * NSEC_PER_SEC);
	fake_fault(&r->fake, "{\"delay\":0.05}");
	rig_expect(r, ask(r, s), VECTOR_OK, "");
	assert_int_equal(r->retry_after, 0);
	service_free(&s);
}

static void refuse_service(struct rig *r, const char *url, struct service_access access,
			   const char *words)
{
	_buf_ struct buf error = {.max = 1024};
	struct service_opts o = {
		.base = r->base, .http = r->http, .url = str_of(url), .access = access};
	struct service *s = NULL;

	assert_int_equal(service_new(&o, &s, &error), -EINVAL);
	assert_int_equal(buf_append(&error, "", 1), 0);
	if (!strstr(buf_str(&error).p, words))
		print_error("%s\n", buf_str(&error).p);
	assert_non_null(strstr(buf_str(&error).p, words));
	assert_null(strstr(buf_str(&error).p, RIG_SECRET));
	assert_null(s);
}

static void test_refused_settings(void **state)
{
	struct rig *r = *state;

	refuse_service(r, "", (struct service_access){0}, "expected https://HOST:PORT");
	refuse_service(r, "ftp://x", (struct service_access){0}, "expected https://HOST:PORT");
	refuse_service(r, "http://", (struct service_access){0}, "has no host");
	refuse_service(r, "http://h:0", (struct service_access){0}, "bad port");
	refuse_service(r, "http://[::1", (struct service_access){0}, "expected [IPv6 address]");
	refuse_service(r, "http://h/?k=" RIG_SECRET, (struct service_access){0}, "no query");
	refuse_service(r, "http://u:" RIG_SECRET "@h", (struct service_access){0},
		       "no user or password");
	refuse_service(r, "http://h", (struct service_access){.token_file = "/nowhere/x"},
		       "token file /nowhere/x: No such file");
	refuse_service(r, "http://h", (struct service_access){.ca_file = "/nowhere/ca"},
		       "CA file /nowhere/ca: No such file");
	refuse_service(r, "http://h",
		       (struct service_access){.token_file = rig_token(r, RIG_SECRET " x")},
		       "holds a blank, line break");
	refuse_service(
		r, "http://h",
		(struct service_access){.token_file = rig_token(r, RIG_SECRET), .header = "a: b"},
		"no name of a header");
}

static void refuse_spec(struct rig *r, const char *spec, bool backend, const char *words)
{
	_buf_ struct buf error = {.max = 2048};
	struct embedder *e = NULL;
	struct backend *b = NULL;
	int got = backend ? backend_new(&(struct backend_opts){.base = r->base,
							       .http = r->http,
							       .spec = str_of(spec),
							       .collection = STR("kindred")},
					&b, &error)
			  : embedder_new(&(struct embedder_opts){.base = r->base,
								 .http = r->http,
								 .spec = str_of(spec)},
					 &e, &error);

	assert_int_equal(got, -EINVAL);
	assert_int_equal(buf_append(&error, "", 1), 0);
	if (!strstr(buf_str(&error).p, words))
		print_error("%s: %s\n", spec, buf_str(&error).p);
	assert_non_null(strstr(buf_str(&error).p, words));
	assert_null(strstr(buf_str(&error).p, RIG_SECRET));
}

static void test_specs(void **state)
{
	struct rig *r = *state;
	_buf_ struct buf error = {.max = 2048};
	struct backend *b = NULL;
	struct embedder *e = NULL;

	refuse_spec(r, "", false, "--embed : expected one of hash, hash:1024");
	refuse_spec(r, "word2vec:" RIG_SECRET, false, "--embed word2vec:...: expected one of");
	refuse_spec(r, "hash:7", false, "--embed hash: hash:7: expected a number of dimensions");
	refuse_spec(r, "hash:4097", false, "from 8 to 4096");
	refuse_spec(r, "hash:x", false, "such as hash:384 or hash:1024");
	refuse_spec(r, "openai:host", false, "--embed openai: the URL expected https://HOST:PORT");
	refuse_spec(r, "milvus:http://x", true, "--vector milvus:...: expected one of");
	refuse_spec(r, "qdrant", true, "--vector qdrant: the URL expected https://HOST:PORT");
	refuse_spec(r, "qdrant:http://" RIG_SECRET ":x@h", true, "no user or password");
	assert_int_equal(backend_new(&(struct backend_opts){.base = r->base,
							    .http = r->http,
							    .spec = STR("qdrant:http://h"),
							    .collection = STR("a/b")},
				     &b, &error),
			 -EINVAL);
	assert_non_null(memmem(buf_str(&error).p, buf_str(&error).n,
			       "--vector-collection a/b: expected 3 to", 38));
	buf_reset(&error);
	assert_int_equal(embedder_new(&(struct embedder_opts){.base = r->base,
							      .spec = STR("openai:http://h")},
				      &e, &error),
			 -EINVAL);
	assert_non_null(memmem(buf_str(&error).p, buf_str(&error).n, "needs the network", 17));
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_token),	TEST(test_token_header),     TEST(test_prefix_and_ipv6),
		TEST(test_tls),		TEST(test_redirect),	     TEST(test_long_answers),
		TEST(test_retry_after), TEST(test_refused_settings), TEST(test_specs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
