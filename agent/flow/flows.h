/*
 * Everything the agent knows of flows, with no I/O: the cgroup tree, processes,
 * the flow table with its change log, DNS transactions, address translations and
 * the ledger.
 *
 *     ring records, map entries ─┐                       ┌─ cursors: sinks
 *     cgroup walk, sock_diag ────┼─ flows ─ unnamed? ────┤
 *     conntrack ─────────────────┘     ▲                 └─ look-ups: commands
 *                                 core/attribute
 *
 * A flow is released to the cursors when its local end is named, or when that was
 * given up. It stays until it has ended and every cursor is done with it, within
 * bounds; what a bound takes away is counted by cause. One thread; time comes as an
 * argument (CLOCK_MONOTONIC, the kernel programs' clock). No function calls back.
 */
#pragma once

#include "base/clock.h"
#include "base/str.h"
#include "model/flow.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct abi_sock;
struct abi_udp;
struct abi_udp_key;
struct flows;

#define FLOWS_MAX_CURSORS 8
#define FLOWS_DNS_NAMES	  255 /* bytes of a query name in text form (RFC 1035 section 2.3.4) */
#define FLOWS_DNS_ADDRS	  16  /* addresses of one answer; more are counted and left out */

struct flows_opts {	      /* 0: the default in brackets */
	uint32_t max_flows;   /* open, or not named yet [65536]; over it the oldest one is evicted:
			       * reported as FLOW_LOST, counted */
	uint32_t max_ended;   /* ended ones that a slow cursor holds [16384]; over it the oldest
			       * goes, counted as dropped for that cursor */
	uint32_t max_tombs;   /* keys of ended ones that are remembered [16384]: a record that comes
			       * twice is known as such; over it the oldest is forgotten */
	uint32_t max_known;   /* keys of sockets that the kernel has and that are no live flow
			       * [131072]: evicted, or without a port yet; over it the oldest is
			       * forgotten, and may be told of again */
	uint32_t max_pending; /* flows that wait for their pod or container [8192]; over it a flow
			       * is released with what there is, counted */
	nsec_t pending_timeout; /* [30 s] */
	nsec_t settle;		/* how long an address may wait to be told of [1 s] */
	nsec_t remote_wait;	/* how long a remote end may stay pending, where it is waited for
				 * longer than that [settle] */
	uint32_t max_cgroups;	/* [65536] */
	uint32_t max_procs;	/* [65536] */
	uint32_t max_dns;	/* open queries, and the log of transactions [4096] */
	nsec_t dns_timeout;	/* a query without an answer [5 s] */
	uint32_t max_nat;	/* translations remembered [65536]; the oldest goes */
	nsec_t udp_idle;	/* a silent UDP conversation has ended [60 s] */
	nsec_t cgroup_linger;	/* a removed cgroup answers look-ups this long [120 s] */
};

/* 0 or -ENOMEM. */
int flows_new(const struct flows_opts *o, struct flows **ret);
void flows_free(struct flows **f);
/* max_flows, max_ended, max_pending, pending_timeout, dns_timeout and udp_idle of `o` from now on.
 * No flow goes for it at once: over a smaller max_flows each new one takes the place of two. Who
 * waits for a pod keeps the time that it began with. */
void flows_tune(struct flows *f, const struct flows_opts *o);

/* ---- what goes in ---------------------------------------------------------------------------- */

/* One record of the ring (include/flow_abi.h), in any alignment. 0; -EBADMSG: not a record of this
 * version, counted and ignored; -ENOMEM: lost, counted. */
int flows_record(struct flows *f, nsec_t now, struct str record);
/* One entry of the map `socks`, at a poll, that is not over; or of the map `ends`, after all that
 * the ring had when the entry was read. True: it has ended and was taken; delete the entry. */
bool flows_sock(struct flows *f, nsec_t now, uint64_t sk, const struct abi_sock *s);
/* One entry of the map `udp`, at a poll. True: idle and reported; delete the entry. */
bool flows_udp(struct flows *f, nsec_t now, const struct abi_udp_key *k, const struct abi_udp *u);
/* A poll of all maps begins and ends, after all that the ring had by then: an open TCP flow of
 * which two polls in a row show no entry has lost its end (FLOW_REASON_CLOSE_LOST). Flows found by
 * sock_diag are excepted. */
