/* Graph and event sinks; see agent_streams.h. */
#include "cli/agent_streams.h"

#include "base/json_out.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "serve/ready.h"
#include "sink/metrics/prom.h"
#include "sink/loop.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define STREAMS_MAX 8
#define LOOK_S	    1 /* between two looks at their health */

struct stream {
	const char *spec;
	struct graph_backend *backend;
	struct graph *graph;	/* NULL: events */
	struct sink_loop *loop; /* of a graph */
	struct events *events;	/* NULL: a graph */
	bool failing;		/* as told last */
};

struct agent_streams {
	struct agent_streams_opts o;
	struct sink_filter graph_filter, events_filter;
	struct stream v[STREAMS_MAX];
	unsigned n;
	struct capabilities *capabilities; /* NULL: not wanted */
	bool capabilities_failing;	   /* as told last */
	struct event *look;
};

/* ---- the loop -------------------------------------------------------------------------------- */

static void status_of(const struct stream *s, struct relay_status *ret)
{
	if (s->graph)
		graph_status(s->graph, ret);
	else
		events_status(s->events, ret);
}

static const char *type_of(const struct stream *t)
{
	return t->graph ? "graph" : "events";
}

/* Each change once. */
static void tell(bool *was_failing, bool failing, const char *type, const char *where,
		 struct str words)
{
	if (failing == *was_failing)
		return;
	*was_failing = failing;
	if (failing)
		log_warn("%s %s: %.*s", type, where, STR_ARG(words));
	else
		log_info("%s %s: goes on", type, where);
}

static void on_look(evutil_socket_t fd, short what, void *ctx)
{
	struct agent_streams *s = ctx;
	struct capabilities_status told;
	struct relay_status st;

	(void)fd;
	(void)what;
	for (unsigned i = 0; i < s->n; i++) {
		status_of(&s->v[i], &st);
		tell(&s->v[i].failing, st.failing, type_of(&s->v[i]), s->v[i].spec, st.words);
	}
	if (!s->capabilities)
		return;
	capabilities_status(s->capabilities, &told);
	tell(&s->capabilities_failing, told.failing, "capabilities", s->o.cfg->capabilities,
	     str_of(told.words));
}

static nsec_t run_graph(void *ctx, nsec_t now, nsec_t wall)
{
	return graph_run(((struct stream *)ctx)->graph, now, wall);
}

static void on_wake(void *ctx)
{
	sink_loop_wake(((struct stream *)ctx)->loop);
}

static nsec_t now_of(void *ctx)
{
	(void)ctx;
	return clock_mono();
}

/* ---- making ---------------------------------------------------------------------------------- */

static int complain(const char *option, const char *spec, int r, const struct buf *error)
{
	if (error->n)
		log_error("%s %s: %.*s", option, spec, STR_ARG(buf_str(error)));
	else
		log_error("%s %s: %s", option, spec, strerror(-r));
	return r;
}

static struct service_access access_of(const struct agent_config *c)
{
	return (struct service_access){.token_file = c->vector_token_file,
				       .header = c->vector_header,
				       .ca_file = c->vector_ca_file,
				       .insecure = c->vector_insecure};
}

static struct stream *stream_add(struct agent_streams *s, const char *spec)
{
	struct stream *t = &s->v[s->n++];

	t->spec = spec;
	return t;
}

static int make_backend(struct agent_streams *s, struct stream *t)
{
	const struct service_access access = access_of(s->o.cfg);
	struct graph_backend_opts o = {.base = s->o.base,
				       .http = s->o.http,
				       .spec = str_of(t->spec),
				       .cluster = str_of(s->o.cfg->cluster_name),
				       .epoch = clock_wall() / NSEC_PER_SEC,
				       .access = &access};
	_buf_ struct buf error = {.max = 1024};
	int r = 0;

	if (strncmp(t->spec, "sqlite:", 7) == 0)
		r = agent_files_get(s->o.files, t->spec + 7, &o.worker);
	if (r < 0)
		return r; /* logged */
	r = graph_backend_new(&o, &t->backend, &error);
	return r < 0 ? complain("--graph", t->spec, r, &error) : 0;
}

