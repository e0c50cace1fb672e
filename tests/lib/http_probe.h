/* One HTTP transfer and what came of it, for tests that look from outside. */
#pragma once

#include "base/buf.h"
#include "http/http.h"

#include <event2/event.h>

struct probe {
	struct event_base *base;
	struct http *http;
	struct http_xfer *x; /* NULL when over */
	int status;
	struct buf body;
	bool ended;
	enum http_result how;
	char text[1024];
	/* Called in addition; may be NULL. */
	int (*on_response)(struct probe *p, struct http_xfer *x);
	int (*on_data)(struct probe *p, struct http_xfer *x, size_t n);
	void (*on_end)(struct probe *p);
	char type[64];	    /* content-type */
	char location[128]; /* the header */
	nsec_t retry_after;
};

void probe_init(struct probe *p, struct event_base *base, struct http *http);
void probe_done(struct probe *p);
/* Forgets the last transfer. */
void probe_reset(struct probe *p);
/* Fills in req->ops and ctx. Returns what http_start says. */
int probe_begin(struct probe *p, struct http_request req);
/* Turns the loop until the transfer is over; aborts the test after 60 s. */
void probe_wait(struct probe *p);
/* Starts a GET of http(s)://127.0.0.1:port/ and waits. */
void probe_get(struct probe *p, const char *scheme, int port, struct http_request req);
/* Turns the loop for so long. */
void probe_turn(struct event_base *base, int ms);
