/*
 * A running agent: the core, driven by the Kubernetes client and the connection
 * to the reducer on one event loop.
 */
#pragma once

#include "config/agent_options.h"

/* Runs until SIGTERM or SIGINT. The exit code of the process: EXIT_OK; after a logged failure
 * EXIT_USAGE (before anything was watched: an option or a file it names is wrong) or EXIT_FAILED.
 */
int agent_run(const struct agent_config *cfg);
