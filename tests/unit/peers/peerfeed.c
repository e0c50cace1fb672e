/*
 * Heads and records of the feed: the bytes of README.md, there and back, cut anywhere,
 * and records made at random.
 */
#include "peers/peerfeed.h"

#include "base/mem.h"
#include "base/rng.h"
#include "peers/varint.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MS NSEC_PER_MSEC

static struct addr ip(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(str_of(text), &a), 0);
	return a;
}

static void expect_hex(const struct buf *b, const char *want)
{
	char got[512] = "";
	size_t n = 0;

	for (size_t i = 0; i < b->n; i++)
		n += (size_t)snprintf(got + n, sizeof(got) - n, "%s%02x", i ? " " : "",
				      (uint8_t)buf_str(b).p[i]);
	assert_string_equal(got, want);
}

static void numbers(void **state)
{
	static const uint64_t some[] = {0, 1, 127, 128, 300, 1ULL << 32, UINT64_MAX};
	static const int64_t signs[] = {0, -1, 1, -64, 63, INT32_MAX, INT64_MIN, INT64_MAX};
	_buf_ struct buf b = {.max = 100};
	struct str s;
	uint64_t v = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(some); i++) {
		buf_reset(&b);
		assert_int_equal(varint_put(&b, some[i]), 0);
		s = str_make(b.p, b.n - 1);
		assert_int_equal(varint_take(&s, &v), -EBADMSG);
		s = buf_str(&b);
		assert_int_equal(varint_take(&s, &v), 0);
		assert_true(v == some[i] && s.n == 0);
	}
	s = STR("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02");
	assert_int_equal(varint_take(&s, &v), -EBADMSG);
	for (size_t i = 0; i < ARRAY_SIZE(signs); i++)
		assert_true(varint_unzigzag(varint_zigzag(signs[i])) == signs[i]);
	assert_int_equal(varint_zigzag(-1), 1);
}

/* The example of README.md. */
static void the_bytes_of_the_readme(void **state)
{
	static struct peerfeed_record rec;
	_buf_ struct buf b = {.max = 1000};
	struct peerfeed_base base;

	(void)state;
	assert_int_equal(peerfeed_put_base(&b, 100000 * MS, 1700000000ULL * NSEC_PER_SEC, &base),
			 0);
	expect_hex(&b, "a0 8d 06 80 e2 cf aa 06");
	buf_reset(&b);
	rec = (struct peerfeed_record){.type = PEERFEED_NAME, .id = 1, .text = STR("shop")};
	assert_int_equal(peerfeed_put(&b, &base, &rec), 0);
	rec = (struct peerfeed_record){
		.type = PEERFEED_NAME, .id = 3, .ns = 1, .kind = 2, .text = STR("web")};
	assert_int_equal(peerfeed_put(&b, &base, &rec), 0);
	expect_hex(&b, "01 01 04 73 68 6f 70 41 03 01 02 03 77 65 62");
	buf_reset(&b);
	rec = (struct peerfeed_record){.type = PEERFEED_POD,
				       .id = 10,
				       .workload = 3,
				       .node = 4,
				       .running = 1699999900,
				       .shared = 3,
				       .text = STR("-7d9f-x2x"),
				       .listed = true,
				       .n_claims = 1};
	rec.claims[0] = (struct peerfeed_claim){
		.ip = ip("10.1.2.3"), .from = 98500 * MS, .to = NSEC_NEVER, .heard = NSEC_NEVER};
	assert_int_equal(peerfeed_put(&b, &base, &rec), 0);
	expect_hex(&b, "73 14 03 04 64 03 09 2d 37 64 39 66 2d 78 32 78 00 0a 01 02 03 dc 0b");
	buf_reset(&b);
	rec = (struct peerfeed_record){
		.type = PEERFEED_ENDED, .id = 10, .to = 99700 * MS, .heard = 99700 * MS};
	assert_int_equal(peerfeed_put(&b, &base, &rec), 0);
	expect_hex(&b, "05 00 ac 02 00");
	buf_reset(&b);
	rec = (struct peerfeed_record){.type = PEERFEED_FORGET, .id = 8};
	assert_int_equal(peerfeed_put(&b, &base, &rec), 0);
	expect_hex(&b, "06 03");
}

