#include "tests/scale/server.h"

#include "base/mem.h"
#include "tests/lib/population.h"
#include "tests/scale/scale.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Times of a busy server, on the slow side: an owner out of its cache, with TLS, access and audit;
 * a list of one node's pods out of the cache, whose index finds them; a megabyte of a large list.
 */
#define TIME_OWNER  (10 * MSEC)
#define TIME_WATCH  (2 * MSEC)
#define TIME_LIST   (25 * MSEC)
#define TIME_POD    (300 * NSEC_PER_USEC) /* more for each pod of a list */
#define TRAVEL	    (2 * MSEC)
#define BOOKMARK    (60 * SEC)
#define RETRY_AFTER SEC	       /* what such a server says with 429 */
#define PIECE	    (1U << 20) /* bytes of a body that are delivered at a time */
#define VERSION	    1000000

/* A request that waits or runs. Who asked may go meanwhile. */
struct ticket {
	struct ask *ask; /* NULL: it has gone */
	enum ask_kind kind;
	uint32_t width, next_free;
	nsec_t work;
};

struct server {
	struct server_opts o;
	struct apf *apf;
	struct ticket *tickets;
	uint32_t n_tickets, cap_tickets, first_free; /* UINT32_MAX: none */
	nsec_t second;
	uint64_t in_second;
	struct server_counters count;
};

/* ---- tickets --------------------------------------------------------------------------------- */

static void give_back(struct server *s, uint32_t t)
{
	s->tickets[t].next_free = s->first_free;
	s->first_free = t;
}

static uint32_t free_ticket(struct server *s)
{
	const uint32_t t = s->first_free;

	if (t != UINT32_MAX) {
		s->first_free = s->tickets[t].next_free;
		return t;
	}
	if (s->n_tickets == s->cap_tickets) {
		s->cap_tickets = MAX(2 * s->cap_tickets, 1024U);
		s->tickets = realloc(s->tickets, s->cap_tickets * sizeof(*s->tickets));
		assert(s->tickets);
	}
	return s->n_tickets++;
}

/* ---- the level ------------------------------------------------------------------------------- */

static nsec_t work_of(const struct ask *a)
{
	switch (a->kind) {
	case ASK_OWNER:
		return TIME_OWNER;
	case ASK_WATCH:
		return TIME_WATCH;
	case ASK_LIST:
	case ASK_STREAM:
		break;
	}
	return TIME_LIST + (a->limit ? MIN(a->n - a->page, a->limit) : a->n) * TIME_POD;
}

static void count_served(struct server *s, const struct ticket *t, nsec_t now)
{
	s->count.served++;
	s->count.by_kind[t->kind]++;
	if (now / SEC != s->second) {
		s->second = now / SEC;
		s->in_second = 0;
	}
	s->in_second++;
	s->count.most_in_a_second = MAX(s->count.most_in_a_second, s->in_second);
}

static void run(struct server *s, uint32_t ticket, nsec_t now)
{
	heap_put(s->o.heap, now + s->tickets[ticket].work, EVENT_SERVER, ticket);
}

static void answer(struct server *s, struct ask *a, nsec_t now, int status)
{
	a->state = ASK_ANSWERED;
	a->status = status;
	a->retry_after = status == 429 ? RETRY_AFTER : 0;
	a->at = now + TRAVEL;
	s->count.refused += status == 429;
	s->o.answered(s->o.ctx, a);
}

/* Somebody who waited gets seats, or is told that it took too long. */
static void on_turn(void *ctx, uint32_t ticket, bool runs, nsec_t now)
{
	struct server *s = ctx;
	struct ask *a = s->tickets[ticket].ask;

	if (runs) {
		run(s, ticket, now);
		return;
	}
	give_back(s, ticket);
	if (a)
		answer(s, a, now, 429);
}

