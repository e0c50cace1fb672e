/*
 * The client from the inside:
 *
 *   client.c        making, starting, stopping; requests and credentials
 *   client_line.c   one reflector, its transfer and its timer
 *   client_log.c    what is said of a reflector's health, and how often
 *   client_ask.c    requests of the owner reader
 *   client_get.c    single GETs, and calls of other methods
 *
 * A line's timer stands at its machine's deadline or before. A deadline that moves
 * back, as every chunk of data makes it do, costs no timer: it fires early, asks,
 * and is set anew.
 */
#pragma once

#include "kube/client.h"

#include <event2/event.h>

struct line {
	struct client *client;
	struct reflector *reflector;
	struct http_xfer *xfer;
	struct event *timer;
	nsec_t armed;		      /* when it fires; NSEC_NEVER: it does not */
	char *name;		      /* empty: the log hears nothing of it */
	enum reflector_health health; /* as told last */
	uint64_t errors;	      /* the same */
	nsec_t logged_at;	      /* the last word about a failure; 0: never */
	bool failure_told;	      /* good news is due */
	bool synced_before;	      /* the first sync was told */
	bool paused;		      /* its socket stands still */
};

struct ask {
	struct client *client;
	unsigned id;
	struct http_xfer *xfer;
};

struct get {
	struct client *client; /* NULL: free */
	struct http_xfer *xfer;
	struct event *timer;
	struct decode *decode;
	char *target;
	enum decode_shape shape;
	bool got, head_seen;
	char message[256];
	client_get_done done;
	/* A raw one: `raw` instead of `done`. */
	const char *accept;
	struct buf body;
	client_raw_done raw;
	int status; /* of the answer that it failed with; 0: none */
	/* A call: `called` instead of both. */
	const char *method;
	struct buf sent;
	nsec_t timeout, retry_after;
	void (*called)(void *ctx, const struct client_answer *a);
	nsec_t started;
	void *ctx;
};

struct client {
	struct client_opts o;
	struct http *http;
	struct kube_cred *cred;
	struct line **lines;
	unsigned n_lines;
	struct owners *owners;
	struct event *owners_timer;
	struct ask asks[OWNERS_MAX_PARALLEL];
	struct get gets[CLIENT_MAX_GETS];
	struct buf url;
	bool running;
	nsec_t log_window; /* when the running minute of failures began */
	unsigned log_count, log_suppressed;
};

/* A request as it goes out. */
struct client_http {
	const char *method, *target, *accept; /* method NULL: GET */
	struct str body;		      /* JSON; empty: none */
	nsec_t timeout;			      /* of the whole; 0: none */
	const struct http_ops *ops;
	void *ctx;
};

/* client.c */
void client_arm(struct event *timer, nsec_t now, nsec_t deadline);
bool client_waits(struct client *c, nsec_t now); /* for credentials */
/* 0; -EAGAIN while credentials are being fetched; -EACCES when there are none. */
int client_request(struct client *c, const struct client_http *q, struct http_xfer **ret);
const char *client_request_error(const struct client *c, int r);
enum reflector_end client_end_of(enum http_result how);

/* client_line.c */
int line_init(struct client *c, struct line *l, struct reflector *r, struct str name);
void line_done(struct line *l);
void line_poll(struct line *l);
/* Polls it on the next turn of the loop. */
void line_wake(struct line *l);
void line_stop(struct line *l);

/* client_log.c */
void line_log(struct line *l);

/* client_ask.c */
void asks_poll(struct client *c);
void asks_stop(struct client *c);

/* client_get.c */
/* Closes all without a word; calls only when they are named, too. */
void gets_stop(struct client *c, bool calls);
