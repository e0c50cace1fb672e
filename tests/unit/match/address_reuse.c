/*
 * Address reuse: random histories of pods that take addresses from each other,
 * told to the inventory late and in any order; no flow may ever be given to a pod
 * that did not have the address when it began.
 *
 *   truth     each address has one owner at a time, or none; pods end by deletion
 *             or finish first and are deleted later; pods of the host's network
 *             show an address that is not theirs
 *   told      every event up to `settle` late, each pod's own in order; some
 *             deletions not at all until a list; lists at any time, one at the start;
 *             nothing at all for a while, and then a list; deletions that come before
 *             the pod is really gone
 *   asked     at once, when `settle` has passed, and later
 *
 * REUSE_HISTORIES sets how many; the seed is printed, REUSE_SEED repeats it.
 */
#include "match/end.h"

#include "base/mem.h"
#include "base/rng.h"
#include "match/memo.h"
#include "tests/lib/objects.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HISTORIES 20000
#else
#define HISTORIES 2000000
#endif

#define MS	    NSEC_PER_MSEC
#define SETTLE	    NSEC_PER_SEC
#define SPAN	    (8 * NSEC_PER_SEC) /* of one history's truth */
#define MAX_PODS    6
#define MAX_ADDRS   2
#define MAX_FLOWS   5
#define MAX_STEPS   64
#define LOOKS	    3
#define WALL_OFFSET (1795197283ULL * NSEC_PER_SEC + 123456789)
#define NOBODY	    UINT32_MAX

struct truth {
	unsigned int uid;
	uint32_t addr;
	nsec_t created, from, to, finished, deleted; /* [from, to): has the address */
	nsec_t started;				     /* its container */
	bool host_network, finishes, unseen;	     /* unseen: its deletion, until a list */
	nsec_t told_end; /* when the inventory hears that it has the address no more */
};

struct flow {
	uint32_t addr;
	nsec_t start;
	bool answered;
};

enum step_type { TELL_NEW, TELL_ADDRESS, TELL_FINISHED, TELL_DELETED, LIST, LOOK };
struct step {
	nsec_t at;
	enum step_type type;
	uint32_t i;
};

struct history {
	nsec_t base, delay, first_list; /* first_list 0: listed long before */
	nsec_t deaf_from, deaf_to;	/* nothing is heard; a list ends it */
	struct truth pods[MAX_PODS];
	struct flow flows[MAX_FLOWS];
	struct step steps[MAX_STEPS];
	uint32_t n_pods, n_flows, n_steps;
	bool unseen, forced;
};

static const char *const addr_text[MAX_ADDRS] = {"10.1.2.3", "fd00::7"};
static const char *const pod_name[MAX_PODS] = {"p0", "p1", "p2", "p3", "p4", "p5"};

static struct {
	struct rng g;
	uint64_t seed;
	struct inventory *v;
	struct match_policy policy;
	struct end_scope scope;
	uint16_t source;
	struct addr addrs[MAX_ADDRS];
	unsigned int next_uid;
	uint64_t told, ambiguous, nobody, looked;
} w;

static nsec_t upto(nsec_t n)
{
	return n ? rng_below(&w.g, n / MS + 1) * MS : 0;
}

static bool chance(uint32_t percent)
{
	return rng_below(&w.g, 100) < percent;
}

/* ---- the truth ------------------------------------------------------------------------------- */

static void make_pod(struct history *h, uint32_t addr, nsec_t *free_from)
{
	struct truth *p = &h->pods[h->n_pods++];

	*p = (struct truth){.uid = ++w.next_uid, .addr = addr, .host_network = chance(8)};
	p->from = *free_from + (chance(40) ? upto(50 * MS) : upto(2 * SETTLE));
	p->created = p->from - MIN(p->from - h->base, upto(3 * SETTLE));
	p->started = p->from + upto(500 * MS);
	p->to = p->from + MS + (chance(40) ? upto(300 * MS) : upto(4 * SETTLE));
	p->finishes = chance(25);
	p->unseen = h->unseen && chance(50);
	p->finished = p->to;
	p->deleted = p->finishes ? p->to + upto(3 * SETTLE) : p->to;
	if (h->forced && !p->finishes && chance(50))
		p->deleted -= upto(MIN(p->to - p->from, SETTLE));
	if (!p->host_network)
		*free_from = p->to;
}

