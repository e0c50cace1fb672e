/*
 * What one agent tells a reducer, over as many connections as it takes: the
 * handshake, a snapshot with a new epoch, then changes; of pods, and of flows where
 * the agent follows them.
 *
 * Pure: no sockets, no timers, no clocks. Bytes go out through session_output
 * and session_sent, time comes in as arguments. The session is a cursor over the
 * inventory and one over the flows: what it can not send it does not take, so a slow
 * or absent reducer costs the out buffer, 16 bytes a pod and 88 bytes a flow and
 * holds nobody up. One thread; the session owns its cursors, its marks beside pods
 * and flows and the pods that wait for an owner.
 *
 *     session_connected    the handshake and a new epoch are due
 *     session_run          fills the out buffer
 *     session_output       bytes to be written; session_sent takes them away
 *     session_disconnected what was not sent is forgotten, the next epoch repeats it
 */
#pragma once

#include "base/clock.h"
#include "base/str.h"
#include "inventory/inventory.h"
#include "match/match.h"
#include "match/waiting.h"
#include "model/object.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SESSION_OUT_MAX ((size_t)256 * 1024) /* default of out_max */
#define SESSION_OUT_MIN ((size_t)40 * 1024)  /* a smaller out_max is raised to this */
#define SESSION_HEARTBEAT                                                          \
	(5 * NSEC_PER_SEC)    /* default; the reducer closes after 30 s of silence \
			       */
#define SESSION_MAX_LABELS 16 /* more are left out */
#define SESSION_MAX_ADDRS  64 /* the same */
#define SESSION_HOPS	   5
#define SESSION_SLICE	   512 /* pods, and as many flows, looked at in one session_run */

struct flows;
struct session;

struct session_label {
	struct str key, value; /* an empty value is not sent */
};

/* agent_resource_usage; the fields of getrusage(2). */
struct session_usage {
	uint16_t cpu_agent, cpu_idle; /* percent x 100 of the whole machine */
	uint32_t minor_faults, major_faults, blocks_in, blocks_out, voluntary, involuntary;
	uint64_t user_us, kernel_us;
	uint64_t max_rss; /* bytes */
};

/* Copies of what goes out; each may be NULL. No call back into the session. */
struct session_taps {
	/* A connection begins: both copies start a new stream here. */
	void (*begin)(void *ctx);
	/* Bytes that were handed to the socket. */
	void (*wire)(void *ctx, struct str bytes);
	/* One message before compression, when it is put into a batch. */
	void (*plain)(void *ctx, struct str message);
};

/* os_info and system_wide_process_settings. */
struct session_os {
	uint8_t flavor; /* 0 unknown, 1 debian, 2 ubuntu, 3 rhel, 4 centos, 5 amazon, 6 gcp_cos */
	struct str version;   /* of the distribution; may be empty */
	struct str kernel;    /* release; also the label __kernel_version */
	uint64_t page_size;   /* bytes */
	uint64_t clock_ticks; /* a second */
};

/* Everything is copied, except the inventory, the flows, the policy's list and the taps: they
 * outlive it. */
struct session_opts {
	struct inventory *inventory;
	/* NULL: pods alone, and the agent calls itself a collector of pods (type 3), else one of
	 * the kernel (type 1). */
	struct flows *flows;
	struct session_os os; /* told with flows */
	/*
	 * What a new connection is told of the counters of flows that were told before: false, what
	 * was added since, so that a reducer that sums over time sums right; true, all of it again,
	 * as an agent that has just begun would.
	 */
	bool retell_counters;
	struct match_policy policy;
	struct waiting_opts waiting;
	uint32_t version[3];		    /* to announce; all 0: 0.11.0, the newest reducer */
	struct str hostname;		    /* for `connect`: the node's name, else another */
	const struct session_label *labels; /* keys namespace, cluster, service, host, zone */
	uint32_t n_labels;
	uint32_t cpu_cores;
	const struct addr *addrs; /* of the host */
	uint32_t n_addrs;
	size_t out_max;			 /* bytes that wait for the socket; 0: SESSION_OUT_MAX */
	nsec_t heartbeat;		 /* 0: SESSION_HEARTBEAT */
	const struct session_taps *taps; /* or NULL */
	void *taps_ctx;
};

/* 0, -ENOMEM, or -EMSGSIZE (the inventory has no place for another cursor). */
int session_new(const struct session_opts *o, struct session **ret);
void session_free(struct session **s);

/* `wall` is CLOCK_REALTIME in nanoseconds: timestamps, and the seconds that epochs begin at. */
void session_connected(struct session *s, nsec_t now, nsec_t wall);
/* Harmless when not connected. */
void session_disconnected(struct session *s);
bool session_is_connected(const struct session *s);

