/*
 * A cluster in virtual time: pods, Services and Nodes that take addresses from each
 * other, two collectors that hear of it late and in any order, nodes that follow
 * whoever leads over a network that delays and cuts. No flow of any node may ever be
 * given to somebody who did not have the address when it began.
 *
 *   truth      each address has one owner at a time, or none
 *   told       to each collector every event up to SETTLE late, each thing's own in order;
 *              nothing at all for a while, and then a list
 *   collectors are started anew (all is forgotten, a new feed), and the other one leads
 *   clocks     of every machine begin anywhere and drift; some virtual machines stand still
 *   network    bytes are late, streams are cut at any byte, connections fail
 *   asked      when SETTLE has passed, and again until there is an answer or it is late
 *
 * MODEL_HISTORIES sets how many; the seed is printed, MODEL_SEED repeats it.
 */
#include "match/end.h"
#include "match/memo.h"
#include "peers/peers.h"
#include "sink/peers/publish.h"

#include "base/mem.h"
#include "base/recent_low.h"
#include "base/rng.h"
#include "tests/lib/objects.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HISTORIES 40
#else
#define HISTORIES 400
#endif

#define MS	    NSEC_PER_MSEC
#define SEC	    NSEC_PER_SEC
#define SETTLE	    SEC
#define STEP	    (25 * MS)
#define SPAN	    (60 * SEC)
#define TAIL	    (20 * SEC) /* until all is quiet again */
#define BASE	    (1000 * SEC)
#define WALL	    (1795197283ULL * SEC) /* the wall clock less true time */
#define N_ADDRS	    8
#define N_SERVERS   2
#define N_NODES	    3
#define MAX_THINGS  400
#define MAX_EVENTS  (N_SERVERS * 3 * MAX_THINGS)
#define MAX_FLOWS   300
#define MAX_WORKS   5
#define MAX_PACKETS 4096
#define NOBODY	    UINT32_MAX

struct thing {
	enum kind kind;
	uint32_t addr, work;
	nsec_t created, from, to, deleted; /* [from, to): has the address; true time */
	bool finishes;
	nsec_t heard_end[N_SERVERS]; /* when each collector hears that it has it no more */
};

enum what { TELL_ADDRESS, TELL_FINISHED, TELL_DELETED };
struct event {
	nsec_t at, happened;
	uint32_t thing;
	uint8_t server, what;
};

struct clock { /* local = true * (1 + ppm) + offset - stood */
	int64_t offset;
	int32_t ppm;
	nsec_t stops_at, stood; /* it stands still for `stood` from then on */
};

struct server {
	struct clock clock;
	bool up, listed;
	nsec_t list_at, deaf_from, deaf_to; /* true time */
	nsec_t behind; /* until then it has not read what came while it stood still */
	nsec_t due;    /* its own clock */
	uint32_t next_event;
	uint32_t incarnation;
	struct inventory *v;
	struct publish *p;
	uint16_t pods, places;
};

struct packet {
	nsec_t at;
	uint32_t from, n; /* in node.wire */
};

struct agent {
	struct clock clock;
	struct peers *peers;
	struct end_scope scope;
	struct recent_low wall;
	/* the transfer */
	bool open, closing;
	uint32_t server, incarnation;
	struct publish_sub *sub;
	nsec_t answer_at; /* the head comes */
	int status;
	nsec_t last_at;
	uint64_t cut_after; /* bytes; UINT64_MAX: never */
	struct buf wire;
	struct packet packets[MAX_PACKETS];
	uint32_t first, last;
};

struct flow {
	uint32_t node, addr;
	nsec_t start, next; /* true time */
	bool answered, done;
};

static struct {
	struct rng g;
	uint64_t seed, number;
	nsec_t now; /* true */
	bool faults;
	uint32_t leader;
	nsec_t next_trouble;
	struct thing things[MAX_THINGS];
	struct event events[MAX_EVENTS];
	struct flow flows[MAX_FLOWS];
	uint32_t n_things, n_events, n_flows;
	struct server servers[N_SERVERS];
	struct agent nodes[N_NODES];
	struct match_policy policy;
	struct inventory *empty; /* of the nodes themselves */
	struct addr addrs[N_ADDRS];
	uint64_t told, asked, by_reason[_UNKNOWN_REASON_MAX], restarts, takeovers, cuts;
} w;

static nsec_t upto(nsec_t n)
{
	return n ? rng_below(&w.g, n / MS + 1) * MS : 0;
}

static bool chance(uint32_t percent)
{
	return rng_below(&w.g, 100) < percent;
}

