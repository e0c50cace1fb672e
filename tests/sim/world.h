/*
 * One simulated run: an agent's core, an API server and a reducer in one process
 * and virtual time. One seed decides everything.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Runs one seed. 0, or -1 with what went wrong printed to standard error. */
int world_run(uint64_t seed, bool verbose);
