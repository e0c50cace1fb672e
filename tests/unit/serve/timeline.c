/*
 * The timeline against a plain model that keeps every addition, its bounds, and what a
 * reader with a mark sees.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "serve/timeline.h"
#include "tests/lib/torture.h"

#define NAMES	  12
#define ADDITIONS 20000
#define START	  (1000 * NSEC_PER_SEC)

static const struct metrics_growth one = {.sent = 1};

static struct flow_view view(const char *from, const char *to)
{
	return (struct flow_view){.dir = FLOW_OUT,
				  .local = {.known_by = KNOWN_CGROUP,
					    .ns = STR("shop"),
					    .workload = str_of(from),
					    .workload_kind = STR("Deployment")},
				  .remote = {.known_by = KNOWN_ADDRESS,
					     .ns = STR("shop"),
					     .workload = str_of(to),
					     .workload_kind = STR("StatefulSet")}};
}

static struct timeline *timeline(uint32_t max_edges, uint32_t max_cells)
{
	const struct timeline_opts o = {.max_edges = max_edges, .max_cells = max_cells};
	struct timeline *t = NULL;

	assert_int_equal(timeline_new(&o, START, &t), 0);
	return t;
}

static void add(struct timeline *t, nsec_t at, const char *from, const char *to)
{
	const struct flow_view v = view(from, to);

	timeline_add(t, at, &v, &one);
}

/* "from>to", of every cell in order, with what was sent. */
static void list(const struct timeline *t, uint64_t mark, struct buf *out)
{
	struct timeline_cell c = {0};
	struct timeline_edge e;

	buf_reset(out);
	for (bool more = timeline_cell_at(t, 0, 0, &c); more;
	     more = timeline_cell_at(t, c.slot, c.index + 1, &c)) {
		assert_true(timeline_edge_at(t, c.edge, &e));
		if (c.mark >= mark)
			assert_int_equal(buf_printf(out, "%d:%.*s>%.*s=%d ",
						    (int)(c.slot - START / TIMELINE_SLOT),
						    STR_ARG(e.from.name), STR_ARG(e.to.name),
						    (int)c.counts.sent),
					 0);
	}
	assert_int_equal(buf_append(out, "", 1), 0);
}

/* ---- against the model ----------------------------------------------------------------------- */

struct model {
	uint64_t slot[TIMELINE_SLOTS * 4][NAMES][NAMES]; /* bytes sent */
};

static void compare(const struct timeline *t, const struct model *m, uint64_t newest)
{
	const uint64_t base = START / TIMELINE_SLOT;
	uint64_t told = 0, expected = 0;
	struct timeline_cell c = {0};
	struct timeline_edge e;

	for (bool more = timeline_cell_at(t, 0, 0, &c); more;
	     more = timeline_cell_at(t, c.slot, c.index + 1, &c)) {
		assert_true(timeline_edge_at(t, c.edge, &e));
		assert_int_equal(
			c.counts.sent,
			m->slot[c.slot - base][e.from.name.p[1] - 'a'][e.to.name.p[1] - 'a']);
		told += c.counts.sent;
	}
	for (uint64_t s = newest >= TIMELINE_SLOTS ? newest - TIMELINE_SLOTS + 1 : 0; s <= newest;
	     s++)
		for (int i = 0; i < NAMES * NAMES; i++)
			expected += m->slot[s][i / NAMES][i % NAMES];
	assert_int_equal(told, expected);
}

static void all_is_counted_in_its_slot(void **state)
{
	struct model *m = calloc(1, sizeof(*m));
	struct timeline *t = timeline(0, 0);
	struct rng rng;
	nsec_t now = START;

	(void)state;
	assert_non_null(m);
	rng_seed(&rng, 7);
	for (int i = 0; i < ADDITIONS; i++) {
		const uint64_t a = rng_below(&rng, NAMES), b = rng_below(&rng, NAMES);
		char from[3] = {'w', (char)('a' + a)}, to[3] = {'w', (char)('a' + b)};
		struct flow_view v = view(from, to), turned = v;
		struct metrics_growth d = {.sent = 1 + rng_below(&rng, 1000)};

		turned.dir = FLOW_IN; /* the same edge, seen from its server */
		turned.local = v.remote;
		turned.remote = v.local;
		timeline_add(t, now, i % 2 ? &v : &turned, &d);
		m->slot[(now - START) / TIMELINE_SLOT][a][b] += d.sent;
		if (i % 1000 == 0)
			compare(t, m, (now - START) / TIMELINE_SLOT);
		now += rng_below(&rng, 300) * NSEC_PER_MSEC;
	}
	compare(t, m, (now - START) / TIMELINE_SLOT);
	timeline_run(t, now + TIMELINE_KEEP);
	assert_false(timeline_cell_at(t, 0, 0, &(struct timeline_cell){0}));
	timeline_free(&t);
	free(m);
}

