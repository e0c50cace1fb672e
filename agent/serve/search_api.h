/*
 * Questions to a vector database of the agent.
 *
 *   GET /api/v1/search?q=WORDS[&kind=KIND][&namespace=NS][&n=N]
 *
 *   200   a JSON array of documents, best first: {id, score, text, fields...}
 *   400   the question is not understood
 *   503   there is no database, or it does not answer: {"error": WORDS}
 *
 * The words are embedded first where the database wants a vector; when that fails, the
 * question goes on by words alone. One question is asked at a time, between two requests
 * of the sync (sync_lend); the others wait in line, no more than there are clients.
 * Whoever hangs up is forgotten, and what is under way for it ends by itself.
 */
#pragma once

#include "base/str.h"

struct serve;
struct web_client;
struct web_request;

#define SEARCH_PATH "/api/v1/search"

void serve_search(struct serve *s, struct web_client *c, const struct web_request *r);
/* The databases go: what is under way ends with these words, or (empty) without an answer. */
void serve_search_done(struct serve *s, struct str words);
