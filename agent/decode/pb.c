/*
 * The protobuf decoder (https://protobuf.dev/programming-guides/encoding/): a
 * stack of messages with the offset where each ends. A field is its head, the
 * tag with its number or length, and for texts and messages the bytes behind it.
 * Heads that a chunk's end cuts are gathered in a few bytes; cut texts in the
 * arena; everything else is read where it lies.
 *
 * A mistake inside of a frame or of a list's item costs that object: its length
 * tells where the next begins. A mistake around them ends the stream.
 */
#include "base/mem.h"
#include "decode/fill.h"

#include <assert.h>
#include <errno.h>

#define CACHE_LINE 64
#define LOOK_AHEAD 4096 /* bytes; about a pod */

enum wire { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

struct head {
	uint32_t number;
	uint32_t wire;
	uint64_t value; /* the number, or the length of what follows */
};

/* Offset in the stream. */
static uint64_t offset_of(const struct decode *d, const uint8_t *p)
{
	return d->offset + (uint64_t)((const char *)p - d->chunk);
}

void pb_init(struct decode *d)
{
	(void)d; /* all zero */
}

/* Bytes of the varint at p; 0 when [p, end) ends in it, -1 when it is longer than 64 bits. */
static inline int varint(const uint8_t *p, const uint8_t *end, uint64_t *ret)
{
	uint64_t v = 0;

	if (p < end && *p < 0x80) {
		*ret = *p;
		return 1;
	}
	for (int i = 0; i < 10; i++) {
		if (p + i >= end)
			return 0;
		v |= (uint64_t)(p[i] & 0x7f) << (7 * i);
		if (p[i] < 0x80) {
			if (i == 9 && p[i] > 1)
				return -1;
			*ret = v;
			return i + 1;
		}
	}
	return -1;
}

static inline uint64_t little_endian(const uint8_t *p, int n)
{
	uint64_t v = 0;

	while (n--)
		v = v << 8 | p[n];
	return v;
}

/* Bytes of the head at p; 0 when [p, end) ends in it, -1 when it is none. */
static inline int read_head(const uint8_t *p, const uint8_t *end, struct head *h)
{
	uint64_t tag;
	int n = varint(p, end, &tag), m;

	if (n <= 0)
		return n;
	h->number = (uint32_t)(tag >> 3);
	h->wire = tag & 7;
	if (tag >> 32 || !h->number)
		return -1;
	p += n;
	switch (h->wire) {
	case WIRE_VARINT:
	case WIRE_BYTES:
		m = varint(p, end, &h->value);
		return m <= 0 ? m : n + m;
	case WIRE_FIXED64:
	case WIRE_FIXED32:
		m = h->wire == WIRE_FIXED64 ? 8 : 4;
		if (end - p < m)
			return 0;
		h->value = little_endian(p, m);
		return n + m;
	default: /* groups: Kubernetes never had them */
		return -1;
	}
}

static struct pb_level *level(struct decode *d)
{
	return &d->pb.stack[d->pb.depth - 1];
}

static void push(struct decode *d, const struct message *m, void *base, uint64_t end,
		 enum pb_level_kind kind)
{
	struct pb *pb = &d->pb;

