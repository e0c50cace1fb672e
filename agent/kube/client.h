/*
 * The shell of the kube room: carries the requests of reflectors and of the owner
 * reader over HTTP, with timers and credentials. Everything is decided in the pure
 * parts (reflector.h, owners.h, budget.h), which belong to somebody else; here they
 * are driven, and changes of a watch's health are logged in plain words.
 *
 * One thread, on the given loop. What the driven parts call back comes on the
 * loop, never inside a call of the user's.
 */
#pragma once

#include "base/buf.h"
#include "base/clock.h"
#include "decode/decode.h"
#include "kube/cred/cred.h"
#include "kube/owners.h"
#include "kube/reflector.h"

#include <stdbool.h>
#include <stddef.h>

struct event_base;
struct client;

struct client_opts {
	struct event_base *base;    /* must outlive the client */
	struct kube_cred_opts cred; /* base, ready and ctx are set here */
	const char *user_agent;	    /* copied */
	nsec_t connect_timeout;	    /* 0 means 10 s */
	struct budget *budget;	    /* of the single requests; must outlive the client */
	bool no_protobuf;	    /* of the single GETs */
	unsigned max_watches;	    /* most that client_add may have brought at a time */
};

/* Reads the credentials; connects to nothing. 0, or a negative errno with one line for people in
 * ret_error. */
int client_new(const struct client_opts *o, struct client **ret, struct buf *ret_error);
/* Stops first. What was added is not freed. */
void client_free(struct client **c);

/* Drives the reflector from client_start on; it must outlive the client or client_remove. `name`
 * (copied) is what the log calls it; empty: nothing is logged of it. 0, -ENOMEM, or -EMSGSIZE over
 * max_watches. */
int client_add(struct client *c, struct reflector *r, struct str name);
/* Its transfer is dropped and it is driven no more. Not from one of its own callbacks. */
void client_remove(struct client *c, const struct reflector *r);
/* The same for the owner reader; one a client. 0 or -ENOMEM. */
int client_set_owners(struct client *c, struct owners *o);

/* Longest connection attempt and longest run of a credential plugin, from the next ones on; 0: the
 * defaults. */
void client_tune(struct client *c, nsec_t connect_timeout, nsec_t exec_timeout);
void client_start(struct client *c);
/* Drops all transfers and timers at once, but for client_send's; nothing else is called back any
 * more. */
void client_stop(struct client *c);
/* Watches were asked for something outside of their transfers (reflector_relist, reflector_pause):
 * all are polled on the next turn of the loop. Costs a timer for each. */
void client_wake(struct client *c);
/* So was the owner reader (owners_want). Costs nothing when it is called again in the same turn. */
void client_wake_owners(struct client *c);
/* A driven part was answered 401: credentials are read anew. */
void client_refused(struct client *c);

/*
 * One GET of one object, without a second try. `done` is called once: with the
 * object and r == 0, or with NULL, r < 0 (-ENOENT: 404; -EACCES: 401, 403; -EIO:
 * no answer, or one that is not understood) and a text for people. 0 or -ENOMEM;
 * -EBUSY when CLIENT_MAX_GETS are under way.
 */
#define CLIENT_MAX_GETS 32 /* more than all that ask at a time: a Lease always has its place */
typedef void (*client_get_done)(void *ctx, int r, const struct object *o, const char *text);
int client_get(struct client *c, const char *target, enum decode_shape shape, client_get_done done,
	       void *ctx);
/*
 * The same for an answer as it comes, of whatever kind: `done` is called once, with
 * the status (0: there was no answer, or it was over `max` bytes) and, for 200, the
 * body (borrowed); else with a text for people. `accept` must be static.
 */
typedef void (*client_raw_done)(void *ctx, int status, struct str body, const char *text);
int client_get_raw(struct client *c, const char *target, const char *accept, size_t max,
		   client_raw_done done, void *ctx);

/*
 * One request of any method with a JSON body, which waits neither for the budget nor for
 * its common pause, though it counts: a Lease cannot wait. client_stop leaves it alone.
 */
struct client_answer {
	int status;	  /* 0: there was none, or it was over `max` bytes */
	struct str body;  /* for 200 and 201; borrowed until the callback returns */
	const char *text; /* for people, else */
	nsec_t retry_after;
};
struct client_call {
	const char *method, *target;
	struct str body; /* copied; empty: none */
	size_t max;	 /* bytes of the answer's body */
	nsec_t timeout;	 /* of the whole */
	/* Once, unless client_drop came first. May send the next one. */
	void (*done)(void *ctx, const struct client_answer *a);
	void *ctx;
};
/* 0, -ENOMEM or -EBUSY (CLIENT_MAX_GETS, with single GETs). */
int client_send(struct client *c, const struct client_call *call);
/* Calls with this ctx are dropped. */
void client_drop(struct client *c, const void *ctx);

/* Bytes held for what is under way. */
size_t client_bytes(const struct client *c);
const char *client_source(const struct client *c); /* as kube_cred_source */
