#include "serve/serve.h"

#include "base/json_out.h"
#include "base/mem.h"
#include "peers/peers.h"
#include "serve/edges_api.h"
#include "serve/graph_api.h"
#include "serve/openapi.h"
#include "serve/page/page.h"
#include "serve/parts.h"
#include "serve/peers_api.h"
#include "serve/pods_api.h"
#include "serve/ready.h"
#include "serve/resources_api.h"
#include "serve/search_api.h"
#include "serve/whois.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>

#define ANSWER_MAX (256UL << 10)
#define IDLE_S	   1

void serve_error(struct web_client *c, int status, struct str words)
{
	_buf_ struct buf body = {.max = ANSWER_MAX};
	struct json_out j = {.out = &body};

	json_open(&j, NULL, '{');
	json_text(&j, "error", words);
	json_close(&j, '{');
	web_reply(c, status, TYPE_JSON, buf_str(&body));
}

void serve_object(struct web_client *c, struct json_out *j)
{
	json_close(j, '{');
	if (j->r < 0 || buf_append(j->out, "\n", 1) < 0)
		serve_error(c, 500, STR("the answer has no room in memory"));
	else
		web_reply(c, 200, TYPE_JSON, buf_str(j->out));
}

/* ---- the other answers ----------------------------------------------------------------------- */

static void reply_whois(struct serve *s, struct web_client *c, const struct web_request *r)
{
	_buf_ struct buf out = {.max = ANSWER_MAX}, words = {.max = 4096};
	struct whois w = {.flows = s->o.flows,
			  .scope = s->o.scope,
			  .history = s->history,
			  .proc_root = s->o.proc_root ? s->o.proc_root : "/proc",
			  .now = clock_mono(),
			  .offset = clock_offset()};
	int e = whois_parse(&w, r->query, &words);

	if (e == 0)
		e = whois_answer(&w, &out);
	if (e == 0)
		web_reply(c, 200, TYPE_JSON, buf_str(&out));
	else if (e == -ENOENT || e == -ENOTUNIQ)
		web_reply(c, e == -ENOENT ? 404 : 409, TYPE_JSON, buf_str(&out));
	else
		serve_error(c, e == -EINVAL ? 400 : 500,
			    words.n ? buf_str(&words) : STR("the answer has no room in memory"));
}

/* sink=NAME, or nothing. */
static int take_sink(struct str query, char ret[FILTER_TEXT_MAX], struct buf *words)
{
	char name[FILTER_TEXT_MAX];
	int r;

	ret[0] = '\0';
	while ((r = query_next(&query, name, ret)) > 0)
		if (strcmp(name, "sink") != 0) {
			(void)buf_printf(words, "\"%s\" is not understood; there is sink", name);
			return -EINVAL;
		}
	if (r < 0)
		(void)buf_append_str(words, STR("the query is malformed, or too long"));
	return r;
}

static int resync(struct serve *s, struct str query, uint32_t *ret_objects, struct buf *words)
{
	char sink[FILTER_TEXT_MAX];
	int r = take_sink(query, sink, words);

	if (r < 0)
		return r;
	if (s->o.resync)
		return s->o.resync(s->o.ctx, str_of(sink), ret_objects, words);
	(void)buf_append_str(words, STR("there is nothing to resync"));
	return -ENOTSUP;
}

/* The answer is k8s-vectordb-sync's: {status, resources, message}; with `error` as all others. */
static void reply_resync(struct serve *s, struct web_client *c, const struct web_request *r)
{
	_buf_ struct buf out = {.max = ANSWER_MAX}, words = {.max = 1024};
	struct json_out j = {.out = &out};
	uint32_t n = 0;
	int e = resync(s, r->query, &n, &words);

	json_open(&j, NULL, '{');
	json_text(&j, "status", e < 0 ? STR("error") : STR("ok"));
	if (e < 0)
		json_text(&j, "error", buf_str(&words));
	json_u64(&j, "resources", n);
	json_text(&j, "message",
		  words.n ? buf_str(&words) : STR("everything is listed and compared anew"));
	json_close(&j, '{');
	web_reply(c,
		  e == -EINVAL	  ? 400
		  : e == -ENOENT  ? 404
		  : e == -ENOTSUP ? 503
		  : e < 0	  ? 500
				  : 200,
		  TYPE_JSON, buf_str(&out));
}

