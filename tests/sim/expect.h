/*
 * What the reducer must hold, computed from the cluster alone.
 */
#pragma once

#include "inventory/inventory.h"
#include "reducer/table.h"
#include "tests/sim/cluster.h"

/* What of the cluster the agent shall tell, and how. */
struct expect_scope {
	const char *node; /* only pods of that node, or NULL for all */
	uint32_t spaces;  /* only those of the first namespaces; 0: all */
	bool odd;	  /* only those with the label */
	bool no_jobs;	  /* Jobs cannot be read: chains end at them */
	bool follow;	  /* custom resources are climbed through */
};

/* 0 when the reducer's table is what the cluster says; else -1, differences on standard error. */
int expect_equal(const struct cluster *c, const struct expect_scope *s,
		 const struct reducer_table *t, uint64_t seed);
/* At rest the inventory keeps what exists, and nothing that is gone. */
int expect_inventory(const struct cluster *c, const struct expect_scope *s,
		     const struct inventory *v, uint64_t seed);
