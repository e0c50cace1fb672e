/*
 * The addresses of a host name, without blocking: literals need no resolver, the hosts
 * file works without DNS, and the resolver's configuration is read anew for every
 * lookup. One thread, on the loop.
 */
#pragma once

#include "base/clock.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define LOOKUP_MAX_ADDRS 32 /* of one name; more are left out */

struct event_base;
struct lookup;

struct lookup_addr {
	struct sockaddr_storage sa; /* with the port */
	socklen_t len;
};

struct lookup_opts {
	struct event_base *base;
	const char *host; /* a name or a literal; copied */
	uint16_t port;
	nsec_t timeout;
	const char *resolv_conf; /* NULL: /etc/resolv.conf; copied */
	/* The end of lookup_start, always from the loop; `n` 0: none, and `text` says why. The
	 * addresses are borrowed. */
	void (*done)(void *ctx, const struct lookup_addr *v, unsigned int n, const char *text);
	void *ctx;
};

/* 0 or -ENOMEM. */
int lookup_new(const struct lookup_opts *o, struct lookup **ret);
/* Not while lookup_busy, unless the loop does not run any more. */
void lookup_free(struct lookup **l);
/* From the next one on. */
void lookup_tune(struct lookup *l, nsec_t timeout);
/* Not while another is under way. */
void lookup_start(struct lookup *l);
/* `done` is not called any more. */
void lookup_cancel(struct lookup *l);
/* One is still being cleared away by the loop. */
bool lookup_busy(const struct lookup *l);

#define LOOKUP_TEXT_MAX 64 /* "[v6 address]:port" */
/* The address as text, with its port or (host_only) as a URL's host has it: v6 in brackets. */
const char *lookup_print(const struct lookup_addr *a, bool host_only, char out[LOOKUP_TEXT_MAX]);
