#include "tests/lib/torture.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static struct {
	bool armed, all;
	unsigned long until; /* allocations that still succeed */
	unsigned long failed;
} state;

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

static bool fails(void)
{
	if (!state.armed)
		return false;
	if (state.until) {
		state.until--;
		return false;
	}
	if (state.failed && !state.all)
		return false;
	state.failed++;
	errno = ENOMEM;
	return true;
}

void *__wrap_malloc(size_t n)
{
	return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	return fails() ? NULL : __real_realloc(p, n);
}

static int run(int (*fn)(void *ctx), void *ctx, unsigned long nth, bool all)
{
	int r;

	state.until = nth;
	state.failed = 0;
	state.all = all;
	state.armed = true;
	r = fn(ctx);
	state.armed = false;
	return r;
}

int torture_run(int (*fn)(void *ctx), void *ctx)
{
	const char *text = getenv("TORTURE_MAX");
	unsigned long max = text ? strtoul(text, NULL, 10) : TORTURE_MAX_ROUNDS;

	for (unsigned long nth = 0; nth < max; nth++) {
		for (int all = 0; all < 2; all++) {
			int r = run(fn, ctx, nth, all);

			if (!state.failed)
				return r < 0 ? r : nth ? 0 : -E2BIG;
			if (r == 0 || r == -ENOMEM)
				continue;
			(void)fprintf(stderr, "torture: %d with allocation %lu%s failing\n", r,
				      nth + 1, all ? " and all later ones" : "");
			return -EPROTO;
		}
	}
	return 0;
}
