/*
 * HTTP requests on the event loop: libcurl's multi interface under libevent.
 * The only room that includes curl/curl.h; it knows nothing of Kubernetes.
 *
 * HTTP/1.1 only: pausing a transfer then really stops its socket, and every
 * transfer has a connection of its own while it runs. Connections are kept and
 * used again. Redirects are not followed, encodings other than identity are not
 * asked for, proxies come from the usual environment variables (https_proxy,
 * HTTPS_PROXY, http_proxy, NO_PROXY) unless a request names one.
 *
 * One thread. No function here calls back into its caller: start, pause and
 * cancel take effect on the next turn of the loop. The process ignores SIGPIPE
 * from http_new on (libcurl cannot keep OpenSSL's writes from raising it).
 */
#pragma once

#include "base/clock.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;
struct http;
struct http_xfer;

#define HTTP_CONNECT_TIMEOUT (10 * NSEC_PER_SEC)
#define HTTP_MAX_HEAD	     65536 /* bytes of a response head; a longer one ends the transfer */
#define HTTP_MAX_TRANSFERS   1024  /* under way at once; http_start refuses the next one */
#define HTTP_MAX_IDLE	     8	   /* idle connections kept; the oldest is closed */

struct http_opts {
	struct event_base *base; /* must outlive the struct http */
	const char *user_agent;	 /* copied; NULL: no such header */
	nsec_t connect_timeout;	 /* 0: HTTP_CONNECT_TIMEOUT; for requests that name none */
	size_t max_head;	 /* 0: HTTP_MAX_HEAD */
	unsigned max_transfers;	 /* 0: HTTP_MAX_TRANSFERS */
	unsigned max_idle;	 /* 0: HTTP_MAX_IDLE */
};

/* How a transfer ended. */
enum http_result {
	HTTP_DONE,	     /* the whole answer arrived, whatever its status says; when it has
			      * neither length nor chunks, the server has hung up */
	HTTP_CONNECT_FAILED, /* no connection: resolving, connecting, proxy */
	HTTP_TLS_FAILED,     /* the handshake or a certificate */
	HTTP_TIMEOUT,	     /* one of the request's limits passed */
	HTTP_CUT,	     /* the connection broke after the request was sent */
	HTTP_BAD_ANSWER,     /* what came is no HTTP, or its head is too long */
	HTTP_ABORTED,	     /* a callback returned an error, or memory is short */
	_HTTP_RESULT_MAX,
};
const char *http_result_name(enum http_result how);

/*
 * Callbacks, each on the loop and never inside a call of the user's. All may
 * start, pause and cancel transfers, also their own; after http_cancel none
 * comes for that transfer. Views are borrowed until the callback returns.
 */
struct http_ops {
	/* The head of the final answer (no 1xx). A negative errno aborts. May be NULL. */
	int (*response)(void *ctx, struct http_xfer *x, int status);
	/* A piece of the body, n > 0, in any cut. A negative errno aborts. May be NULL. */
	int (*data)(void *ctx, struct http_xfer *x, const void *p, size_t n);
	/* Exactly once, unless cancelled; the transfer is gone when it returns. `text` is for
	 * people, never NULL, "" for HTTP_DONE. */
	void (*end)(void *ctx, struct http_xfer *x, enum http_result how, const char *text);
};

/* PEM bytes; copied by http_start. */
struct http_tls {
	struct str ca;	 /* trusted authorities, and no others; empty: those of the system */
	struct str cert; /* client certificate and its chain; empty: none */
	struct str key;	 /* its key */
	const char *server_name; /* checked, and sent as SNI, instead of the URL's host; or NULL */
	bool insecure;		 /* accept any certificate */
};

struct http_field {
	struct str name, value; /* no CR, LF or NUL in either */
};

/* Everything is copied by http_start but `ops` and `ctx`. Times: 0 means no limit, except
 * for connect_timeout. */
struct http_request {
	const char *url;	  /* http:// or https:// */
	const char *method;	  /* NULL: GET */
	struct str body;	  /* sent when not empty */
	const char *content_type; /* of the body */
	const struct http_field *headers;
	size_t n_headers;
	const struct http_tls *tls; /* NULL: system authorities */
	const char *proxy;	    /* NULL: by environment; "": none; else its URL */
	const char *connect_to;	    /* an address (v6 in brackets): the connection goes there, all
				     * else is the URL's host's; NULL: to that. Not with
				     * http_tls.server_name */
	nsec_t connect_timeout;	    /* name lookup, connection, proxy and TLS; 0: http_opts' */
	nsec_t first_byte_timeout;  /* from the request sent to the head of the answer */
	nsec_t idle_timeout;	    /* silence after the head; does not run while paused */
	nsec_t total_timeout;	    /* from the start; runs also while paused */
	bool fresh_connection;	    /* do not use an idle connection */
	const struct http_ops *ops;
	void *ctx;
};

/* 0, -ENOMEM or -EINVAL (no base). */
int http_new(const struct http_opts *o, struct http **ret);
/* Transfers under way are dropped without a callback and their handles are dead. Not to be
 * called from a callback. */
void http_free(struct http **h);

/* 0, -EINVAL (URL, method or header with forbidden bytes), -EMSGSIZE (max_transfers) or -ENOMEM.
 * `ret` is borrowed: dead after ops->end returned or after http_cancel. */
int http_start(struct http *h, const struct http_request *req, struct http_xfer **ret);
/* NULL-safe, sets *x = NULL; no callback comes any more. The connection is closed. */
void http_cancel(struct http_xfer **x);
/* While paused no byte of the body is delivered and, at the latest after what one read had
 * brought, the socket is not read. A server that hangs up is noticed after the pause. */
void http_pause(struct http_xfer *x, bool paused);

/* The value of the answer's first header of that name (any case), blanks trimmed; empty when
 * there is none. Good from ops->response to ops->end. */
struct str http_header(const struct http_xfer *x, const char *name);
/* Retry-After (RFC 9110 section 10.2.3), seconds or a date; 0 when there is none. */
nsec_t http_retry_after(const struct http_xfer *x);
/* Status of the answer; 0 before its head. */
int http_status(const struct http_xfer *x);

struct http_counters {
	uint64_t requests;
	uint64_t connects; /* sockets opened; several for one connection when addresses fail */
	uint64_t bytes;	   /* of bodies */
	uint64_t cancelled;
	unsigned open; /* transfers under way now */
};
const struct http_counters *http_counters(const struct http *h);
/* Bytes held for transfers, about: libcurl and OpenSSL do not say what theirs are. */
size_t http_bytes(const struct http *h);
#define HTTP_XFER_BYTES (48UL << 10)
