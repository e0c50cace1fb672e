/*
 * Who talks to whom, workload to workload, out of the timeline (timeline.h).
 *
 *   GET /api/v1/edges[?last=5m][&namespace=NS]
 *       {"since": TIME, "until": TIME, "edges": [{from, to, sent, received, connections,
 *       failures, resets, retransmits}]}, an end: {namespace, kind, name}
 *   GET /api/v1/edges/stream[?last=5m][&limit=N]
 *       server-sent events, for ever: what there is of that time, then every second what
 *       has changed
 *
 * last: whole slots of TIMELINE_SLOT, what the timeline has by default. `since` says how far
 * back it reached. namespace: of either end; '*' stands for anything. Bytes are client to
 * server (sent) and back. Counters that are 0 are left out of the stream's cells.
 *
 *   event: hello    {"version", "slot_seconds", "keep_seconds", "now", "slot", "time"}, first:
 *                   the slot of now, and its beginning; `flows_off` says why there will be
 *                   no cells
 *   event: cells    {"slot": NUMBER, "time": its beginning, "cells": [{"edge": ID, from, to,
 *                   counters}]}: totals of this edge in this slot until now; `from` and `to`
 *                   when the edge is told of for the first time
 *   event: health   the object of /readyz, every EDGES_HEALTH
 *
 * At most EDGES_MAX_STREAMS streams (else 503). A slow reader misses states in between, no
 * totals.
 */
#pragma once

#include "base/json_out.h"
#include "serve/parts.h"
#include "serve/timeline.h"

#define EDGES_PATH	   "/api/v1/edges"
#define EDGES_STREAM_PATH  "/api/v1/edges/stream"
#define EDGES_MAX_STREAMS  6
#define EDGES_STREAM_BYTES ((TIMELINE_MAX_IDS + 1) * sizeof(uint64_t)) /* of a stream, about */
#define EDGES_EVERY	   NSEC_PER_SEC
#define EDGES_HEALTH	   (5 * NSEC_PER_SEC)
#define EDGES_PIECE	   256 /* cells, or edges, of one turn: about a millisecond */

void serve_edges(struct serve *s, struct web_client *c, const struct web_request *r);
void serve_edges_stream(struct serve *s, struct web_client *c, const struct web_request *r);
/* Streams whose second is over go on. */
void serve_edges_run(struct serve *s, nsec_t now);

/* ---- between the two files ------------------------------------------------------------------- */

struct edges_query {
	nsec_t last; /* 0: all */
	uint64_t limit;
	char ns[FILTER_TEXT_MAX]; /* "": any */
};
/* false: refused. */
bool edges_query_parse(struct web_client *c, struct str query, bool stream,
		       struct edges_query *ret);
/* The first slot that is meant. */
uint64_t edges_query_slot(const struct edges_query *q, nsec_t now);
void edges_put_ends(struct json_out *j, const struct timeline_edge *e);
