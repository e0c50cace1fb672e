/*
 * What a sink wants of the store: kinds, namespaces, labels.
 *
 *     kinds=pods,deployments.apps;namespaces=shop,pay*;labels=app=web,tier!=test,team
 *
 * Parts may be left out; all that are there must hold. Kinds are plural names, with
 * their group or without; a name may end with '*'. Labels: k=v, k!=v, k (is there),
 * !k (is not). Objects without a namespace pass `namespaces`. Pure.
 */
#pragma once

#include "base/buf.h"
#include "base/str.h"
#include "store/store.h"
#include "tree/tree.h"

#include <stdbool.h>
#include <stdint.h>

#define FILTER_MAX_TERMS 64 /* of each part */

enum filter_op { FILTER_EQUAL, FILTER_UNEQUAL, FILTER_THERE, FILTER_MISSING };
struct filter_label {
	struct str key, value;
	enum filter_op op;
};

struct sink_filter { /* views into `text`; embedded */
	char *text;
	struct str kinds[FILTER_MAX_TERMS], namespaces[FILTER_MAX_TERMS];
	struct filter_label labels[FILTER_MAX_TERMS];
	uint32_t n_kinds, n_namespaces, n_labels;
};

/* Empty text: everything passes. 0, -EINVAL with a sentence, or -ENOMEM. */
int sink_filter_init(struct sink_filter *f, struct str text, struct buf *ret_error);
void sink_filter_done(struct sink_filter *f);
/* Takes another text: 1 when it is another one, 0 when it is the same, -EINVAL or -ENOMEM as
 * sink_filter_init (the filter stays as it was). */
int sink_filter_change(struct sink_filter *f, struct str text, struct buf *ret_error);
bool sink_filter_kind(const struct sink_filter *f, const struct store_kind_view *k);
bool sink_filter_namespace(const struct sink_filter *f, struct str ns);
/* By metadata.labels of the object. */
bool sink_filter_labels(const struct sink_filter *f, const struct tree *object);
