/*
 * Address translation as the kernel's conntrack tells of it: who connected to which
 * address, which backend it got, and what that sees of it. Needs CAP_NET_ADMIN when it
 * is opened, and to be in the network namespace where the translation is made (the
 * host's).
 *
 *     original  from -> asked         DNAT: asked differs from backend
 *     reply     backend -> seen_as    SNAT: seen_as differs from `from`
 *
 * Events carry no time of their own that all kernels tell. What is read was queued after
 * the queue was last found empty, and until now: the kernel queues an event as it happens
 * (ctnetlink_conntrack_event).
 */
#pragma once

#include "flow/flows.h"

#include <stdbool.h>
#include <stdint.h>

struct conntrack;
struct nlmsghdr;

typedef void (*conntrack_fn)(void *ctx, const struct flows_translation *t);

/* Joins the events and asks for what is there already. 0; -EPERM, -EPROTONOSUPPORT (no conntrack in
 * this kernel), or another -errno. */
int conntrack_new(conntrack_fn fn, void *ctx, struct conntrack **ret);
void conntrack_free(struct conntrack **c);
/* Readable: there is something for conntrack_read. The second answers the question for what is
 * there already; -1 once that is done. */
int conntrack_fd(const struct conntrack *c);
int conntrack_dump_fd(const struct conntrack *c);
/* Reads at most `max` datagrams of either: 1 there may be more, 0 none for now, -errno broken (the
 * dump is given up, or events end for good). A lost event is no error. */
int conntrack_read(struct conntrack *c, unsigned int max);
int conntrack_read_dump(struct conntrack *c, unsigned int max);

struct conntrack_figures {
	uint64_t events;	   /* messages read, translated or not */
	uint64_t told;		   /* of them given to fn */
	uint64_t lost;		   /* times that the kernel had no room for events (ENOBUFS) */
	nsec_t read_to;		   /* what happened until then was given to fn, or is lost */
	nsec_t lost_from, lost_to; /* the last loss was within; 0: none */
};
struct conntrack_figures conntrack_figures(const struct conntrack *c);

/* One message of the kernel; without its times. False: not a TCP or UDP connection of which an
 * address was translated. */
bool conntrack_parse(const struct nlmsghdr *h, struct flows_translation *ret);
