/*
 * One signal's way to a collector: POST to its URL, one request at a time, and what
 * OTLP/HTTP wants to be done about the answer. A request that is to be told again is
 * not kept here: after the pause (exponential, full jitter, on top of Retry-After) the
 * owner is asked for it. After a refusal there is a pause, too, so that a collector that
 * takes nothing is not asked all the time. One thread.
 */
#pragma once

#include "sink/otlp/answer.h"
#include "sink/otlp/headers.h"
#include "sink/vector/services.h"

#include <stdbool.h>

struct event_base;
struct post;

struct post_opts { /* what it points to must outlive it */
	struct event_base *base;
	struct http *http;
	const char *url;  /* of the collector */
	const char *path; /* "/v1/logs"; static */
	const char *what; /* "logs": how texts about it begin; static */
	struct service_access access;
	struct headers *headers;
	size_t max_body;
	uint64_t seed;
	/* How a request ended, on a later turn; where post_idle, it may send the next one. After
	 * OTLP_RETRY `due` comes, unless the pause is ended. */
	void (*over)(void *ctx, enum otlp_end how, uint64_t rejected);
	void (*due)(void *ctx); /* a pause is over, also one after post_send */
	void *ctx;
};

/* 0, -EINVAL with a sentence (URL, files) or -ENOMEM. */
int post_new(const struct post_opts *o, struct post **ret, struct buf *ret_error);
/* What is under way is dropped. NULL-safe, sets *p = NULL. */
void post_free(struct post **p);

/* Neither under way nor in a pause. */
bool post_idle(const struct post *p);
bool post_busy(const struct post *p);
/* While post_idle; the body is copied. What cannot even begin is a failure like others. */
void post_send(struct post *p, struct str body, bool gzip);
/* Ends a pause, for a last try. */
void post_hurry(struct post *p);

struct post_status {
	bool failing;
	struct str words;		   /* why, or what the collector has said; borrowed */
	nsec_t since;			   /* monotonic, of `failing` as it is */
	uint64_t requests, retries, bytes; /* bytes: of bodies, as sent */
	size_t held;			   /* by what is under way */
};
void post_status(const struct post *p, struct post_status *ret);
