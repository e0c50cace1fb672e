/*
 * Bad JSON costs what it may: the object, or the stream, with a word why; and
 * what is odd but allowed is read right.
 */
#include "base/mem.h"
#include "tests/lib/decode_log.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define OBJ(more) "{\"metadata\":{\"name\":\"a\",\"uid\":\"u\"" more
#define LIST(items) \
	"{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"metadata\":{},\"items\":[" items "]}"
#define GOOD	  OBJ("}}")
#define GOOD_LINE "ADDED version=2:v1 kind=3:Pod name=1:a uid=1:u\n"
#define END_LINE  "LIST remaining=-1\n"

/* Whole, byte by byte, and cut in two at every byte: the same answer. */
static void run(struct decode_log *l, struct str body)
{
	struct decode_log cut;

	decode_log_run(l, body, CUT_NONE, 0, NULL);
	decode_log_init(&cut, 0, 0, 0);
	cut.opts = l->opts;
	for (size_t at = 0; at <= body.n && body.n < 3000; at++) {
		decode_log_run(&cut, body, at ? CUT_IN_TWO : CUT_BYTES, at, NULL);
		if (cut.result != l->result || strcmp(cut.error, l->error) != 0 ||
		    !str_eq(buf_str(&cut.text), buf_str(&l->text)))
			fail_msg("cut at %zu: %d %s: %.*s\nwhole: %d %s: %.*s", at, cut.result,
				 cut.error, STR_ARG(buf_str(&cut.text)), l->result, l->error,
				 STR_ARG(buf_str(&l->text)));
	}
	decode_log_done(&cut);
}

static void expect_of(struct decode_log *l, struct str body, int result, struct str text)
{
	run(l, body);
	if (l->result != result || !str_eq(buf_str(&l->text), text))
		fail_msg("%.*s\ngave %d %s:\n%.*s", (int)MIN(body.n, (size_t)300), body.p,
			 l->result, l->error, STR_ARG(buf_str(&l->text)));
	decode_log_done(l);
}

static void expect(enum decode_body b, struct str body, int result, const char *text)
{
	struct decode_log l;

	decode_log_init(&l, DECODE_JSON, b, SHAPE_POD);
	expect_of(&l, body, result, str_of(text));
}

/* A list with these items says this, and is whole. */
#define ITEMS(json, text) expect(DECODE_LIST, STR(LIST(json)), 0, text END_LINE)

static void test_json_text(void **state)
{
	static const struct str nul =
		STR("ADDED version=2:v1 kind=3:Pod name=3:x\0y uid=1:u\n" END_LINE);
	struct decode_log l;

	(void)state;
	ITEMS(OBJ(",\"namespace\":\"\\u0041\\n\\\"\\\\\\/\\b\\f\\r\\t\"}}"),
	      "ADDED version=2:v1 kind=3:Pod name=1:a ns=9:A\n\"\\/\b\f\r\t uid=1:u\n");
	ITEMS(OBJ(",\"namespace\":\"\\ud83d\\ude00\\u00e9\\u20ac\"}}"),
	      "ADDED version=2:v1 kind=3:Pod name=1:a ns=9:\xf0\x9f\x98\x80\xc3\xa9\xe2\x82\xac "
	      "uid=1:u\n");
	/* lone halves of surrogates, bytes that are no UTF-8 */
	ITEMS(OBJ(",\"namespace\":\"\\ud83dx\\ude00\\ud83d\\u0041\"}}"),
	      "ADDED version=2:v1 kind=3:Pod name=1:a ns=11:\xef\xbf\xbdx\xef\xbf\xbd\xef\xbf\xbd"
	      "A uid=1:u\n");
	ITEMS(OBJ(",\"namespace\":\"a\xff\xc0\xaf\xed\xa0\x80\"}}"),
	      "ADDED version=2:v1 kind=3:Pod name=1:a ns=19:a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
	      "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd uid=1:u\n");
	decode_log_init(&l, DECODE_JSON, DECODE_LIST, SHAPE_POD);
	expect_of(&l, STR(LIST("{\"metadata\":{\"name\":\"x\\u0000y\",\"uid\":\"u\"}}")), 0, nul);
	/* escaped keys are keys; strings that look like brackets are none */
	ITEMS("{\"\\u006detadata\":{\"n\\u0061me\":\"a\",\"uid\":\"u\"},\"spec\":{\"x\":\"}]\\\"{["
	      "\\\\\"}}",
	      GOOD_LINE);
}

