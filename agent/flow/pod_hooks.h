/*
 * The connect hooks on pods' cgroups: what connect() was given, seen before a load
 * balancer that is attached further up rewrites it. One pair of links a pod; a link
 * goes with its cgroup or with this process.
 */
#pragma once

#include "flow/flows.h"

#include <stdint.h>

struct pod_hooks;

struct pod_hooks_opts {
	struct flows *flows;
	const char *v2;	    /* where cgroup v2 is mounted; copied */
	int prog4, prog6;   /* borrowed */
	uint64_t need_caps; /* raised while links are made */
	uint32_t max;	    /* pods; those over it are not hooked, counted */
};

/* 0 or -ENOMEM. */
int pod_hooks_new(const struct pod_hooks_opts *o, struct pod_hooks **ret);
void pod_hooks_free(struct pod_hooks **h);
/* Hooks pods that came, lets go of those that went. Cheap when no cgroup has changed. */
void pod_hooks_run(struct pod_hooks *h);

struct pod_hooks_figures {
	uint64_t hooked; /* ever */
	uint64_t failed; /* attempts */
	uint32_t now, left_out;
};
struct pod_hooks_figures pod_hooks_figures(const struct pod_hooks *h);
