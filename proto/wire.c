#include "proto/wire.h"

#include <errno.h>

#define ID_SIZE	 2
#define LEN_SIZE 2 /* the length word of a dynamic message, and a string's slot */

static void put_le16(char *p, size_t v)
{
	const uint16_t w = (uint16_t)v;

	memcpy(p, &w, sizeof(w));
}

static uint16_t get_le16(const char *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* Bits of an unsigned number type, 0 for everything else. */
static unsigned unsigned_bits(enum wire_type t)
{
	static const uint8_t bits[_WIRE_TYPE_MAX] = {
		[WIRE_U8] = 8, [WIRE_U16] = 16, [WIRE_U32] = 32, [WIRE_IP4] = 32, [WIRE_IP4N] = 32,
	};

	return bits[t];
}

static int check_value(const struct wire_field *f, const union wire_value *v)
{
	const unsigned bits = unsigned_bits(f->type);

	if (bits)
		return v->u >> bits ? -ERANGE : 0;
	if (f->type == WIRE_S32)
		return v->i != (int32_t)v->i ? -ERANGE : 0;
	if (wire_type_is_string(f->type))
		return v->s.n > UINT16_MAX ? -EMSGSIZE : 0;
	if (wire_type_is_bytes(f->type))
		return v->s.n > f->count ? -EMSGSIZE : 0;
	return 0;
}

/* One fixed field or length slot; `p` is where it stands. The fixed part is zero before. */
static void put_fixed(char *p, const struct wire_field *f, const union wire_value *v)
{
	switch (f->type) {
	case WIRE_U8:
		*p = (char)v->u;
		break;
	case WIRE_U16:
		put_le16(p, v->u);
		break;
	case WIRE_U32:
	case WIRE_S32:
	case WIRE_IP4:
	case WIRE_IP4N:
		memcpy(p, v, 4);
		break;
	case WIRE_U64:
	case WIRE_S64:
		memcpy(p, v, 8);
		break;
	case WIRE_U128:
		memcpy(p, v, 16);
		break;
	case WIRE_BYTES:
	case WIRE_IP6:
		if (v->s.n)
			memcpy(p, v->s.p, v->s.n);
		break;
	case WIRE_STR:
	case WIRE_IP4S:
	case WIRE_IP6S:
		if (f->slot)
			put_le16(p, v->s.n);
		break;
	case _WIRE_TYPE_MAX:
		break;
	}
}

int wire_encode(const struct wire_desc *d, const union wire_value *values, size_t n, uint64_t ts,
		struct buf *out)
{
	size_t body = d->fixed;
	char *p, *text;
	int r;

	if (n != d->n_fields)
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		r = check_value(&d->fields[i], &values[i]);
		if (r < 0)
			return r;
		if (wire_type_is_string(d->fields[i].type))
			body += values[i].s.n;
	}
	if (WIRE_STAMP + body > WIRE_MAX_MESSAGE) /* then it fits the length word, too */
		return -EMSGSIZE;
	r = buf_reserve(out, WIRE_STAMP + body);
	if (r < 0)
		return r;

	p = buf_tail(out);
	memcpy(p, &ts, WIRE_STAMP);
	p += WIRE_STAMP;
	memset(p, 0, d->fixed);
	put_le16(p, d->id);
	if (d->dynamic)
		put_le16(p + ID_SIZE, body);
	text = p + d->fixed;
	for (size_t i = 0; i < n; i++) {
		const struct wire_field *f = &d->fields[i];

		put_fixed(p + f->off, f, &values[i]);
		if (wire_type_is_string(f->type) && values[i].s.n) {
			memcpy(text, values[i].s.p, values[i].s.n);
			text += values[i].s.n;
		}
	}
	buf_commit(out, WIRE_STAMP + body);
	return 0;
}

static union wire_value load(const struct wire_field *f, const char *at)
{
	union wire_value v = {.w = {0}};
	int32_t s32;

	switch (f->type) {
	case WIRE_U8:
		memcpy(&v, at, 1);
		break;
	case WIRE_U16:
		memcpy(&v, at, 2);
		break;
	case WIRE_U32:
	case WIRE_IP4:
	case WIRE_IP4N:
		memcpy(&v, at, 4);
		break;
	case WIRE_S32:
		memcpy(&s32, at, 4);
		v.i = s32;
		break;
	case WIRE_U64:
	case WIRE_S64:
		memcpy(&v, at, 8);
		break;
	case WIRE_U128:
		memcpy(&v, at, 16);
		break;
	case WIRE_BYTES:
	case WIRE_IP6:
	case WIRE_STR:
	case WIRE_IP4S:
	case WIRE_IP6S:
		memcpy(&v.s, at, sizeof(v.s));
		break;
	case _WIRE_TYPE_MAX:
		break;
	}
	return v;
}

int wire_encode_struct(const struct wire_desc *d, const void *m, uint64_t ts, struct buf *out)
{
	union wire_value values[WIRE_MAX_FIELDS];

	for (size_t i = 0; i < d->n_fields; i++)
		values[i] = load(&d->fields[i], (const char *)m + d->fields[i].at);
	return wire_encode(d, values, d->n_fields, ts, out);
}

static void store(const struct wire_field *f, const union wire_value *v, char *at)
{
	switch (f->type) {
	case WIRE_U8:
		memcpy(at, v, 1);
		break;
	case WIRE_U16:
		memcpy(at, v, 2);
		break;
	case WIRE_U32:
	case WIRE_S32:
	case WIRE_IP4:
	case WIRE_IP4N:
		memcpy(at, v, 4);
		break;
	case WIRE_U64:
	case WIRE_S64:
		memcpy(at, v, 8);
		break;
	case WIRE_U128:
		memcpy(at, v, 16);
		break;
	case WIRE_BYTES:
	case WIRE_IP6:
	case WIRE_STR:
	case WIRE_IP4S:
	case WIRE_IP6S:
		memcpy(at, &v->s, sizeof(v->s));
		break;
	case _WIRE_TYPE_MAX:
		break;
	}
}

