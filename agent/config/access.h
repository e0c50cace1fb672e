/*
 * What a configuration needs of the API server: the one list of permissions, each with
 * the feature it buys. --print-access prints it as RBAC rules, --check-access asks for
 * it, and the chart's rules are compared with it. Pure.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "config/agent_options.h"

enum access_verb {
	ACCESS_GET,
	ACCESS_LIST,
	ACCESS_WATCH,
	ACCESS_CREATE,
	ACCESS_UPDATE,
	_ACCESS_VERB_MAX,
};
const char *access_verb_name(enum access_verb v); /* "get" */
#define ACCESS_BIT(v) (1U << (v))

struct access_rule {
	struct str group, resource; /* "" is the core's group; "*" means all */
	struct str path; /* "/apis": no resource but a URL; group and resource are empty then */
	struct option_list namespaces; /* none: everywhere, or in no namespace */
	struct str name;	       /* this object alone; empty: all */
	bool shared;	 /* granted for all names: agents that ask for others share the rule */
	bool built_in;	 /* every cluster grants it to whoever is logged in (system:discovery) */
	struct str kind; /* `resource` is guessed from it, for want of the server; else empty */
	unsigned verbs;	 /* ACCESS_BIT */
	const char *use; /* what it buys; static */
};

struct access { /* texts live in the arena, or are the configuration's */
	struct access_rule *v;
	size_t n;
	struct arena arena;
};

/* `c` must outlive it. 0 or -ENOMEM. */
int access_needed(const struct agent_config *c, struct access *ret);
void access_done(struct access *a);
#define _access_ _cleanup_(access_done)
/* An empty one, and a copy of a rule at its end: NULL when memory is short. */
void access_init(struct access *a);
struct access_rule *access_add(struct access *a, const struct access_rule *r);

/* "pods", "replicasets.apps", "nodes/n1", "/apis". 0, -EMSGSIZE or -ENOMEM. */
int access_name(const struct access_rule *r, struct buf *ret);
/*
 * A ClusterRole, and a Role for each namespace that is named, as YAML, all called `name`; nothing
 * when nothing is to be granted. With a `user` ("system:serviceaccount:shop:kindred", or somebody
 * else's name) their bindings, too. 0, -EMSGSIZE or -ENOMEM.
 */
int access_print(const struct access *a, const char *name, struct str user, struct buf *ret);
