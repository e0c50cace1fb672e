/*
 * What a collector answers, read: protobuf from outside. Pure.
 */
#pragma once

#include "base/buf.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct otlp_answer {
	uint64_t rejected;  /* of what was sent; a negative number counts as none */
	struct str message; /* why, or a warning; a view into the body; may be empty */
};

/* ExportMetricsServiceResponse or ExportLogsServiceResponse; fields that are not known are passed
 * over. 0, or -EBADMSG: it is neither, `ret` is untouched. */
int otlp_answer_read(struct str body, struct otlp_answer *ret);
/* The message of a google.rpc.Status, which a refusal comes with: a view; empty when there is none,
 * or the body is something else. */
struct str otlp_status_message(struct str body);

/* What is to be done after a request: OTLP/HTTP retries these statuses and no others. */
enum otlp_end {
	OTLP_TAKEN,	  /* with a partial success also what was rejected: never told again */
	OTLP_RETRY,	  /* 429, 502, 503, 504, and no answer at all */
	OTLP_REFUSED,	  /* every other status: told never again */
	OTLP_UNCONFIRMED, /* 2xx, and what followed is no answer of a collector, or was cut: it may
			   * have been taken, and is not told again, or it would count twice */
	_OTLP_END_MAX,
};
/* "taken", "retry", "refused", "unconfirmed". */
const char *otlp_end_name(enum otlp_end e);
/* `whole`: the answer came to its end. Status 0: there was none. */
enum otlp_end otlp_end_of(int status, bool whole, struct str body, struct otlp_answer *ret);