static void make_truth(struct history *h)
{
	for (uint32_t a = 0; a < MAX_ADDRS; a++) {
		nsec_t free_from = h->base;
		uint32_t n = 1 + (uint32_t)rng_below(&w.g, MAX_PODS / MAX_ADDRS);

		while (n-- && free_from < h->base + SPAN)
			make_pod(h, a, &free_from);
	}
}

static uint32_t owner_at(const struct history *h, uint32_t addr, nsec_t at)
{
	for (uint32_t i = 0; i < h->n_pods; i++)
		if (h->pods[i].addr == addr && !h->pods[i].host_network && at >= h->pods[i].from &&
		    at < h->pods[i].to)
			return i;
	return NOBODY;
}

/* ---- what is told of it ---------------------------------------------------------------------- */

static nsec_t step_at(struct history *h, nsec_t at, enum step_type type, uint32_t i)
{
	assert_true(h->n_steps < MAX_STEPS);
	h->steps[h->n_steps++] = (struct step){.at = at, .type = type, .i = i};
	return at;
}

/* When an event of this time is told; not before the pod's last one. */
static nsec_t late(struct history *h, nsec_t at, nsec_t last)
{
	return MAX(at + (chance(30) ? 0 : upto(h->delay)), last);
}

static nsec_t next_list(const struct history *h, nsec_t after)
{
	nsec_t first = NSEC_NEVER;

	for (uint32_t i = 0; i < h->n_steps; i++)
		if (h->steps[i].type == LIST && h->steps[i].at >= after)
			first = MIN(first, h->steps[i].at);
	return first;
}

static void tell_pod(struct history *h, uint32_t i)
{
	struct truth *p = &h->pods[i];
	nsec_t at = p->created;

	if (chance(50))
		at = step_at(h, late(h, p->created, at), TELL_NEW, i);
	at = step_at(h, late(h, p->from, at), TELL_ADDRESS, i);
	p->told_end = NSEC_NEVER;
	if (p->finishes)
		p->told_end = at = step_at(h, late(h, p->finished, at), TELL_FINISHED, i);
	if (p->unseen) {
		p->told_end = MIN(p->told_end, next_list(h, p->deleted));
	} else {
		at = step_at(h, late(h, p->deleted, at), TELL_DELETED, i);
		p->told_end = MIN(p->told_end, at);
	}
}

static void make_flow(struct history *h)
{
	uint32_t i = h->n_flows++;
	struct flow *f = &h->flows[i];
	nsec_t after = SETTLE;

	*f = (struct flow){.addr = (uint32_t)rng_below(&w.g, MAX_ADDRS),
			   .start = h->base + upto(SPAN)};
	if (chance(50)) { /* about somebody's beginning or end */
		const struct truth *p = &h->pods[rng_below(&w.g, h->n_pods)];

		f->addr = p->addr;
		f->start = (chance(50) ? p->from : p->to) + upto(600 * MS);
		f->start -= MIN(upto(600 * MS), f->start - h->base);
	}
	f->answered = owner_at(h, f->addr, f->start) != NOBODY && chance(70);
	(void)step_at(h, f->start, LOOK, i);
	(void)step_at(h, f->start + after, LOOK, i);
	(void)step_at(h, f->start + after + upto(5 * SETTLE), LOOK, i);
}

/* By time; what is told comes before what is asked at the same moment. */
static int by_time(const void *a, const void *b)
{
	const struct step *x = a, *y = b;

	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	if ((x->type == LOOK) != (y->type == LOOK))
		return x->type == LOOK ? 1 : -1;
	if (x->i != y->i)
		return x->i < y->i ? -1 : 1;
	return (x->type > y->type) - (x->type < y->type);
}

