/* Credential plugins: what they print, and how a run can go wrong. */
#include "kube/cred/exec_cred.h"

#include "base/mem.h"
#include "tests/lib/test_certs.h"

#include <errno.h>
#include <event2/event.h>
#include <jansson.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define V1   "client.authentication.k8s.io/v1"
#define HEAD "{\"kind\":\"ExecCredential\",\"apiVersion\":\"" V1 "\","
#define WALL (1800000000ULL * NSEC_PER_SEC) /* 2027-01-15T08:00:00Z */
#define MONO (1000ULL * NSEC_PER_SEC)

struct fixture {
	struct event_base *base;
	char folder[64];
	char script[128], out[128];
	/* what came of the run */
	bool done;
	int r;
	struct exec_answer answer;
	char error[1024];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->base = event_base_new();
	(void)snprintf(f->folder, sizeof(f->folder), "/tmp/kindred-exec-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	(void)snprintf(f->script, sizeof(f->script), "%s/plugin", f->folder);
	(void)snprintf(f->out, sizeof(f->out), "%s/out", f->folder);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	(void)unlink(f->script);
	(void)unlink(f->out);
	(void)rmdir(f->folder);
	exec_answer_done(&f->answer);
	event_base_free(f->base);
	free(f);
	return 0;
}

static void write_script(struct fixture *f, const char *text)
{
	FILE *s = fopen(f->script, "we");

	assert_non_null(s);
	(void)fprintf(s, "#!/bin/sh\n%s\n", text);
	(void)fclose(s);
	assert_int_equal(chmod(f->script, 0700), 0);
}

static void on_done(void *ctx, int r, struct exec_answer *a, const char *error)
{
	struct fixture *f = ctx;

	assert_false(f->done);
	f->done = true;
	f->r = r;
	f->answer = *a;
	*a = (struct exec_answer){0};
	(void)snprintf(f->error, sizeof(f->error), "%s", error);
}

static void turn(struct fixture *f, int ms)
{
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000};

	(void)event_base_loopexit(f->base, &tv);
	(void)event_base_dispatch(f->base);
}

static void run_with(struct fixture *f, const char *text, struct exec_config config,
		     struct exec_cred_opts o)
{
	struct exec_cred *x = NULL;
	_buf_ struct buf e;
	nsec_t end = clock_mono() + 20 * NSEC_PER_SEC;

	buf_init(&e, 4096);
	write_script(f, text);
	config.command = f->script;
	config.api_version = config.api_version ? config.api_version : (char[]){V1};
	o.base = f->base;
	o.config = &config;
	o.done = on_done;
	o.ctx = f;
	f->done = false;
	exec_answer_done(&f->answer);
	assert_int_equal(exec_cred_start(&o, &x, &e), 0);
	assert_false(f->done);
	while (!f->done && clock_mono() < end)
		turn(f, 5);
	assert_true(f->done);
}

static void run(struct fixture *f, const char *text)
{
	run_with(f, text, (struct exec_config){0}, (struct exec_cred_opts){0});
}

static void assert_failed(const struct fixture *f, int r, const char *words)
{
	if (f->r != r || !strstr(f->error, words))
		print_error("%d %s\n", f->r, f->error);
	assert_int_equal(f->r, r);
	assert_non_null(strstr(f->error, words));
	assert_non_null(strstr(f->error, f->script));
	assert_null(strstr(f->error, "secretpw"));
}

/* --- runs ---------------------------------------------------------------- */

static void test_good(void **state)
{
	struct fixture *f = *state;

	run(f, "echo '" HEAD "\"status\":{\"token\":\"abc\","
	       "\"expirationTimestamp\":\"2199-01-01T00:00:00Z\"}}'");
	assert_int_equal(f->r, 0);
	assert_string_equal(f->answer.token, "abc");
	assert_null(f->answer.cert);
	assert_true(f->answer.expires > clock_mono() + 1000 * NSEC_PER_SEC);
	assert_true(f->answer.expires != NSEC_NEVER);
}