static nsec_t local(const struct clock *c, nsec_t t)
{
	nsec_t lost = 0;

	if (t > c->stops_at)
		lost = MIN(t - c->stops_at, c->stood);
	t -= lost;
	return t + (nsec_t)((int64_t)(t / 1000000) * c->ppm) + (nsec_t)c->offset;
}

static const char *name_of(char out[32], uint32_t thing)
{
	(void)snprintf(out, 32, "%s%u-%u", w.things[thing].kind == KIND_POD ? "work" : "thing",
		       w.things[thing].work, thing);
	return out;
}

/* ---- the truth ------------------------------------------------------------------------------- */

static void make_thing(uint32_t addr, nsec_t *free_from)
{
	struct thing *t = &w.things[w.n_things++];

	*t = (struct thing){.kind = addr < 6	? KIND_POD
				    : addr == 6 ? KIND_SERVICE
						: KIND_NODE,
			    .addr = addr,
			    .work = (uint32_t)rng_below(&w.g, MAX_WORKS)};
	t->from = *free_from + (chance(50) ? upto(100 * MS) : upto(4 * SEC));
	t->created = t->from - upto(300 * MS);
	t->to = t->from + 50 * MS + (chance(40) ? upto(3 * SEC) : upto(40 * SEC));
	t->finishes = t->kind == KIND_POD && chance(25);
	t->deleted = t->to + (t->finishes ? upto(5 * SEC) : 0);
	*free_from = t->to;
}

static uint32_t owner_at(uint32_t addr, nsec_t at)
{
	for (uint32_t i = 0; i < w.n_things; i++)
		if (w.things[i].addr == addr && at >= w.things[i].from && at < w.things[i].to)
			return i;
	return NOBODY;
}

static nsec_t add_event(uint8_t server, uint32_t thing, enum what what, nsec_t happened,
			nsec_t after)
{
	const nsec_t at = MAX(happened + (chance(30) ? 0 : upto(SETTLE)), after);

	assert_true(w.n_events < MAX_EVENTS);
	w.events[w.n_events++] = (struct event){.at = at,
						.happened = happened,
						.thing = thing,
						.server = server,
						.what = (uint8_t)what};
	return at;
}

static void tell_thing(uint32_t i)
{
	struct thing *t = &w.things[i];

	for (uint8_t s = 0; s < N_SERVERS; s++) {
		nsec_t at = add_event(s, i, TELL_ADDRESS, t->from, 0);

		if (t->finishes)
			at = t->heard_end[s] = add_event(s, i, TELL_FINISHED, t->to, at);
		at = add_event(s, i, TELL_DELETED, t->deleted, at);
		if (!t->finishes)
			t->heard_end[s] = at;
	}
}

static int by_time(const void *a, const void *b)
{
	const struct event *x = a, *y = b;

	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	if (x->thing != y->thing)
		return x->thing < y->thing ? -1 : 1;
	return (int)x->what - (int)y->what;
}

static void make_flow(void)
{
	struct flow *f = &w.flows[w.n_flows++];
	const struct thing *t = &w.things[rng_below(&w.g, w.n_things)];

	*f = (struct flow){.node = (uint32_t)rng_below(&w.g, N_NODES), .addr = t->addr};
	f->start = BASE + 2 * SEC + upto(SPAN);
	if (chance(60)) { /* about somebody's beginning or end */
		f->start = (chance(50) ? t->from : t->to) + upto(1500 * MS);
		f->start -= MIN(upto(1500 * MS), f->start - BASE);
	}
	f->answered = owner_at(f->addr, f->start) != NOBODY && chance(70);
	f->next = f->start + SETTLE;
}

static void make_truth(void)
{
	w.n_things = w.n_events = w.n_flows = 0;
	for (uint32_t a = 0; a < N_ADDRS; a++) {
		nsec_t free_from = BASE;

		while (w.n_things < MAX_THINGS * (a + 1) / N_ADDRS && free_from < BASE + SPAN)
			make_thing(a, &free_from);
	}
	for (uint32_t i = 0; i < w.n_things; i++)
		tell_thing(i);
	qsort(w.events, w.n_events, sizeof(w.events[0]), by_time);
	while (w.n_flows < MAX_FLOWS)
		make_flow();
}

/* ---- what collectors hear -------------------------------------------------------------------- */

static nsec_t server_now(const struct server *s)
{
	return local(&s->clock, w.now);
}

