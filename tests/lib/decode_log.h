/*
 * Runs a decoder and writes down what it says, one line a callback, so that two
 * runs can be compared as text.
 */
#pragma once

#include "base/buf.h"
#include "base/rng.h"
#include "decode/decode.h"

struct decode_log {
	struct buf text; /* the lines */
	uint32_t objects, lists, statuses, bads;
	int result;		 /* of the last call */
	char error[256];	 /* decode_error */
	size_t most_bytes;	 /* decode_bytes at its highest */
	struct decode_opts opts; /* ops and ctx are set by decode_log_run */
};

/* How the bytes are cut. */
enum decode_cut { CUT_NONE, CUT_BYTES, CUT_RANDOM, CUT_IN_TWO };

void decode_log_init(struct decode_log *l, enum decode_format f, enum decode_body b,
		     enum decode_shape s);
void decode_log_done(struct decode_log *l);
/* Feeds a copy of every piece, freed after the call. `at` is the place of CUT_IN_TWO, `g` the
 * source of CUT_RANDOM. Then decode_finish. Can be run again: what was written is forgotten. */
void decode_log_run(struct decode_log *l, struct str body, enum decode_cut cut, size_t at,
		    struct rng *g);
/* The lines of one object and of a list's end, for who makes objects otherwise. */
int decode_log_object(struct decode_log *l, enum event_type type, const struct object *o);
int decode_log_list(struct decode_log *l, const struct list_meta *m);
