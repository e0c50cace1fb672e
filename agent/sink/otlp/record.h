/*
 * One event of a flow as a log record of OTLP. Pure.
 *
 *     time, severity   when it was so; WARN for what failed, was reset or lost, else INFO
 *     event name       kindred.flow.open, .refresh, .close, .fail, .drop: as JSON lines
 *     body             "shop/web -> shop/db tcp closed"
 *     attributes       attrs.h, log.record.uid, network.transport, network.type,
 *                      network.peer.* (what was asked for, where it was translated),
 *                      error.type, kindred.flow.*
 *
 * log.record.uid is the same when a request is told again: whoever has it already may
 * leave it out.
 */
#pragma once

#include "sink/jsonl/line.h"
#include "sink/otlp/envelope.h"

/* Longest record; a longer one is refused. Names at their bounds have room. */
#define RECORD_MAX (64U << 10)

struct record {
	const struct flow_view *flow;
	enum line_event event;
	int64_t offset;	 /* wall clock - monotonic */
	nsec_t observed; /* wall clock */
	struct str instance;
	uint64_t number; /* of this instance's records, from 1 on */
};

/* An entry for the envelope. All or nothing: 0, -EMSGSIZE or -ENOMEM. */
int record_encode(const struct record *r, struct buf *out);
/* A request with entries that were encoded before. 0, -EMSGSIZE or -ENOMEM. */
int records_encode(struct str entries, const struct otlp_source *s, struct buf *out);