/* ---- who answers what ------------------------------------------------------------------------ */

/* An answer comes from the loop: it turns. */
static void ask_health(struct serve *s, struct web_client *c, const struct web_request *r)
{
	(void)s;
	(void)r;
	web_reply(c, 200, TYPE_TEXT, STR("ok\n"));
}

static void ask_openapi(struct serve *s, struct web_client *c, const struct web_request *r)
{
	(void)s;
	(void)r;
	web_reply(c, 200, TYPE_JSON, openapi_text());
}

static void ask_memory(struct serve *s, struct web_client *c, const struct web_request *r)
{
	_buf_ struct buf out = {.max = ANSWER_MAX};
	struct json_out j = {.out = &out};

	(void)r;
	json_open(&j, NULL, '{');
	if (s->o.put_memory)
		s->o.put_memory(s->o.ctx, &j);
	serve_object(c, &j);
}

static void ask_sinks(struct serve *s, struct web_client *c, const struct web_request *r)
{
	_buf_ struct buf out = {.max = ANSWER_MAX};
	struct json_out j = {.out = &out};

	(void)r;
	json_open(&j, NULL, '{');
	json_open(&j, "sinks", '[');
	if (s->o.put_sinks)
		s->o.put_sinks(s->o.ctx, &j);
	json_close(&j, '[');
	serve_object(c, &j);
}

#define AT(place) (1U << (place))
#define DATA	  (AT(WEB_LOCAL) | AT(WEB_DATA))

static const struct {
	const char *path;
	bool below; /* and what is below it */
	bool post;
	bool plain; /* a query is an error */
	unsigned places;
	void (*answer)(struct serve *s, struct web_client *c, const struct web_request *r);
} routes[] = {
	{PAGE_PATH, false, false, true, DATA, serve_page},
	{"/metrics", false, false, false, DATA | AT(WEB_PROBE), serve_metrics},
	{"/healthz", false, false, false, DATA | AT(WEB_PROBE) | AT(WEB_RESYNC), ask_health},
	{"/readyz", false, false, false, DATA | AT(WEB_PROBE), serve_ready},
	{"/api/v1/pods", false, false, false, DATA, serve_pods},
	{"/api/v1/workloads", false, false, false, DATA, serve_workloads},
	{"/api/v1/flows", false, false, false, DATA, serve_flows},
	{EDGES_PATH, false, false, false, DATA, serve_edges},
	{EDGES_STREAM_PATH, false, false, false, DATA, serve_edges_stream},
	{"/api/v1/whois", false, false, false, DATA, reply_whois},
	{RESOURCES_PATH, true, false, false, DATA, serve_resources},
	{GRAPH_PATH, false, false, false, DATA, serve_graph},
	{SEARCH_PATH, false, false, false, DATA, serve_search},
	{PEERS_PATH, false, false, false, DATA, serve_peers},
	{"/api/v1/sinks", false, false, true, DATA, ask_sinks},
	{"/api/v1/debug/memory", false, false, true, DATA, ask_memory},
	{"/debug/memory", false, false, true, DATA, ask_memory},
	{"/api/v1/openapi.json", false, false, true, DATA, ask_openapi},
	{"/api/v1/resync", false, true, false, DATA | AT(WEB_RESYNC), reply_resync},
};

static bool route_fits(size_t i, const struct web_request *r)
{
	struct str path = str_of(routes[i].path);

	if (!(routes[i].places & AT(r->place)))
		return false;
	return str_eq(r->path, path) ||
	       (routes[i].below && str_starts(r->path, path) && r->path.p[path.n] == '/');
}

static void reply_unknown(struct web_client *c, const struct web_request *r)
{
	_buf_ struct buf words = {.max = 1024};
	const char *before = "there are ";

	for (size_t i = 0; i < ARRAY_SIZE(routes); i++)
		if (routes[i].places & AT(r->place)) {
			(void)buf_printf(&words, "%s%s", before, routes[i].path);
			before = ", ";
		}
	serve_error(c, 404, buf_str(&words));
}

static void on_request(void *ctx, struct web_client *c, const struct web_request *r)
{
	/* The page has no data, and has to come before a token can be typed in. */
	if (!serve_may_ask(ctx, c, r, str_eq(r->path, STR(PAGE_PATH))))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
		if (!route_fits(i, r))
			continue;
		if (routes[i].post != r->post)
			serve_error(c, 405,
				    routes[i].post ? STR("this is done by POST")
						   : STR("this is asked by GET"));
		else if (routes[i].plain && r->query.n)
			serve_error(c, 400, STR("this is asked without a query"));
		else
			routes[i].answer(ctx, c, r);
		return;
	}
	reply_unknown(c, r);
}

