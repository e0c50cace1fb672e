/*
 * The benches: each prints its figures, one a line: name, value, unit.
 */
#pragma once

#include <stdbool.h>

/* A descriptor of the root of cgroup v2; -1: there is none. Defined in udp.c. */
int bench_cgroup_root(void);

void bench_decode(void);
void bench_generated(void);
void bench_cluster(void);
void bench_ends(void);
void bench_drain(void);
void bench_flows(void);
void bench_udp(void);
void bench_store(void);
void bench_tree(void);
void bench_sqlite(void);
void bench_graph(void);
void bench_vector(void);
void bench_peers(void);
