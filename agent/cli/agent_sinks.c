/* Sinks of resources, together; see agent_sinks.h. */
#include "cli/agent_sinks.h"

#include "base/interval.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/vector_words.h"
#include "config/version.h"
#include "http/http.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>

#define LOOK_S	      1			  /* how often kinds and the resync are looked at */
#define STOP_PATIENCE (5 * NSEC_PER_SEC)  /* for what waits when the agent stops */
#define RELIST_SPREAD (30 * NSEC_PER_SEC) /* lists of a resync begin within this time */

struct agent_sinks {
	struct agent_sinks_opts o;
	struct agent_files files;
	struct http *http;
	struct agent_vector *vector;
	struct agent_streams *streams;
	struct event *look;
	struct interval resync;
	uint64_t rounds, failed_rounds; /* of discovery, as seen last */
	bool round_ok;			/* the last round learned everything */
	void (*stopped)(void *ctx);	/* whom agent_sinks_stop is to tell */
	void *stopped_ctx;
};

/* ---- time ------------------------------------------------------------------------------------ */

static void on_look(evutil_socket_t fd, short what, void *ctx)
{
	struct agent_sinks *s = ctx;
	struct collect *collect = agent_resources_collect(s->o.resources);
	const struct collect_counters c = collect_counters(collect);

	(void)fd;
	(void)what;
	if (c.rounds != s->rounds)
		s->round_ok = c.failed_rounds == s->failed_rounds;
	s->rounds = c.rounds;
	s->failed_rounds = c.failed_rounds;
	agent_vector_kinds_complete(s->vector, s->round_ok && collect_synced(collect));
	if (interval_over(&s->resync, clock_mono())) { /* the collector lists at it by itself */
		agent_vector_resync(s->vector);
		agent_streams_resync(s->streams);
	}
}

static void set_resync(struct agent_sinks *s)
{
	interval_set(&s->resync, s->o.cfg->resync_interval * 60 * NSEC_PER_SEC, clock_mono());
}

static int make_timers(struct agent_sinks *s)
{
	const struct timeval look = {.tv_sec = LOOK_S};

	set_resync(s);
	s->look = event_new(s->o.base, -1, EV_PERSIST, on_look, s);
	return s->look && event_add(s->look, &look) == 0 ? 0 : -ENOMEM;
}

/* ---- making ---------------------------------------------------------------------------------- */

static int make_http(struct agent_sinks *s)
{
	char user_agent[128];
	const struct http_opts o = {.base = s->o.base, .user_agent = user_agent};

	(void)snprintf(user_agent, sizeof(user_agent), "kindred/%s", kindred_version);
	return http_new(&o, &s->http);
}

static int make_sinks(struct agent_sinks *s)
{
	struct store *store = agent_resources_store(s->o.resources);
	const struct agent_vector_opts v = {.cfg = s->o.cfg,
					    .base = s->o.base,
					    .files = &s->files,
					    .http = s->http,
					    .store = store};
	const struct agent_streams_opts t = {.cfg = s->o.cfg,
					     .base = s->o.base,
					     .files = &s->files,
					     .http = s->http,
					     .store = store};
	int r = agent_vector_new(&v, &s->vector);

	return r < 0 ? r : agent_streams_new(&t, &s->streams);
}

static void let_go(struct agent_sinks *s)
{
	agent_vector_free(&s->vector);
	agent_streams_free(&s->streams);
	agent_files_done(&s->files);
	http_free(&s->http);
}

int agent_sinks_lead(struct agent_sinks *s)
{
	int r;

	if (!s || s->http)
		return 0;
	r = make_http(s);
	return r < 0 ? log_err(r, "sinks") : make_sinks(s);
}

static void tell_stopped(void *ctx)
{
	struct agent_sinks *s = ctx;
	void (*stopped)(void *) = s->stopped;

	s->stopped = NULL;
	if (stopped)
		stopped(s->stopped_ctx);
}

void agent_sinks_drop(struct agent_sinks *s)
{
	if (!s || !s->http)
		return;
	agent_files_abandon(&s->files);
	agent_streams_drop(s->streams);
	let_go(s);
	tell_stopped(s);
}

