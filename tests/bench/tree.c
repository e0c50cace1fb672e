/*
 * What a whole object costs on its way from the watch to the store: parsed, redacted,
 * written; each recorded pod by itself, as the reflector hands it out. Processor
 * time: what else the machine does counts for nothing.
 */
#include "tests/bench/bench.h"

#include "base/mem.h"
#include "tests/lib/fixture.h"
#include "tree/redact.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ROUNDS	  40
#define ARENA_MAX ((size_t)64 << 20)

struct objects {
	struct buf *one; /* each object's JSON */
	uint32_t n;
	size_t bytes;
};

/* Takes the list apart. */
static int load(const char *name, struct objects *ret)
{
	_buf_ struct buf body;
	struct arena a;
	struct tree *list;
	int r = fixture_read(name, &body);

	if (r < 0)
		return r;
	arena_init(&a, (size_t)1 << 30);
	r = tree_parse(&a, buf_str(&body), &list);
	if (r == 0) {
		const struct tree *items = tree_get(list, "items");

		ret->one = calloc(items->n, sizeof(*ret->one));
		tree_each(item, items)
		{
			struct buf *b = &ret->one[ret->n++];

			buf_init(b, ARENA_MAX);
			r = r < 0 ? r : tree_write(b, item);
			ret->bytes += b->n;
		}
	}
	arena_done(&a);
	return r;
}

static double processor_us(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void report(const char *what, const struct objects *o, double us)
{

	(void)printf("tree_%s %.0f MB/s\n", what, ROUNDS * (double)o->bytes / us);
	(void)printf("tree_%s_pod %.3f us\n", what, us / ROUNDS / o->n);
}

enum steps { PARSE, PARSE_WRITE, PARSE_REDACT_WRITE };

static int pass(const struct objects *o, struct redact *red, struct arena *a, struct buf *out,
		enum steps steps)
{
	enum redact_verdict verdict;
	int r = 0;

	for (uint32_t i = 0; i < o->n && r == 0; i++) {
		struct tree *t;

		arena_reset(a);
		buf_reset(out);
		r = tree_parse(a, buf_str(&o->one[i]), &t);
		if (r == 0 && steps == PARSE_REDACT_WRITE)
			r = redact_object(red, a, t, STR("v1"), STR("Pod"), &verdict);
		if (r == 0 && steps != PARSE)
			r = tree_write(out, t);
	}
	return r;
}

static void measure(const char *what, const struct objects *o, enum steps steps)
{
	static const struct redact_opts opts;
	struct redact *red = NULL;
	_buf_ struct buf out, error;
	struct arena a;
	double start = processor_us();
	int r;

	buf_init(&error, 4096);
	buf_init(&out, ARENA_MAX);
	r = redact_new(&opts, &red, &error);
	arena_init(&a, ARENA_MAX);
	for (int i = 0; i < ROUNDS && r == 0; i++)
		r = pass(o, red, &a, &out, steps);
	if (r < 0)
		(void)fprintf(stderr, "tree_%s: %d\n", what, r);
	report(what, o, processor_us() - start);
	arena_done(&a);
	redact_free(&red);
}

void bench_tree(void)
{
	struct objects o = {0};

	if (load("big-pods-json", &o) == 0) {
		measure("parse", &o, PARSE);
		measure("parse_write", &o, PARSE_WRITE);
		measure("parse_redact_write", &o, PARSE_REDACT_WRITE);
	}
	for (uint32_t i = 0; i < o.n; i++)
		buf_done(&o.one[i]);
	free(o.one);
}
