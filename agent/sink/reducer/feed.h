/*
 * What the reducer is told of flows: messages in the order in which they depend on
 * each other, each thing once a connection. From the inside, for session.c and
 * feed*.c alone.
 *
 *     flow ─ its process ─ that one's cgroup ─ the cgroup's parents, parents first
 *
 * What stands to the right is told when something to the left needs it, and all
 * containers and host services at the start of a connection. Marks beside flow ids,
 * cgroup indexes and pids say what this connection was told; a new one begins with
 * everything untold. Counters are deltas against what was told, over connections, so
 * the sum over time is right however often the connection breaks.
 *
 *     feed.c          order, slices
 *     feed_flow.c     one flow of the change log
 *     feed_tcp.c      one TCP connection
 *     feed_udp.c      UDP: local sockets and what they talk to
 *     feed_dns.c      DNS transactions
 *     feed_procs.c    processes and their stand-ins
 *     feed_cgroups.c  cgroups
 *     feed_names.c    what Kubernetes calls a container
 *
 * Every function that tells can be called again after an error: what was sent is not
 * sent twice. They return 0, -EAGAIN (the out buffer is full), -ENOMEM.
 */
#pragma once

#include "base/hash.h"
#include "base/index.h"
#include "base/pool.h"
#include "flow/flows.h"
#include "proto/messages.h"
#include "sink/reducer/session.h"

#define FEED_SWEEP    NSEC_PER_SEC /* at most one look through all processes and cgroups a second */
#define FEED_MAX_PROC 65536	   /* told at a time; over it their cgroup's stand-in is named */
#define FEED_MAX_UDP  8192 /* the same for UDP sockets: the reducer has 120,000 for all agents */
#define FEED_MAX_HELD 256  /* DNS transactions that wait for their flow's names */

/* Stand-ins for processes: this bit and the cgroup's index; Linux has no such pids. */
#define FEED_STAND_IN 0x80000000U

enum feed_step {
	FEED_IDLE, /* pods come first */
	FEED_COMPILED,
	FEED_SETTINGS,
	FEED_CGROUPS,
	FEED_PROCS,
	FEED_PROCS_STEADY,
	FEED_SOCKS,
	FEED_SOCKS_STEADY,
	FEED_BEGIN,
	FEED_HEALTH,
	FEED_LIVE,
};

enum feed_flag {
	FEED_SOCK = 1 << 0,  /* this connection has its socket, */
	FEED_STATE = 1 << 1, /* its addresses, */
	FEED_NAT = 1 << 2,   /* its translation */
	FEED_CONN = FEED_SOCK | FEED_STATE | FEED_NAT,
	FEED_END = 1 << 3,	/* its reset or time-out was told */
	FEED_CLOSED = 1 << 4,	/* all is told */
	FEED_LEFT_OUT = 1 << 5, /* nothing is told of it: counted */
	FEED_BASED = 1 << 6,	/* its first counters were looked at */
	FEED_KNOWN = 1 << 7,	/* some connection was told of it: it is new to none any more */
};

/* Beside a flow. Zero: nothing known. */
struct feed_flow {
	uint64_t serial; /* whom this is about: ids come again */
	/* What was told. */
	uint64_t sent, received, segs_out, segs_in, dropped;
	uint32_t retrans;
	uint32_t conn; /* the connection of the FEED_CONN flags and `udp` */
	uint32_t udp;  /* id of its socket; 0: none */
	uint32_t nat_ip;
	uint16_t nat_port;
	uint8_t flags; /* enum feed_flag */
};

/* Beside a cgroup. */
struct feed_cgroup {
	uint64_t id;
	uint32_t conn;		 /* that has it; 0: none */
	uint32_t k8s, container; /* hashes of the metadata told; 0: none */
	bool stand_in;		 /* told */
};

struct feed_proc { /* a process that this connection was told of */
	uint64_t cgroup;
	uint32_t pid;
	char comm[16];
	bool used;
};

struct feed_remote {
	struct addr ip;
	uint16_t port; /* 0: none yet */
};

struct feed_udp { /* a UDP socket that this connection was told of; its pool id is its sk_id */
	struct addr laddr;
	cgroup_ix cgroup;
	uint32_t flows; /* that were told and have not ended */
	uint16_t lport;
	bool used;
	struct feed_remote remote[2]; /* by is_rx: of the last message */
};

struct feed {
	struct flows *flows;
	struct flow_cursor *cursor;
	struct session_os os; /* without the texts */
	bool retell;
	uint32_t conn; /* counts connections; never 0 once there was one */
	enum feed_step step;
	bool steady; /* some connection heard that its sockets are all there */

