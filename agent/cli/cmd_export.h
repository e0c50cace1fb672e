/* kindred export: one snapshot of the resources that the running agent holds. */
#pragma once

#include "config/option.h"

/* The exit code. */
int cmd_export(int argc, char **argv);
extern const struct option_table cmd_export_options;