/* Arguments, environment and standard input as promised. */
static void test_what_the_plugin_sees(void **state)
{
	struct fixture *f = *state;
	char *args[] = {(char[]){"a b"}, (char[]){""}, (char[]){"$HOME"}, NULL};
	char out[160];
	char *env[] = {out, (char[]){"TWICE=first"}, (char[]){"TWICE=plugin"}, NULL};
	struct exec_config c = {.args = args, .env = env, .cluster_info = true};
	struct exec_cluster k = {.server = "https://a:6443",
				 .server_name = "kubernetes",
				 .ca = STR("PEM"),
				 .insecure = true};
	char line[1024];

	(void)snprintf(out, sizeof(out), "OUT=%s", f->out);
	(void)setenv("TWICE", "ours", 1);
	(void)setenv("ONLY_OURS", "yes", 1);
	run_with(f,
		 "{ echo \"$#|$1|$2|$3|$TWICE|$ONLY_OURS\"; echo \"$KUBERNETES_EXEC_INFO\"; cat; "
		 "ls /proc/self/fd | tr '\\n' ' '; } >\"$OUT\"; echo '" HEAD
		 "\"status\":{\"token\":\"t\"}}'",
		 c, (struct exec_cred_opts){.cluster = &k});
	assert_int_equal(f->r, 0);
	assert_int_equal(f->answer.expires, NSEC_NEVER);
	FILE *r = fopen(f->out, "re");

	assert_non_null(r);
	assert_non_null(fgets(line, sizeof(line), r));
	assert_string_equal(line, "3|a b||$HOME|plugin|yes\n");
	assert_non_null(fgets(line, sizeof(line), r));
	assert_string_equal(line, "{\"spec\":{\"interactive\":false,"
				  "\"cluster\":{\"server\":\"https://a:6443\","
				  "\"tls-server-name\":\"kubernetes\","
				  "\"certificate-authority-data\":\"UEVN\","
				  "\"insecure-skip-tls-verify\":true}},"
				  "\"kind\":\"ExecCredential\",\"apiVersion\":\"" V1 "\"}\n");
	/* None of our descriptors, and nothing on standard input. */
	assert_non_null(fgets(line, sizeof(line), r));
	assert_string_equal(line, "0 1 2 3 ");
	(void)fclose(r);
}

static void test_exit_code(void **state)
{
	struct fixture *f = *state;

	run(f, "echo first >&2; echo 'no session; log in: Bearer secretpw' >&2; echo >&2; exit 1");
	assert_failed(f, -EIO, "exited with status 1: no session; log in: ");
	run(f, "kill -9 $$");
	assert_failed(f, -EIO, "was killed by signal 9");
}

static void test_install_hint(void **state)
{
	struct fixture *f = *state;
	struct exec_config c = {.install_hint = (char[]){"apt install it"}};

	run_with(f, "exit 3", c, (struct exec_cred_opts){0});
	assert_failed(f, -EIO, "status 3 (apt install it)");
}

