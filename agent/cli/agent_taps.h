/*
 * Copies of what the reducer is sent, in files: --record (the bytes of the
 * connection, for `kindred decode`) and EBPF_NET_RECORD_INTAKE_OUTPUT_PATH (the
 * messages before compression). One file is one stream: a new connection starts
 * it anew, and the stream before it is kept as FILE.1. What is no regular file
 * (a pipe) gets one stream after the other.
 */
#pragma once

#include "sink/reducer/session.h"

#include <stdio.h>

struct tap {
	FILE *f;    /* NULL: off, or ended by a failure */
	char *path; /* heap; NULL: off */
	bool begun; /* a connection has begun since the file was opened */
};

struct taps {
	struct tap wire, plain;
};

extern const struct session_taps taps_ops;

/* NULL paths are off. A file that exists stays as it is until the first connection. 0, or -errno
 * with the path logged. */
int taps_open(struct taps *t, const char *wire, const char *plain);
/* Other paths: what has another one ends here, and begins anew with the next connection, for half
 * a stream could not be read. As taps_open. */
int taps_change(struct taps *t, const char *wire, const char *plain);
void taps_close(struct taps *t);
