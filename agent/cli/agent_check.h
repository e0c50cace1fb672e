/*
 * What an agent would not start with, though each option is well: expressions that do not
 * parse, files that cannot be read or written, addresses that are none. Nothing is made
 * or changed.
 */
#pragma once

#include "config/agent_options.h"

#define AGENT_CHECK_FILES (1U << 0) /* look at files and credentials, too */
#define AGENT_CHECK_NAMES (1U << 1) /* and at names of addresses, which may ask DNS and wait */

/* `o` was loaded well into `c`. 0; -EINVAL: options_errors names each fault; -ENOMEM. */
int agent_check(struct options *o, const struct agent_config *c, unsigned what);
