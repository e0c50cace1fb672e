/*
 * What leaves an object and what stays. Canaries: each secret in every place it can
 * stand in, and not a byte of it in what is written. Harmless objects and texts: the
 * same bytes.
 */
#include "tree/redact.h"

#include "base/mem.h"
#include "tests/lib/fixture.h"
#include "tests/lib/torture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <jansson.h>

#define ARENA_MAX ((size_t)256 << 20)
#define TEXT_MAX  ((size_t)64 << 20)

struct rig {
	struct redact *r;
	struct arena a;
	struct buf out;
	enum redact_verdict verdict;
};

static void open_rig(struct rig *g, const struct redact_opts *o)
{
	static const struct redact_opts none;
	_buf_ struct buf error;

	*g = (struct rig){0};
	buf_init(&error, 4096);
	arena_init(&g->a, ARENA_MAX);
	buf_init(&g->out, TEXT_MAX);
	assert_int_equal(redact_new(o ? o : &none, &g->r, &error), 0);
}

static void close_rig(struct rig *g)
{
	redact_free(&g->r);
	assert_null(g->r);
	arena_done(&g->a);
	buf_done(&g->out);
}

/* The object as JSON behind the redaction. */
static struct str passed(struct rig *g, struct str json)
{
	struct tree *t = NULL;

	arena_reset(&g->a);
	buf_reset(&g->out);
	assert_int_equal(tree_parse(&g->a, json, &t), 0);
	assert_int_equal(
		redact_object(g->r, &g->a, t, (struct str){0}, (struct str){0}, &g->verdict), 0);
	assert_int_equal(tree_write(&g->out, t), 0);
	return buf_str(&g->out);
}

static void becomes(struct rig *g, const char *json, const char *want)
{
	struct str is = passed(g, str_of(json));

	if (!str_eq(is, str_of(want)))
		fail_msg("\nwanted %s\nis     %.*s", want, STR_ARG(is));
}

static uint64_t total(const struct redact *r)
{
	uint64_t n = 0;

	for (enum redact_found f = 0; f < _REDACT_FOUND_MAX; f++)
		n += redact_count(r, f);
	return n;
}

/* ---- canaries -------------------------------------------------------------------------------- */

