/*
 * What no single option can check: which go together and which exclude each other.
 */
#include "config/agent_options.h"

#include <arpa/inet.h>
#include <errno.h>

/* All checks: 0 or -ENOMEM; what is wrong is told. */
/* One of the two without the other. */
static int check_pair(struct options *o, const char *a, const char *a_flag, const char *b,
		      const char *b_flag)
{
	if (!a == !b)
		return 0;
	return options_fault(o, "%s needs %s", a ? a_flag : b_flag, a ? b_flag : a_flag);
}

static int check_api_server(struct options *o, const struct agent_config *c)
{
	int r = check_pair(o, c->client_cert, "--client-cert", c->client_key, "--client-key");

	if (r == 0 && c->token_file && c->client_cert)
		r = options_fault(o, "--token-file and --client-cert exclude each other");
	if (r == 0 && c->watch_timeout_min > c->watch_timeout_max)
		r = options_fault(o, "--watch-timeout-min is above --watch-timeout-max");
	if (r == 0 && c->backoff_min > c->backoff_max)
		r = options_fault(o, "--backoff-min is above --backoff-max");
	return r;
}

/* A list with "*" in it. */
static bool has_star(const struct option_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->v[i], "*") == 0)
			return true;
	return false;
}

static int check_scope(struct options *o, const struct agent_config *c)
{
	int r = 0;

	if (c->scope == AGENT_SCOPE_NODE && !c->node_name)
		r = options_fault(o, "--scope node needs --node-name (environment NODE_NAME)");
	if (r == 0 && c->scope == AGENT_SCOPE_NODE && c->namespaces.n)
		r = options_fault(o, "--namespaces is for --scope cluster: in node scope one watch "
				     "covers the node's pods of all namespaces");
	if (r == 0 && c->follow_owners.n > 1 && has_star(&c->follow_owners))
		r = options_fault(o, "--follow-owners takes * or a list, not both");
	if (r == 0 && c->namespaces.n > 1 && has_star(&c->namespaces))
		r = options_fault(o, "--namespaces takes * or a list, not both");
	return r;
}

static int check_peers(struct options *o, const struct agent_config *c)
{
	int r = 0;

	if (c->peers && c->scope != AGENT_SCOPE_NODE)
		r = options_fault(o,
				  "--peers is for --scope node: in cluster scope the agent knows "
				  "the cluster by itself");
	if (r == 0 && !c->peers && (c->peers_token_file || c->peers_ca_file))
		r = options_fault(o, "%s goes with --peers, which is not given",
				  c->peers_token_file ? "--peers-token-file" : "--peers-ca-file");
	if (r == 0 && c->serve_peers && c->scope != AGENT_SCOPE_CLUSTER)
		r = options_fault(o,
				  "--serve-peers is for --scope cluster: an agent of a node knows "
				  "no other");
	return r;
}

static bool has_sinks(const struct agent_config *c)
{
	return c->vector.n || c->rest_endpoint || c->capabilities || c->graph.n || c->events.n;
}

static int check_resources(struct options *o, const struct agent_config *c)
{
	int r = 0;

	if (c->resources == AGENT_RESOURCES_ON && c->scope == AGENT_SCOPE_NODE)
		r = options_fault(o, "resources are watched in --scope cluster alone: in node "
				     "scope every node's agent would watch the whole cluster");
	if (r == 0 && c->resources == AGENT_RESOURCES_OFF && has_sinks(c))
		r = options_fault(o, "--vector, --rest-endpoint, --capabilities, --graph and "
				     "--events need resources: --resources is off");
	if (r == 0 && c->namespace_selector && c->namespaces.n && !has_star(&c->namespaces))
		r = options_fault(o, "--namespace-selector and a list of --namespaces exclude each "
				     "other");
	return r;
}

/* Whether `other` is where the stream before the one in `file` is kept. */
static bool is_kept_as(const char *file, const char *other)
{
	size_t n = strlen(file);

	return strncmp(file, other, n) == 0 && strcmp(other + n, ".1") == 0;
}

static bool is_same_file(const struct agent_config *c)
{
	return c->record && c->record_plain &&
	       (strcmp(c->record, c->record_plain) == 0 || is_kept_as(c->record, c->record_plain) ||
		is_kept_as(c->record_plain, c->record));
}

static int check_what_to_do(struct options *o, const struct agent_config *c)
{
	return c->offline && !c->check_config
		       ? options_fault(o, "--offline goes with --check-config")
		       : 0;
}

static int check_reducer(struct options *o, const struct agent_config *c)
{
	int r = 0;

	if (c->intake_ca_file && !c->intake_tls)
		r = options_fault(o, "--intake-ca-file needs --intake-tls");
	if (r == 0 && c->intake_backoff_min > c->intake_backoff_max)
		r = options_fault(o, "--intake-backoff-min is above --intake-backoff-max");
	if (r == 0 && c->announce_major == 0 && c->announce_minor < 9)
		r = options_fault(o, "--announce-major, --announce-minor: the reducer refuses "
				     "versions below 0.9.0");
	if (r == 0 && is_same_file(c))
		r = options_fault(o, "--record and --record-uncompressed name the same file");
	return r;
}

