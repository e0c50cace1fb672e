/*
 * The feed of who has which address, for agents of nodes (agent/peers/README.md):
 *
 *   GET /api/v1/peers[?feed=32HEX&from=N]
 *
 *   200   the feed, until somebody hangs up; it ends when this agent leads no more
 *   400   the query is not understood
 *   404   this agent has no feed (--serve-peers)
 *   503   it does not lead, does not know the whole cluster yet, or has as many
 *         subscribers as it may: {"error": WORDS}
 *
 * A subscriber has at most WEB_LOW_WATER bytes and one frame between here and its socket.
 */
#pragma once

struct serve;
struct web_client;
struct web_request;

void serve_peers(struct serve *s, struct web_client *c, const struct web_request *r);
/* publish_opts.wake */
void serve_peers_wake(void *sub_ctx);
