/* `kindred agent --check-access`. */
#pragma once

#include "config/agent_options.h"

/* Prints the answers, and the rules that are missing, on standard output. The exit code: 0 all
 * permissions are there, 1 some are denied, 2 it could not be asked. */
int cmd_access(const struct agent_config *c);