static int make_graph(struct agent_streams *s, const char *spec)
{
	struct stream *t = stream_add(s, spec);
	struct graph_opts o = {.store = s->o.store,
			       .filter = &s->graph_filter,
			       .hold_initial = s->o.cfg->hold_initial,
			       .seed = rng_entropy(),
			       .wake = on_wake,
			       .now = now_of,
			       .ctx = t};
	int r = make_backend(s, t);

	o.backend = t->backend;
	if (r == 0)
		r = sink_loop_new(s->o.base, run_graph, t, &t->loop);
	if (r == 0)
		r = graph_new(&o, &t->graph);
	if (r == 0)
		on_wake(t);
	return r;
}

static int make_events(struct agent_streams *s, const char *spec)
{
	struct stream *t = stream_add(s, spec);
	const struct events_opts o = {.base = s->o.base,
				      .http = s->o.http,
				      .store = s->o.store,
				      .filter = &s->events_filter,
				      .hold_initial = s->o.cfg->hold_initial,
				      .spec = str_of(spec),
				      .cluster = str_of(s->o.cfg->cluster_name),
				      .access = access_of(s->o.cfg),
				      .seed = rng_entropy()};
	_buf_ struct buf error = {.max = 1024};
	int r = events_new(&o, &t->events, &error);

	return r < 0 ? complain("--events", spec, r, &error) : 0;
}

static int make_capabilities(struct agent_streams *s)
{
	const struct agent_config *c = s->o.cfg;
	const struct capabilities_opts o = {.base = s->o.base,
					    .http = s->o.http,
					    .store = s->o.store,
					    .url = str_of(c->capabilities),
					    .debounce = c->debounce,
					    .access = access_of(c),
					    .seed = rng_entropy()};
	_buf_ struct buf error = {.max = 1024};
	int r;

	if (!c->capabilities)
		return 0;
	r = capabilities_new(&o, &s->capabilities, &error);
	return r < 0 ? complain("--capabilities", c->capabilities, r, &error) : 0;
}

static int make_filters(struct agent_streams *s)
{
	const struct agent_config *c = s->o.cfg;
	_buf_ struct buf error = {.max = 1024};
	int r = sink_filter_init(&s->graph_filter, str_of(c->graph_filter), &error);

	if (r < 0)
		return complain("--graph-filter", c->graph_filter, r, &error);
	r = sink_filter_init(&s->events_filter, str_of(c->events_filter), &error);
	return r < 0 ? complain("--events-filter", c->events_filter, r, &error) : 0;
}

static int make_look(struct agent_streams *s)
{
	const struct timeval tv = {.tv_sec = LOOK_S};

	s->look = event_new(s->o.base, -1, EV_PERSIST, on_look, s);
	return s->look && event_add(s->look, &tv) == 0 ? 0 : -ENOMEM;
}

int agent_streams_new(const struct agent_streams_opts *o, struct agent_streams **ret)
{
	const struct agent_config *c = o->cfg;
	struct agent_streams *s;
	int r;

	*ret = NULL;
	if (!c->graph.n && !c->events.n && !c->capabilities)
		return 0;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->o = *o;
	r = make_filters(s);
	for (size_t i = 0; r == 0 && i < c->graph.n && s->n < STREAMS_MAX; i++)
		r = make_graph(s, c->graph.v[i]);
	for (size_t i = 0; r == 0 && i < c->events.n && s->n < STREAMS_MAX; i++)
		r = make_events(s, c->events.v[i]);
	if (r == 0)
		r = make_capabilities(s);
	if (r == 0)
		r = make_look(s);
	if (r < 0) {
		agent_streams_free(&s);
		return r;
	}
	*ret = s;
	return 0;
}

void agent_streams_free(struct agent_streams **sp)
{
	struct agent_streams *s = *sp;

	if (!s)
		return;
	if (s->look)
		event_free(s->look);
	for (unsigned i = 0; i < s->n; i++) {
		graph_free(&s->v[i].graph);
		graph_backend_free(&s->v[i].backend);
		events_free(&s->v[i].events);
		sink_loop_free(&s->v[i].loop);
	}
	capabilities_free(&s->capabilities);
	sink_filter_done(&s->graph_filter);
	sink_filter_done(&s->events_filter);
	free(s);
	*sp = NULL;
}

