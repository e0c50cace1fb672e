/*
 * What many agents ask of one API server and one reducer, in virtual time: see README.md.
 *
 *   scale [--agents N] [--seed S] [--shares N --queues N --hand N --queue-length N]
 *
 * Prints figures, one a line, and ends with 1 when one is over its limit.
 */
#include "tests/scale/scale.h"

#include "base/mem.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define AGENTS 5000

struct level level = {.shares = 4, .queues = 32, .hand = 6, .queue_limit = 200};
static unsigned passed, failed;

uint32_t level_seats(const struct level *l)
{
	return (SERVER_SEATS * l->shares + SERVER_SHARES + l->shares - 1) /
	       (SERVER_SHARES + l->shares);
}

uint32_t level_list_width(const struct level *l)
{
	const uint32_t seats = level_seats(l), part = (seats * 15 + 99) / 100;

	return MAX(MIN(MIN(part, seats / l->hand), 10U), 1U);
}

void figure(const char *name, double value, const char *unit, double limit)
{
	const bool over = limit && value > limit;

	printf("scale.%s %.*f%s%s", name, value == (double)(long long)value ? 0 : 2, value,
	       *unit ? " " : "", unit);
	if (over)
		printf(", OVER its limit of %g", limit);
	printf("\n");
	passed += limit && !over;
	failed += over;
}

void must(bool is, const char *what)
{
	passed += is;
	failed += !is;
	if (!is)
		printf("scale: it is NOT so that %s\n", what);
}

double cpu_seconds(void)
{
	struct timespec ts = {0};

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

double heap_bytes(void)
{
	const struct mallinfo2 m = mallinfo2();

	return (double)m.uordblks + (double)m.hblkhd;
}

void scale_reducer(uint32_t nodes)
{
	/* The reducer's pool of agents has 512 places a shard; a connection whose end it has not
	 * noticed yet keeps one. */
	const uint32_t connections = nodes + 1, a_shard = 512;

	figure("reducer.connections", connections, "", 0);
	figure("reducer.shards_at_least", (connections + a_shard - 1) / a_shard, "", 0);
	figure("reducer.shards_with_a_tenth_more", (connections * 11 / 10 + a_shard - 1) / a_shard,
	       "", 0);
}

static bool take(const char *flag, const char *value, uint32_t *agents, uint64_t *seed)
{
	const struct {
		const char *flag;
		uint32_t *to;
	} all[] = {
		{"--agents", agents},
		{"--shares", &level.shares},
		{"--queues", &level.queues},
		{"--hand", &level.hand},
		{"--queue-length", &level.queue_limit},
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (strcmp(flag, all[i].flag) == 0) {
			*all[i].to = (uint32_t)strtoul(value, NULL, 10);
			return *all[i].to > 0;
		}
	*seed = strtoull(value, NULL, 10);
	return strcmp(flag, "--seed") == 0;
}

int main(int argc, char **argv)
{
	uint32_t agents = AGENTS;
	uint64_t seed = 1;

	mem_setup();
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 1; i < argc; i += 2)
		if (i + 1 == argc || !take(argv[i], argv[i + 1], &agents, &seed)) {
			fprintf(stderr, "scale: %s is not understood; see the head of main.c\n",
				argv[i]);
			return 2;
		}
	scale_nodes(agents, seed);
	scale_collectors(agents * PODS_PER_NODE, seed);
	scale_reducer(agents);
	printf("scale: %u passed, %u failed\n", passed, failed);
	return failed != 0;
}
