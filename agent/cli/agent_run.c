/*
 * Everything meets here: options become the core's options, the client drives its
 * reflectors, the connection runs its session, and time and signals are passed on.
 * No decision about data is made in this file.
 */
#include "cli/agent_run.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "cli/agent_node.h"
#include "cli/agent_taps.h"
#include "cli/agent_words.h"
#include "cli/cmd_help.h"
#include "config/version.h"
#include "core/core.h"
#include "kube/client.h"
#include "sink/reducer/conn.h"
#include "sink/reducer/hostinfo.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define START_JITTER  (500 * NSEC_PER_MSEC)
#define TICK_MIN      (100 * NSEC_PER_MSEC)
#define TICK_MAX      (3600 * NSEC_PER_SEC)
#define PRIORITIES    3 /* events have the middle one; the session runs when nothing else does */
#define FIGURES_EVERY (3600 * NSEC_PER_SEC)
#define MAX_NAMES     1024

struct agent {
	const struct agent_config *cfg;
	struct event_base *base;
	struct budget budget;
	struct core *core;
	struct client *client;
	struct conn *conn;
	struct taps taps;
	struct agent_node node;
	struct agent_words words;
	struct event *signals[2], *tick, *figures;
	struct str namespaces[MAX_NAMES], follow[MAX_NAMES];
	struct addr addrs[SESSION_MAX_ADDRS];
	struct session_label labels[5];
	char hostname[HOSTINFO_NAME_MAX];
	bool woken;
};

static struct timeval to_timeval(nsec_t t)
{
	return (struct timeval){.tv_sec = (time_t)(t / NSEC_PER_SEC),
				.tv_usec = (suseconds_t)(t % NSEC_PER_SEC / NSEC_PER_USEC)};
}

/* ---- what the core says ---------------------------------------------------------------------- */

static void on_changed(void *ctx)
{
	struct agent *a = ctx;

	conn_wake(a->conn);
	if (!a->woken) { /* a tick follows this turn of the loop: what is due may have changed */
		a->woken = true;
		event_active(a->tick, EV_TIMEOUT, 0);
	}
}

static void on_unauthorized(void *ctx)
{
	client_refused(((struct agent *)ctx)->client);
}

static void on_bad_object(void *ctx, const struct core_watch *w, enum decode_bad why,
			  struct str name)
{
	words_bad_object(&((struct agent *)ctx)->words, w, why, name);
}

static void on_object_refused(void *ctx, const struct core_watch *w, int r, struct str name)
{
	words_object_refused(&((struct agent *)ctx)->words, w, r, name);
}

static void on_owner_refused(void *ctx, const char *text)
{
	words_owner_refused(&((struct agent *)ctx)->words, text);
}

static void on_full(void *ctx, bool full)
{
	struct agent *a = ctx;

	if (full)
		log_warn("the inventory is over --inventory-max (%zu bytes): pods are not read for "
			 "a while, then new ones are left out until there is room",
			 a->cfg->inventory_max);
	else
		log_info("the inventory has room again: pods are listed anew");
}

static void on_owner_wanted(void *ctx)
{
	client_wake_owners(((struct agent *)ctx)->client);
}

static void on_watches_asked(void *ctx)
{
	client_wake(((struct agent *)ctx)->client);
}

static const struct core_ops core_ops = {.changed = on_changed,
					 .owner_wanted = on_owner_wanted,
					 .watches_asked = on_watches_asked,
					 .unauthorized = on_unauthorized,
					 .bad_object = on_bad_object,
					 .object_refused = on_object_refused,
					 .owner_refused = on_owner_refused,
					 .full = on_full};

static nsec_t core_clock(void *ctx)
{
	(void)ctx;
	return clock_mono();
}

/* ---- time ------------------------------------------------------------------------------------ */

static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
	struct agent *a = ctx;
	nsec_t now = clock_mono();
	nsec_t next = core_tick(a->core, now);
	struct timeval tv =
		to_timeval(MIN(MAX(next > now ? next - now : 0, TICK_MIN), (nsec_t)TICK_MAX));

	(void)fd;
	(void)what;
	a->woken = false;
	(void)evtimer_add(a->tick, &tv);
}

static void on_figures(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	words_figures(((struct agent *)ctx)->core);
}

/* ---- the agent's own node -------------------------------------------------------------------- */

static void on_node_ready(void *ctx)
{
	conn_start(((struct agent *)ctx)->conn);
}

