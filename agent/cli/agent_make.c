/* From options to parts; see agent_parts.h. */
#include "cli/agent_parts.h"

#include "base/json_out.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "cli/agent_cred.h"
#include "cli/agent_memory.h"
#include "cli/agent_ready.h"
#include "cli/agent_series.h"
#include "config/version.h"
#include "serve/web.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define WALL_MEMORY (120 * NSEC_PER_SEC) /* no flow is named later than that after its start */

static uint32_t take_list(const struct option_list *l, struct str out[AGENT_MAX_NAMES])
{
	uint32_t n = (uint32_t)MIN(l->n, (size_t)AGENT_MAX_NAMES);

	for (uint32_t i = 0; i < n; i++)
		out[i] = str_of(l->v[i]);
	return n;
}

static uint32_t take_labels(struct agent *a)
{
	const struct agent_config *c = a->cfg;
	const struct session_label all[] = {{STR("namespace"), str_of(c->agent_namespace)},
					    {STR("cluster"), str_of(c->agent_cluster)},
					    {STR("service"), str_of(c->agent_service)},
					    {STR("host"), str_of(c->agent_host)},
					    {STR("zone"), str_of(c->agent_zone)}};

	memcpy(a->labels, all, sizeof(all));
	return ARRAY_SIZE(all);
}

/* What the reducer calls us: the node, else what the older collectors were told, else the host. */
static struct str hostname(struct agent *a)
{
	if (a->cfg->node_name)
		return str_of(a->cfg->node_name);
	if (a->cfg->collector_hostname)
		return str_of(a->cfg->collector_hostname);
	hostinfo_name(a->hostname);
	return str_of(a->hostname);
}

void agent_fill_policy(struct agent *a, struct match_policy *p)
{
	uint32_t n = take_list(&a->cfg->follow_owners, a->follow);

	p->follow_all = n == 1 && str_eq(a->follow[0], STR("*"));
	p->follow = a->follow;
	p->n_follow = n;
}

static void fill_session(struct agent *a, struct session_opts *o)
{
	static struct hostinfo_os text; /* for as long as `o` */
	const struct agent_config *c = a->cfg;

	o->policy = a->policy;
	o->waiting = (struct waiting_opts){.max = c->waiting_max, .timeout = c->waiting_timeout};
	o->version[0] = c->announce_major;
	o->version[1] = c->announce_minor;
	o->version[2] = c->announce_patch;
	o->hostname = hostname(a);
	o->n_labels = take_labels(a);
	o->labels = a->labels;
	o->cpu_cores = hostinfo_cpus();
	o->n_addrs = a->n_addrs;
	o->addrs = a->addrs;
	o->flows = a->flows ? agent_flows_table(a->flows) : NULL;
	hostinfo_os(&text, &o->os);
	o->heartbeat = c->heartbeat;
	o->taps = &taps_ops;
	o->taps_ctx = &a->taps;
}

void agent_fill_watch(const struct agent *a, struct reflector_opts *o)
{
	const struct agent_config *c = a->cfg;

	o->page_size = c->page_size;
	o->whole_lists = c->page_size == 0;
	o->no_streaming = c->streaming_list == AGENT_STREAMING_OFF;
	o->no_protobuf = c->encoding == AGENT_ENCODING_JSON;
	o->max_object = c->max_object_size;
	o->first_byte = c->first_byte_timeout;
	o->idle = c->list_silence;
	o->watch_idle = c->watch_silence;
	o->watch_min_s = (uint32_t)(c->watch_timeout_min / NSEC_PER_SEC);
	o->watch_max_s = (uint32_t)(c->watch_timeout_max / NSEC_PER_SEC);
	o->backoff_base = c->backoff_min;
	o->backoff_cap = c->backoff_max;
}

int agent_make_flows(struct agent *a)
{
	const struct agent_flows_opts o = {.cfg = a->cfg,
					   .base = a->base,
					   .standby = a->lead.elector != NULL,
					   .changed = agent_on_flows,
					   .ctx = a};

	return agent_flows_new(&o, &a->flows, a->flows_off);
}

/* What flows and questions are named with. */
static struct end_scope *scope_of(struct agent *a)
{
	return a->flows ? agent_flows_scope(a->flows) : &a->scope;
}

