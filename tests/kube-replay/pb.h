/*
 * Protocol buffer wire format, just enough to take recorded messages apart and
 * put them together again (protobuf encoding guide: varint 0, I64 1, LEN 2, I32 5).
 */
#pragma once

#include "base/buf.h"

#include <stdint.h>

enum pb_wire { PB_VARINT = 0, PB_I64 = 1, PB_LEN = 2, PB_I32 = 5 };

struct pb_field {
	uint32_t no;
	uint32_t wire;
	uint64_t num;	 /* value of a varint */
	struct str data; /* value of a LEN field */
	struct str raw;	 /* tag and value as they stand */
};

/* Takes the next field off the front of *msg. 1, 0 at the end, -EBADMSG. */
int pb_next(struct str *msg, struct pb_field *ret_field);
/* First LEN field `no`; empty when there is none. */
struct str pb_get(struct str msg, uint32_t no);

void pb_put_varint(struct buf *b, uint64_t v);
void pb_put_num(struct buf *b, uint32_t no, uint64_t v);
void pb_put_len(struct buf *b, uint32_t no, struct str data);
/* Tag and length only: the caller writes the n bytes. */
void pb_put_head(struct buf *b, uint32_t no, size_t n);