static int deployment(struct inventory *v, uint32_t work)
{
	char rs[32], name[32];
	struct obj b;

	(void)snprintf(rs, sizeof(rs), "work%u-rs", work);
	(void)snprintf(name, sizeof(name), "work%u", work);
	obj_owner(&b, "apps/v1", "ReplicaSet", "shop", rs, obj_uid(900000 + work));
	obj_owned(&b, "apps/v1", "Deployment", name, obj_uid(800000 + work));
	return inventory_apply_owner(v, 0, 0, &b.o);
}

static void apply_pod(struct server *s, uint32_t i, bool finished)
{
	static const char *const text[] = {"10.1.0.1", "10.1.0.2", "10.1.0.3",
					   "10.1.0.4", "fd00::5",  "fd00::6"};
	const struct thing *t = &w.things[i];
	char name[32], rs[32];
	struct obj b;

	obj_pod(&b, "shop", name_of(name, i), obj_uid(i + 1), text[t->addr]);
	(void)snprintf(rs, sizeof(rs), "work%u-rs", t->work);
	obj_owned(&b, "apps/v1", "ReplicaSet", rs, obj_uid(900000 + t->work));
	b.o.pod.node_name = STR("node-7");
	if (finished)
		b.o.pod.phase = POD_PHASE_SUCCEEDED;
	else
		obj_container(&b, "", "c", "image");
	if (!finished)
		b.containers[0].started = (int64_t)((t->from + WALL) / SEC);
	assert_int_equal(inventory_apply_pod(s->v, s->pods, server_now(s), &b.o), 0);
}

static void apply_place(struct server *s, uint32_t i)
{
	const struct thing *t = &w.things[i];
	char name[32];
	struct obj b;

	obj_init(&b, t->kind == KIND_NODE ? "" : "shop", name_of(name, i), obj_uid(i + 1));
	b.o.place.cluster_ip = t->kind == KIND_NODE ? STR("10.0.0.7") : STR("10.96.0.6");
	assert_int_equal(inventory_apply_place(s->v, s->places, server_now(s), t->kind, &b.o), 0);
}

static void apply(struct server *s, uint32_t i, bool finished)
{
	if (w.things[i].kind == KIND_POD)
		apply_pod(s, i, finished);
	else
		apply_place(s, i);
}

static void tell(struct server *s, const struct event *e)
{
	const struct str uid = obj_uid(e->thing + 1);

	apply(s, e->thing,
	      e->what == TELL_FINISHED || (e->what == TELL_DELETED && w.things[e->thing].finishes));
	if (e->what != TELL_DELETED)
		return;
	if (w.things[e->thing].kind == KIND_POD)
		inventory_delete_pod(s->v, uid, server_now(s));
	else
		inventory_delete_place(s->v, uid, server_now(s));
}

/* The truth of this moment. */
static void list(struct server *s)
{
	inventory_list_begin(s->v, s->pods);
	inventory_list_begin(s->v, s->places);
	for (uint32_t i = 0; i < w.n_things; i++)
		if (w.now >= w.things[i].from && w.now < w.things[i].deleted)
			apply(s, i, w.things[i].finishes && w.now >= w.things[i].to);
	inventory_list_end(s->v, s->pods, server_now(s));
	inventory_list_end(s->v, s->places, server_now(s));
	for (uint32_t i = 0; i < w.n_things; i++)
		if (w.now >= w.things[i].to)
			w.things[i].heard_end[s - w.servers] =
				MIN(w.things[i].heard_end[s - w.servers], w.now);
	s->list_at = w.now;
	s->listed = true;
}

static bool is_deaf(const struct server *s)
{
	return w.now >= s->deaf_from && w.now < s->deaf_to;
}

/* What is told now; a list has overtaken what happened before it. */
static void hear(struct server *s)
{
	if (s->up && !s->listed && w.now >= s->list_at)
		list(s);
	if (s->up && s->deaf_to && w.now >= s->deaf_to) {
		s->deaf_to = 0;
		list(s);
	}
	for (; s->next_event < w.n_events && w.events[s->next_event].at <= w.now; s->next_event++) {
		const struct event *e = &w.events[s->next_event];

		if (e->server != s - w.servers || !s->listed || !s->up)
			continue;
		if (is_deaf(s)) /* it hears by a list */
			w.things[e->thing].heard_end[e->server] =
				MAX(w.things[e->thing].heard_end[e->server], s->deaf_to);
		else if (e->happened > s->list_at)
			tell(s, e);
	}
}

/* ---- collectors ------------------------------------------------------------------------------ */

static void wake(void *sub_ctx)
{
	(void)sub_ctx; /* every step looks */
}

