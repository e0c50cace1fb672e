/*
 * What is told to a collector, byte by byte what OpenTelemetry's own library makes of it
 * (tests/golden/otlp/make.py), and what a collector answers, read.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/rng.h"
#include "sink/metrics/metrics.h"
#include "sink/otlp/answer.h"
#include "sink/otlp/gzip.h"
#include "sink/otlp/headers.h"
#include "sink/otlp/points.h"
#include "sink/otlp/record.h"
#include "tests/lib/torture.h"

#include <zlib.h> /* last: it has <limits.h>, whose LINE_MAX gives way to ours */

#define SEC  NSEC_PER_SEC
#define WALL (1795253400LL * 1000000000) /* 2026-11-21T09:30:00Z */
#define MAX_ (4UL << 20)

static const struct otlp_source source = {.version = STR("1.2"),
					  .instance = STR("i"),
					  .host = STR("h"),
					  .node = STR("n"),
					  .cluster = STR("c")};

static struct buf golden(const char *name)
{
	struct buf b = {.max = MAX_};
	char path[128];
	FILE *f;
	int c;

	(void)snprintf(path, sizeof(path), "tests/golden/otlp/%s.bin", name);
	f = fopen(path, "rb");
	if (!f)
		fail_msg("%s: %s", path, strerror(errno));
	while ((c = fgetc(f)) != EOF)
		assert_int_equal(buf_append(&b, &(char){(char)c}, 1), 0);
	(void)fclose(f);
	return b;
}

static void assert_golden(const char *name, const struct buf *b)
{
	_buf_ struct buf want = golden(name);

	for (size_t i = 0; i < MIN(want.n, b->n); i++)
		if (want.p[want.off + i] != b->p[b->off + i])
			fail_msg("%s differs at byte %zu", name, i);
	assert_int_equal(b->n, want.n);
}

/* ---- flows ----------------------------------------------------------------------------------- */

static const struct flow_end web = {.known_by = KNOWN_CGROUP,
				    .ns = STR("shop"),
				    .pod = STR("web-1"),
				    .container = STR("app"),
				    .workload = STR("web"),
				    .workload_kind = STR("Deployment"),
				    .pod_uid = STR("u-1")};
static const struct flow_end db = {.known_by = KNOWN_ADDRESS,
				   .ns = STR("shop"),
				   .pod = STR("db-0"),
				   .workload = STR("db"),
				   .workload_kind = STR("StatefulSet"),
				   .pod_uid = STR("u-2")};
static const struct flow_end nobody = {.why = UNKNOWN_NOT_ON_NODE};

static struct flow_view flow_between(const char *l, uint16_t lport, const char *r, uint16_t rport)
{
	struct flow_view v = {.lport = lport, .rport = rport};

	assert_int_equal(addr_parse(str_of(l), &v.laddr), 0);
	assert_int_equal(addr_parse(str_of(r), &v.raddr), 0);
	return v;
}

static struct flow_view an_open_flow(void)
{
	struct flow_view v = flow_between("10.1.2.3", 40000, "10.1.2.4", 8080);

	v.serial = 7;
	v.dir = FLOW_OUT;
	v.start = SEC;
	v.updated = 2 * SEC;
	v.local = web;
	v.remote = db;
	v.translated = true;
	v.asked.port = 80;
	assert_int_equal(addr_parse(STR("10.96.0.1"), &v.asked.ip), 0);
	v.counters = (struct flow_counters){
		.sent = 5, .received = 6, .segs_out = 2, .segs_in = 3, .retrans = 4, .rtt_us = 80};
	return v;
}

static struct flow_view a_reset_flow(void)
{
	struct flow_view v = flow_between("fd00::1", 80, "fd00::9", 50000);

	v.serial = 8;
	v.dir = FLOW_IN;
	v.state = FLOW_RESET;
	v.reason = FLOW_REASON_RST_RECEIVED;
	v.start = SEC;
	v.ended = 4 * SEC;
	v.pre_existing = true;
	v.local = web;
	v.remote = nobody;
	v.counters = (struct flow_counters){
		.sent = 1ULL << 40, .received = 600, .segs_out = 2, .segs_in = 3};
	return v;
}

