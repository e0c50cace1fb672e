#include "proto/reader.h"

#include "proto/batch.h"

#include <errno.h>
#include <lz4frame.h>
#include <stdlib.h>

#define WINDOW	   WIRE_MAX_MESSAGE /* so a full window always holds a whole message */
#define MAGIC_SIZE 4
#define HEADER_MIN 7 /* an LZ4 frame's header has at least this */
#define BLOCK_HEAD 4 /* an LZ4 block's size word; LZ4F's hint counts the next one in */

enum state {
	STATE_FIRST,  /* the one plain message */
	STATE_DETECT, /* is it LZ4 or plain from here on? (only with plain_too) */
	STATE_LZ4,
	STATE_PLAIN,
	STATE_BAD,
};

struct wire_reader {
	enum state state;
	bool plain_too;
	LZ4F_dctx *lz4;
	struct wire_error error;
	uint64_t taken; /* bytes as they came */

	size_t hint;	    /* LZ4F's: bytes to the end of the unit and the next block head */
	uint64_t unit;	    /* where the LZ4 unit (header, block) begins in the stream */
	bool only_head;	    /* of the frame nothing came but its header, or a part of it */
	size_t frame_bytes; /* that this frame has given */
	bool told_large;
	bool frame_ended; /* to be told when the window's messages are told */
	bool draining;	  /* the last call filled the window: LZ4F may hold more */

	char magic[MAGIC_SIZE];
	size_t n_magic;

	uint64_t base;	 /* of window[off], counted in messages */
	size_t off, end; /* messages not yet told are window[off..end) */
	size_t told;	 /* size of the message lent out; dropped on the next call */
	char window[WINDOW];
};

int wire_reader_new(bool plain_too, struct wire_reader **ret)
{
	struct wire_reader *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	if (LZ4F_isError(LZ4F_createDecompressionContext(&r->lz4, LZ4F_VERSION))) {
		free(r);
		return -ENOMEM;
	}
	r->plain_too = plain_too;
	*ret = r;
	return 0;
}

void wire_reader_free(struct wire_reader **r)
{
	if (!*r)
		return;
	(void)LZ4F_freeDecompressionContext((*r)->lz4);
	free(*r);
	*r = NULL;
}

static int bad(struct wire_reader *r, const char *reason, enum wire_place place, uint64_t at)
{
	r->state = STATE_BAD;
	r->error = (struct wire_error){.reason = reason, .place = place, .at = at};
	return -EBADMSG;
}

static struct str held(const struct wire_reader *r)
{
	return str_make(r->window + r->off, r->end - r->off);
}

static size_t make_room(struct wire_reader *r)
{
	if (r->off)
		memmove(r->window, r->window + r->off, r->end - r->off);
	r->end -= r->off;
	r->off = 0;
	return WINDOW - r->end;
}

static void drop_told(struct wire_reader *r)
{
	r->off += r->told;
	r->base += r->told;
	r->told = 0;
	if (r->off == r->end)
		r->off = r->end = 0;
}

/* Copies up to `n` bytes from the input to the window. */
static void take(struct wire_reader *r, struct str *in, size_t n)
{
	n = n < in->n ? n : in->n;
	if (!n)
		return;
	memcpy(r->window + r->end, in->p, n);
	r->end += n;
	r->taken += n;
	*in = str_from(*in, n);
}

/* A message from the window: 0, -EAGAIN or -EBADMSG. */
static int from_window(struct wire_reader *r, struct wire_event *ret)
{
	struct wire_fault fault = {0};
	struct wire_msg msg;
	int res;

	res = wire_decode(held(r), &msg, &fault);
	if (res == -EBADMSG)
		return bad(r, fault.reason,
			   r->state == STATE_LZ4 ? WIRE_IN_MESSAGES : WIRE_IN_STREAM,
			   r->base + fault.at);
	if (res < 0)
		return res;
	*ret = (struct wire_event){.type = WIRE_EVENT_MESSAGE, .msg = msg, .at = r->base};
	r->told = msg.size;
	return 0;
}

/* Takes no byte behind the first message: those belong to LZ4. */
static int read_first(struct wire_reader *r, struct str *in, struct wire_event *ret)
{
	int res;

	for (;;) {
		res = from_window(r, ret);
		if (res == 0)
			r->state = r->plain_too ? STATE_DETECT : STATE_LZ4;
		if (res != -EAGAIN || !in->n)
			return res;
		take(r, in, wire_need(held(r)) - held(r).n);
	}
}

/* The library's name for what is wrong, in words where it is a riddle. */
static const char *lz4_reason(size_t code)
{
	const char *name = LZ4F_getErrorName(code);

	if (strcmp(name, "ERROR_frameType_unknown") == 0)
		return "not an LZ4 frame (ERROR_frameType_unknown)";
	return name;
}

/* One call of LZ4F into the window's room, with at most what belongs to the current unit, so that
 * a fault can be placed. */
