/*
 * Which part of the agent holds how many bytes, for /metrics and /debug/memory. What a
 * part says of itself is what it knows it has asked for; what libraries hold is a figure
 * for each connection or stream (http.h, web.h).
 */
#pragma once

#include <stddef.h>

struct agent;
struct json_out;
struct prom;

typedef void (*memory_put)(void *ctx, const char *part, size_t bytes);
void agent_memory(struct agent *a, memory_put put, void *ctx);

/* kindred_memory_bytes */
void agent_memory_series(struct agent *a, struct prom *p);
/* The members of the answer: parts, sum, heap, process. */
void agent_memory_json(struct agent *a, struct json_out *j);
