/*
 * What a running agent sees of TCP and UDP, at a terminal.
 */
#pragma once

#include "config/option.h"

/* `kindred flows`; argv[0] is the command's name. Returns the exit code. */
int cmd_flows(int argc, char **argv);
extern const struct option_table cmd_flows_options;
