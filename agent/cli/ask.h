/*
 * A question to the running agent over its unix socket, from a command's side:
 * blocking, one request, the answer's body in pieces.
 */
#pragma once

#include "base/buf.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define ASK_PATIENCE_S 30 /* without a byte, unless the answer has no end */

struct ask {
	int fd;
	int status;	     /* of HTTP */
	bool chunked, whole; /* whole: the body has come to its end */
	bool in_chunk;
	uint64_t left; /* bytes of this chunk, or of the body; UINT64_MAX: up to the end */
	struct buf in; /* read and not yet taken apart */
};

/* Asks for `target` ("/api/v1/flows?…") and reads the answer's head. 0; or -errno with a sentence
 * in ret_error. `endless`: the body may pause as long as it likes. */
int ask_open(const char *socket, const char *target, bool endless, struct ask *ret,
	     struct buf *ret_error);
void ask_close(struct ask *a);
#define _ask_ _cleanup_(ask_close)

/* Appends a piece of the body. 1: there may be more; 0: that was all; -ECONNRESET: cut short;
 * -EBADMSG, -ETIMEDOUT, -EMSGSIZE (body is full), -ENOMEM. */
int ask_read(struct ask *a, struct buf *body);
/* The whole body: 0 or as above. */
int ask_all(struct ask *a, struct buf *body);

/* NAME=VALUE behind a target, with '?' or '&' and percent-encoded. 0, -EMSGSIZE or -ENOMEM. */
int ask_param(struct buf *target, const char *name, const char *value);
/* The "error" of an answer that is no 200, or all of it when it has none; a command prints it. */
void ask_complain(const char *command, struct ask *a);
