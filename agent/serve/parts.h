/*
 * What the files of this folder share.
 */
#pragma once

#include "serve/filter.h"
#include "serve/history.h"
#include "serve/web.h"
#include "serve/listen.h"
#include "serve/serve.h"
#include "sink/jsonl/line.h"
#include "sink/metrics/metrics.h"

#define TYPE_JSON_LINES "application/x-ndjson"
#define TYPE_JSON	"application/json"
#define TYPE_METRICS	"text/plain; version=0.0.4; charset=utf-8"
#define TYPE_TEXT	"text/plain; charset=utf-8"

struct follower;
struct graph_job;
struct listing;
struct scrape;
struct secret;
struct timeline;
struct watcher;
struct web_tls;

struct spot {		/* where a listener is */
	char name[128]; /* "127.0.0.1:9901"; "": there is none */
	uint16_t port;
	bool here; /* of this machine alone */
	struct web_tls *tls;
};

struct serve {
	struct serve_opts o;
	struct web *web;
	struct listen_file file;
	struct metrics *metrics; /* NULL without flows */
	struct history *history;
	struct timeline *timeline;
	struct event *turn;
	struct flow_cursor *cursor; /* of the followers; NULL while nobody follows */
	struct line_marks marks;
	bool caught_up; /* what was there before the first follower is passed */
	struct follower *followers;
	uint32_t n_followers;
	struct watcher *watchers; /* of the page's stream */
	uint32_t n_watchers;
	struct listing *listings; /* that wait for a body */
	struct graph_job *graph_jobs;
	struct question *questions; /* the first one is being asked */
	struct scrape *scrapes;	    /* that wait for leave */
	uint64_t begun;		    /* when, of tokens */
	uint64_t denied;	    /* requests of those who may not ask */
	uint64_t missed;	    /* lines that followers were too slow for */
	uint64_t dropped;	    /* of the cursor, as followers were told */
	struct spot spots[_WEB_PLACE_MAX];
	struct secret *secret; /* of the data's address; NULL: none */
};

/* serve_listen.c: all listeners, as the options say. As serve_new. */
int serve_listen(struct serve *s, struct buf *words);
/* After web_free. */
void serve_listen_done(struct serve *s);
/* Whether this request may be answered; else it was refused. `open`: without a token, too. */
bool serve_may_ask(struct serve *s, struct web_client *c, const struct web_request *r, bool open);

/* Answers {"error": WORDS}. */
void serve_error(struct web_client *c, int status, struct str words);
/* Answers the object that was opened in `j`; it is closed here. */
void serve_object(struct web_client *c, struct json_out *j);

/* serve_metrics.c: GET /metrics */
void serve_metrics(struct serve *s, struct web_client *c, const struct web_request *r);
void serve_metrics_done(struct serve *s);
/* Answers that there are no flows, and why. */
void serve_flows_off(const struct serve *s, struct web_client *c);
/* GET /api/v1/flows */
void serve_flows(struct serve *s, struct web_client *c, const struct web_request *r);
/* A bounded piece of what followers are to be told: whether there is more. */
bool serve_follow_run(struct serve *s);
