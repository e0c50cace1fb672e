/*
 * kubeconfig files, good and broken. tests/fixtures/kubeconfig/bad holds one case
 * a file; its first line says what the error must contain.
 */
#include "kube/cred/kubeconfig.h"

#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static char folder[512];

static int find_folder(void **state)
{
	static const char *const up[] = {"", "../", "../../", "../../../", "../../../../"};
	const char *env = getenv("KINDRED_FIXTURES");

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(up); i++) {
		if (env)
			(void)snprintf(folder, sizeof(folder), "%s/kubeconfig", env);
		else
			(void)snprintf(folder, sizeof(folder), "%stests/fixtures/kubeconfig",
				       up[i]);
		if (access(folder, R_OK) == 0)
			return 0;
	}
	return -1;
}

static const char *path(const char *name)
{
	static char p[4][1100];
	static unsigned n;
	char *at = p[n++ % 4];

	(void)snprintf(at, sizeof(p[0]), "%s/%s", folder, name);
	return at;
}

static void free_config(struct kubeconfig **k)
{
	kubeconfig_free(k);
}
#define _config_ _cleanup_(free_config)

static struct kubeconfig *load(const char *paths, const char *context)
{
	struct kubeconfig *k = NULL;
	_buf_ struct buf e;
	int r;

	buf_init(&e, 4096);
	r = kubeconfig_load(paths, context, &k, &e);
	if (r < 0)
		print_error("%.*s\n", STR_ARG(buf_str(&e)));
	assert_int_equal(r, 0);
	return k;
}

static int fails(const char *paths, const char *context, const char *words)
{
	struct kubeconfig *k = NULL;
	_buf_ struct buf e;
	int r;

	buf_init(&e, 4096);
	r = kubeconfig_load(paths, context, &k, &e);
	assert_true(r < 0);
	assert_null(k);
	assert_int_equal(buf_append(&e, "", 1), 0);
	if (!strstr(buf_str(&e).p, words))
		print_error("%s: wanted \"%s\", got \"%s\"\n", paths, words, buf_str(&e).p);
	assert_non_null(strstr(buf_str(&e).p, words));
	assert_null(strstr(buf_str(&e).p, "secretpw"));
	assert_null(strchr(buf_str(&e).p, '\n'));
	return r;
}

static void assert_file_is(const char *name, const char *bytes, size_t n)
{
	FILE *f = fopen(path(name), "re");
	char text[8192];

	assert_non_null(f);
	assert_int_equal(fread(text, 1, sizeof(text), f), n);
	assert_memory_equal(text, bytes, n);
	(void)fclose(f);
}

static void test_inline(void **state)
{
	_config_ struct kubeconfig *k = load(path("good/inline.yaml"), NULL);

	(void)state;
	assert_string_equal(k->context, "main");
	assert_string_equal(k->cluster, "prod");
	assert_string_equal(k->user, "cert");
	assert_string_equal(k->server, "https://api.example:6443");
	assert_file_is("files/ca.crt", k->ca.data, k->ca.n);
	assert_file_is("files/client.crt", k->cert.data, k->cert.n);
	assert_file_is("files/client.key", k->key.data, k->key.n);
	assert_null(k->ca.file);
	assert_null(k->token);
	assert_null(k->proxy);
	assert_false(k->insecure);
	assert_false(k->has_exec);
}

static void test_cluster_without_user(void **state)
{
	_config_ struct kubeconfig *k = load(path("good/inline.yaml"), "plain");

	(void)state;
	assert_string_equal(k->server, "http://127.0.0.1:8001");
	assert_null(k->user);
	assert_null(k->ca.data);
}

static void test_every_cluster_key(void **state)
{
	_config_ struct kubeconfig *k = load(path("good/inline.yaml"), "odd");

	(void)state;
	assert_string_equal(k->server, "https://[fd00::1]:6443/k8s/clusters/c-1");
	assert_string_equal(k->server_name, "kubernetes");
	assert_string_equal(k->proxy, "socks5://proxy.example:1080");
	assert_true(k->insecure);
	assert_string_equal(k->token, "abc.def-123");
}

static void test_files(void **state)
{
	_config_ struct kubeconfig *k = load(path("good/inline.yaml"), "files");

	(void)state;
	assert_string_equal(k->token_file, path("good/../files/token"));
	assert_null(k->token);
	assert_string_equal(k->cert.file, path("good/../files/client.crt"));
	assert_string_equal(k->key.file, "/absolute/client.key");
}

static void test_exec(void **state)
{
	_config_ struct kubeconfig *k = load(path("good/inline.yaml"), "plugin");
	_config_ struct kubeconfig *p = load(path("good/inline.yaml"), "path-plugin");
	_config_ struct kubeconfig *t = load(path("good/inline.yaml"), "token-and-plugin");

	(void)state;
	assert_true(k->has_exec);
	assert_string_equal(k->exec.command, path("good/./plugin.sh"));
	assert_string_equal(k->exec.api_version, "client.authentication.k8s.io/v1beta1");
	assert_string_equal(k->exec.args[0], "get-token");
	assert_string_equal(k->exec.args[2], "prod");
	assert_string_equal(k->exec.args[3], "");
	assert_null(k->exec.args[4]);
	assert_string_equal(k->exec.env[0], "A=b");
	assert_string_equal(k->exec.env[1], "EMPTY=");
	assert_null(k->exec.env[2]);
	assert_true(k->exec.cluster_info);
	assert_string_equal(k->exec.install_hint, "install it");
	assert_true(p->has_exec);
	assert_string_equal(p->exec.command, "aws");
	assert_false(t->has_exec);
	assert_string_equal(t->token, "abc");
}

