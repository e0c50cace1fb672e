/*
 * Flows as log records to a collector: a cursor over the flow table and one batch. It is
 * sent when it is full or a second old, and again, byte by byte the same, until the
 * collector has said what became of it; flows wait in their table meanwhile.
 */
#pragma once

#include "sink/otlp/otlp.h"

struct tell_records;

/* As tell_points_new. */
int tell_records_new(const struct otlp_opts *o, const struct post_opts *post,
		     struct tell_records **ret, struct buf *ret_error);
/* NULL-safe, sets *t = NULL. */
void tell_records_free(struct tell_records **t);
/* Flows have changed. */
void tell_records_changed(struct tell_records *t);
void tell_records_tune(struct tell_records *t, const struct otlp_tuning *tuning);
/* Tells all that there is, as long as the collector takes it. */
void tell_records_stop(struct tell_records *t);
/* After tell_records_stop: there is no more, or a request has failed (`stopped` was called). */
bool tell_records_over(const struct tell_records *t);
/* Nothing more is told; what nobody took is counted. */
void tell_records_leave(struct tell_records *t);
void tell_records_stats(const struct tell_records *t, struct otlp_stats *ret);
