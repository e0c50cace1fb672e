/*
 * Which resources a server has: those that can be listed and watched, each in one
 * version. Pure: the caller fetches what catalog_next names, in rounds, with the
 * Accept header CATALOG_ACCEPT, and hands the answers in.
 *
 * Servers from 1.26 on tell everything in two answers (aggregated discovery,
 * apidiscovery.k8s.io v2 or v2beta1); older ones in one per group version. Both
 * come to the same list. Of a group the preferred version counts; a resource that
 * it does not serve is taken from the best other version that does.
 *
 * What could not be learned stays as it was: an answer that failed, and a group
 * version that the server calls stale because its own server (an APIService) does
 * not answer. Only what a server no longer names is gone.
 */
#pragma once

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CATALOG_MAX_BODY      ((size_t)8 << 20) /* bytes of one answer; a longer one has failed */
#define CATALOG_MAX_VERSIONS  2048		/* group versions; the rest is left out, counted */
#define CATALOG_MAX_RESOURCES 1024		/* of all, and of one version; the same */
#define CATALOG_MAX_TEXT      253		/* bytes of a group, version, kind or plural */

#define CATALOG_ACCEPT                                                               \
	"application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"      \
	"application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList," \
	"application/json"

struct catalog;

struct catalog_entry {
	struct str group, version, kind, plural; /* "", "v1", "Pod", "pods" */
	bool namespaced;
	bool can_get; /* by name; list and watch go without saying */
};

struct catalog_counters {
	uint64_t rounds;   /* that came to their end */
	uint64_t failed;   /* answers that told nothing: of another status, or not understood */
	uint64_t stale;	   /* group versions kept because the server does not know itself */
	uint64_t left_out; /* over a maximum, or with names that are none */
};

int catalog_new(struct catalog **ret);
void catalog_free(struct catalog **c);

/* Begins a round, also while one is under way: its answers are then ignored. 0 or -ENOMEM. */
int catalog_begin(struct catalog *c);
/* The next path to GET in this round; NULL: none now. Borrowed until the next begin or finish. */
const char *catalog_next(struct catalog *c);
/* Its answer; status 0: there was none. Answers bring new paths. 0; -EBADMSG when it told nothing
 * (what it was about stays); -ENOMEM. Unknown paths are ignored. */
int catalog_answer(struct catalog *c, const char *path, int status, struct str body);
/* Every path of the round was named and answered. */
bool catalog_complete(const struct catalog *c);
/* Ends a complete round: 1 when the list has changed, 0, or -ENOMEM (nothing has changed). */
int catalog_finish(struct catalog *c);

/* The list, sorted by group and plural; empty before the first round. Borrowed until the next
 * finish. */
size_t catalog_n(const struct catalog *c);
struct catalog_entry catalog_entry(const struct catalog *c, size_t i);
const struct catalog_counters *catalog_counters(const struct catalog *c);
