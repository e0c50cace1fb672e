/*
 * Every message against bytes made with the upstream encoder
 * (open-telemetry/opentelemetry-network 68f0c23): encode, decode, cut,
 * corrupt, print and parse back with another JSON library.
 */
#include "proto/print.h"
#include "proto/wire.h"

#include "base/mem.h"
#include "tests/lib/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <jansson.h>

#define GOLDEN_LINES 664
#define MAX_JSON     (4U << 20)

struct golden {
	json_t *json;
	const struct wire_desc *desc;
	uint64_t ts;
	union wire_value v[WIRE_MAX_FIELDS];
	struct buf bytes;		  /* the whole message */
	struct buf text[WIRE_MAX_FIELDS]; /* behind v[].s */
};

static void unhex(const char *hex, struct buf *ret)
{
	unsigned byte;

	buf_init(ret, WIRE_MAX_MESSAGE);
	for (; *hex; hex += 2) {
		assert_int_equal(sscanf(hex, "%2x", &byte), 1);
		assert_int_equal(buf_append(ret, &(unsigned char){(unsigned char)byte}, 1), 0);
	}
}

static unsigned __int128 decimal(const char *s)
{
	unsigned __int128 v = 0;

	for (; *s; s++)
		v = v * 10 + (unsigned)(*s - '0');
	return v;
}

/* A JSON number or decimal string of any width; negative values wrap. */
static unsigned __int128 number(const json_t *j)
{
	const char *s;

	if (json_is_integer(j))
		return (unsigned __int128)(__int128)json_integer_value(j);
	assert_true(json_is_string(j));
	s = json_string_value(j);
	return *s == '-' ? -decimal(s + 1) : decimal(s);
}

static void golden_load(struct golden *g, const char *line, size_t n)
{
	const json_t *field;

	*g = (struct golden){.json = json_loadb(line, n, 0, NULL)};
	assert_non_null(g->json);
	g->desc = wire_desc((uint16_t)json_integer_value(json_object_get(g->json, "id")));
	assert_non_null(g->desc);
	g->ts = (uint64_t)number(json_object_get(g->json, "ts"));
	unhex(json_string_value(json_object_get(g->json, "hex")), &g->bytes);
	for (size_t i = 0; i < g->desc->n_fields; i++) {
		const struct wire_field *f = &g->desc->fields[i];

		field = json_object_get(json_object_get(g->json, "fields"), f->name);
		assert_non_null(field);
		if (wire_type_is_bytes(f->type)) {
			unhex(json_string_value(field), &g->text[i]);
			g->v[i].s = buf_str(&g->text[i]);
		} else {
			unsigned __int128 v = number(field);

			g->v[i].w = (struct wire_u128){(uint64_t)v, (uint64_t)(v >> 64)};
		}
	}
}

static void golden_done(struct golden *g)
{
	json_decref(g->json);
	buf_done(&g->bytes);
	for (size_t i = 0; i < WIRE_MAX_FIELDS; i++)
		buf_done(&g->text[i]);
}

/* Runs `check` on each line. */
static void each_golden(void (*check)(const struct golden *g))
{
	struct buf file;
	struct str rest, line;
	struct golden g;
	size_t lines = 0;

	assert_int_equal(fixture_read_file("golden/public.jsonl.gz", &file), 0);
	rest = buf_str(&file);
	while (rest.n) {
		(void)str_split(&rest, '\n', &line);
		golden_load(&g, line.p, line.n);
		check(&g);
		golden_done(&g);
		lines++;
	}
	assert_int_equal(lines, GOLDEN_LINES);
	buf_done(&file);
}

static void assert_bytes(const struct golden *g, struct str got)
{
	const struct str want = buf_str(&g->bytes);

	if (!str_eq(want, got))
		fail_msg("%s: %zu bytes differ from the %zu of upstream", g->desc->name, got.n,
			 want.n);
}

static void assert_value(const struct golden *g, size_t i, const union wire_value *got)
{
	const struct wire_field *f = &g->desc->fields[i];
	bool same;

	if (wire_type_is_bytes(f->type))
		same = str_eq(got->s, g->v[i].s);
	else if (f->type == WIRE_U128)
		same = got->w.lo == g->v[i].w.lo && got->w.hi == g->v[i].w.hi;
	else
		same = got->u == g->v[i].u;
	if (!same)
		fail_msg("%s.%s differs", g->desc->name, f->name);
}

static void check_encode(const struct golden *g)
{
	struct buf out;

	buf_init(&out, WIRE_MAX_MESSAGE);
	assert_int_equal(wire_encode(g->desc, g->v, g->desc->n_fields, g->ts, &out), 0);
	assert_bytes(g, buf_str(&out));
	buf_done(&out);
}

