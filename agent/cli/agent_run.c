/*
 * Everything meets here: the client drives its reflectors, the connection runs its
 * session, the kernel's records go to the flow table, and time and signals are
 * passed on. No decision about data is made in this file.
 */
#include "cli/agent_run.h"

#include "base/log.h"
#include "base/mem.h"
#include "cli/agent_parts.h"
#include "cli/cmd_help.h"

#include <errno.h>
#include <event2/event.h>
#include <limits.h>
#include <signal.h>
#include <string.h>

#define TICK_MIN      (100 * NSEC_PER_MSEC)
#define TICK_MAX      (3600 * NSEC_PER_SEC)
#define PRIORITIES    3 /* events have the middle one; the session runs when nothing else does */
#define FIGURES_EVERY (3600 * NSEC_PER_SEC)
#define SLICE_MS      5

/* ---- what the core says ---------------------------------------------------------------------- */

static void on_changed(void *ctx)
{
	struct agent *a = ctx;

	conn_wake(a->conn);
	if (a->flows)
		agent_flows_wake(a->flows);
	agent_publish_wake(a->publish);
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

const struct core_ops agent_core_ops = {.changed = on_changed,
					.owner_wanted = on_owner_wanted,
					.watches_asked = on_watches_asked,
					.unauthorized = on_unauthorized,
					.bad_object = on_bad_object,
					.object_refused = on_object_refused,
					.owner_refused = on_owner_refused,
					.full = on_full};

nsec_t agent_clock(void *ctx)
{
	(void)ctx;
	return clock_mono();
}

void agent_on_flows(void *ctx)
{
	struct agent *a = ctx;

	conn_wake(a->conn);
	agent_otlp_changed(a->otlp);
	if (a->serve)
		serve_changed(a->serve);
}

/* ---- time ------------------------------------------------------------------------------------ */

static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
	struct agent *a = ctx;
	nsec_t now = clock_mono();
	nsec_t next = core_tick(a->core, now);
	struct timeval tv =
		clock_timeval(MIN(MAX(next > now ? next - now : 0, TICK_MIN), (nsec_t)TICK_MAX));

	(void)fd;
	(void)what;
	a->woken = false;
	agent_refresh_scope(a);
	agent_lead_tick(a, now);
	(void)evtimer_add(a->tick, &tv);
}

static void say_figures(struct agent *a)
{
	words_figures(a->core);
	if (a->resources)
		agent_resources_figures(a->resources);
	agent_sinks_figures(a->sinks);
	if (a->flows)
		words_flows(agent_flows_table(a->flows));
	if (a->flows && agent_flows_jsonl(a->flows))
		words_jsonl(agent_flows_jsonl(a->flows));
	agent_otlp_figures(a->otlp);
}

static void on_figures(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	say_figures(ctx);
}

/* ---- the agent's own node -------------------------------------------------------------------- */

static void on_node_ready(void *ctx)
{
	agent_lead_node_known(ctx);
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
				      .inventory = a->flows ? core_inventory(a->core) : NULL,
				      .ready = on_node_ready,
				      .late = on_node_late,
				      .ctx = a};
	return agent_node_start(&a->node, a->base);
}

/* ---- start and stop -------------------------------------------------------------------------- */

static void on_released(void *ctx)
{
	(void)event_base_loopbreak(((struct agent *)ctx)->base);
}

/* Nothing more is written: another agent may lead. */
static void on_stopped(void *ctx)
{
	agent_lead_release(ctx, on_released);
}

/* One of the two kinds of sinks has said its last words. */
static void on_said(void *ctx)
{
	struct agent *a = ctx;

	if (--a->speaking)
		return;
	say_figures(a);
	conn_stop(a->conn, 0, on_stopped, a);
}

static void stop(struct agent *a)
{
	if (a->stopping) { /* asked again: whoever asks is in a hurry */
		agent_otlp_hurry(a->otlp);
		agent_sinks_hurry(a->sinks);
		return;
	}
	a->stopping = true;
	client_stop(a->client);
	if (a->resources)
		agent_resources_stop(a->resources);
	(void)evtimer_del(a->tick);
	if (a->flows)
		agent_flows_stop(a->flows);
	agent_node_done(&a->node);
	agent_peers_stop(a->peers);
	a->speaking = 2;
	agent_otlp_stop(a->otlp, on_said, a);
	agent_sinks_stop(a->sinks, on_said, a);
}

static void on_signal(evutil_socket_t sig, short what, void *ctx)
{
	(void)what;
	log_info("%s: stopping", sig == SIGTERM ? "SIGTERM" : "SIGINT");
	stop(ctx);
}

void agent_fail(struct agent *a)
{
	log_error("cannot go on: stopping");
	a->failed = true;
	stop(a);
}

/* A file that was moved away (logrotate) is let go of, and the configuration is read again. */
static void on_hangup(evutil_socket_t sig, short what, void *ctx)
{
	struct agent *a = ctx;

	(void)sig;
	(void)what;
	if (a->flows)
		agent_flows_reopen(a->flows);
	agent_sinks_reopen(a->sinks);
	reload_now(a->reload, "SIGHUP");
}

