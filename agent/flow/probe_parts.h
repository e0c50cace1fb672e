/* What the files of the probe share; see probe.h for the whole. */
#pragma once

#include "flow/conntrack.h"
#include "flow/existing.h"
#include "flow/layout.h"
#include "flow/objects.h"
#include "flow/pod_hooks.h"
#include "flow/probe.h"
#include "flow/ring.h"
#include "flow/walk.h"

struct event;

#define PROBE_MAX_PODS	  1024 /* with connect hooks */
#define PROBE_MAX_CGROUPS 65536
#define PROBE_POLL_EVERY  (5 * NSEC_PER_SEC)  /* unless the options say otherwise */
#define PROBE_TURN	  (1 * NSEC_PER_MSEC) /* of one piece of work */

struct probe {
	struct probe_opts opts;
	char cgroup_root[LAYOUT_PATH_MAX], proc_root[LAYOUT_PATH_MAX];
	struct layout layout;
	bool on;	  /* `tcp` runs */
	bool watch_procs; /* by proc_watch, not by the programs */
	enum probe_tier tier;
	uint32_t host_netns;
	uint64_t permitted; /* at the start */
	uint64_t kept;	    /* after it, for good */
	uint64_t read_caps, hook_caps, ptrace_caps;
	struct walk_figures walked;

	struct objects *objects;
	struct ring *ring;
	struct pod_hooks *hooks;
	struct conntrack *conntrack;
	struct existing *existing; /* NULL once it is done */
	struct existing_figures found;
	char conntrack_why[OBJECTS_WHY_MAX], existing_why[OBJECTS_WHY_MAX];
	bool existing_on;
	bool finding; /* PROBE_FOUND has its programs */

	struct event *ring_wake, *ring_timer, *poll_timer, *more, *changed;
	struct event *ct_events, *ct_dump;
	uint64_t ct_told; /* conntrack_figures.told when the ring was read last for it */
	bool more_ring, more_poll;
	nsec_t untold_since; /* of changes that the owner was not told of; 0: none */
	nsec_t tick_at, counts_at;
	nsec_t record_at; /* there were records */
	bool calm;	  /* none for long: the ring is read less often */
	struct probe_counters counters;
};

/* probe_loop.c: makes the events; 0 or -ENOMEM. */
int probe_loop_new(struct probe *p);
void probe_loop_free(struct probe *p);