static void heads(void **state)
{
	const struct peerfeed_hello h = {.feed = "0123456789abcde",
					 .now = 123456789012345,
					 .resumed = true,
					 .position = 77,
					 .beat = 2000 * MS,
					 .name = STR("collector-0")};
	const struct peerfeed_snapshot s = {
		.first = true, .last = true, .index = 3, .position = 9, .right_from = 11};
	const struct peerfeed_mark m = {.position = 300, .now = 5000 * MS, .known = 4000 * MS};
	struct buf b[3] = {{.max = 1000}, {.max = 1000}, {.max = 1000}};
	struct peerfeed_snapshot s2;
	struct peerfeed_hello h2;
	struct peerfeed_mark m2;
	struct str in;

	(void)state;
	assert_int_equal(peerfeed_put_hello(&b[0], &h), 0);
	assert_int_equal(peerfeed_put_snapshot(&b[1], &s), 0);
	assert_int_equal(peerfeed_put_mark(&b[2], &m), 0);
	in = buf_str(&b[0]);
	assert_int_equal(peerfeed_take_hello(&in, &h2), 0);
	assert_memory_equal(h2.feed, h.feed, sizeof(h.feed));
	assert_true(h2.now == h.now && h2.resumed && h2.position == 77 && h2.beat == h.beat);
	assert_true(str_eq(h2.name, h.name) && in.n == 0);
	in = buf_str(&b[1]);
	assert_int_equal(peerfeed_take_snapshot(&in, &s2), 0);
	assert_true(s2.first && s2.last && s2.index == 3);
	assert_true(s2.position == 9 && s2.right_from == 11);
	in = buf_str(&b[2]);
	assert_int_equal(peerfeed_take_mark(&in, &m2), 0);
	assert_true(m2.position == 300 && m2.now == m.now && m2.known == m.known);
	for (size_t i = 0; i < 3; i++)
		for (size_t n = 0; n < b[i].n; n++) {
			in = str_make(buf_str(&b[i]).p, n);
			assert_int_equal(i == 0	  ? peerfeed_take_hello(&in, &h2)
					 : i == 1 ? peerfeed_take_snapshot(&in, &s2)
						  : peerfeed_take_mark(&in, &m2),
					 -EBADMSG);
		}
	b[0].p[0] = 2; /* another version: whatever follows */
	in = str_make(b[0].p, 1);
	assert_int_equal(peerfeed_take_hello(&in, &h2), -EPROTO);
	for (size_t i = 0; i < 3; i++)
		buf_done(&b[i]);
}

/* ---- at random ------------------------------------------------------------------------------- */

static struct rng g;
static char letters[PEERFEED_TEXT_MAX];

static struct str any_text(size_t max)
{
	return str_make(letters, rng_below(&g, max + 1));
}

static nsec_t any_time(void)
{
	return rng_below(&g, 1000000000) * MS;
}

static void any_claims(struct peerfeed_record *r)
{
	r->n_claims = 1 + (uint32_t)rng_below(&g, rng_below(&g, 4) ? 2 : PEERFEED_CLAIMS_MAX);
	for (uint32_t i = 0; i < r->n_claims; i++) {
		struct peerfeed_claim *c = &r->claims[i];
		const bool over = i && rng_below(&g, 2);

		*c = (struct peerfeed_claim){
			.from = any_time(), .to = NSEC_NEVER, .heard = NSEC_NEVER};
		c->ip = ip(rng_below(&g, 2) ? "10.0.0.1" : "fd00::1");
		c->ip.b[15] = (uint8_t)rng_next(&g);
		if (!over && !(i && r->claims[i - 1].to != NSEC_NEVER))
			continue;
		c->to = c->from + rng_below(&g, 1000) * MS;
		c->heard = c->to - MIN(c->to, rng_below(&g, 5) * MS);
	}
}

static void any_record(struct peerfeed_record *r)
{
	memset(r, 0, sizeof(*r));
	r->type = 1 + rng_below(&g, _PEERFEED_TYPE_MAX - 1);
	r->id = 1 + (uint32_t)rng_below(&g, rng_below(&g, 2) ? 300 : UINT32_MAX);
	r->listed = (r->type == PEERFEED_POD || r->type == PEERFEED_PLACE) && rng_below(&g, 2);
	if (r->type == PEERFEED_NAME || r->type == PEERFEED_PLACE)
		r->text = any_text(PEERFEED_TEXT_MAX);
	if (r->type == PEERFEED_NAME && rng_below(&g, 2)) {
		r->kind = 1 + (uint32_t)rng_below(&g, 1000);
		r->ns = (uint32_t)rng_below(&g, 1000);
	}
	if (r->type == PEERFEED_PLACE) {
		r->is_node = rng_below(&g, 2);
		r->ns = (uint32_t)rng_below(&g, 1000);
	}
	if (r->type == PEERFEED_POD) {
		r->text = any_text(40);
		r->node = (uint32_t)rng_below(&g, 5000);
		r->running = (uint32_t)rng_below(&g, 3) * 1700000000U;
		r->running = MIN(r->running, 1700000000U);
		if (rng_below(&g, 4)) {
			r->workload = 1 + (uint32_t)rng_below(&g, 100000);
			r->shared = (uint8_t)rng_next(&g);
		} else {
			r->ns = (uint32_t)rng_below(&g, 1000);
		}
	}
	if (r->type == PEERFEED_POD || r->type == PEERFEED_PLACE)
		any_claims(r);
	if (r->type == PEERFEED_ENDED || r->type == PEERFEED_LISTED)
		r->to = any_time();
	if (r->type == PEERFEED_ENDED)
		r->heard = r->to - MIN(r->to, rng_below(&g, 3) * MS);
}