static struct flow_view a_silent_flow(void)
{
	struct flow_view v = flow_between("10.1.2.3", 40000, "10.1.2.4", 8080);

	v.serial = 9;
	v.proto = FLOW_UDP;
	v.state = FLOW_CLOSED;
	v.reason = FLOW_REASON_IDLE;
	v.start = SEC;
	v.ended = 3 * SEC;
	v.local = (struct flow_end){.known_by = KNOWN_HOST,
				    .workload = STR("host/\xffx"),
				    .workload_kind = STR("Host")};
	v.remote = (struct flow_end){.known_by = KNOWN_ADDRESS,
				     .ns = STR("kube-system"),
				     .workload = STR("dns"),
				     .workload_kind = STR("Service")};
	v.counters.dropped = 11;
	return v;
}

static int encode_records(void *ctx)
{
	const struct flow_view flows[] = {an_open_flow(), a_reset_flow(), a_silent_flow()};
	_buf_ struct buf entries = {.max = MAX_};
	struct buf *out = ctx;
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(flows); i++) {
		const struct record rec = {.flow = &flows[i],
					   .event = i ? LINE_CLOSE : LINE_OPEN,
					   .offset = WALL,
					   .observed = (nsec_t)WALL + 9 * SEC,
					   .instance = STR("i"),
					   .number = i + 1};

		r = record_encode(&rec, &entries);
	}
	buf_done(out);
	if (r == 0)
		r = records_encode(buf_str(&entries), &source, out);
	if (r < 0)
		buf_done(out);
	return r;
}

static void records_are_as_the_library_writes_them(void **state)
{
	_buf_ struct buf b = {.max = MAX_};

	(void)state;
	assert_int_equal(encode_records(&b), 0);
	assert_golden("records", &b);
	assert_int_equal(torture_run(encode_records, &b), 0);
}

/* What has no room leaves nothing behind. */
static void a_record_is_whole_or_not_there(void **state)
{
	const struct flow_view v = an_open_flow();
	const struct record r = {.flow = &v, .offset = WALL, .instance = STR("i"), .number = 1};
	_buf_ struct buf whole = {.max = RECORD_MAX};

	(void)state;
	assert_int_equal(record_encode(&r, &whole), 0);
	for (size_t max = 0; max < whole.n; max++) {
		_buf_ struct buf b = {.max = max + 3};

		assert_int_equal(buf_append_str(&b, STR("abc")), 0);
		assert_int_equal(record_encode(&r, &b), -EMSGSIZE);
		assert_int_equal(b.n, 3);
	}
}

/* ---- points ---------------------------------------------------------------------------------- */

static nsec_t wall = 100 * SEC;

static nsec_t next_second(void)
{
	return wall += SEC;
}

static int fill(struct pairs *p)
{
	struct flow_view tcp = an_open_flow(), udp = a_silent_flow();
	_buf_ struct buf a = {.max = METRICS_LABELS_MAX}, b = {.max = METRICS_LABELS_MAX};
	uint64_t d[PAIR_MAX] = {[PAIR_SENT] = 1000,	[PAIR_RECEIVED] = 20,
				[PAIR_CONNECTIONS] = 2, [PAIR_RETRANSMITS] = 5,
				[PAIR_RESETS] = 1,	[PAIR_RTT_COUNT] = 2,
				[PAIR_RTT_SUM] = 2500,	[PAIR_FAILED + FLOW_REASON_REFUSED] = 1};
	const uint64_t other[PAIR_MAX] = {
		[PAIR_SENT] = 70, [PAIR_RECEIVED] = 80, [PAIR_CONNECTIONS] = 1};
	const uint64_t u[PAIR_MAX] = {[PAIR_SENT] = 3, [PAIR_CONNECTIONS] = 1, [PAIR_DROPPED] = 4};
	pool_id id;
	int r;

	wall = 100 * SEC;
	p->wall = next_second;
	p->born = wall;
	udp.local = (struct flow_end){.why = UNKNOWN_ADDRESS};
	udp.remote = db;
	r = points_label(&tcp, &a);
	if (r == 0)
		r = points_label(&udp, &b);
	if (r < 0)
		return r;
	id = pairs_get(p, 1, FLOW_TCP, buf_str(&a));
	if (!id)
		return -ENOMEM;
	pairs_add(p, 1, FLOW_TCP, id, d);
	id = pairs_get(p, 1, FLOW_UDP, buf_str(&b));
	if (!id)
		return -ENOMEM;
	pairs_add(p, 1, FLOW_UDP, id, u);
	pairs_add(p, 1, FLOW_TCP, 0, other);
	return 0;
}

