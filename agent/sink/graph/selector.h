/*
 * Whether labels fulfil a selector as edges carry it: "app=web,tier in (a,b),!x". Pure.
 */
#pragma once

#include "sink/graph/edges.h"

/* "" and "*" select everything. */
bool selector_matches(struct str selector, const struct graph_label *labels, uint32_t n);