static int decompress(struct wire_reader *r, struct str *in)
{
	size_t room = make_room(r), n_in, n_out, hint;

	n_in = r->hint > BLOCK_HEAD ? r->hint - BLOCK_HEAD : r->hint;
	if (!n_in)
		n_in = HEADER_MIN;
	if (n_in > in->n)
		n_in = in->n;
	n_out = room;
	if (r->hint == 0 || r->hint == BLOCK_HEAD)
		r->unit = r->taken;
	hint = LZ4F_decompress(r->lz4, r->window + r->end, &n_out, in->p, &n_in, NULL);
	if (LZ4F_isError(hint))
		return bad(r, lz4_reason(hint), WIRE_IN_STREAM, r->unit);
	if (n_in && (r->hint == 0 || r->hint == BLOCK_HEAD))
		r->only_head = r->hint == 0;
	*in = str_from(*in, n_in);
	r->taken += n_in;
	r->end += n_out;
	r->frame_bytes += n_out;
	r->draining = hint && n_out == room;
	r->frame_ended = hint == 0;
	r->hint = hint;
	return 0;
}

static bool tell_frame(struct wire_reader *r, struct wire_event *ret)
{
	if (r->frame_bytes > WIRE_BATCH_MAX && !r->told_large) {
		r->told_large = true;
		*ret = (struct wire_event){.type = WIRE_EVENT_FRAME_LARGE};
		return true;
	}
	return false;
}

static void end_frame(struct wire_reader *r, struct wire_event *ret)
{
	*ret = (struct wire_event){.type = WIRE_EVENT_FRAME_END,
				   .frame_bytes = r->frame_bytes,
				   .cut_bytes = r->frame_bytes ? held(r).n : 0};
	r->frame_bytes = 0;
	r->told_large = false;
	r->frame_ended = false;
}

static int read_lz4(struct wire_reader *r, struct str *in, struct wire_event *ret)
{
	int res;

	for (;;) {
		if (tell_frame(r, ret))
			return 0;
		res = from_window(r, ret);
		if (res != -EAGAIN)
			return res;
		if (r->frame_ended) {
			end_frame(r, ret);
			return 0;
		}
		if (!in->n && !r->draining)
			return -EAGAIN;
		res = decompress(r, in);
		if (res < 0)
			return res;
	}
}

static int read_plain(struct wire_reader *r, struct str *in, struct wire_event *ret)
{
	int res;

	for (;;) {
		res = from_window(r, ret);
		if (res != -EAGAIN || !in->n)
			return res;
		take(r, in, make_room(r));
	}
}

static bool is_lz4(const char *magic)
{
	uint32_t m;

	memcpy(&m, magic, sizeof(m));
	return m == LZ4F_MAGICNUMBER || (m & 0xfffffff0U) == LZ4F_MAGIC_SKIPPABLE_START;
}

/* A plain message would begin with its timestamp, whose low half is LZ4's magic about once in
 * 250 million times. */
static int detect(struct wire_reader *r, struct str *in)
{
	struct str magic;

	while (r->n_magic < MAGIC_SIZE && in->n) {
		r->magic[r->n_magic++] = in->p[0];
		*in = str_from(*in, 1);
	}
	if (r->n_magic < MAGIC_SIZE)
		return -EAGAIN;
	magic = str_make(r->magic, MAGIC_SIZE);
	if (is_lz4(r->magic)) {
		r->state = STATE_LZ4;
		return decompress(r, &magic);
	}
	r->state = STATE_PLAIN;
	take(r, &magic, MAGIC_SIZE);
	return 0;
}

int wire_reader_next(struct wire_reader *r, struct str *in, struct wire_event *ret)
{
	int res;

	drop_told(r);
	if (r->state == STATE_FIRST)
		return read_first(r, in, ret);
	if (r->state == STATE_DETECT) {
		res = detect(r, in);
		if (res < 0)
			return res;
	}
	if (r->state == STATE_LZ4)
		return read_lz4(r, in, ret);
	if (r->state == STATE_PLAIN)
		return read_plain(r, in, ret);
	return -EBADMSG;
}

int wire_reader_end(struct wire_reader *r)
{
	drop_told(r);
	if (r->state == STATE_BAD)
		return -EBADMSG;
	if (r->state == STATE_LZ4 && r->hint == BLOCK_HEAD && r->only_head)
		return bad(r, "stream ends behind an LZ4 frame's header, before its first block",
			   WIRE_IN_STREAM, r->taken);
	if (r->state == STATE_LZ4 && r->hint && r->hint != BLOCK_HEAD)
		return bad(r, "stream ends inside an LZ4 frame header or block", WIRE_IN_STREAM,
			   r->taken);
	if (held(r).n || r->n_magic % MAGIC_SIZE)
		return bad(r, "stream ends inside a message",
			   r->state == STATE_LZ4 ? WIRE_IN_MESSAGES : WIRE_IN_STREAM,
			   r->base + held(r).n + r->n_magic % MAGIC_SIZE);
	return 0;
}

struct wire_error wire_reader_error(const struct wire_reader *r)
{
	return r->error;
}
