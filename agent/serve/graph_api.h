/*
 * Questions to the graph that the agent keeps in a SQLite file:
 *
 *   GET /api/v1/graph?q=KIND/NAMESPACE/NAME [&in=1] [&out=1] [&depth=N] [&output=tree|dot|json]
 *   GET /api/v1/graph?dangling=1            [&output=...] [&cluster=NAME]
 *
 * 404: it is not in the graph; 503: no graph is kept in a file. They are answered by the
 * file's worker, one after the other with what it writes.
 */
#pragma once

#include "base/str.h"

struct serve;
struct web_client;
struct web_request;

#define GRAPH_PATH "/api/v1/graph"

void serve_graph(struct serve *s, struct web_client *c, const struct web_request *r);
/* The graph goes: what is under way ends with these words, or (empty) without an answer. */
void serve_graph_done(struct serve *s, struct str words);
