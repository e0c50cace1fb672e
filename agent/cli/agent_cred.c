#include "cli/agent_cred.h"

#include "config/version.h"

#include <stdio.h>

struct kube_cred_opts agent_cred(const struct agent_config *c)
{
	return (struct kube_cred_opts){.api_server = c->api_server,
				       .token_file = c->token_file,
				       .ca_file = c->ca_file,
				       .client_cert = c->client_cert,
				       .client_key = c->client_key,
				       .kubeconfig = c->kubeconfig,
				       .context = c->context,
				       .exec_timeout = c->exec_timeout};
}

const char *agent_user_agent(const struct agent_config *c, char room[AGENT_USER_AGENT_MAX])
{
	(void)snprintf(room, AGENT_USER_AGENT_MAX, "kindred/%s (agent; %s)", kindred_version,
		       c->node_name ? c->node_name : "cluster");
	return room;
}
