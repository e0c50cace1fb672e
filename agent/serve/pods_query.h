/*
 * Which pods a question is about, from the query of its URL, and whether one is. Pure.
 */
#pragma once

#include "base/buf.h"
#include "match/match.h"
#include "serve/filter.h"

#include <stdint.h>

struct pods_query {
	/* Patterns; empty: any. */
	char ns[FILTER_TEXT_MAX], workload[FILTER_TEXT_MAX], kind[FILTER_TEXT_MAX],
		node[FILTER_TEXT_MAX];
	uint32_t limit;
	char after[FILTER_TEXT_MAX + 512]; /* the token; "": from the beginning */
};

/* `with_kind`: kind= is understood. 0; -EINVAL with a line in ret_error. */
int pods_query_parse(struct str query, bool with_kind, struct pods_query *ret,
		     struct buf *ret_error);
/* What can be said before the workload is known, and the whole. */
bool pods_query_may_fit(const struct pods_query *q, const struct inv_pod_view *p);
bool pods_query_fits(const struct pods_query *q, const struct workload *w);
/* "Pod" for one without an owner. */
struct str pods_kind(const struct workload *w);
