/*
 * A flow's JSON line as a row for people. Pure text; no I/O.
 */
#pragma once

#include "base/buf.h"

#include <jansson.h>

/* Columns: TIME FROM TO PROTO STATE SENT RECEIVED RTT RETRANS. The client stands left; sent and
 * received are its. `width` is the terminal's, 0: not one, then nothing is cut. */
int flow_table_head(unsigned width, struct buf *out);
/* 0, -EBADMSG (no flow: a line about lost ones, for example), -EMSGSIZE, -ENOMEM. */
int flow_table_row(const json_t *flow, unsigned width, struct buf *out);

/* Text that came from elsewhere, with nothing in it that moves a cursor: control characters and
 * bytes that are no UTF-8 become '?'. At most `most` characters (0: all), cut with an ellipsis,
 * padded to `pad`. */
int text_put(struct buf *out, struct str s, size_t most, size_t pad);
