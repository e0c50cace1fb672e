/*
 * Flows as metrics to a collector: a cursor over the flow table that adds up who talks to
 * whom, and a request, or several, with all totals each time the interval is over. While
 * the collector takes none the totals grow on and nothing waits: the next request that it
 * takes has it all.
 */
#pragma once

#include "sink/otlp/otlp.h"
#include "sink/otlp/post.h"

struct tell_points;

/* `post` is filled but for path, what, max_body, over, due and ctx. 0, -EINVAL with a sentence,
 * -EMSGSIZE (no place for another cursor) or -ENOMEM. */
int tell_points_new(const struct otlp_opts *o, const struct post_opts *post,
		    struct tell_points **ret, struct buf *ret_error);
/* NULL-safe, sets *t = NULL. */
void tell_points_free(struct tell_points **t);
/* Flows have changed. */
void tell_points_changed(struct tell_points *t);
void tell_points_tune(struct tell_points *t, const struct otlp_tuning *tuning);
/* Tells all once more, at once. */
void tell_points_stop(struct tell_points *t);
/* After tell_points_stop: that was told, or has failed (`stopped` was called). */
bool tell_points_over(const struct tell_points *t);
void tell_points_stats(const struct tell_points *t, struct otlp_stats *ret);
