/*
 * A configuration that has changed, brought to the parts of a running agent: each takes
 * what it can while it runs. Nothing here loses a flow or begins an epoch.
 */
#include "cli/agent_parts.h"

#include "base/log.h"

#include <event2/event.h>

static void apply_watches(struct agent *a)
{
	const struct agent_config *c = a->cfg;
	struct core_tuning t = {
		.owner_refresh = c->owner_refresh,
		.waiting = {.max = c->waiting_max, .timeout = c->waiting_timeout},
		.heartbeat = c->heartbeat,
		.max_bytes = c->inventory_max,
		.resync_on_relist = c->resync_on_relist,
	};

	agent_fill_watch(a, &t.watch);
	budget_tune(&a->budget, clock_mono(), c->api_qps, c->api_burst);
	client_tune(a->client, c->connect_timeout, c->exec_timeout);
	core_tune(a->core, &t);
	config_watch_tune(a->config_watch, &t.watch);
	if (a->resources)
		agent_resources_tune(a->resources, &t.watch);
	client_wake(a->client);
	client_wake_owners(a->client);
}

static void apply_reducer(struct agent *a)
{
	const struct agent_config *c = a->cfg;

	conn_tune(a->conn, c->intake_connect_timeout, c->intake_backoff_min, c->intake_backoff_max);
	(void)taps_change(&a->taps, c->record, c->record_plain); /* logged */
	conn_wake(a->conn);
}

static void on_apply(void *ctx)
{
	struct agent *a = ctx;
	const struct agent_config *c = a->cfg;

	log_setup((enum log_level)c->log_level, c->log_format == AGENT_LOG_JSON);
	apply_watches(a);
	apply_reducer(a);
	if (a->flows)
		agent_flows_tune(a->flows, a->lead.leads);
	agent_sinks_tune(a->sinks);
	agent_otlp_tune(a->otlp);
	serve_tune(a->serve, c->flow_series, a->flows ? agent_flows_jsonl(a->flows) : NULL);
	event_active(a->tick, EV_TIMEOUT, 0);
}

void agent_on_config(void *ctx, const char *name, struct str text)
{
	reload_map(((struct agent *)ctx)->reload, name, text);
}

void agent_on_config_gone(void *ctx)
{
	reload_map_gone(((struct agent *)ctx)->reload);
}

static void on_look(void *ctx)
{
	reload_look(((struct agent *)ctx)->reload);
}

int agent_make_reload(struct agent *a, struct agent_config *running, const struct options *start)
{
	const struct reload_opts o = {
		.running = running, .start = start, .apply = on_apply, .ctx = a};
	const struct file_watch_opts f = {
		.base = a->base, .path = options_file(start), .look = on_look, .ctx = a};
	int r = reload_new(&o, &a->reload);

	return r < 0 || !f.path ? r : file_watch_new(&f, &a->file_watch);
}