/* `text` holds `secret`, which must not be seen again, nor any eight bytes of it. */
struct canary {
	const char *text, *secret;
	enum redact_found what;
};
static const struct canary canaries[] = {
#define C(text, secret, what)               \
	{                                   \
		text, secret, REDACT_##what \
	}
	C("postgres://app:hunter2secret@db:5432/x?sslmode=off", "hunter2secret", URL_USERINFO),
	C("https://deploy-token-abc123@git.example.com/x.git", "deploy-token-abc123", URL_USERINFO),
	C("amqp://u:pa/ss?w#rd99@mq:5672", "pa/ss?w#rd99", URL_USERINFO),
	C("redis://:onlypassword@cache:6379/0", "onlypassword", URL_USERINFO),
	C("root:s3cr3tpw@tcp(mysql:3306)/app?parseTime=true", "s3cr3tpw", URL_USERINFO),
	C("curl -H 'Authorization: Bearer abcd1234efgh' http://x", "abcd1234efgh", AUTHORIZATION),
	C("Authorization: Basic dXNlcjpwYXNzd29yZA==", "dXNlcjpwYXNzd29yZA", AUTHORIZATION),
	C("bearer mF_9.B5f-4.1JqM", "mF_9.B5f-4.1JqM", AUTHORIZATION),
	C("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "QWxhZGRpbjpvcGVuIHNlc2FtZQ", AUTHORIZATION),
	C("authorization=Digest username=joe, response=6629fae49393a05397450978507c4ef1",
	  "6629fae49393a05397450978507c4ef1", AUTHORIZATION),
	C("x -----BEGIN RSA PRIVATE KEY-----\nMIIabcdefgh\nxyz12345\n-----END RSA PRIVATE KEY----- "
	  "y",
	  "MIIabcdefgh\nxyz12345", PEM),
	C("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk", "b3BlbnNzaC1rZXk", PEM),
	C("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P",
	  "eyJzdWIiOiIxMjM0NTY3ODkwIn0", JWT),
	C("jwt=eyJhbGciOiJub25lIn0.eyJzdWIiOiIxMjM0In0.", "eyJhbGciOiJub25lIn0", JWT),
	C("AKIAIOSFODNN7EXAMPLE", "IOSFODNN7EXAMPLE", PROVIDER_KEY),
	C("id ASIAIOSFODNN7EXAMPLE.", "IOSFODNN7EXAMPLE", PROVIDER_KEY),
	C("ghp_0123456789abcdefABCDEF0123456789abcd", "0123456789abcdef", PROVIDER_KEY),
	C("github_pat_11ABCDEFG0abcdefghijkl_mnop", "11ABCDEFG0abcdefghijkl", PROVIDER_KEY),
	C("xoxb-123456789012-abcdefABCDEF", "123456789012-abcdefABCDEF", PROVIDER_KEY),
	C("https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXX",
	  "T00000000/B00000000/XXXXXXXXXXXX", PROVIDER_KEY),
	C("AIzaSyA1234567890abcdefghijklmnopqrstuv", "SyA1234567890abcdefghijkl", PROVIDER_KEY),
	C("sk-proj-abcdefghij0123456789ABCDEFGHIJ", "abcdefghij0123456789", PROVIDER_KEY),
	C("sk-0123456789abcdef0123456789abcdef", "0123456789abcdef", PROVIDER_KEY),
	C("sk_live_51H0123456789abcdef", "51H0123456789abcdef", PROVIDER_KEY),
	C("ya29.a0AfH6SMBx0123456789abcdef", "a0AfH6SMBx0123456789", PROVIDER_KEY),
	C("glpat-abcdefghij0123456789", "abcdefghij0123456789", PROVIDER_KEY),
	C("--password=hunter2 and more", "hunter2 and more", FLAG),
	C("exec server --db-password hunter2x --port 80", "hunter2x", FLAG),
	C("exec server --api-key=\"abc def\" -v", "abc def", FLAG),
	C("PGPASSWORD=hunter2x psql", "hunter2x", FLAG),
	C("http://x/hook?access_token=abcdefgh1&v=2", "abcdefgh1", FLAG),
	C("Server=db;Password=hunter2x", "hunter2x", FLAG),
	C("a: b\nspring.datasource.password: hunter2x\nc: d", "hunter2x", FLAG),
	C("user: x\n  - clientSecret: 'it''s hunter2'\n", "it''s hunter2", FLAG),
	C("say {\"user\":\"x\",\"password\":\"a\\\"b,c}hunter2\"} now", "hunter2", FLAG),
	C("x {\\\"dbPassword\\\":\\\"hunter2x\\\"}", "hunter2x", FLAG),
	C("env:\n- name: DB_HOST\n  value: \"hunter2x y\"\n- name: P\n", "hunter2x y", ENV_VALUE),
	C("curl -u admin:hunter2x https://x", "hunter2x", FLAG),
	C("redis-server --requirepass \\\n hunter2x", "hunter2x", FLAG),
	C("key wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY9a", "K7MDENG/bPxRfiCYz", ENTROPY),
	C("q8Zt0VbXw2NnR5yKc7LsPd4GhTf9JmEa", "q8Zt0VbXw2NnR5yKc7LsPd4GhTf9JmEa", ENTROPY),
	C("v=AAAAB3NzaC1yc2EAAAADAQABAAABgQC7vbqajDRETLVZtXrQ0f2Kx9mW1sYp3TgHhUeJcL5o==",
	  "AQABAAABgQC7vbqajDRETLVZtXrQ0f2Kx9mW1sYp3TgHhUeJcL5o", ENTROPY),
	C("q7x2k9v4mzp3w8tb6n1ry5h0jg2d7sk4f9c", "q7x2k9v4mzp3w8tb6n1ry5h0jg2d7sk4f9c", ENTROPY),
#undef C
};

/* Where a text can stand; %s is its JSON, quotes included. */
static const char *const places[] = {
	"{\"kind\":\"Pod\",\"metadata\":{\"name\":\"x\"},\"spec\":{\"containers\":[{\"args\":[%s]}]"
	"}}",
	"{\"kind\":\"Pod\",\"spec\":{\"containers\":[{\"command\":[\"sh\",\"-c\",%s]}]}}",
	"{\"kind\":\"Pod\",\"spec\":{\"containers\":[{\"env\":[{\"name\":\"X\",\"value\":%s}]}]}}",
	"{\"kind\":\"Deployment\",\"spec\":{\"template\":{\"spec\":{\"initContainers\":[{\"env\":[{"
	"\"name\":\"X\",\"value\":%s}]}]}}}}",
	"{\"kind\":\"CronJob\",\"spec\":{\"jobTemplate\":{\"spec\":{\"template\":{\"spec\":{"
	"\"containers\":[{\"args\":[\"a\",%s]}]}}}}}}",
	"{\"kind\":\"Pod\",\"metadata\":{\"annotations\":{\"example.com/x\":%s}}}",
	"{\"kind\":\"Deployment\",\"spec\":{\"template\":{\"metadata\":{\"annotations\":{\"a\":%s}}"
	"}}}",
	"{\"kind\":\"Widget\",\"spec\":{\"deep\":[[{\"any\":%s}]]},\"status\":{}}",
	"{\"kind\":\"Widget\",\"status\":{\"conditions\":[{\"message\":%s}]}}",
	"{\"kind\":\"ConfigMap\",\"data\":{\"app.conf\":%s}}",
	"{\"kind\":\"Secret\",\"data\":{\"k\":%s}}",
	"{\"kind\":\"Secret\",\"stringData\":{\"k\":%s}}",
	"{\"kind\":\"SealedSecret\",\"spec\":{\"template\":{\"data\":{\"k\":%s}}}}",
	"{\"kind\":\"Kustomization\",\"spec\":{\"patch\":{\"kind\":\"Secret\",\"data\":{\"k\":%s}}}"
	"}",
	"{\"kind\":\"HelmRelease\",\"spec\":{\"values\":{\"extraEnv\":{\"A_B\":%s}}}}",
};

/* As a JSON string, quotes included; the caller frees it. */
static char *quoted(const char *text, size_t n)
{
	json_t *v = json_stringn(text, n);
	char *z = json_dumps(v, JSON_ENCODE_ANY);

	json_decref(v);
	assert_non_null(z);
	return z;
}

static void check_gone(struct str is, const struct canary *c, const char *where)
{
	size_t n = strlen(c->secret);

	for (size_t i = 0; i + MIN(n, (size_t)8) <= n; i++) {
		_free_ char *part = quoted(c->secret + i, MIN(n, (size_t)8));

		if (memmem(is.p, is.n, part + 1, strlen(part) - 2))
			fail_msg("\n%s is left of %s\nin %s\nas %.*s", part, c->text, where,
				 STR_ARG(is));
	}
}

static void put_at(struct buf *b, const char *place, const char *json)
{
	const char *at = strstr(place, "%s");

	assert_non_null(at);
	buf_reset(b);
	assert_int_equal(buf_append(b, place, (size_t)(at - place)), 0);
	assert_int_equal(buf_append_str(b, str_of(json)), 0);
	assert_int_equal(buf_append_str(b, str_of(at + 2)), 0);
}

static void in_every_place(struct rig *g, const struct canary *c, const char *json)
{
	_buf_ struct buf b;

	buf_init(&b, TEXT_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		put_at(&b, places[i], json);
		check_gone(passed(g, buf_str(&b)), c, places[i]);
	}
}

/* The text as a value, within JSON in a text, and within JSON in a text in JSON in a text. */
static void canaries_are_gone(void **state)
{
	static const struct redact_opts open = {.config_map_values = true, .env_values = true};
	const struct redact_opts *const all[] = {NULL, &open};

	(void)state;
	for (size_t o = 0; o < ARRAY_SIZE(all); o++) {
		struct rig g;

		open_rig(&g, all[o]);
		for (size_t i = 0; i < ARRAY_SIZE(canaries); i++) {
			const struct canary *c = &canaries[i];
			_free_ char *plain = quoted(c->text, strlen(c->text));
			_buf_ struct buf b;

			buf_init(&b, TEXT_MAX);
			in_every_place(&g, c, plain);
			for (int depth = 0; depth < 8; depth++) {
				_free_ char *outer = NULL;

				put_at(&b, "{\"a\":{\"b\":[%s]}}", plain);
				outer = quoted(buf_str(&b).p, b.n);
				in_every_place(&g, c, outer);
				free(plain);
				plain = TAKE_PTR(outer);
			}
		}
		close_rig(&g);
	}
}

static void each_detector_is_counted(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(canaries); i++) {
		const struct canary *c = &canaries[i];
		struct str is;
		struct rig g;

		open_rig(&g, NULL);
		assert_int_equal(redact_string(g.r, &g.a, str_of(c->text), &is), 0);
		check_gone(is, c, "a text");
		if (redact_count(g.r, c->what) != 1 || total(g.r) != 1)
			fail_msg("%s: %s counts %d of %d", c->text, redact_found_name(c->what),
				 (int)redact_count(g.r, c->what), (int)total(g.r));
		assert_int_equal(redact_string(g.r, &g.a, is, &is), 0); /* nothing new */
		if (total(g.r) != 1)
			fail_msg("%s: again", c->text);
		close_rig(&g);
	}
}