static int check_flows(struct options *o, const struct agent_config *c)
{
	int r = 0;

	if (c->flow_ring & (c->flow_ring - 1)) /* the kernel takes nothing else */
		r = options_fault(o, "--flow-ring must be a power of two, such as 4MiB");
	if (r == 0 && c->flows == AGENT_FLOWS_OFF && (c->flows_out || c->otlp))
		r = options_fault(o, "%s needs flows: --flows is off",
				  c->otlp ? "--otlp" : "--flows-out");
	if (r == 0 && !c->otlp && (c->otlp_token_file || c->otlp_headers_file || c->otlp_ca_file))
		r = options_fault(o, "%s goes with --otlp, which is not given",
				  c->otlp_token_file	 ? "--otlp-token-file"
				  : c->otlp_headers_file ? "--otlp-headers-file"
							 : "--otlp-ca-file");
	return r;
}

/* 127.0.0.0/8, ::1, localhost. What a name leads to is looked at again when it is bound. */
static bool is_here(const char *host)
{
	struct in6_addr six;
	struct in_addr four;

	if (inet_pton(AF_INET, host, &four) == 1)
		return ntohl(four.s_addr) >> 24 == 127;
	if (inet_pton(AF_INET6, host, &six) == 1)
		return IN6_IS_ADDR_LOOPBACK(&six);
	return strcasecmp(host, "localhost") == 0;
}

static int check_listen(struct options *o, const struct agent_config *c)
{
	int r = check_pair(o, c->tls_cert_file, "--tls-cert-file", c->tls_key_file,
			   "--tls-key-file");

	if (r == 0)
		r = check_pair(o, c->probe_tls_cert_file, "--probe-tls-cert-file",
			       c->probe_tls_key_file, "--probe-tls-key-file");
	if (r == 0 && c->listen.host && !is_here(c->listen.host) &&
	    (!c->tls_cert_file || !c->listen_token_file))
		r = options_fault(o, "--listen names an address that others can reach: it needs "
				     "--tls-cert-file and --listen-token-file, or 127.0.0.1");
	return r;
}

static int check_election(struct options *o, const struct agent_config *c)
{
	int r = 0;

	if (c->leader_election == AGENT_ELECTION_ON && c->scope == AGENT_SCOPE_NODE)
		r = options_fault(o, "--leader-election on is for --scope cluster: in node scope "
				     "every agent tells of its own node");
	if (r == 0 && c->lease_duration % NSEC_PER_SEC)
		r = options_fault(o, "--lease-duration must be whole seconds, such as 15s");
	if (r == 0 && c->lease_renew_deadline >= c->lease_duration)
		r = options_fault(o, "--lease-renew-deadline must be below --lease-duration: a "
				     "leader stops before another may take over");
	if (r == 0 && c->lease_retry * 6 / 5 >= c->lease_renew_deadline)
		r = options_fault(o, "--lease-renew-deadline must be above 1.2 times "
				     "--lease-retry: a leader has to try more than once");
	return r;
}

static int check_sinks(struct options *o, const struct agent_config *c)
{
	int r = 0;

	if (has_sinks(c) && c->scope == AGENT_SCOPE_NODE)
		r = options_fault(o, "--vector, --rest-endpoint, --capabilities, --graph and "
				     "--events need --scope cluster: one agent a cluster, not one "
				     "a node, writes what all of it is");
	if (r == 0 && c->debounce > c->debounce_max)
		r = options_fault(o, "--debounce is above --debounce-max");
	return r;
}

/* What no single option can check. */
static int agent_config_check(struct options *o, const struct agent_config *c)
{
	int r = check_api_server(o, c);

	if (r == 0)
		r = check_scope(o, c);
	if (r == 0)
		r = check_peers(o, c);
	if (r == 0)
		r = check_election(o, c);
	if (r == 0)
		r = check_sinks(o, c);
	if (r == 0)
		r = check_resources(o, c);
	if (r == 0)
		r = check_flows(o, c);
	if (r == 0)
		r = check_listen(o, c);
	if (r == 0)
		r = check_reducer(o, c);
	if (r == 0)
		r = check_what_to_do(o, c);
	return r < 0 ? r : options_checked(o);
}

static int settle(struct options *o, struct agent_config *ret)
{
	int r;

	if (ret->scope < 0)
		ret->scope = ret->node_name ? AGENT_SCOPE_NODE : AGENT_SCOPE_CLUSTER;
	/* With both names known nothing is left to find out. */
	if (ret->leader_election == AGENT_ELECTION_AUTO &&
	    (ret->scope == AGENT_SCOPE_NODE || !ret->pod_name))
		ret->leader_election = AGENT_ELECTION_OFF;
	else if (ret->leader_election == AGENT_ELECTION_AUTO && ret->lease_namespace)
		ret->leader_election = AGENT_ELECTION_ON;
	r = agent_config_check(o, ret);
	if (ret->resources == AGENT_RESOURCES_AUTO)
		ret->resources = has_sinks(ret) ? AGENT_RESOURCES_ON : AGENT_RESOURCES_OFF;
	return r;
}

int agent_config_load(struct options *o, int argc, char *const *argv, char *const *env,
		      struct agent_config *ret)
{
	int r = options_load(o, argc, argv, env);

	return r < 0 || options_help_wanted(o) ? r : settle(o, ret);
}

int agent_config_load_again(const struct options *o, const char *name, struct str text,
			    struct options *again, struct agent_config *ret)
{
	int r = options_load_again(o, name, text, again);

	return r < 0 ? r : settle(again, ret);
}
