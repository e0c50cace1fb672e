/*
 * What the reducer must hold, computed from the cluster alone.
 */
#pragma once

#include "reducer/table.h"
#include "tests/sim/cluster.h"

/* 0 when the reducer's table is what the cluster says; else -1, differences on standard error.
 * `node`: only pods of that node, or NULL for all. */
int expect_equal(const struct cluster *c, const char *node, const struct reducer_table *t,
		 uint64_t seed);
