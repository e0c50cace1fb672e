/*
 * A running agent: the core, driven by the Kubernetes client and the connection
 * to the reducer on one event loop.
 */
#pragma once

#include "config/agent_options.h"

/* Runs until SIGTERM or SIGINT. The exit code of the process: 0, or 1 after a logged failure. */
int agent_run(const struct agent_config *cfg);