/* ---- exactly this ---------------------------------------------------------------------------- */

static void texts_become(void **state)
{
	static const char *const cases[][2] = {
		{"postgres://app:pw@db:5432/x", "postgres://[redacted]@db:5432/x"},
		{"a http://u:p@x b http://v:q@y c",
		 "a http://[redacted]@x b http://[redacted]@y c"},
		{"--password=a b", "--password=[redacted]"},
		{"run --token abcdef1 --x 1", "run --token [redacted] --x 1"},
		{"PW=x TOKEN=abc1 go", "PW=[redacted] TOKEN=[redacted] go"},
		{"{\"password\":\"x\",\"b\":1}", "{\"password\":\"[redacted]\",\"b\":1}"},
		{"Authorization: Bearer abc1234\nX: y", "Authorization: [redacted]\nX: y"},
		{"-----BEGIN A-----\nx\n-----END A-----\nb", "[redacted]\nb"},
		{"a\n-----BEGIN A-----\nx\n-----END A-----\nb\n-----BEGIN A-----\ny\n-----END "
		 "A-----\nc",
		 "a\n[redacted]\nb\n[redacted]\nc"},
		{"key AKIAIOSFODNN7EXAMPLE!", "key [redacted]!"},
	};
	struct rig g;

	(void)state;
	open_rig(&g, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct str is;

		assert_int_equal(redact_string(g.r, &g.a, str_of(cases[i][0]), &is), 0);
		if (!str_eq(is, str_of(cases[i][1])))
			fail_msg("%s\nwanted %s\nis     %.*s", cases[i][0], cases[i][1],
				 STR_ARG(is));
	}
	close_rig(&g);
}

