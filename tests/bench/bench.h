/*
 * The benches: each prints its figures, one a line: name, value, unit.
 */
#pragma once

#include <stdbool.h>

void bench_decode(void);
void bench_generated(void);
void bench_cluster(void);
