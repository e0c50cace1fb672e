/*
 * Messages as JSON, one object a message:
 *
 *	{"name":"pod_delete","id":359,"timestamp":..,"fields":{"uid":"…"}}
 *
 * `fields` is exact and can be turned back into the message: numbers are
 * numbers, above 2^53 in magnitude decimal strings; strings are text when they
 * are UTF-8, else {"hex":"…"}. Byte arrays lose their trailing NULs when they
 * are text, and are {"hex":"…"} in full length when they are not; address
 * arrays (u8[16]) are always hex. A message that carries addresses has a second
 * object for people, "addresses", with the same field names and the addresses
 * as text ("10.1.2.3", "::1", a list for packed strings).
 */
#pragma once

#include "proto/wire.h"

#include "base/buf.h"

/* The four members above, without braces, so that a caller can put its own before or behind.
 * 0, -EMSGSIZE (out is full; what was written stays) or -ENOMEM. */
int wire_print_members(const struct wire_msg *m, struct buf *out);
/* The whole object, no newline. All or nothing: 0, -EMSGSIZE or -ENOMEM. */
int wire_print_json(const struct wire_msg *m, struct buf *out);
/* A quoted JSON string when `s` is UTF-8, else {"hex":"…"}. */
int wire_print_text(struct str s, struct buf *out);
/* "10.1.2.3" of a pod's `ip`, which is the number form; "" for 0. `ret` has 16 bytes. */
void wire_ip4n_text(uint32_t ip, char ret[16]);
