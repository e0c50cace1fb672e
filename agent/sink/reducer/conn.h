/*
 * The connection to the reducer: dials, hands the session's bytes to the socket
 * as fast as they are taken, and begins again when it breaks. The shell around
 * session.h; one thread, on the loop.
 *
 * The session runs when the loop has nothing better to do: its event has the
 * lowest priority the base knows (event_base_priority_init), with a guard so
 * that a busy loop does not hold it back for longer than CONN_LATE.
 *
 * SIGPIPE is ignored by the process from conn_new on: libevent's writes raise it.
 */
#pragma once

#include "base/clock.h"
#include "base/hist.h"
#include "sink/reducer/session.h"

#include <stdbool.h>
#include <stdint.h>

#define CONN_CONNECT_TIMEOUT (10 * NSEC_PER_SEC)
#define CONN_STALL_WARN	     (30 * NSEC_PER_SEC) /* the reducer takes nothing: said once */
#define CONN_STALL_MAX	     (60 * NSEC_PER_SEC) /* then the connection counts as dead */
#define CONN_REMIND	     (60 * NSEC_PER_SEC) /* between warnings of one that stays down */
#define CONN_USAGE_EVERY     (30 * NSEC_PER_SEC)
#define CONN_LATE	     (50 * NSEC_PER_MSEC)
#define CONN_OUT_MAX	     65536 /* bytes between the session and the socket */
#define CONN_STOP_GRACE	     (500 * NSEC_PER_MSEC)

struct event_base;
struct conn;

enum conn_state {
	CONN_IDLE,    /* not started, or stopped */
	CONN_DIALING, /* resolving, connecting, TLS */
	CONN_PAUSED,  /* until the next try */
	CONN_UP,
	CONN_STOPPING, /* flushing */
	_CONN_STATE_MAX,
};

struct conn_opts {
	struct event_base *base;
	struct session *session; /* borrowed, outlives the connection */
	const char *host;	 /* name or literal; copied */
	uint16_t port;
	bool tls;	     /* for a TLS terminator in front of the reducer */
	const char *ca_file; /* PEM; NULL: the system's certificates */
	/* 0 means the default. */
	nsec_t connect_timeout;		 /* for resolving, and for each address */
	nsec_t backoff_min, backoff_max; /* 0.5 s, 30 s; full jitter */
	nsec_t stall_warn, stall_max;
	nsec_t remind; /* CONN_REMIND */
	uint64_t seed;
};

/* 0, -ENOMEM, or -EINVAL: the CA file cannot be used (logged). Does nothing before conn_start. */
int conn_new(const struct conn_opts *o, struct conn **ret);
/* After conn_stop's `stopped`, or when the loop does not run any more. */
void conn_free(struct conn **c);
void conn_start(struct conn *c);
/* At once: what was not taken is lost, also what the kernel still holds (the peer sees a reset),
 * and nothing is dialled until the next conn_start. */
void conn_drop(struct conn *c);
/* Times of the next tries, 0: the defaults. A connection that is there stays. */
void conn_tune(struct conn *c, nsec_t connect_timeout, nsec_t backoff_min, nsec_t backoff_max);
/* Something may be there to tell: after every change of the inventory or the session. Cheap. */
void conn_wake(struct conn *c);
/* Sends what the reducer still takes, ends with FIN, never later than `grace` (0:
 * CONN_STOP_GRACE). `stopped` comes from the loop, once; it may free the connection. */
void conn_stop(struct conn *c, nsec_t grace, void (*stopped)(void *ctx), void *ctx);

struct conn_status {
	enum conn_state state;
	nsec_t since;	   /* monotonic */
	nsec_t down_at;	   /* the first failure since there was a connection; 0: none */
	const char *peer;  /* address while up, else ""; borrowed until the next turn of the loop */
	const char *error; /* why there is no connection, or "" */
	uint64_t connects, failures, losses, stalls;
	nsec_t behind;		  /* since when something waits to be sent, or there is no
				   * connection; 0: nothing waits */
	const struct hist *sends; /* how long what was to be sent waited, until the socket had taken
				   * all of it; borrowed */
};
void conn_status(const struct conn *c, struct conn_status *ret);
