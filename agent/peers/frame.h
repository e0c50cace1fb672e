/*
 * The feed's stream: frames, each unpacked by itself (README.md has the bytes). A
 * frame is made once and sent to everybody; LZ4 where that makes it shorter.
 */
#pragma once

#include "base/buf.h"
#include "base/str.h"

#include <stddef.h>
#include <stdint.h>

#define FRAME_HEAD    8
#define FRAME_RAW_MAX (64U << 10) /* bytes of a payload; a frame that claims more is refused */

enum frame_kind {
	FRAME_HELLO = 'H',
	FRAME_SNAPSHOT = 'S',
	FRAME_CHANGES = 'C',
	FRAME_BEAT = 'B',
	FRAME_WAIT = 'W',
	FRAME_END = 'E',
};

/* Appends the frame of a payload: 0, -EMSGSIZE (the payload is too long, or `out` is full) or
 * -ENOMEM. */
int frame_put(struct buf *out, enum frame_kind kind, struct str payload);

/* A stream in any cut back to frames. Holds one frame, packed and unpacked. */
struct frame_reader {
	struct buf in, raw;
};
void frame_reader_init(struct frame_reader *r);
void frame_reader_done(struct frame_reader *r);
/* Forgets the part of a frame that it has: another stream begins. */
void frame_reader_reset(struct frame_reader *r);

struct frame {
	enum frame_kind kind;
	struct str payload; /* borrowed until the next call */
};
/* Takes bytes off `*bytes` until a frame is whole: 1; 0: all were taken; -EBADMSG: these are no
 * frames, and the stream is of no use any more; -ENOMEM. */
int frame_take(struct frame_reader *r, struct str *bytes, struct frame *ret);
