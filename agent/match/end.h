/*
 * The two ends of a flow → workloads. Pure functions over a const inventory:
 * right, or unknown with a reason, never guessed.
 *
 * The local end is named by its socket's cgroup: container id, else pod uid (or a
 * static pod's config hash). The remote end by its address at the flow's own time.
 *
 * Addresses. The inventory knows when it was told that a pod has an address and
 * that it has it no more. The truth lies earlier, by up to `settle` both times. So
 * nobody is named before the flow's start is `settle` ago: by then everyone who had
 * the address at the start has been heard of. And a name is told only when just
 * one pod can have had the address then:
 *
 *                told: has it            told: has it no more
 *          ...........|-----------------------|
 *          ^ settle   ^ sure from here        ^ not from here on
 *            earlier
 *
 *   one pod, told of before the start      it is named
 *   one pod, told of within settle         named when the flow was answered, nobody else is
 *                                          remembered with the address, and no list came between
 *   two or more                            UNKNOWN_AMBIGUOUS; but a pod that surely came later and
 *                                          surely had the address by then rules out those before
 *
 * In node scope with scope.peers the same holds of the feed's claims, and of when the
 * feed had heard of everything; nobody is named before it has. Its times are told with
 * the doubt of two clocks, which widens `settle`; who ended within that doubt of the
 * start is not named. Where the feed has nobody, or is not heard of, the inventory's
 * own pods are still named.
 *
 * A container that runs is evidence that its pod had its address by then, and what
 * a list tells (not a watch) may be of any age. All this holds while those who died are still
 * remembered: ask within inventory_opts.linger of the start.
 */
#pragma once

#include "inventory/inventory.h"
#include "match/match.h"
#include "model/flow.h"
#include "peers/replica.h"

#define END_SETTLE NSEC_PER_SEC /* end_scope.settle 0 */

struct end_memo;
struct peers;

struct end_scope {
	const struct inventory *inventory;
	const struct peers *peers; /* node scope: the rest of the cluster; NULL: not known */
	const struct match_policy *policy;
	struct end_memo *memo;	  /* of remote ends; NULL: each is looked up anew */
	bool node_scope;	  /* an address nobody has is "not on this node" */
	bool unsynced;		  /* cluster scope: the first list of pods is not whole yet */
	struct str node;	  /* this node's name; may be empty */
	const struct addr *hosts; /* addresses of this node */
	uint32_t n_hosts;
	uint32_t host_netns; /* inode number of the host's network namespace; 0: not known */
	nsec_t settle;	     /* what is told of pods is late by so much at most; 0: END_SETTLE */
	nsec_t wall_offset;  /* wall clock - monotonic; 0: what containers say of times is not used
			      */
};

/* What an end's texts point to when they are not the inventory's. */
struct end_text {
	union {
		char unit[272];
		char pod_uid[UID_TEXT_MAX + 1];
		char peer[REPLICA_NAME_MAX];
	};
};

/* The local end. KNOWN_NOT with UNKNOWN_PENDING: the pod (or its owner) may still be told of; with
 * `overdue` it says what there is instead. Texts are borrowed from the inventory, `ref` and `t`.
 * `ref` NULL: the socket's cgroup is not known. */
void end_local(const struct end_scope *s, const struct cgroup_ref *ref, bool overdue,
	       struct end_text *t, struct flow_end *ret);

enum end_flag {
	END_OVERDUE = 1 << 0,  /* `settle` has passed since the start: else UNKNOWN_PENDING */
	END_ANSWERED = 1 << 1, /* the other end was there: a handshake, or something was received */
	END_INBOUND = 1 << 2,  /* the remote end began it, or who did is not known */
	END_LATE = 1 << 3,     /* scope.peers was waited for long enough: else UNKNOWN_PENDING */
};
/*
 * A node's address as the one that connects is no name: every pod's traffic looks so when it is
 * masqueraded (to Services from outside, hairpins, masquerade-all), there and here, and a kubelet
 * or a hostNetwork pod cannot be told from it. With END_INBOUND
 *
 *   an address of this node     UNKNOWN_TRANSLATED; the caller knows better by the socket of a
 *                               program of this node, or by conntrack, and then asks for that
 *   another node's              UNKNOWN_TRANSLATED; its conntrack is not here
 *
 * Without it (somebody connects to a node) the node is who was asked, and is named.
 */
/* The remote end, by address and time: pods, Services, Nodes, this host, loopback excepted (its
 * other end is here and named by cgroup). `flags`: enum end_flag; `true` is END_OVERDUE. */
void end_remote(const struct end_scope *s, const struct addr *ip, nsec_t start, unsigned int flags,
		struct end_text *t, struct flow_end *ret);
/*
 * The remote end on loopback, when its socket was not seen: it is in the local one's network
 * namespace, so what has sockets there decides.
 *
 *   the pod's own namespace                         the local pod, KNOWN_ADDRESS, no container
 *   the host's, a hostNetwork pod's, one that       UNKNOWN_AMBIGUOUS: a host service or any
 *   others were seen in, one not known              hostNetwork pod
 *   the local end is unknown                        unknown for the same reason
 *
 * `local` is by end_local; `netns` the flow's; `alone`: whoever had sockets there lately is that
 * pod. Texts are those of `local`.
 */
void end_loopback(const struct end_scope *s, const struct flow_end *local, uint32_t netns,
		  bool alone, struct flow_end *ret);
/* The pod alone that end_remote names; 0: none. */
pod_id end_pod_at(const struct end_scope *s, const struct addr *ip, nsec_t start,
		  unsigned int flags);
/* 127.0.0.0/8 and ::1. */
bool end_is_loopback(const struct addr *ip);
/* One of scope.hosts. */
bool end_is_host(const struct end_scope *s, const struct addr *ip);
