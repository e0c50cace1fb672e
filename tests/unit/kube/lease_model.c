/*
 * Several candidates, one server and a network, in virtual time, over many random
 * histories: requests and answers are lost, late and doubled, clocks run at different
 * rates, processes stop and go on, are killed and come back, some under one name. At
 * no moment may two candidates lead. When the faults are over one does.
 *
 * LEASE_HISTORIES sets how many; LEASE_SEED plays one again.
 */
#include "kube/lease.h"

#include "base/mem.h"
#include "base/rng.h"

// clang-format off: cmocka's header needs these before it
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define S	     NSEC_PER_SEC
#define MAX_RUNNERS  5
#define MAX_MESSAGES 512
#define TROUBLE	     (400 * S)
#define CALM	     (120 * S)
/* Rates are drawn from [100 - SKEW, 100 + SKEW] percent: 1.19 / 0.81 is below 15 / 10. */
#define SKEW 19

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HISTORIES 800
#else
#define HISTORIES 4000
#endif

struct message {
	bool used, answer;
	nsec_t at;
	unsigned runner, life; /* of the runner: an answer to the dead is lost */
	enum lease_action action;
	uint64_t id;
	int status;
	nsec_t retry_after;
	struct lease_record record;
};

struct runner {
	struct lease *lease; /* NULL: not running */
	char name[32];
	unsigned life;
	double rate;
	nsec_t offset, poll_at, paused_until, born_at;
	nsec_t cut_until; /* nothing of its own gets through, one way or both */
	bool cut_answers;
	uint64_t started, stopped;
};

struct world {
	uint64_t seed;
	struct rng rng;
	nsec_t now;
	bool calm;
	unsigned loss; /* percent of messages; also of late and doubled ones */
	nsec_t late;   /* longest delay */
	struct runner v[MAX_RUNNERS];
	unsigned n;
	struct message messages[MAX_MESSAGES];
	/* the server */
	bool exists;
	struct lease_record record;
	uint64_t version;
	nsec_t down_until;
};

static struct {
	uint64_t histories, led, takeovers, conflicts, lost, pauses, kills, releases, doubled;
} total;

static uint64_t pick(struct world *w, uint64_t n)
{
	return rng_below(&w->rng, n);
}

static bool chance(struct world *w, unsigned percent)
{
	return !w->calm && pick(w, 100) < percent;
}

/* ---- clocks ---------------------------------------------------------------------------------- */

static nsec_t local(const struct runner *r, nsec_t real)
{
	return r->offset + (nsec_t)((double)real * r->rate);
}

/* The first real moment at which its clock shows `at`. */
static nsec_t real(const struct runner *r, nsec_t at)
{
	nsec_t t;

	if (at == NSEC_NEVER)
		return NSEC_NEVER;
	t = at > r->offset ? (nsec_t)((double)(at - r->offset) / r->rate) : 0;
	while (local(r, t) < at)
		t++;
	return t;
}

/* ---- what must hold -------------------------------------------------------------------------- */

static bool leads(const struct world *w, const struct runner *r)
{
	return r->lease && lease_leads(r->lease, local(r, w->now));
}

static unsigned leaders(const struct world *w)
{
	unsigned n = 0;

	for (unsigned i = 0; i < w->n; i++)
		n += leads(w, &w->v[i]);
	return n;
}

/* Leading begins in calls alone and ends by time: what holds after each call holds always. */
static void check(const struct world *w)
{
	if (leaders(w) <= 1)
		return;
	for (unsigned i = 0; i < w->n; i++)
		fprintf(stderr, "%s, clock x %.2f:%s%s\n", w->v[i].name, w->v[i].rate,
			leads(w, &w->v[i]) ? " leads" : "",
			w->v[i].paused_until > w->now ? ", stopped" : "");
	fail_msg("LEASE_SEED=%" PRIu64 ": two lead at %.3f s", w->seed, (double)w->now / 1e9);
}