static void on_ended(void *ctx, const struct flow_view *v)
{
	history_put(((struct serve *)ctx)->history, v);
}

static void on_grown(void *ctx, nsec_t now, const struct flow_view *v,
		     const struct metrics_growth *d)
{
	timeline_add(((struct serve *)ctx)->timeline, now, v, d);
}

/* ---- turns of the loop ----------------------------------------------------------------------- */

static void on_turn(evutil_socket_t fd, short what, void *ctx)
{
	struct serve *s = ctx;
	const nsec_t now = clock_mono();
	int r = s->metrics ? metrics_run(s->metrics, now) : 0;
	bool more = serve_follow_run(s);
	struct timeval tv = {.tv_sec = IDLE_S};

	(void)fd;
	(void)what;
	timeline_run(s->timeline, now);
	serve_edges_run(s, now);
	serve_resources_run(s);
	if (r > 0 || more)
		tv = (struct timeval){.tv_usec = 1000};
	(void)evtimer_add(s->turn, &tv);
}

void serve_tune(struct serve *s, uint32_t max_series, const struct jsonl *jsonl)
{
	s->o.jsonl = jsonl;
	if (s->metrics)
		metrics_tune(s->metrics, max_series);
}

void serve_changed(struct serve *s)
{
	event_active(s->turn, EV_TIMEOUT, 0);
}

/* ---- start and end --------------------------------------------------------------------------- */

static int start(struct serve *s, struct buf *words)
{
	const struct web_opts web = {.base = s->o.base, .request = on_request, .ctx = s};
	const struct metrics_opts metrics = {.flows = s->o.flows,
					     .max_series = s->o.max_series,
					     .ended = on_ended,
					     .grown = on_grown,
					     .ctx = s};
	int r = history_new(0, 0, &s->history);

	if (r == 0)
		r = timeline_new(&(struct timeline_opts){0}, clock_mono(), &s->timeline);
	s->turn = evtimer_new(s->o.base, on_turn, s);
	if (r == 0 && !s->turn)
		r = -ENOMEM;
	if (r == 0)
		r = web_new(&web, &s->web);
	if (r == 0 && s->o.flows)
		r = metrics_new(&metrics, &s->metrics);
	return r < 0 ? r : serve_listen(s, words);
}

int serve_new(const struct serve_opts *o, struct serve **ret, struct buf *ret_words)
{
	struct serve *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->o = *o;
	s->begun = clock_wall();
	r = start(s, ret_words);
	if (r < 0) {
		serve_free(&s);
		return r;
	}
	serve_changed(s);
	*ret = s;
	return 0;
}

void serve_set_sinks(struct serve *s, struct worker *graph, const struct jsonl *jsonl,
		     struct str words)
{
	serve_graph_done(s, words);
	serve_search_done(s, words);
	s->o.graph = graph;
	s->o.jsonl = jsonl;
}

void serve_free(struct serve **ps)
{
	struct serve *s = *ps;

	*ps = NULL;
	if (!s)
		return;
	listen_unix_end(&s->file);
	web_free(&s->web);
	serve_listen_done(s);
	serve_graph_done(s, (struct str){0});
	serve_search_done(s, (struct str){0});
	serve_metrics_done(s);
	metrics_free(&s->metrics);
	history_free(&s->history);
	timeline_free(&s->timeline);
	line_marks_done(&s->marks);
	if (s->turn)
		event_free(s->turn);
	free(s);
}

void serve_memory(const struct serve *s, void (*put)(void *ctx, const char *part, size_t bytes),
		  void *ctx)
{
	struct history_stats history;
	struct timeline_stats timeline;
	struct metrics_stats metrics;

	history_stats(s->history, &history);
	timeline_stats(s->timeline, &timeline);
	put(ctx, "serve",
	    sizeof(*s) + web_bytes(s->web) + history.bytes + timeline.bytes +
		    s->n_watchers * EDGES_STREAM_BYTES);
	if (!s->metrics)
		return;
	metrics_stats(s->metrics, &metrics);
	put(ctx, "sink/metrics", metrics.bytes);
}
