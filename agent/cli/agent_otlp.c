/* The collector's sink, from options; see agent_otlp.h. */
#include "cli/agent_otlp.h"

#include "base/json_out.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "config/version.h"
#include "http/http.h"
#include "serve/ready.h"
#include "sink/jsonl/line.h"
#include "sink/metrics/prom.h"
#include "sink/otlp/otlp.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STOP_PATIENCE (5 * NSEC_PER_SEC) /* for what waits when the agent stops */

struct agent_otlp {
	struct agent_otlp_opts o;
	struct http *http;
	struct otlp *sink;	    /* NULL: it stands by */
	void (*stopped)(void *ctx); /* whom agent_otlp_stop is to tell */
	void *stopped_ctx;
};

/* ---- making ---------------------------------------------------------------------------------- */

static bool has(const struct option_list *l, const char *word)
{
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->v[i], word) == 0)
			return true;
	return false;
}

static struct otlp_tuning tuning_of(const struct agent_config *c)
{
	struct otlp_tuning t = {
		.interval = c->otlp_interval, .max_series = c->flow_series, .gzip = c->otlp_gzip};

	for (int e = 0; e < _LINE_EVENT_MAX; e++)
		if (has(&c->otlp_events, line_event_name((enum line_event)e)))
			t.events |= 1U << e;
	return t;
}

static void on_stopped(void *ctx)
{
	struct agent_otlp *o = ctx;
	void (*stopped)(void *) = o->stopped;

	o->stopped = NULL;
	if (stopped)
		stopped(o->stopped_ctx);
}

static int make_sink(struct agent_otlp *o)
{
	const struct agent_config *c = o->o.cfg;
	const struct otlp_opts opts = {
		.base = o->o.base,
		.http = o->http,
		.flows = o->o.flows,
		.url = c->otlp,
		.points = has(&c->otlp_signals, "metrics"),
		.records = has(&c->otlp_signals, "logs"),
		.batch = c->otlp_batch,
		.source = {.version = str_of(kindred_version),
			   .host = o->o.host,
			   .node = str_of(c->node_name),
			   .cluster = str_of(c->cluster_name ? c->cluster_name : c->agent_cluster)},
		.access = {.token_file = c->otlp_token_file,
			   .ca_file = c->otlp_ca_file,
			   .insecure = c->otlp_insecure,
			   .timeout = c->otlp_timeout},
		.headers_file = c->otlp_headers_file,
		.tuning = tuning_of(c),
		.seed = rng_entropy(),
		.stopped = on_stopped,
		.ctx = o,
	};
	_buf_ struct buf error = {.max = 1024};
	int r = otlp_new(&opts, &o->sink, &error);

	if (r < 0)
		log_error("--otlp %s: %.*s", c->otlp,
			  STR_ARG(error.n ? buf_str(&error) : str_of(strerror(-r))));
	return r;
}

static int make_http(struct agent_otlp *o)
{
	char user_agent[128];
	const struct http_opts http = {.base = o->o.base, .user_agent = user_agent};

	(void)snprintf(user_agent, sizeof(user_agent), "kindred/%s", kindred_version);
	return http_new(&http, &o->http);
}

int agent_otlp_new(const struct agent_otlp_opts *opts, struct agent_otlp **ret)
{
	struct agent_otlp *o;
	int r;

	*ret = NULL;
	if (!opts->cfg->otlp)
		return 0;
	if (!opts->flows) {
		log_warn("--otlp: flows are off, and there is nothing to tell");
		return 0;
	}
	o = calloc(1, sizeof(*o));
	if (!o)
		return log_err(-ENOMEM, "--otlp");
	o->o = *opts;
	r = make_http(o);
	r = r < 0 ? log_err(r, "--otlp") : make_sink(o);
	if (r < 0) {
		agent_otlp_free(&o);
		return r;
	}
	if (opts->standby)
		agent_otlp_drop(o);
	*ret = o;
	return 0;
}

