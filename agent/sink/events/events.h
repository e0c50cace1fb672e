/*
 * The stream of whole objects, redacted as everything: one message a change.
 *
 *     {"action":"Applied","cluster":"prod","namespace":"pay","time":"...","kind":
 *      "Deployment","object":{...}}
 *
 * action is Applied, Deleted (with the last state that is known) or Restarted (a
 * container of the pod was started again). In the order of the store's change log, at
 * least once for each change that this sink saw: an object that changes faster than
 * they are taken is told with its last state. After a restart every object is Applied
 * again.
 *
 *     jsonl:FILE, -   one line a message
 *     http:URL        POST, application/json; several messages wait and go together, one
 *                     a line, as application/x-ndjson. The next ones go after a 2xx; what
 *                     is refused for good (400, 413, 422) is halved down to the one
 *                     message, which is left out, counted
 */
#pragma once

#include "sink/relay.h"
#include "sink/vector/services.h"

struct event_base;
struct events;
struct http;

struct events_opts {
	struct event_base *base;
	struct http *http; /* shared; NULL: no http:URL */
	struct store *store;
	struct sink_filter *filter; /* NULL: everything; must outlive it */
	struct str spec, cluster;   /* copied */
	struct service_access access;
	bool hold_initial; /* as relay_opts */
	uint64_t seed;
};
/* 0, -EINVAL with a sentence, or -errno with words. */
int events_new(const struct events_opts *o, struct events **ret, struct buf *ret_error);
/* Nothing more is written, not what waits either: to be freed. */
void events_drop(struct events *e);
void events_free(struct events **e);
void events_resync(struct events *e);
void events_status(const struct events *e, struct relay_status *ret);
/* Opens the file again. */
void events_reopen(struct events *e);