static void test_json_values(void **state)
{
	(void)state;
	ITEMS(" " GOOD " , \n" GOOD "\t", GOOD_LINE GOOD_LINE);
	/* the last of equal keys wins, null changes nothing, lists begin anew */
	ITEMS("{\"metadata\":{\"name\":\"b\",\"uid\":\"u\",\"name\":\"a\",\"name\":null}}",
	      GOOD_LINE);
	ITEMS(OBJ("},\"status\":{\"podIPs\":[{\"ip\":\"1\"},{\"ip\":\"2\"}],\"podIPs\":[{\"ip\":"
		  "\"3\"}]}}"),
	      "ADDED version=2:v1 kind=3:Pod name=1:a uid=1:u ip=1:3\n");
	ITEMS(OBJ("},\"status\":{\"containerStatuses\":[{\"name\":\"x\"}],"
		  "\"initContainerStatuses\":[{\"name\":\"i\"}],\"containerStatuses\":[{\"name\":"
		  "\"y\"}]}}"),
	      "ADDED version=2:v1 kind=3:Pod name=1:a uid=1:u container=0/0 name=1:y container=1/0 "
	      "name=1:i\n");
	ITEMS(OBJ(",\"creationTimestamp\":null,\"ownerReferences\":null},\"spec\":null,"
		  "\"status\":{\"containerStatuses\":null,\"phase\":\"Odd\"}}"),
	      GOOD_LINE);
	ITEMS(OBJ(",\"deletionTimestamp\":\"1970-01-02T00:00:01.5+01:00\"}}"),
	      "ADDED version=2:v1 kind=3:Pod name=1:a uid=1:u deleted=82801\n");
	ITEMS(OBJ("},\"status\":{\"containerStatuses\":[null,{\"state\":{\"running\":{}}}]}}"),
	      "ADDED version=2:v1 kind=3:Pod name=1:a uid=1:u container=0/0 container=0/2\n");
	expect(DECODE_LIST,
	       STR("{\"kind\":\"PodList\",\"items\":null,\"metadata\":{\"remainingItemCount\":5,"
		   "\"continue\":\"c\"}} \n"),
	       0, "LIST continue=1:c remaining=5\n");
	/* a custom resource's list may have any name */
	expect(DECODE_LIST, STR("{\"kind\":\"Things\",\"items\":[]}"), 0, END_LINE);
	/* metadata behind the items, kind behind them too */
	expect(DECODE_LIST,
	       STR("{\"items\":[" GOOD
		   "],\"metadata\":{\"resourceVersion\":\"7\"},\"kind\":\"PodList\"}"),
	       0, "ADDED name=1:a uid=1:u\nLIST rv=1:7 remaining=-1\n");
}

static void test_json_watch(void **state)
{
	(void)state;
	/* the type behind the object, several events with nothing between them */
	expect(DECODE_WATCH,
	       STR("{\"object\":{\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\",\"uid\":\"u\"}},"
		   "\"type\":\"DELETED\"}{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{"
		   "\"resourceVersion\":\"9\"}}}\n"),
	       0, "DELETED kind=3:Pod name=1:a uid=1:u\nBOOKMARK rv=1:9\n");
	expect(DECODE_WATCH,
	       STR("{\"object\":{\"code\":410,\"reason\":\"Gone\",\"details\":{"
		   "\"retryAfterSeconds\":3}},\"type\":\"ERROR\"}"),
	       0, "STATUS code=410 reason=4:Gone retry_after=3\n");
	expect(DECODE_WATCH,
	       STR("{\"type\":\"WHAT\",\"object\":" GOOD "}{\"type\":\"ADDED\"}{\"type\":5,"
		   "\"object\":" GOOD "}{\"type\":\"ADDED\",\"object\":[]}{}"),
	       0,
	       "BAD malformed name=1:a\nBAD malformed\nBAD malformed name=1:a\nBAD malformed\nBAD "
	       "malformed\n");
	expect(DECODE_WATCH, STR(""), 0, "");
	expect(DECODE_WATCH, STR("{\"type\":\"ADDED\",\"object\":" GOOD), -EBADMSG, "");
	expect(DECODE_WATCH, STR("{\"type\":\"ADDED\",\"object\":" GOOD "} x"), -EBADMSG,
	       "ADDED name=1:a uid=1:u\n");
}