static void objects_become(void **state)
{
	struct rig g;

	(void)state;
	open_rig(&g, NULL);
	/* Secrets: names, type, key names. */
	becomes(&g,
		"{\"kind\":\"Secret\",\"metadata\":{\"name\":\"db\"},\"type\":\"Opaque\","
		"\"data\":{\"a\":\"eA==\",\"b\":\"\"},\"stringData\":{\"c\":\"x\"},\"immutable\":"
		"true}",
		"{\"kind\":\"Secret\",\"metadata\":{\"name\":\"db\"},\"type\":\"Opaque\","
		"\"data\":{\"a\":\"[redacted]\",\"b\":\"[redacted]\"},"
		"\"stringData\":{\"c\":\"[redacted]\"},\"immutable\":true}");
	becomes(&g,
		"{\"kind\":\"ConfigMap\",\"data\":{\"a\":\"x\"},\"binaryData\":{\"b\":\"eA==\"}}",
		"{\"kind\":\"ConfigMap\",\"data\":{\"a\":\"[redacted]\"},"
		"\"binaryData\":{\"b\":\"[redacted]\"}}");
	/* Names of environment variables, and where values come from. */
	becomes(&g,
		"{\"spec\":{\"env\":[{\"name\":\"A\",\"value\":\"x\"},{\"name\":\"B\","
		"\"valueFrom\":{"
		"\"secretKeyRef\":{\"name\":\"db\",\"key\":\"password\"}}},{\"name\":\"C\"},"
		"{\"name\":\"D\",\"value\":\"\"}]}}",
		"{\"spec\":{\"env\":[{\"name\":\"A\",\"value\":\"[redacted]\"},{\"name\":\"B\","
		"\"valueFrom\":{"
		"\"secretKeyRef\":{\"name\":\"db\",\"key\":\"password\"}}},{\"name\":\"C\"},"
		"{\"name\":\"D\",\"value\":\"\"}]}}");
	becomes(&g,
		"{\"spec\":{\"args\":[\"--password\",\"a b\",\"--port\",\"80\",\"-u\",\"u:p\"]}}",
		"{\"spec\":{\"args\":[\"--password\",\"[redacted]\",\"--port\",\"80\",\"-u\","
		"\"[redacted]\"]}}");
	becomes(&g,
		"{\"spec\":{\"password\":\"x\",\"dbPassword\":1234,\"apiKey\":\"k\","
		"\"passwordRef\":{"
		"\"name\":\"db\"},\"params\":[{\"name\":\"db.password\",\"value\":\"x\"}],"
		"\"token\":\"abc1\",\"secret\":\"my-secret\",\"tokenSecretName\":\"x\"}}",
		"{\"spec\":{\"password\":\"[redacted]\",\"dbPassword\":\"[redacted]\",\"apiKey\":"
		"\"[redacted]\",\"passwordRef\":{\"name\":\"db\"},\"params\":[{\"name\":\"db."
		"password\","
		"\"value\":\"[redacted]\"}],\"token\":\"[redacted]\",\"secret\":\"my-secret\","
		"\"tokenSecretName\":\"x\"}}");
	becomes(&g, "{\"spec\":{\"secret\":\"my--secret\"}}",
		"{\"spec\":{\"secret\":\"[redacted]\"}}");
	/* JSON within a text: only what changes is written anew. */
	becomes(&g, "{\"metadata\":{\"annotations\":{\"a\":\"{ \\\"password\\\": \\\"x\\\" }\"}}}",
		"{\"metadata\":{\"annotations\":{\"a\":\"{\\\"password\\\":\\\"[redacted]\\\"}\"}}"
		"}");
	/* A manifest in YAML. */
	becomes(&g,
		"{\"spec\":{\"m\":\"kind: Secret\\nmetadata:\\n  name: x\\ndata:\\n  a: "
		"eA==\\n\"}}",
		"{\"spec\":{\"m\":\"[redacted]\"}}");
	close_rig(&g);
}

