/*
 * Copies of what the reducer is sent, in files: --record (the bytes of the
 * connection, for `kindred decode`) and EBPF_NET_RECORD_INTAKE_OUTPUT_PATH (the
 * messages before compression). A new connection starts its file anew: one file
 * is one stream.
 */
#pragma once

#include "sink/reducer/session.h"

#include <stdio.h>

struct taps {
	FILE *wire, *plain;
};

extern const struct session_taps taps_ops;

/* NULL paths are off. 0, or -errno with the path logged. */
int taps_open(struct taps *t, const char *wire, const char *plain);
void taps_close(struct taps *t);
