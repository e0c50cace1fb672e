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
	struct budget *budget;	    /* of the single GETs; must outlive the client */
	bool no_protobuf;	    /* of the single GETs */
	unsigned max_watches;	    /* how many client_add will bring */
};

/* Reads the credentials; connects to nothing. 0, or a negative errno with one line for people in
 * ret_error. */
int client_new(const struct client_opts *o, struct client **ret, struct buf *ret_error);
/* Stops first. What was added is not freed. */
void client_free(struct client **c);

/* Drives the reflector from client_start on; it must outlive the client. `name` (copied) is what
 * the log calls it. 0, -ENOMEM, or -EMSGSIZE over max_watches. */
int client_add(struct client *c, struct reflector *r, struct str name);
/* The same for the owner reader; one a client. 0 or -ENOMEM. */
int client_set_owners(struct client *c, struct owners *o);

void client_start(struct client *c);
/* Drops all transfers and timers at once; nothing is called back any more. */
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
#define CLIENT_MAX_GETS 16
typedef void (*client_get_done)(void *ctx, int r, const struct object *o, const char *text);
int client_get(struct client *c, const char *target, enum decode_shape shape, client_get_done done,
	       void *ctx);

const char *client_source(const struct client *c); /* as kube_cred_source */
