/*
 * Which part of the agent holds how many bytes, for /metrics and /debug/memory. What a
 * part says of itself is what it knows it has asked for; what libraries hold is a figure
 * for each connection or stream (http.h, web.h).
 */
#pragma once

struct agent;
struct json_out;
struct prom;

/* kindred_memory_bytes */
void agent_memory_series(struct agent *a, struct prom *p);
/* The members of the answer: parts, sum, heap, process. */
void agent_memory_json(struct agent *a, struct json_out *j);