void agent_otlp_free(struct agent_otlp **op)
{
	struct agent_otlp *o = *op;

	*op = NULL;
	if (!o)
		return;
	otlp_free(&o->sink);
	http_free(&o->http);
	free(o);
}

int agent_otlp_lead(struct agent_otlp *o)
{
	return !o || o->sink ? 0 : make_sink(o);
}

void agent_otlp_drop(struct agent_otlp *o)
{
	if (!o || !o->sink)
		return;
	otlp_free(&o->sink);
	on_stopped(o);
}

/* ---- asked by the agent ---------------------------------------------------------------------- */

void agent_otlp_changed(struct agent_otlp *o)
{
	if (o && o->sink)
		otlp_changed(o->sink);
}

void agent_otlp_tune(struct agent_otlp *o)
{
	struct otlp_tuning t;

	if (!o || !o->sink)
		return;
	t = tuning_of(o->o.cfg);
	otlp_tune(o->sink, &t);
}

void agent_otlp_stop(struct agent_otlp *o, void (*done)(void *ctx), void *ctx)
{
	if (!o || !o->sink) {
		done(ctx);
		return;
	}
	o->stopped = done;
	o->stopped_ctx = ctx;
	otlp_stop(o->sink, STOP_PATIENCE);
}

void agent_otlp_hurry(struct agent_otlp *o)
{
	if (o && o->stopped)
		otlp_stop(o->sink, 0);
}

/* ---- what is told ---------------------------------------------------------------------------- */

static bool stats_of(const struct agent_otlp *o, int signal, struct otlp_stats *ret)
{
	return o && o->sink && otlp_stats(o->sink, (enum otlp_signal)signal, ret);
}

static const char *name_of(int signal)
{
	return otlp_signal_name((enum otlp_signal)signal);
}

static uint64_t age(nsec_t then)
{
	const nsec_t now = clock_mono();

	return then && now > then ? (now - then) / NSEC_PER_SEC : 0;
}

static void put_signal(const struct agent_otlp *o, int signal, struct json_out *j)
{
	char name[512];
	struct otlp_stats s;

	if (!stats_of(o, signal, &s))
		return;
	(void)snprintf(name, sizeof(name), "otlp:%s/v1/%s", o->o.cfg->otlp, name_of(signal));
	json_open(j, NULL, '{');
	json_text(j, "name", str_of(name));
	json_text(j, "type", STR("otlp"));
	json_text(j, "health", s.post.failing ? STR("failing") : STR("ok"));
	json_some(j, "reason", s.post.words);
	json_u64(j, "since_seconds", age(s.post.since));
	json_u64(j, "waiting", s.waiting);
	json_u64(j, "oldest_seconds", age(s.oldest));
	json_u64(j, "sent", s.sent);
	for (int l = 0; l < _OTLP_LOST_MAX; l++)
		json_u64(j, otlp_lost_name((enum otlp_lost)l), s.lost[l]);
	json_u64(j, "requests", s.post.requests);
	json_u64(j, "retries", s.post.retries);
	json_u64(j, "bytes", s.bytes);
	json_close(j, '{');
}

void agent_otlp_put(const struct agent_otlp *o, struct json_out *j)
{
	for (int i = 0; i < _OTLP_SIGNAL_MAX; i++)
		put_signal(o, i, j);
}

static const struct {
	const char *name, *type, *help;
} families[] = {
	{"kindred_otlp_sent_total", "counter",
	 "Points of metrics, and records of flows, that the collector took."},
	{"kindred_otlp_requests_total", "counter", "Requests to the collector."},
	{"kindred_otlp_retries_total", "counter", "Requests that are told again after a pause."},
	{"kindred_otlp_body_bytes_total", "counter",
	 "Bytes of requests' bodies, as they were sent."},
	{"kindred_otlp_waiting", "gauge",
	 "Records of the batch that the collector has yet to take."},
	{"kindred_otlp_oldest_seconds", "gauge", "How long the oldest of them has waited."},
	{"kindred_otlp_healthy", "gauge", "1 while the collector takes what it is told."},
};