static void test_json_bad_objects(void **state)
{
	(void)state;
	ITEMS(OBJ(",\"namespace\":5}},") GOOD, "BAD malformed name=1:a\n" GOOD_LINE);
	ITEMS(OBJ(",\"ownerReferences\":{}}},") GOOD, "BAD malformed name=1:a\n" GOOD_LINE);
	ITEMS(OBJ(",\"ownerReferences\":[7]}},") GOOD, "BAD malformed name=1:a\n" GOOD_LINE);
	ITEMS(OBJ("},\"spec\":{\"hostNetwork\":\"true\"}},") GOOD,
	      "BAD malformed name=1:a\n" GOOD_LINE);
	ITEMS(OBJ(",\"deletionTimestamp\":\"yesterday\"}},") GOOD,
	      "BAD malformed name=1:a\n" GOOD_LINE);
	ITEMS("{\"metadata\":{\"name\":\"n\"}},{},null," GOOD,
	      "BAD incomplete name=1:n\nBAD incomplete\nBAD incomplete\n" GOOD_LINE);
}

static void test_json_broken(void **state)
{
	static const struct {
		const char *body, *error;
	} all[] = {
		{"", "JSON: body cut short, at byte 0"},
		{"  ", "JSON: body cut short, at byte 2"},
		{"x", "JSON: expected '{', at byte 0"},
		{"[]", "JSON: expected '{', at byte 0"},
		{"<html>", "JSON: expected '{', at byte 0"},
		{"{\"kind\" 1}", "JSON: expected ':', at byte 8"},
		{"{\"kind\":\"PodList\" \"a\":1}", "JSON: expected ',' or '}', at byte 18"},
		{"{,}", "JSON: expected a key or '}', at byte 1"},
		{"{\"a\":1,}", "JSON: expected a key, at byte 7"},
		{"{\"items\":[1 2]}", "JSON: value of a wrong type for 'items', at byte 11"},
		{"{\"items\":[}", "JSON: expected a value, at byte 10"},
		{"{\"items\":[{}]]", "JSON: expected ',' or '}', at byte 13"},
		{"{\"items\":{}}", "JSON: value of a wrong type for 'items', at byte 9"},
		{"{\"a\":nul}", "JSON: expected a value, at byte 8"},
		{"{\"a\":01}", "JSON: expected a value, at byte 7"},
		{"{\"a\":-}", "JSON: expected a value, at byte 6"},
		{"{\"a\":1.}", "JSON: expected a value, at byte 7"},
		{"{\"a\":1e}", "JSON: expected a value, at byte 7"},
		{"{\"kind\":\"\\q\"}", "JSON: expected a string with valid escapes, at byte 11"},
		{"{\"kind\":\"\\u12g4\"}",
		 "JSON: expected a string with valid escapes, at byte 15"},
		{"{\"a\":\"\x01\"}", "JSON: expected no control character in a string, at byte 6"},
		{"{\"kind\":\"PodList\"}}", "JSON: expected the end, at byte 18"},
		{"{\"kind\":\"Pod\",\"metadata\":{}}", "not a list but kind 'Pod', at byte 28"},
		{"{}", "not a list but kind '', at byte 2"},
		{"{\"metadata\":{\"remainingItemCount\":1.5}}",
		 "JSON: value of a wrong type for 'remainingItemCount', at byte 37"},
		{"{\"metadata\":{\"remainingItemCount\":9223372036854775808}}",
		 "JSON: value of a wrong type for 'remainingItemCount', at byte 53"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		struct decode_log l;

		decode_log_init(&l, DECODE_JSON, DECODE_LIST, SHAPE_POD);
		run(&l, str_of(all[i].body));
		if (l.result != -EBADMSG || strcmp(l.error, all[i].error) != 0)
			fail_msg("%s: %d \"%s\"", all[i].body, l.result, l.error);
		decode_log_done(&l);
	}
}

/* `n` times `s`. */
static void repeat(struct buf *b, const char *s, size_t n)
{
	while (n--)
		assert_int_equal(buf_append(b, s, strlen(s)), 0);
}

static void expect_buf(struct decode_log *l, const struct buf *b, int result, const char *text,
		       size_t most_bytes)
{
	run(l, buf_str(b));
	if (l->result != result || !str_eq(buf_str(&l->text), str_of(text)))
		fail_msg("gave %d %s:\n%.*s", l->result, l->error,
			 (int)MIN(l->text.n, (size_t)1000), l->text.p);
	assert_true(l->most_bytes < most_bytes);
}

/* [[[[…]]]] or {"a":{"a":…}} below an unwanted field, then a good object. */
static void nest(struct buf *b, const char *open, const char *close, size_t n)
{
	buf_init(b, 1 << 23);
	repeat(b, "{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"items\":[" OBJ("},\"x\":"), 1);
	repeat(b, open, n);
	repeat(b, "1", 1);
	repeat(b, close, n);
	repeat(b, "}," GOOD "]}", 1);
}

static void test_json_depth(void **state)
{
	static const struct {
		const char *open, *close;
		size_t n;
		const char *text;
	} all[] = {
		{"[", "]", 61, GOOD_LINE GOOD_LINE END_LINE}, /* 3 levels are around it */
		{"[", "]", 62, "BAD too_deep name=1:a\n" GOOD_LINE END_LINE},
		{"{\"a\":", "}", 61, GOOD_LINE GOOD_LINE END_LINE},
		{"{\"a\":", "}", 62, "BAD too_deep name=1:a\n" GOOD_LINE END_LINE},
		/* Deeper than Go's own limit of 10,000. */
		{"[", "]", 10001, "BAD too_deep name=1:a\n" GOOD_LINE END_LINE},
		{"{\"a\":", "}", 300000, "BAD too_deep name=1:a\n" GOOD_LINE END_LINE},
		{"[", "]", 1000000, "BAD too_deep name=1:a\n" GOOD_LINE END_LINE},
		/* Then its size is the worse. */
		{"[", "]", 3000000, "BAD too_large name=1:a\n" GOOD_LINE END_LINE},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		struct decode_log l;
		_buf_ struct buf b;

		nest(&b, all[i].open, all[i].close, all[i].n);
		decode_log_init(&l, DECODE_JSON, DECODE_LIST, SHAPE_POD);
		expect_buf(&l, &b, 0, all[i].text, 64 * 1024);
		decode_log_done(&l);
	}
}

static void test_json_too_large(void **state)
{
	static const char *const where[] = {
		"\"x\":\"", "\"metadata\":{\"name\":\"big\"},\"x\":\"", "\"metadata\":{\"name\":\"",
		"\"metadata\":{\"labels\":{\"", "\"spec\":{\"nodeName\":\"\\u0041"};
	static const char *const ends[] = {"\"},", "\"},", "\"}},", "\":\"\"}}},", "\"}},"};
	static const char *const said[] = {"BAD too_large\n", "BAD too_large name=3:big\n",
					   "BAD too_large\n", "BAD too_large\n", "BAD too_large\n"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(where); i++) {
		char text[256];
		struct decode_log l;
		_buf_ struct buf b;

		buf_init(&b, 1 << 24);
		repeat(&b, "{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"items\":[{", 1);
		repeat(&b, where[i], 1);
		repeat(&b, "0123456789abcdef", 1 << 16);
		repeat(&b, ends[i], 1);
		repeat(&b, GOOD "]}", 1);
		decode_log_init(&l, DECODE_JSON, DECODE_LIST, SHAPE_POD);
		l.opts.max_object = 10000;
		(void)snprintf(text, sizeof(text), "%s" GOOD_LINE END_LINE, said[i]);
		expect_buf(&l, &b, 0, text, 512 * 1024);
		decode_log_run(&l, buf_str(&b), CUT_BYTES, 0, NULL);
		assert_string_equal(text, (buf_append(&l.text, "", 1), l.text.p));
		assert_true(l.most_bytes < 64 * 1024);
		decode_log_done(&l);
	}
}

/* Exactly the limit is taken, one byte more is not. */
static void test_json_size_limit(void **state)
{
	struct decode_log l;

	(void)state;
	decode_log_init(&l, DECODE_JSON, DECODE_LIST, SHAPE_POD);
	l.opts.max_object = sizeof(GOOD) - 1;
	run(&l, STR(LIST(GOOD)));
	assert_int_equal(l.objects, 1);
	l.opts.max_object--;
	run(&l, STR(LIST(GOOD)));
	assert_int_equal(l.objects, 0);
	assert_int_equal(l.bads, 1);
	assert_int_equal(l.lists, 1);
	decode_log_done(&l);
}

static int count_parts(void *ctx, enum event_type type, const struct object *o)
{
	uint32_t *n = ctx;

	(void)type;
	n[0] = o->meta.n_owners;
	n[1] = o->pod.n_containers;
	n[2] = o->pod.n_ips;
	return 0;
}

static void count_bad(void *ctx, enum decode_bad why, struct str name)
{
	uint32_t *n = ctx;

	assert_int_equal(why, BAD_TOO_MANY);
	assert_true(str_eq(name, STR("a")));
	n[3]++;
}

static void test_too_many(void **state)
{
	static const struct decode_ops ops = {.on_object = count_parts, .on_bad = count_bad};
	uint32_t n[4] = {0};
	struct decode_opts o = {.format = DECODE_JSON,
				.body = DECODE_LIST,
				.shape = SHAPE_POD,
				.ops = &ops,
				.ctx = n};
	struct decode *d = NULL;
	_buf_ struct buf b;

	(void)state;
	buf_init(&b, 1 << 22);
	repeat(&b,
	       "{\"kind\":\"PodList\",\"items\":[" OBJ(",\"ownerReferences\":[{\"name\":\"o\"}"),
	       1);
	repeat(&b, ",{\"name\":\"o\"}", 9999);
	repeat(&b, "]},\"status\":{\"podIPs\":[{\"ip\":\"1\"}", 1);
	repeat(&b, ",{\"ip\":\"1\"}", 9999);
	repeat(&b, "],\"containerStatuses\":[{\"name\":\"c\"}", 1);
	repeat(&b, ",{\"name\":\"c\"}", 9999);
	repeat(&b, "]}}]}", 1);
	assert_int_equal(decode_new(&o, &d), 0);
	assert_int_equal(decode_feed(d, b.p, b.n), 0);
	assert_int_equal(decode_finish(d), 0);
	decode_free(&d);
	assert_int_equal(n[0], MODEL_MAX_OWNERS);
	assert_int_equal(n[1], MODEL_MAX_CONTAINERS);
	assert_int_equal(n[2], MODEL_MAX_IPS);
	assert_int_equal(n[3], 1);
}

static int note_owners(void *ctx, enum event_type type, const struct object *o)
{
	const struct owner_ref *c = meta_controller(&o->meta);
	struct buf *b = ctx;

	(void)type;
	assert_int_equal(o->meta.n_owners, MODEL_MAX_OWNERS);
	for (uint32_t i = 0; i + 1 < MODEL_MAX_OWNERS; i++)
		if (!o->meta.owners[i].controller)
			assert_true(str_eq(o->meta.owners[i].name, STR("o")));
	return buf_printf(b, "%.*s/%.*s/%.*s/%.*s ", STR_ARG(c ? c->api_version : STR("")),
			  STR_ARG(c ? c->kind : STR("")), STR_ARG(c ? c->name : STR("none")),
			  STR_ARG(c ? c->uid : STR("")));
}

#define PLAIN_REF "{\"name\":\"o\"},"
#define LATE_REF                                                                             \
	"{\"apiVersion\":\"v\",\"kind\":\"K\",\"name\":\"c\",\"controller\":true,\"uid\":\"" \
	"\\u0075\"},"

/* Over the maximum only references that are no controllers are left out. */
static void test_late_controller(void **state)
{
	static const struct decode_ops ops = {.on_object = note_owners};
	static const struct {
		const char *late, *want;
	} cases[] = {
		{LATE_REF, "v/K/c/u "},
		{LATE_REF PLAIN_REF PLAIN_REF, "v/K/c/u "},
		{LATE_REF "null,", "v/K/c/u "},
		{"{\"controller\":true,\"name\":\"c\"},", "//c/ "},
		{"{\"controller\":true,\"name\":\"c\",\"controller\":false},", "//none/ "},
		{PLAIN_REF, "//none/ "},
	};
	_buf_ struct buf b, got;

	(void)state;
	buf_init(&b, 1 << 20);
	buf_init(&got, 4096);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		for (size_t piece = 1; piece < 40000; piece = piece * 3 + 4) {
			struct decode_opts o = {.format = DECODE_JSON,
						.body = DECODE_LIST,
						.shape = SHAPE_META,
						.ops = &ops,
						.ctx = &got};
			struct decode *d = NULL;

			buf_reset(&b);
			buf_reset(&got);
			repeat(&b, "{\"kind\":\"PodList\",\"items\":[", 1);
			repeat(&b, OBJ(",\"ownerReferences\":["), 1);
			repeat(&b, PLAIN_REF, 300);
			repeat(&b, cases[i].late, 1);
			repeat(&b, "{}]}},", 1);
			/* the one before leaves nothing behind */
			repeat(&b, OBJ(",\"ownerReferences\":["), 1);
			repeat(&b, PLAIN_REF, 300);
			repeat(&b, "{}]}}]}", 1);
			assert_int_equal(decode_new(&o, &d), 0);
			for (size_t at = 0; at < b.n; at += piece) {
				const size_t n = MIN(piece, b.n - at);
				_free_ char *copy = malloc(n);

				memcpy(copy, b.p + at, n);
				assert_int_equal(decode_feed(d, copy, n), 0);
			}
			assert_int_equal(decode_finish(d), 0);
			decode_free(&d);
			assert_true(str_ends(buf_str(&got), STR("//none/ ")));
			got.n -= strlen("//none/ ");
			assert_true(str_eq(buf_str(&got), str_of(cases[i].want)));
		}
}

/* A list whose own texts are endless. */
static void test_large_list_meta(void **state)
{
	struct decode_log l;
	_buf_ struct buf b;

	(void)state;
	buf_init(&b, 1 << 22);
	repeat(&b, "{\"kind\":\"PodList\",\"metadata\":{\"continue\":\"", 1);
	repeat(&b, "0123456789abcdef", 8192);
	repeat(&b, "\"}}", 1);
	decode_log_init(&l, DECODE_JSON, DECODE_LIST, SHAPE_POD);
	expect_buf(&l, &b, -EBADMSG, "", 1 << 18);
	assert_string_equal(l.error, "JSON: list metadata over 65536 bytes, at byte 131114");
	decode_log_done(&l);
}

static void test_node(void **state)
{
	struct decode_log l;

	(void)state;
	decode_log_init(&l, DECODE_JSON, DECODE_OBJECT, SHAPE_NODE);
	expect_of(&l,
		  STR("{\"kind\":\"Node\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"n\","
		      "\"uid\":\"u\","
		      "\"labels\":{\"beta.kubernetes.io/instance-type\":\"m\","
		      "\"topology.kubernetes.io/zone\":\"z\"}},\"spec\":{\"providerID\":\"p\"}}"),
		  0,
		  STR("ADDED version=2:v1 kind=4:Node name=1:n uid=1:u provider=1:p zone=1:z "
		      "type=1:m\n"));
}

static void test_node_addresses(void **state)
{
	struct decode_log l;

	(void)state;
	decode_log_init(&l, DECODE_JSON, DECODE_LIST, SHAPE_NODE);
	expect_of(&l,
		  STR(LIST(OBJ("},\"spec\":{},\"status\":{\"addresses\":["
			       "{\"type\":\"InternalIP\",\"address\":\"10.0.0.1\"},"
			       "{\"address\":\"fd00::1\",\"type\":\"ExternalIP\"},"
			       "{\"type\":\"Hostname\",\"address\":\"n-1\"}]}}"))),
		  0,
		  STR("ADDED version=2:v1 kind=3:Pod name=1:a uid=1:u place=8:10.0.0.1 "
		      "place=7:fd00::1 place=3:n-1\n" END_LINE));
}

/* Each array of texts begins anew when its key comes again, and alone; what is no text spoils. */
static void test_service(void **state)
{
	struct decode_log l;

	(void)state;
	decode_log_init(&l, DECODE_JSON, DECODE_LIST, SHAPE_SERVICE);
	expect_of(
		&l,
		STR(LIST(OBJ(
			"},\"spec\":{\"clusterIP\":\"10.96.0.1\",\"clusterIPs\":[\"x\"],"
			"\"externalIPs\":[\"192.0.2.7\",\"192.0.2.\\u0038\"],"
			"\"clusterIPs\":[\"10.96.0.1\",\"fd00::a\"],\"ports\":[{\"port\":80}]},"
			"\"status\":{\"loadBalancer\":{\"ingress\":[{\"ip\":\"203.0.113.9\"},"
			"{\"hostname\":\"lb.example.com\"}]}}}") "," OBJ("},\"spec\":{"
									 "\"clusterIPs\":null,"
									 "\"clusterIP\":\"None\"},"
									 "\"status\":{"
									 "\"loadBalancer\":{}}}"))),
		0,
		STR("ADDED version=2:v1 kind=3:Pod name=1:a uid=1:u cluster_ip=9:10.96.0.1 "
		    "place=9:10.96.0.1 place=7:fd00::a external=9:192.0.2.7 external=9:192.0.2.8 "
		    "ingress=11:203.0.113.9\n"
		    "ADDED version=2:v1 kind=3:Pod name=1:a uid=1:u cluster_ip=4:None\n" END_LINE));
	decode_log_init(&l, DECODE_JSON, DECODE_LIST, SHAPE_SERVICE);
	expect_of(&l,
		  STR(LIST(OBJ("},\"spec\":{\"clusterIPs\":[{\"a\":[]}]}}") "," OBJ(
			  "},\"spec\":{\"clusterIPs\":\"10.96.0.1\"}}") "," OBJ("},\"spec\":{"
										"\"externalIPs\":["
										"7]}}"))),
		  0,
		  STR("BAD malformed name=1:a\nBAD malformed name=1:a\nBAD malformed "
		      "name=1:a\n" END_LINE));
}

/* Wanted labels in the order of the object; the last of equal keys wins. */
static void test_labels(void **state)
{
	static const struct str wanted[] = {STR("b"), STR("a/x")};
	struct decode_log l;

	(void)state;
	decode_log_init(&l, DECODE_JSON, DECODE_LIST, SHAPE_POD);
	l.opts.labels = wanted;
	l.opts.n_labels = ARRAY_SIZE(wanted);
	expect_of(
		&l,
		STR(LIST(OBJ(
			",\"labels\":{\"a\":\"0\",\"a/x\":\"1\",\"b\":\"2\",\"a\\/x\":\"3\"}}}"))),
		0,
		STR("ADDED version=2:v1 kind=3:Pod name=1:a uid=1:u label=3:a/x is=1:3 label=1:b "
		    "is=1:2\n" END_LINE));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json_text),	cmocka_unit_test(test_json_values),
		cmocka_unit_test(test_json_watch),	cmocka_unit_test(test_json_bad_objects),
		cmocka_unit_test(test_json_broken),	cmocka_unit_test(test_json_depth),
		cmocka_unit_test(test_json_too_large),	cmocka_unit_test(test_json_size_limit),
		cmocka_unit_test(test_too_many),	cmocka_unit_test(test_late_controller),
		cmocka_unit_test(test_large_list_meta), cmocka_unit_test(test_node),
		cmocka_unit_test(test_node_addresses),	cmocka_unit_test(test_service),
		cmocka_unit_test(test_labels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
