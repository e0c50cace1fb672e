/*
 * A running agent: the core, driven by the Kubernetes client and the connection
 * to the reducer on one event loop.
 */
#pragma once

#include "config/agent_options.h"

/* `options` is what `cfg` was loaded with; live options of `cfg` change when the configuration
 * does. Runs until SIGTERM or SIGINT. The exit code of the process: EXIT_OK; after a logged failure
 * EXIT_USAGE (before anything was watched: an option or a file it names is wrong) or EXIT_FAILED.
 */
int agent_run(struct agent_config *cfg, const struct options *options);
