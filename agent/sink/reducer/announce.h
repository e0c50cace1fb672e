/*
 * A pod as the reducer is told about it: message structs made from the inventory
 * and a workload. Pure; decides nothing about when.
 */
#pragma once

#include "base/buf.h"
#include "inventory/inventory.h"
#include "match/match.h"
#include "proto/wire.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Limits that keep every message below the 16 KiB of a batch. A longer text is
 * cut (the reducer itself keeps 64 bytes of a name); images that do not fit into
 * `version` are left out, whole ones.
 */
#define ANNOUNCE_MAX_TEXT    1024
#define ANNOUNCE_MAX_IMAGE   8192
#define ANNOUNCE_MAX_VERSION 12288

/* owner_kind of pod_new_with_name. */
enum announce_owner {
	ANNOUNCE_REPLICASET = 0,
	ANNOUNCE_DEPLOYMENT = 1,
	ANNOUNCE_JOB = 2,
	ANNOUNCE_CRONJOB = 3,
	ANNOUNCE_NO_OWNER = 254,
	ANNOUNCE_OTHER = 255,
};

/* What a message borrows from until the next call. */
struct announce {
	struct buf version;
	struct inv_container_view container;
};
void announce_init(struct announce *a);
void announce_done(struct announce *a);

/* 0 or -ENOMEM. `ret` borrows from the three arguments and the inventory; `ret_cut` says whether
 * anything had to be cut. */
int announce_pod(struct announce *a, const struct inventory *v, pod_id id,
		 const struct inv_pod_view *p, const struct workload *w,
		 struct wire_pod_new_with_name *ret, bool *ret_cut);
/* False when the container has no id yet: then there is nothing to tell. */
bool announce_container(struct announce *a, const struct inventory *v, pod_id id, uint32_t i,
			const struct inv_pod_view *p, struct wire_pod_container *ret,
			bool *ret_cut);
