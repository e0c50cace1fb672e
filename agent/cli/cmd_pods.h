/* kindred pods: the pods that a running agent knows, with their workloads. */
#pragma once

#include "config/option.h"

/* The exit code. */
int cmd_pods(int argc, char **argv);
extern const struct option_table cmd_pods_options;