	assert(pb->depth < DECODE_STACK);
	pb->stack[pb->depth++] = (struct pb_level){.m = m, .base = base, .end = end, .kind = kind};
	if ((kind == PB_FRAME || kind == PB_ITEM) && !pb->guard)
		pb->guard = pb->depth;
}

/* Gives the frame or the item up, or the stream when there is none. `p` is where reading stands;
 * the mistake began with the bytes in `head`, if there are any. */
static int malformed(struct decode *d, const uint8_t *p, const char *what)
{
	struct pb *pb = &d->pb;
	uint64_t at = offset_of(d, p);

	if (!pb->guard)
		return fill_error(d, -EBADMSG, at - pb->n_head, "protobuf: %s", what);
	pb->depth = pb->guard;
	pb->text = NULL;
	pb->n_head = 0;
	pb->skip = level(d)->end - at;
	item_bad(d, BAD_MALFORMED);
	return 0;
}

/* What a fill_ function said about a value. */
static int filled(struct decode *d, const uint8_t *p, int r)
{
	if (r == 0 || r == -ENOMEM)
		return r;
	if (r == -EBADMSG)
		return malformed(d, p, "value of a wrong type");
	if (!d->in_item)
		return fill_error(d, -EBADMSG, offset_of(d, p),
				  "protobuf: list metadata over %d bytes", DECODE_MAX_TOP);
	r = malformed(d, p, "");
	d->bad = BAD_TOO_LARGE;
	return r;
}

/* Passes over the `n` bytes at *p, the rest of them when they come. */
static inline void pass(struct decode *d, const uint8_t **p, const uint8_t *end, uint64_t n)
{
	if (n <= (uint64_t)(end - *p))
		*p += n;
	else
		d->pb.skip = n;
}

/* A map's key is known: looks who wants the value. */
static int entry_key(struct decode *d, struct str key)
{
	struct pb_entry *e = &d->pb.entry;
	int r = fill_map(d, e->map, e->base, key, &e->value_field, &e->value_base);

	e->has_key = true;
	if (r == 0 && e->has_early && e->value_field) {
		d->place = TEXT_ARENA;
		r = fill_text(d, e->value_field, e->value_base, e->early);
		d->place = TEXT_FED;
	}
	return r;
}

static int entry_value(struct decode *d, struct str value)
{
	static const struct field early = {.op = FIELD_STR, .at = 0};
	struct pb_entry *e = &d->pb.entry;

	if (e->has_key)
		return e->value_field ? fill_text(d, e->value_field, e->value_base, value) : 0;
	e->has_early = true;
	if (d->place == TEXT_FED)
		d->place = TEXT_ELSEWHERE; /* it must be copied: fill_own does not know it */
	return fill_text(d, &early, &e->early, value);
}

static int whole_text(struct decode *d, const struct field *f, struct str s)
{
	if (f->op == FIELD_KEY)
		return entry_key(d, s);
	if (f->op == FIELD_VALUE)
		return entry_value(d, s);
	return fill_text(d, f, level(d)->base, s);
}

/* Not just looked at: a copy may be needed. */
static bool is_kept(const struct field *f)
{
	return f->op == FIELD_STR || f->op == FIELD_TEXTS || f->op == FIELD_VALUE;
}

/* A text of which only a part is here. Keys and names of enums have a place of their own. */
static int begin_text(struct decode *d, const struct field *f, size_t n)
{
	struct pb *pb = &d->pb;
	void *p = d->key;
	int r = 0;

	if (is_kept(f))
		r = fill_alloc(d, n, &p);
	if (r < 0)
		return r;
	pb->text = f;
	pb->text_p = p;
	pb->text_size = n;
	pb->n_text = 0;
	return 0;
}

/* Goes on with a cut text; *p moves. */
static int more_text(struct decode *d, const uint8_t **p, const uint8_t *end)
{
	struct pb *pb = &d->pb;
	const struct field *f = pb->text;
	size_t n = MIN(pb->text_size - pb->n_text, (size_t)(end - *p));
	int r;

	memcpy(pb->text_p + pb->n_text, *p, n);
	pb->n_text += n;
	*p += n;
	if (pb->n_text < pb->text_size)
		return 0;
	pb->text = NULL;
	d->place = pb->text_p == d->key ? TEXT_ELSEWHERE : TEXT_ARENA;
	r = whole_text(d, f, str_make(pb->text_p, pb->text_size));
	d->place = TEXT_FED;
	return filled(d, *p, r);
}

static int on_text(struct decode *d, const struct field *f, const uint8_t **p, const uint8_t *end,
		   uint64_t n)
{
	bool key = !is_kept(f);
	struct pb_entry *e = &d->pb.entry;
	int r;

	if (f->op == FIELD_VALUE && e->has_key && !e->value_field) {
		pass(d, p, end, n);
		return 0;
	}
	if (key && n > DECODE_MAX_KEY) { /* longer than anything that is looked for */
		pass(d, p, end, n);
		return f->op == FIELD_KEY ? entry_key(d, (struct str){0}) : 0;
	}
	if (n > (uint64_t)(end - *p)) {
		r = begin_text(d, f, n);
		return filled(d, *p, r);
	}
	r = whole_text(d, f, str_make(*p, n));
	d->place = TEXT_FED;
	*p += n;
	return filled(d, *p, r);
}

/* Unknown.raw: what typeMeta (it comes first) says. */
static int on_raw(struct decode *d, const uint8_t *p, uint64_t n)
{
	struct str kind = d->top.kind;
	uint64_t at = offset_of(d, p);

	d->pb.seen_raw = true;
	if (str_eq(kind, STR("Status")) || d->body == DECODE_STATUS) {
		d->is_status = str_eq(kind, STR("Status"));
		push(d, &message_status, &d->top, at + n, PB_PLAIN);
		return 0;
	}
	if (d->body == DECODE_LIST) {
		if (kind.n && !str_ends(kind, STR("List")))
			return fill_error(d, -EBADMSG, at, "protobuf: not a list but kind '%.*s'",
					  (int)MIN(kind.n, (size_t)64), kind.p);
		push(d, &message_list, &d->top, at + n, PB_PLAIN);
		return 0;
	}
	item_begin(d, at);
	push(d, n > d->max_object ? &message_oversize : d->item_message, &d->item, at + n, PB_ITEM);
	return 0;
}

static void on_item(struct decode *d, const uint8_t *p, uint64_t n)
{
	uint64_t at = offset_of(d, p);

	d->top.has_items = true;
	item_begin(d, at);
	push(d, n > d->max_object ? &message_oversize : d->item_message, &d->item, at + n, PB_ITEM);
}

static int on_list(struct decode *d, const struct field *f, const uint8_t *p, uint64_t n)
{
	void *e;
	int r = fill_list(d, f, level(d)->base, &e);

	if (r < 0)
		return filled(d, p, r);
	if (e)
		push(d, f->sub, e, offset_of(d, p) + n, PB_PLAIN);
	else
		d->pb.skip = n;
	return 0;
}

/* The text of this field number at p, if its length takes one byte and it ends before `end`. */
static bool short_text(const uint8_t **p, const uint8_t *end, uint32_t number, struct str *ret)
{
	const uint8_t *at = *p;

	if (end - at < 2 || at[0] != (number << 3 | WIRE_BYTES) || at[1] & 0x80 ||
	    at[1] > end - at - 2)
		return false;
	*ret = str_make(at + 2, at[1]);
	*p = at + 2 + at[1];
	return true;
}

/* Nearly every entry is whole, its key first, both short: then without the stack. */
static int on_map(struct decode *d, const struct field *f, const uint8_t **p, const uint8_t *end,
		  uint64_t n)
{
	struct pb_entry *e = &d->pb.entry;
	const uint8_t *at = *p, *stop;
	struct str key, value;
	int r;

	if (f->arg && !d->want_labels) {
		pass(d, p, end, n);
		return 0;
	}
	*e = (struct pb_entry){.map = f, .base = level(d)->base};
	stop = at + MIN(n, (uint64_t)(end - at));
	if (!short_text(&at, stop, 1, &key) || !short_text(&at, stop, 2, &value) || at != *p + n) {
		push(d, &message_map_entry, NULL, offset_of(d, *p) + n, PB_ENTRY);
		return 0;
	}
	*p = stop;
	r = entry_key(d, key);
	if (r == 0)
		r = entry_value(d, value);
	return filled(d, stop, r);
}

static void on_time(struct decode *d, const struct field *f, const uint8_t **p, const uint8_t *end,
		    uint64_t n)
{
	int64_t *seconds = (int64_t *)(void *)((char *)level(d)->base + f->at);
	uint64_t v = 0;

	*seconds = 0;
	if (n > 1 && n <= (uint64_t)(end - *p) && (*p)[0] == (1 << 3 | WIRE_VARINT) &&
	    varint(*p + 1, *p + n, &v) == (int)n - 1) {
		*seconds = (int64_t)v;
		*p += n;
	} else {
		push(d, &message_time, seconds, offset_of(d, *p) + n, PB_PLAIN);
	}
}

/* A field of bytes: p is behind its head, n bytes of it are in bounds. */
static int on_bytes(struct decode *d, const struct field *f, const uint8_t **p, const uint8_t *end,
		    uint64_t n)
{
	char *base = level(d)->base;
	uint64_t stop = offset_of(d, *p) + n;

	switch ((enum field_op)f->op) {
	case FIELD_STR:
	case FIELD_TRUE:
	case FIELD_PHASE:
	case FIELD_EVENT:
	case FIELD_KEY:
	case FIELD_VALUE:
	case FIELD_TEXTS:
		return on_text(d, f, p, end, n);
	case FIELD_TIME:
		on_time(d, f, p, end, n);
		return 0;
	case FIELD_STATE:
		*(enum container_state *)(void *)(base + f->at) = f->arg;
		if (f->sub)
			push(d, f->sub, base + f->at, stop, PB_PLAIN);
		else
			pass(d, p, end, n);
		return 0;
	case FIELD_MSG:
		push(d, f->sub, base + f->at, stop, PB_PLAIN);
		return 0;
	case FIELD_LIST:
		return on_list(d, f, *p, n);
	case FIELD_MAP:
		return on_map(d, f, p, end, n);
	case FIELD_ITEMS:
		on_item(d, *p, n);
		return 0;
	case FIELD_MAGIC:
		push(d, NULL, NULL, stop, PB_MAGIC);
		return 0;
	case FIELD_RAW:
		return on_raw(d, *p, n);
	case FIELD_SKIP:
	case FIELD_BOOL:
	case FIELD_I32:
	case FIELD_I64:
	case FIELD_ITEM:
		break;
	}
	return malformed(d, *p, "a number was expected");
}

/* A field whose head is read; *p is behind it. */
static inline int on_field(struct decode *d, const struct head *h, const uint8_t **p,
			   const uint8_t *end)
{
	const struct pb_level *l = level(d);
	const struct field *f = h->number < l->m->n_pb ? &l->m->fields[h->number] : NULL;
	bool wanted = f && f->op != FIELD_SKIP;

	if (h->wire == WIRE_BYTES) {
		if (h->value > l->end - offset_of(d, *p))
			return malformed(d, *p, "length over the end of its message");
		if (wanted)
			return on_bytes(d, f, p, end, h->value);
		pass(d, p, end, h->value);
		return 0;
	}
	if (!wanted)
		return 0;
	if (h->wire != WIRE_VARINT ||
	    (f->op != FIELD_BOOL && f->op != FIELD_I32 && f->op != FIELD_I64))
		return malformed(d, *p, "value of a wrong type");
	fill_int(f, l->base, h->value);
	return 0;
}

/* The message on top of the stack is over. */
static int close_level(struct decode *d, const uint8_t *p)
{
	struct pb *pb = &d->pb;
	enum pb_level_kind kind = level(d)->kind;
	int r;

	if (kind == PB_MAGIC)
		return malformed(d, p, "no magic");
	if (kind == PB_ENTRY && !pb->entry.has_key) {
		r = entry_key(d, (struct str){0});
		if (r < 0)
			return filled(d, p, r);
	}
	if (pb->guard == pb->depth)
		pb->guard = 0;
	pb->depth--;
	if (kind == PB_ITEM)
		return item_end(d, offset_of(d, p));
	return kind == PB_FRAME ? event_end(d) : 0;
}

/* Gathers `need` bytes of a frame length or a magic: the number of bytes used. */
static size_t gather(struct pb *pb, const uint8_t *p, const uint8_t *end, size_t need)
{
	size_t n = MIN(need - pb->n_head, (size_t)(end - p));

	memcpy(pb->head + pb->n_head, p, n);
	pb->n_head += (uint32_t)n;
	return n;
}

/* Between frames: a length of four bytes, high byte first. */
static int begin_frame(struct decode *d, const uint8_t **p, const uint8_t *end)
{
	struct pb *pb = &d->pb;
	uint32_t n;

	*p += gather(pb, *p, end, 4);
	if (pb->n_head < 4)
		return 0;
	pb->n_head = 0;
	n = (uint32_t)pb->head[0] << 24 | (uint32_t)pb->head[1] << 16 | (uint32_t)pb->head[2] << 8 |
	    pb->head[3];
	if (n >= 0x80000000u)
		return fill_error(d, -EBADMSG, offset_of(d, *p) - 4, "protobuf: frame length %u",
				  n);
	event_begin(d);
	push(d, &message_pb_event, &d->top, offset_of(d, *p) + n, PB_FRAME);
	return 0;
}

/* The magic of a body, or of the object in a watch event; an Unknown follows. */
static int read_magic(struct decode *d, const uint8_t **p, const uint8_t *end)
{
	static const uint8_t magic[4] = {'k', '8', 's', 0};
	struct pb *pb = &d->pb;

	*p += gather(pb, *p, end, sizeof(magic));
	if (pb->n_head < sizeof(magic))
		return 0;
	if (memcmp(pb->head, magic, sizeof(magic)) != 0)
		return malformed(d, *p, "no magic");
	pb->n_head = 0;
	if (!pb->depth)
		push(d, &message_unknown, &d->top, UINT64_MAX, PB_UNKNOWN);
	else
		*level(d) = (struct pb_level){&message_unknown, &d->top, level(d)->end, PB_UNKNOWN};
	return 0;
}

/* A head that was cut by the end of a chunk. */
static int finish_head(struct decode *d, const uint8_t **p, const uint8_t *end)
{
	struct pb *pb = &d->pb;
	struct head h = {0};
	int n;

	while (*p < end) {
		pb->head[pb->n_head++] = *(*p)++;
		n = read_head(pb->head, pb->head + pb->n_head, &h);
		if (n == 0)
			continue;
		if (n < 0)
			return malformed(d, *p, "bad field");
		pb->n_head = 0;
		return on_field(d, &h, p, end);
	}
	return 0;
}

/*
 * Passes over fields that nobody wants, as long as they are whole and their heads short: that is
 * most of a body. Stops before the first other one.
 */
static inline const uint8_t *skip_unwanted(const struct message *m, const uint8_t *p,
					   const uint8_t *end)
{
	while (end - p > 5) { /* a tag and a length of at most 3 bytes each */
		uint32_t tag = p[0], head = 1;
		size_t n;

		if (tag & 0x80) {
			tag = (tag & 0x7f) | (uint32_t)p[1] << 7;
			head = 2;
		}
		if (tag < 8 || tag >= 1u << 14 ||
		    (tag >> 3 < m->n_pb && m->fields[tag >> 3].op != FIELD_SKIP))
			break;
		n = p[head];
		if ((tag & 7) == WIRE_VARINT) {
			if (n & 0x80)
				break;
			p += head + 1;
			continue;
		}
		if ((tag & 7) != WIRE_BYTES)
			break;
		head++;
		if (n & 0x80) {
			n = (n & 0x7f) | (size_t)p[head] << 7;
			head++;
			if (n & 1 << 14) {
				n = (n & 0x3fff) | (size_t)p[head] << 14;
				head++;
				if (n & 1 << 21)
					break;
			}
		}
		if (n > (size_t)(end - p) - head)
			break;
		p += head + n;
	}
	return p;
}

/*
 * Asks for the bytes that come next. Jumping from field to field, the processor's own prefetcher
 * loses the track, and every jump waits for memory: that took longer than all decoding.
 */
static inline void look_ahead(struct pb *pb, const uint8_t *p, const uint8_t *chunk_end)
{
	const uint8_t *to = p + MIN((size_t)(chunk_end - p), (size_t)LOOK_AHEAD);

	if (pb->ahead < p || pb->ahead > chunk_end)
		pb->ahead = p;
	for (; pb->ahead < to; pb->ahead += CACHE_LINE)
		__builtin_prefetch(pb->ahead);
}

/* The bytes of the message on top that are here; *ret_last when they reach its end. */
static const uint8_t *end_of(struct decode *d, const uint8_t *p, const uint8_t *chunk_end,
			     bool *ret_last)
{
	uint64_t left = level(d)->end - offset_of(d, p);

	*ret_last = left <= (uint64_t)(chunk_end - p);
	return *ret_last ? p + left : chunk_end;
}

/* One field that is wanted, odd or cut, at *p. `end` is the message's end (then `last`) or the
 * chunk's. */
static int read_field(struct decode *d, const struct pb_level *l, const uint8_t **p,
		      const uint8_t *end, const uint8_t *chunk_end, bool last)
{
	struct pb *pb = &d->pb;
	struct head h;
	int n = read_head(*p, end, &h), r;

	if (n < 0 || (n == 0 && last))
		return malformed(d, *p, "bad field");
	if (n == 0) {
		*p += gather(pb, *p, end, sizeof(pb->head));
		return 0;
	}
	*p += n;
	if (h.wire != WIRE_BYTES || h.number >= l->m->n_pb ||
	    l->m->fields[h.number].op != FIELD_STR || h.value > (uint64_t)(end - *p))
		return on_field(d, &h, p, chunk_end);
	/* a whole text: half of all wanted fields */
	r = fill_text(d, &l->m->fields[h.number], l->base, str_make(*p, h.value));
	*p += h.value;
	return r < 0 ? filled(d, *p, r) : 0;
}

/* Fields, message after message, until there is something that step has to do. */
static int read_messages(struct decode *d, const uint8_t **p, const uint8_t *chunk_end)
{
	struct pb *pb = &d->pb;
	const uint8_t *end;
	uint32_t depth;
	bool last;
	int r;

	look_ahead(pb, *p, chunk_end);
	for (;;) {
		const struct pb_level *l = level(d);

		if (l->kind == PB_MAGIC)
			return 0;
		end = end_of(d, *p, chunk_end, &last);
		depth = pb->depth;
		while (pb->depth == depth) {
			*p = skip_unwanted(l->m, *p, end);
			if (*p == end)
				break;
			r = read_field(d, l, p, end, chunk_end, last);
			if (r < 0 || pb->skip || pb->text || pb->n_head)
				return r;
		}
		if (pb->depth != depth)
			continue; /* into a message, or out of a bad one */
		if (!last || l->kind != PB_PLAIN)
			return 0;
		pb->depth--;
	}
}

static int step(struct decode *d, const uint8_t **p, const uint8_t *chunk_end)
{
	struct pb *pb = &d->pb;
	const uint8_t *end;
	bool last;

	if (pb->skip) {
		size_t n = (size_t)MIN(pb->skip, (uint64_t)(chunk_end - *p));

		pb->skip -= n;
		*p += n;
		return 0;
	}
	if (pb->text)
		return more_text(d, p, chunk_end);
	if (!pb->depth)
		return d->body == DECODE_WATCH ? begin_frame(d, p, chunk_end)
					       : read_magic(d, p, chunk_end);
	end = end_of(d, *p, chunk_end, &last);
	if (*p == end)
		return pb->n_head ? malformed(d, *p, "bad field") : close_level(d, *p);
	if (level(d)->kind == PB_MAGIC)
		return read_magic(d, p, end);
	return pb->n_head ? finish_head(d, p, end) : read_messages(d, p, chunk_end);
}

/* Whether something ends right here: levels are closed before the bytes of the next are fed. */
static bool at_end(const struct decode *d, const uint8_t *p)
{
	const struct pb *pb = &d->pb;

	return pb->depth && !pb->skip && !pb->text &&
	       pb->stack[pb->depth - 1].end == offset_of(d, p);
}

int pb_feed(struct decode *d, const uint8_t *p, size_t n)
{
	const uint8_t *end = p + n;
	int r;

	d->pb.ahead = p;
	while (p < end || at_end(d, p)) {
		r = step(d, &p, end);
		if (r < 0)
			return r;
	}
	return 0;
}

int pb_finish(struct decode *d)
{
	struct pb *pb = &d->pb;

	if (d->body == DECODE_WATCH) {
		if (pb->depth || pb->n_head)
			return fill_error(d, -EBADMSG, d->offset, "protobuf: cut inside a frame");
		return 0;
	}
	if (pb->depth != 1 || pb->n_head || pb->skip || pb->text)
		return fill_error(d, -EBADMSG, d->offset, "protobuf: body cut short");
	if (!pb->seen_raw)
		return fill_error(d, -EBADMSG, d->offset, "protobuf: no object in the body");
	return top_end(d);
}