void server_event(struct server *s, nsec_t now, uint32_t ticket)
{
	if (ticket == UINT32_MAX) {
		(void)apf_expire(s->apf, now);
		heap_put(s->o.heap, now + SEC, EVENT_SERVER, UINT32_MAX);
		return;
	}
	const struct ticket t = s->tickets[ticket];

	count_served(s, &t, now);
	give_back(s, ticket);
	if (t.ask)
		answer(s, t.ask, now, 200);
	apf_done(s->apf, now, t.width);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static uint32_t number(const char *target, const char *key, uint32_t absent)
{
	const char *at = strstr(target, key);

	return at ? (uint32_t)strtoul(at + strlen(key), NULL, 10) : absent;
}

/* What it is about, by the names that population.h gives. */
static void understand(struct server *s, struct ask *a, const char *target, nsec_t now)
{
	const bool watch = strstr(target, "watch=1") != NULL;
	const char *single = strstr(target, "/replicasets/workload-");

	*a = (struct ask){.caller = a->caller, .owners = strstr(target, "/replicasets") != NULL};
	a->n = a->owners ? s->o.owners : s->o.pods;
	if (strstr(target, "spec.nodeName%3Dnode-")) {
		a->first = number(target, "spec.nodeName%3Dnode-", 0) * PODS_PER_NODE;
		a->n = a->first < s->o.pods ? PODS_PER_NODE : 0;
	}
	if (strstr(target, "/jobs"))
		a->n = 0;
	if (single) {
		a->kind = ASK_OWNER;
		a->first = number(single, "/replicasets/workload-", 0);
		a->n = 1;
	} else if (watch) {
		a->kind = strstr(target, "sendInitialEvents=true") ? ASK_STREAM : ASK_WATCH;
		a->end_at = now + number(target, "timeoutSeconds=", 300) * SEC;
	} else {
		a->kind = ASK_LIST;
		a->limit = number(target, "limit=", 0);
		a->page = number(target, "continue=", 0);
	}
}

static uint32_t width_of(const struct server *s, const struct ask *a)
{
	return a->kind == ASK_LIST || a->kind == ASK_STREAM ? s->o.list_width : 1;
}

void server_ask(struct server *s, nsec_t now, struct ask *a, const char *target, uint64_t flow)
{
	understand(s, a, target, now);
	a->state = ASK_WAITS;
	a->ticket = free_ticket(s);
	s->tickets[a->ticket] = (struct ticket){
		.ask = a, .kind = a->kind, .width = width_of(s, a), .work = work_of(a)};
	switch (apf_arrive(s->apf, now, a->ticket, flow, width_of(s, a))) {
	case APF_RUNS:
		run(s, a->ticket, now);
		break;
	case APF_WAITS:
		break;
	case APF_FULL:
		give_back(s, a->ticket);
		answer(s, a, now, 429);
		break;
	}
}

void server_drop(struct server *s, struct ask *a)
{
	if (a->state == ASK_WAITS)
		s->tickets[a->ticket].ask = NULL;
	s->count.dropped += a->state == ASK_WAITS || a->state == ASK_ANSWERED;
	a->state = ASK_NONE;
}

/* ---- bodies ---------------------------------------------------------------------------------- */

static void make(const struct server *s, const struct ask *a, uint32_t i, struct gen_object *o)
{
	if (a->owners)
		population_owner(o, false, a->first + i);
	else
		population_pod(o, a->first + i, s->o.owners);
}

static void put_bookmark(const struct ask *a, bool end, struct buf *b)
{
	struct gen_object o = {.rv = VERSION};

	(void)snprintf(o.api_version, sizeof(o.api_version), a->owners ? "apps/v1" : "v1");
	(void)snprintf(o.kind_text, sizeof(o.kind_text), a->owners ? "ReplicaSet" : "Pod");
	assert(gen_event(&o, GEN_PB, a->owners, EVENT_BOOKMARK, end, b) == 0);
}

/* Objects of a streaming list, as many as make a piece. */
static bool put_stream(const struct server *s, struct ask *a, struct buf *b)
{
	struct gen_object o;

	for (; a->page < a->n && b->n < PIECE; a->page++) {
		make(s, a, a->page, &o);
		assert(gen_event(&o, GEN_PB, a->owners, EVENT_ADDED, false, b) == 0);
	}
	if (a->page < a->n)
		return true;
	put_bookmark(a, true, b);
	return false;
}

static void put_list(const struct server *s, const struct ask *a, struct buf *b)
{
	const uint32_t n = a->limit ? MIN(a->limit, a->n - a->page) : a->n;
	struct gen_object *objects = calloc(n + 1, sizeof(*objects));
	const struct gen_object **at = calloc(n + 1, sizeof(*at));
	char cont[32] = "";
	const struct gen_list l = {.format = GEN_PB,
				   .metadata_only = a->owners,
				   .kind = a->owners ? "PartialObjectMetadataList" : "PodList",
				   .api_version = a->owners ? "meta.k8s.io/v1" : "v1",
				   .rv = VERSION,
				   .cont = cont};

	assert(objects && at);
	for (uint32_t i = 0; i < n; i++) {
		make(s, a, a->page + i, &objects[i]);
		at[i] = &objects[i];
	}
	if (a->page + n < a->n)
		(void)snprintf(cont, sizeof(cont), "%u", a->page + n);
	assert(gen_list(&l, at, n, b) == 0);
	free(objects);
	free(at);
}

bool server_body(struct server *s, nsec_t now, struct ask *a, struct buf *b)
{
	struct gen_object o;

	if (a->status == 429) {
		assert(buf_append_str(b, STR("Too many requests, please try again later.\n")) == 0);
		return false;
	}
	if (a->state == ASK_OPEN) {
		put_bookmark(a, false, b);
		a->bookmark_at = now + BOOKMARK;
		return false;
	}
	switch (a->kind) {
	case ASK_OWNER:
		make(s, a, 0, &o);
		assert(gen_object(&o, GEN_PB, true, b) == 0);
		return false;
	case ASK_LIST:
		put_list(s, a, b);
		return false;
	case ASK_STREAM:
		if (put_stream(s, a, b))
			return true;
		break;
	case ASK_WATCH:
		break;
	}
	a->state = ASK_OPEN;
	a->bookmark_at = now + BOOKMARK;
	return false;
}

/* ---- the whole ------------------------------------------------------------------------------- */

struct server *server_new(const struct server_opts *o)
{
	struct server *s = calloc(1, sizeof(*s));
	struct apf_opts level_opts = o->level;

	assert(s);
	s->o = *o;
	s->first_free = UINT32_MAX;
	level_opts.turn = on_turn;
	level_opts.ctx = s;
	level_opts.seed = o->seed;
	s->apf = apf_new(&level_opts);
	heap_put(o->heap, 0, EVENT_SERVER, UINT32_MAX);
	return s;
}

void server_free(struct server **sp)
{
	struct server *s = *sp;

	if (!s)
		return;
	apf_free(&s->apf);
	free(s->tickets);
	free(s);
	*sp = NULL;
}

struct server_counters server_counters(const struct server *s)
{
	struct server_counters c = s->count;

	c.level = apf_counters(s->apf);
	return c;
}

void server_forget_peak(struct server *s)
{
	s->count.most_in_a_second = 0;
}
