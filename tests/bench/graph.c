/*
 * What the graph of a cluster costs: nodes and edges of recorded pods, and the same
 * written into SQLite, 200 objects a transaction. Wall-clock time for the disk's part,
 * processor time for the rest.
 */
#include "tests/bench/bench.h"

#include "base/clock.h"
#include "base/mem.h"
#include "sink/graph/rows.h"
#include "sink/sqlite/db.h"
#include "tests/lib/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define BATCH	  200U
#define ROUNDS	  5
#define ARENA_MAX ((size_t)1 << 30)

static double processor_s(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The pods of a recorded list as what they make. */
static uint32_t make_items(const struct tree *list, struct arena *a, struct relay_item *items,
			   uint32_t max, uint64_t *ret_edges)
{
	uint32_t n = 0;

	tree_each(pod, tree_get(list, "items"))
	{
		struct graph_made *made = arena_alloc(a, sizeof(*made));
		struct tree *t = (struct tree *)(uintptr_t)pod; /* the list is ours */

		if (!made || n == max || tree_set_text(a, t, STR("kind"), STR("Pod")) < 0 ||
		    tree_set_text(a, t, STR("apiVersion"), STR("v1")) < 0)
			break;
		*made = (struct graph_made){0};
		if (edges_of(pod, a, &made->set) < 0 || graph_state_of(pod, a, 0, &made->state) < 0)
			continue;
		made->hash = edges_hash(&made->set, made->state.json);
		*ret_edges += made->set.n_edges;
		items[n++] = (struct relay_item){.kind = STR("Pod"),
						 .ns = made->set.nodes[0].ref.ns,
						 .name = made->set.nodes[0].ref.name,
						 .uid = tree_text_at(pod, "metadata.uid"),
						 .made = made};
	}
	return n;
}

static void write_rows(const struct relay_item *items, uint32_t n, uint64_t edges)
{
	char file[64], name[80];
	_buf_ struct buf error = {.max = DB_ERROR_MAX};
	struct sqlite3 *db = NULL;
	nsec_t start, took;
	int r;

	(void)snprintf(file, sizeof(file), "/tmp/kindred-bench-%d.db", (int)getpid());
	r = db_open(file, false, &db, &error);
	start = clock_mono();
	for (uint32_t i = 0; i < n && r == 0; i += BATCH) {
		r = db_exec(db, "BEGIN", &error);
		r = r < 0 ? r : rows_write(db, STR("c"), 1, items + i, MIN(BATCH, n - i), &error);
		r = r < 0 ? r : db_exec(db, "COMMIT", &error);
	}
	took = clock_mono() - start;
	if (r < 0)
		(void)fprintf(stderr, "graph: %.*s\n", STR_ARG(buf_str(&error)));
	(void)printf("graph_sqlite_objects %.0f objects/s\n", (double)n * 1e9 / (double)took);
	(void)printf("graph_sqlite_edges %.0f edges/s\n", (double)edges * 1e9 / (double)took);
	db_close(&db);
	for (int i = 0; i < 3; i++) {
		(void)snprintf(name, sizeof(name), "%s%s", file,
			       i == 0	? ""
			       : i == 1 ? "-wal"
					: "-shm");
		(void)unlink(name);
	}
}

void bench_graph(void)
{
	_free_ struct relay_item *items = calloc(4096, sizeof(*items));
	_buf_ struct buf body;
	struct tree *list;
	struct arena a;
	uint64_t edges = 0;
	uint32_t n = 0;
	double start;

	arena_init(&a, ARENA_MAX);
	if (items && fixture_read("big-pods-json", &body) == 0 &&
	    tree_parse(&a, buf_str(&body), &list) == 0) {
		start = processor_s();
		for (int i = 0; i < ROUNDS; i++) {
			edges = 0;
			n = make_items(list, &a, items, 4096, &edges);
		}
		(void)printf("graph_edges_object %.3f us\n",
			     (processor_s() - start) * 1e6 / ROUNDS / n);
		write_rows(items, n, edges);
	}
	arena_done(&a);
}
