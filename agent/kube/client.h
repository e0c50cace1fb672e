/*
 * The shell of the kube room: puts the reflectors and the owner reader on
 * sockets, timers and credentials. Everything is decided in the pure parts
 * (reflector.h, owners.h, budget.h); here requests are carried out, and changes
 * of health are logged in plain words.
 *
 * One thread, on the given loop. Callbacks come on the loop, never inside a call
 * of the user's.
 */
#pragma once

#include "base/buf.h"
#include "base/clock.h"
#include "decode/decode.h"
#include "kube/cred.h"
#include "kube/owners.h"
#include "kube/reflector.h"
#include "kube/watchset.h"

#include <stdbool.h>
#include <stddef.h>

struct event_base;
struct client;
struct client_get;

/* `watch` is the index of client_watch. Views are borrowed until the callback returns. Callbacks
 * may call client_pause, client_owner_want and client_owner_forget, the latter not from an
 * owner callback; no other function of this header. */
struct client_ops {
	void (*list_begin)(void *ctx, unsigned watch);
	int (*object)(void *ctx, unsigned watch, enum event_type type, const struct object *o);
	void (*list_end)(void *ctx, unsigned watch);
	void (*state)(void *ctx, unsigned watch,
		      const struct reflector_status *s); /* may be NULL */
	/* Answers to client_owner_want; see owners_ops. May be NULL when it is never called. */
	void (*owner)(void *ctx, struct str uid, const struct object *o);
	void (*owner_gone)(void *ctx, struct str uid);
	void (*owner_refused)(void *ctx, struct str uid, const char *text);
};

struct client_opts {
	struct event_base *base;    /* must outlive the client */
	struct kube_cred_opts cred; /* base, ready and ctx are set here */
	struct watchset_opts scope;
	const char *version, *role; /* for the User-Agent; with scope.node_name */
	double qps;		    /* 0 means 10 */
	uint32_t burst;		    /* 0 means 20 */
	nsec_t connect_timeout;	    /* 0 means 10 s */
	nsec_t owner_refresh;	    /* 0 means 10 minutes */
	/* What all reflectors share: page size, times, limits, labels, formats, start_jitter. The
	 * rest of it is set here. labels must outlive the client. */
	struct reflector_opts watch;
	uint64_t seed; /* 0: from the kernel */
	const struct client_ops *ops;
	void *ctx;
};

/* Reads the credentials; connects to nothing. 0, or a negative errno with one line for people in
 * ret_error. */
int client_new(const struct client_opts *o, struct client **ret, struct buf *ret_error);
/* Stops first. */
void client_free(struct client **c);
void client_start(struct client *c);
/* Drops all transfers and timers at once; nothing is called back any more. */
void client_stop(struct client *c);

/* Paused, no byte is read from a watch and nothing is listed; owners and gets go on. */
void client_pause(struct client *c, bool paused);
/* Every watch lists anew, as soon as the budget allows. */
void client_relist(struct client *c);

/* As owners_want and owners_forget. */
int client_owner_want(struct client *c, const struct owner_ref *ref, struct str ns);
void client_owner_forget(struct client *c, struct str uid);

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

size_t client_watches(const struct client *c);
const struct watch_spec *client_watch(const struct client *c, unsigned watch);
struct reflector_status client_status(const struct client *c, unsigned watch);
const struct reflector_counters *client_counters(const struct client *c, unsigned watch);
const struct owners_counters *client_owner_counters(const struct client *c);
const struct budget *client_budget(const struct client *c);
const char *client_source(const struct client *c); /* as kube_cred_source */
size_t client_bytes(const struct client *c);
