/*
 * Where people and machines ask the agent, by HTTP:
 *
 *   data     the unix socket, and an address: everything. The address of others than this
 *            machine needs TLS and a token; one of this machine alone answers no page of
 *            another site (guard.h)
 *   probe    an address for kubelets and scrapers: metrics and health
 *   resync   an address for k8s-vectordb-sync's clients: resync and health
 *
 *   GET /                 the page, also without a token, see page/page.h       data
 *   GET /metrics          Prometheus' text format             data, probe
 *   GET /healthz          200: the loop turns                 data, probe, resync
 *   GET /readyz           200 or 503, a line a condition, see ready.h            data, probe
 *   GET /api/v1/pods, /workloads  see pods_api.h                                 data
 *   GET /api/v1/flows     JSON lines (include/flow.schema.json), see filter.h    data
 *   GET /api/v1/edges     who talked to whom, and as a stream, see edges_api.h   data
 *   GET /api/v1/whois     ?q=THING[&at=TIME], see whois.h                        data
 *   GET /api/v1/resources kinds and objects, see resources_api.h                 data
 *   GET /api/v1/graph     what an object needs and who needs it, see graph_api.h data
 *   GET /api/v1/search    documents of a vector database, see search_api.h       data
 *   GET /api/v1/sinks     what each sink has done and has to do                  data
 *   GET /api/v1/peers     the feed for agents of nodes, see peers_api.h          data
 *   GET /api/v1/debug/memory  bytes held, by part                               data
 *   POST /api/v1/resync   ?sink=NAME: everything is listed and compared anew     data, resync
 *
 * Bounds: WEB_MAX_CLIENTS clients a listener (of the data's address: max_clients), of which
 * SERVE_MAX_FOLLOWERS may follow; a follower that is SERVE_BACKLOG bytes behind is told how
 * many lines it missed and closed; the history of ended flows is history.h's. A cursor for
 * followers exists only while somebody follows.
 *
 * How to use it:
 *
 *   serve_new           after flows, the probe and the inventory are there
 *   serve_changed       whenever flows changed (probe_opts.changed, attribute_run). It
 *                       counts metrics, keeps the history and feeds followers, in later
 *                       turns of the loop, a bounded piece each; once a second by itself
 *   serve_free          before what it borrows is freed
 */
#pragma once

#include "base/buf.h"
#include "match/end.h"
#include "serve/request.h"

#include <stdbool.h>
#include <stdint.h>

#define SERVE_SOCKET	    "/run/kindred/agent.sock"
#define SERVE_DATA_HOST	    "127.0.0.1"
#define SERVE_DATA_PORT	    9901
#define SERVE_PROBE_PORT    9902 /* of any address */
#define SERVE_MAX_FOLLOWERS 8
#define SERVE_BACKLOG	    (1UL << 20)

struct embedder;
struct event_base;
struct json_out;
struct store;
struct worker;
struct flows;
struct jsonl;
struct probe;
struct publish;
struct ready;
struct scrape;
struct serve;
struct sync;

struct search_target { /* lives as long as the agent's sinks, which serve_free comes before */
	struct sync *sync;
	struct embedder *asker; /* of questions; NULL: the database does without */
};

struct serve_address {
	const char *host; /* NULL: none; "": any address */
	uint16_t port;
	bool optional;			  /* one that cannot be had is said, and gone without */
	const char *cert_file, *key_file; /* NULL: no TLS */
};

struct serve_opts {
	struct event_base *base;
	struct flows *flows;	       /* NULL: flows are off */
	const char *flows_off;	       /* why; borrowed, may be NULL */
	const struct end_scope *scope; /* names for whois; its inventory may be NULL */
	const struct probe *probe;     /* may be NULL */
	const struct jsonl *jsonl;     /* may be NULL */
	uint32_t max_series;	       /* of flows; 0: 2000 */
	const char *socket;	       /* NULL: SERVE_SOCKET, when it can be made */
	bool no_socket;
	struct serve_address probe_at, data_at, resync_at;
	const char *token_file; /* every client of `data_at` must have its token; NULL: none */
	uint32_t max_clients;	/* of `data_at`; 0: WEB_MAX_CLIENTS */
	/* A certificate or a token went bad, or was read anew. May be NULL. */
	void (*told)(void *ctx, bool bad, const char *words);
	struct store *store;   /* of resources; NULL: off */
	struct worker *graph;  /* of the file with the graph; NULL: there is none. As jsonl, it may
				* change: serve_set_sinks */
	const char *proc_root; /* of whois for processes without sockets; NULL: /proc */
	const char *version, *commit;
	/* Whether the holder of a token may read /metrics at `probe_at`: 200, 401, 403 or 503; or
	 * 0, and serve_leave(x) is called with it once, on a later turn. NULL: everybody may. */
	int (*authorise)(void *ctx, struct str token, struct scrape *x);
	/* Says by ready_put what /readyz depends on. May be NULL, as all that follow. */
	void (*conditions)(void *ctx, struct ready *r);
	/* Appends further series. */
	int (*more_metrics)(void *ctx, struct buf *out);
	/* Appends the members of the answer about memory. */
	void (*put_memory)(void *ctx, struct json_out *j);
	/* Appends the members of the answer about sinks. */
	void (*put_sinks)(void *ctx, struct json_out *j);
	/* Everything is to be listed anew, for one sink ("": all). 0 with how many objects there
	 * are, or -errno with words. */
	int (*resync)(void *ctx, struct str sink, uint32_t *ret_objects, struct buf *words);
	/* Whom /api/v1/search asks: false with words when there is nobody. */
	bool (*search_target)(void *ctx, struct search_target *ret, struct buf *words);
	struct publish *publish; /* the feed for agents of nodes; NULL: there is none */
	uint32_t max_peers;	 /* that follow it; besides the clients of `max_clients` */
	/* With `publish`: whether it may be given to anybody now, or words why not. */
	bool (*peers_ready)(void *ctx, struct buf *words);
	void *ctx;
};

/*
 * 0, and then ret_words may hold remarks, a line each: the default socket or an optional address
 * cannot be had, and the agent goes on without. -ENOMEM, -EMSGSIZE (no place for a cursor), or why
 * a socket or an address that was asked for cannot be had, with ret_words saying it; -EPERM:
 * `data_at` is not of this machine alone, and has no TLS or no token.
 */
int serve_new(const struct serve_opts *o, struct serve **ret, struct buf *ret_words);
void serve_free(struct serve **s);
void serve_changed(struct serve *s);
/* Another maximum of series of flows, and other lines of flows (NULL: none), from now on. */
void serve_tune(struct serve *s, uint32_t max_series, const struct jsonl *jsonl);
void serve_leave(struct scrape *x, int status);
/* The sinks were made, or (NULL) are about to go: questions to them that are under way end with
 * `words`, if there are any. */
void serve_set_sinks(struct serve *s, struct worker *graph, const struct jsonl *jsonl,
		     struct str words);
/* Bytes held, by part of this room. */
void serve_memory(const struct serve *s, void (*put)(void *ctx, const char *part, size_t bytes),
		  void *ctx);
/* "probes at [::]:9902 (TLS), data at 127.0.0.1:9901 and /run/kindred/agent.sock" */
int serve_describe(const struct serve *s, struct buf *out);
/* Where a browser finds the page: "http://127.0.0.1:9901/"; empty: nowhere. */
int serve_page_url(const struct serve *s, struct buf *out);
/* The port that a listener of port 0 was given, for tests; 0: there is none. */
uint16_t serve_port(const struct serve *s, enum web_place place);
