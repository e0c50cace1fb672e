/*
 * The faults a test can ask for: what they are called, when they strike, how
 * often they have been played.
 *
 *   NAME[-VERB][=ARG][@KEY=VALUE...]     several are joined by commas
 *
 * ARG may be RESOURCE, RESOURCE:VALUE or VALUE. Discovery is struck only by faults that name it as
 * their verb. Filters: resource= verb= nth= every= times= p= after= (seconds since the
 * fault was set) for= (seconds since it struck first).
 */
#pragma once

#include "store.h"

#include "base/clock.h"
#include "base/rng.h"

#include <stdio.h>

enum verb {
	VERB_LIST,
	VERB_WATCH,
	VERB_GET,
	VERB_DISCOVERY,
	VERB_WRITE,   /* of a Lease */
	VERB_WRITTEN, /* the same, when it has been done and is to be answered */
	VERB_TOKEN_REVIEW,
	VERB_ACCESS_REVIEW,
	VERB_OTHER,
	_VERB_MAX
};

extern const char *const verb_name[_VERB_MAX];

enum fault_id {
	/* the connection */
	FAULT_RESET_CONNECT,
	FAULT_SILENT_CONNECT,
	/* instead of the answer */
	FAULT_401,
	FAULT_403,
	FAULT_404,
	FAULT_410,
	FAULT_429,
	FAULT_500,
	FAULT_504,
	FAULT_REDIRECT,
	FAULT_HTML,
	FAULT_EMPTY,
	FAULT_SILENT,
	FAULT_GARBAGE,
	FAULT_LONG_LINE,
	/* how requests are understood */
	FAULT_DELAY,
	FAULT_NO_PROTOBUF,
	FAULT_JSON_STATUS,
	FAULT_CONTENT_TYPE,
	FAULT_NO_STREAMING_LIST,
	FAULT_IGNORE_STREAMING_LIST,
	FAULT_NO_BOOKMARKS,
	FAULT_NO_END_MARKER,
	/* watches */
	FAULT_410_EVENT,
	FAULT_ERROR_EVENT,
	FAULT_END_EVENTS,
	FAULT_END_AFTER,
	FAULT_DUPLICATE,
	/* the bytes */
	FAULT_CUT,
	FAULT_CUT_CHUNK,
	FAULT_RESET,
	FAULT_STALL,
	FAULT_SLOW,
	FAULT_TRUNCATE,
	/* bad objects: one more item in lists, one more ADDED event in watches */
	FAULT_OVERSIZED,
	FAULT_DEPTH,
	FAULT_BAD_UTF8,
	FAULT_NUL,
	FAULT_MANY_OWNERS,
	FAULT_OWNER_CYCLE,
	/* bad frames */
	FAULT_NEGATIVE_LENGTH,
	FAULT_HUGE_LENGTH,
	FAULT_WRONG_MAGIC,
	_FAULT_MAX
};

struct fault {
	enum fault_id id;
	char *text;	/* as it was written */
	char *arg;	/* without the resource, or NULL */
	long num;	/* arg as a number, or the fault's default */
	char *resource; /* "pods", "widgets.example.com"; NULL: any */
	enum verb verb; /* _VERB_MAX: any */
	double p, after_s, for_s;
	unsigned long nth, every, times;
	nsec_t since, first; /* set; struck first, 0: not yet */
	unsigned long matches, plays;
};

struct faults {
	struct fault *v;
	size_t n;
	struct rng rng;
};

/* Adds the faults of a comma-joined text. 0 or -EINVAL after a readable line on stderr. */
int faults_add(struct faults *f, struct str text, nsec_t now);
void faults_clear(struct faults *f);
/* The fault, when it is set and strikes this request; counted and printed. Borrowed. */
const struct fault *faults_hit(struct faults *f, enum fault_id id, enum verb verb, enum kind kind,
			       nsec_t now);
const char *fault_name(enum fault_id id);
/* One line per fault. */
void faults_help(FILE *out);
