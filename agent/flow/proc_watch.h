/*
 * Tells the kernel's programs whose exits and moves are wanted: map `procs` gets
 * every process when flows first sees it, so that no connection pays for it. What
 * ended before it was in the map is found by looking at /proc after that.
 */
#pragma once

#include "flow/flows.h"

#include <stdbool.h>

/* Can this be done here: `proc_root` is the proc file system of the first pid namespace and hides
 * nobody. If not, the kernel's programs have to note processes themselves. */
bool proc_watch_may(const char *proc_root);

/* Takes some of the processes that flows has seen since. `map`: `procs`; `proc`: descriptor of
 * proc_root. */
void proc_watch_run(struct flows *f, nsec_t now, int map, int proc);
