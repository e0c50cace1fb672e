/*
 * What every small command does with its options before it begins.
 */
#pragma once

#include "config/option.h"

#define OPTIONS_RUN (-1)

/* Fills `target` from flags, environment and file. OPTIONS_RUN: go on (`*ret` keeps the texts
 * alive, free it at the end); else the exit code: help was printed, or an error was. */
int options_read(const struct option_table *t, void *target, int argc, char **argv,
		 struct options **ret);
