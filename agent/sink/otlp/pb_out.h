/*
 * Protobuf written straight into a buffer: numbers, texts and messages within messages,
 * byte by byte what the official libraries write when fields come in their order. The
 * length of a message is put in when it ends, with as few bytes as it takes. Pure.
 */
#pragma once

#include "base/buf.h"
#include "base/str.h"

#include <stdint.h>

struct pb_out {
	struct buf *out; /* borrowed */
	int r;		 /* the first failure: -EMSGSIZE or -ENOMEM; then nothing is written */
};

/* Written also when they are 0: leaving that out is the caller's. */
void pb_varint(struct pb_out *p, unsigned field, uint64_t v);
void pb_fixed64(struct pb_out *p, unsigned field, uint64_t v);
void pb_double(struct pb_out *p, unsigned field, double v);
/* A string, valid UTF-8 whatever `s` holds: a bad byte becomes U+FFFD. */
void pb_text(struct pb_out *p, unsigned field, struct str s);
/* Bytes, or a message that is encoded already. */
void pb_bytes(struct pb_out *p, unsigned field, struct str s);
/* Bytes that are whole fields already. */
void pb_raw(struct pb_out *p, struct str s);

/* A message begins; what is written until pb_close is its content. `field` 0: without a tag, the
 * length alone. Returns what pb_close wants. */
size_t pb_open(struct pb_out *p, unsigned field);
void pb_close(struct pb_out *p, size_t at);