/* ---- the network and the server -------------------------------------------------------------- */

static nsec_t travel(struct world *w)
{
	if (chance(w, w->loss))
		return pick(w, w->late + 1);
	return pick(w, 20 * NSEC_PER_MSEC);
}

static void put_one(struct world *w, const struct message *m)
{
	for (unsigned i = 0; i < MAX_MESSAGES; i++) {
		if (w->messages[i].used)
			continue;
		w->messages[i] = *m;
		w->messages[i].used = true;
		w->messages[i].at = w->now + travel(w);
		return;
	}
}

static bool is_cut(const struct world *w, const struct message *m)
{
	const struct runner *r = &w->v[m->runner];

	return w->now < r->cut_until && m->answer == r->cut_answers;
}

static void put(struct world *w, const struct message *m)
{
	if (chance(w, w->loss) || is_cut(w, m))
		return;
	put_one(w, m);
	if (!chance(w, w->loss))
		return;
	put_one(w, m);
	total.doubled++;
}

static int store(struct world *w, const struct message *m)
{
	const bool update = m->action == LEASE_UPDATE;

	if (update && !w->exists)
		return 404;
	if (w->exists && (!update || strcmp(m->record.version, w->record.version) != 0)) {
		total.conflicts++;
		return 409;
	}
	w->exists = true;
	w->record = m->record;
	(void)snprintf(w->record.version, sizeof(w->record.version), "%" PRIu64, ++w->version);
	return update ? 200 : 201;
}

static void serve(struct world *w, const struct message *m)
{
	struct message a = *m;

	a.answer = true;
	if (w->now < w->down_until) {
		if (chance(w, 50))
			return;
		a.status = chance(w, 50) ? 503 : 429;
		a.retry_after = pick(w, 3) * S;
	} else if (chance(w, w->loss / 4)) {
		a.status = 500; /* of which nobody knows whether it was stored */
		if (m->action != LEASE_READ && chance(w, 50))
			(void)store(w, m);
	} else if (m->action == LEASE_READ) {
		a.status = w->exists ? 200 : 404;
	} else {
		a.status = store(w, m);
	}
	a.record = w->record;
	put(w, &a);
}

/* ---- candidates ------------------------------------------------------------------------------ */

static void on_started(void *ctx)
{
	((struct runner *)ctx)->started++;
}

static void on_stopped(void *ctx)
{
	((struct runner *)ctx)->stopped++;
}

static const struct lease_ops ops = {.started = on_started, .stopped = on_stopped};

static void be_born(struct world *w, struct runner *r)
{
	const struct lease_opts o = {
		.identity = r->name, .seed = rng_next(&w->rng), .ops = &ops, .ctx = r};

	assert_int_equal(lease_new(&o, &r->lease), 0);
	r->life++;
	r->started = r->stopped = 0;
	r->offset = pick(w, 1000000) * S;
	r->poll_at = w->now;
	r->paused_until = 0;
}

static void die(struct world *w, struct runner *r)
{
	const struct lease_status s = lease_status(r->lease, local(r, w->now));

	total.led += s.acquired;
	total.lost += s.lost;
	lease_free(&r->lease);
	r->born_at = w->now + pick(w, 40) * S;
}

static void poll(struct world *w, struct runner *r)
{
	const nsec_t wall = chance(w, 10) ? pick(w, 2000000000) * S : 1795197283 * S + w->now;
	enum lease_action action;
	struct lease_request req;
	nsec_t deadline;

	while ((action = lease_poll(r->lease, local(r, w->now), wall, &req, &deadline))) {
		struct message m = {.runner = (unsigned)(r - w->v), .life = r->life};

		if (action == LEASE_ABORT)
			continue;
		m.action = action;
		m.id = req.id;
		if (action != LEASE_READ)
			m.record = *req.record;
		put(w, &m);
	}
	r->poll_at = real(r, deadline);
	assert_int_equal(r->started - r->stopped <= 1, 1);
	if (lease_over(r->lease))
		die(w, r);
}