int agent_sinks_new(const struct agent_sinks_opts *o, struct agent_sinks **ret)
{
	struct agent_sinks *s;
	int r;

	*ret = NULL;
	if (!o->resources)
		return 0;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->o = *o;
	s->files = (struct agent_files){
		.base = o->base, .may_write = o->standby ? NULL : o->may_write, .ctx = o->ctx};
	r = agent_sinks_lead(s);
	s->files.may_write = o->may_write;
	if (r == 0 && o->standby)
		let_go(s);
	if (r == 0)
		r = make_timers(s);
	if (r < 0) {
		agent_sinks_free(&s);
		return r;
	}
	*ret = s;
	return 0;
}

void agent_sinks_free(struct agent_sinks **sp)
{
	struct agent_sinks *s = *sp;

	if (!s)
		return;
	let_go(s);
	if (s->look)
		event_free(s->look);
	free(s);
	*sp = NULL;
}

/* ---- asked by the agent ---------------------------------------------------------------------- */

static int resync_one(struct agent_sinks *s, struct str name, struct buf *words)
{
	for (unsigned i = 0; i < agent_vector_n(s->vector); i++) {
		struct sync *sync = agent_vector_sync(s->vector, i);

		if (!str_eq(str_of(sync_backend(sync)->name), name))
			continue;
		sync_resync(sync, clock_mono());
		return 0;
	}
	if (agent_streams_resync_one(s->streams, name))
		return 0;
	(void)buf_printf(words, "there is no sink \"%.*s\"; kindred sinks names them",
			 STR_ARG(name));
	return -ENOENT;
}

int agent_sinks_resync(struct agent_sinks *s, struct str sink, uint32_t *ret_objects,
		       struct buf *words)
{
	struct store_stats stats;
	int r = 0;

	if (!s) {
		(void)buf_append_str(words, STR("resources are off: see --resources"));
		return -ENOTSUP;
	}
	if (sink.n) {
		r = resync_one(s, sink, words);
	} else {
		agent_vector_resync(s->vector);
		agent_streams_resync(s->streams);
	}
	if (r < 0)
		return r;
	collect_resync(agent_resources_collect(s->o.resources), clock_mono(), RELIST_SPREAD);
	store_stats(agent_resources_store(s->o.resources), &stats);
	*ret_objects = stats.objects;
	return 0;
}

void agent_sinks_tune(struct agent_sinks *s)
{
	if (!s)
		return;
	set_resync(s);
	agent_vector_tune(s->vector);
	agent_streams_tune(s->streams);
}

void agent_sinks_reopen(struct agent_sinks *s)
{
	agent_streams_reopen(s ? s->streams : NULL);
}

void agent_sinks_stop(struct agent_sinks *s, void (*done)(void *ctx), void *ctx)
{
	if (!s) {
		done(ctx);
		return;
	}
	(void)event_del(s->look);
	s->stopped = done;
	s->stopped_ctx = ctx;
	agent_vector_stop(s->vector, STOP_PATIENCE, tell_stopped, s);
}

void agent_sinks_hurry(struct agent_sinks *s)
{
	if (s)
		agent_vector_hurry(s->vector);
}

void agent_sinks_put(struct agent_sinks *s, struct json_out *j)
{
	vector_put_sinks(s ? s->vector : NULL, j);
	agent_streams_put(s ? s->streams : NULL, j);
}

int agent_sinks_series(struct agent_sinks *s, struct buf *out)
{
	int r;

	if (!s)
		return 0;
	r = vector_series(s->vector, out);
	return r < 0 ? r : agent_streams_series(s->streams, out);
}

void agent_sinks_figures(struct agent_sinks *s)
{
	vector_figures(s ? s->vector : NULL);
	agent_streams_figures(s ? s->streams : NULL);
}

void agent_sinks_memory(struct agent_sinks *s,
			void (*put)(void *ctx, const char *part, size_t bytes), void *ctx)
{
	if (!s)
		return;
	put(ctx, "sink/vector", vector_bytes(s->vector));
	put(ctx, "sink/graph", agent_streams_bytes(s->streams, true));
	put(ctx, "sink/events", agent_streams_bytes(s->streams, false));
	put(ctx, "http", s->http ? http_bytes(s->http) : 0); /* none: it stands by */
}

void agent_sinks_ready(struct agent_sinks *s, nsec_t now, nsec_t grace, struct ready *r)
{
	vector_ready(s ? s->vector : NULL, now, grace, r);
	agent_streams_ready(s ? s->streams : NULL, now, grace, r);
}

struct agent_vector *agent_sinks_vector(struct agent_sinks *s)
{
	return s ? s->vector : NULL;
}

struct agent_streams *agent_sinks_streams(struct agent_sinks *s)
{
	return s ? s->streams : NULL;
}