static void server_start(struct server *s, nsec_t list_in)
{
	struct publish_opts o = {.policy = &w.policy, .wake = wake, .name = STR("collector")};
	struct inventory_opts inventory = inventory_defaults;

	s->up = true;
	s->listed = false;
	s->deaf_from = s->deaf_to = 0;
	s->list_at = w.now + list_in;
	s->due = 0;
	s->incarnation++;
	inventory.keep_idle_owners = true;
	assert_int_equal(inventory_new(&inventory, &s->v), 0);
	assert_int_equal(inventory_source_add(s->v, &s->pods), 0);
	assert_int_equal(inventory_source_add(s->v, &s->places), 0);
	for (uint32_t i = 0; i < MAX_WORKS; i++)
		assert_int_equal(deployment(s->v, i), 0);
	o.inventory = s->v;
	o.log_bytes = chance(20) ? 2000 : 0; /* some come with a position that is gone */
	o.sending = 1 + (uint32_t)rng_below(&w.g, 3);
	for (size_t i = 0; i < sizeof(o.feed); i++)
		o.feed[i] = (uint8_t)rng_next(&w.g);
	assert_int_equal(publish_new(&o, &s->p), 0);
}

static void drop_transfer(struct agent *n)
{
	publish_sub_free(&n->sub);
	n->open = false;
	n->first = n->last = 0;
	buf_reset(&n->wire);
}

static void server_stop(struct server *s)
{
	for (uint32_t i = 0; i < N_NODES; i++) {
		struct agent *n = &w.nodes[i];

		if (n->open && &w.servers[n->server] == s)
			publish_sub_free(&n->sub);
	}
	publish_free(&s->p);
	inventory_free(&s->v);
	s->up = false;
}

/* A machine that stands still does nothing. */
static bool stood(const struct clock *c, nsec_t at)
{
	return at > c->stops_at && at < c->stops_at + c->stood;
}

static bool stands(const struct clock *c)
{
	return stood(c, w.now);
}

static void server_run(struct server *s)
{
	const nsec_t now = server_now(s);
	const nsec_t fresh = is_deaf(s) ? local(&s->clock, s->deaf_from) : now;

	if (!s->up)
		return;
	(void)inventory_expire(s->v, now);
	if (!s->listed) /* nobody is served before */
		return;
	for (int i = 0; i < 100 && publish_run(s->p, now, fresh, w.now + WALL) == 0; i++)
		;
}

/* ---- the network ----------------------------------------------------------------------------- */

static nsec_t node_now(const struct agent *n)
{
	return local(&n->clock, w.now);
}

static bool is_bad(void)
{
	return w.faults && w.now < BASE + SPAN + TAIL;
}

static nsec_t latency(void)
{
	return is_bad() && chance(3) ? upto(2 * SEC) : upto(60 * MS);
}

static bool server_serves(uint32_t server)
{
	return w.servers[server].up && w.servers[server].listed && w.leader == server;
}

static void parse_target(const struct agent *n, uint8_t feed[PEERFEED_ID], uint64_t *from,
			 bool *whole)
{
	_buf_ struct buf target = {.max = 256};
	unsigned int byte;
	const char *at;

	assert_int_equal(peers_target(n->peers, &target), 0);
	assert_int_equal(buf_append(&target, "", 1), 0);
	at = strstr(target.p, "feed=");
	*whole = !at;
	for (size_t i = 0; at && i < PEERFEED_ID; i++) {
		assert_int_equal(sscanf(at + 5 + 2 * i, "%2x", &byte), 1);
		feed[i] = (uint8_t)byte;
	}
	if (at)
		*from = strtoull(strstr(target.p, "from=") + 5, NULL, 10);
}

/* The request arrives. */
static void node_start(struct agent *n)
{
	uint8_t feed[PEERFEED_ID];
	uint64_t from = 0;
	bool whole;

	drop_transfer(n);
	n->open = true;
	n->closing = false;
	n->server = peers_address(n->peers);
	n->sub = NULL;
	n->incarnation = w.servers[n->server].incarnation;
	n->answer_at = n->last_at = w.now + latency();
	n->status = !w.servers[n->server].up || (is_bad() && chance(5)) ? 0
		    : server_serves(n->server)				? 200
									: 503;
	n->cut_after =
		w.faults && chance(50) ? rng_below(&w.g, chance(50) ? 2000 : 20000) : UINT64_MAX;
	if (n->status != 200)
		return;
	parse_target(n, feed, &from, &whole);
	assert_int_equal(
		publish_sub_new(w.servers[n->server].p, whole ? NULL : feed, from, n, &n->sub), 0);
}