static void hear(struct world *w, const struct message *m)
{
	struct runner *r = &w->v[m->runner];
	const bool has = m->status == 200 || m->status == 201;
	const struct lease_answer a = {.id = m->id,
				       .status = m->status,
				       .record = has ? &m->record : NULL,
				       .retry_after = m->retry_after};

	if (!r->lease || r->life != m->life)
		return;
	lease_answer(r->lease, local(r, w->now), &a);
	check(w);
	r->poll_at = w->now;
}

/* ---- time ------------------------------------------------------------------------------------ */

/* One that leads, when there is one. */
static struct runner *victim(struct world *w)
{
	for (unsigned i = 0; i < w->n && chance(w, 60); i++)
		if (leads(w, &w->v[i]))
			return &w->v[i];
	return &w->v[pick(w, w->n)];
}

static void trouble(struct world *w)
{
	struct runner *r = victim(w);

	switch (pick(w, 12)) {
	case 8:
	case 9:
	case 10:
		r->cut_until = w->now + pick(w, 40 * S);
		r->cut_answers = pick(w, 2);
		w->loss = (unsigned)pick(w, 3) * 10; /* the others shall see it at once */
		return;
	case 0:
	case 1:
		r->paused_until = w->now + pick(w, 30 * S);
		total.pauses++;
		return;
	case 2:
		w->down_until = w->now + pick(w, 25 * S);
		return;
	case 3:
		if (r->lease)
			die(w, r);
		total.kills++;
		return;
	case 4:
		if (!r->lease)
			return;
		lease_release(r->lease, local(r, w->now));
		r->poll_at = w->now;
		total.releases++;
		return;
	default:
		w->loss = (unsigned)pick(w, 60);
		w->late = pick(w, 40) * S;
		return;
	}
}

/* The next message that can be taken: those to a process that is stopped wait for it. */
static struct message *next_message(struct world *w, nsec_t *ret_at)
{
	struct message *next = NULL;

	*ret_at = NSEC_NEVER;
	for (unsigned i = 0; i < MAX_MESSAGES; i++) {
		struct message *m = &w->messages[i];
		nsec_t at = m->answer ? MAX(m->at, w->v[m->runner].paused_until) : m->at;

		if (!m->used || at >= *ret_at)
			continue;
		next = m;
		*ret_at = at;
	}
	return next;
}

static struct runner *next_runner(struct world *w, nsec_t *ret_at)
{
	struct runner *next = NULL;

	*ret_at = NSEC_NEVER;
	for (unsigned i = 0; i < w->n; i++) {
		struct runner *r = &w->v[i];
		nsec_t at = r->lease ? MAX(r->poll_at, r->paused_until) : r->born_at;

		if (at >= *ret_at)
			continue;
		next = r;
		*ret_at = at;
	}
	return next;
}

static void run_until(struct world *w, nsec_t end, nsec_t *trouble_at)
{
	for (;;) {
		nsec_t message_at, runner_at;
		struct message *m = next_message(w, &message_at);
		struct runner *r = next_runner(w, &runner_at);
		nsec_t at = MIN(MIN(message_at, runner_at), *trouble_at);

		if (at >= end)
			break;
		w->now = MAX(w->now, at);
		if (at == *trouble_at) {
			trouble(w);
			*trouble_at = w->now + pick(w, 12 * S);
		} else if (m && at == message_at) {
			const struct message copy = *m;

			m->used = false;
			copy.answer ? hear(w, &copy) : serve(w, &copy);
		} else if (r->lease) {
			poll(w, r);
		} else {
			be_born(w, r);
		}
		check(w);
	}
	w->now = end;
}

/* ---- histories ------------------------------------------------------------------------------- */

