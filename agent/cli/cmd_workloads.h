/* kindred workloads: what stands behind the pods that a running agent knows. */
#pragma once

#include "config/option.h"

/* The exit code. */
int cmd_workloads(int argc, char **argv);
extern const struct option_table cmd_workloads_options;