void flows_poll_begin(struct flows *f, nsec_t now);
void flows_poll_end(struct flows *f, nsec_t now);

/* A directory of the walk at start, parents first; ids as in abi_cgroup. 0, -EMSGSIZE, -ENOMEM. */
int flows_cgroup(struct flows *f, nsec_t now, uint64_t id, uint64_t parent, struct str name);
/* A socket that was open before the programs were, from sock_diag or /proc. `inode` of the netns
 * 0: not known. cgroup 0: not known. Its first record of the kernel joins it by its addresses. */
struct flows_found {
	struct addr laddr, raddr;
	uint16_t lport, rport;
	uint32_t netns;
	uint64_t cgroup;
	uint32_t pid; /* 0: not known */
	enum flow_dir dir;
	struct flow_counters counters;
};
int flows_pre_existing(struct flows *f, nsec_t now, const struct flows_found *s);
/* How many of those no record has joined, nor ended. */
uint32_t flows_found_alone(const struct flows *f);
struct flows_endpoint {
	struct addr ip;
	uint16_t port;
};
/*
 * conntrack: who connects from `from` to `asked` talks to `backend`, which sees it as `seen_as`.
 *
 *     original  from -> asked         DNAT: asked differs from backend
 *     reply     backend -> seen_as    SNAT: seen_as differs from `from`
 *
 * It was made (or with `gone`: was over) in (after, at]. In the order of the events; `listed`: read
 * from a table, and an event may have told of it, or of its end, before.
 */
struct flows_translation {
	enum flow_proto proto;
	struct flows_endpoint from, asked, backend, seen_as;
	nsec_t after, at;
	bool gone, listed;
};
void flows_translation(struct flows *f, const struct flows_translation *t);
/* All that was made until then has been told of: flows that came up until then get theirs. */
void flows_nat_read(struct flows *f, nsec_t to);
/* Events of (after, at] are missing: what depends on them is in doubt. */
void flows_nat_lost(struct flows *f, nsec_t after, nsec_t at);
/* A destination that is translated, told of at once, and all that was before. */
void flows_nat(struct flows *f, nsec_t now, enum flow_proto proto,
	       const struct flows_endpoint *from, const struct flows_endpoint *asked,
	       const struct flows_endpoint *backend, bool gone);
/* The kernel's counters (enum abi_count), summed over CPUs. */
void flows_kernel_counts(struct flows *f, const uint64_t *counts, uint32_t n);

/* What is due by time alone; returns when to call again. */
nsec_t flows_tick(struct flows *f, nsec_t now);

/* ---- the cgroup tree ------------------------------------------------------------------------- */

struct flow_cgroup { /* borrowed until the next call that puts something in */
	uint64_t id, parent_id;
	cgroup_ix parent; /* 0: a root, or not known */
	struct str name;  /* last path component as the kernel has it */
	struct cgroup_ref ref;
	bool gone;
};
bool flows_cgroup_at(const struct flows *f, cgroup_ix ix, struct flow_cgroup *ret);
/* 0: not known. A removed one is found for cgroup_linger. */
cgroup_ix flows_cgroup_by_id(const struct flows *f, uint64_t id);
cgroup_ix flows_cgroup_by_container(const struct flows *f, struct str container_id);
/* Walks all: start with 0, ends with 0. */
cgroup_ix flows_cgroup_next(const struct flows *f, cgroup_ix ix);
/* The indexes in use lie in 1..n. */
uint32_t flows_cgroup_indexes(const struct flows *f);

/* ---- network namespaces ---------------------------------------------------------------------- */

/* Nobody but pod `uid` was seen with a socket in that namespace in the minute before `start` or
 * later. False also where that is not known (netns 0; too many namespaces). A number that comes
 * again is another namespace: hence the minute. */
bool flows_netns_alone(const struct flows *f, uint32_t netns, struct str uid, nsec_t start);

/* ---- processes that have sockets ------------------------------------------------------------- */