static void dropped(void **state)
{
	static const struct str paths[] = {STR("status"), STR("..uid")};
	static const struct str prefixes[] = {STR("a/")};
	const struct redact_opts o = {
		.drop = paths, .n_drop = 2, .drop_prefixes = prefixes, .n_drop_prefixes = 1};
	static const char object[] =
		"{\"metadata\":{\"managedFields\":[{}],\"selfLink\":\"/x\",\"uid\":\"1\","
		"\"annotations\":{\"kubectl.kubernetes.io/last-applied-configuration\":\"{}\","
		"\"deployment.kubernetes.io/revision\":\"1\",\"a/b\":\"1\",\"keep\":\"1\"}},"
		"\"status\":{\"uid\":\"2\"},\"spec\":{\"template\":{\"metadata\":{\"annotations\":{"
		"\"kubectl.kubernetes.io/last-applied-configuration\":\"{}\","
		"\"kubectl.kubernetes.io/restartedAt\":\"x\"}}}}}";
	struct rig g;

	(void)state;
	open_rig(&g, NULL);
	becomes(&g, object,
		"{\"metadata\":{\"uid\":\"1\",\"annotations\":{\"a/b\":\"1\",\"keep\":\"1\"}},"
		"\"status\":{\"uid\":\"2\"},\"spec\":{\"template\":{\"metadata\":{\"annotations\":{"
		"\"kubectl.kubernetes.io/restartedAt\":\"x\"}}}}}");
	becomes(&g, "{\"metadata\":{\"annotations\":{\"helm.sh/chart\":\"x\"},\"name\":\"a\"}}",
		"{\"metadata\":{\"name\":\"a\"}}");
	/* Prefixes: what only ends in one, or has none, stays. */
	becomes(&g,
		"{\"metadata\":{\"annotations\":{\"meta.helm.sh/release-name\":\"x\","
		"\"control-plane.alpha.kubernetes.io/leader\":\"{}\",\"kubernetes.io/"
		"config.seen\":\"x\",\"pv.kubernetes.io/bind-completed\":\"yes\","
		"\"kubernetes.io\":\"x\",\"example.com/helm.sh\":\"x\"}}}",
		"{\"metadata\":{\"annotations\":{\"pv.kubernetes.io/bind-completed\":\"yes\","
		"\"kubernetes.io\":\"x\",\"example.com/helm.sh\":\"x\"}}}");
	close_rig(&g);
	open_rig(&g, &o);
	becomes(&g, object,
		"{\"metadata\":{\"annotations\":{\"deployment.kubernetes.io/revision\":\"1\","
		"\"keep\":\"1\"}},\"spec\":{\"template\":{\"metadata\":{\"annotations\":{"
		"\"kubectl.kubernetes.io/restartedAt\":\"x\"}}}}}");
	close_rig(&g);
}

static void options(void **state)
{
	static const struct redact_opts open = {.config_map_values = true, .env_values = true};
	static const struct str bad[] = {STR("a["), STR("b")};
	const struct redact_opts wrong = {.drop = bad, .n_drop = 2};
	struct redact *r = NULL;
	_buf_ struct buf error;
	struct rig g;

	(void)state;
	open_rig(&g, &open);
	becomes(&g,
		"{\"spec\":{\"env\":[{\"name\":\"PORT\",\"value\":\"80\"},{\"name\":\"AUTH_MODE\","
		"\"value\":"
		"\"x\"},{\"name\":\"U\",\"value\":\"http://a:b@c\"}]}}",
		"{\"spec\":{\"env\":[{\"name\":\"PORT\",\"value\":\"80\"},{\"name\":\"AUTH_MODE\","
		"\"value\":"
		"\"[redacted]\"},{\"name\":\"U\",\"value\":\"http://[redacted]@c\"}]}}");
	becomes(&g,
		"{\"kind\":\"ConfigMap\",\"data\":{\"a\":\"x\",\"password\":\"y\",\"u\":\"http://"
		"a:b@c\"},"
		"\"binaryData\":{\"b\":\"eA==\"}}",
		"{\"kind\":\"ConfigMap\",\"data\":{\"a\":\"x\",\"password\":\"[redacted]\","
		"\"u\":\"http://[redacted]@c\"},\"binaryData\":{\"b\":\"[redacted]\"}}");
	close_rig(&g);
	buf_init(&error, 4096);
	assert_int_equal(redact_new(&wrong, &r, &error), -EINVAL);
	assert_null(r);
	assert_true(memmem(error.p, error.n, "not closed", 10));
}