void agent_refresh_scope(struct agent *a)
{
	struct end_scope *s = scope_of(a);

	s->unsynced = a->cfg->scope == AGENT_SCOPE_CLUSTER && !core_synced(a->core);
	/* A virtual machine that stood still gains some at once, which its flows before that did
	 * not have yet: the lower one concludes less. */
	s->wall_offset = (nsec_t)recent_low(&a->wall, clock_mono(), WALL_MEMORY, clock_offset());
}

static void on_peers(void *ctx)
{
	struct agent *a = ctx;

	if (a->flows)
		agent_flows_wake(a->flows);
}

int agent_make_peers(struct agent *a, struct buf *error)
{
	char user_agent[AGENT_USER_AGENT_MAX];
	const struct agent_peers_opts o = {.cfg = a->cfg,
					   .base = a->base,
					   .user_agent = agent_user_agent(a->cfg, user_agent),
					   .heard = on_peers,
					   .ctx = a};
	int r = agent_publish_new(a, &a->publish);

	return r < 0 ? r : agent_peers_new(&o, &a->peers, error);
}

int agent_join_flows(struct agent *a)
{
	const struct agent_config *c = a->cfg;
	int r = 0;

	a->scope = (struct end_scope){.inventory = core_inventory(a->core),
				      .peers = agent_peers_known(a->peers),
				      .policy = &a->policy,
				      .node_scope = c->scope == AGENT_SCOPE_NODE,
				      .node = str_of(c->node_name),
				      .hosts = a->addrs,
				      .n_hosts = a->n_addrs};
	if (a->flows)
		r = agent_flows_join(a->flows, a->core, &a->scope);
	if (r == 0)
		agent_refresh_scope(a);
	return r;
}

static void conditions(void *ctx, struct ready *r)
{
	agent_ready(ctx, r);
}

static int more_metrics(void *ctx, struct buf *out)
{
	return agent_series(ctx, out);
}

static void put_memory(void *ctx, struct json_out *j)
{
	agent_memory_json(ctx, j);
}

int agent_make_sinks(struct agent *a)
{
	const struct agent_sinks_opts o = {.cfg = a->cfg,
					   .base = a->base,
					   .resources = a->resources,
					   .standby = a->lead.elector != NULL,
					   .may_write = agent_lead_may_write,
					   .ctx = a};

	return agent_sinks_new(&o, &a->sinks);
}

int agent_make_otlp(struct agent *a)
{
	const struct agent_otlp_opts o = {.cfg = a->cfg,
					  .base = a->base,
					  .flows = a->flows ? agent_flows_table(a->flows) : NULL,
					  .host = hostname(a),
					  .standby = a->lead.elector != NULL};

	return agent_otlp_new(&o, &a->otlp);
}

/* Who stands by has none yet, and says so. */
static void put_standby(const struct agent *a, struct json_out *j)
{
	_buf_ struct buf words = {.max = 1024};

	(void)agent_lead_words(a, &words);
	json_open(j, NULL, '{');
	json_text(j, "name", STR("leader election"));
	json_text(j, "type", STR("standby"));
	json_text(j, "health", STR("ok"));
	json_text(j, "reason", buf_str(&words));
	json_close(j, '{');
}

static void put_sinks(void *ctx, struct json_out *j)
{
	struct agent *a = ctx;

	if ((a->sinks || a->otlp) && !a->lead.leads)
		put_standby(a, j);
	agent_sinks_put(a->sinks, j);
	agent_otlp_put(a->otlp, j);
}

static int on_resync(void *ctx, struct str sink, uint32_t *ret_objects, struct buf *words)
{
	struct agent *a = ctx;

	if (a->sinks && !a->lead.leads) {
		(void)agent_lead_words(a, words);
		return -ENOTSUP;
	}
	return agent_sinks_resync(a->sinks, sink, ret_objects, words);
}

static bool search_target(void *ctx, struct search_target *ret, struct buf *words)
{
	struct agent *a = ctx;
	struct agent_vector *v = agent_sinks_vector(a->sinks);
	int i = agent_vector_searchable(v);

	if (i < 0 && a->cfg->vector.n && !a->lead.leads) {
		(void)agent_lead_words(a, words);
		return false;
	}
	if (i < 0) {
		(void)buf_append_str(
			words, STR("this agent keeps no database that can be searched: start it "
				   "with --vector sqlite:FILE"));
		return false;
	}
	ret->sync = agent_vector_sync(v, (unsigned)i);
	ret->asker = agent_vector_asker(v, (unsigned)i);
	return true;
}

static bool peers_ready(void *ctx, struct buf *words)
{
	return agent_publish_ready(ctx, words);
}

