/*
 * What a running agent's readiness depends on, for /readyz: its watches are complete and
 * fresh, the reducer is connected, each sink is in step. What fails for no longer than
 * --ready-grace does not count yet, once it has been well.
 */
#pragma once

struct agent;
struct ready;

void agent_ready(const struct agent *a, struct ready *r);
