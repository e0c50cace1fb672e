/* kindred status: whether a running agent works, on one screen. */
#pragma once

#include "config/option.h"

/* The exit code: 0 it works, 1 a condition fails, 3 no agent answers. */
int cmd_status(int argc, char **argv);
extern const struct option_table cmd_status_options;
