/*
 * The sockets that were open before the programs were: those of this network
 * namespace by sock_diag, those of pods' by /proc/PID/net of one process each.
 *
 * A socket's cgroup is, best first: what sock_diag says (v2); that of a process which
 * has it open (/proc/PID/fd, where that may be read); the pod's, when all processes
 * through which its table was found are in one pod; else it is not known.
 */
#pragma once

#include "flow/flows.h"
#include "flow/layout.h"

#include <stdbool.h>
#include <stdint.h>

struct existing;

struct existing_opts {
	struct flows *flows; /* knows the cgroup tree already */
	const struct layout *layout;
	const char *proc_root;
	uint64_t need_caps; /* raised while other processes are looked at */
};

/* 0, -ENOMEM, or -errno of opening proc or sock_diag. */
int existing_new(const struct existing_opts *o, struct existing **ret);
void existing_free(struct existing **e);
/* Works for about `budget`: 1 there is more, 0 done. */
int existing_run(struct existing *e, nsec_t now, nsec_t budget);

/* What comes next was listed by the kernel a moment ago: an end must not be told before it. */
bool existing_lists(const struct existing *e);

struct existing_figures {
	uint32_t processes, spaces; /* looked at; tables read */
	uint32_t host, others;	    /* sockets told of */
	uint32_t without_cgroup;    /* of them */
	uint32_t left_out;	    /* over a bound, or no memory */
	uint32_t closed_fds;	    /* processes whose descriptors may not be read */
	bool all;		    /* once it is done: nothing failed, nothing was left out */
};
struct existing_figures existing_figures(const struct existing *e);
