/*
 * Who needs what, out of a graph that an agent keeps.
 */
#pragma once

#include "config/option.h"

/* `kindred graph`; argv[0] is the command's name. Returns the exit code. */
int cmd_graph(int argc, char **argv);
extern const struct option_table cmd_graph_options;