static void make(struct history *h, nsec_t base, nsec_t delay, bool faults)
{
	*h = (struct history){.base = base, .delay = delay, .unseen = faults && chance(30)};
	if (faults && chance(20))
		h->first_list = base + upto(SPAN);
	if (faults && !h->unseen && chance(30)) {
		h->deaf_from = base + upto(SPAN);
		h->deaf_to = h->deaf_from + upto(3 * SETTLE);
	}
	h->forced = faults && !h->unseen && chance(30);
	make_truth(h);
	for (uint32_t n = faults ? (uint32_t)rng_below(&w.g, 3) : 0; n; n--)
		(void)step_at(h, base + upto(SPAN + 4 * SETTLE), LIST, 0);
	if (h->first_list)
		(void)step_at(h, h->first_list, LIST, 0);
	if (h->deaf_to)
		(void)step_at(h, h->deaf_to, LIST, 0);
	for (uint32_t i = 0; i < h->n_pods; i++)
		tell_pod(h, i);
	for (uint32_t n = 1 + (uint32_t)rng_below(&w.g, MAX_FLOWS); n; n--)
		make_flow(h);
	qsort(h->steps, h->n_steps, sizeof(h->steps[0]), by_time);
}

/* ---- telling --------------------------------------------------------------------------------- */

static void apply(const struct history *h, uint32_t i, nsec_t now, bool address, bool finished)
{
	const struct truth *p = &h->pods[i];
	struct obj b;

	obj_pod(&b, "ns", pod_name[i], obj_uid(p->uid), address ? addr_text[p->addr] : NULL);
	b.o.pod.host_network = p->host_network;
	b.o.pod.phase = finished  ? POD_PHASE_SUCCEEDED
			: address ? POD_PHASE_RUNNING
				  : POD_PHASE_PENDING;
	if (address && !finished && now >= p->started) {
		obj_container(&b, "", "c", "image");
		b.containers[0].started = (int64_t)((p->started + WALL_OFFSET) / NSEC_PER_SEC);
	}
	assert_int_equal(inventory_apply_pod(w.v, w.source, now, &b.o), 0);
}

/* A list is the truth of its moment. */
static void list(const struct history *h, nsec_t now)
{
	inventory_list_begin(w.v, w.source);
	for (uint32_t i = 0; i < h->n_pods; i++)
		if (now >= h->pods[i].created && now < h->pods[i].deleted)
			apply(h, i, now, now >= h->pods[i].from,
			      h->pods[i].finishes && now >= h->pods[i].finished);
	inventory_list_end(w.v, w.source, now);
}

/* An event that a list has overtaken is not sent: a watch goes on where the list ended. */
static bool overtaken(const struct history *h, const struct step *s)
{
	const struct truth *p = &h->pods[s->i];
	nsec_t happened = s->type == TELL_NEW	     ? p->created
			  : s->type == TELL_ADDRESS  ? p->from
			  : s->type == TELL_FINISHED ? p->finished
						     : p->deleted;

	for (uint32_t i = 0; i < h->n_steps && h->steps[i].at <= s->at; i++)
		if (h->steps[i].type == LIST && h->steps[i].at >= happened)
			return &h->steps[i] < s;
	return false;
}

