/*
 * The connection below a question: a unix socket, or TCP, with TLS for https.
 */
#pragma once

#include "base/buf.h"
#include "cli/ask.h"

struct ask_server { /* a URL taken apart; views into it */
	bool tls;
	char host[256], port[8];
	struct str prefix; /* of every path; no slash at its end */
};

/* 0, or -EINVAL with a sentence. */
int ask_server_parse(const char *url, struct ask_server *ret, struct buf *ret_error);

/* Connects a->fd and a->tls. 0, or -errno with a sentence. */
int ask_dial(const struct ask_where *w, struct ask *a, struct buf *ret_error);
/* All of `s`: 0 or -errno. */
int ask_send(struct ask *a, struct str s);
/* Bytes read, 0 at the end, -ETIMEDOUT after ASK_PATIENCE_S, another -errno. Shows that it waits.
 */
int ask_receive(struct ask *a, char *room, size_t n);
/* The answer has no end: it may pause as long as it likes. */
void ask_endless(struct ask *a);
void ask_hang_up(struct ask *a);
/* "no agent answers at PATH: reason; what to do", appended. Returns r. */
int ask_refuse(struct buf *error, int r, const struct ask_where *w, const char *what);
