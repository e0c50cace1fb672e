/* Which credentials are chosen, and how they follow files, plugins and refusals. */
#include "kube/cred/cred.h"

#include "base/mem.h"
#include "tests/lib/test_certs.h"

#include <errno.h>
#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define SEC NSEC_PER_SEC

struct fixture {
	struct event_base *base;
	char folder[64];
	struct test_cert ca, client, other;
	struct kube_cred *c;
	unsigned ready;
	nsec_t now;
};

/* Paths below the test's folder; several can be in use at once. */
static const char *at(const struct fixture *f, const char *name)
{
	static char p[8][160];
	static unsigned n;
	char *path = p[n++ % 8];

	(void)snprintf(path, sizeof(p[0]), "%s/%s", f->folder, name);
	return path;
}

static void put(const struct fixture *f, const char *name, const char *text)
{
	FILE *s = fopen(at(f, name), "we");

	assert_non_null(s);
	(void)fputs(text, s);
	(void)fclose(s);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->base = event_base_new();
	f->now = 100 * SEC;
	(void)snprintf(f->folder, sizeof(f->folder), "/tmp/kindred-cred-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	test_cert_make(&(struct test_cert_opts){.name = "ca", .ca = true}, &f->ca);
	test_cert_make(&(struct test_cert_opts){.name = "client", .issuer = &f->ca}, &f->client);
	test_cert_make(&(struct test_cert_opts){.name = "other", .issuer = &f->ca}, &f->other);
	(void)unsetenv("KUBERNETES_SERVICE_HOST");
	(void)unsetenv("KUBERNETES_SERVICE_PORT");
	(void)setenv("HOME", f->folder, 1);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char command[128];

	kube_cred_free(&f->c);
	test_cert_done(&f->ca);
	test_cert_done(&f->client);
	test_cert_done(&f->other);
	(void)snprintf(command, sizeof(command), "rm -r '%s'", f->folder);
	assert_int_equal(system(command), 0);
	event_base_free(f->base);
	free(f);
	return 0;
}

static void on_ready(void *ctx)
{
	((struct fixture *)ctx)->ready++;
}

static void make(struct fixture *f, struct kube_cred_opts o)
{
	_buf_ struct buf e;

	buf_init(&e, 4096);
	o.base = f->base;
	o.ready = on_ready;
	o.ctx = f;
	kube_cred_free(&f->c);
	if (kube_cred_new(&o, &f->c, &e) < 0)
		print_error("%.*s\n", STR_ARG(buf_str(&e)));
	assert_non_null(f->c);
}

static int make_fails(struct fixture *f, struct kube_cred_opts o, const char *words)
{
	struct kube_cred *c = NULL;
	_buf_ struct buf e;
	int r;

	buf_init(&e, 4096);
	o.base = f->base;
	r = kube_cred_new(&o, &c, &e);
	assert_null(c);
	assert_int_equal(buf_append(&e, "", 1), 0);
	if (r >= 0 || !strstr(buf_str(&e).p, words))
		print_error("%d %s\n", r, buf_str(&e).p);
	assert_true(r < 0);
	assert_non_null(strstr(buf_str(&e).p, words));
	assert_null(strstr(buf_str(&e).p, "secretpw"));
	return r;
}

static struct kube_access access_now(struct fixture *f)
{
	struct kube_access a = {0};

	assert_int_equal(kube_cred_get(f->c, f->now, &a), KUBE_CRED_READY);
	return a;
}

static void assert_bearer(struct fixture *f, const char *token)
{
	struct kube_access a = access_now(f);
	char want[256];

	(void)snprintf(want, sizeof(want), "Bearer %s", token);
	assert_int_equal(a.n_headers, 1);
	assert_true(str_eq(a.headers[0].name, STR("Authorization")));
	if (!str_eq(a.headers[0].value, str_of(want)))
		print_error("%.*s\n", STR_ARG(a.headers[0].value));
	assert_true(str_eq(a.headers[0].value, str_of(want)));
}

/* --- by URL -------------------------------------------------------------- */

static void test_plain_url(void **state)
{
	struct fixture *f = *state;

	make(f, (struct kube_cred_opts){.api_server = "http://127.0.0.1:8001/"});
	struct kube_access a = access_now(f);

	assert_string_equal(a.url, "http://127.0.0.1:8001");
	assert_int_equal(a.n_headers, 0);
	assert_null(a.proxy);
	assert_int_equal(a.tls->ca.n, 0);
	assert_string_equal(kube_cred_source(f->c), "http://127.0.0.1:8001 (--api-server)");
	assert_string_equal(kube_cred_error(f->c), "");
}

static void test_url_with_files(void **state)
{
	struct fixture *f = *state;

	put(f, "token", "  abc.def \n");
	put(f, "ca", f->ca.cert_pem);
	put(f, "crt", f->client.cert_pem);
	put(f, "key", f->client.key_pem);
	make(f, (struct kube_cred_opts){.api_server = "https://a:6443",
					.kubeconfig = "/nowhere", /* comes after */
					.token_file = at(f, "token"),
					.ca_file = at(f, "ca"),
					.client_cert = at(f, "crt"),
					.client_key = at(f, "key")});
	assert_bearer(f, "abc.def");
	struct kube_access a = access_now(f);

	assert_true(str_eq(a.tls->ca, str_of(f->ca.cert_pem)));
	assert_true(str_eq(a.tls->cert, str_of(f->client.cert_pem)));
	assert_true(str_eq(a.tls->key, str_of(f->client.key_pem)));
	assert_false(a.tls->insecure);
}

static void test_bad_options(void **state)
{
	struct fixture *f = *state;
	struct kube_cred_opts o = {.api_server = "https://a"};

	put(f, "empty", "");
	put(f, "blank", " \n");
	put(f, "lines", "secretpw\nb\n");
	put(f, "text", "secretpw");
	put(f, "crt", f->client.cert_pem);
	put(f, "key", f->other.key_pem);
	make_fails(f, (struct kube_cred_opts){.api_server = "a:1"},
		   "--api-server: expected https://HOST:PORT");
	make_fails(f, (struct kube_cred_opts){.token_file = "x"},
		   "--token-file goes with --api-server");
	o.token_file = at(f, "none");
	assert_int_equal(make_fails(f, o, "/none: No such file or directory"), -ENOENT);
	o.token_file = at(f, "empty");
	make_fails(f, o, "/empty: is empty");
	o.token_file = at(f, "blank");
	make_fails(f, o, "/blank: is empty");
	o.token_file = at(f, "lines");
	make_fails(f, o, "/lines: holds a blank, line break");
	o.token_file = f->folder;
	make_fails(f, o, "is no regular file");
	o.token_file = NULL;
	o.ca_file = at(f, "text");
	make_fails(f, o, "/text: holds no certificate");
	o.ca_file = NULL;
	o.client_key = at(f, "key");
	make_fails(f, o, "--client-key is given without --client-cert");
	o.client_cert = at(f, "crt");
	make_fails(f, o, "/crt: the key does not belong to the certificate");
}

static void test_nothing_found(void **state)
{
	struct fixture *f = *state;

	make_fails(f, (struct kube_cred_opts){0}, "no API server: give --kubeconfig FILE");
}

/* --- in a pod ------------------------------------------------------------ */

/* As kubelet lays it out: token -> ..data/token, ..data -> a folder with the time. */
static void service_account(struct fixture *f, const char *generation, const char *token)
{
	char name[64];

	(void)mkdir(at(f, "sa"), 0700);
	(void)snprintf(name, sizeof(name), "sa/%s", generation);
	assert_int_equal(mkdir(at(f, name), 0700), 0);
	(void)snprintf(name, sizeof(name), "sa/%s/token", generation);
	put(f, name, token);
	(void)snprintf(name, sizeof(name), "sa/%s/ca.crt", generation);
	put(f, name, f->ca.cert_pem);
	assert_int_equal(symlink(generation, at(f, "sa/..data_tmp")), 0);
	assert_int_equal(rename(at(f, "sa/..data_tmp"), at(f, "sa/..data")), 0);
	(void)symlink("..data/token", at(f, "sa/token"));
	(void)symlink("..data/ca.crt", at(f, "sa/ca.crt"));
}

static void in_pod(struct fixture *f, const char *host)
{
	(void)setenv("KUBERNETES_SERVICE_HOST", host, 1);
	(void)setenv("KUBERNETES_SERVICE_PORT", "443", 1);
	make(f, (struct kube_cred_opts){.service_account = at(f, "sa")});
}

static void test_in_a_pod(void **state)
{
	struct fixture *f = *state;

	service_account(f, "one", "first");
	in_pod(f, "10.96.0.1");
	struct kube_access a = access_now(f);

	assert_string_equal(a.url, "https://10.96.0.1:443");
	assert_true(str_eq(a.tls->ca, str_of(f->ca.cert_pem)));
	assert_bearer(f, "first");
	assert_string_equal(kube_cred_source(f->c), "https://10.96.0.1:443 (service account)");
	in_pod(f, "fd00:10:96::1");
	assert_string_equal(access_now(f).url, "https://[fd00:10:96::1]:443");
}

static void test_pod_without_token(void **state)
{
	struct fixture *f = *state;

	(void)setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1", 1);
	(void)setenv("KUBERNETES_SERVICE_PORT", "x", 1);
	make_fails(f, (struct kube_cred_opts){.service_account = at(f, "sa")},
		   "KUBERNETES_SERVICE_PORT \"x\": has a bad port");
	(void)setenv("KUBERNETES_SERVICE_PORT", "443", 1);
	assert_int_equal(make_fails(f, (struct kube_cred_opts){.service_account = at(f, "sa")},
				    "automountServiceAccountToken"),
			 -ENOENT);
}

static void test_token_rotates(void **state)
{
	struct fixture *f = *state;

	service_account(f, "one", "first");
	in_pod(f, "10.96.0.1");
	assert_bearer(f, "first");
	service_account(f, "two", "later"); /* the same length */
	assert_bearer(f, "first");	    /* within a second nobody looks */
	f->now += SEC;
	assert_bearer(f, "later");
}

static void test_refusal_reads_at_once(void **state)
{
	struct fixture *f = *state;

	service_account(f, "one", "first");
	in_pod(f, "10.96.0.1");
	assert_bearer(f, "first");
	service_account(f, "two", "later");
	kube_cred_refused(f->c, f->now);
	assert_bearer(f, "later");
	service_account(f, "three", "third");
	kube_cred_refused(f->c, f->now + 1); /* one of many refused together */
	assert_bearer(f, "later");
	kube_cred_refused(f->c, f->now + KUBE_CRED_REFUSED_MIN);
	assert_bearer(f, "third");
}

static void test_bad_new_files_change_nothing(void **state)
{
	struct fixture *f = *state;

	service_account(f, "one", "first");
	in_pod(f, "10.96.0.1");
	assert_bearer(f, "first");
	put(f, "sa/one/token", "");
	put(f, "sa/one/ca.crt", "rubbish");
	f->now += SEC;
	assert_bearer(f, "first");
	assert_true(str_eq(access_now(f).tls->ca, str_of(f->ca.cert_pem)));
	assert_int_equal(unlink(at(f, "sa/one/token")), 0);
	f->now += SEC;
	kube_cred_refused(f->c, f->now);
	assert_bearer(f, "first");
	put(f, "sa/one/token", "second");
	f->now += SEC;
	assert_bearer(f, "second");
	put(f, "sa/one/ca.crt", f->other.cert_pem);
	f->now += SEC;
	assert_true(str_eq(access_now(f).tls->ca, str_of(f->other.cert_pem)));
}

static void test_client_certificate_rotates(void **state)
{
	struct fixture *f = *state;

	put(f, "crt", f->client.cert_pem);
	put(f, "key", f->client.key_pem);
	make(f, (struct kube_cred_opts){.api_server = "https://a",
					.client_cert = at(f, "crt"),
					.client_key = at(f, "key")});
	put(f, "crt", f->other.cert_pem); /* half of the pair */
	f->now += SEC;
	assert_true(str_eq(access_now(f).tls->cert, str_of(f->client.cert_pem)));
	put(f, "key", f->other.key_pem);
	f->now += SEC;
	assert_true(str_eq(access_now(f).tls->cert, str_of(f->other.cert_pem)));
	assert_true(str_eq(access_now(f).tls->key, str_of(f->other.key_pem)));
}

/* --- kubeconfig ---------------------------------------------------------- */

static void kubeconfig(struct fixture *f, const char *name, const char *cluster, const char *user)
{
	char text[4096];

	(void)snprintf(text, sizeof(text),
		       "current-context: c\n"
		       "contexts: [{name: c, context: {cluster: k, user: u}}]\n"
		       "clusters: [{name: k, cluster: {server: \"https://kube:6443\"%s}}]\n"
		       "users: [{name: u, user: {%s}}]\n",
		       cluster, user);
	put(f, name, text);
}

static void test_kubeconfig(void **state)
{
	struct fixture *f = *state;

	put(f, "ca", f->ca.cert_pem);
	put(f, "tok", "from-file");
	kubeconfig(f, "config",
		   ", certificate-authority: ca, tls-server-name: n, proxy-url: \"http://p:1\"",
		   "tokenFile: tok");
	make(f, (struct kube_cred_opts){.kubeconfig = at(f, "config")});
	struct kube_access a = access_now(f);

	assert_string_equal(a.url, "https://kube:6443");
	assert_string_equal(a.proxy, "http://p:1");
	assert_string_equal(a.tls->server_name, "n");
	assert_true(str_eq(a.tls->ca, str_of(f->ca.cert_pem)));
	assert_bearer(f, "from-file");
	assert_non_null(strstr(kube_cred_source(f->c), "context \"c\""));
	make_fails(f, (struct kube_cred_opts){.kubeconfig = at(f, "config"), .context = "d"},
		   "context \"d\" is not defined");
	kubeconfig(f, "config", ", insecure-skip-tls-verify: true", "token: in-place");
	make(f, (struct kube_cred_opts){.kubeconfig = at(f, "config")});
	assert_bearer(f, "in-place");
	assert_true(access_now(f).tls->insecure);
}

/* A kubeconfig named beats the pod's account, which beats the one at home. */
static void test_order(void **state)
{
	struct fixture *f = *state;

	(void)mkdir(at(f, ".kube"), 0700);
	kubeconfig(f, ".kube/config", "", "token: at-home");
	kubeconfig(f, "config", "", "token: named");
	make(f, (struct kube_cred_opts){0});
	assert_bearer(f, "at-home");
	service_account(f, "one", "account");
	in_pod(f, "10.96.0.1");
	assert_bearer(f, "account");
	make(f, (struct kube_cred_opts){.kubeconfig = at(f, "config"),
					.service_account = at(f, "sa")});
	assert_bearer(f, "named");
	make(f, (struct kube_cred_opts){.context = "c", .service_account = at(f, "sa")});
	assert_bearer(f, "at-home");
}

/* --- plugins ------------------------------------------------------------- */

/* A plugin that counts its runs and does what the script says with $n, the number of the run. */
static void plugin(struct fixture *f, const char *script)
{
	char text[2048], user[512];

	(void)snprintf(text, sizeof(text),
		       "#!/bin/sh\n"
		       "echo x >>'%s/runs'\nn=$(grep -c x '%s/runs')\n"
		       "say() { printf '%%s\\n' '{\"kind\":\"ExecCredential\",\"apiVersion\":"
		       "\"client.authentication.k8s.io/v1\",\"status\":{'\"$1\"'}}'; }\n%s\n",
		       f->folder, f->folder, script);
	put(f, "plugin", text);
	assert_int_equal(chmod(at(f, "plugin"), 0700), 0);
	(void)snprintf(user, sizeof(user),
		       "exec: {apiVersion: client.authentication.k8s.io/v1, command: ./plugin}");
	kubeconfig(f, "config", "", user);
	make(f, (struct kube_cred_opts){.kubeconfig = at(f, "config"), .exec_timeout = 5 * SEC});
	f->now = clock_mono();
}

static void wait_ready(struct fixture *f, unsigned n)
{
	for (int i = 0; i < 1000 && f->ready < n; i++) {
		struct timeval tv = {.tv_usec = 10000};

		(void)event_base_loopexit(f->base, &tv);
		(void)event_base_dispatch(f->base);
	}
	assert_int_equal(f->ready, n);
}

static enum kube_cred_state get(struct fixture *f)
{
	struct kube_access a;

	return kube_cred_get(f->c, f->now, &a);
}

static void test_plugin(void **state)
{
	struct fixture *f = *state;

	plugin(f, "say \"\\\"token\\\":\\\"run-$n\\\"\"");
	assert_int_equal(get(f), KUBE_CRED_PENDING);
	assert_int_equal(get(f), KUBE_CRED_PENDING);
	assert_int_equal(f->ready, 0);
	wait_ready(f, 1);
	f->now = clock_mono();
	assert_bearer(f, "run-1");
	f->now += 3600 * SEC; /* it named no end */
	assert_bearer(f, "run-1");
	kube_cred_refused(f->c, f->now);
	assert_int_equal(get(f), KUBE_CRED_PENDING);
	wait_ready(f, 2);
	assert_bearer(f, "run-2");
}

static void test_plugin_renews_ahead(void **state)
{
	struct fixture *f = *state;

	plugin(f, "say \"\\\"token\\\":\\\"run-$n\\\",\\\"expirationTimestamp\\\":\\\"$(date -u -d "
		  "'+1000 seconds' +%Y-%m-%dT%H:%M:%SZ)\\\"\"");
	assert_int_equal(get(f), KUBE_CRED_PENDING);
	wait_ready(f, 1);
	f->now = clock_mono();
	assert_bearer(f, "run-1");
	f->now += 890 * SEC;
	assert_bearer(f, "run-1");
	f->now += 20 * SEC; /* within the last tenth: still good, and renewed behind the scenes */
	assert_bearer(f, "run-1");
	for (int i = 0; i < 200; i++) {
		struct kube_access a = access_now(f);
		struct timeval tv = {.tv_usec = 10000};

		if (str_eq(a.headers[0].value, STR("Bearer run-2")))
			break;
		(void)event_base_loopexit(f->base, &tv);
		(void)event_base_dispatch(f->base);
	}
	assert_bearer(f, "run-2");
	assert_int_equal(f->ready, 1); /* nobody had to wait */
	f->now = clock_mono() + 1100 * SEC;
	assert_int_equal(get(f), KUBE_CRED_PENDING);
}

static void test_plugin_fails(void **state)
{
	struct fixture *f = *state;

	plugin(f, "[ $n -gt 1 ] && say '\"token\":\"late\"' && exit; echo 'log in first' >&2; "
		  "exit 2");
	assert_int_equal(get(f), KUBE_CRED_PENDING);
	wait_ready(f, 1);
	f->now = clock_mono();
	assert_int_equal(get(f), KUBE_CRED_FAILED);
	assert_non_null(strstr(kube_cred_error(f->c), "exited with status 2: log in first"));
	assert_int_equal(get(f), KUBE_CRED_FAILED); /* not at once again */
	f->now += 2 * SEC;
	assert_int_equal(get(f), KUBE_CRED_PENDING);
	wait_ready(f, 2);
	f->now = clock_mono();
	assert_bearer(f, "late");
	assert_string_equal(kube_cred_error(f->c), "");
}

static void test_plugin_is_missing(void **state)
{
	struct fixture *f = *state;

	plugin(f, "true");
	assert_int_equal(unlink(at(f, "plugin")), 0);
	assert_int_equal(get(f), KUBE_CRED_FAILED);
	assert_non_null(strstr(kube_cred_error(f->c), "plugin: cannot be run: No such file"));
}

static void test_plugin_certificate(void **state)
{
	struct fixture *f = *state;

	put(f, "json-crt", f->client.cert_pem);
	put(f, "json-key", f->client.key_pem);
	plugin(f,
	       "j() { sed 's/$/\\\\n/' \"$(dirname \"$0\")/json-$1\" | tr -d '\\n'; }\n"
	       "say \"\\\"clientCertificateData\\\":\\\"$(j crt)\\\",\\\"clientKeyData\\\":\\\"$(j "
	       "key)\\\"\"");
	assert_int_equal(get(f), KUBE_CRED_PENDING);
	wait_ready(f, 1);
	f->now = clock_mono();
	if (get(f) != KUBE_CRED_READY)
		print_error("%s\n", kube_cred_error(f->c));
	struct kube_access a = access_now(f);

	assert_int_equal(a.n_headers, 0);
	assert_true(str_eq(a.tls->cert, str_of(f->client.cert_pem)));
	assert_true(str_eq(a.tls->key, str_of(f->client.key_pem)));
}

static void test_free_while_a_plugin_runs(void **state)
{
	struct fixture *f = *state;
	nsec_t began = clock_mono();

	plugin(f, "sleep 60");
	assert_int_equal(get(f), KUBE_CRED_PENDING);
	kube_cred_free(&f->c);
	assert_true(clock_mono() - began < 2 * SEC);
	assert_int_equal(f->ready, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_plain_url),
		T(test_url_with_files),
		T(test_bad_options),
		T(test_nothing_found),
		T(test_in_a_pod),
		T(test_pod_without_token),
		T(test_token_rotates),
		T(test_refusal_reads_at_once),
		T(test_bad_new_files_change_nothing),
		T(test_client_certificate_rotates),
		T(test_kubeconfig),
		T(test_order),
		T(test_plugin),
		T(test_plugin_renews_ahead),
		T(test_plugin_fails),
		T(test_plugin_is_missing),
		T(test_plugin_certificate),
		T(test_free_while_a_plugin_runs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
