/*
 * A flow as the rooms see it: one TCP connection or one UDP conversation, seen
 * from one end that lives on this node, and what its two ends are.
 */
#pragma once

#include "base/clock.h"
#include "base/str.h"
#include "model/address.h"

#include <stdbool.h>
#include <stdint.h>

typedef uint32_t flow_id;   /* 0: none. Valid until the flow is freed (see flow_cursor) */
typedef uint32_t cgroup_ix; /* a node of the cgroup tree; 0: none. Valid until the node is freed */

enum flow_proto { FLOW_TCP, FLOW_UDP, _FLOW_PROTO_MAX };
enum flow_dir { FLOW_DIR_UNKNOWN, FLOW_OUT, FLOW_IN, _FLOW_DIR_MAX };
/* "tcp", "udp"; "unknown", "out", "in". */
const char *flow_proto_name(enum flow_proto p);
const char *flow_dir_name(enum flow_dir d);

enum flow_state {
	FLOW_OPEN,
	FLOW_CLOSED, /* ended in order, or a UDP conversation that fell silent */
	FLOW_FAILED, /* never came up */
	FLOW_RESET,  /* came up, ended by a reset or an error */
	FLOW_LOST, /* its end was not seen: evicted from the table, or its close record was lost */
	_FLOW_STATE_MAX,
};
const char *flow_state_name(enum flow_state s);

/* Why it ended as it did; FLOW_REASON_NONE while open and after an orderly close. */
enum flow_reason {
	FLOW_REASON_NONE,
	FLOW_REASON_REFUSED,   /* ECONNREFUSED */
	FLOW_REASON_TIMED_OUT, /* ETIMEDOUT: SYNs or data stayed without an answer */
	FLOW_REASON_RST_SENT,
	FLOW_REASON_RST_RECEIVED,
	FLOW_REASON_UNREACHABLE, /* EHOSTUNREACH, ENETUNREACH */
	FLOW_REASON_ABORTED,	 /* closed by its own program before it came up */
	FLOW_REASON_ERROR,	 /* another errno */
	FLOW_REASON_IDLE,	 /* UDP: silent for udp_idle */
	FLOW_REASON_EVICTED,	 /* the table was full */
	FLOW_REASON_CLOSE_LOST,	 /* the kernel's record of the end was lost */
	_FLOW_REASON_MAX,
};
const char *flow_reason_name(enum flow_reason r);

struct flow_counters {
	uint64_t sent, received;    /* payload bytes; TCP: acknowledged, in order */
	uint64_t unacked;	    /* TCP: bytes never acknowledged so far */
	uint64_t segs_out, segs_in; /* TCP segments or UDP datagrams */
	uint64_t dropped;	    /* UDP: datagrams that arrived and were not taken */
	uint32_t retrans;
	uint32_t rtt_us, rtt_min_us, rcv_rtt_us; /* 0: not measured */
};

/* How a name is known, best first. */
enum known_by {
	KNOWN_NOT,     /* with an unknown_reason */
	KNOWN_CGROUP,  /* the socket's cgroup (or that of the same connection's other end here) */
	KNOWN_ADDRESS, /* who had the address at the flow's time */
	KNOWN_HOST,    /* this node: a host service, or an address of the node itself */
	_KNOWN_BY_MAX,
};
const char *known_by_name(enum known_by k);

enum unknown_reason {
	UNKNOWN_NONE,
	UNKNOWN_PENDING,   /* the pod may still be told of */
	UNKNOWN_NO_CGROUP, /* the socket names no cgroup that is known */
	UNKNOWN_NO_POD,	   /* a container that no pod claims: given up after pending_timeout, or at
			    * once where others waited as long before */
	UNKNOWN_PENDING_FULL,	/* the queue of those that wait was full */
	UNKNOWN_NOT_ON_NODE,	/* an address, and this agent knows its own node's pods only */
	UNKNOWN_ADDRESS,	/* an address that nobody had then: outside the cluster */
	UNKNOWN_AMBIGUOUS,	/* an address that may have been two pods' then */
	UNKNOWN_TRANSLATED,	/* a node's address, which may stand for any masqueraded pod */
	UNKNOWN_PEERS_UNSYNCED, /* an address, and the collector's feed was not heard to its end */
	UNKNOWN_PEERS_STALE,	/* the same, and the feed was not heard of until the flow's time */
	UNKNOWN_NO_OWNER_READ,	/* reserved for owners that could not be read: the pod is named */
	_UNKNOWN_REASON_MAX,
};
const char *unknown_reason_name(enum unknown_reason r);

/* One end's names. As an argument the texts are the caller's; as an answer they are borrowed. */
struct flow_end {
	enum known_by known_by;
	enum unknown_reason why; /* with KNOWN_NOT */
	struct str ns, pod, container;
	struct str workload; /* "web", "host/sshd.service", "service/dns" is ns + kind Service */
	struct str workload_kind; /* "Deployment", "Service", "Node", "Host", ... */
	struct str pod_uid;
};

/* What the cgroup's name says of a local end. */
enum cgroup_what {
	CGROUP_OTHER,	  /* neither: root, a slice, a user session */
	CGROUP_POD,	  /* a pod's own directory */
	CGROUP_CONTAINER, /* a container's; also every directory below it */
	CGROUP_SERVICE,	  /* a systemd unit of the host */
	_CGROUP_WHAT_MAX,
};
struct cgroup_ref { /* what a directory (or the nearest one above it that says anything) is */
	enum cgroup_what what;
	struct str container_id; /* 64 hex; empty unless CGROUP_CONTAINER */
	struct str pod_uid; /* as the name has it, with '-'; empty when it does not say. A static
			     * pod's is its config hash (32 hex) */
	struct str unit;    /* CGROUP_SERVICE: "sshd.service" */
};
