/*
 * Every recorded body: both formats say the same, in every cut.
 */
#include "base/mem.h"
#include "tests/lib/decode_log.h"
#include "tests/lib/fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define JSON DECODE_JSON
#define PB   DECODE_PROTOBUF

struct recording {
	const char *name;
	enum decode_format format;
	enum decode_body body;
	enum decode_shape shape;
	uint32_t objects, statuses; /* objects 0: any number */
};

static const struct str wanted[] = {STR("app"), STR("pod-template-hash")};

static struct buf body_of(const char *name)
{
	struct buf b;
	int r = fixture_read(name, &b);

	if (r < 0)
		fail_msg("%s: %s", name, strerror(-r));
	return b;
}

static void start(struct decode_log *l, const struct recording *c)
{
	decode_log_init(l, c->format, c->body, c->shape);
	l->opts.labels = wanted;
	l->opts.n_labels = ARRAY_SIZE(wanted);
}

static void same(const struct decode_log *a, const struct decode_log *b, const char *name,
		 const char *how)
{
	if (a->result != b->result || !str_eq(buf_str(&a->text), buf_str(&b->text)))
		fail_msg("%s: %s differs (%d %s, %d %s)", name, how, a->result, a->error, b->result,
			 b->error);
}

static void check_cuts(const struct recording *c)
{
	uint64_t seed = rng_entropy();
	_buf_ struct buf body = body_of(c->name);
	struct decode_log whole, cut;
	struct rng g;

	start(&whole, c);
	start(&cut, c);
	decode_log_run(&whole, buf_str(&body), CUT_NONE, 0, NULL);
	if (whole.result < 0 || whole.bads)
		fail_msg("%s: %d %s, %u bad", c->name, whole.result, whole.error, whole.bads);
	if (c->objects)
		assert_int_equal(whole.objects, c->objects);
	assert_int_equal(whole.statuses, c->statuses);
	assert_int_equal(whole.lists, c->body == DECODE_LIST);
	if (body.n < 1 << 20) {
		decode_log_run(&cut, buf_str(&body), CUT_BYTES, 0, NULL);
		same(&whole, &cut, c->name, "byte by byte");
	}
	rng_seed(&g, seed);
	decode_log_run(&cut, buf_str(&body), CUT_RANDOM, 0, &g);
	if (!str_eq(buf_str(&whole.text), buf_str(&cut.text)))
		fail_msg("%s: random cuts of seed %llu differ", c->name, (unsigned long long)seed);
	assert_true(cut.most_bytes < 256 * 1024);
	decode_log_done(&whole);
	decode_log_done(&cut);
}