struct flow_proc { /* borrowed */
	uint32_t pid;
	cgroup_ix cgroup;
	struct str comm;
	bool gone;
	uint32_t moves; /* counts changes of cgroup */
};
bool flows_proc(const struct flows *f, uint32_t pid, struct flow_proc *ret);
/* A change count per kind, so that a sink need not look when nothing happened. */
uint64_t flows_procs_changes(const struct flows *f);
uint64_t flows_cgroups_changes(const struct flows *f);
/* Walks processes, gone ones included (they stay until a later tick): start with 0, ends with 0. */
uint32_t flows_proc_next(const struct flows *f, uint32_t pid);
/* Fresh: seen, and nobody watches for their exit yet. How many; takes the first of them (0: none);
 * puts it back at the end; tells that it had ended before. See proc_watch.h. */
uint32_t flows_procs_fresh(const struct flows *f);
uint32_t flows_proc_fresh(struct flows *f);
void flows_proc_again(struct flows *f, uint32_t pid);
void flows_proc_over(struct flows *f, nsec_t now, uint32_t pid);

/* ---- flows ----------------------------------------------------------------------------------- */

struct flow_view { /* texts borrowed until the next call that puts something in */
	flow_id id;
	uint64_t serial; /* never comes again; ids do */
	enum flow_proto proto;
	enum flow_dir dir;
	enum flow_state state;
	enum flow_reason reason;
	struct addr laddr, raddr; /* raddr: the backend, where a translation is known */
	uint16_t lport, rport;
	bool translated; /* `asked` differs from raddr, rport */
	struct flows_endpoint asked;
	bool masked; /* the remote end is `origin`, whose address a masquerade replaced by raddr */
	struct flows_endpoint origin;
	bool doubt; /* several translations or twins are possible: the remote end is not known */
	uint32_t netns;
	uint64_t sk;		      /* TCP; 0: not known */
	uint32_t pid;		      /* who connected or listens; 0: a stand-in is needed */
	cgroup_ix cgroup;	      /* 0: not known */
	uint64_t cgroup_id;	      /* as the kernel said */
	nsec_t start, updated, ended; /* ended: 0 while open */
	bool pre_existing;
	bool syn_timeout; /* failed, and no SYN was ever answered */
	struct flow_counters counters;
	struct flow_end local, remote;
	/* The same number: the same texts, for as long as the agent runs; 0: not named. */
	uint64_t local_serial, remote_serial;
	bool named;   /* the ends are final for now: released to cursors */
	flow_id twin; /* the same connection seen from its other end on this node; 0: none */
};
bool flows_at(const struct flows *f, flow_id id, struct flow_view *ret);
/* The `cgroup` alone. */
cgroup_ix flows_cgroup_of(const struct flows *f, flow_id id);
uint32_t flows_ids(const struct flows *f); /* ids lie in 1..n */
/* Walks all flows that are released: start with 0, ends with 0. */
flow_id flows_next(const struct flows *f, flow_id id);

/* ---- names, given by core/attribute ---------------------------------------------------------- */

/* The next flow whose names are due: a new one, one that waits and whose cgroup was woken, one
 * whose time is over (its `view.local.why` is still UNKNOWN_PENDING; see flows_overdue), and every
 * one whose remote end is not named yet, again after `settle` and at its end. 0: none for now. */
flow_id flows_unnamed(struct flows *f, nsec_t now);
/* It has waited long enough: name it with what there is. */
bool flows_overdue(const struct flows *f, flow_id id, nsec_t now);
/* Names it. local->why == UNKNOWN_PENDING puts it (back) into the queue of those that wait, and so
 * does, for a shorter while, a pod without the container that the cgroup names; else it is
 * released. One that is released with less than there could be comes again when it is woken: names
 * only become better. Texts are copied (interned). 0 or -ENOMEM (it stays unnamed and comes again).
 */
int flows_name(struct flows *f, nsec_t now, flow_id id, const struct flow_end *local,
	       const struct flow_end *remote);
/* A pod is known now, or known better: the flows that wait in this container's or pod's cgroup are
 * due again. By container id (64 hex), and by pod uid (or config hash). */
void flows_wake_container(struct flows *f, struct str container_id);
void flows_wake_pod(struct flows *f, struct str pod_uid);
/* What kept remote ends from being named for that reason is over: the flows that are not reported
 * yet are due again. Walks all. */
void flows_again(struct flows *f, enum unknown_reason why);

/* ---- the change log -------------------------------------------------------------------------- */

struct flow_cursor; /* owned by `f`, freed by flows_cursor_remove */

