/*
 * Reads the ring buffer and the maps into `struct flows`, in pieces of about a
 * millisecond. No timers of its own: the caller says when.
 */
#pragma once

#include "flow/flows.h"

#include <stdbool.h>
#include <stdint.h>

struct ring;

struct ring_opts {
	struct flows *flows;
	int ring, counts, socks, ends, udp; /* maps, borrowed; udp -1: none */
	int places, tape, tape_at;	    /* the same; -1: the programs do without */
	int refresh, fresh;		    /* program and map of flow/refresh.h; -1: none */
	int procs;			    /* map for proc_watch; -1: not wanted */
	const char *proc_root;		    /* for the same */
	uint64_t need_caps;		    /* raised while maps are read */
};

/* 0, -ENOMEM or -errno of mapping the ring. */
int ring_new(const struct ring_opts *o, struct ring **ret);
void ring_free(struct ring **r);

/* Takes records for at most `budget`: how many, and whether there are more. */
struct ring_took {
	uint32_t records;
	bool more;
};
struct ring_took ring_read(struct ring *r, nsec_t now, nsec_t budget);
/* Sums the kernel's counters and gives them on. */
void ring_counts(struct ring *r);

/* Ends wait in their map, as of the last ring_counts: the ring was full. */
bool ring_ends_wait(const struct ring *r);
/* Begins to take them out, as ring_poll does first and last, unless a poll is under way. */
void ring_ends_begin(struct ring *r);
/* Begins a poll of all maps, in which open sockets are read, unless one is under way. */
void ring_poll_begin(struct ring *r, nsec_t now);
/* Goes on with it for at most `budget`: true: there is more. False: it is over, or there was none.
 */
bool ring_poll(struct ring *r, nsec_t now, nsec_t budget);

struct ring_figures {
	uint64_t reads, records, polls, entries, bad;
	uint64_t refreshed, late_ends; /* sockets brought up to date; ends out of their map */
	uint64_t poll_errors;	       /* polls that were given up */
};
struct ring_figures ring_figures(const struct ring *r);
