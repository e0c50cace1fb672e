/*
 * Usage: bench [NAME...]: runs the named benches, or all.
 */
#include "tests/bench/bench.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	void (*run)(void);
} benches[] = {
	{"decode", bench_decode}, {"generated", bench_generated}, {"cluster", bench_cluster},
	{"ends", bench_ends},	  {"drain", bench_drain},	  {"flows", bench_flows},
	{"udp", bench_udp},	  {"store", bench_store},	  {"tree", bench_tree},
	{"graph", bench_graph},	  {"sqlite", bench_sqlite},	  {"vector", bench_vector},
	{"peers", bench_peers},
};

int main(int argc, char **argv)
{
	mem_setup(); /* as the agent does */
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; i < sizeof(benches) / sizeof(benches[0]); i++) {
		bool wanted = argc == 1;

		for (int a = 1; a < argc; a++)
			wanted |= strcmp(argv[a], benches[i].name) == 0;
		if (wanted)
			benches[i].run();
	}
	return 0;
}