static void send_bytes(struct agent *n, struct str bytes)
{
	while (bytes.n && n->last < MAX_PACKETS) {
		const size_t k = MIN(bytes.n, chance(10) ? 1 + rng_below(&w.g, 9) : 1400);

		n->last_at = MAX(n->last_at, w.now + latency());
		n->packets[n->last++] = (struct packet){
			.at = n->last_at, .from = (uint32_t)n->wire.n, .n = (uint32_t)k};
		assert_int_equal(buf_append(&n->wire, bytes.p, k), 0);
		bytes = str_from(bytes, k);
	}
}

/* What the server gives, as far as there is room on the way. */
static void server_send(struct agent *n)
{
	struct server *s = &w.servers[n->server];
	struct str bytes;
	int r = 1;

	if (!n->sub)
		return;
	if (n->first == n->last) {
		n->first = n->last = 0;
		buf_reset(&n->wire);
	}
	while (n->last < MAX_PACKETS / 2 &&
	       (r = publish_sub_take(n->sub, server_now(s), &bytes)) > 0)
		send_bytes(n, bytes);
	if (r < 0 || !server_serves(n->server)) {
		publish_sub_free(&n->sub);
		n->closing = true;
	}
}

static void node_end(struct agent *n, const char *why)
{
	drop_transfer(n);
	peers_end(n->peers, node_now(n), why);
}

static void node_receive(struct agent *n)
{
	if (!is_bad())
		n->cut_after = UINT64_MAX;
	while (n->open && n->first < n->last && n->packets[n->first].at <= w.now) {
		const struct packet *p = &n->packets[n->first++];
		const uint32_t k = (uint32_t)MIN(n->cut_after, (uint64_t)p->n);

		if (k && peers_data(n->peers, node_now(n), buf_str(&n->wire).p + p->from, k) < 0) {
			drop_transfer(n);
			return;
		}
		if (n->cut_after != UINT64_MAX)
			n->cut_after -= k;
		if (!n->cut_after) {
			w.cuts++;
			node_end(n, "cut");
			return;
		}
	}
}

static void node_network(struct agent *n)
{
	struct server *s = &w.servers[n->server];

	if (!n->open || w.now < n->answer_at || (n->status >= 0 && stands(&s->clock)))
		return;
	if (n->status == 0) {
		node_end(n, "refused");
		return;
	}
	if (n->status > 0 && peers_response(n->peers, node_now(n), n->status) < 0) {
		drop_transfer(n);
		return;
	}
	if (n->status == 503) {
		node_end(n, "");
		return;
	}
	n->status = -1; /* the head was told */
	if (!stands(&s->clock))
		server_send(n);
	node_receive(n);
	if (n->open && n->first == n->last &&
	    (n->closing || !s->up || s->incarnation != n->incarnation))
		node_end(n, "closed");
}

static void node_poll(struct agent *n)
{
	nsec_t deadline;

	for (int i = 0; i < 10; i++)
		switch (peers_poll(n->peers, node_now(n), &deadline)) {
		case PEERS_NONE:
			return;
		case PEERS_RESOLVE:
			peers_resolved(n->peers, node_now(n), N_SERVERS, NULL);
			break;
		case PEERS_START:
			node_start(n);
			break;
		case PEERS_ABORT:
			drop_transfer(n);
			break;
		}
}

/* ---- asking ---------------------------------------------------------------------------------- */

static void explain(const struct flow *f, const struct flow_end *e)
{
	const struct agent *n = &w.nodes[f->node];
	struct inv_claim c[16];
	const uint32_t k = peers_claims(n->peers, &w.addrs[f->addr], KIND_POD, c, 16);
	const int64_t skew = (int64_t)(node_now(n) - w.now);

	for (uint32_t i = 0; i < w.n_things; i++)
		if (w.things[i].addr == f->addr && w.things[i].to + 5 * SEC > f->start &&
		    w.things[i].from < f->start + 5 * SEC)
			print_message("  thing %u from %llu to %llu deleted %llu heard %llu %llu\n",
				      i, (unsigned long long)((w.things[i].from - BASE) / MS),
				      (unsigned long long)((w.things[i].to - BASE) / MS),
				      (unsigned long long)((w.things[i].deleted - BASE) / MS),
				      (unsigned long long)((w.things[i].heard_end[0] - BASE) / MS),
				      (unsigned long long)((w.things[i].heard_end[1] - BASE) / MS));
	for (uint32_t i = 0; i < MIN(k, 16U); i++)
		print_message("  claim %u from %lld to %lld%s\n", c[i].id,
			      (long long)((int64_t)(c[i].from - BASE) - skew) / (int64_t)MS,
			      c[i].to == NSEC_NEVER
				      ? -1
				      : (long long)((int64_t)(c[i].to - BASE) - skew) / (int64_t)MS,
			      c[i].listed ? " listed" : "");
	print_message("history %llu: node %u, flow to address %u at %llu%s, asked at %llu, doubt "
		      "%llu: told %.*s\n",
		      (unsigned long long)w.number, f->node, f->addr,
		      (unsigned long long)((f->start - BASE) / MS),
		      f->answered ? " (answered)" : "", (unsigned long long)((w.now - BASE) / MS),
		      (unsigned long long)(peers_doubt(n->peers) / MS),
		      STR_ARG(e->pod.n ? e->pod : e->workload));
	fail_msg("wrong");
}

