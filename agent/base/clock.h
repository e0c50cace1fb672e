/*
 * Time. nsec_t is nanoseconds everywhere: monotonic inside, wall clock only at
 * the edges (wire timestamps, epochs, logs). The core takes `now` as an
 * argument; only shells call these.
 */
#pragma once

#include <stdint.h>
#include <sys/time.h>

typedef uint64_t nsec_t;

#define NSEC_PER_SEC  1000000000ULL
#define NSEC_PER_MSEC 1000000ULL
#define NSEC_PER_USEC 1000ULL
#define NSEC_NEVER    UINT64_MAX /* a deadline that does not come */

/* CLOCK_MONOTONIC; never goes back, stands still over suspend. */
nsec_t clock_mono(void);
/* CLOCK_BOOTTIME: the same, but goes on over suspend. For promises that end by time. */
nsec_t clock_boot(void);
/* CLOCK_REALTIME: nanoseconds since 1970-01-01 UTC. */
nsec_t clock_wall(void);
/* clock_wall - clock_mono, for texts: the same value again until the wall clock was set, or has
 * been slewed by more than a millisecond, so that one moment has one text. One thread. */
int64_t clock_offset(void);

/* A length of time as timers want it; what is less than a microsecond is cut off. */
struct timeval clock_timeval(nsec_t t);