static int make_events(struct agent *a)
{
	const struct timeval every = clock_timeval(FIGURES_EVERY);

	a->signals[0] = evsignal_new(a->base, SIGTERM, on_signal, a);
	a->signals[1] = evsignal_new(a->base, SIGINT, on_signal, a);
	a->signals[2] = evsignal_new(a->base, SIGHUP, on_hangup, a);
	a->tick = evtimer_new(a->base, on_tick, a);
	a->figures = event_new(a->base, -1, EV_PERSIST, on_figures, a);
	if (!a->signals[0] || !a->signals[1] || !a->signals[2] || !a->tick || !a->figures ||
	    event_add(a->signals[0], NULL) < 0 || event_add(a->signals[1], NULL) < 0 ||
	    event_add(a->signals[2], NULL) < 0 || event_add(a->figures, &every) < 0)
		return -ENOMEM;
	return 0;
}

/* Events of the highest priority (elector.h) wait for one callback, not for all that are ready,
 * when more time has passed than callbacks take. */
static struct event_base *make_base(void)
{
	const struct timeval slice = {.tv_usec = SLICE_MS * 1000};
	struct event_config *c = event_config_new();
	struct event_base *base = NULL;

	if (c && event_config_set_max_dispatch_interval(c, &slice, INT_MAX, 1) == 0)
		base = event_base_new_with_config(c);
	if (base && event_base_priority_init(base, PRIORITIES) < 0) {
		event_base_free(base);
		base = NULL;
	}
	if (c)
		event_config_free(c);
	return base;
}

static int agent_init(struct agent *a, struct agent_config *cfg, const struct options *options,
		      struct buf *error)
{
	int r;

	a->base = make_base();
	if (!a->base)
		return -ENOMEM;
	r = taps_open(&a->taps, a->cfg->record, a->cfg->record_plain);
	a->n_addrs = hostinfo_addrs(a->addrs, SESSION_MAX_ADDRS);
	agent_fill_policy(a, &a->policy);
	if (r == 0)
		r = agent_lead_new(a, error);
	if (r == 0)
		r = agent_make_flows(a);
	if (r == 0)
		r = agent_make_core(a, error);
	if (r == 0)
		r = agent_make_peers(a, error);
	if (r == 0)
		r = agent_join_flows(a);
	if (r == 0)
		r = make_events(a);
	if (r == 0)
		r = loop_lag_start(&a->lag, a->base);
	if (r == 0)
		r = agent_make_conn(a);
	if (r == 0)
		r = agent_make_sinks(a);
	if (r == 0)
		r = agent_make_otlp(a);
	if (r == 0)
		r = agent_make_serve(a);
	if (r == 0)
		r = agent_make_reload(a, cfg, options);
	return r < 0 ? r : agent_make_client(a, error);
}

static void agent_done(struct agent *a)
{
	struct event *events[] = {a->signals[0], a->signals[1], a->signals[2], a->tick, a->figures};

	agent_node_done(&a->node);
	loop_lag_done(&a->lag);
	review_free(&a->review);
	agent_lead_free(a);
	client_free(&a->client);
	conn_free(&a->conn);
	serve_free(&a->serve);
	agent_sinks_free(&a->sinks);
	agent_otlp_free(&a->otlp);
	config_watch_free(&a->config_watch);
	agent_resources_free(&a->resources);
	agent_flows_leave(a->flows);
	agent_peers_free(&a->peers);
	agent_publish_free(&a->publish);
	core_free(&a->core);
	agent_flows_free(&a->flows);
	for (size_t i = 0; i < ARRAY_SIZE(events); i++)
		if (events[i])
			event_free(events[i]);
	taps_close(&a->taps);
	file_watch_free(&a->file_watch);
	reload_free(&a->reload);
	if (a->base)
		event_base_free(a->base);
}

static int agent_loop(struct agent *a)
{
	int r;

	client_start(a->client);
	if (a->resources)
		agent_resources_start(a->resources, a->client);
	if (a->flows)
		agent_flows_start(a->flows);
	on_tick(-1, 0, a);
	agent_peers_start(a->peers);
	agent_lead_start(a);
	r = start_node(a);
	if (r < 0)
		return log_err(r, "cannot start");
	return event_base_dispatch(a->base) < 0 || a->failed ? -EIO : 0;
}

/* A line each: words about an expression have a mark under the fault. */
static void say_cannot_start(struct str words)
{
	const char *what = "cannot start: ";
	struct str line;

	while (words.n) {
		(void)str_split(&words, '\n', &line);
		log_error("%s%.*s", what, STR_ARG(line));
		what = "";
	}
}

int agent_run(struct agent_config *cfg, const struct options *options)
{
	struct agent *a = calloc(1, sizeof(*a));
	_buf_ struct buf error = {.max = 4096};
	int r, code = EXIT_USAGE; /* what fails before the loop was asked for wrongly */

	if (!a) {
		(void)log_err(-ENOMEM, "cannot start");
		return EXIT_FAILED;
	}
	a->cfg = cfg;
	r = agent_init(a, cfg, options, &error);
	if (r < 0) {
		say_cannot_start(error.n ? buf_str(&error) : str_of(strerror(-r)));
	} else {
		agent_say_start(a, options);
		code = agent_loop(a) < 0 ? EXIT_FAILED : EXIT_OK;
	}
	agent_done(a);
	free(a);
	return code;
}
