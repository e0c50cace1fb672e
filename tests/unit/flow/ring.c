/* The ring and the maps of real programs, read in an order that the probe's loop may take when the
 * agent is late. */
#include "flow/ring.h"

#include "flow/caps.h"
#include "flow/layout.h"
#include "flow/objects.h"
#include "flow_abi.h"
#include "shell_rig.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <sys/capability.h>

#define NEEDS	  (CAPS_BIT(CAP_BPF) | CAPS_BIT(CAP_PERFMON))
#define RING_SIZE 16384 /* 78 records of a socket */

struct rig {
	struct flows *flows;
	struct objects *objects;
	struct ring *ring;
};

static void rig_up(struct rig *g, uint32_t max_tombs)
{
	const struct flows_opts f = {.max_tombs = max_tombs};
	struct layout layout;
	uint64_t have = 0;

	CHECK(flows_new(&f, &g->flows) == 0, "flows");
	CHECK(caps_permitted(&have) == 0, "capabilities");
	(void)layout_find("/sys/fs/cgroup", "/proc", &layout);
	const struct objects_opts o = {
		.layout = &layout,
		.tier = PROBE_TIER_TRACE,
		.permitted = have,
		.ring_bytes = RING_SIZE,
		.max_socks = 1024,
		.max_udp = 16,
	};

	CHECK(objects_new(&o, &g->objects) == 0 && objects_attach(g->objects) == 0, "objects");
	const struct ring_opts r = {
		.flows = g->flows,
		.ring = objects_map(g->objects, OBJECTS_RING),
		.counts = objects_map(g->objects, OBJECTS_COUNTS),
		.socks = objects_map(g->objects, OBJECTS_SOCKS),
		.ends = objects_map(g->objects, OBJECTS_ENDS),
		.places = objects_map(g->objects, OBJECTS_PLACES),
		.tape = objects_map(g->objects, OBJECTS_TAPE),
		.tape_at = objects_map(g->objects, OBJECTS_TAPE_AT),
		.fresh = objects_map(g->objects, OBJECTS_FRESH),
		.refresh = objects_refresh(g->objects),
		.udp = -1,
		.procs = -1,
		.proc_root = "/proc",
	};

	CHECK(ring_new(&r, &g->ring) == 0, "ring");
}

static void rig_down(struct rig *g)
{
	ring_free(&g->ring);
	objects_free(&g->objects);
	flows_free(&g->flows);
}

static void poll_all(struct rig *g)
{
	ring_poll_begin(g->ring, clock_mono());
	while (ring_poll(g->ring, clock_mono(), NSEC_PER_SEC))
		;
}

/* Everybody is a host's service. */
static void name_all(struct rig *g)
{
	const struct flow_end end = {.known_by = KNOWN_HOST};
	const nsec_t late = clock_mono() + 100 * NSEC_PER_SEC;
	flow_id id;

	while ((id = flows_unnamed(g->flows, late)))
		CHECK(flows_name(g->flows, late, id, &end, &end) == 0, "name");
}

/* What the kernel counts of strangers' sockets between two reads is told of by the next. */
static struct flows_stats settle(struct rig *g)
{
	struct flows_stats st;
	int tries = 0;

	do {
		for (int i = 0; i < 3; i++)
			poll_all(g);
		while (ring_read(g->ring, clock_mono(), NSEC_PER_SEC).more)
			;
		ring_counts(g->ring);
		name_all(g);
		flows_stats(g->flows, &st);
	} while (st.unaccounted && ++tries < 20);
	return st;
}

/*
 * Openings fill the ring, all ends go to their map. Whoever reads that map first and the ring then
 * must not take an opening for another flow's, however many have ended since.
 */
static void openings_after_ends(void *ctx)
{
	enum { PAIRS = 20, MORE = 100 };
	struct rig_pair p[PAIRS];
	struct rig g = {0};
	struct flows_stats st;

	(void)ctx;
	if (!rig_netns())
		exit(RIG_SKIP);
	rig_up(&g, 4);
	for (int i = 0; i < PAIRS; i++)
		p[i] = rig_connect(false);
	for (int i = 0; i < MORE; i++) {
		struct rig_pair q = rig_connect(false);

		rig_close(&q);
	}
	for (int i = 0; i < PAIRS; i++)
		rig_close(&p[i]);
	poll_all(&g);
	st = settle(&g);
	CHECK(st.kernel[ABI_COUNT_RING_FULL_CLOSE] > 2 * MORE, "the ring was not full");
	CHECK(st.unaccounted == 0, "started %lu reported %lu open %lu, ends lost %lu",
	      (unsigned long)st.started, (unsigned long)st.reported, (unsigned long)st.open,
	      (unsigned long)st.close_lost);
	rig_down(&g);
}

static void test_openings_after_ends(void **state)
{
	uint64_t have = 0;

	(void)state;
	if (caps_permitted(&have) < 0 || (have & NEEDS) != NEEDS) {
		print_message("skipped: no CAP_BPF (cannot run here)\n");
		skip();
	}
	RIG_NEED(rig_child(openings_after_ends, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_openings_after_ends),
	};

	return cmocka_run_group_tests_name("flow/ring", tests, NULL, NULL);
}