static void init(struct world *w, uint64_t seed)
{
	*w = (struct world){.seed = seed, .now = S, .late = 20 * S};
	rng_seed(&w->rng, seed);
	w->n = 2 + (unsigned)pick(w, MAX_RUNNERS - 1);
	w->loss = (unsigned)pick(w, 40);
	for (unsigned i = 0; i < w->n; i++) {
		struct runner *r = &w->v[i];

		r->rate = (double)(100 - SKEW + pick(w, 2 * SKEW + 1)) / 100;
		if (pick(w, 2)) /* at one of both ends */
			r->rate = pick(w, 2) ? (100 - SKEW) / 100.0 : (100 + SKEW) / 100.0;
		r->born_at = w->now + pick(w, 20 * S);
		/* Some have the same name. */
		(void)snprintf(r->name, sizeof(r->name), "pod-%u",
			       i && pick(w, 8) == 0 ? i - 1 : i);
	}
}

static void calm_down(struct world *w)
{
	w->calm = true;
	w->down_until = 0;
	for (unsigned i = 0; i < w->n; i++)
		w->v[i].paused_until = w->v[i].cut_until = 0;
}

/* And whoever stands by can take over, one after the other. */
static void check_standby(struct world *w)
{
	nsec_t never = NSEC_NEVER;

	for (unsigned i = 1; i < w->n; i++) {
		struct runner *r = NULL;

		for (unsigned k = 0; k < w->n; k++)
			if (leads(w, &w->v[k]))
				r = &w->v[k];
		if (!r)
			break;
		die(w, r);
		r->born_at = NSEC_NEVER;
		run_until(w, w->now + 60 * S, &never);
		if (leaders(w) != 1)
			fail_msg("LEASE_SEED=%" PRIu64 ": nobody takes over", w->seed);
	}
}

static void done(struct world *w)
{
	for (unsigned i = 0; i < w->n; i++)
		if (w->v[i].lease)
			die(w, &w->v[i]);
}

static void history(uint64_t seed)
{
	static struct world w;
	nsec_t trouble_at, never = NSEC_NEVER;

	init(&w, seed);
	trouble_at = w.now + pick(&w, 12 * S);
	run_until(&w, TROUBLE, &trouble_at);
	calm_down(&w);
	run_until(&w, TROUBLE + CALM, &never);
	if (leaders(&w) != 1)
		fail_msg("LEASE_SEED=%" PRIu64 ": %u lead when all is well", seed, leaders(&w));
	/* And it stays: no faults, no changes. */
	const uint32_t before = w.record.transitions;
	run_until(&w, TROUBLE + 2 * CALM, &never);
	if (leaders(&w) != 1 || w.record.transitions != before)
		fail_msg("LEASE_SEED=%" PRIu64 ": the leader changes when all is well", seed);
	check_standby(&w);
	total.takeovers += w.record.transitions;
	total.histories++;
	done(&w);
}

static void never_two(void **state)
{
	const char *one = getenv("LEASE_SEED"), *many = getenv("LEASE_HISTORIES");
	const uint64_t n = many ? strtoull(many, NULL, 10) : HISTORIES;

	(void)state;
	if (one)
		return history(strtoull(one, NULL, 10));
	for (uint64_t seed = 1; seed <= n; seed++)
		history(seed);
	printf("%" PRIu64 " histories: led %" PRIu64 " times, %" PRIu64 " transitions, %" PRIu64
	       " times lost without wanting, %" PRIu64 " conflicts, %" PRIu64 " stops, %" PRIu64
	       " kills, %" PRIu64 " releases, %" PRIu64 " doubled messages\n",
	       total.histories, total.led, total.takeovers, total.lost, total.conflicts,
	       total.pauses, total.kills, total.releases, total.doubled);
	/* A model in which little happens proves little. */
	assert_true(total.takeovers > n && total.lost > n && total.conflicts > n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(never_two)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