static void kind_is_written(void **state)
{
	char version[] = "v1";
	struct tree *t = NULL;
	struct rig g;

	(void)state;
	open_rig(&g, NULL);
	assert_int_equal(tree_parse(&g.a, STR("{\"metadata\":{},\"data\":{\"a\":\"b\"}}"), &t), 0);
	assert_int_equal(redact_object(g.r, &g.a, t, str_of(version), STR("Secret"), &g.verdict),
			 0);
	version[0] = 'x'; /* what was said is copied */
	assert_int_equal(tree_write(&g.out, t), 0);
	assert_true(str_eq(buf_str(&g.out),
			   STR("{\"kind\":\"Secret\",\"apiVersion\":\"v1\",\"metadata\":{},"
			       "\"data\":{\"a\":\"[redacted]\"}}")));
	buf_reset(&g.out);
	/* What metadata alone calls itself is not what it is of. */
	assert_int_equal(tree_parse(&g.a,
				    STR("{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":"
					"\"meta.k8s.io/v1\",\"metadata\":{}}"),
				    &t),
			 0);
	assert_int_equal(redact_object(g.r, &g.a, t, STR("apps/v1"), STR("Deployment"), &g.verdict),
			 0);
	assert_int_equal(tree_write(&g.out, t), 0);
	assert_true(str_eq(
		buf_str(&g.out),
		STR("{\"kind\":\"Deployment\",\"apiVersion\":\"apps/v1\",\"metadata\":{}}")));
	close_rig(&g);
}

static void skipped(void **state)
{
	static const struct {
		const char *json;
		enum redact_verdict want;
	} cases[] = {
		{"{\"kind\":\"Secret\",\"type\":\"kubernetes.io/service-account-token\"}",
		 REDACT_SKIP},
		{"{\"kind\":\"Secret\",\"type\":\"helm.sh/release.v1\"}", REDACT_SKIP},
		{"{\"kind\":\"Secret\",\"type\":\"bootstrap.kubernetes.io/token\"}", REDACT_SKIP},
		{"{\"kind\":\"Secret\",\"type\":\"Opaque\"}", REDACT_KEEP},
		{"{\"kind\":\"Secret\",\"metadata\":{\"name\":\"sh.helm.release.v1.x.v3\"}}",
		 REDACT_SKIP},
		{"{\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"sh.helm.release.v1.x.v3\"}}",
		 REDACT_SKIP},
		{"{\"kind\":\"Secret\",\"metadata\":{\"name\":\"bootstrap-token-abcdef\","
		 "\"namespace\":"
		 "\"kube-system\"}}",
		 REDACT_SKIP},
		{"{\"kind\":\"Secret\",\"metadata\":{\"name\":\"bootstrap-token-x\",\"namespace\":"
		 "\"default\"}}",
		 REDACT_KEEP},
		{"{\"kind\":\"Secret\",\"metadata\":{\"annotations\":{"
		 "\"kubernetes.io/service-account.name\":\"x\"}}}",
		 REDACT_SKIP},
		{"{\"kind\":\"Pod\",\"type\":\"helm.sh/release.v1\"}", REDACT_KEEP},
		{"{\"kind\":\"Pod\",\"metadata\":{\"name\":\"sh.helm.release.v1.x.v3\"}}",
		 REDACT_KEEP},
		{"[]", REDACT_SKIP},
	};
	struct rig g;

	(void)state;
	open_rig(&g, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		(void)passed(&g, str_of(cases[i].json));
		if (g.verdict != cases[i].want)
			fail_msg("%s: %d", cases[i].json, g.verdict);
	}
	close_rig(&g);
}

/* ---- harmless -------------------------------------------------------------------------------- */

