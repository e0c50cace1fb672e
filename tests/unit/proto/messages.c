/*
 * The message table against two sources that it was not made from: the types
 * that the upstream encoder's arguments have (tests/fixtures/golden/schema.json)
 * and the layout table of proto/README.md, which was taken from upstream's
 * asserted offsets.
 */
#include "proto/messages.h"

#include "base/buf.h"
#include "tests/lib/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>
#include <jansson.h>

static const struct wire_field *field_of(const struct wire_desc *d, const char *name)
{
	for (size_t i = 0; i < d->n_fields; i++)
		if (strcmp(d->fields[i].name, name) == 0)
			return &d->fields[i];
	return NULL;
}

static void type_text(const struct wire_field *f, char *ret, size_t n)
{
	if (wire_type_is_bytes(f->type) && !wire_type_is_string(f->type))
		(void)snprintf(ret, n, "%s[%u]", wire_type_name(f->type), f->count);
	else
		(void)snprintf(ret, n, "%s", wire_type_name(f->type));
}

static void assert_schema(const json_t *m)
{
	const char *name = json_string_value(json_object_get(m, "name"));
	const struct wire_desc *d = wire_desc_by_name(str_of(name));
	const json_t *fields = json_object_get(m, "fields");
	char type[32];

	assert_non_null(d);
	assert_int_equal(d->id, json_integer_value(json_object_get(m, "id")));
	assert_int_equal(d->fixed, json_integer_value(json_object_get(m, "fixed")));
	assert_int_equal(d->dynamic, json_is_true(json_object_get(m, "dynamic")));
	assert_int_equal(d->n_fields, json_array_size(fields));
	for (size_t i = 0; i < json_array_size(fields); i++) {
		const json_t *f = json_array_get(fields, i);
		const struct wire_field *mine =
			field_of(d, json_string_value(json_object_get(f, "name")));

		assert_non_null(mine);
		type_text(mine, type, sizeof(type));
		assert_string_equal(type, json_string_value(json_object_get(f, "type")));
	}
}

static void test_schema(void **state)
{
	struct buf file;
	json_t *all;

	(void)state;
	assert_int_equal(fixture_read_file("golden/schema.json", &file), 0);
	all = json_loadb(buf_str(&file).p, file.n, 0, NULL);
	assert_int_equal(json_array_size(all), WIRE_MESSAGES);
	for (size_t i = 0; i < WIRE_MESSAGES; i++)
		assert_schema(json_array_get(all, i));
	json_decref(all);
	buf_done(&file);
}

/* A descriptor as README.md writes it down. */
static void row_of(const struct wire_desc *d, struct buf *out)
{
	const struct wire_field *f, *next;
	const char *space = "", *comma = "";
	unsigned from = 0;
	char type[32];

	assert_int_equal(buf_printf(out, "| %u | `%s` | %u%s | ", d->id, d->name, d->fixed,
				    d->dynamic ? "+" : ""),
			 0);
	do {
		next = NULL; /* the field with the smallest offset that is not written yet */
		for (size_t i = 0; i < d->n_fields; i++) {
			f = &d->fields[i];
			if (f->off > from && (!next || f->off < next->off))
				next = f;
		}
		if (!next)
			break;
		from = next->off;
		type_text(next, type, sizeof(type));
		if (*type == 'i')
			*type = 's';
		assert_int_equal(buf_printf(out, "%s%s:%s@%u", space, next->name,
					    wire_type_is_string(next->type) ? "len" : type,
					    next->off),
				 0);
		space = " ";
	} while (next);
	assert_int_equal(buf_printf(out, " | "), 0);
	for (size_t i = 0; i < d->n_fields; i++)
		if (wire_type_is_string(d->fields[i].type)) {
			assert_int_equal(buf_printf(out, "%s%s", comma, d->fields[i].name), 0);
			comma = ", ";
		}
	assert_int_equal(buf_printf(out, " |\n"), 0);
}

static void test_layout(void **state)
{
	struct buf readme, row;

	(void)state;
	assert_int_equal(fixture_read_file("../../proto/README.md", &readme), 0);
	buf_init(&row, 4096);
	for (size_t i = 0; i < WIRE_MESSAGES; i++) {
		buf_reset(&row);
		row_of(&wire_descs()[i], &row);
		if (!memmem(buf_str(&readme).p, readme.n, buf_str(&row).p, row.n))
			fail_msg("not in proto/README.md: %.*s", STR_ARG(buf_str(&row)));
	}
	buf_done(&row);
	buf_done(&readme);
}

static void test_ids(void **state)
{
	unsigned known = 0;

	(void)state;
	for (unsigned id = 0; id <= UINT16_MAX; id++) {
		const struct wire_desc *d = wire_desc((uint16_t)id);

		assert_true(!d || d->id == id);
		known += d != NULL;
	}
	assert_int_equal(known, WIRE_MESSAGES);
	assert_non_null(wire_desc(65535));
	assert_null(wire_desc_by_name(STR("pod_modified")));
}

/* No two fields overlap, and all bytes of the fixed part are a field, the head or the gap. */
static void test_cover(void **state)
{
	static const unsigned width[_WIRE_TYPE_MAX] = {
		[WIRE_U8] = 1,	[WIRE_U16] = 2, [WIRE_U32] = 4,	 [WIRE_U64] = 8,  [WIRE_U128] = 16,
		[WIRE_S32] = 4, [WIRE_S64] = 8, [WIRE_IP4] = 4,	 [WIRE_IP4N] = 4, [WIRE_BYTES] = 1,
		[WIRE_IP6] = 1, [WIRE_STR] = 2, [WIRE_IP4S] = 2, [WIRE_IP6S] = 2,
	};

	(void)state;
	for (size_t i = 0; i < WIRE_MESSAGES; i++) {
		const struct wire_desc *d = &wire_descs()[i];
		unsigned seen[512] = {0};

		for (size_t b = 0; b < (d->dynamic ? 4U : 2U); b++)
			seen[b]++;
		for (size_t b = 0; b < d->pad_size; b++)
			seen[d->pad_off + b]++;
		for (size_t f = 0; f < d->n_fields; f++) {
			const struct wire_field *x = &d->fields[f];

			if (wire_type_is_string(x->type) && !x->slot)
				continue;
			assert_int_equal(x->off % width[x->type], 0);
			for (size_t b = 0; b < (size_t)width[x->type] * x->count; b++)
				seen[x->off + b]++;
		}
		for (size_t b = 0; b < sizeof(seen) / sizeof(seen[0]); b++)
			assert_int_equal(seen[b], b < d->fixed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_schema),
		cmocka_unit_test(test_layout),
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_cover),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
