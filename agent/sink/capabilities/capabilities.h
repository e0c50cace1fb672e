/*
 * Tells a capability scanner (cluster-whisperer's POST /api/v1/capabilities/scan) the
 * names of CustomResourceDefinitions that come and go:
 *
 *     {"upserts":["widgets.example.com"],"deletes":["gone.example.com"]}
 *
 * A list without names is left out. New ones are told when no other came for a while,
 * deletions at once; a change of one that was told is none. One request at a time, of
 * at most CAPABILITIES_BATCH names; what failed is told again after a pause, and after
 * a restart all that exist are told once more.
 */
#pragma once

#include "sink/vector/services.h"
#include "store/store.h"

#define CAPABILITIES_BATCH 200	 /* the receiver refuses more */
#define CAPABILITIES_MAX   16384 /* names; those over it are not told, counted */

struct capabilities;

struct capabilities_opts {
	struct event_base *base;
	struct http *http;
	struct store *store;
	struct str url; /* copied */
	nsec_t debounce;
	struct service_access access;
	uint64_t seed;
};
/* 0; -EINVAL with a sentence; -ENOMEM. */
int capabilities_new(const struct capabilities_opts *o, struct capabilities **ret,
		     struct buf *ret_error);
void capabilities_free(struct capabilities **c);
/* Another debounce, also for names that wait. */
void capabilities_tune(struct capabilities *c, nsec_t debounce);

struct capabilities_status { /* borrowed until the next call */
	bool failing;
	const char *words; /* why */
	uint32_t names;	   /* that were told and exist */
	uint32_t waiting;
	uint64_t upserts, deletes, requests, retries, left_out;
};
void capabilities_status(const struct capabilities *c, struct capabilities_status *ret);
