/*
 * The process's capabilities: which tier they make, and giving them up.
 *
 * A set is a mask of 1 << CAP_X. libcap changes the calling thread only, and new
 * threads inherit: call these before other threads exist.
 */
#pragma once

#include "flow/probe.h"

#include <stdint.h>

#define CAPS_BIT(cap) (1ULL << (cap))

/* What may be used. 0 or -errno. */
int caps_permitted(uint64_t *ret);
/* The tier that a permitted set makes. */
enum probe_tier caps_tier(uint64_t permitted);
/* What the start uses of what there is: loading, attaching, locked memory, other processes. */
uint64_t caps_wanted(uint64_t permitted);
/* Effective becomes `set`, cut to what is permitted. 0 or -errno. */
int caps_raise(uint64_t set);
/* Gives up for good all but `keep`: permitted is cut to it; effective, inheritable and ambient are
 * emptied, and so is the bounding set where CAP_SETPCAP is there; a program that is started later
 * gets nothing back (no_new_privs). 0 or -errno. */
int caps_keep(uint64_t keep);

#define CAPS_TEXT_MAX 160
/* "CAP_BPF CAP_NET_ADMIN", or "none". */
const char *caps_print(uint64_t set, char out[CAPS_TEXT_MAX]);
