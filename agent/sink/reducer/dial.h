/*
 * From a host name to a connected stream: resolves without blocking, tries every
 * address once in shuffled order, IPv4 and IPv6 alike, each with the same limit
 * for connecting and, when asked for, the TLS handshake.
 *
 * Literals need no resolver; the hosts file works without DNS. The resolver's
 * configuration is read anew for every try. One thread, on the loop.
 */
#pragma once

#include "base/clock.h"
#include "base/rng.h"

#include <stdbool.h>
#include <stdint.h>

#define DIAL_MAX_ADDRS 16 /* of one name; more are not tried */
#define DIAL_MAX_TEXT  256

struct event_base;
struct bufferevent;
struct dial;

struct dial_opts {
	struct event_base *base;
	const char *host; /* a name or a literal; copied */
	uint16_t port;
	nsec_t timeout;		 /* for resolving, and for each address */
	bool tls;		 /* the certificate must verify and name the host */
	const char *ca_file;	 /* PEM; NULL: the system's */
	const char *resolv_conf; /* NULL: /etc/resolv.conf; copied */
	uint64_t seed;
	/*
	 * The end of dial_start, always from the loop: a connected stream that now belongs to the
	 * caller, with callbacks unset, and the peer's address as text; or NULL and the reason.
	 */
	void (*done)(void *ctx, struct bufferevent *bev, const char *text);
	void *ctx;
};

/* 0, -ENOMEM, or -EINVAL: the CA file cannot be used (`ret_reason` says why; DIAL_MAX_TEXT). */
int dial_new(const struct dial_opts *o, struct dial **ret, char *ret_reason);
/* The timeout of what begins from now on. */
void dial_tune(struct dial *d, nsec_t timeout);
/* Not while dial_busy, unless the loop does not run any more. */
void dial_free(struct dial **d);
/* Not while another start is under way. */
void dial_start(struct dial *d);
/* `done` is not called any more. */
void dial_cancel(struct dial *d);
/* A lookup is still being cleared away by the loop. */
bool dial_busy(const struct dial *d);
