/*
 * The block scanner against a plain one, character by character, for every
 * instruction set that is compiled in and runs here.
 */
#include "agent/decode/json_scan.c"

#include "base/mem.h"
#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <inttypes.h>
#include <stdlib.h>

#include <cmocka.h>

typedef size_t scan_fn(struct json_scan *s, const char *p, size_t n);

/* Bytes of the value that begins behind an open bracket; n when it is not over. */
static size_t plain(const char *p, size_t n, uint64_t depth, uint64_t limit, uint64_t *ret_depth,
		    bool *ret_deep)
{
	bool in_string = false, escaped = false;

	*ret_deep = false;
	for (size_t i = 0; i < n; i++) {
		char c = p[i];

		if (escaped) {
			escaped = false;
			if (in_string)
				continue;
		} else if (c == '\\') {
			escaped = true;
			continue;
		} else if (c == '"') {
			in_string = !in_string;
		}
		if (in_string)
			continue;
		if (c == '{' || c == '[') {
			depth++;
			*ret_deep |= depth > limit;
		}
		if ((c == '}' || c == ']') && --depth == 0) {
			*ret_depth = 0;
			return i + 1;
		}
	}
	*ret_depth = depth;
	return n;
}

static void check(scan_fn *scan, struct rng *g)
{
	static const char letters[] = "\"\"\"\\\\{[}]{}ab,:;[{}]\x5c\x22 xyzzy";
	uint64_t depth = 1 + rng_below(g, 3), limit = 1 + rng_below(g, 12), want_depth;
	bool want_deep;
	struct json_scan s;
	char text[400];
	size_t n = rng_below(g, sizeof(text)), want, got = 0;

	for (size_t i = 0; i < n; i++)
		text[i] = letters[rng_below(g, rng_below(g, 4) ? 5 + rng_below(g, 20)
							       : sizeof(letters) - 1)];
	want = plain(text, n, depth, limit, &want_depth, &want_deep);
	json_scan_begin(&s, depth, limit);
	while (got < n && s.depth) {
		size_t part = 1 + rng_below(g, rng_below(g, 2) ? 3 : 200), used;
		char *copy;

		part = MIN(part, n - got);
		copy = malloc(part); /* of this size: reading over it is seen */
		assert_non_null(copy);
		memcpy(copy, text + got, part);
		used = scan(&s, copy, part);
		free(copy);
		got += used;
		assert_true(used == part || s.depth == 0);
	}
	if (got != want || s.depth != want_depth || s.deep != want_deep)
		fail_msg("%.*s\nfrom depth %" PRIu64 ": %zu bytes, depth %" PRIu64
			 ", deep %d; not %zu, %" PRIu64 ", %d",
			 (int)n, text, depth, got, s.depth, s.deep, want, want_depth, want_deep);
}

static void check_all(scan_fn *scan)
{
	uint64_t seed = rng_entropy();
	struct rng g;

	rng_seed(&g, seed);
	print_message("seed %llu\n", (unsigned long long)seed);
	for (int i = 0; i < 100000; i++)
		check(scan, &g);
}

static void test_base(void **state)
{
	(void)state;
	check_all(scan_base);
}

static void test_chosen(void **state)
{
	(void)state;
	check_all(json_scan);
}

static void test_string(void **state)
{
	char text[80];

	(void)state;
	for (size_t n = 0; n < sizeof(text); n++)
		for (size_t at = 0; at <= n; at++) {
			static const char stops[] = {'"', '\\', '\0', '\n', '\x1f'};

			for (size_t k = 0; k < sizeof(stops); k++) {
				memset(text, k & 1 ? ' ' : '\xff', sizeof(text));
				if (at < n)
					text[at] = stops[k];
				assert_ptr_equal(json_scan_string(text, text + n), text + at);
			}
		}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_base),
		cmocka_unit_test(test_chosen),
		cmocka_unit_test(test_string),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
