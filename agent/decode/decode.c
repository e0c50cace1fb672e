/*
 * The front: makes a decoder, hands the bytes to the one of its format, keeps
 * count of the stream and remembers the first error.
 */
#include "decode/decode.h"

#include "base/mem.h"
#include "decode/fill.h"

#include <errno.h>
#include <stdlib.h>

const char *decode_bad_name(enum decode_bad why)
{
	static const char *const names[_DECODE_BAD_MAX] = {
		[BAD_TOO_LARGE] = "too_large", [BAD_TOO_DEEP] = "too_deep",
		[BAD_MALFORMED] = "malformed", [BAD_INCOMPLETE] = "incomplete",
		[BAD_TOO_MANY] = "too_many",
	};

	return why < _DECODE_BAD_MAX ? names[why] : "?";
}

int decode_new(const struct decode_opts *o, struct decode **ret)
{
	struct decode *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->ops = *o->ops;
	d->ctx = o->ctx;
	d->format = o->format;
	d->body = o->body;
	d->labels = o->labels;
	d->n_labels = o->n_labels;
	d->max_object =
		o->max_object ? MIN(o->max_object, (size_t)DECODE_TOP_OBJECT) : DECODE_MAX_OBJECT;
	d->item_message = message_of_shape(o->shape);
	d->want_labels = o->n_labels > 0 || o->shape == SHAPE_NODE;
	/* Room for what short texts and growing arrays waste; whoever needs more is hostile. */
	d->max_charged = 2 * d->max_object + 256 * 1024;
	d->raw = o->raw && o->format == DECODE_JSON;
	buf_init(&d->held, d->max_object);
	arena_init(&d->item_arena, 2 * d->max_charged);
	arena_init(&d->top_arena, 2 * DECODE_MAX_TOP);
	event_begin(d);
	if (d->format == DECODE_PROTOBUF)
		pb_init(d);
	else
		json_init(d);
	*ret = d;
	return 0;
}

void decode_free(struct decode **d)
{
	if (!*d)
		return;
	if ((*d)->format == DECODE_JSON)
		json_done(*d);
	buf_done(&(*d)->held);
	arena_done(&(*d)->item_arena);
	arena_done(&(*d)->top_arena);
	free(*d);
	*d = NULL;
}

/* A watch is silent most of the time, and there may be thousands: between two objects nothing is
 * held but the state. */
static void rest(struct decode *d)
{
	if (d->in_item || d->has_item)
		return;
	if (d->format == DECODE_JSON)
		json_rest(d);
	buf_done(&d->held);
	arena_done(&d->item_arena);
}

int decode_feed(struct decode *d, const void *p, size_t n)
{
	int r;

	if (d->error)
		return d->error;
	if (!n)
		return 0;
	d->chunk = p;
	d->n_chunk = n;
	r = d->format == DECODE_PROTOBUF ? pb_feed(d, p, n) : json_feed(d, p, n);
	if (r == 0)
		r = fill_own(d);
	if (r == 0)
		r = raw_own(d);
	d->offset += n;
	d->chunk = NULL;
	d->n_chunk = 0;
	if (r == 0)
		rest(d);
	return r < 0 ? fill_error(d, r, d->offset, "out of memory") : 0;
}

int decode_finish(struct decode *d)
{
	if (d->error)
		return d->error;
	return d->format == DECODE_PROTOBUF ? pb_finish(d) : json_finish(d);
}

const char *decode_error(const struct decode *d)
{
	return d->error_text;
}

size_t decode_bytes(const struct decode *d)
{
	size_t carry = d->format == DECODE_JSON ? d->json.carry.cap : 0;

	return sizeof(*d) + d->item_arena.used + d->top_arena.used + carry + d->held.cap;
}

static bool is_json(struct str head)
{
	head = str_trim(head);
	return head.n && head.p[0] == '{';
}

int decode_sniff(struct str content_type, struct str head, enum decode_format *ret)
{
	static const struct str magic = {.p = "k8s\0", .n = 4};
	struct str type;

	(void)str_split(&content_type, ';', &type);
	type = str_trim(type);
	if (str_ieq(type, STR("application/vnd.kubernetes.protobuf"))) {
		*ret = DECODE_PROTOBUF;
		return 0;
	}
	if (str_ieq(type, STR("application/json"))) {
		*ret = DECODE_JSON;
		return 0;
	}
	/* The server's timeout handler sends its Status as text/plain. */
	if (is_json(head) && (!type.n || str_ieq(type, STR("text/plain")))) {
		*ret = DECODE_JSON;
		return 0;
	}
	/* A frame's length is below 16 MiB; behind it stands field 1 of a WatchEvent. */
	if (!type.n &&
	    (str_starts(head, magic) || (head.n > 4 && head.p[0] == 0 && head.p[4] == 0x0a))) {
		*ret = DECODE_PROTOBUF;
		return 0;
	}
	return -EPROTONOSUPPORT;
}