/* Nobody had it: then the last one that had, when a collector had not been told, will do. */
static bool was_the_last(const struct flow *f, uint32_t i)
{
	const struct thing *t = &w.things[i];

	if (f->answered || t->addr != f->addr || t->to > f->start ||
	    MAX(t->heard_end[0], t->heard_end[1]) <= f->start)
		return false;
	for (uint32_t k = 0; k < w.n_things; k++)
		if (w.things[k].addr == f->addr && w.things[k].from >= t->to &&
		    w.things[k].from <= f->start)
			return false;
	return true;
}

static bool is_named(const struct flow_end *e, uint32_t i)
{
	const struct thing *t = &w.things[i];
	char name[32], work[32];

	(void)name_of(name, i);
	(void)snprintf(work, sizeof(work), "work%u", t->work);
	if (t->kind != KIND_POD)
		return str_eq(e->workload, str_of(name)) &&
		       str_eq(e->workload_kind, str_of(kind_name(t->kind)));
	return str_eq(e->pod, str_of(name)) && str_eq(e->ns, STR("shop")) &&
	       str_eq(e->workload, str_of(work)) && str_eq(e->workload_kind, STR("Deployment"));
}

static uint32_t thing_of(const struct flow_end *e)
{
	for (uint32_t i = 0; i < w.n_things; i++)
		if (is_named(e, i))
			return i;
	return NOBODY;
}

/* Nobody else anywhere near: then it has to be known. */
static bool is_lonely(const struct flow *f, uint32_t owner)
{
	const nsec_t near = 8 * SEC;

	if (w.things[owner].from + near > f->start || w.things[owner].to < f->start + near)
		return false;
	return true;
}

static void judge(const struct flow *f, const struct flow_end *e)
{
	const uint32_t owner = owner_at(f->addr, f->start), told = thing_of(e);

	if (e->known_by != KNOWN_NOT && told == NOBODY)
		explain(f, e);
	if (told != NOBODY && told != owner && !(owner == NOBODY && was_the_last(f, told)))
		explain(f, e);
	if (told == NOBODY && owner != NOBODY && !w.faults && is_lonely(f, owner))
		explain(f, e);
}

/* What is kept of earlier questions changes no answer. */
static void name(const struct end_scope *s, uint32_t addr, nsec_t start, unsigned int flags,
		 struct end_text *t, struct flow_end *ret)
{
	struct end_scope anew = *s;
	struct end_text text;
	struct flow_end e;

	anew.memo = NULL;
	end_remote(s, &w.addrs[addr], start, flags, t, ret);
	end_remote(&anew, &w.addrs[addr], start, flags, &text, &e);
	assert_int_equal(e.known_by, ret->known_by);
	assert_int_equal(e.why, ret->why);
	assert_true(str_eq(e.ns, ret->ns) && str_eq(e.pod, ret->pod) &&
		    str_eq(e.workload, ret->workload));
}

static void ask(struct flow *f)
{
	const struct agent *n = &w.nodes[f->node];
	const nsec_t start = local(&n->clock, f->start), now = node_now(n);
	unsigned int flags = END_OVERDUE | (f->answered ? END_ANSWERED : 0U);
	struct flow_end e;
	struct end_text t;

	if (now >= start + 5 * SEC || !peers_awaited(n->peers, now))
		flags |= END_LATE;
	name(&n->scope, f->addr, start, flags, &t, &e);
	f->next = w.now + 500 * MS;
	if (stood(&n->clock, f->start)) { /* there was none */
		f->done = true;
		return;
	}
	if (e.known_by == KNOWN_NOT && e.why == UNKNOWN_PENDING)
		return;
	judge(f, &e);
	/* A feed that is back may know better: within the time that is remembered. */
	f->done = (e.why != UNKNOWN_PEERS_STALE && e.why != UNKNOWN_PEERS_UNSYNCED) ||
		  w.now > f->start + 40 * SEC;
	if (!f->done)
		return;
	w.asked++;
	w.told += e.known_by != KNOWN_NOT;
	w.by_reason[e.known_by == KNOWN_NOT ? e.why : UNKNOWN_NONE]++;
}

