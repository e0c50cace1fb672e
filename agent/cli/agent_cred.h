/* Who the agent is for the API server, as its options say. */
#pragma once

#include "config/agent_options.h"
#include "kube/cred/cred.h"

/* Without base, ready and ctx. Texts are the configuration's. */
struct kube_cred_opts agent_cred(const struct agent_config *c);
/* "kindred/1.2.3 (agent; node-1)": what an administrator sees in audit logs. */
#define AGENT_USER_AGENT_MAX 512
const char *agent_user_agent(const struct agent_config *c, char room[AGENT_USER_AGENT_MAX]);