static int encode_points(void *ctx)
{
	struct points_from at = {0};
	struct buf *out = ctx;
	struct pairs p;
	int r;

	pairs_init(&p, 1000, SEC);
	r = fill(&p);
	buf_done(out);
	if (r == 0)
		r = points_encode(&p, &source, 200 * SEC, MAX_, &at, out);
	if (r < 0)
		buf_done(out);
	pairs_done(&p);
	return r;
}

static void points_are_as_the_library_writes_them(void **state)
{
	_buf_ struct buf b = {.max = MAX_};

	(void)state;
	assert_int_equal(encode_points(&b), 0);
	assert_golden("points", &b);
	assert_int_equal(torture_run(encode_points, &b), 0);
}

static pool_id add_pair(struct pairs *p, unsigned n, uint64_t sent)
{
	struct flow_view v = an_open_flow();
	_buf_ struct buf label = {.max = METRICS_LABELS_MAX};
	const uint64_t d[PAIR_MAX] = {[PAIR_SENT] = sent, [PAIR_CONNECTIONS] = 1};
	char name[32];
	pool_id id;

	(void)snprintf(name, sizeof(name), "w-%u", n);
	v.local.workload = str_of(name);
	assert_int_equal(points_label(&v, &label), 0);
	id = pairs_get(p, n + 1, FLOW_TCP, buf_str(&label));
	pairs_add(p, n + 1, FLOW_TCP, id, d);
	return id;
}

/* A round of several requests, while pairs are used, made and folded between them: each pair that
 * was there all the time is told once. */
static void rounds_are_cut_anywhere(void **state)
{
	enum { PAIRS = 300 };

	(void)state;
	for (size_t max = 0; max < 60000; max = max * 3 + 500) {
		_buf_ struct buf b = {.max = max + POINTS_PAIR_MAX + ENVELOPE_MAX};
		struct points_from at = {0};
		unsigned requests = 0, seen = 0, made = PAIRS;
		uint64_t points = 0;
		struct pairs p;
		pool_id last = 0;
		int r;

		pairs_init(&p, 100000, SEC);
		for (unsigned i = 0; i < PAIRS; i++)
			assert_true(add_pair(&p, i, 1));
		do {
			buf_reset(&b);
			r = points_encode(&p, &source, 1, max, &at, &b);
			assert_true(r >= 0 && ++requests <= 2 * PAIRS);
			for (pool_id id = pairs_after(&p, last); id && id <= at.pair;
			     id = pairs_after(&p, id))
				seen++;
			last = at.pair;
			points += at.points;
			(void)add_pair(&p, requests % PAIRS, 1); /* used: the order changes */
			if (made < PAIRS + 20)
				(void)add_pair(&p, made++, 1);
		} while (r == 1);
		assert_int_equal(points, (uint64_t)seen * PAIR_BIRTH);
		assert_in_range(seen, PAIRS, PAIRS + 20);
		pairs_done(&p);
	}
}

/* A label that does not fit is not half there. */
static void a_label_too_long_is_told_of(void **state)
{
	_buf_ struct buf long_ = {.max = MAX_}, label = {.max = METRICS_LABELS_MAX};
	struct flow_view v = an_open_flow();

	(void)state;
	for (int i = 0; i < METRICS_LABELS_MAX; i++)
		assert_int_equal(buf_append_str(&long_, STR("x")), 0);
	v.local.workload = buf_str(&long_);
	assert_int_equal(points_label(&v, &label), -EMSGSIZE);
}

/* ---- texts ----------------------------------------------------------------------------------- */