/* Decoded values, and the same through the message's C struct and back. */
static void check_decode(const struct golden *g)
{
	_Alignas(16) char object[WIRE_MAX_FIELDS * sizeof(union wire_value)];
	const struct wire_fault none = {"untouched", 7};
	struct wire_fault fault = none;
	struct wire_msg m;
	struct buf out;

	assert_int_equal(wire_decode(buf_str(&g->bytes), &m, &fault), 0);
	assert_string_equal(fault.reason, none.reason);
	assert_ptr_equal(m.desc, g->desc);
	assert_int_equal(m.size, g->bytes.n);
	assert_true(m.timestamp == g->ts);
	assert_false(m.dirty);
	for (size_t i = 0; i < g->desc->n_fields; i++) {
		assert_value(g, i, &m.v[i]);
		assert_ptr_equal(wire_value(&m, str_of(g->desc->fields[i].name)), &m.v[i]);
	}
	assert_null(wire_value(&m, STR("no such field")));

	wire_to_struct(&m, object);
	buf_init(&out, WIRE_MAX_MESSAGE);
	assert_int_equal(wire_encode_struct(g->desc, object, g->ts, &out), 0);
	assert_bytes(g, buf_str(&out));
	buf_done(&out);
}

/* A prefix waits for more. Short ones are copied to an exact allocation, so that a sanitizer sees
 * a read behind the end. */
static void check_prefixes(const struct golden *g)
{
	const struct str all = buf_str(&g->bytes);
	struct wire_msg m;

	for (size_t n = 0; n < all.n; n++) {
		struct str part = str_make(all.p, n);
		_free_ char *copy = n < 600 ? malloc(n + !n) : NULL;

		if (copy) {
			memcpy(copy, all.p, n);
			part.p = copy;
		}
		assert_int_equal(wire_decode(part, &m, NULL), -EAGAIN);
		assert_in_range(wire_need(part), n + 1, all.n);
	}
}

static uint16_t get16(const struct buf *b, size_t at)
{
	uint16_t v;

	memcpy(&v, b->p + b->off + at, sizeof(v));
	return v;
}

static void set16(struct buf *b, size_t at, size_t v)
{
	const uint16_t w = (uint16_t)v;

	memcpy(b->p + b->off + at, &w, sizeof(w));
}

static void assert_fault(const struct buf *b, size_t at)
{
	struct wire_fault fault = {0};
	struct wire_msg m;

	assert_int_equal(wire_decode(buf_str(b), &m, &fault), -EBADMSG);
	assert_int_equal(fault.at, at);
	assert_non_null(fault.reason);
}

/* Every length word below the fixed part; every slot that no longer fits. */
static void check_corruption(const struct golden *g)
{
	struct buf b = {.p = g->bytes.p, .n = g->bytes.n};
	const size_t len_at = WIRE_STAMP + 2;
	size_t text, len;

	if (!g->desc->dynamic)
		return;
	len = get16(&b, len_at);
	for (size_t bad = 0; bad < g->desc->fixed; bad++) {
		set16(&b, len_at, bad);
		assert_fault(&b, len_at);
	}
	set16(&b, len_at, 65535); /* 65543 bytes in all */
	assert_fault(&b, len_at);
	set16(&b, len_at, len);

	text = len - g->desc->fixed; /* of this and the later strings */
	for (size_t i = 0; i < g->desc->n_fields; i++) {
		const struct wire_field *f = &g->desc->fields[i];

		if (!f->slot)
			continue;
		for (size_t bad = text + 1; bad <= 65535;
		     bad = bad * 2 < 65535 ? bad * 2 : bad + 65535) {
			set16(&b, WIRE_STAMP + f->off, bad);
			assert_fault(&b, WIRE_STAMP + f->off);
		}
		set16(&b, WIRE_STAMP + f->off, 65535);
		if (text < 65535)
			assert_fault(&b, WIRE_STAMP + f->off);
		set16(&b, WIRE_STAMP + f->off, g->v[i].s.n);
		text -= g->v[i].s.n;
	}
	/* A length word that cuts into a string that has a slot. */
	if (text < len - g->desc->fixed) {
		struct wire_msg m;

		set16(&b, len_at, len - text - 1);
		assert_int_equal(wire_decode(buf_str(&b), &m, NULL), -EBADMSG);
		set16(&b, len_at, len);
	}
}

static void check_dirt(const struct golden *g)
{
	struct wire_msg m;

	for (size_t i = 0; i < g->desc->pad_size; i++) {
		char *p = g->bytes.p + WIRE_STAMP + g->desc->pad_off + i;

		*p = 1;
		assert_int_equal(wire_decode(buf_str(&g->bytes), &m, NULL), 0);
		assert_true(m.dirty);
		*p = 0;
	}
	assert_int_equal(json_array_size(json_object_get(g->json, "pad")), g->desc->pad_size);
}

/* `j` is text or {"hex"}: the bytes it stands for. */
static void printed_bytes(const json_t *j, struct buf *ret)
{
	if (json_is_object(j)) {
		unhex(json_string_value(json_object_get(j, "hex")), ret);
		return;
	}
	assert_true(json_is_string(j));
	buf_init(ret, WIRE_MAX_MESSAGE);
	assert_int_equal(buf_append(ret, json_string_value(j), json_string_length(j)), 0);
}

static bool jansson_takes(struct str s)
{
	json_t *j = json_stringn(s.p ? s.p : "", s.n);
	const bool ok = j != NULL;

	json_decref(j);
	return ok;
}

