/*
 * Lines to a file, a pipe, a terminal or a socket, without ever waiting for it: what
 * it does not take stays in a bounded buffer, and a full buffer is the caller's to
 * wait for. An error is said once and tried again every few seconds; the file is
 * opened again then. A regular file is written to the page cache; a disk so slow that
 * even that waits holds up the loop, as it does any logger.
 */
#pragma once

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;
struct out;

struct out_opts {
	struct event_base *base;
	const char *path;	 /* "-": standard output. Copied */
	size_t max;		 /* bytes that wait [1 MiB] */
	void (*room)(void *ctx); /* there is room again; from the loop, never from within a call */
	void *ctx;
};

/* 0, -ENOMEM, or why the file cannot be opened. */
int out_new(const struct out_opts *o, struct out **ret);
/* What still waits is given one more try, unless out_stop came before. */
void out_free(struct out **o);
/* A whole line, newline included: 0, -EMSGSIZE (no room: wait for `room`), -ENOMEM. */
int out_put(struct out *o, struct str line);
/* Writes what can be written now. */
void out_flush(struct out *o);
/* Opens the file again, for a rotation; a line that is half written is ended in the old one. */
void out_reopen(struct out *o);

/* Another file, or "-": what waits goes there, but for the rest of a line that is half written.
 * 0 or -ENOMEM; a file that cannot be opened is tried again, as always. */
int out_redirect(struct out *o, const char *path);

/* Before a stop: gives what waits a fifth of a second. Returns how many lines nobody took, which
 * are let go of; one that a pipe took in part (over PIPE_BUF) or a terminal or socket did is cut,
 * which is logged and counted. */
uint64_t out_stop(struct out *o);

/* What waits is let go of: nothing more of it is written, by out_free neither. */
void out_drop(struct out *o);

struct out_stats {
	uint64_t lines, bytes; /* written */
	uint64_t cut;	       /* lines that a failed write left without their end */
	uint64_t errors;
	size_t waiting; /* bytes */
};
void out_stats(const struct out *o, struct out_stats *ret);