static void tell(const struct history *h, const struct step *s)
{
	if (overtaken(h, s))
		return;
	apply(h, s->i, s->at, s->type != TELL_NEW,
	      s->type == TELL_FINISHED || (s->type == TELL_DELETED && h->pods[s->i].finishes));
	if (s->type == TELL_DELETED)
		inventory_delete_pod(w.v, obj_uid(h->pods[s->i].uid), s->at);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static void explain_claims(const struct history *h, const struct addr *ip)
{
	struct inv_claim c[16];
	uint32_t n = MIN(inventory_pod_claims(w.v, ip, c, 16), 16U);

	for (uint32_t i = 0; i < n; i++)
		print_message(
			"  claim of pod id %u from %llu to %llu%s, ran in %u\n", c[i].id,
			(unsigned long long)((c[i].from - h->base) / MS),
			(unsigned long long)((MIN(c[i].to, h->base + 99999 * MS) - h->base) / MS),
			c[i].listed ? ", listed" : "", c[i].running);
}

static void explain(const struct history *h, const struct step *s, const struct flow_end *e)
{
	static const char *const types[] = {"new",     "address", "finished",
					    "deleted", "list",	  "look"};
	const struct flow *f = &h->flows[s->i];

	for (uint32_t i = 0; i < h->n_pods; i++) {
		const struct truth *p = &h->pods[i];

		print_message("  p%u %s%s created %llu from %llu to %llu deleted %llu%s%s\n", i,
			      addr_text[p->addr], p->host_network ? " host network" : "",
			      (unsigned long long)((p->created - h->base) / MS),
			      (unsigned long long)((p->from - h->base) / MS),
			      (unsigned long long)((p->to - h->base) / MS),
			      (unsigned long long)((p->deleted - h->base) / MS),
			      p->finishes ? " finishes" : "", p->unseen ? " unseen" : "");
	}
	for (uint32_t i = 0; i < h->n_steps; i++)
		print_message("  %llu %s %u\n",
			      (unsigned long long)((h->steps[i].at - h->base) / MS),
			      types[h->steps[i].type], h->steps[i].i);
	explain_claims(h, &w.addrs[f->addr]);
	print_message("flow to %s at %llu%s, asked at %llu: told %.*s, why %s\n",
		      addr_text[f->addr], (unsigned long long)((f->start - h->base) / MS),
		      f->answered ? " (answered)" : "",
		      (unsigned long long)((s->at - h->base) / MS), STR_ARG(e->pod),
		      unknown_reason_name(e->why));
	fail_msg("wrong");
}

/* Nobody had it: then the last one that had, when that was over and nobody had been told, will do;
 * but only of a flow that nobody answered. */
static bool was_the_last(const struct history *h, const struct flow *f, uint32_t i)
{
	const struct truth *p = &h->pods[i];

	if (f->answered || p->addr != f->addr || p->to > f->start || p->told_end <= f->start)
		return false;
	for (uint32_t k = 0; k < h->n_pods; k++)
		if (!p->unseen && !h->pods[k].host_network && h->pods[k].addr == f->addr &&
		    h->pods[k].from >= p->to && h->pods[k].from <= f->start)
			return false;
	return true;
}

/* Whether another pod had the address near this time, so that late news could mean both. */
static bool crowded(const struct history *h, const struct flow *f, nsec_t near, uint32_t owner)
{
	for (uint32_t i = 0; i < h->n_pods; i++)
		if (i != owner && h->pods[i].addr == f->addr && !h->pods[i].host_network &&
		    h->pods[i].from <= f->start + near && h->pods[i].to + near > f->start)
			return true;
	return false;
}

/* What is kept of earlier looks changes no answer. */
static void name(const struct flow *f, unsigned int flags, struct end_text *t, struct flow_end *ret)
{
	struct end_scope anew = w.scope;
	struct end_text text;
	struct flow_end e;

	anew.memo = NULL;
	end_remote(&w.scope, &w.addrs[f->addr], f->start, flags, t, ret);
	end_remote(&anew, &w.addrs[f->addr], f->start, flags, &text, &e);
	assert_int_equal(e.known_by, ret->known_by);
	assert_int_equal(e.why, ret->why);
	assert_true(str_eq(e.pod, ret->pod) && str_eq(e.pod_uid, ret->pod_uid) &&
		    str_eq(e.workload, ret->workload));
}

static void look(const struct history *h, const struct step *s)
{
	const struct flow *f = &h->flows[s->i];
	unsigned int flags = f->answered ? END_ANSWERED : 0U;
	uint32_t owner = owner_at(h, f->addr, f->start), told = NOBODY;
	struct end_text t;
	struct flow_end e;

	if (s->at >= f->start + SETTLE)
		flags |= END_OVERDUE;
	name(f, flags, &t, &e);
	for (uint32_t i = 0; i < h->n_pods && e.known_by == KNOWN_ADDRESS; i++)
		if (str_eq(e.pod, str_of(pod_name[i])))
			told = i;
	if (!(flags & END_OVERDUE)) {
		if (e.known_by != KNOWN_NOT || e.why != UNKNOWN_PENDING)
			explain(h, s, &e);
		return;
	}
	w.looked++;
	w.told += told != NOBODY;
	w.ambiguous += e.why == UNKNOWN_AMBIGUOUS;
	w.nobody += e.why == UNKNOWN_ADDRESS;
	if (told != NOBODY && told != owner && !(owner == NOBODY && was_the_last(h, f, told)))
		explain(h, s, &e);
	if (told == NOBODY && owner != NOBODY && h->delay == 0 && !h->unseen && !h->first_list &&
	    !crowded(h, f, w.scope.settle, owner))
		explain(h, s, &e);
}

/* ---- histories ------------------------------------------------------------------------------- */

static void forget_all(const struct history *h, nsec_t now)
{
	struct inventory_stats st;

	for (uint32_t i = 0; i < h->n_pods; i++)
		inventory_delete_pod(w.v, obj_uid(h->pods[i].uid), now);
	(void)inventory_expire(w.v, now + 2 * inventory_defaults.linger);
	inventory_stats(w.v, &st);
	assert_int_equal(st.pods, 0);
}

static bool heard(const struct history *h, nsec_t at)
{
	return at >= h->first_list && !(at >= h->deaf_from && at < h->deaf_to);
}

static void run(nsec_t base, nsec_t delay, bool faults)
{
	struct history h;

	make(&h, base, delay, faults);
	for (uint32_t i = 0; i < h.n_steps; i++) {
		const struct step *s = &h.steps[i];

		if (s->type == LOOK && !(s->at >= h.deaf_from && s->at < h.deaf_to))
			look(&h, s);
		else if (s->type == LIST && heard(&h, s->at))
			list(&h, s->at);
		else if (s->type < LIST && heard(&h, s->at) && s->at != h.first_list &&
			 s->at != h.deaf_to) /* a list is the first that is heard again */
			tell(&h, s);
	}
	forget_all(&h, base + 100 * NSEC_PER_SEC);
}

static void run_all(nsec_t delay, bool faults, nsec_t settle, uint64_t n)
{
	nsec_t base = 1000 * NSEC_PER_SEC;

	w.scope.settle = settle;
	w.told = w.ambiguous = w.nobody = w.looked = 0;
	for (uint64_t i = 0; i < n; i++, base += 1000 * NSEC_PER_SEC)
		run(base, delay, faults);
	print_message("%llu histories: %llu looks, %llu told, %llu ambiguous, %llu nobody\n",
		      (unsigned long long)n, (unsigned long long)w.looked,
		      (unsigned long long)w.told, (unsigned long long)w.ambiguous,
		      (unsigned long long)w.nobody);
}

static uint64_t number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);
	unsigned long long n;

	return text && str_to_u64(str_of(text), &n) == 0 ? n : otherwise;
}