static void log_lines(enum log_level level, struct str words)
{
	struct str line;

	while (words.n) {
		(void)str_split(&words, '\n', &line);
		log_write(level, "%.*s", STR_ARG(line));
	}
}

/* ---- who may scrape ---- */

static int status_of(enum review_answer a)
{
	switch (a) {
	case REVIEW_LATER:
		return 0;
	case REVIEW_YES:
		return 200;
	case REVIEW_NOBODY:
		return 401;
	case REVIEW_NO:
		return 403;
	case REVIEW_UNKNOWN:
		break;
	}
	return 503;
}

static void on_review(void *ctx, enum review_answer answer)
{
	serve_leave(ctx, status_of(answer));
}

static int authorise(void *ctx, struct str token, struct scrape *x)
{
	struct agent *a = ctx;

	return status_of(review_ask(a->review, clock_mono(), token, on_review, x));
}

static int make_review(struct agent *a)
{
	const struct review_opts o = {
		.client = a->client, .path = "/metrics", .verb = "get", .seed = rng_entropy()};

	return a->cfg->probe_auth == AGENT_PROBE_AUTH_KUBE ? review_new(&o, &a->review) : 0;
}

static void on_serve_told(void *ctx, bool bad, const char *words)
{
	(void)ctx;
	log_write(bad ? LOG_WARN : LOG_INFO, "%s", words);
}

/* As it was asked for, or the default: then it is gone without where it is taken. */
static struct serve_address address(const struct option_endpoint *e, const char *host,
				    uint16_t port, const char *cert_file, const char *key_file)
{
	struct serve_address a = {
		.host = e->host, .port = e->port, .cert_file = cert_file, .key_file = key_file};

	if (!e->host && !e->off) {
		a.host = host;
		a.port = port;
		a.optional = true;
	}
	return a;
}

int agent_make_serve(struct agent *a)
{
	const struct agent_config *c = a->cfg;
	const struct serve_opts o = {
		.base = a->base,
		.flows = a->flows ? agent_flows_table(a->flows) : NULL,
		.flows_off = a->flows_off,
		.scope = scope_of(a),
		.probe = a->flows ? agent_flows_probe(a->flows) : NULL,
		.jsonl = a->flows ? agent_flows_jsonl(a->flows) : NULL,
		.max_series = c->flow_series,
		.socket = c->socket,
		.no_socket = c->socket && strcmp(c->socket, "off") == 0,
		.probe_at = address(&c->probe_listen, "", SERVE_PROBE_PORT, c->probe_tls_cert_file,
				    c->probe_tls_key_file),
		.data_at = address(&c->listen, SERVE_DATA_HOST, SERVE_DATA_PORT, c->tls_cert_file,
				   c->tls_key_file),
		.resync_at = {.host = c->resync_listen.host, .port = c->resync_listen.port},
		.token_file = c->listen_token_file,
		.told = on_serve_told,
		.authorise = c->probe_auth == AGENT_PROBE_AUTH_KUBE ? authorise : NULL,
		.proc_root = c->proc_root,
		.version = kindred_version,
		.commit = kindred_commit,
		.conditions = conditions,
		.more_metrics = more_metrics,
		.put_memory = put_memory,
		.store = a->resources ? agent_resources_store(a->resources) : NULL,
		.graph = agent_streams_graph(agent_sinks_streams(a->sinks)),
		.put_sinks = put_sinks,
		.resync = on_resync,
		.search_target = search_target,
		.publish = agent_publish_feed(a->publish),
		.max_peers = c->peers_clients,
		.max_clients = a->publish ? WEB_MAX_CLIENTS + c->peers_clients : 0,
		.peers_ready = peers_ready,
		.ctx = a,
	};
	_buf_ struct buf words = {.max = 4096};
	int r = serve_new(&o, &a->serve, &words);

	log_lines(r < 0 ? LOG_ERROR : LOG_INFO, buf_str(&words));
	if (r == 0 && c->probe_auth == AGENT_PROBE_AUTH_KUBE && !c->probe_tls_cert_file)
		log_warn("--probe-auth kube without --probe-tls-cert-file: tokens of scrapers come "
			 "in the clear");
	return r;
}

/* The reducer is told of all namespaces then; only --resources watches each by itself. */
static bool all_namespaces(const struct agent_config *c)
{
	return c->namespaces.n == 1 && strcmp(c->namespaces.v[0], "*") == 0;
}