	flow_id half; /* taken from the cursor and not told to the end */
	struct feed_flow *marks;
	uint32_t n_marks;
	uint64_t dropped;  /* flows_cursor_dropped when last seen */
	flow_id orphan_at; /* the look for sockets whose flow is gone; 0: none */

	struct feed_cgroup *cgroups;
	uint32_t n_cgroups;
	struct index by_id; /* cgroups told: hash of id -> index */
	uint64_t cgroup_changes;
	uint32_t cgroup_at; /* the walk under way; 0: none */
	nsec_t cgroup_next; /* not before */
	bool nobody;	    /* the stand-in for sockets without a cgroup is told */

	struct pool procs;
	struct index by_pid;
	uint64_t proc_changes;
	uint32_t proc_at;
	nsec_t proc_next;

	struct pool udp;
	struct index by_local;

	uint64_t dns; /* serial of the last transaction taken */
	uint64_t held[FEED_MAX_HELD];
	uint32_t n_held;
	uint64_t log_moved, held_moved; /* flows told; when the held ones were looked at last */

	uint64_t lost; /* as bpf_lost_samples told it */
	nsec_t lost_next;
};

/* ---- for session.c --------------------------------------------------------------------------- */

/* 0, -ENOMEM, -EMSGSIZE (no place for another cursor). */
int feed_new(const struct session_opts *o, struct feed **ret);
void feed_free(struct feed **f);
void feed_connected(struct feed *f);
bool feed_begun(const struct feed *f);
/* A bounded piece: 1 more to do, 0 all told, or an error. */
int feed_run(struct session *s);
/* The pod was told: so may be what its containers' cgroups are called. */
int feed_pod(struct session *s, pod_id id);
nsec_t feed_deadline(const struct session *s);
bool feed_at_rest(const struct feed *f);
uint64_t feed_dropped(const struct feed *f);
size_t feed_bytes(const struct feed *f);

/* ---- between feed*.c ------------------------------------------------------------------------- */

/* session_put, counted. */
int feed_put(struct session *s, enum wire_id id, const void *m, uint64_t *count);
uint32_t feed_hash(const struct session *s, const void *p, size_t n);
/* Tells what is to be told of it. */
int feed_flow(struct session *s, flow_id id);
/* The table's bound took ended flows away before they were told to the end: their sockets are
 * closed. 1: more to look at. */
int feed_orphans(struct session *s);
/* A flow between these is dropped by the reducer. */
bool feed_is_local(const struct session *s, const struct addr *a, const struct addr *b);
/* A text of at most `max` bytes. */
struct str feed_clip(struct str s, size_t max);

/* The directory that stands for a cgroup: the container's, the unit's, the one below the pod's.
 * 0 for none or one that is not known. */
cgroup_ix feed_cgroup_of(const struct session *s, cgroup_ix ix);
/* Tells it and what is above it. `ret` is its id on the wire, 0 when it is not known (any more). */
int feed_cgroup_need(struct session *s, cgroup_ix ix, uint64_t *ret);
/* One slice of the walk over all: 1 not through yet, 0. */
int feed_cgroups_walk(struct session *s);
/* It is told in this connection (whatever was at that index then). */
bool feed_cgroup_told(const struct feed *f, cgroup_ix ix);
/* The pod of a container's directory; 0: not known, or no container's. */
pod_id feed_pod_of(const struct session *s, const struct flow_cgroup *c);
/* What Kubernetes calls a cgroup that is told, with its pod before it. */
int feed_names(struct session *s, cgroup_ix ix);
/* Text for a stand-in: the container's or unit's name. */
void feed_cgroup_comm(const struct session *s, cgroup_ix ix, char out[16]);

/* The process to name for a flow, which is told then. */
int feed_owner(struct session *s, const struct flow_view *v, uint32_t *ret_pid);
/* Of the stand-in of a cgroup (0: of none). */
int feed_stand_in_close(struct session *s, cgroup_ix ix);
/* All that run: a slice, 1 or 0. */
int feed_procs_all(struct session *s);
/* Told ones that ended or moved: a slice, 1 or 0. */
int feed_procs_walk(struct session *s);

int feed_tcp(struct session *s, struct feed_flow *m, const struct flow_view *v);
int feed_udp_flow(struct session *s, struct feed_flow *m, const struct flow_view *v);
/* The socket of a local end; made when there is none. `ret` 0: no room, counted. */
int feed_udp_need(struct session *s, const struct flow_view *v, uint32_t *ret);
/* Both directions talk to `to` from now on. */
int feed_udp_point(struct session *s, uint32_t id, const struct feed_remote *to);
/* Closes it when no flow uses it. */
int feed_udp_close(struct session *s, uint32_t id);
/* Transactions: a slice, 1 or 0. */
int feed_dns(struct session *s);