/* Whatever stands in a name: what comes out is UTF-8, and good text is left as it is. */
static void texts_are_valid(void **state)
{
	struct rng g;

	(void)state;
	rng_seed(&g, 1);
	for (int round = 0; round < 2000; round++) {
		_buf_ struct buf b = {.max = 4096};
		struct pb_out p = {.out = &b};
		char bytes[40];
		size_t n = rng_below(&g, sizeof(bytes) + 1), run;
		struct str s;

		for (size_t i = 0; i < n; i++)
			bytes[i] = (char)(rng_below(&g, 2) ? rng_below(&g, 128) : rng_next(&g));
		pb_text(&p, 1, str_make(bytes, n));
		assert_int_equal(p.r, 0);
		assert_int_equal(b.p[0], 1 << 3 | 2);
		s = str_from(buf_str(&b), 2);
		assert_int_equal((unsigned char)b.p[1], s.n); /* below 128: one byte */
		while (s.n) {
			run = str_utf8(s);
			assert_true(run > 0);
			s = str_from(s, run);
		}
	}
}

/* Lengths on both sides of where they take a byte more. */
static void messages_have_their_length(void **state)
{
	static const size_t sizes[] = {0, 1, 127, 128, 16383, 16384, 2097151, 2097152};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		_buf_ struct buf b = {.max = MAX_}, content = {.max = MAX_}, want = {.max = MAX_};
		struct pb_out p = {.out = &b}, w = {.out = &want};
		size_t at;

		assert_int_equal(buf_reserve(&content, sizes[i] + 1), 0);
		memset(buf_tail(&content), 'x', sizes[i]);
		buf_commit(&content, sizes[i]);
		at = pb_open(&p, 5);
		pb_raw(&p, buf_str(&content));
		pb_close(&p, at);
		pb_bytes(&w, 5, buf_str(&content));
		assert_int_equal(p.r, 0);
		assert_true(str_eq(buf_str(&b), buf_str(&want)));
	}
}

/* ---- answers --------------------------------------------------------------------------------- */

static void answers_are_read(void **state)
{
	_buf_ struct buf partial = golden("partial"), warning = golden("warning"),
			 status = golden("status");
	struct otlp_answer a = {.rejected = 9};

	(void)state;
	assert_int_equal(otlp_answer_read((struct str){0}, &a), 0);
	assert_int_equal(a.rejected, 0);
	assert_int_equal(otlp_answer_read(buf_str(&partial), &a), 0);
	assert_int_equal(a.rejected, 300);
	assert_true(str_eq(a.message, STR("quota")));
	assert_int_equal(otlp_answer_read(buf_str(&warning), &a), 0);
	assert_int_equal(a.rejected, 0);
	assert_true(str_eq(a.message, STR("use cumulative")));
	assert_true(str_eq(otlp_status_message(buf_str(&status)), STR("attribute too long")));
}

static void bad_answers_are_none(void **state)
{
	static const struct str bad[] = {STR("<html>"),
					 STR("{}"),
					 STR("\x0a"),
					 STR("\x0a\x05\x08"),
					 STR("\x0b"),
					 STR("\x00\x00"),
					 STR("\x0a\x02\x08\x80"),
					 STR("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f")};
	/* Fields nobody knows, of each type, and a negative number. */
	static const struct str good[] = {
		STR("\x10\x05"),
		STR("\x19"
		    "12345678"),
		STR("\x25"
		    "1234"),
		STR("\x2a\x01x"), STR("\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")};
	_buf_ struct buf partial = golden("partial");
	struct otlp_answer a = {.rejected = 9};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (otlp_answer_read(bad[i], &a) != -EBADMSG)
			fail_msg("bad answer %zu is taken", i);
	assert_int_equal(a.rejected, 9);
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(otlp_answer_read(good[i], &a), 0);
		assert_int_equal(a.rejected, 0);
	}
	for (size_t n = 1; n < partial.n; n++) /* all of it is one message: no cut is whole */
		assert_int_equal(otlp_answer_read(str_make(partial.p, n), &a), -EBADMSG);
	assert_true(str_empty(otlp_status_message(STR("<html>no</html>"))));
}