static void test_cuts(void **state)
{
	static const struct recording all[] = {
		{"list-pods-json", JSON, DECODE_LIST, SHAPE_POD, 101, 0},
		{"list-pods-pb", PB, DECODE_LIST, SHAPE_POD, 101, 0},
		{"list-pods-meta-json", JSON, DECODE_LIST, SHAPE_META, 101, 0},
		{"list-pods-meta-pb", PB, DECODE_LIST, SHAPE_META, 101, 0},
		{"list-pods-json-page1", JSON, DECODE_LIST, SHAPE_POD, 0, 0},
		{"list-pods-pb-page1", PB, DECODE_LIST, SHAPE_POD, 0, 0},
		{"list-pods-node-json", JSON, DECODE_LIST, SHAPE_POD, 0, 0},
		{"list-replicasets-json", JSON, DECODE_LIST, SHAPE_META, 0, 0},
		{"list-replicasets-pb", PB, DECODE_LIST, SHAPE_META, 0, 0},
		{"list-replicasets-meta-json", JSON, DECODE_LIST, SHAPE_META, 0, 0},
		{"list-replicasets-meta-pb", PB, DECODE_LIST, SHAPE_META, 0, 0},
		{"list-jobs-meta-json", JSON, DECODE_LIST, SHAPE_META, 0, 0},
		{"list-jobs-meta-pb", PB, DECODE_LIST, SHAPE_META, 0, 0},
		{"list-jobs-pb", PB, DECODE_LIST, SHAPE_META, 0, 0},
		{"watch-pods-json", JSON, DECODE_WATCH, SHAPE_POD, 0, 0},
		{"watch-pods-pb", PB, DECODE_WATCH, SHAPE_POD, 0, 0},
		{"watch-pods-meta-json", JSON, DECODE_WATCH, SHAPE_META, 0, 0},
		{"watch-pods-meta-pb", PB, DECODE_WATCH, SHAPE_META, 0, 0},
		{"watch-pods-rv0-json", JSON, DECODE_WATCH, SHAPE_POD, 0, 0},
		{"watch-jobs-json", JSON, DECODE_WATCH, SHAPE_META, 0, 0},
		{"watch-jobs-pb", PB, DECODE_WATCH, SHAPE_META, 0, 0},
		{"watch-replicasets-json", JSON, DECODE_WATCH, SHAPE_META, 0, 0},
		{"watch-replicasets-meta-pb", PB, DECODE_WATCH, SHAPE_META, 0, 0},
		{"watchlist-pods-json", JSON, DECODE_WATCH, SHAPE_POD, 0, 0},
		{"watchlist-pods-pb", PB, DECODE_WATCH, SHAPE_POD, 0, 0},
		{"big-pods-json", JSON, DECODE_LIST, SHAPE_POD, 2307, 0},
		{"big-pods-pb", PB, DECODE_LIST, SHAPE_POD, 2307, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		check_cuts(&all[i]);
}

/* Without the bookmarks: they come when the server likes. */
static void strip_bookmarks(struct decode_log *l)
{
	struct str rest = buf_str(&l->text), line;
	char *out = l->text.p + l->text.off;
	bool more = true;

	while (more) {
		more = str_split(&rest, '\n', &line);
		if (str_starts(line, STR("BOOKMARK")))
			continue;
		memmove(out, line.p, line.n);
		out += line.n;
		if (more)
			*out++ = '\n';
	}
	l->text.n = (size_t)(out - (l->text.p + l->text.off));
}

/* The same exchange in both formats gives the same objects. */
static void test_formats_agree(void **state)
{
	static const struct {
		const char *json, *pb;
		enum decode_body body;
		enum decode_shape shape;
	} pairs[] = {
		{"list-pods-json", "list-pods-pb", DECODE_LIST, SHAPE_POD},
		{"list-pods-json", "list-pods-pb", DECODE_LIST, SHAPE_META},
		{"list-pods-meta-json", "list-pods-meta-pb", DECODE_LIST, SHAPE_META},
		{"list-pods-empty", "list-pods-empty-pb", DECODE_LIST, SHAPE_POD},
		{"list-replicasets-json", "list-replicasets-pb", DECODE_LIST, SHAPE_META},
		{"list-replicasets-meta-json", "list-replicasets-meta-pb", DECODE_LIST, SHAPE_META},
		{"list-jobs-meta-json", "list-jobs-meta-pb", DECODE_LIST, SHAPE_META},
		{"watch-pods-json", "watch-pods-pb", DECODE_WATCH, SHAPE_POD},
		{"watch-pods-meta-json", "watch-pods-meta-pb", DECODE_WATCH, SHAPE_META},
		{"watch-jobs-json", "watch-jobs-pb", DECODE_WATCH, SHAPE_META},
		{"watch-jobs-meta-json", "watch-jobs-meta-pb", DECODE_WATCH, SHAPE_META},
		{"watch-replicasets-json", "watch-replicasets-pb", DECODE_WATCH, SHAPE_META},
		{"watchlist-pods-json", "watchlist-pods-pb", DECODE_WATCH, SHAPE_POD},
		{"watchlist-jobs-json", "watchlist-jobs-pb", DECODE_WATCH, SHAPE_META},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		_buf_ struct buf a = body_of(pairs[i].json), b = body_of(pairs[i].pb);
		struct recording ra = {pairs[i].json, JSON, pairs[i].body, pairs[i].shape, 0, 0};
		struct recording rb = {pairs[i].pb, PB, pairs[i].body, pairs[i].shape, 0, 0};
		struct decode_log la, lb;

		start(&la, &ra);
		start(&lb, &rb);
		decode_log_run(&la, buf_str(&a), CUT_NONE, 0, NULL);
		decode_log_run(&lb, buf_str(&b), CUT_NONE, 0, NULL);
		assert_true(la.objects + la.lists > 0);
		strip_bookmarks(&la);
		strip_bookmarks(&lb);
		same(&la, &lb, pairs[i].json, pairs[i].pb);
		decode_log_done(&la);
		decode_log_done(&lb);
	}
}

/* Every refusal, as the body it comes in: a Status of its own, or in a list's or watch's place. */
static void test_statuses(void **state)
{
	static const struct {
		const char *name;
		enum decode_format format;
		enum decode_body body;
		const char *begins; /* of what the decoder said */
	} all[] = {
		{"err-403-nobody", JSON, DECODE_STATUS, "STATUS code=403 reason=9:Forbidden"},
		{"err-403-nobody-pb", PB, DECODE_STATUS, "STATUS code=403 reason=9:Forbidden"},
		{"err-403-nobody", JSON, DECODE_LIST, "STATUS code=403 reason=9:Forbidden"},
		{"err-403-nobody-pb", PB, DECODE_LIST, "STATUS code=403 reason=9:Forbidden"},
		{"err-403-nobody", JSON, DECODE_OBJECT, "STATUS code=403 reason=9:Forbidden"},
		{"err-403-nobody-pb", PB, DECODE_OBJECT, "STATUS code=403 reason=9:Forbidden"},
		{"err-401-badtoken", JSON, DECODE_STATUS, "STATUS code=401 reason=12:Unauthorized"},
		{"err-401-badtoken-pb", PB, DECODE_STATUS,
		 "STATUS code=401 reason=12:Unauthorized"},
		{"err-404-pod", JSON, DECODE_STATUS, "STATUS code=404 reason=8:NotFound"},
		{"err-404-pod-pb", PB, DECODE_OBJECT, "STATUS code=404 reason=8:NotFound"},
		{"err-410-exact-list", JSON, DECODE_STATUS, "STATUS code=410"},
		{"err-410-exact-list-pb", PB, DECODE_STATUS, "STATUS code=410"},
		{"err-410-rv1-watch", JSON, DECODE_WATCH, "STATUS code=410"},
		{"err-410-rv1-watch-pb", PB, DECODE_WATCH, "STATUS code=410"},
		{"restart-410-watch-oldrv", JSON, DECODE_WATCH, "STATUS code=410"},
		{"restart-410-watch-oldrv-pb", PB, DECODE_WATCH, "STATUS code=410"},
		{"etcdstall-list-pods-json", JSON, DECODE_STATUS,
		 "STATUS code=504 reason=7:Timeout"},
		{"etcdstall-list-pods-json", JSON, DECODE_LIST, "STATUS code=504 reason=7:Timeout"},
		{"etcdstall-list-pods-json", JSON, DECODE_OBJECT,
		 "STATUS code=504 reason=7:Timeout"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		struct recording c = {all[i].name, all[i].format, all[i].body, SHAPE_POD, 0, 1};
		_buf_ struct buf body = body_of(all[i].name);
		struct decode_log l, cut;

		start(&l, &c);
		start(&cut, &c);
		decode_log_run(&l, buf_str(&body), CUT_NONE, 0, NULL);
		if (l.result < 0 || !str_starts(buf_str(&l.text), str_of(all[i].begins)))
			fail_msg("%s: %d %s: %.*s", all[i].name, l.result, l.error,
				 STR_ARG(buf_str(&l.text)));
		assert_int_equal(l.objects + l.lists + l.bads, 0);
		decode_log_run(&cut, buf_str(&body), CUT_BYTES, 0, NULL);
		same(&l, &cut, all[i].name, "byte by byte");
		decode_log_done(&l);
		decode_log_done(&cut);
	}
}

/* An expired page token comes with a new one. */
static void test_fresh_token(void **state)
{
	static const struct recording all[] = {
		{"restart-410-page2", JSON, DECODE_STATUS, SHAPE_POD, 0, 1},
		{"restart-410-page2-pb", PB, DECODE_STATUS, SHAPE_POD, 0, 1},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		_buf_ struct buf body = body_of(all[i].name);
		struct decode_log l;

		start(&l, &all[i]);
		decode_log_run(&l, buf_str(&body), CUT_NONE, 0, NULL);
		assert_int_equal(l.result, 0);
		assert_non_null(memmem(l.text.p, l.text.n, " continue=", 10));
		assert_non_null(memmem(l.text.p, l.text.n, "code=410", 8));
		decode_log_done(&l);
	}
}

/* A body that is cut anywhere is an error, unless a watch is cut between its events; nothing that
 * was said before is taken back or made up. */
static void test_truncation(void **state)
{
	static const struct recording all[] = {
		{"err-410-rv1-watch", JSON, DECODE_WATCH, SHAPE_POD, 0, 1},
		{"err-410-rv1-watch-pb", PB, DECODE_WATCH, SHAPE_POD, 0, 1},
		{"err-403-nobody", JSON, DECODE_STATUS, SHAPE_POD, 0, 1},
		{"err-403-nobody-pb", PB, DECODE_STATUS, SHAPE_POD, 0, 1},
		{"list-pods-empty", JSON, DECODE_LIST, SHAPE_POD, 0, 0},
		{"list-pods-empty-pb", PB, DECODE_LIST, SHAPE_POD, 0, 0},
		{"list-jobs-meta-json", JSON, DECODE_LIST, SHAPE_META, 0, 0},
		{"list-jobs-meta-pb", PB, DECODE_LIST, SHAPE_META, 0, 0},
		{"watch-jobs-meta-pb", PB, DECODE_WATCH, SHAPE_META, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		_buf_ struct buf body = body_of(all[i].name);
		struct str s = buf_str(&body);
		struct decode_log whole, l;
		uint32_t sound = 0;

		s.n = MIN(s.n, (size_t)6000);
		start(&whole, &all[i]);
		start(&l, &all[i]);
		decode_log_run(&whole, buf_str(&body), CUT_NONE, 0, NULL);
		for (size_t n = 0; n < s.n; n++) {
			decode_log_run(&l, str_make(s.p, n), CUT_NONE, 0, NULL);
			assert_true(l.result == 0 || l.result == -EBADMSG);
			assert_true(l.result == 0 || l.error[0]);
			assert_true(str_starts(buf_str(&whole.text), buf_str(&l.text)));
			assert_int_equal(l.bads, 0);
			sound += l.result == 0;
		}
		/* JSON ends with a newline, an Unknown with two empty fields behind the object. */
		if (all[i].body != DECODE_WATCH && sound > 2)
			fail_msg("%s: %u cut bodies went unnoticed", all[i].name, sound);
		decode_log_done(&whole);
		decode_log_done(&l);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cuts),	   cmocka_unit_test(test_formats_agree),
		cmocka_unit_test(test_statuses),   cmocka_unit_test(test_fresh_token),
		cmocka_unit_test(test_truncation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