/* ---- histories ------------------------------------------------------------------------------- */

static struct clock make_clock(bool may_stop)
{
	struct clock c = {.offset = (int64_t)upto(100000 * SEC) - (int64_t)(900 * SEC),
			  .ppm = (int32_t)rng_below(&w.g, 400) - 200,
			  .stops_at = NSEC_NEVER};

	if (may_stop && w.faults && chance(30)) {
		c.stops_at = BASE + upto(SPAN);
		c.stood = upto(chance(50) ? 300 * MS : 6 * SEC);
	}
	return c;
}

static void trouble(void)
{
	struct server *s = &w.servers[rng_below(&w.g, N_SERVERS)];

	if (!w.faults || w.now < w.next_trouble || w.now >= BASE + SPAN)
		return;
	w.next_trouble = w.now + upto(30 * SEC);
	switch (rng_below(&w.g, 3)) {
	case 0:
		w.restarts++;
		if (s->up)
			server_stop(s);
		else
			server_start(s, upto(2 * SEC));
		break;
	case 1:
		w.takeovers += w.leader != (uint32_t)(s - w.servers);
		w.leader = (uint32_t)(s - w.servers);
		break;
	default:
		if (s->up && s->listed && !s->deaf_to) {
			s->deaf_from = w.now;
			s->deaf_to = w.now + upto(5 * SEC);
		}
		break;
	}
}

/* The wall clocks of kubelets and nodes are the same here. */
static void set_wall(struct agent *n)
{
	const nsec_t now = node_now(n);

	n->scope.wall_offset =
		(nsec_t)recent_low(&n->wall, now, 60 * SEC, (int64_t)(w.now + WALL - now));
}

static void step(void)
{
	if (w.now == BASE + SPAN) /* all is mended */
		for (uint32_t i = 0; i < N_SERVERS; i++)
			if (!w.servers[i].up)
				server_start(&w.servers[i], upto(SEC));
	trouble();
	for (uint32_t i = 0; i < N_SERVERS; i++) {
		if (stands(&w.servers[i].clock)) {
			w.servers[i].behind = w.now + upto(SETTLE / 2);
			continue;
		}
		if (w.now >= w.servers[i].behind)
			hear(&w.servers[i]);
		server_run(&w.servers[i]);
	}
	for (uint32_t i = 0; i < N_NODES; i++) {
		if (stands(&w.nodes[i].clock))
			continue;
		set_wall(&w.nodes[i]);
		node_poll(&w.nodes[i]);
		node_network(&w.nodes[i]);
		node_poll(&w.nodes[i]);
	}
	for (uint32_t i = 0; i < w.n_flows; i++)
		if (!w.flows[i].done && w.now >= w.flows[i].next &&
		    !stands(&w.nodes[w.flows[i].node].clock))
			ask(&w.flows[i]);
}

static void begin(void)
{
	w.now = BASE;
	w.leader = (uint32_t)rng_below(&w.g, N_SERVERS);
	w.next_trouble = BASE + upto(10 * SEC);
	make_truth();
	for (uint32_t i = 0; i < N_SERVERS; i++) {
		struct server *s = &w.servers[i];

		*s = (struct server){.clock = make_clock(true), .incarnation = s->incarnation};
		server_start(s, 0);
	}
	for (uint32_t i = 0; i < N_NODES; i++) {
		struct agent *n = &w.nodes[i];
		struct peers_opts o = {.max_bytes = 1 << 20, .seed = rng_next(&w.g)};

		n->clock = make_clock(true);
		o.now = node_now(n);
		n->open = false;
		n->wall = (struct recent_low){0};
		n->first = n->last = 0;
		assert_int_equal(peers_new(&o, &n->peers), 0);
		n->scope = (struct end_scope){.inventory = w.empty,
					      .peers = n->peers,
					      .policy = &w.policy,
					      .node_scope = true};
		assert_int_equal(end_memo_new(&n->scope.memo), 0);
	}
}

