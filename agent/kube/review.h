/*
 * Whether whoever has a bearer token may do something with us: the API server is asked
 * who that is (TokenReview) and whether they may (SubjectAccessReview of a path that is
 * none of a resource).
 *
 *   answers    kept for REVIEW_KEEP_YES or REVIEW_KEEP_NO, REVIEW_MAX_KEPT of them; the one
 *              that was asked for longest ago goes. Tokens are kept as digests alone
 *   asked      REVIEW_MAX_ASKED at a time, REVIEW_QPS a second with REVIEW_BURST at once,
 *              so that guesses at tokens cost the API server little
 *
 * What cannot be learned is no yes: no answer, an error, one that is not understood, or
 * over a bound.
 */
#pragma once

#include "base/clock.h"
#include "base/str.h"

#include <stdint.h>

#define REVIEW_MAX_KEPT	 256
#define REVIEW_KEEP_YES	 (60 * NSEC_PER_SEC)
#define REVIEW_KEEP_NO	 (10 * NSEC_PER_SEC)
#define REVIEW_MAX_ASKED 8
#define REVIEW_QPS	 2
#define REVIEW_BURST	 10
#define REVIEW_TIMEOUT	 (10 * NSEC_PER_SEC) /* of each of the two requests */
#define REVIEW_MAX_TOKEN 8192		     /* bytes; a longer one is nobody's */

struct client;
struct review;

enum review_answer {
	REVIEW_LATER, /* `done` follows */
	REVIEW_YES,
	REVIEW_NOBODY, /* nobody has this token */
	REVIEW_NO,     /* somebody has, and may not */
	REVIEW_UNKNOWN,
};

struct review_opts {
	struct client *client; /* outlives it */
	const char *path, *verb;
	/* The default is 0: REVIEW_KEEP_YES, REVIEW_KEEP_NO. */
	nsec_t keep_yes, keep_no;
	uint64_t seed;
};
int review_new(const struct review_opts *o, struct review **ret);
/* Nothing is called back any more. */
void review_free(struct review **r);

typedef void (*review_done)(void *ctx, enum review_answer a);
/* The answer, or REVIEW_LATER: then `done` is called once, on a later turn. */
enum review_answer review_ask(struct review *r, nsec_t now, struct str token, review_done done,
			      void *ctx);

struct review_counters {
	uint64_t yes, nobody, no, unknown; /* answers given */
	uint64_t kept;			   /* of them, without asking */
	uint64_t over;			   /* of the unknown: over a bound */
};
void review_counters(const struct review *r, struct review_counters *ret);
