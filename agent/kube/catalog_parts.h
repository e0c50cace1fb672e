/*
 * The catalogue from the inside:
 *
 *   catalog.c        rounds: what is asked, what is kept, the list in the end
 *   catalog_parse.c  answers, of either way of discovery
 */
#pragma once

#include "kube/catalog.h"

#include <jansson.h>

struct catalog_item {
	char *kind, *plural;
	bool namespaced, can_get, can_list, can_watch;
};

/* What one group version serves: shared by the round that learned it and those that kept it. */
struct catalog_items {
	unsigned refs;
	size_t n;
	struct catalog_item v[];
};

struct catalog_gv {
	char *group, *version;
	unsigned rank;		     /* within the group: 0 is preferred */
	struct catalog_items *items; /* NULL: not known */
};

enum ask_about { ASK_CORE, ASK_GROUPS, ASK_VERSION };

struct catalog_ask {
	enum ask_about about;
	char *path;
	size_t gv; /* of ASK_VERSION */
	bool named, answered;
};

struct catalog_gvs {
	struct catalog_gv *v;
	size_t n;
};

struct catalog {
	struct catalog_gvs known, round; /* the last whole round, and the one under way */
	struct catalog_ask *asks;
	size_t n_asks;
	struct catalog_entry *list; /* views into `known` */
	size_t n_list;
	struct catalog_counters counters;
};

/* catalog.c */
bool catalog_good_name(struct str s, bool upper);
/* Adds a group version to the round; NULL when memory is short or (*ret_full) there are too many.
 * Borrowed until the next. */
struct catalog_gv *catalog_add_gv(struct catalog *c, struct str group, struct str version,
				  unsigned rank, bool *ret_full);
/* What was known of it before is known again; false: nothing was. */
bool catalog_keep(struct catalog *c, struct catalog_gv *gv);
int catalog_add_ask(struct catalog *c, enum ask_about about, const char *path, size_t gv);
void catalog_items_unref(struct catalog_items **items);

/* catalog_parse.c: 0, -EBADMSG (it is no such answer) or -ENOMEM. */
int catalog_parse(struct catalog *c, const struct catalog_ask *a, const json_t *root);