static void on_node_late(void *ctx)
{
	conn_wake(((struct agent *)ctx)->conn);
}

static int start_node(struct agent *a)
{
	a->node = (struct agent_node){.name = a->cfg->node_name,
				      .client = a->client,
				      .session = core_session(a->core),
				      .ready = on_node_ready,
				      .late = on_node_late,
				      .ctx = a};
	return agent_node_start(&a->node, a->base);
}

/* ---- options to parts ------------------------------------------------------------------------ */

static uint32_t take_list(const struct option_list *l, struct str out[MAX_NAMES])
{
	uint32_t n = (uint32_t)MIN(l->n, (size_t)MAX_NAMES);

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

static void fill_session(struct agent *a, struct session_opts *o)
{
	const struct agent_config *c = a->cfg;
	uint32_t n = take_list(&c->follow_owners, a->follow);

	o->policy.follow_all = n == 1 && str_eq(a->follow[0], STR("*"));
	o->policy.follow = a->follow;
	o->policy.n_follow = n;
	o->waiting = (struct waiting_opts){.max = c->waiting_max, .timeout = c->waiting_timeout};
	o->version[0] = c->announce_major;
	o->version[1] = c->announce_minor;
	o->version[2] = c->announce_patch;
	o->hostname = hostname(a);
	o->n_labels = take_labels(a);
	o->labels = a->labels;
	o->cpu_cores = hostinfo_cpus();
	o->n_addrs = hostinfo_addrs(a->addrs, SESSION_MAX_ADDRS);
	o->addrs = a->addrs;
	o->heartbeat = c->heartbeat;
	o->taps = &taps_ops;
	o->taps_ctx = &a->taps;
}

static void fill_watch(const struct agent *a, struct reflector_opts *o)
{
	const struct agent_config *c = a->cfg;

	o->page_size = c->page_size;
	o->whole_lists = c->page_size == 0;
	o->no_streaming = c->streaming_list == AGENT_STREAMING_OFF;
	o->no_protobuf = c->encoding == AGENT_ENCODING_JSON;
	o->max_object = c->max_object_size;
	o->start_jitter = START_JITTER;
	o->first_byte = c->first_byte_timeout;
	o->idle = c->list_silence;
	o->watch_idle = c->watch_silence;
	o->watch_min_s = (uint32_t)(c->watch_timeout_min / NSEC_PER_SEC);
	o->watch_max_s = (uint32_t)(c->watch_timeout_max / NSEC_PER_SEC);
	o->backoff_base = c->backoff_min;
	o->backoff_cap = c->backoff_max;
}

static int make_core(struct agent *a)
{
	const struct agent_config *c = a->cfg;
	struct core_opts o = {.clock = core_clock, .ops = &core_ops, .ctx = a};

	budget_init(&a->budget, c->api_qps, c->api_burst, rng_entropy());
	o.scope.node_name = c->scope == AGENT_SCOPE_NODE ? c->node_name : NULL;
	o.scope.n_namespaces = take_list(&c->namespaces, a->namespaces);
	o.scope.namespaces = a->namespaces;
	o.scope.label_selector = c->label_selector;
	fill_watch(a, &o.watch);
	o.watch.budget = o.owners.budget = &a->budget;
	o.watch.seed = rng_entropy();
	o.owners.seed = rng_entropy();
	o.owners.refresh = c->owner_refresh;
	o.owners.no_protobuf = o.watch.no_protobuf;
	o.inventory = inventory_defaults;
	o.max_bytes = c->inventory_max;
	o.resync_on_relist = c->resync_on_relist;
	fill_session(a, &o.session);
	return core_new(&o, &a->core);
}

/* "kindred/1.2.3 (agent; node-1)": what an administrator sees in audit logs. */
static int make_client(struct agent *a, struct buf *error)
{
	const struct agent_config *c = a->cfg;
	char user_agent[512];
	struct client_opts o = {.base = a->base,
				.cred = {.api_server = c->api_server,
					 .token_file = c->token_file,
					 .ca_file = c->ca_file,
					 .client_cert = c->client_cert,
					 .client_key = c->client_key,
					 .kubeconfig = c->kubeconfig,
					 .context = c->context,
					 .exec_timeout = c->exec_timeout},
				.user_agent = user_agent,
				.connect_timeout = c->connect_timeout,
				.budget = &a->budget,
				.no_protobuf = c->encoding == AGENT_ENCODING_JSON,
				.max_watches = core_n_watches(a->core)};
	int r;

	(void)snprintf(user_agent, sizeof(user_agent), "kindred/%s (agent; %s)", kindred_version,
		       c->node_name ? c->node_name : "cluster");
	r = client_new(&o, &a->client, error);
	for (uint32_t i = 0; r == 0 && i < core_n_watches(a->core); i++) {
		struct core_watch *w = core_watch(a->core, i);

		r = client_add(a->client, w->reflector, w->path);
	}
	return r < 0 ? r : client_set_owners(a->client, core_owners(a->core));
}

static int make_conn(struct agent *a)
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

/* ---- start and stop -------------------------------------------------------------------------- */

static void on_stopped(void *ctx)
{
	(void)event_base_loopbreak(((struct agent *)ctx)->base);
}

static void on_signal(evutil_socket_t sig, short what, void *ctx)
{
	struct agent *a = ctx;

	(void)what;
	log_info("%s: stopping", sig == SIGTERM ? "SIGTERM" : "SIGINT");
	client_stop(a->client);
	(void)evtimer_del(a->tick);
	agent_node_done(&a->node);
	words_figures(a->core);
	conn_stop(a->conn, 0, on_stopped, a);
}

static int make_events(struct agent *a)
{
	const struct timeval every = to_timeval(FIGURES_EVERY);

	a->signals[0] = evsignal_new(a->base, SIGTERM, on_signal, a);
	a->signals[1] = evsignal_new(a->base, SIGINT, on_signal, a);
	a->tick = evtimer_new(a->base, on_tick, a);
	a->figures = event_new(a->base, -1, EV_PERSIST, on_figures, a);
	if (!a->signals[0] || !a->signals[1] || !a->tick || !a->figures ||
	    event_add(a->signals[0], NULL) < 0 || event_add(a->signals[1], NULL) < 0 ||
	    event_add(a->figures, &every) < 0)
		return -ENOMEM;
	return 0;
}

static int agent_init(struct agent *a, struct buf *error)
{
	int r;

	a->base = event_base_new();
	if (!a->base || event_base_priority_init(a->base, PRIORITIES) < 0)
		return -ENOMEM;
	r = taps_open(&a->taps, a->cfg->record, a->cfg->record_plain);
	if (r == 0)
		r = make_core(a);
	if (r == 0)
		r = make_events(a);
	if (r == 0)
		r = make_conn(a);
	return r < 0 ? r : make_client(a, error);
}

static void agent_done(struct agent *a)
{
	struct event *events[] = {a->signals[0], a->signals[1], a->tick, a->figures};

	agent_node_done(&a->node);
	client_free(&a->client);
	conn_free(&a->conn);
	core_free(&a->core);
	for (size_t i = 0; i < ARRAY_SIZE(events); i++)
		if (events[i])
			event_free(events[i]);
	taps_close(&a->taps);
	if (a->base)
		event_base_free(a->base);
}

static void log_start(const struct agent *a)
{
	const struct agent_config *c = a->cfg;

	log_info("kindred %s (%s): %s scope%s%s, API server %s, reducer %s port %u",
		 kindred_version, kindred_commit, c->scope == AGENT_SCOPE_NODE ? "node" : "cluster",
		 c->node_name ? ", node " : "", c->node_name ? c->node_name : "",
		 client_source(a->client), c->intake_host, c->intake_port);
}

static int agent_loop(struct agent *a)
{
	int r;

	log_start(a);
	client_start(a->client);
	on_tick(-1, 0, a);
	r = start_node(a);
	if (r < 0)
		return log_err(r, "cannot start");
	return event_base_dispatch(a->base) < 0 ? -EIO : 0;
}

int agent_run(const struct agent_config *cfg)
{
	struct agent *a = calloc(1, sizeof(*a));
	_buf_ struct buf error = {.max = 4096};
	int r, code = EXIT_USAGE; /* what fails before the loop was asked for wrongly */

	if (!a) {
		(void)log_err(-ENOMEM, "cannot start");
		return EXIT_FAILED;
	}
	a->cfg = cfg;
	r = agent_init(a, &error);
	if (r < 0)
		log_error("cannot start: %.*s",
			  STR_ARG(buf_str(&error).n ? buf_str(&error) : str_of(strerror(-r))));
	else
		code = agent_loop(a) < 0 ? EXIT_FAILED : EXIT_OK;
	agent_done(a);
	free(a);
	return code;
}
