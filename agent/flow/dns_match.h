/*
 * DNS queries that wait for their answers. A transaction is one question of one
 * socket: it is complete when its answer comes, or when its time is over.
 *
 * Both ends of a transaction may live on this node: each is a transaction of its
 * own, the client's (latency as the program felt it) and the server's (the time it
 * took to answer). Bounded; pure; one thread.
 */
#pragma once

#include "base/clock.h"
#include "flow/dns.h"
#include "flow_abi.h"

#include <stddef.h>

struct dns_match;

struct dns_transaction {
	struct abi_udp_key key; /* of the answer's datagram, so that the remote is who answered (as
				 * the socket sees it); of the query's when there is none */
	bool server;		/* seen at the server's end: the query arrived at local port 53 */
	bool timeout; /* no answer; `latency` is the time-out, nothing of an answer is set */
	uint8_t rcode;
	uint16_t qtype;
	nsec_t at, latency; /* `at`: the query (its first sending), CLOCK_MONOTONIC */
	char name[FLOWS_DNS_NAMES];
	uint8_t name_n; /* dns_message tells what the text is like */
	uint32_t n_addrs, addrs_left_out;
	struct addr addrs[FLOWS_DNS_ADDRS];
};

/* Most queries that wait, and how long each does. 0 or -ENOMEM; memory grows with their number. */
int dns_match_new(uint32_t max, nsec_t timeout, struct dns_match **ret);
void dns_match_free(struct dns_match **m);
/* The time of all queries, also of those that wait. */
void dns_match_tune(struct dns_match *m, nsec_t timeout);

/* One datagram. 1: it is the answer to a query, *ret is filled; 0: nothing to tell yet, or nothing
 * that counts here (figures below); -EBADMSG: not a DNS message; -ENOMEM: the query is not
 * followed. At the maximum the oldest query goes, counted as lost. A query sent again keeps its
 * first time. `d` must be aligned and whole; its own time counts, but never one after `now`. */
int dns_match_packet(struct dns_match *m, nsec_t now, const struct abi_dns *d,
		     struct dns_transaction *ret);
/* 1: a query whose time is over, removed, *ret is filled; ask again. 0: none (left). The deadline
 * lies a quarter of a second behind the time-out, because an answer that came in time may still
 * wait in the ring. */
int dns_match_expire(struct dns_match *m, nsec_t now, struct dns_transaction *ret);
/* When dns_match_expire has something to tell; NSEC_NEVER: no query waits. */
nsec_t dns_match_deadline(const struct dns_match *m);

struct dns_match_figures {
	uint32_t open;	    /* queries that wait */
	uint64_t queries;   /* that were followed; retransmitted ones count once */
	uint64_t repeated;  /* retransmissions of a query that waits */
	uint64_t answered;  /* transactions told of */
	uint64_t timeouts;  /* the same */
	uint64_t lost;	    /* pushed out by the maximum */
	uint64_t no_memory; /* queries not followed for want of memory */
	uint64_t bad;	    /* not a DNS message, or a query without a question */
	uint64_t unasked;   /* answers nobody waited for: late, repeated, or begun before us */
	uint64_t unlike;    /* not to or from a server at port 53, or not opcode QUERY */
};
void dns_match_figures(const struct dns_match *m, struct dns_match_figures *ret);
/* Bytes held. */
size_t dns_match_bytes(const struct dns_match *m);
