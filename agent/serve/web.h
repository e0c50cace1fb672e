/*
 * A small HTTP/1.1 server for questions to the agent: GET, HEAD and POST without a
 * body that counts, one request a connection, plain or over TLS. It stands in for
 * libevent's, whose 2.1 can neither bound its clients nor tell a slow reader's backlog.
 *
 *   clients          WEB_MAX_CLIENTS a listener, or what it was given (web_listener). One more
 *                    has the place of the one that has kept the server waiting longest: for the
 *                    handshake, for the rest of its head, for taking what was said. Where nobody
 *                    has for WEB_PATIENCE, it is told 503 and closed (over TLS: closed)
 *   TLS handshake    within WEB_TLS_TIME, else closed
 *   request head     WEB_HEAD_MAX bytes (431), within WEB_HEAD_TIME (408)
 *   body             none: what follows the head is read and ignored, until the answer was
 *                    sent and then WEB_LINGER_TIME and WEB_LINGER_MAX bytes more at most
 *   answer           a client that takes nothing for WEB_WRITE_TIME is cut, and so is one that
 *                    has not all of it after WEB_ANSWER_TIME, unless it has no end (a follower's);
 *                    one that was put off (web_defer) is told 504 after WEB_DEFER_TIME
 *
 * What the server itself refuses is answered as JSON: {"error": WORDS}.
 */
#pragma once

#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"
#include "serve/request.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEB_MAX_CLIENTS	  16
#define WEB_MAX_LISTENERS 4
#define WEB_PATIENCE	  (1 * NSEC_PER_SEC)
#define WEB_HEAD_MAX	  8192
#define WEB_TLS_TIME	  (5 * NSEC_PER_SEC)
#define WEB_HEAD_TIME	  (5 * NSEC_PER_SEC)
#define WEB_WRITE_TIME	  (10 * NSEC_PER_SEC)
#define WEB_ANSWER_TIME	  (300 * NSEC_PER_SEC)
#define WEB_DEFER_TIME	  (60 * NSEC_PER_SEC)
#define WEB_MORE_MAX	  1024
#define WEB_LINGER_TIME	  (1 * NSEC_PER_SEC)
#define WEB_LINGER_MAX	  (64UL << 10)
#define WEB_LOW_WATER	  (64UL << 10) /* a stream is asked for more below this many bytes */

struct event_base;
struct web;
struct web_client;
struct web_tls;

struct web_stream_ops {
	/* There is room for more; put some. 1: call again when it was sent, 0: not until
	 * web_stream_wake, negative: that was all. */
	int (*more)(void *ctx);
	/* The client is gone, or all was sent. Called once, in the end. */
	void (*gone)(void *ctx);
};

struct web_opts {
	struct event_base *base;
	/* Must answer by web_reply or web_stream, or put off by web_defer, before it returns. */
	void (*request)(void *ctx, struct web_client *c, const struct web_request *r);
	void *ctx;
	nsec_t answer_time; /* 0: WEB_ANSWER_TIME */
};
/* 0 or -ENOMEM. The process ignores SIGPIPE from here on. */
int web_new(const struct web_opts *o, struct web **ret);
void web_free(struct web **h);

struct web_listener {
	int fd; /* bound, listening, non-blocking; taken over, closed on failure */
	enum web_place place;
	struct web_tls *tls;  /* NULL: plain; outlives the server */
	uint32_t max_clients; /* 0: WEB_MAX_CLIENTS */
};
/* 0 or -ENOMEM; at most WEB_MAX_LISTENERS. */
int web_listen(struct web *h, const struct web_listener *l);

/* The whole answer. The client is not to be used any more. */
void web_reply(struct web_client *c, int status, const char *type, struct str body);
/* The same with further lines of the head, each with its CRLF; WEB_MORE_MAX bytes at most. */
void web_reply_more(struct web_client *c, int status, const char *type, const char *more,
		    struct str body);
/* The answer comes later, by web_reply. `gone` is called instead, once, when the client is gone or
 * its time is over: then it is not to be used any more. */
void web_defer(struct web_client *c, void (*gone)(void *ctx), void *ctx);
/* Begins an answer of unknown length (chunked); `ops` live as long as the stream. Without memory
 * the client is cut, and `gone` is called at once. */
void web_stream(struct web_client *c, const char *type, const struct web_stream_ops *ops,
		void *ctx);
/* 0, or -ENOMEM: the client is cut soon. */
int web_stream_put(struct web_client *c, struct str bytes);
/* Bytes that the client has yet to take. */
size_t web_stream_waiting(const struct web_client *c);
/* From here on the stream has no end of its own: it may take longer than WEB_ANSWER_TIME. */
void web_stream_endless(struct web_client *c);
/* Calls `more` in a later turn of the loop. */
void web_stream_wake(struct web_client *c);

struct web_stats {
	uint64_t requests, refused; /* the second: over the most clients */
	uint64_t displaced;	    /* slow ones whose place another got */
	uint64_t bad, timeouts, cut;
	uint64_t tls_failed; /* handshakes */
	uint32_t clients;
};
void web_stats(const struct web *h, struct web_stats *ret);
/* Bytes held for clients, about. */
size_t web_bytes(const struct web *h);
