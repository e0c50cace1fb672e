/*
 * Documents: what is said of each kind, ids that stay, hashes that change when they must
 * and only then, texts that fit.
 */
#include "sink/vector/document.h"

#include "base/mem.h"
#include "tests/lib/torture.h"

#include <errno.h>
#include <jansson.h>
#include <openssl/sha.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct arena arena;

static int setup(void **state)
{
	(void)state;
	arena_init(&arena, 64UL << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_done(&arena);
	return 0;
}

static struct tree *parse(const char *json)
{
	struct tree *t;

	assert_int_equal(tree_parse(&arena, str_of(json), &t), 0);
	return t;
}

static struct document make(const struct doc_opts *o, const char *json)
{
	struct document d;

	assert_int_equal(document_make(o, parse(json), NULL, 0, &arena, &d), 0);
	return d;
}

static struct document rich(const char *json)
{
	return make(&(struct doc_opts){0}, json);
}

static void expect_text(const char *json, const char *text)
{
	struct document d = rich(json);

	if (!str_eq(d.text, str_of(text)))
		fail_msg("\n%.*s\nwanted\n%s", STR_ARG(d.text), text);
}

#define META(name, ns) \
	"\"metadata\":{\"name\":\"" name "\",\"namespace\":\"" ns "\",\"uid\":\"u-1\"}"
#define WEB                                                                                        \
	"{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"metadata\":{\"name\":\"web-db\","   \
	"\"namespace\":\"shop\",\"uid\":\"11111111-2222-4333-8444-555555555555\","                 \
	"\"resourceVersion\":\"7\",\"creationTimestamp\":\"2026-11-01T00:00:00Z\",\"labels\":{"    \
	"\"b\":\"2\",\"a\":\"1\",\"pod-template-hash\":\"x\"}},\"spec\":{\"replicas\":3,"          \
	"\"template\":{\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"r.example.com/"       \
	"web:1\","                                                                                 \
	"\"env\":[{\"name\":\"LEVEL\",\"value\":\"[redacted]\"},{\"name\":\"PW\",\"valueFrom\":{"  \
	"\"secretKeyRef\":{\"name\":\"pg-login\",\"key\":\"pw\"}}}],\"volumeMounts\":[{\"name\":"  \
	"\"v\",\"mountPath\":\"/etc/x\"}]}],\"volumes\":[{\"name\":\"v\",\"configMap\":{\"name\":" \
	"\"settings\"}}]}}}}"

static void what_is_said(void **state)
{
	(void)state;
	expect_text(WEB,
		    "Deployment web-db | namespace shop | apiVersion apps/v1 | labels a 1, b 2 | "
		    "mounts config map settings at /etc/x | uses in environment secret pg-login "
		    "key pw as PW | container c, image r.example.com/web:1 | replicas 3 | workload "
		    "application, database, postgres | variables LEVEL");
	expect_text("{\"apiVersion\":\"v1\",\"kind\":\"Secret\"," META(
			    "tls",
			    "shop") ",\"type\":"
				    "\"kubernetes.io/"
				    "tls\",\"data\":{\"tls.key\":\"[redacted]\",\"tls.crt\":null}}",
		    "Secret tls | namespace shop | apiVersion v1 | type kubernetes.io/tls | keys "
		    "tls.key, "
		    "tls.crt | credentials password token certificate, certificate");
	expect_text("{\"apiVersion\":\"storage.k8s.io/v1\",\"kind\":\"StorageClass\",\"metadata\":{"
		    "\"name\":\"fast\",\"uid\":\"u\"},\"provisioner\":\"ebs\","
		    "\"allowVolumeExpansion\":true}",
		    "StorageClass fast | namespace _cluster | apiVersion storage.k8s.io/v1 | "
		    "provisioner ebs "
		    "| expandable | disk type provisioner");
	expect_text(
		"{\"apiVersion\":\"x.io/v1\",\"kind\":\"Widget\"," META(
			"w", "n") ",\"spec\":{\"size\":3,"
				  "\"deep\":{\"on\":true,\"off\":false,\"list\":[\"p\",\"q\"]}}}",
		"Widget w | namespace n | apiVersion x.io/v1 | spec size 3, deep on, deep list p, "
		"deep "
		"list q");
}

/* One object of each kind and, after a tab, its text. */
#define GOLDEN "tests/golden/document-kinds.tsv"

static void what_is_said_of_each_kind(void **state)
{
	FILE *f = fopen(GOLDEN, "r");
	char *line = NULL;
	size_t cap = 0;
	int n = 0;

	(void)state;
	assert_non_null(f);
	for (; getline(&line, &cap, f) > 0; n++) {
		char *text = strchr(line, '\t');

		assert_non_null(text);
		*text++ = '\0';
		text[strcspn(text, "\n")] = '\0';
		expect_text(line, text);
	}
	free(line);
	(void)fclose(f);
	assert_true(n >= 27);
}

static void owners_from_the_top(void **state)
{
	const struct doc_owner owners[] = {{STR("ReplicaSet"), STR("web-1")},
					   {STR("Deployment"), STR("web")}};
	struct document d;

	(void)state;
	assert_int_equal(
		document_make(&(struct doc_opts){0},
			      parse("{\"apiVersion\":\"v1\",\"kind\":\"Pod\"," META("p", "n") "}"),
			      owners, 2, &arena, &d),
		0);
	assert_non_null(
		memmem(d.text.p, d.text.n, "owned by Deployment web, ReplicaSet web-1", 41));
	assert_true(str_eq(d.fields[DOC_OWNER_KIND], STR("Deployment")));
	assert_true(str_eq(d.fields[DOC_OWNER_NAME], STR("web")));
}

/* uuid.uuid5(uuid.NAMESPACE_DNS, ...) of Python. */
static void ids(void **state)
{
	char uuid[37];
	struct str id;

	(void)state;
	document_uuid(STR("default/apps/v1/Deployment/nginx"), uuid);
	assert_string_equal(uuid, "ece90562-aa4d-58d4-8b84-62451276e1b5");
	document_uuid(STR("_cluster/v1/Namespace/kube-system"), uuid);
	assert_string_equal(uuid, "5dce5d5d-eed9-56f8-a0b5-c15662cc9a5d");
	assert_true(str_eq(rich(WEB).id, STR("shop/apps/v1/Deployment/web-db")));
	assert_int_equal(document_id(&(struct doc_opts){.cluster = STR("prod")}, STR("v1"),
				     STR("Node"), (struct str){0}, STR("n"), &arena, &id),
			 0);
	assert_true(str_eq(id, STR("prod/_cluster/v1/Node/n")));
}

/* jansson is the other one that sorts keys. */
static void content_id(void **state)
{
	json_t *j = json_loads(WEB, 0, NULL);
	char *canonical = json_dumps(j, JSON_COMPACT | JSON_SORT_KEYS), hex[65];
	char *whole = NULL;
	uint8_t h[SHA256_DIGEST_LENGTH];
	int n = asprintf(&whole, "11111111-2222-4333-8444-555555555555:%s", canonical);
	struct document d = make(&(struct doc_opts){.id = DOC_ID_CONTENT}, WEB);

	(void)state;
	(void)SHA256((const uint8_t *)whole, (size_t)n, h);
	for (size_t i = 0; i < sizeof(h); i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", h[i]);
	assert_true(str_eq(d.id, str_of(hex)));
	assert_true(str_eq(d.fields[DOC_CONTENT_ID], str_of(hex)));
	free(whole);
	free(canonical);
	json_decref(j);
}

static char *replaced(const char *text, const char *a, const char *b)
{
	const char *at = strstr(text, a);
	char *out = NULL;

	assert_non_null(at);
	assert_true(asprintf(&out, "%.*s%s%s", (int)(at - text), text, b, at + strlen(a)) > 0);
	return out;
}

static void expect_hashes(const char *a, const char *b, bool same_text, bool same_meta)
{
	_free_ char *changed = replaced(WEB, a, b);
	struct document d = rich(WEB), e = rich(changed);

	if ((memcmp(d.text_hash, e.text_hash, DOC_HASH_SIZE) == 0) != same_text ||
	    (memcmp(d.meta_hash, e.meta_hash, DOC_HASH_SIZE) == 0) != same_meta)
		fail_msg("%s -> %s", a, b);
}

static void hashes_tell_what_changed(void **state)
{
	(void)state;
	expect_hashes("\"resourceVersion\":\"7\"", "\"resourceVersion\":\"8\"", true, true);
	expect_hashes("\"replicas\":3", "\"replicas\":4", false, true);
	expect_hashes("\"pod-template-hash\":\"x\"", "\"pod-template-hash\":\"y\"", true, false);
	expect_hashes("\"b\":\"2\"", "\"b\":\"3\"", false, false);
	/* Fields beside each other do not run into one another. */
	assert_memory_not_equal(
		rich("{\"apiVersion\":\"v1\",\"kind\":\"A\"," META("bc", "d") "}").meta_hash,
		rich("{\"apiVersion\":\"v1\",\"kind\":\"A\"," META("b", "cd") "}").meta_hash,
		DOC_HASH_SIZE);
}

static void the_older_texts(void **state)
{
	struct document d =
		make(&(struct doc_opts){.mode = DOC_METADATA},
		     "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"s\","
		     "\"namespace\":\"n\",\"labels\":{\"z\":\"1\",\"a\":\"2\"},\"annotations\":{"
		     "\"k\":\"note\"}}}");
	struct document j = make(&(struct doc_opts){.mode = DOC_JSON},
				 "{\"kind\":\"A\",\"b\":1,\"a\":{\"d\":2,"
				 "\"c\":3},\"metadata\":{\"name\":\"x\"}}");

	(void)state;
	assert_true(
		str_eq(d.text,
		       STR("Service s | namespace: n | apiVersion: v1 | labels: z=1, a=2 | note")));
	assert_true(str_eq(j.text, STR("{\"a\":{\"c\":3,\"d\":2},\"b\":1,\"kind\":\"A\","
				       "\"metadata\":{\"name\":\"x\"}}")));
}

/* Hundreds of containers, names of all scripts: 2 KB of whole characters. */
static void long_texts_are_cut(void **state)
{
	_buf_ struct buf b = {.max = 1UL << 20};
	struct document d;

	(void)state;
	assert_int_equal(buf_printf(&b, "{\"apiVersion\":\"x/v1\",\"kind\":\"W\"," META(
						"w", "n") ",\"spec\":{"),
			 0);
	for (int i = 0; i < 3000; i++)
		assert_int_equal(buf_printf(&b, "%s\"k\xc3\xa4%d\":\"\xe6\x97\xa5\xe6\x9c\xac%d\"",
					    i ? "," : "", i, i),
				 0);
	assert_int_equal(buf_append(&b, "}}", 3), 0);
	d = rich(buf_str(&b).p);
	assert_in_range(d.text.n, 200, DOC_TEXT_MAX);
	for (size_t i = 0; i < d.text.n;) {
		size_t n = str_utf8(str_from(d.text, i));

		assert_int_not_equal(n, 0);
		i += n;
	}
	assert_int_not_equal(d.text.p[d.text.n - 1], ' ');
}

static void what_is_no_object(void **state)
{
	static const char *const bad[] = {"{}",
					  "[]",
					  "{\"kind\":\"A\"}",
					  "{\"metadata\":{\"name\":\"x\"}}",
					  "{\"kind\":7,\"metadata\":{\"name\":[]}}",
					  "null"};
	static const char *const odd[] = {"{\"kind\":\"Pod\",\"metadata\":{\"name\":\"x\","
					  "\"labels\":[1]},\"spec\":{\"containers\":{}}}",
					  "{\"kind\":\"Deployment\",\"apiVersion\":\"apps/"
					  "v1\",\"metadata\":{\"name\":\"x\"},\"spec\":{"
					  "\"template\":{\"spec\":{\"containers\":[null,1,{\"env\":"
					  "{}},{\"ports\":[[]]}],\"volumes\":\"x\"}}}}",
					  "{\"kind\":\"Ingress\",\"apiVersion\":\"networking.k8s."
					  "io/v1\",\"metadata\":{\"name\":\"x\"},"
					  "\"spec\":{\"rules\":[{\"http\":null},3]}}"};
	struct document d;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(
			document_make(&(struct doc_opts){0}, parse(bad[i]), NULL, 0, &arena, &d),
			-EINVAL);
	for (size_t i = 0; i < ARRAY_SIZE(odd); i++)
		assert_true(rich(odd[i]).text.n > 0);
}

static int make_one(void *ctx)
{
	struct arena a;
	struct tree *t;
	struct document d;
	int r;

	(void)ctx;
	arena_init(&a, 1UL << 20);
	r = tree_parse(&a, STR(WEB), &t);
	if (r == 0)
		r = document_make(&(struct doc_opts){.status = true}, t, NULL, 0, &a, &d);
	arena_done(&a);
	return r;
}

static void without_memory(void **state)
{
	(void)state;
	assert_int_equal(torture_run(make_one, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_said, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_said_of_each_kind, setup, teardown),
		cmocka_unit_test_setup_teardown(owners_from_the_top, setup, teardown),
		cmocka_unit_test_setup_teardown(ids, setup, teardown),
		cmocka_unit_test_setup_teardown(content_id, setup, teardown),
		cmocka_unit_test_setup_teardown(hashes_tell_what_changed, setup, teardown),
		cmocka_unit_test_setup_teardown(the_older_texts, setup, teardown),
		cmocka_unit_test_setup_teardown(long_texts_are_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_no_object, setup, teardown),
		cmocka_unit_test_setup_teardown(without_memory, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
