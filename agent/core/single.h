/*
 * One object watched by itself, by its name: the agent's own ConfigMap.
 *
 * Pure, like a reflector: the shell drives it through client_add(single_reflector).
 * Nothing is told before the first list is complete, and nothing when a list or an
 * event brings the version that is known.
 */
#pragma once

#include "base/buf.h"
#include "kube/reflector.h"
#include "tree/tree.h"

struct single;

struct single_opts {
	struct str path;	     /* of the collection: "/api/v1/namespaces/shop/configmaps" */
	struct str name;	     /* of the object */
	struct reflector_opts watch; /* times, sizes, budget, seed */
	/* The object as it is now (borrowed), NULL: there is none. `first`: at the start. */
	void (*changed)(void *ctx, const struct tree *object, bool first);
	/* Health has changed; may be NULL, as the next. */
	void (*state)(void *ctx, const struct reflector_status *s);
	void (*unauthorized)(void *ctx);
	void *ctx;
};

#define SINGLE_MAX_OBJECT \
	((size_t)4 << 20) /* bytes; a larger one is not seen, and counts as none */

/* 0, -EINVAL (path or name) or -ENOMEM. */
int single_new(const struct single_opts *o, struct single **ret);
void single_free(struct single **s);
struct reflector *single_reflector(struct single *s);
/* Times and pages as reflector_tune takes them. */
void single_tune(struct single *s, const struct reflector_opts *watch);
