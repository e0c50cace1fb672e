/*
 * Flows as JSON lines (include/flow.schema.json) to a file or standard output: a
 * cursor over the flow table. When the output takes nothing the cursor waits, and the
 * flow table keeps what ended within its bound (flows_opts.max_ended); what it had to
 * give up is said in the output itself, as an event `drop` with a count.
 */
#pragma once

#include "flow/flows.h"

#include <stddef.h>
#include <stdint.h>

struct event_base;
struct jsonl;

struct jsonl_opts {
	struct event_base *base;
	struct flows *flows; /* borrowed, outlives it */
	const char *path;    /* FILE, appended to, or "-" */
	size_t max;	     /* bytes of lines that wait for the output [1 MiB] */
};

/* 0, -ENOMEM, -EMSGSIZE (no place for another cursor), or why the file cannot be opened. */
int jsonl_new(const struct jsonl_opts *o, struct jsonl **ret);
/* Writes what it can without waiting. */
void jsonl_free(struct jsonl **j);
/* Nothing more is written, not what waits either: to be freed. */
void jsonl_drop(struct jsonl *j);
/* The flows have changed: the lines are written in a later turn of the loop. */
void jsonl_changed(struct jsonl *j);
/* The file was moved away (SIGHUP): opens it again. */
void jsonl_reopen(struct jsonl *j);
/* Another file, or "-", from the next whole line on: 0 or -ENOMEM. */
int jsonl_redirect(struct jsonl *j, const char *path);
/* All lines that there are, as far as the output takes them at once. */
void jsonl_drain(struct jsonl *j);
/* The same before a stop, for a fifth of a second. What nobody has taken then is counted, and
 * nothing more is written. */
void jsonl_stop(struct jsonl *j);

struct jsonl_stats {
	uint64_t lines, bytes;
	uint64_t dropped;  /* flows that ended untold: the output was too slow */
	uint64_t too_long; /* lines */
	uint64_t cut, errors;
	uint64_t left;	/* lines that nobody had taken at the stop */
	size_t waiting; /* bytes */
};
void jsonl_stats(const struct jsonl *j, struct jsonl_stats *ret);
