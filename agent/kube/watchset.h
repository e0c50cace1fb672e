/*
 * What a scope watches: which resources, of which namespaces, cut down to what
 * is needed. Pure; client.c makes one reflector of each line.
 *
 *   node      pods of one node (spec.nodeName is the one pod field that servers index);
 *             owners are read one by one
 *   cluster   pods, and ReplicaSets and Jobs as metadata alone; where flows are
 *             named, Services and Nodes for their addresses
 *
 * With namespaces there is one line per namespace and kind: each needs only a
 * Role there, and fails and recovers alone. Nodes are in no namespace: one line.
 */
#pragma once

#include "base/str.h"
#include "decode/decode.h"
#include "model/object.h"

#include <stdbool.h>
#include <stddef.h>

#define WATCHSET_MAX 3072 /* lines: about 1,000 namespaces (750 with places); more is -EMSGSIZE */

struct watch_spec {
	enum kind kind;
	enum decode_shape shape;
	bool metadata_only;
	bool list_from_cache;
	char *path, *field_selector, *label_selector; /* heap; selectors may be NULL */
	char *ns;				      /* NULL: all namespaces */
	const char *api_version;		      /* static */
};

struct watchset {
	struct watch_spec *specs;
	size_t n;
};

struct watchset_opts {
	const char *node_name; /* NULL: cluster scope */
	const struct str *namespaces;
	size_t n_namespaces;	    /* 0: all */
	bool places;		    /* cluster scope: Services and Nodes, too */
	const char *label_selector; /* of pods alone: owners carry other labels; may be NULL */
};

/* 0, -EINVAL (a name that is none), -EMSGSIZE or -ENOMEM. Namespaces that come twice count once. */
int watchset_make(const struct watchset_opts *o, struct watchset *ret);
void watchset_done(struct watchset *w);
#define _watchset_ _cleanup_(watchset_done)
