/*
 * One-letter options for commands that people type: "-f" for "--follow". The option
 * engine knows long ones only.
 */
#pragma once

#include <stddef.h>

#define SHORT_FLAGS_ARGS 64

struct short_flag {
	const char *letter, *flag;
};

/* Copies argv with the letters replaced, up to "--". `ret` holds SHORT_FLAGS_ARGS + 1; the strings
 * are borrowed. The new argc, or -E2BIG. */
int short_flags(const struct short_flag *v, size_t n, int argc, char **argv,
		char *ret[SHORT_FLAGS_ARGS + 1]);