/* The process named in f->out has ended; nobody need have reaped it. */
static void assert_gone(struct fixture *f)
{
	char path[64], state = 'Z';
	FILE *r = fopen(f->out, "re");
	int pid = 0;

	assert_non_null(r);
	assert_int_equal(fscanf(r, "%d", &pid), 1);
	(void)fclose(r);
	(void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	for (int i = 0; i < 100; i++) {
		r = fopen(path, "re");
		if (!r)
			return;
		(void)fscanf(r, "%*d %*s %c", &state);
		(void)fclose(r);
		if (state == 'Z')
			return;
		turn(f, 10);
	}
	fail_msg("process %d still runs", pid);
}

static void test_slow(void **state)
{
	struct fixture *f = *state;
	nsec_t began = clock_mono();
	char script[256];

	/* The first sleep is a grandchild that holds the pipe. */
	(void)snprintf(script, sizeof(script), "echo waiting >&2; sleep 60 & echo $! >%s; sleep 60",
		       f->out);
	run_with(f, script, (struct exec_config){0},
		 (struct exec_cred_opts){.timeout = 300 * NSEC_PER_MSEC});
	assert_failed(f, -ETIMEDOUT, "gave no answer within 0.3 s: waiting");
	assert_true(clock_mono() - began < 10 * NSEC_PER_SEC);
	assert_gone(f);
}

static void test_closed_output_but_alive(void **state)
{
	struct fixture *f = *state;

	run_with(f, "exec >&- 2>&-; sleep 60", (struct exec_config){0},
		 (struct exec_cred_opts){.timeout = 200 * NSEC_PER_MSEC});
	assert_failed(f, -ETIMEDOUT, "gave no answer within 0.2 s");
}

static void test_slow_but_in_time(void **state)
{
	struct fixture *f = *state;

	run(f, "printf '" HEAD "'; sleep 0.2; printf '\"status\":{\"token\":\"t\"}}'; exec >&-; "
	       "sleep 0.1");
	assert_int_equal(f->r, 0);
	assert_string_equal(f->answer.token, "t");
}

static void test_huge_output(void **state)
{
	struct fixture *f = *state;

	run(f, "cat /dev/zero");
	assert_failed(f, -EMSGSIZE, "printed more than 1048576 bytes");
	run(f, "yes some words to stderr | head -c 300000 >&2; echo >&2; echo last >&2; exit 1");
	assert_failed(f, -EIO, "status 1: last");
}

static void test_no_such_program(void **state)
{
	struct fixture *f = *state;
	struct exec_config c = {.command = (char[]){"kindred-no-such-plugin"},
				.api_version = (char[]){V1},
				.install_hint = (char[]){"get it"}};
	struct exec_cred_opts o = {.base = f->base, .config = &c, .done = on_done, .ctx = f};
	struct exec_cred *x = NULL;
	_buf_ struct buf e;

	buf_init(&e, 4096);
	assert_int_equal(exec_cred_start(&o, &x, &e), -ENOENT);
	assert_null(x);
	assert_int_equal(buf_append(&e, "", 1), 0);
	assert_string_equal(buf_str(&e).p, "credential plugin kindred-no-such-plugin: cannot be "
					   "run: No such file or directory (get it)");
	write_script(f, "true");
	assert_int_equal(chmod(f->script, 0600), 0);
	c.command = f->script;
	assert_int_equal(exec_cred_start(&o, &x, &e), -EACCES);
}

/* A cancelled run leaves nothing behind and says nothing. */
static void test_cancel(void **state)
{
	struct fixture *f = *state;
	struct exec_config c = {.command = f->script, .api_version = (char[]){V1}};
	struct exec_cred_opts o = {.base = f->base, .config = &c, .done = on_done, .ctx = f};
	struct exec_cred *x = NULL;
	_buf_ struct buf e;
	char script[256];
	FILE *r;
	int pid = 0;

	buf_init(&e, 4096);
	(void)snprintf(script, sizeof(script), "echo $$ >%s; sleep 60", f->out);
	write_script(f, script);
	assert_int_equal(exec_cred_start(&o, &x, &e), 0);
	for (int i = 0; i < 500 && !pid; i++) {
		turn(f, 10);
		r = fopen(f->out, "re");
		if (r && fscanf(r, "%d", &pid) != 1)
			pid = 0;
		if (r)
			(void)fclose(r);
	}
	assert_true(pid > 0);
	assert_int_equal(kill(pid, 0), 0);
	exec_cred_cancel(&x);
	assert_null(x);
	assert_int_equal(kill(pid, 0), -1);
	turn(f, 30);
	assert_false(f->done);
	exec_cred_cancel(&x);
}

static void test_bad_output(void **state)
{
	struct fixture *f = *state;

	run(f, "true");
	assert_failed(f, -EBADMSG, "it printed nothing");
	run(f, "echo '{\"token\": \"secretpw'");
	assert_failed(f, -EBADMSG, "its output is no JSON (line 1, column ");
}

/* --- documents ----------------------------------------------------------- */

static int parse(const char *json, struct exec_answer *ret, char *error, size_t n)
{
	_buf_ struct buf e;
	int r;

	buf_init(&e, 4096);
	r = exec_answer_parse(str_of(json), V1, WALL, MONO, ret, &e);
	(void)snprintf(error, n, "%.*s", STR_ARG(buf_str(&e)));
	return r;
}

static void test_broken_documents(void **state)
{
	static const struct {
		const char *json, *words;
		int r;
	} cases[] = {
		{"[]", "kind is \"\"", -EBADMSG},
		{"{\"kind\":\"Pod\"}", "kind is \"Pod\", expected ExecCredential", -EBADMSG},
		{"{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/"
		 "v1beta1\"}",
		 "apiVersion is \"client.authentication.k8s.io/v1beta1\", expected " V1, -EBADMSG},
		{HEAD "\"status\":null}", "has no status", -EBADMSG},
		{HEAD "\"status\":{}}", "neither token nor clientCertificateData", -EBADMSG},
		{HEAD "\"status\":{\"token\":\"\"}}", "neither token", -EBADMSG},
		{HEAD "\"status\":{\"token\":5}}", "status.token is no text", -EBADMSG},
		{HEAD "\"status\":{\"token\":\"secretpw\\n\"}}", "status.token holds a blank",
		 -EBADMSG},
		{HEAD "\"status\":{\"token\":\"a\",\"token\":\"b\"}}", "no JSON", -EBADMSG},
		{HEAD "\"status\":{\"clientCertificateData\":\"x\"}}", "only one of", -EBADMSG},
		{HEAD "\"status\":{\"clientCertificateData\":\"x\",\"clientKeyData\":\"y\"}}",
		 "the certificate is not in PEM", -EBADMSG},
		{HEAD "\"status\":{\"token\":\"a\",\"expirationTimestamp\":\"soon\"}}",
		 "\"soon\" is no time", -EBADMSG},
		{HEAD "\"status\":{\"token\":\"a\",\"expirationTimestamp\":\"2027-01-15T08:00:00\"}"
		      "}",
		 "is no time", -EBADMSG},
		{HEAD "\"status\":{\"token\":\"a\",\"expirationTimestamp\":\"2027-01-15T07:59:59Z\""
		      "}}",
		 "had expired already, at 2027-01-15T07:59:59Z", -ESTALE},
		{HEAD "\"status\":{\"token\":\"a\"}} trailing", "no JSON", -EBADMSG},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct exec_answer a = {0};
		char error[512];
		int r = parse(cases[i].json, &a, error, sizeof(error));

		if (r != cases[i].r || !strstr(error, cases[i].words))
			print_error("%s: %d %s\n", cases[i].json, r, error);
		assert_int_equal(r, cases[i].r);
		assert_non_null(strstr(error, cases[i].words));
		assert_null(strstr(error, "secretpw"));
		assert_null(a.token);
	}
}

static void test_times(void **state)
{
	static const struct {
		const char *text;
		nsec_t left; /* seconds */
	} cases[] = {
		{"2027-01-15T09:00:00Z", 3600},
		{"2027-01-15T08:00:10.75Z", 10},
		{"2027-01-15T10:00:00+01:00", 3600},
		{"2027-01-15T03:30:00-05:30", 3600},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct exec_answer a = {0};
		char json[512], error[512];

		(void)snprintf(json, sizeof(json),
			       HEAD "\"status\":{\"token\":\"a\",\"expirationTimestamp\":\"%s\"}}",
			       cases[i].text);
		assert_int_equal(parse(json, &a, error, sizeof(error)), 0);
		assert_int_equal(a.expires, MONO + cases[i].left * NSEC_PER_SEC);
		exec_answer_done(&a);
	}
}

static void test_far_future_is_never(void **state)
{
	struct exec_answer a = {0};
	char error[512];

	(void)state;
	assert_int_equal(parse(HEAD "\"status\":{\"token\":\"a\",\"expirationTimestamp\":"
				    "\"9999-12-31T23:59:59Z\"}}",
			       &a, error, sizeof(error)),
			 0);
	assert_int_equal(a.expires, NSEC_NEVER);
	exec_answer_done(&a);
}

static void test_certificate(void **state)
{
	struct test_cert c, other;
	struct exec_answer a = {0};
	char error[512];
	json_t *doc;
	char *text;

	(void)state;
	test_cert_make(&(struct test_cert_opts){.name = "me"}, &c);
	test_cert_make(&(struct test_cert_opts){.name = "other"}, &other);
	doc = json_pack("{s:s, s:s, s:{s:s, s:s}}", "kind", "ExecCredential", "apiVersion", V1,
			"status", "clientCertificateData", c.cert_pem, "clientKeyData", c.key_pem);
	text = json_dumps(doc, 0);
	assert_int_equal(parse(text, &a, error, sizeof(error)), 0);
	assert_string_equal(a.cert, c.cert_pem);
	assert_string_equal(a.key, c.key_pem);
	assert_null(a.token);
	exec_answer_done(&a);
	free(text);
	(void)json_object_set_new(json_object_get(doc, "status"), "clientKeyData",
				  json_string(other.key_pem));
	text = json_dumps(doc, 0);
	assert_int_equal(parse(text, &a, error, sizeof(error)), -EBADMSG);
	assert_non_null(strstr(error, "the key does not belong to the certificate"));
	free(text);
	json_decref(doc);
	test_cert_done(&c);
	test_cert_done(&other);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_good),
		T(test_what_the_plugin_sees),
		T(test_exit_code),
		T(test_install_hint),
		T(test_slow),
		T(test_closed_output_but_alive),
		T(test_slow_but_in_time),
		T(test_huge_output),
		T(test_no_such_program),
		T(test_cancel),
		T(test_bad_output),
		cmocka_unit_test(test_broken_documents),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_far_future_is_never),
		cmocka_unit_test(test_certificate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