void agent_streams_drop(struct agent_streams *s)
{
	for (unsigned i = 0; s && i < s->n; i++)
		if (s->v[i].events)
			events_drop(s->v[i].events);
		else
			graph_backend_drop(s->v[i].backend);
}

/* ---- asked by the agent ---------------------------------------------------------------------- */

static void resync(struct stream *t)
{
	if (t->graph)
		graph_resync(t->graph);
	else
		events_resync(t->events);
}

void agent_streams_resync(struct agent_streams *s)
{
	for (unsigned i = 0; s && i < s->n; i++)
		resync(&s->v[i]);
}

/* `graphs` or the events: all are looked at again when their filter is another one. */
static void tune_filter(struct agent_streams *s, struct sink_filter *f, const char *text,
			bool graphs)
{
	_buf_ struct buf error = {.max = 1024};

	if (sink_filter_change(f, str_of(text), &error) != 1) /* a bad one was refused before */
		return;
	for (unsigned i = 0; i < s->n; i++)
		if (!s->v[i].graph == !graphs)
			resync(&s->v[i]);
}

void agent_streams_tune(struct agent_streams *s)
{
	if (!s)
		return;
	tune_filter(s, &s->graph_filter, s->o.cfg->graph_filter, true);
	tune_filter(s, &s->events_filter, s->o.cfg->events_filter, false);
	if (s->capabilities)
		capabilities_tune(s->capabilities, s->o.cfg->debounce);
}

bool agent_streams_resync_one(struct agent_streams *s, struct str name)
{
	for (unsigned i = 0; s && i < s->n; i++)
		if (str_eq(str_of(s->v[i].spec), name)) {
			resync(&s->v[i]);
			return true;
		}
	return false;
}

void agent_streams_reopen(struct agent_streams *s)
{
	for (unsigned i = 0; s && i < s->n; i++)
		if (s->v[i].events)
			events_reopen(s->v[i].events);
}

struct worker *agent_streams_graph(struct agent_streams *s)
{
	struct worker *w = NULL;

	for (unsigned i = 0; s && i < s->n; i++)
		if (s->v[i].graph && strncmp(s->v[i].spec, "sqlite:", 7) == 0 &&
		    agent_files_get(s->o.files, s->v[i].spec + 7, &w) == 0)
			return w;
	return NULL;
}

/* ---- what is told ---------------------------------------------------------------------------- */

static void put_head(struct json_out *j, const char *name, const char *type, bool failing,
		     struct str words)
{
	json_text(j, "name", str_of(name));
	json_text(j, "type", str_of(type));
	json_text(j, "health", failing ? STR("failing") : STR("ok"));
	json_some(j, "reason", words);
}

static void put_stream(const struct stream *t, struct json_out *j)
{
	struct relay_status st;

	status_of(t, &st);
	json_open(j, NULL, '{');
	put_head(j, t->spec, type_of(t), st.failing, st.words);
	json_u64(j, "lag_changes", st.lag);
	json_u64(j, "ready", st.ready);
	json_u64(j, "applied", st.told[RELAY_APPLIED]);
	json_u64(j, "deleted", st.told[RELAY_DELETED]);
	json_u64(j, "restarted", st.told[RELAY_RESTARTED]);
	json_u64(j, "unchanged", st.unchanged);
	json_u64(j, "left_out", st.left_out);
	json_u64(j, "retries", st.retries);
	json_u64(j, "lost", st.lost);
	json_u64(j, "bytes", st.bytes);
	json_close(j, '{');
}

static void put_capabilities(const struct capabilities *c, struct json_out *j)
{
	struct capabilities_status st;

	capabilities_status(c, &st);
	json_open(j, NULL, '{');
	put_head(j, "capabilities", "capabilities", st.failing, str_of(st.words));
	json_u64(j, "names", st.names);
	json_u64(j, "waiting", st.waiting);
	json_u64(j, "upserts", st.upserts);
	json_u64(j, "deletes", st.deletes);
	json_u64(j, "requests", st.requests);
	json_u64(j, "retries", st.retries);
	json_u64(j, "left_out", st.left_out);
	json_close(j, '{');
}

void agent_streams_put(struct agent_streams *s, struct json_out *j)
{
	for (unsigned i = 0; s && i < s->n; i++)
		put_stream(&s->v[i], j);
	if (s && s->capabilities)
		put_capabilities(s->capabilities, j);
}

