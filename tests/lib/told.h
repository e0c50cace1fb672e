/*
 * What a reducer was told: reads the lines of `kindred reducer --json` as they
 * come and keeps the table of each connection, as the reducer would: a resync
 * or the end of the connection clears it.
 */
#pragma once

#include "tests/lib/truth.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct told {
	char file[192];
	long at;	  /* bytes of the file that were read */
	json_t *conns;	  /* {"CONN": table}, see truth.h */
	json_t *kinds;	  /* {"UID": {"OWNER KIND": true}}: all that were ever told */
	json_t *messages; /* {"NAME": how often}, of all that are no pod's */
	uint64_t connects, disconnects, resyncs, deletes, errors, pods;
	uint64_t epoch;	    /* the last one */
	bool epochs_rise;   /* each one was higher than the one before */
	char error[256];    /* the first error event */
	uint64_t malformed; /* lines that are no JSON object */
};

int told_init(struct told *t, const char *file);
void told_done(struct told *t);

/* Reads what has come since: 0 or -errno; a file that is not there yet has nothing. */
int told_read(struct told *t);
/* The same for a file of `kindred decode`: all of one connection. */
int told_read_decoded(struct told *t);

/* The table of the connections that live, one over the other; the caller owns it. */
json_t *told_table(const struct told *t);

/*
 * How many pods differ; the first ones are printed to `out` (may be NULL). Pods of `but_ns` (may
 * be NULL) do not count, nor does a field that the truth lacks. Containers that a pod had earlier
 * may still be told: they go with the pod.
 */
size_t told_differences(const json_t *table, const struct truth *truth, const char *but_ns,
			FILE *out);

/* A pod whose owner is of this kind in truth, and was ever told as of the other one; NULL: none. */
const char *told_as(const struct told *t, const struct truth *truth, const char *kind,
		    const char *other);
