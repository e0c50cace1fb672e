/*
 * Deterministic simulation. Usage: sim [--seeds N] [--seed S] [--verbose]
 * Seeds 1 to N (default 1,000), or the one seed S. A failing seed is printed and
 * plays the same again.
 */
#include "tests/sim/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
	unsigned long long first = 1, n = 1000;
	unsigned int failed = 0;
	bool verbose = false;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--verbose") == 0) {
			verbose = true;
		} else if (strcmp(argv[i], "--seeds") == 0 && i + 1 < argc) {
			n = strtoull(argv[++i], NULL, 10);
		} else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) {
			first = strtoull(argv[++i], NULL, 10);
			n = 1;
		} else {
			fprintf(stderr, "usage: sim [--seeds N] [--seed S] [--verbose]\n");
			return 2;
		}
	}
	for (unsigned long long s = first; s < first + n; s++) {
		if (world_run(s, verbose) == 0)
			continue;
		fprintf(stderr, "FAILED seed %llu: again with --seed %llu\n", s, s);
		failed++;
	}
	printf("sim: %llu passed, %u failed\n", n - failed, failed);
	return failed != 0;
}
