/*
 * What a reducer must hold in the end, made without the agent's code: the
 * recorded ground truth (truth-pods, taken with kubectl) gives owners, the
 * final list (final-pods-json, read by jansson) the rest of the pods.
 *
 * A table is a JSON object of pods by uid:
 *   {"UID": {"ns", "pod", "ip", "owner_kind", "owner_name", "owner_uid", "version",
 *            "host_network", "containers": {"ID": {"name", "image"}}}}
 */
#pragma once

#include <jansson.h>

struct truth {
	json_t *pods; /* the table */
	json_t *ever; /* {"UID": {"CONTAINER ID": true}}: all that pod had at any time */
};

/* Which pods; NULL members select all. */
struct truth_select {
	const char *node;
	const char *const *namespaces; /* ends with NULL */
	/* Not which, but what: objects of this kind cannot be read, so that the chains of their
	 * pods end with what the pods themselves say of them. */
	const char *unread;
};

/* `set` is a folder below tests/fixtures/recorded, "" for the newest server's.
 * 0, -ENOENT, -EBADMSG or -ENOMEM. */
int truth_read(const char *set, const struct truth_select *select, struct truth *ret);
void truth_done(struct truth *t);
