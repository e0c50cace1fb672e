/*
 * What a kind is called in a path: "Rollout" of argoproj.io/v1alpha1 is read at
 * .../rollouts. The kinds that every cluster has are known; others come from the
 * server's APIResourceList of their group and version. Pure: the caller fetches.
 */
#pragma once

#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"

#include <stdbool.h>

#define DISCOVERY_MAX_GROUPS	64  /* group versions remembered; over it the oldest goes */
#define DISCOVERY_MAX_RESOURCES 512 /* of one group version; the rest is not known */
#define DISCOVERY_MAX_BODY	(1024 * 1024) /* bytes of one answer */

struct discovery;

struct resource {
	struct str plural; /* borrowed until the next learn or missing */
	bool namespaced;
};

enum discovery_state {
	DISCOVERY_KNOWN,
	DISCOVERY_ASK,	   /* the list of this group version must be read first */
	DISCOVERY_MISSING, /* the server has no such kind */
};

int discovery_new(struct discovery **ret);
void discovery_free(struct discovery **d);
/* ret is filled for KNOWN. */
enum discovery_state discovery_find(const struct discovery *d, struct str api_version,
				    struct str kind, struct resource *ret);
/* Appends "/apis/apps/v1" or "/api/v1". */
int discovery_target(struct buf *b, struct str api_version);
/* Takes the JSON body of an APIResourceList: 0, -EBADMSG (no such list) or -ENOMEM. */
int discovery_learn(struct discovery *d, struct str api_version, struct str body);
/* The server does not have this group version: kinds of it are MISSING. 0 or -ENOMEM. */
int discovery_missing(struct discovery *d, struct str api_version);
/* Ask again at the next find. */
void discovery_forget(struct discovery *d, struct str api_version);
