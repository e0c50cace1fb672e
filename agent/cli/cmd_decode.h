/*
 * A captured stream as JSON lines, for people and for scripts.
 */
#pragma once

#include "config/option.h"

/* `kindred decode`; argv[0] is the command's name. Returns the exit code. */
int cmd_decode(int argc, char **argv);
extern const struct option_table cmd_decode_options;
