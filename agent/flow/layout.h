/*
 * How cgroups are mounted here, and in which hierarchy the pods are: v2 alone, v1
 * alone, or both beside each other with the pods in either. Where that cannot be
 * told, both are followed.
 *
 * A v1 hierarchy that is followed is memory's, else pids'. Mounts are recognised
 * by their files (cgroup.controllers; tasks), not by their file system.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define LAYOUT_PATH_MAX 512

struct layout {
	char v2[LAYOUT_PATH_MAX];    /* where this process sees it; "" when not mounted */
	char v1[LAYOUT_PATH_MAX];    /* of the one v1 hierarchy; "" when there is none */
	char v1_name[16];	     /* "memory", "pids", "" */
	uint32_t v1_hierarchy;	     /* its number in /proc/cgroups; 0: none */
	bool pods_in_v2, pods_in_v1; /* directories of pods or their parents were seen there */
	bool follow_v2, follow_v1;
	char words[48]; /* "v2", "v1: memory", "hybrid: pods in v1 memory", ... */
};

/* Paths: the mount point of cgroups (or of v2 alone), and of proc. 0, or -ENOENT: no hierarchy at
 * all (`ret` is filled in nevertheless). */
int layout_find(const char *cgroup_root, const char *proc_root, struct layout *ret);