/* At the end every node knows what the leader knows. */
static void check_whole(const struct agent *n)
{
	struct peers_status st;
	uint32_t alive = 0, pods = 0;

	peers_status(n->peers, &st);
	if (st.state != PEERS_SYNCED)
		print_message("history %llu: %s, %s; %llu losses, %llu failures, %llu faults\n",
			      (unsigned long long)w.number, peers_state_name(st.state), st.error,
			      (unsigned long long)st.losses, (unsigned long long)st.failures,
			      (unsigned long long)st.faults);
	assert_int_equal(st.state, PEERS_SYNCED);
	for (uint32_t i = 0; i < w.n_things; i++)
		alive += w.things[i].kind == KIND_POD && w.now < w.things[i].to;
	for (uint32_t id = replica_next(peers_replica(n->peers), 0); id;
	     id = replica_next(peers_replica(n->peers), id)) {
		struct replica_thing t;

		assert_true(replica_thing(peers_replica(n->peers), id, &t));
		assert_true(t.kind != KIND_POD || str_eq(t.node, STR("node-7")));
		pods += t.kind == KIND_POD;
	}
	assert_int_equal(st.replica.pods, pods);
	assert_true(pods >= alive);
}

static bool all_synced(void)
{
	struct peers_status st;
	bool synced = true;

	for (uint32_t i = 0; i < N_NODES; i++) {
		peers_status(w.nodes[i].peers, &st);
		synced = synced && st.state == PEERS_SYNCED;
	}
	return synced;
}

static void finish(void)
{
	const nsec_t patience = w.now + 30 * SEC;

	for (; w.now < patience && !all_synced(); w.now += STEP) /* one may be renewed just now */
		step();
	for (uint32_t i = 0; i < N_NODES; i++) {
		struct agent *n = &w.nodes[i];

		check_whole(n);
		drop_transfer(n);
		end_memo_free(&n->scope.memo);
		peers_free(&n->peers);
	}
	for (uint32_t i = 0; i < N_SERVERS; i++)
		server_stop(&w.servers[i]);
}

static uint64_t number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);
	unsigned long long n;

	return text && str_to_u64(str_of(text), &n) == 0 ? n : otherwise;
}

static void run_all(bool faults)
{
	const uint64_t n = number("MODEL_HISTORIES", HISTORIES);

	w.faults = faults;
	for (w.number = 0; w.number < n; w.number++) {
		rng_seed(&w.g, w.seed + w.number);
		begin();
		for (; w.now < BASE + SPAN + TAIL + 60 * SEC; w.now += STEP)
			step();
		finish();
	}
	print_message("%llu histories: %llu asked, %llu told, %llu ambiguous, %llu nobody, %llu "
		      "unsynced, %llu stale; %llu restarts, %llu takeovers, %llu cuts\n",
		      (unsigned long long)n, (unsigned long long)w.asked,
		      (unsigned long long)w.told,
		      (unsigned long long)w.by_reason[UNKNOWN_AMBIGUOUS],
		      (unsigned long long)w.by_reason[UNKNOWN_ADDRESS],
		      (unsigned long long)w.by_reason[UNKNOWN_PEERS_UNSYNCED],
		      (unsigned long long)w.by_reason[UNKNOWN_PEERS_STALE],
		      (unsigned long long)w.restarts, (unsigned long long)w.takeovers,
		      (unsigned long long)w.cuts);
	assert_true(w.told > w.asked / (faults ? 10 : 3));
}

static void all_is_well(void **state)
{
	(void)state;
	run_all(false);
	assert_int_equal(w.by_reason[UNKNOWN_PEERS_STALE], 0);
}

static void nothing_is_well(void **state)
{
	(void)state;
	run_all(true);
}

static int seed(void **state)
{
	static const char *const text[N_ADDRS] = {"10.1.0.1", "10.1.0.2", "10.1.0.3",  "10.1.0.4",
						  "fd00::5",  "fd00::6",  "10.96.0.6", "10.0.0.7"};

	(void)state;
	w.seed = number("MODEL_SEED", rng_entropy());
	print_message("MODEL_SEED=%llu\n", (unsigned long long)w.seed);
	for (uint32_t i = 0; i < N_ADDRS; i++)
		if (addr_parse(str_of(text[i]), &w.addrs[i]) < 0)
			return -1;
	for (uint32_t i = 0; i < N_NODES; i++)
		buf_init(&w.nodes[i].wire, 64 << 20);
	return inventory_new(&inventory_defaults, &w.empty);
}

static int clear(void **state)
{
	(void)state;
	w.told = w.asked = w.restarts = w.takeovers = w.cuts = 0;
	memset(w.by_reason, 0, sizeof(w.by_reason));
	return 0;
}

static int done(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < N_NODES; i++)
		buf_done(&w.nodes[i].wire);
	inventory_free(&w.empty);
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(all_is_well, clear),
		cmocka_unit_test_setup(nothing_is_well, clear),
	};

	return cmocka_run_group_tests(tests, seed, done);
}