static void each_status_has_its_end(void **state)
{
	static const struct {
		int status;
		bool whole;
		const char *body;
		enum otlp_end end;
	} v[] = {
		{200, true, "", OTLP_TAKEN},	    {200, true, "<html>", OTLP_UNCONFIRMED},
		{200, false, "", OTLP_UNCONFIRMED}, {202, true, "", OTLP_TAKEN},
		{0, false, "", OTLP_RETRY},	    {429, true, "", OTLP_RETRY},
		{502, true, "", OTLP_RETRY},	    {503, false, "", OTLP_RETRY},
		{504, true, "", OTLP_RETRY},	    {301, true, "", OTLP_REFUSED},
		{400, true, "", OTLP_REFUSED},	    {401, true, "", OTLP_REFUSED},
		{408, true, "", OTLP_REFUSED},	    {413, true, "", OTLP_REFUSED},
		{500, true, "", OTLP_REFUSED},	    {501, true, "", OTLP_REFUSED},
		{505, true, "", OTLP_REFUSED},
	};
	struct otlp_answer a;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(v); i++)
		if (otlp_end_of(v[i].status, v[i].whole, str_of(v[i].body), &a) != v[i].end)
			fail_msg("%d is not %s", v[i].status, otlp_end_name(v[i].end));
}

/* ---- what goes with a request ---------------------------------------------------------------- */

static void headers_are_checked(void **state)
{
	static const char *const bad[] = {
		"a", "a:", ": b", "a b: c", "Content-Type: x", "a: b\x01", "\xff: x", "HOST: x"};
	struct http_field v[HEADERS_MAX];
	_buf_ struct buf many = {.max = 4096};
	size_t n = 0;

	(void)state;
	assert_null(
		headers_wrong(STR("# a comment\n\nx-scope-orgid:  a b:c \r\nApi-Key: k\n"), v, &n));
	assert_int_equal(n, 2);
	assert_true(str_eq(v[0].name, STR("x-scope-orgid")));
	assert_true(str_eq(v[0].value, STR("a b:c")));
	assert_true(str_eq(v[1].value, STR("k")));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (!headers_text_wrong(str_of(bad[i])))
			fail_msg("\"%s\" is taken", bad[i]);
	assert_non_null(headers_text_wrong(str_make("a\0b: c", 6)));
	for (int i = 0; i < HEADERS_MAX; i++)
		assert_int_equal(buf_append_str(&many, STR("a: b\n")), 0);
	assert_null(headers_text_wrong(buf_str(&many)));
	assert_int_equal(buf_append_str(&many, STR("a: b\n")), 0);
	assert_non_null(headers_text_wrong(buf_str(&many)));
}

static void bodies_are_compressed(void **state)
{
	static const size_t sizes[] = {0, 1, 1000, 1 << 20};
	struct rng g;

	(void)state;
	rng_seed(&g, 7);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		_buf_ struct buf in = {.max = 2 << 20}, out = {.max = GZIP_MAX(sizes[i])};
		_free_ unsigned char *back = malloc(sizes[i] + 1);
		z_stream z = {0};

		for (size_t n = 0; n < sizes[i]; n++)
			assert_int_equal(buf_append(&in, &(char){(char)rng_next(&g)}, 1), 0);
		assert_int_equal(gzip_put(buf_str(&in), &out), 0);
		assert_non_null(back);
		assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
		z.next_in = (unsigned char *)out.p;
		z.avail_in = (unsigned)out.n;
		z.next_out = back;
		z.avail_out = (unsigned)sizes[i] + 1;
		assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
		assert_int_equal(z.total_out, sizes[i]);
		assert_true(!sizes[i] || memcmp(back, in.p, sizes[i]) == 0);
		(void)inflateEnd(&z);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_are_as_the_library_writes_them),
		cmocka_unit_test(a_record_is_whole_or_not_there),
		cmocka_unit_test(points_are_as_the_library_writes_them),
		cmocka_unit_test(rounds_are_cut_anywhere),
		cmocka_unit_test(a_label_too_long_is_told_of),
		cmocka_unit_test(texts_are_valid),
		cmocka_unit_test(messages_have_their_length),
		cmocka_unit_test(answers_are_read),
		cmocka_unit_test(bad_answers_are_none),
		cmocka_unit_test(each_status_has_its_end),
		cmocka_unit_test(headers_are_checked),
		cmocka_unit_test(bodies_are_compressed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
