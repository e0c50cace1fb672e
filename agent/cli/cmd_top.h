/* kindred top: traffic between workloads as it happens. */
#pragma once

#include "config/option.h"

/* The exit code. */
int cmd_top(int argc, char **argv);
extern const struct option_table cmd_top_options;
