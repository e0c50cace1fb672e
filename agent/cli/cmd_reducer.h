/*
 * A reducer of its own, so that an agent can be tried and tested without the real one.
 */
#pragma once

#include "config/option.h"

/* `kindred reducer`; argv[0] is the command's name. Returns the exit code. */
int cmd_reducer(int argc, char **argv);
extern const struct option_table cmd_reducer_options;