static void harmless_texts_stay(void **state)
{
	static const char *const texts[] = {
		"registry.example.com:5000/team/some-long-image-name-with-parts:v1.2.3-rc.4",
		"quay.io/prometheus-operator/prometheus-config-reloader@sha256:"
		"c8d7a1e0b5b0f6f1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f70819",
		"3f8b1c52-9d1e-4c07-8a44-0f6b2f9a7e11",
		"/var/lib/kubelet/pods/3f8b1c52-9d1e-4c07-8a44-0f6b2f9a7e11/volumes/Config1",
		"https://oidc.eks.eu-west-1.amazonaws.com/id/D539D4633E53DE1B71EC5F4A8B3C2D1E/keys",
		"https://kubernetes.default.svc.cluster.local/openid/v1/jwks",
		"https://github.com/GoogleCloudPlatform/microservices-demo/blob/v0.3/README.md",
		"http://10.0.0.1:8080/healthz?verbose=1",
		"https://host:8443/path@2x.png",
		"ssh://git@github.com/org/repo.git",
		"git@github.com:org/repo.git",
		"someone@example.com",
		"- name: some-param\n  value: some text\n",
		"name: A\nother: x\nvalue: y\n",
		"0 */6 * * 1-5",
		"918273645",
		"--service-account-private-key-file=/etc/kubernetes/pki/sa.key",
		"--tls-private-key=/etc/tls/tls.key",
		"--token-ttl=5m",
		"--authorization-mode=Node,RBAC",
		"--use-service-account-credentials=true",
		"--password=$(DB_PASSWORD)",
		"--password ${DB_PASSWORD}",
		"psql password=$PGPASSWORD",
		"{{ .Values.password }}",
		"password: {{ .Values.password }}",
		"Basic authentication is used",
		"Basic password is needed",
		"Basic HTTP-auth is used",
		"A bearer token is needed",
		"the Bearer authentication scheme",
		"The token: it must be valid for one hour",
		"Use --password to set it",
		"Secret holding the password, key and token of the account",
		"system:serviceaccount:kube-system:deployment-controller",
		"Deployment does not have minimum availability.",
		"spec.template.spec.containers[0].env[1].valueFrom.secretKeyRef",
		"app.kubernetes.io/managed-by=Helm,app.kubernetes.io/instance=payments",
		"disk-size-monitor-with-a-long-name-v2",
		"sk-learn-model-server-deployment-v2",
		"AllocatedVolumeExpansionInProgressAndOtherLongCamelCaseNames2",
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
		"a1B2a1B2a1B2a1B2a1B2a1B2a1B2a1B2a1B2",
		"node-x7k2q-m9v4z-p3w8t-b6n1r-y5h0j-c2d7s-k4f9w",
		"containerd://0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
		"Successfully assigned payments/gateway-5578857c84-8r9k5 to worker-3",
		"eyJ",
		"--user 1000:1000",
		"user: 1000:1000",
		"ünïcödé 😀 text",
		"image: \"x\"\nport: 80\nkey: value\n",
		"[not json",
		"{\"a\": [1, 2,   3], \"b\": {\"c\": \"d\"}}", /* JSON keeps its blanks */
	};
	struct rig g;

	(void)state;
	open_rig(&g, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_free_ char *json = quoted(texts[i], strlen(texts[i]));
		_buf_ struct buf b;
		struct str is;

		buf_init(&b, TEXT_MAX);
		put_at(&b, "{\"spec\":{\"x\":[%s]}}", json);
		is = passed(&g, buf_str(&b));
		if (total(g.r))
			fail_msg("%s became %.*s", texts[i], STR_ARG(is));
	}
	close_rig(&g);
}

static void strip_noise(json_t *o)
{
	json_t *meta = json_object_get(o, "metadata"), *notes;

	(void)json_object_del(meta, "managedFields");
	notes = json_object_get(meta, "annotations");
	for (size_t i = 0; redact_drop_prefixes[i].n; i++) {
		const char *key;
		json_t *v;
		void *next;

		json_object_foreach_safe(
			notes, next, key,
			v) if (str_starts(str_of(key), redact_drop_prefixes[i]))(void)
			json_object_del(notes, key);
	}
	if (notes && !json_object_size(notes))
		(void)json_object_del(meta, "annotations");
}