static const struct {
	const char *name, *type, *help;
} families[] = {
	{"kindred_stream_told_total", "counter",
	 "Changes of objects that the graph or event sink has told."},
	{"kindred_stream_left_out_total", "counter", "Objects that were refused, or not readable."},
	{"kindred_stream_retries_total", "counter", "Batches that are told again after a pause."},
	{"kindred_stream_lag_changes", "gauge", "Changes of resources not looked at yet."},
	{"kindred_stream_lag_seconds", "gauge", "How long the oldest change has waited."},
	{"kindred_stream_healthy", "gauge", "1 while what is told is taken."},
	{"kindred_stream_bytes", "gauge", "Memory of marks and the batch under way."},
};

/* In the order of the families. */
static void figures_of(const struct relay_status *st, uint64_t ret[ARRAY_SIZE(families)])
{
	const uint64_t v[] = {
		st->told[RELAY_APPLIED] + st->told[RELAY_DELETED] + st->told[RELAY_RESTARTED],
		st->left_out,
		st->retries,
		st->lag,
		st->behind && clock_mono() > st->behind ? (clock_mono() - st->behind) / NSEC_PER_SEC
							: 0,
		!st->failing,
		st->bytes,
	};

	memcpy(ret, v, sizeof(v));
}

int agent_streams_series(struct agent_streams *s, struct buf *out)
{
	struct prom p = {.out = out};

	for (size_t f = 0; f < ARRAY_SIZE(families); f++) {
		prom_family(&p, families[f].name, families[f].type, families[f].help);
		for (unsigned i = 0; s && i < s->n; i++) {
			uint64_t figures[ARRAY_SIZE(families)];
			_buf_ struct buf labels = {.max = 2048};
			struct prom l = {.out = &labels};
			struct relay_status st;

			status_of(&s->v[i], &st);
			figures_of(&st, figures);
			prom_label(&l, "sink", str_of(type_of(&s->v[i])));
			prom_label(&l, "where", str_of(s->v[i].spec));
			prom_u64(&p, families[f].name, buf_str(&labels), figures[f]);
		}
	}
	return p.r;
}

void agent_streams_figures(struct agent_streams *s)
{
	for (unsigned i = 0; s && i < s->n; i++) {
		struct relay_status st;

		status_of(&s->v[i], &st);
		log_info("%s %s: %s; applied %" PRIu64 ", deleted %" PRIu64 ", restarted %" PRIu64
			 ", unchanged %" PRIu64 ", left out %" PRIu64 ", tried again %" PRIu64,
			 type_of(&s->v[i]), s->v[i].spec, st.failing ? "failing" : "ok",
			 st.told[RELAY_APPLIED], st.told[RELAY_DELETED], st.told[RELAY_RESTARTED],
			 st.unchanged, st.left_out, st.retries);
	}
}

size_t agent_streams_bytes(struct agent_streams *s, bool graphs)
{
	struct relay_status st;
	size_t n = 0;

	for (unsigned i = 0; s && i < s->n; i++) {
		status_of(&s->v[i], &st);
		n += graphs == (s->v[i].graph != NULL) ? st.bytes : 0;
	}
	return n;
}

static void capabilities_ready(const struct capabilities *c, struct ready *r)
{
	struct capabilities_status st;

	capabilities_status(c, &st);
	ready_put(r, "capabilities", !st.failing, "%s%s%s", st.failing ? "failing" : "ok",
		  st.words[0] ? ": " : "", st.words);
}

void agent_streams_ready(struct agent_streams *s, nsec_t now, nsec_t grace, struct ready *r)
{
	for (unsigned i = 0; s && i < s->n; i++) {
		struct relay_status st;
		char name[256];

		status_of(&s->v[i], &st);
		(void)snprintf(name, sizeof(name), "%s %u, %.*s", type_of(&s->v[i]), i + 1,
			       (int)strcspn(s->v[i].spec, ":"), s->v[i].spec);
		if (st.failing)
			ready_put(r, name, now - st.since <= grace, "failing for %llu s: %.*s",
				  (unsigned long long)((now - st.since) / NSEC_PER_SEC),
				  STR_ARG(st.words));
		else
			ready_put(r, name, true, "ok");
	}
	if (s && s->capabilities)
		capabilities_ready(s->capabilities, r);
}
