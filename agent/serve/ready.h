/*
 * GET /readyz: whether the agent does what it is there for. 200, or 503 when a condition
 * fails.
 *
 *     not ready: 1 of 3 conditions fails
 *     [-] reducer: no connection for 42 s: Connection refused
 *     [+] watch pods: synced, heard from 3 s ago
 *     [+] vector 1, sqlite: ok for 120 s
 *
 * With ?output=json: {"ready": BOOL, "conditions": [{"name", "ok", "message"}]}. Those
 * that fail come first in both.
 */
#pragma once

#include <stdbool.h>

struct buf;
struct ready;
struct serve;
struct web_client;
struct web_request;

/* One condition, while serve_opts.conditions runs. Anybody may read it: no URL with a password in
 * it, no token. */
__attribute__((format(printf, 4, 5))) void ready_put(struct ready *r, const char *name, bool ok,
						     const char *fmt, ...);

/* The object of ?output=json: 0, -EMSGSIZE or -ENOMEM. */
int serve_ready_json(struct serve *s, struct buf *out);
void serve_ready(struct serve *s, struct web_client *c, const struct web_request *r);