static void expect_same(const struct peerfeed_record *a, const struct peerfeed_record *b)
{
	assert_int_equal(a->type, b->type);
	assert_int_equal(a->id, b->type == PEERFEED_LISTED ? a->id : b->id);
	assert_true(a->ns == b->ns && a->kind == b->kind && a->workload == b->workload);
	assert_true(a->node == b->node && a->running == b->running && a->shared == b->shared);
	assert_true(a->is_node == b->is_node && a->listed == b->listed);
	assert_true(a->to == b->to && a->heard == b->heard && str_eq(a->text, b->text));
	assert_int_equal(a->n_claims, b->n_claims);
	for (uint32_t i = 0; i < a->n_claims; i++) {
		const struct peerfeed_claim *x = &a->claims[i], *y = &b->claims[i];

		assert_true(addr_eq(&x->ip, &y->ip) && x->from == y->from && x->to == y->to &&
			    x->heard == y->heard);
	}
}

static void any_records(void **state)
{
	static struct peerfeed_record in[20], out;
	_buf_ struct buf b = {.max = 1 << 20};
	const nsec_t now = 1000001000 * MS;

	(void)state;
	g.state = rng_entropy();
	print_message("seed %llu\n", (unsigned long long)g.state);
	memset(letters, 'x', sizeof(letters));
	for (int round = 0; round < 2000; round++) {
		struct peerfeed_base put, take;
		struct str bytes;

		buf_reset(&b);
		assert_int_equal(peerfeed_put_base(&b, now, 1700000001ULL * NSEC_PER_SEC, &put), 0);
		for (size_t i = 0; i < ARRAY_SIZE(in); i++) {
			any_record(&in[i]);
			assert_int_equal(peerfeed_put(&b, &put, &in[i]), 0);
		}
		bytes = buf_str(&b);
		assert_int_equal(peerfeed_take_base(&bytes, &take), 0);
		for (size_t i = 0; i < ARRAY_SIZE(in); i++) {
			assert_int_equal(peerfeed_take(&bytes, &take, &out), 1);
			expect_same(&in[i], &out);
		}
		assert_int_equal(peerfeed_take(&bytes, &take, &out), 0);
		/* Cut anywhere: the records before come, and then an error or the end. */
		bytes = str_make(buf_str(&b).p, rng_below(&g, b.n));
		if (peerfeed_take_base(&bytes, &take) == 0)
			while (peerfeed_take(&bytes, &take, &out) > 0)
				;
	}
}

static void what_cannot_be_told(void **state)
{
	static struct peerfeed_record r;
	_buf_ struct buf b = {.max = 200};
	struct peerfeed_base base;
	char longer[PEERFEED_TEXT_MAX + 1];

	(void)state;
	memset(longer, 'x', sizeof(longer));
	assert_int_equal(peerfeed_put_base(&b, 1000 * MS, 0, &base), 0);
	buf_reset(&b);
	r = (struct peerfeed_record){.type = PEERFEED_LISTED, .to = 1000 * MS + 1};
	assert_int_equal(peerfeed_put(&b, &base, &r), -EINVAL); /* later than the base */
	r.to = 1000 * MS;
	assert_int_equal(peerfeed_put(&b, &base, &r), 0);
	buf_reset(&b);
	r = (struct peerfeed_record){
		.type = PEERFEED_NAME, .id = 1, .text = str_make(longer, sizeof(longer))};
	assert_int_equal(peerfeed_put(&b, &base, &r), -EINVAL);
	r.text.n = PEERFEED_TEXT_MAX;
	assert_int_equal(peerfeed_put(&b, &base, &r), -EMSGSIZE);
	assert_int_equal(b.n, 0); /* nothing of it */
}

static void what_is_no_record(void **state)
{
	static const char *const bad[] = {
		"\x00",					    /* no type */
		"\x08",					    /* one too high */
		"\x12\x01",				    /* a bit that a DROP has not */
		"\x01\x00\x00",				    /* a name without id */
		"\x41\x01\x01\x00\x00",			    /* a workload without kind */
		"\x06\x01",				    /* an entry below 0 */
		"\x07\xff\xff\xff\x7f",			    /* before the clock began */
		"\x84\x02\x00\x00\x00",			    /* no claims */
		"\x04\x02\x00\x00\x04\x0a\x01\x02\x03\x00", /* an odd claim */
	};
	static struct peerfeed_record r;
	struct peerfeed_base base;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct str s = str_make(bad[i], i == 0	 ? 1
						: i == 3 ? 3
						: i == 4 ? 5
						: i == 7 ? 5
						: i == 8 ? 10
							 : strlen(bad[i]));

		base = (struct peerfeed_base){.ms = 1000, .wall = 1000};
		assert_int_equal(peerfeed_take(&s, &base, &r), -EBADMSG);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),
		cmocka_unit_test(the_bytes_of_the_readme),
		cmocka_unit_test(heads),
		cmocka_unit_test(any_records),
		cmocka_unit_test(what_cannot_be_told),
		cmocka_unit_test(what_is_no_record),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