static void assert_printed(const struct golden *g, size_t i, const json_t *j)
{
	const struct wire_field *f = &g->desc->fields[i];
	const struct str want = g->v[i].s;
	unsigned __int128 v;
	struct buf got;

	if (!wire_type_is_bytes(f->type)) {
		const json_t *other = json_object_get(json_object_get(g->json, "fields"), f->name);

		v = number(j);
		assert_true((uint64_t)v == g->v[i].u);
		assert_true(f->type != WIRE_U128 || (uint64_t)(v >> 64) == g->v[i].w.hi);
		assert_int_equal(json_typeof(j), json_typeof(other)); /* same rule on 2^53 */
		return;
	}
	printed_bytes(j, &got);
	if (f->type == WIRE_BYTES && json_is_string(j))
		while (got.n < f->count)
			assert_int_equal(buf_append(&got, "", 1), 0);
	if (!str_eq(buf_str(&got), want))
		fail_msg("%s.%s is printed wrong", g->desc->name, f->name);
	if (f->type != WIRE_IP6)
		assert_int_equal(json_is_string(j), jansson_takes(want));
	else
		assert_true(json_is_object(j));
	buf_done(&got);
}

static void assert_address(const struct wire_field *f, const union wire_value *v, const json_t *j)
{
	unsigned char a[16];
	uint32_t ip = 0;

	if (f->type == WIRE_IP4 || (f->type == WIRE_IP4N && v->u)) {
		assert_int_equal(inet_pton(AF_INET, json_string_value(j), &ip), 1);
		assert_int_equal(f->type == WIRE_IP4 ? ip : ntohl(ip), v->u);
	} else if (f->type == WIRE_IP4N) {
		assert_string_equal(json_string_value(j), "");
	} else if (f->type == WIRE_IP6) {
		assert_int_equal(inet_pton(AF_INET6, json_string_value(j), a), 1);
		assert_memory_equal(a, v->s.p, 16);
	} else {
		const size_t width = f->type == WIRE_IP4S ? 4 : 16;

		assert_int_equal(json_array_size(j), v->s.n / width);
		for (size_t i = 0; i < v->s.n / width; i++) {
			const char *text = json_string_value(json_array_get(j, i));

			assert_int_equal(inet_pton(width == 4 ? AF_INET : AF_INET6, text, a), 1);
			assert_memory_equal(a, v->s.p + i * width, width);
		}
	}
}

static bool is_address(enum wire_type t)
{
	return t == WIRE_IP4 || t == WIRE_IP4N || t == WIRE_IP6 || t == WIRE_IP4S || t == WIRE_IP6S;
}

static void check_print(const struct golden *g)
{
	struct wire_msg m;
	struct buf out;
	json_t *j;
	json_error_t e;

	assert_int_equal(wire_decode(buf_str(&g->bytes), &m, NULL), 0);
	buf_init(&out, MAX_JSON);
	assert_int_equal(wire_print_json(&m, &out), 0);
	assert_null(memchr(buf_str(&out).p, '\n', out.n));
	j = json_loadb(buf_str(&out).p, out.n, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &e);
	if (!j)
		fail_msg("%s: %s at %d", g->desc->name, e.text, e.position);
	assert_string_equal(json_string_value(json_object_get(j, "name")), g->desc->name);
	assert_int_equal(json_integer_value(json_object_get(j, "id")), g->desc->id);
	assert_true((uint64_t)number(json_object_get(j, "timestamp")) == g->ts);
	assert_int_equal(json_object_size(json_object_get(j, "fields")), g->desc->n_fields);
	for (size_t i = 0; i < g->desc->n_fields; i++) {
		const char *name = g->desc->fields[i].name;
		const json_t *a = json_object_get(json_object_get(j, "addresses"), name);

		assert_printed(g, i, json_object_get(json_object_get(j, "fields"), name));
		assert_int_equal(a != NULL, is_address(g->desc->fields[i].type));
		if (a)
			assert_address(&g->desc->fields[i], &g->v[i], a);
	}
	json_decref(j);

	/* Without room for all of it nothing is written. */
	out.max = out.n = out.n - 1;
	buf_consume(&out, out.n - 3);
	assert_int_equal(wire_print_json(&m, &out), -EMSGSIZE);
	assert_int_equal(out.n, 3);
	buf_done(&out);
}

static void test_encode(void **state)
{
	(void)state;
	each_golden(check_encode);
}

static void test_decode(void **state)
{
	(void)state;
	each_golden(check_decode);
}

static void test_prefixes(void **state)
{
	(void)state;
	each_golden(check_prefixes);
}

static void test_corruption(void **state)
{
	(void)state;
	each_golden(check_corruption);
}

static void test_dirt(void **state)
{
	(void)state;
	each_golden(check_dirt);
}

static void test_print(void **state)
{
	(void)state;
	each_golden(check_print);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_encode),	 cmocka_unit_test(test_decode),
		cmocka_unit_test(test_prefixes), cmocka_unit_test(test_corruption),
		cmocka_unit_test(test_dirt),	 cmocka_unit_test(test_print),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
