/*
 * What matters of a start, said in one block: what runs where, and each feature with why
 * it is off.
 */
#include "cli/agent_parts.h"

#include "base/log.h"
#include "base/mem.h"
#include "config/version.h"

#define LINE_BYTES 2048

static const char *scope_name(const struct agent_config *c)
{
	return c->scope == AGENT_SCOPE_NODE ? "node" : "cluster";
}

static void say_what(const struct agent *a)
{
	const struct agent_config *c = a->cfg;

	log_info("kindred %s (%s): %s scope%s%s, API server %s, reducer %s port %u%s",
		 kindred_version, kindred_commit, scope_name(c), c->node_name ? ", node " : "",
		 c->node_name ? c->node_name : "", client_source(a->client), c->intake_host,
		 c->intake_port, c->intake_tls ? " (TLS)" : "");
}

static void say_configuration(const struct agent *a, const struct options *o)
{
	const char *file = options_file(o), *map = a->cfg->watch_config;

	log_info("configuration: %s%s%s%s", file ? file : "no file (--config)",
		 file ? ", read again when it changes" : "", map ? ", and ConfigMap " : "",
		 map ? map : "");
}

static void say_answers(const struct agent *a)
{
	_buf_ struct buf words = {.max = LINE_BYTES};

	if (serve_describe(a->serve, &words) < 0)
		return;
	log_info("answers: %.*s%s", STR_ARG(buf_str(&words)),
		 a->review ? "; metrics at the first for those alone whom the API server lets"
			   : "");
}

static void say_page(const struct agent *a)
{
	_buf_ struct buf words = {.max = LINE_BYTES};

	if (serve_page_url(a->serve, &words) == 0 && words.n)
		log_info("page: %.*s", STR_ARG(buf_str(&words)));
}

static void say_flows(const struct agent *a)
{
	_buf_ struct buf words = {.max = LINE_BYTES};

	if (!a->flows) {
		log_info("flows: off: %s", a->flows_off);
		return;
	}
	agent_flows_describe(a->flows, &words);
	log_info("flows: %.*s", STR_ARG(buf_str(&words)));
}

static void say_election(const struct agent *a)
{
	const struct agent_config *c = a->cfg;
	_buf_ struct buf words = {.max = LINE_BYTES};

	if (a->lead.elector) {
		(void)elector_describe(a->lead.elector, &words);
		log_info("leader election: lease %.*s", STR_ARG(buf_str(&words)));
		return;
	}
	log_info("leader election: off: %s",
		 c->scope == AGENT_SCOPE_NODE ? "in node scope every agent tells of its own node"
		 : !c->pod_name		      ? "there is no --pod-name (environment POD_NAME)"
		 : c->leader_election == AGENT_ELECTION_OFF
			 ? "--leader-election off"
			 : "there is no --lease-namespace (environment POD_NAMESPACE)");
}

static void put_list(struct buf *b, const char *what, const struct option_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		(void)buf_printf(b, "%s%s %s", b->n ? ", " : "", what, l->v[i]);
}

static void put_one(struct buf *b, const char *what, const char *where)
{
	if (where)
		(void)buf_printf(b, "%s%s %s", b->n ? ", " : "", what, where);
}

static void say_resources(const struct agent *a)
{
	_buf_ struct buf sinks = {.max = LINE_BYTES};
	const struct agent_config *c = a->cfg;

	if (!a->resources) {
		log_info("resources: off: %s", c->scope == AGENT_SCOPE_NODE
						       ? "in node scope none are watched"
						       : "no sink wants them (--resources)");
		return;
	}
	put_list(&sinks, "vector", &c->vector);
	put_one(&sinks, "vector http", c->rest_endpoint);
	put_list(&sinks, "graph", &c->graph);
	put_list(&sinks, "events", &c->events);
	put_one(&sinks, "capabilities", c->capabilities);
	log_info("resources: on, for %.*s", STR_ARG(sinks.n ? buf_str(&sinks) : STR("questions")));
}

static void say_otlp(const struct agent *a)
{
	const char *to = a->cfg->otlp;

	log_info("otlp: %s%s", a->otlp ? "on, to " : "off: ",
		 !to	   ? "--otlp is not given"
		 : a->otlp ? to
			   : "flows are off");
}

static void say_peers(const struct agent *a)
{
	const struct agent_config *c = a->cfg;

	if (c->scope == AGENT_SCOPE_CLUSTER)
		log_info("peers: %s", c->serve_peers ? "on, agents of nodes may follow this one"
						     : "off: --serve-peers is not given");
	else
		log_info("peers: %s%s", c->peers ? "on, by " : "off: ",
			 c->peers ? c->peers
				  : "--peers is not given, ends on other nodes have no name");
}

void agent_say_start(const struct agent *a, const struct options *o)
{
	say_what(a);
	say_configuration(a, o);
	say_answers(a);
	say_page(a);
	say_flows(a);
	say_otlp(a);
	say_election(a);
	say_resources(a);
	say_peers(a);
}
