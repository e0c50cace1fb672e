/*
 * A modelled kube-apiserver over a cluster that stands still: lists (streamed or in
 * pages), watches with bookmarks, single owners, each taking its time and its seats
 * (apf.h). Bodies are written when they are delivered; nothing of them is kept.
 *
 * A request is asked for, answered later (at `at`), delivered by server_deliver.
 */
#pragma once

#include "base/buf.h"
#include "base/str.h"
#include "tests/scale/apf.h"
#include "tests/scale/heap.h"

struct server;

enum ask_state {
	ASK_NONE,
	ASK_WAITS,    /* in a queue, or running */
	ASK_ANSWERED, /* the answer arrives at `at` */
	ASK_OPEN,     /* a watch that goes on */
};

enum ask_kind { ASK_LIST, ASK_STREAM, ASK_WATCH, ASK_OWNER };

/* One transfer, embedded in whoever asks. */
struct ask {
	enum ask_state state;
	enum ask_kind kind;
	bool owners;	   /* of ReplicaSets; else pods */
	uint32_t first, n; /* objects that it is about, by their numbers */
	uint32_t page;	   /* of a list: its first object within; the token of the next one */
	uint32_t limit;	   /* of a page; 0: all */
	int status;
	nsec_t at, retry_after;
	nsec_t end_at, bookmark_at; /* of a watch */
	uint32_t ticket;
	uint32_t caller; /* whose it is; kept by server_ask */
};

struct server_opts {
	struct heap *heap; /* events of this server: EVENT_SERVER, ticket */
	uint32_t pods, owners;
	struct apf_opts level; /* seats, queues ... */
	uint32_t list_width;   /* seats of a list or streaming list */
	/* The ask's state has changed. */
	void (*answered)(void *ctx, struct ask *a);
	void *ctx;
	uint64_t seed;
};

struct server *server_new(const struct server_opts *o);
void server_free(struct server **s);

/* `target` is path and query as the agents write them; `flow` is who asks (its user). The pods that
 * a field selector of a node names are found by population.h's numbering. */
void server_ask(struct server *s, nsec_t now, struct ask *a, const char *target, uint64_t flow);
/* The asker drops it. */
void server_drop(struct server *s, struct ask *a);
/* An event of this server is due. */
void server_event(struct server *s, nsec_t now, uint32_t ticket);

/* The answer's body, or the next piece of it (protobuf), into `b`: whether more follows at once. Of
 * an open watch: its bookmark. */
bool server_body(struct server *s, nsec_t now, struct ask *a, struct buf *b);

struct server_counters {
	uint64_t served, most_in_a_second;
	uint64_t refused; /* 429 */
	uint64_t dropped; /* whose asker had gone */
	uint64_t by_kind[ASK_OWNER + 1];
	struct apf_counters level;
};
struct server_counters server_counters(const struct server *s);
/* The most served in one second counts from here on. */
void server_forget_peak(struct server *s);
