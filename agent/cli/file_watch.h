/*
 * Says when there may be something new at a path: by inotify on its folder, since
 * ConfigMaps are mounted as links that are swapped (..data), and by a slow look at the
 * file, for what inotify does not tell (links that lead elsewhere, other file systems).
 * Whether it really is new the caller sees by reading it.
 */
#pragma once

#include "base/clock.h"

struct event_base;
struct file_watch;

#define FILE_WATCH_POLL (30 * NSEC_PER_SEC)
#define FILE_WATCH_SETTLE \
	(200 * NSEC_PER_MSEC) /* from an event to the look: several come together */

struct file_watch_opts {
	struct event_base *base;
	const char *path; /* copied */
	nsec_t poll;	  /* 0: FILE_WATCH_POLL */
	void (*look)(void *ctx);
	void *ctx;
};

/* 0 or -ENOMEM. Where inotify cannot be had there is the slow look alone. */
int file_watch_new(const struct file_watch_opts *o, struct file_watch **ret);
void file_watch_free(struct file_watch **w);