void wire_to_struct(const struct wire_msg *m, void *ret)
{
	for (size_t i = 0; i < m->desc->n_fields; i++)
		store(&m->desc->fields[i], &m->v[i], (char *)ret + m->desc->fields[i].at);
}

const union wire_value *wire_value(const struct wire_msg *m, struct str field)
{
	for (size_t i = 0; i < m->desc->n_fields; i++)
		if (str_eq(field, str_of(m->desc->fields[i].name)))
			return &m->v[i];
	return NULL;
}

static int fault(struct wire_fault *ret, const char *reason, size_t at)
{
	if (ret)
		*ret = (struct wire_fault){.reason = reason, .at = at};
	return -EBADMSG;
}

size_t wire_need(struct str bytes)
{
	const struct wire_desc *d;

	if (bytes.n < WIRE_STAMP + ID_SIZE)
		return WIRE_STAMP + ID_SIZE;
	d = wire_desc(get_le16(bytes.p + WIRE_STAMP));
	if (!d)
		return bytes.n; /* not a message: nothing more helps */
	if (!d->dynamic)
		return WIRE_STAMP + d->fixed;
	if (bytes.n < WIRE_STAMP + ID_SIZE + LEN_SIZE)
		return WIRE_STAMP + ID_SIZE + LEN_SIZE;
	return WIRE_STAMP + get_le16(bytes.p + WIRE_STAMP + ID_SIZE);
}

/* Id and length: what can be judged before the whole message is there. */
static int decode_head(struct str bytes, const struct wire_desc **ret, size_t *ret_size,
		       struct wire_fault *ret_fault)
{
	const struct wire_desc *d;
	size_t body;

	if (bytes.n < WIRE_STAMP + ID_SIZE)
		return -EAGAIN;
	d = wire_desc(get_le16(bytes.p + WIRE_STAMP));
	if (!d)
		return fault(ret_fault, "unknown message id", WIRE_STAMP);
	body = d->fixed;
	if (d->dynamic) {
		if (bytes.n < WIRE_STAMP + ID_SIZE + LEN_SIZE)
			return -EAGAIN;
		body = get_le16(bytes.p + WIRE_STAMP + ID_SIZE);
		if (body < d->fixed)
			return fault(ret_fault, "length word is below the message's fixed part",
				     WIRE_STAMP + ID_SIZE);
		if (WIRE_STAMP + body > WIRE_MAX_MESSAGE)
			return fault(ret_fault, "message is longer than 65536 bytes",
				     WIRE_STAMP + ID_SIZE);
	}
	*ret = d;
	*ret_size = WIRE_STAMP + body;
	return 0;
}

static union wire_value get_fixed(const struct wire_field *f, const char *p)
{
	if (wire_type_is_string(f->type))
		return (union wire_value){.u = 0};
	if (wire_type_is_bytes(f->type))
		return (union wire_value){.s = str_make(p, f->count)};
	return load(f, p);
}

/* Strings stand in declaration order behind the fixed part. `body` begins at the id, and its slots
 * have been checked. */
static void fill_strings(struct str body, struct wire_msg *m)
{
	size_t at = m->desc->fixed, n;

	for (size_t i = 0; i < m->desc->n_fields; i++) {
		const struct wire_field *f = &m->desc->fields[i];

		if (!wire_type_is_string(f->type))
			continue;
		n = f->slot ? get_le16(body.p + f->off) : body.n - at;
		m->v[i].s = str_make(body.p + at, n);
		at += n;
	}
}

static bool has_dirt(const struct wire_desc *d, const char *body)
{
	for (size_t i = 0; i < d->pad_size; i++)
		if (body[d->pad_off + i])
			return true;
	return false;
}

/* The slots can be judged as soon as the fixed part is there. */
static int check_slots(const struct wire_desc *d, struct str bytes, size_t size,
		       struct wire_fault *ret_fault)
{
	size_t left = size - WIRE_STAMP - d->fixed, n;

	for (size_t i = 0; i < d->n_fields; i++) {
		const struct wire_field *f = &d->fields[i];

		if (!f->slot)
			continue;
		n = get_le16(bytes.p + WIRE_STAMP + f->off);
		if (n > left)
			return fault(ret_fault, "string is longer than the message",
				     WIRE_STAMP + f->off);
		left -= n;
	}
	return 0;
}

int wire_decode(struct str bytes, struct wire_msg *ret, struct wire_fault *ret_fault)
{
	struct wire_msg m = {0};
	struct str body;
	int r;

	r = decode_head(bytes, &m.desc, &m.size, ret_fault);
	if (r < 0)
		return r;
	if (bytes.n >= WIRE_STAMP + m.desc->fixed) {
		r = check_slots(m.desc, bytes, m.size, ret_fault);
		if (r < 0)
			return r;
	}
	if (bytes.n < m.size)
		return -EAGAIN;
	memcpy(&m.timestamp, bytes.p, WIRE_STAMP);
	body = str_make(bytes.p + WIRE_STAMP, m.size - WIRE_STAMP);
	m.dirty = has_dirt(m.desc, body.p);
	for (size_t i = 0; i < m.desc->n_fields; i++)
		m.v[i] = get_fixed(&m.desc->fields[i], body.p + m.desc->fields[i].off);
	fill_strings(body, &m);
	*ret = m;
	return 0;
}
