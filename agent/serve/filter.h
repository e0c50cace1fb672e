/*
 * Which flows a question is about, from the query of its URL. Pure.
 *
 *   from, to    the client's end, the server's: NAMESPACE/WORKLOAD, WORKLOAD or ADDRESS;
 *               "unknown" is an end without a name; '*' stands for anything in either part
 *   pod         at either end: NAMESPACE/POD or POD, with '*'
 *   port        the server's; of a flow whose direction is not known either one
 *   verdict     failed (never came up) or retrans (something was sent again)
 *   last        5m, 30s: flows that ended in this time, too. Longer than the history
 *               reaches is answered with what there is
 *   until       2026-11-21T09:30:00Z, or -5m: flows that had begun by then
 *   follow=1    go on with what comes
 *   limit       so many lines, then the end
 *   once=1      of a connection with both ends here only the client's view
 */
#pragma once

#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"
#include "model/address.h"
#include "flow/flows.h"

#include <stdbool.h>
#include <stdint.h>

#define FILTER_TEXT_MAX 512 /* bytes of a pattern */

struct filter_end {
	bool set;
	char ns[FILTER_TEXT_MAX]; /* "*": any */
	char name[FILTER_TEXT_MAX];
	char whole[FILTER_TEXT_MAX]; /* as given: a host service's name has a '/' of its own */
	bool is_addr;
	struct addr addr;
};
enum filter_verdict { FILTER_ANY, FILTER_FAILED, FILTER_RETRANS };

struct filter {
	struct filter_end from, to, pod;
	uint16_t port; /* 0: any */
	enum filter_verdict verdict;
	nsec_t last, until; /* until: monotonic, NSEC_NEVER: whenever they began */
	uint64_t limit;	    /* UINT64_MAX: none */
	bool follow, once;
};

/* `now` is monotonic, `offset` wall clock - monotonic. 0; -EINVAL: ret_error has a line that says
 * what is wrong. */
int filter_parse(struct str query, nsec_t now, int64_t offset, struct filter *ret,
		 struct buf *ret_error);
bool filter_match(const struct filter *f, const struct flow_view *v);

/* The next NAME=VALUE of a query, decoded into room of FILTER_TEXT_MAX each. 1; 0: the end;
 * -EINVAL: malformed or too long. */
int query_next(struct str *query, char name[FILTER_TEXT_MAX], char value[FILTER_TEXT_MAX]);
/* "90s", "1h30m", "500ms", or plain seconds. 0 or -EINVAL. */
int query_duration(struct str s, nsec_t *ret);
/* Whether `s` fits the pattern; '*' stands for any number of bytes. */
bool glob_match(struct str pattern, struct str s);