/* In the order of the families. */
static void figures_of(const struct otlp_stats *s, uint64_t ret[ARRAY_SIZE(families)])
{
	const uint64_t v[] = {s->sent,	  s->post.requests, s->post.retries, s->post.bytes,
			      s->waiting, age(s->oldest),   !s->post.failing};

	_Static_assert(sizeof(v) == ARRAY_SIZE(families) * sizeof(*v), "one for each");
	memcpy(ret, v, sizeof(v));
}

static void put_family(const struct agent_otlp *o, struct prom *p, size_t f)
{
	uint64_t figures[ARRAY_SIZE(families)];
	struct otlp_stats s;

	prom_family(p, families[f].name, families[f].type, families[f].help);
	for (int i = 0; i < _OTLP_SIGNAL_MAX; i++) {
		if (!stats_of(o, i, &s))
			continue;
		figures_of(&s, figures);
		prom_named(p, families[f].name, "signal", name_of(i), figures[f]);
	}
}

static void put_lost(const struct agent_otlp *o, struct prom *p)
{
	static const char name[] = "kindred_otlp_lost_total";
	struct otlp_stats s;
	char labels[64];

	prom_family(
		p, name, "counter",
		"Points and records that did not reach the collector, by cause: rejected "
		"(partial success), refused, unconfirmed (an answer that is none), too_long; slow: "
		"flows that ended and were given up; stopped: not taken before the agent stopped.");
	for (int i = 0; i < _OTLP_SIGNAL_MAX; i++) {
		if (!stats_of(o, i, &s))
			continue;
		for (int l = 0; l < _OTLP_LOST_MAX; l++) {
			(void)snprintf(labels, sizeof(labels), "signal=\"%s\",cause=\"%s\"",
				       name_of(i), otlp_lost_name((enum otlp_lost)l));
			prom_u64(p, name, str_of(labels), s.lost[l]);
		}
	}
}

void agent_otlp_series(const struct agent_otlp *o, struct prom *p)
{
	for (size_t f = 0; f < ARRAY_SIZE(families); f++)
		put_family(o, p, f);
	put_lost(o, p);
}

void agent_otlp_figures(const struct agent_otlp *o)
{
	struct otlp_stats s;
	uint64_t lost;

	for (int i = 0; i < _OTLP_SIGNAL_MAX; i++) {
		if (!stats_of(o, i, &s))
			continue;
		lost = 0;
		for (int l = 0; l < _OTLP_LOST_MAX; l++)
			lost += s.lost[l];
		log_info("otlp %s: %s; sent %" PRIu64 ", lost %" PRIu64 ", waiting %" PRIu64
			 ", requests %" PRIu64 ", tried again %" PRIu64,
			 name_of(i), s.post.failing ? "failing" : "ok", s.sent, lost, s.waiting,
			 s.post.requests, s.post.retries);
	}
}

size_t agent_otlp_bytes(const struct agent_otlp *o)
{
	struct otlp_stats s;
	size_t n = 0;

	for (int i = 0; i < _OTLP_SIGNAL_MAX; i++)
		n += stats_of(o, i, &s) ? s.bytes : 0;
	return n;
}

void agent_otlp_ready(const struct agent_otlp *o, nsec_t now, nsec_t grace, struct ready *r)
{
	for (int i = 0; i < _OTLP_SIGNAL_MAX; i++) {
		struct otlp_stats s;
		char name[32];

		if (!stats_of(o, i, &s))
			continue;
		(void)snprintf(name, sizeof(name), "otlp %s", name_of(i));
		if (s.post.failing)
			ready_put(r, name, now - s.post.since <= grace,
				  "failing for %" PRIu64 " s: %.*s", age(s.post.since),
				  STR_ARG(s.post.words));
		else
			ready_put(r, name, true, "ok");
	}
}
