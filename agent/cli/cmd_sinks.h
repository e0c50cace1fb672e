/* kindred sinks: what each sink of the running agent has done and has to do. */
#pragma once

#include "config/option.h"

/* The exit code. */
int cmd_sinks(int argc, char **argv);
extern const struct option_table cmd_sinks_options;