/* ---- bounds ---------------------------------------------------------------------------------- */

static void over_the_most_edges_it_is_other(void **state)
{
	_buf_ struct buf out = {.max = 4096};
	struct timeline *t = timeline(2, 0);
	struct timeline_stats s;

	(void)state;
	add(t, START, "a", "b");
	add(t, START, "b", "c");
	add(t, START, "c", "d");
	add(t, START, "d", "e");
	add(t, START, "a", "b");
	list(t, 0, &out);
	assert_string_equal(out.p, "0:a>b=2 0:b>c=1 0:other>other=2 ");
	timeline_stats(t, &s);
	assert_int_equal(s.other, 2);
	timeline_run(t, START + TIMELINE_KEEP); /* they go, others find room */
	add(t, START + TIMELINE_KEEP, "c", "d");
	list(t, 0, &out);
	assert_string_equal(out.p, "90:c>d=1 ");
	timeline_free(&t);
}

static void over_the_most_cells_the_oldest_slot_goes(void **state)
{
	_buf_ struct buf out = {.max = 4096};
	struct timeline *t = timeline(0, 3);
	struct timeline_stats s;

	(void)state;
	add(t, START, "a", "b");
	add(t, START, "b", "c");
	assert_int_equal(timeline_begin(t), START);
	add(t, START + TIMELINE_SLOT, "a", "b");
	add(t, START + 2 * TIMELINE_SLOT, "a", "b");
	list(t, 0, &out);
	assert_string_equal(out.p, "1:a>b=1 2:a>b=1 ");
	assert_int_equal(timeline_begin(t), START + TIMELINE_SLOT);
	timeline_stats(t, &s);
	assert_int_equal(s.early, 1);
	assert_int_equal(s.edges, 1);
	assert_int_equal(s.cells, 2);
	timeline_free(&t);
}

static void an_end_without_a_name_says_why(void **state)
{
	struct timeline *t = timeline(0, 0);
	struct flow_view v = view("a", "b");
	struct timeline_edge e;

	(void)state;
	v.remote = (struct flow_end){.why = UNKNOWN_ADDRESS};
	timeline_add(t, START, &v, &one);
	assert_true(timeline_edge_at(t, 1, &e));
	assert_true(str_eq(e.to.name, STR("unknown")) && str_eq(e.to.kind, STR("address")));
	assert_true(str_empty(e.to.ns) && str_eq(e.from.kind, STR("Deployment")));
	timeline_free(&t);
}

static void a_mark_tells_what_has_changed(void **state)
{
	_buf_ struct buf out = {.max = 4096};
	struct timeline *t = timeline(0, 0);
	uint64_t mark;

	(void)state;
	add(t, START, "a", "b");
	add(t, START, "b", "c");
	mark = timeline_mark(t);
	list(t, mark, &out);
	assert_string_equal(out.p, "");
	add(t, START, "b", "c");
	add(t, START + TIMELINE_SLOT, "c", "d");
	list(t, mark, &out);
	assert_string_equal(out.p, "0:b>c=2 1:c>d=1 ");
	timeline_free(&t);
}

static int tortured(void *ctx)
{
	const struct timeline_opts o = {.max_edges = 4};
	struct timeline_stats s = {0};
	struct timeline *t = NULL;
	int r = timeline_new(&o, START, &t);

	(void)ctx;
	for (int i = 0; i < 60 && r == 0; i++) {
		char to[3] = {'w', (char)('a' + i % 20)};

		add(t, START + (nsec_t)i * TIMELINE_SLOT / 20, "a", to);
	}
	if (r == 0)
		timeline_stats(t, &s);
	timeline_free(&t);
	return r < 0 ? r : s.lost ? -ENOMEM : 0;
}

static void no_memory_is_counted(void **state)
{
	(void)state;
	assert_int_equal(torture_run(tortured, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_is_counted_in_its_slot),
		cmocka_unit_test(over_the_most_edges_it_is_other),
		cmocka_unit_test(over_the_most_cells_the_oldest_slot_goes),
		cmocka_unit_test(an_end_without_a_name_says_why),
		cmocka_unit_test(a_mark_tells_what_has_changed),
		cmocka_unit_test(no_memory_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
