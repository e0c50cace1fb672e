/*
 * The node agent as a command: options in, exit code out.
 */
#pragma once

#include "config/agent_options.h" /* agent_option_table */

/* `kindred agent`; argv[0] is the command's name. Returns the exit code. */
int cmd_agent(int argc, char **argv);
