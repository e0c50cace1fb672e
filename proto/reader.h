/*
 * The reading side of a stream: one plain message, then LZ4 frames, read as
 * messages. It accepts every stream the reducer's LZ4F_decompress accepts
 * (any frames, ended or not, any block size, linked or not, checksums verified,
 * skippable frames, messages across blocks and frames) and refuses the rest
 * with the byte at fault.
 *
 * Push parser: bytes come in any cut, messages are pulled. Memory is one window
 * of 64 KiB and what liblz4 needs for the block size that a frame announces
 * (at most about 8 MiB for the 4 MiB blocks that nobody is known to send).
 */
#pragma once

#include "proto/wire.h"

#include <stdbool.h>
#include <stdint.h>

enum wire_place {
	WIRE_IN_STREAM,	  /* counted in the bytes as they came */
	WIRE_IN_MESSAGES, /* counted in the messages, uncompressed, the plain one first */
};

struct wire_error {
	const char *reason; /* constant text */
	enum wire_place place;
	uint64_t at; /* LZ4 faults: where the frame header or block begins */
};

enum wire_event_type {
	WIRE_EVENT_MESSAGE,
	WIRE_EVENT_FRAME_END,
	/* The frame has more than WIRE_BATCH_MAX bytes of messages; told once, when it is seen. */
	WIRE_EVENT_FRAME_LARGE,
};

struct wire_event {
	enum wire_event_type type;
	struct wire_msg msg; /* MESSAGE; borrows from the reader until the next call */
	uint64_t at;	     /* MESSAGE: its first byte, counted in messages */
	size_t frame_bytes;  /* FRAME_END: bytes of messages in the frame */
	size_t cut_bytes;    /* FRAME_END: bytes of a message that the frame ends in the midst of */
};

struct wire_reader;

/* `plain_too`: a stream whose second message is not LZ4 is read as plain messages (a copy taken
 * before compression); else that is an error. 0 or -ENOMEM. */
int wire_reader_new(bool plain_too, struct wire_reader **ret);
void wire_reader_free(struct wire_reader **r);

/*
 * The next event. Takes what it needs from the front of `*in`: call again with
 * the rest. 0 and the event; -EAGAIN when all of `*in` is taken and no event is
 * left; -EBADMSG for a malformed stream, from then on always.
 */
int wire_reader_next(struct wire_reader *r, struct str *in, struct wire_event *ret);
/* The stream has ended: 0, or -EBADMSG when it ends inside a message or LZ4 block, or in a
 * frame that has no block yet. Ask after -EAGAIN. A frame without its end mark is no fault. */
int wire_reader_end(struct wire_reader *r);
/* What was wrong; after -EBADMSG only. */
struct wire_error wire_reader_error(const struct wire_reader *r);