/* Of recorded objects nothing but the dropped fields and the values of variables changes. */
static void recorded_objects_stay(void **state)
{
	static const char *const names[] = {"base-pods-json", "base-replicasets-json",
					    "base-jobs-json", "big-pods-json",
					    "big-replicasets-json"};
	struct rig g;

	(void)state;
	open_rig(&g, NULL);
	for (size_t k = 0; k < ARRAY_SIZE(names); k++) {
		_buf_ struct buf body;
		json_t *root, *item;
		size_t i;

		assert_int_equal(fixture_read(names[k], &body), 0);
		root = json_loadb(body.p + body.off, body.n, 0, NULL);
		json_array_foreach(json_object_get(root, "items"), i, item)
		{
			_free_ char *json = json_dumps(item, JSON_COMPACT), *want = NULL;
			struct str is = passed(&g, str_of(json));

			assert_int_equal(g.verdict, REDACT_KEEP);
			strip_noise(item);
			want = json_dumps(item, JSON_COMPACT);
			if (total(g.r) == redact_count(g.r, REDACT_ENV_VALUE) &&
			    strstr(want, "\"env\""))
				continue;
			if (!str_eq(is, str_of(want)))
				fail_msg("\nwanted %s\nis     %.*s", want, STR_ARG(is));
		}
		json_decref(root);
	}
	assert_int_equal(total(g.r), redact_count(g.r, REDACT_ENV_VALUE));
	close_rig(&g);
}

/* ---- size ------------------------------------------------------------------------------------ */

/* 1.5 MB of what each detector looks at longest: quadratic work would take hours. */
static void hostile_texts(void **state)
{
	static const char *const parts[] = {"eyJ-",
					    "eyJa.",
					    "://",
					    "://a:b",
					    "sk-",
					    "@tcp(",
					    "password:",
					    "x password:",
					    "{password:{",
					    "password:\"",
					    "-----BEGIN ",
					    "bearer ",
					    "basic ",
					    "authorization:$(",
					    "--token ",
					    "-u ",
					    "a=",
					    "A1b",
					    "AKIA",
					    "\\\"",
					    "password=\\\"",
					    "'",
					    "token=/a/",
					    "name: A\nvalue:",
					    "ghp_ghp_",
					    "é",
					    "{\"a\":[",
					    "kind: Secret\n",
					    "hooks.slack.com/services/"};
	struct rig g;

	(void)state;
	open_rig(&g, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		size_t n = strlen(parts[i]);
		_buf_ struct buf b;
		struct str is;

		buf_init(&b, TEXT_MAX);
		while (b.n < 1500000)
			assert_int_equal(buf_append(&b, parts[i], n), 0);
		arena_reset(&g.a);
		assert_int_equal(redact_string(g.r, &g.a, buf_str(&b), &is), 0);
		assert_int_equal(buf_append_str(&b, STR(" end")), 0);
		assert_int_equal(redact_string(g.r, &g.a, buf_str(&b), &is), 0);
	}
	close_rig(&g);
}

static void many_secrets_in_one_text(void **state)
{
	struct str is;
	_buf_ struct buf b;
	struct rig g;

	(void)state;
	open_rig(&g, NULL);
	buf_init(&b, TEXT_MAX);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(buf_printf(&b, "http://u:secret%d@x\n", i), 0);
	assert_int_equal(redact_string(g.r, &g.a, buf_str(&b), &is), 0);
	assert_true(str_eq(is, STR("[redacted]")));
	close_rig(&g);
}

static int everything(void *ctx)
{
	static const struct str paths[] = {STR("status.x[?(@.a==1)]")};
	const struct redact_opts o = {.drop = paths, .n_drop = 1};
	enum redact_verdict verdict;
	struct redact *r = NULL;
	_buf_ struct buf error;
	struct tree *t;
	struct arena a;
	int e;

	(void)ctx;
	buf_init(&error, 4096);
	arena_init(&a, ARENA_MAX);
	e = redact_new(&o, &r, &error);
	if (e == 0)
		e = tree_parse(
			&a,
			STR("{\"metadata\":{},\"spec\":{\"a\":\"{\\\"password\\\":\\\"x\\\"}\","
			    "\"u\":\"http://a:b@c\",\"-----BEGIN A-----xxxxxxxx\":1}}"),
			&t);
	if (e == 0)
		e = redact_object(r, &a, t, STR("v1"), STR("Pod"), &verdict);
	redact_free(&r);
	arena_done(&a);
	return e;
}

static void short_of_memory(void **state)
{
	(void)state;
	assert_int_equal(torture_run(everything, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(canaries_are_gone),
		cmocka_unit_test(each_detector_is_counted),
		cmocka_unit_test(texts_become),
		cmocka_unit_test(objects_become),
		cmocka_unit_test(dropped),
		cmocka_unit_test(options),
		cmocka_unit_test(kind_is_written),
		cmocka_unit_test(skipped),
		cmocka_unit_test(harmless_texts_stay),
		cmocka_unit_test(recorded_objects_stay),
		cmocka_unit_test(hostile_texts),
		cmocka_unit_test(many_secrets_in_one_text),
		cmocka_unit_test(short_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