static void late_by_up_to_settle(void **state)
{
	(void)state;
	run_all(SETTLE, false, SETTLE, number("REUSE_HISTORIES", HISTORIES) * 45 / 100);
}

static void lists_and_unseen_deletions(void **state)
{
	(void)state;
	run_all(SETTLE, true, SETTLE, number("REUSE_HISTORIES", HISTORIES) * 45 / 100);
}

/* Nothing is late: everything is known, but for what could have been another's within settle. */
static void at_once(void **state)
{
	(void)state;
	run_all(0, false, SETTLE, number("REUSE_HISTORIES", HISTORIES) * 5 / 100);
}

/* And when it is known that nothing is late: everything. */
static void at_once_and_no_settling(void **state)
{
	(void)state;
	run_all(0, false, 1, number("REUSE_HISTORIES", HISTORIES) * 5 / 100);
}

static int seed(void **state)
{
	(void)state;
	w.seed = number("REUSE_SEED", rng_entropy());
	print_message("REUSE_SEED=%llu\n", (unsigned long long)w.seed);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	rng_seed(&w.g, w.seed);
	assert_int_equal(inventory_new(&inventory_defaults, &w.v), 0);
	assert_int_equal(inventory_source_add(w.v, &w.source), 0);
	for (uint32_t a = 0; a < MAX_ADDRS; a++)
		assert_int_equal(addr_parse(str_of(addr_text[a]), &w.addrs[a]), 0);
	w.scope = (struct end_scope){
		.inventory = w.v, .policy = &w.policy, .wall_offset = WALL_OFFSET};
	return end_memo_new(&w.scope.memo);
}

static int teardown(void **state)
{
	(void)state;
	end_memo_free(&w.scope.memo);
	inventory_free(&w.v);
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(late_by_up_to_settle, setup, teardown),
		cmocka_unit_test_setup_teardown(lists_and_unseen_deletions, setup, teardown),
		cmocka_unit_test_setup_teardown(at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(at_once_and_no_settling, setup, teardown),
	};

	return cmocka_run_group_tests(tests, seed, NULL);
}