static int make_config_watch(struct agent *a, const struct reflector_opts *watch)
{
	const struct config_watch_opts o = {.name = a->cfg->watch_config,
					    .watch = watch,
					    .changed = agent_on_config,
					    .gone = agent_on_config_gone,
					    .ctx = a};

	return a->cfg->watch_config ? config_watch_new(&o, &a->config_watch) : 0;
}

static void on_fetched(void *ctx)
{
	struct agent *a = ctx;

	if (a->serve)
		serve_changed(a->serve);
}

static int make_resources(struct agent *a, const struct reflector_opts *watch, struct buf *error)
{
	const struct agent_resources_opts o = {.cfg = a->cfg,
					       .base = a->base,
					       .watch = watch,
					       .words = &a->words,
					       .fetched = on_fetched,
					       .ctx = a};

	return agent_resources_new(&o, &a->resources, error);
}

/* Agents that are started together do not all ask in the same moment: the first request of this one
 * waits, and all others with it. */
static void spread_start(struct agent *a)
{
	struct rng g;

	rng_seed(&g, rng_entropy());
	budget_hold(&a->budget, clock_mono() + rng_below(&g, a->cfg->start_jitter + 1));
}

int agent_make_core(struct agent *a, struct buf *error)
{
	const struct agent_config *c = a->cfg;
	struct core_opts o = {.clock = agent_clock, .ops = &agent_core_ops, .ctx = a};
	int r;

	budget_init(&a->budget, c->api_qps, c->api_burst, rng_entropy());
	spread_start(a);
	o.scope.node_name = c->scope == AGENT_SCOPE_NODE ? c->node_name : NULL;
	o.scope.n_namespaces = all_namespaces(c) ? 0 : take_list(&c->namespaces, a->namespaces);
	o.scope.namespaces = a->namespaces;
	o.scope.label_selector = c->label_selector;
	o.scope.places = (a->flows || c->serve_peers) && c->scope == AGENT_SCOPE_CLUSTER;
	agent_fill_watch(a, &o.watch);
	o.watch.budget = o.owners.budget = &a->budget;
	o.watch.seed = rng_entropy();
	o.owners.seed = rng_entropy();
	o.owners.refresh = c->owner_refresh;
	o.owners.no_protobuf = o.watch.no_protobuf;
	o.inventory = inventory_defaults;
	o.max_bytes = c->inventory_max;
	o.resync_on_relist = c->resync_on_relist;
	fill_session(a, &o.session);
	r = make_config_watch(a, &o.watch);
	if (r == 0)
		r = make_resources(a, &o.watch, error);
	if (r < 0)
		return r;
	agent_resources_tap(a->resources, &o);
	r = core_new(&o, &a->core);
	return r < 0 ? r : agent_resources_join(a->resources, a->core, error);
}

int agent_make_client(struct agent *a, struct buf *error)
{
	const struct agent_config *c = a->cfg;
	char user_agent[AGENT_USER_AGENT_MAX];
	struct client_opts o = {.base = a->base,
				.cred = agent_cred(c),
				.user_agent = agent_user_agent(c, user_agent),
				.connect_timeout = c->connect_timeout,
				.budget = &a->budget,
				.no_protobuf = c->encoding == AGENT_ENCODING_JSON,
				.max_watches = core_n_watches(a->core) + 1 +
					       agent_resources_watches(a->resources)};
	int r = client_new(&o, &a->client, error);

	for (uint32_t i = 0; r == 0 && i < core_n_watches(a->core); i++) {
		struct core_watch *w = core_watch(a->core, i);

		r = client_add(a->client, w->reflector, w->path);
	}
	if (r == 0 && a->config_watch)
		r = config_watch_start(a->config_watch, a->client);
	if (r == 0)
		r = make_review(a);
	return r < 0 ? r : client_set_owners(a->client, core_owners(a->core));
}

int agent_make_conn(struct agent *a)
{
	const struct agent_config *c = a->cfg;
	const struct conn_opts o = {.base = a->base,
				    .session = core_session(a->core),
				    .host = c->intake_host,
				    .port = c->intake_port,
				    .tls = c->intake_tls,
				    .ca_file = c->intake_ca_file,
				    .connect_timeout = c->intake_connect_timeout,
				    .backoff_min = c->intake_backoff_min,
				    .backoff_max = c->intake_backoff_max,
				    .seed = rng_entropy()};

	return conn_new(&o, &a->conn);
}
