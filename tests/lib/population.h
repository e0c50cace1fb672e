/*
 * The clusters that benches and the simulation of scale generate.
 */
#pragma once

#include "tests/lib/gen.h"

/* The n-th pod, owned by one of `owners` ReplicaSets. */
void population_pod(struct gen_object *o, uint32_t n, uint32_t owners);
/* The n-th ReplicaSet, or Job. */
void population_owner(struct gen_object *o, bool job, uint32_t n);
