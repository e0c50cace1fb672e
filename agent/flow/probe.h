/*
 * The kernel's side of flows, kept running on the event loop: loads the programs
 * that load here, reads the ring and the maps, walks the cgroup tree, finds the
 * sockets that were open before, listens to conntrack, and feeds all of it to
 * `struct flows`. It decides nothing about data.
 *
 * Every feature is tried by itself; one that does not work is off, with the reason
 * in words, and the rest goes on. No program ever changes a verdict, and all
 * attachments are links or file descriptors: a killed agent leaves nothing behind.
 */
#pragma once

#include "base/clock.h"
#include "base/str.h"
#include "flow/flows.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct event_base;
struct probe;

enum probe_feature {
	PROBE_TCP,     /* opens, closes, counters at close; without it there are no flows */
	PROBE_REFRESH, /* counters of open sockets, read by every poll */
	PROBE_FOUND,   /* sockets that were open before, at their next read */
	PROBE_RETRANSMITS,
	PROBE_RESETS,
	PROBE_CGROUPS,	 /* containers before the API server tells of them */
	PROBE_PROCESSES, /* exits and moves */
	PROBE_UDP,	 /* cgroup_skb */
	PROBE_UDP_DROPS,
	PROBE_DNS,
	PROBE_ASKED,	 /* addresses before a socket load balancer (cgroup/connect) */
	PROBE_CONNTRACK, /* addresses before DNAT */
	PROBE_EXISTING,	 /* sockets that were open before (sock_diag, /proc) */
	_PROBE_FEATURE_MAX,
};
const char *probe_feature_name(enum probe_feature f); /* "tcp", "refresh", ... */

/* What the process may do, which decides what is tried. */
enum probe_tier {
	PROBE_TIER_NONE,  /* no CAP_BPF + CAP_PERFMON (or CAP_SYS_ADMIN) */
	PROBE_TIER_TRACE, /* CAP_BPF and CAP_PERFMON */
	PROBE_TIER_FULL,  /* CAP_NET_ADMIN besides */
};

struct probe_opts { /* 0: the default in brackets */
	struct event_base *base;
	struct flows *flows;	    /* borrowed, outlives the probe */
	bool udp;		    /* --udp */
	size_t ring_bytes;	    /* a power of two [4 MiB] */
	uint32_t max_socks;	    /* entries of the kernel's map of sockets [65536] */
	uint32_t max_udp;	    /* of the map of UDP conversations [32768] */
	nsec_t ring_every;	    /* longest time a record waits in the ring [50 ms]; four times
				     * that after a second without any; a new cgroup's wakes */
	nsec_t poll_every;	    /* open sockets and the maps are read this often [5 s] */
	const char *cgroup_root;    /* mount point of cgroups as this process sees them
				     * [/sys/fs/cgroup] */
	const char *proc_root;	    /* [/proc]: the host's, for processes of other pods */
	bool keep_caps;		    /* do not drop capabilities after the load */
	void (*changed)(void *ctx); /* flows have changed; from the loop, once a turn */
	void *ctx;
};

/* Loads and attaches what it can. 0: at least PROBE_TCP runs. -EPERM, -ENOTSUP: no flows here,
 * probe_status says why (the probe is still made, and does nothing). -ENOMEM, -EINVAL. */
int probe_new(const struct probe_opts *o, struct probe **ret);
void probe_free(struct probe **p);
/* Begins to read. */
void probe_start(struct probe *p);
/* Another poll_every, 0: the default. */
void probe_tune(struct probe *p, nsec_t poll_every);
/* Reads what is in the ring and the maps now (before a stop, and for a test). */
void probe_drain(struct probe *p);

struct probe_status {
	bool on;
	const char *why; /* off: one line; on: "" or a remark. Borrowed */
};
struct probe_status probe_status(const struct probe *p, enum probe_feature f);
enum probe_tier probe_tier(const struct probe *p);
/* One line: "on" or "off", tier, cgroup layout ("v2", "v1", "hybrid: pods in v1 memory"), what is
 * off, those of one cause together: "; off: udp, dns (needs CAP_NET_ADMIN); in part: ...". */
void probe_describe(const struct probe *p, struct buf *out);

struct probe_counters {
	uint64_t ring_reads, polls, conntrack_events, conntrack_lost, pods_hooked;
	uint64_t pod_hooks_failed;  /* attempts */
	uint32_t pods_left_out;	    /* without connect hooks now: there are too many */
	uint32_t existing_left_out; /* sockets open before, over a bound */
	nsec_t last_read;	    /* of the ring: freshness */
	size_t kernel_bytes;	    /* of the maps, as far as the kernel tells */
};
void probe_counters(const struct probe *p, struct probe_counters *ret);
/* Inode number of the host's network namespace: that of the first process that is seen, else this
 * process's own. 0: not known. */
uint32_t probe_host_netns(const struct probe *p);
