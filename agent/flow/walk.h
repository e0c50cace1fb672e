/*
 * A walk over a cgroup tree: every directory, parents first, by descriptors and
 * without following links. Directories that come and go meanwhile do no harm.
 */
#pragma once

#include "base/str.h"

#include <stdint.h>

#define WALK_MAX_DEPTH 32 /* directories deeper than this are left out, counted */

struct walk_dir {
	uint64_t id, parent; /* inode numbers; parent 0: this is the root */
	struct str name;     /* last component, empty for the root; NUL terminated; borrowed */
	unsigned int depth;  /* 0: the root */
	int fd;		     /* of the directory, open during the call */
};
/* 0; WALK_SKIP: not what is below it; a negative code ends the walk, which returns it. */
#define WALK_SKIP 1
typedef int (*walk_fn)(void *ctx, const struct walk_dir *d);

struct walk_figures {
	uint32_t dirs;	   /* told of */
	uint32_t left_out; /* over max_dirs or WALK_MAX_DEPTH, or not readable */
};
/* `max_dirs`: what is over it is left out, counted. 0, or -errno of opening `path` or of `fn`. */
int walk(const char *path, uint32_t max_dirs, walk_fn fn, void *ctx, struct walk_figures *ret);
