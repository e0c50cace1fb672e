/* kindred search: documents of the cluster by words, from the running agent or a store's file. */
#pragma once

#include "config/option.h"

/* The exit code. */
int cmd_search(int argc, char **argv);
extern const struct option_table cmd_search_options;
