/*
 * What the files of this room share about one transfer. Private to agent/http.
 */
#pragma once

#include "base/buf.h"
#include "http/cert.h"
#include "http/head.h"
#include "http/http.h"

#include <curl/curl.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <sys/queue.h>

#define HTTP_TEXT_MAX 1024 /* bytes of a result's text, cut */
#define HTTP_ADDR_MAX 64   /* "[v6 address]:port" */

enum http_stage {
	HTTP_STAGE_NEW,	    /* not yet given to libcurl */
	HTTP_STAGE_CONNECT, /* lookup, connection, TLS */
	HTTP_STAGE_WAIT,    /* request under way, no head yet */
	HTTP_STAGE_BODY,
	HTTP_STAGE_ENDING, /* libcurl has let go of it; ops->end is running */
};

struct http_xfer {
	struct http *h;
	LIST_ENTRY(http_xfer) all;
	TAILQ_ENTRY(http_xfer) todo; /* waits for the next turn of the loop */
	bool in_todo;

	CURL *easy;
	struct curl_slist *headers, *connect_to;
	const struct http_ops *ops;
	void *ctx;

	enum http_stage stage;
	bool cancelled;
	bool paused;	/* what the user wants */
	bool paused_in; /* what libcurl was told */
	int abort_code; /* negative errno of the callback that gave up */

	struct event timer;
	nsec_t connect, first_byte, idle, total; /* limits; 0: none */
	nsec_t started, sent, seen;		 /* seen: last byte, or end of a pause */

	struct http_head head;
	uint64_t bytes;

	/* For people. */
	char *where;		     /* host:port of the URL */
	char address[HTTP_ADDR_MAX]; /* the last one tried; "" before */
	int fd;			     /* of that address; only good while it connects */
	struct http_certs *certs;    /* of the connection, when this transfer made it */
	char curl_text[CURL_ERROR_SIZE];
	char text[HTTP_TEXT_MAX];
};

/* Sets all of libcurl's options. 0, -EINVAL or -ENOMEM. x->easy is new and stays x's. */
int http_setup(struct http_xfer *x, const struct http_request *req, const char *user_agent);
/* Counts a socket that was opened. */
void http_count_connect(struct http *h);
/* libcurl's verdict as ours, with x->text written. */
enum http_result http_outcome(struct http_xfer *x, CURLcode code);
/* The same for a limit of ours that has passed. */
enum http_result http_outcome_late(struct http_xfer *x, nsec_t now);
