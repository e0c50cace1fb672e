#include "proto/messages.h"

#include <assert.h>
#include <stdlib.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
	       "values are copied as they stand in memory");

/* One array of fields per message ... */
#define TYPE_u8	   WIRE_U8
#define TYPE_u16   WIRE_U16
#define TYPE_u32   WIRE_U32
#define TYPE_u64   WIRE_U64
#define TYPE_u128  WIRE_U128
#define TYPE_s32   WIRE_S32
#define TYPE_s64   WIRE_S64
#define TYPE_ip4   WIRE_IP4
#define TYPE_ip4n  WIRE_IP4N
#define TYPE_bytes WIRE_BYTES
#define TYPE_ip6   WIRE_IP6
#define TYPE_str   WIRE_STR
#define TYPE_ip4s  WIRE_IP4S
#define TYPE_ip6s  WIRE_IP6S
#define FIELD__(m, kind, field, ...) \
	{.name = #field,             \
	 .type = TYPE_##kind,        \
	 .count = (__VA_ARGS__ + 0), \
	 .at = offsetof(struct wire_##m, field)},
#define FIELD_(...) FIELD__(__VA_ARGS__)
#define FIELD(m, x) FIELD_(m, WIRE_UNWRAP x)
#define MSG(num, name, ...) \
	static struct wire_field fields_##name[] = {WIRE_EACH(FIELD, name, __VA_ARGS__)};
#define MSG0(num, name)
#include "proto/messages.def"
#undef MSG
#undef MSG0

/* ... and the table of messages. `place` fills in what the wire's rule decides. */
static struct {
	struct wire_field *fields;
	uint16_t n_fields;
} sources[] = {
#define MSG(num, name, ...) {fields_##name, sizeof(fields_##name) / sizeof(struct wire_field)},
#define MSG0(num, name)	    {NULL, 0},
#include "proto/messages.def"
#undef MSG
#undef MSG0
};

static struct wire_desc descs[] = {
#define MSG(num, title, ...) {.name = #title, .id = (num)},
#define MSG0(num, title)     {.name = #title, .id = (num)},
#include "proto/messages.def"
#undef MSG
#undef MSG0
};
_Static_assert(sizeof(descs) / sizeof(descs[0]) == WIRE_MESSAGES, "one descriptor a message");

/* Ids lie between 301 and 550, but for the internal pulse. */
#define ID_MIN 301
#define ID_MAX 550
static uint8_t by_id[ID_MAX - ID_MIN + 1]; /* index into descs + 1 */
static const struct wire_desc *pulse;

/* Of one element; of a string's length slot. */
static unsigned width_of(enum wire_type t)
{
	static const uint8_t widths[_WIRE_TYPE_MAX] = {
		[WIRE_U8] = 1,	[WIRE_U16] = 2, [WIRE_U32] = 4,	 [WIRE_U64] = 8,  [WIRE_U128] = 16,
		[WIRE_S32] = 4, [WIRE_S64] = 8, [WIRE_IP4] = 4,	 [WIRE_IP4N] = 4, [WIRE_BYTES] = 1,
		[WIRE_IP6] = 1, [WIRE_STR] = 2, [WIRE_IP4S] = 2, [WIRE_IP6S] = 2,
	};

	return widths[t];
}

bool wire_type_is_string(enum wire_type t)
{
	return t == WIRE_STR || t == WIRE_IP4S || t == WIRE_IP6S;
}

bool wire_type_is_bytes(enum wire_type t)
{
	return t == WIRE_BYTES || t == WIRE_IP6 || wire_type_is_string(t);
}

const char *wire_type_name(enum wire_type t)
{
	static const char *const names[_WIRE_TYPE_MAX] = {
		[WIRE_U8] = "u8",	[WIRE_U16] = "u16",	[WIRE_U32] = "u32",
		[WIRE_U64] = "u64",	[WIRE_U128] = "u128",	[WIRE_S32] = "i32",
		[WIRE_S64] = "i64",	[WIRE_IP4] = "u32",	[WIRE_IP4N] = "u32",
		[WIRE_BYTES] = "u8",	[WIRE_IP6] = "u8",	[WIRE_STR] = "string",
		[WIRE_IP4S] = "string", [WIRE_IP6S] = "string",
	};

	return names[t];
}

/* Placement takes widths greedily. An unplaced fixed field has off 0, which no field can have. */
static struct wire_field *first_unplaced(struct wire_field *f, unsigned n, unsigned width)
{
	for (unsigned i = 0; i < n; i++)
		if (!f[i].off && (!wire_type_is_string(f[i].type) || f[i].slot) &&
		    width_of(f[i].type) == width)
			return &f[i];
	return NULL;
}

/* The widest width that fits the position as it is; else the narrowest there is. */
static struct wire_field *next_to_place(struct wire_field *f, unsigned n, unsigned pos)
{
	struct wire_field *found;

	for (unsigned w = 16; w; w /= 2)
		if (pos % w == 0 && (found = first_unplaced(f, n, w)))
			return found;
	for (unsigned w = 1; w <= 16; w *= 2)
		if ((found = first_unplaced(f, n, w)))
			return found;
	return NULL;
}

static void count_strings(struct wire_desc *d, struct wire_field *f, unsigned n)
{
	struct wire_field *last = NULL;

	for (unsigned i = 0; i < n; i++) {
		if (!f[i].count)
			f[i].count = f[i].type == WIRE_IP6 ? 16 : 1;
		if (!wire_type_is_string(f[i].type))
			continue;
		f[i].slot = true;
		d->n_strings++;
		last = &f[i];
	}
	if (last)
		last->slot = false; /* its length is what the others leave of the message */
	d->dynamic = last != NULL;
}

/* The rule of the wire, README.md "Placement". */
static void place(struct wire_desc *d, struct wire_field *f, unsigned n)
{
	unsigned pos, width;
	struct wire_field *next;

	count_strings(d, f, n);
	pos = d->dynamic ? 4 : 2;
	while ((next = next_to_place(f, n, pos))) {
		width = width_of(next->type);
		if (pos % width) {
			assert(!d->pad_size); /* no message of this protocol has two gaps */
			d->pad_off = (uint16_t)pos;
			d->pad_size = (uint16_t)(width - pos % width);
			pos += d->pad_size;
		}
		next->off = (uint16_t)pos;
		pos += width * next->count;
	}
	d->fixed = (uint16_t)pos;
	d->fields = f;
	d->n_fields = (uint16_t)n;
}

__attribute__((constructor)) static void place_all(void)
{
	for (unsigned i = 0; i < WIRE_MESSAGES; i++) {
		place(&descs[i], sources[i].fields, sources[i].n_fields);
		if (descs[i].id == WIRE_pulse)
			pulse = &descs[i];
		else
			by_id[descs[i].id - ID_MIN] = (uint8_t)(i + 1);
	}
}

const struct wire_desc *wire_desc(uint16_t id)
{
	uint8_t at;

	if (id < ID_MIN || id > ID_MAX)
		return id == WIRE_pulse ? pulse : NULL;
	at = by_id[id - ID_MIN];
	return at ? &descs[at - 1] : NULL;
}

const struct wire_desc *wire_desc_by_name(struct str name)
{
	for (unsigned i = 0; i < WIRE_MESSAGES; i++)
		if (str_eq(name, str_of(descs[i].name)))
			return &descs[i];
	return NULL;
}

const struct wire_desc *wire_descs(void)
{
	return descs;
}