/* Stands at position zero: sees every released flow once, then every change (opened, counters,
 * names, translation, ended). 0, -ENOMEM, -EMSGSIZE over FLOWS_MAX_CURSORS. */
int flows_cursor_add(struct flows *f, struct flow_cursor **ret);
void flows_cursor_remove(struct flows *f, struct flow_cursor **c);
/* 0 at the end. An ended flow stays until every cursor was done with it. */
flow_id flows_cursor_next(struct flows *f, struct flow_cursor *c);
void flows_cursor_done(struct flows *f, struct flow_cursor *c, flow_id id);
void flows_cursor_rewind(struct flows *f, struct flow_cursor *c);
bool flows_cursor_at_end(const struct flows *f, const struct flow_cursor *c);
/* Ended flows that the bound took away before this cursor was done with them. */
uint64_t flows_cursor_dropped(const struct flow_cursor *c);

/* ---- DNS ------------------------------------------------------------------------------------- */

struct flow_dns { /* one transaction */
	uint64_t serial;
	flow_id flow; /* 0: gone */
	bool server;  /* seen at the server's end */
	bool timeout; /* no answer within dns_timeout; latency is that time */
	uint8_t rcode;
	uint16_t qtype;
	nsec_t at, latency;
	cgroup_ix cgroup;
	struct flows_endpoint local, remote;
	struct str name; /* lower case, no final dot; borrowed */
	uint32_t n_addrs;
	struct addr addrs[FLOWS_DNS_ADDRS]; /* A and AAAA of the answer section */
};
/* The transaction with the smallest serial > `after`; false: none. A reader that is overtaken by
 * the log's bound sees a gap in the serials: those are lost to it. */
bool flows_dns_next(const struct flows *f, uint64_t after, struct flow_dns *ret);

/* ---- figures --------------------------------------------------------------------------------- */

/*
 * The ledger:  started = reported + open + sum(dropped) + unaccounted. `started`: what the kernel
 * counted as such. `reported`: ended and released to the cursors. `open`: held here and not
 * reported, or seen in the kernel's map and without a local port yet. `unaccounted`: 0 once the
 * ring was read and the maps were polled; more while records are under way, less while the
 * kernel's count is older than they are. What stays is a fault.
 */
enum flow_drop {
	FLOW_DROP_SOCKS_FULL, /* the kernel's map had no room */
	FLOW_DROP_CLOSE,      /* its end was lost in the kernel */
	FLOW_DROP_MEMORY,     /* no memory here */
	FLOW_DROP_BAD_RECORD, /* a record that could not be read */
	_FLOW_DROP_MAX,
};
const char *flow_drop_name(enum flow_drop d);

struct flows_stats {
	uint64_t started, reported, open, dropped[_FLOW_DROP_MAX]; /* TCP: the ledger */
	int64_t unaccounted;
	uint64_t udp_started, udp_ended, udp_open;
	uint64_t records, bad_records, polls;
	uint64_t evicted;			     /* reported as FLOW_LOST */
	uint64_t close_lost;			     /* the same, FLOW_REASON_CLOSE_LOST */
	uint64_t pre_existing, pre_existing_unknown; /* the second: without a cgroup */
	uint64_t unknown_local[_UNKNOWN_REASON_MAX], unknown_remote[_UNKNOWN_REASON_MAX];
	uint64_t known_local[_KNOWN_BY_MAX], known_remote[_KNOWN_BY_MAX];
	uint64_t pending_full, pending_timeouts;
	uint32_t pending, flows, ended, cgroups, procs, nats, dns_open;
	uint64_t dns_transactions, dns_timeouts, dns_bad, dns_lost;
	uint64_t kernel[32]; /* the last flows_kernel_counts, by enum abi_count */
	/* Bounds that were met: cgroups, processes and translations that are not known for it. */
	uint64_t cgroups_refused, procs_refused, nats_forgotten;
	/* Flows whose translation, or whose other end here, could be several. */
	uint64_t nats_ambiguous, twins_ambiguous;
	uint64_t udp_drops, udp_drops_unplaced; /* datagrams; the second: of no one conversation */
	uint64_t udp_drops_forgotten; /* local ends whose drops are no longer kept apart */
	uint64_t records_lost;	      /* records that no memory was left for */
	size_t bytes;
};
void flows_stats(const struct flows *f, struct flows_stats *ret);
