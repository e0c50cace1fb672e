/*
 * Series about the agent as a process, by the names that Prometheus' own clients use.
 */
#pragma once

#include "base/buf.h"

/* 0, -EMSGSIZE or -ENOMEM. */
int process_series(struct buf *out);

struct process_memory {	  /* bytes; 0: the kernel does not say */
	size_t rss, anon; /* resident; of it what is no file's */
	size_t swap;
};
void process_memory(struct process_memory *ret);