static void test_empty_basic_auth_is_none(void **state)
{
	_config_ struct kubeconfig *k = load(path("good/inline.yaml"), "basic");

	(void)state;
	assert_string_equal(k->token, "abc");
}

static void test_json_is_yaml(void **state)
{
	_config_ struct kubeconfig *k = load(path("good/json.yaml"), NULL);

	(void)state;
	assert_string_equal(k->server, "https://json.example");
	assert_null(k->user);
}

static void test_aliases(void **state)
{
	_config_ struct kubeconfig *k = load(path("good/alias.yaml"), NULL);

	(void)state;
	assert_string_equal(k->server, "https://alias.example");
}

/* What is named twice counts as in the first file; names are found across files. */
static void test_merge(void **state)
{
	char paths[2048];

	(void)state;
	(void)snprintf(paths, sizeof(paths), "%s::%s:%s", path("good/none.yaml"),
		       path("good/inline.yaml"), path("good/second.yaml"));
	_config_ struct kubeconfig *k = load(paths, "");
	_config_ struct kubeconfig *s = load(paths, "second");

	assert_string_equal(k->context, "main");
	assert_string_equal(k->server, "https://api.example:6443");
	assert_string_equal(s->server, "https://extra.example");
	assert_string_equal(s->ca.file, path("good/../files/ca.crt"));
	assert_string_equal(s->token, "abc.def-123");
	(void)snprintf(paths, sizeof(paths), "%s:%s", path("good/second.yaml"),
		       path("good/inline.yaml"));
	_config_ struct kubeconfig *r = load(paths, NULL);

	assert_string_equal(r->context, "second");
	fails(paths, "none", "there are: second, main, main");
}

static void test_missing_files(void **state)
{
	char paths[2048];

	(void)state;
	assert_int_equal(fails(path("none"), NULL, "none: No such file or directory"), -ENOENT);
	(void)snprintf(paths, sizeof(paths), "%s:%s", path("none"), path("nor-this"));
	assert_int_equal(fails(paths, NULL, "none of these files exists"), -ENOENT);
	assert_int_equal(fails(path("good"), NULL, "is no regular file"), -EINVAL);
	assert_int_equal(fails(":", NULL, "none of these files exists"), -ENOENT);
}

static void test_large_file(void **state)
{
	char name[] = "/tmp/kindred-kubeconfig-XXXXXX";
	int fd = mkstemp(name);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, KUBECONFIG_MAX_FILE + 1), 0);
	fails(name, NULL, "is larger than 1 MiB");
	assert_int_equal(ftruncate(fd, 0), 0);
	fails(name, NULL, "is empty");
	(void)close(fd);
	(void)unlink(name);
}

static void test_too_many_files(void **state)
{
	_buf_ struct buf b;

	(void)state;
	buf_init(&b, 65536);
	for (int i = 0; i <= KUBECONFIG_MAX_FILES; i++)
		assert_int_equal(buf_printf(&b, "%s:", path("good/json.yaml")), 0);
	assert_int_equal(buf_append(&b, "", 1), 0);
	fails(buf_str(&b).p, NULL, "more than 16 files");
}

static void bad_case(const char *name)
{
	static const char mark[] = "# expect: ";
	char line[512], file[512];
	FILE *f;

	(void)snprintf(file, sizeof(file), "bad/%.200s", name);
	f = fopen(path(file), "re");
	assert_non_null(f);
	assert_non_null(fgets(line, sizeof(line), f));
	(void)fclose(f);
	assert_memory_equal(line, mark, sizeof(mark) - 1);
	line[strcspn(line, "\n")] = '\0';
	fails(path(file), NULL, line + sizeof(mark) - 1);
	fails(path(file), NULL, "kubeconfig/bad/"); /* the file is named */
}

static void test_bad(void **state)
{
	DIR *d = opendir(path("bad"));
	unsigned n = 0;

	(void)state;
	assert_non_null(d);
	for (const struct dirent *e; (e = readdir(d));) {
		if (e->d_name[0] == '.')
			continue;
		bad_case(e->d_name);
		n++;
	}
	(void)closedir(d);
	assert_true(n >= 60);
}

/* Every cut and every changed byte of a good file is read or refused, and no more. */
static void test_mutations(void **state)
{
	char name[] = "/tmp/kindred-kubeconfig-XXXXXX";
	int fd = mkstemp(name);
	char text[16384];
	FILE *f = fopen(path("good/inline.yaml"), "re");
	size_t n;

	(void)state;
	assert_true(fd >= 0 && f);
	n = fread(text, 1, sizeof(text), f);
	(void)fclose(f);
	for (size_t i = 1; i < n; i += 7) {
		struct kubeconfig *k = NULL;
		_buf_ struct buf e;
		char old = text[i];

		buf_init(&e, 4096);
		text[i] = "\0{[]&*\t\xff"[i % 8];
		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(pwrite(fd, text, i % 2 ? i + 1 : n, 0), i % 2 ? i + 1 : n);
		text[i] = old;
		int r = kubeconfig_load(name, "plugin", &k, &e);

		assert_true(r == 0 ? k != NULL : e.n > 0);
		kubeconfig_free(&k);
	}
	(void)close(fd);
	(void)unlink(name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_inline),
		cmocka_unit_test(test_cluster_without_user),
		cmocka_unit_test(test_every_cluster_key),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_exec),
		cmocka_unit_test(test_empty_basic_auth_is_none),
		cmocka_unit_test(test_json_is_yaml),
		cmocka_unit_test(test_aliases),
		cmocka_unit_test(test_merge),
		cmocka_unit_test(test_missing_files),
		cmocka_unit_test(test_large_file),
		cmocka_unit_test(test_too_many_files),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_mutations),
	};

	return cmocka_run_group_tests(tests, find_folder, NULL);
}