/* The agent's own Node object, also late or changed. 0 or -ENOMEM. */
int session_set_node(struct session *s, const struct node *n);
/* Sent at the next run. The last one given counts. */
void session_usage(struct session *s, const struct session_usage *u);
/* A new epoch is wanted. */
void session_resync(struct session *s);
/* While not connected: pods that died before this time are not told of later, for somebody else
 * told of them. */
void session_pass_dead(struct session *s, nsec_t before);
/* As waiting_kind. 0 or -ENOMEM. */
int session_kind_state(struct session *s, enum kind kind, struct str ns, nsec_t since);
/* Other limits for pods that wait, and another heartbeat (0: the default). No epoch begins. */
void session_tune(struct session *s, const struct waiting_opts *waiting, nsec_t heartbeat);
/* Bytes from the reducer: counted, nothing else. */
void session_received(struct session *s, size_t n);

/*
 * A bounded piece of work: takes changes while there is room and closes the batch
 * when there is nothing more to take.
 *   1       more to do, at once
 *   0       nothing more to do before the deadline or the next change
 *   -EAGAIN the out buffer is full: run again after session_sent
 *   -ENOMEM run again later; nothing is lost
 */
int session_run(struct session *s, nsec_t now, nsec_t wall);
/* Bytes to be written; borrowed until the next call. */
struct str session_output(const struct session *s);
/* The first `n` bytes of it were taken. */
void session_sent(struct session *s, size_t n);
/* When session_run is due even without a change: heartbeats, the end of waiting. NSEC_NEVER while
 * not connected and while the out buffer is full. Any other call may change it. */
nsec_t session_deadline(const struct session *s);
/* Pods that have changed and were not looked at yet. Walks them. */
uint32_t session_lag(const struct session *s);
/* Connected, all told, nothing waits in the out buffer (pods may still wait for owners). */
bool session_at_rest(const struct session *s);

/* Of flows: messages, then what was not told. */
struct session_flow_counters {
	uint64_t cgroups, cgroup_closes, metadata; /* metadata: k8s_ and container_metadata */
	uint64_t procs, proc_closes, proc_changes; /* changes: moves and new names */
	uint64_t stand_ins;			   /* of procs: made up, one a cgroup */
	uint64_t socks, sock_closes, stats, nats, resets, syn_timeouts;
	uint64_t udp_socks, udp_closes, udp_stats, udp_drops;
	uint64_t dns, dns_timeouts;
	uint64_t lost_samples; /* sum of what bpf_lost_samples said */
	/* Flows between a host and itself: the reducer has no use for them. */
	uint64_t local;
	/* Ended flows that the table's bound took away before they were told to the end. */
	uint64_t dropped;
	/* Conversations left out: FEED_MAX_UDP sockets were told already. */
	uint64_t udp_full;
	uint64_t procs_full; /* processes for which the stand-in was told: too many */
	/* IPv6 connections whose translation was learnt too late: the reducer has the address that
	 * was asked for. */
	uint64_t nat_v6;
	uint64_t began_before; /* open before the agent: what they counted until then is not told */
	uint64_t dns_lost;     /* transactions that the log's bound took away */
	uint64_t dns_untold;   /* without a local end that could be told */
};

struct session_counters {
	uint64_t pods_new, containers, deletes, heartbeats, other; /* messages */
	uint64_t plain_bytes, wire_bytes; /* before compression; handed to the socket */
	uint64_t connections, epochs;
	uint64_t resyncs;	/* epochs begun while connected, for whatever reason */
	uint64_t snapshots;	/* epochs whose every pod was looked at */
	uint64_t unchanged;	/* changes that changed nothing that is announced */
	uint64_t waits;		/* pods that began to wait for an owner */
	uint64_t timeouts;	/* pods announced with the owner their own reference names */
	uint64_t overflows;	/* of those: pushed out by the maximum */
	uint64_t came_and_went; /* pods told after their end */
	uint64_t cut;		/* messages with a text or image list that was cut */
	uint64_t dropped;	/* dead pods taken away by the inventory's bound */
	uint64_t dropped_told;	/* of those: the reducer still had them, so a resync followed */
	uint64_t received;	/* bytes from the reducer, ignored */
	uint64_t epoch;		/* the last one sent */
	uint32_t waiting;	/* pods that wait now */
	uint64_t unsent;	/* bytes that were in the buffers when a connection ended */
	/* pods_new by how the workload was found: owners up to it, the last one: or more; and why
	 * it was not, by enum match_end. */
	uint64_t hops[SESSION_HOPS], unresolved[_MATCH_END_MAX];
	struct session_flow_counters flows;
};
void session_counters(const struct session *s, struct session_counters *ret);
/* Bytes held. */
size_t session_bytes(const struct session *s);
