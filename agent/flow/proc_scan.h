/*
 * One look at every process: cgroup, network namespace, sockets among its
 * descriptors; in slices. What may not be read is not known, and no error.
 */
#pragma once

#include "base/clock.h"
#include "flow/flows.h"
#include "flow/layout.h"

#include <stdbool.h>
#include <stdint.h>

struct proc_scan;

struct proc_seen {
	uint32_t pid;
	uint32_t netns;	 /* inode number; 0: may not be read */
	uint64_t cgroup; /* as in abi_cgroup; 0: not known */
	uint64_t
		pod; /* the pod's own cgroup above it, or the container's when no pod is; 0: none */
	bool fds_read;
};

struct proc_scan_opts {
	const struct flows *flows;
	const struct layout *layout;
	int proc; /* directory, borrowed */
	/* A process, when its sockets were told of; and one of its sockets. */
	void (*process)(void *ctx, const struct proc_seen *p);
	void (*sock)(void *ctx, uint32_t pid, uint64_t cgroup, uint32_t inode);
	void *ctx;
};

#define PROC_SCAN_MAX	  65536	 /* processes; over it the rest is not looked at */
#define PROC_SCAN_MAX_FDS 131072 /* descriptors of one process */

/* 0, -ENOMEM, -errno. */
int proc_scan_new(const struct proc_scan_opts *o, struct proc_scan **ret);
void proc_scan_free(struct proc_scan **s);
/* Works until then: 1 there is more, 0 done. */
int proc_scan_run(struct proc_scan *s, nsec_t until);

/* The cgroup of a process by the text of /proc/PID/cgroup; 0: not known. */
uint64_t proc_scan_cgroup(const struct flows *flows, const struct layout *l, const char *text);
/* The cgroup of the pod that `id` is in, see proc_seen; 0: none. */
uint64_t proc_scan_pod(const struct flows *flows, uint64_t id);
