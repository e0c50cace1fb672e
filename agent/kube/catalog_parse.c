/*
 * Answers of discovery. Whatever is not as expected in them costs the least that
 * it can: a resource, a version, and only last the whole answer.
 */
#include "kube/catalog_parts.h"

#include "base/json_in.h"
#include "base/mem.h"

#include <errno.h>
#include <stdio.h>

#define MAX_PATH (2 * CATALOG_MAX_TEXT + 16)

static bool has_verb(const json_t *resource, const char *verb)
{
	const json_t *verbs = json_object_get(resource, "verbs");

	for (size_t i = 0; i < json_array_size(verbs); i++) {
		const char *v = json_string_value(json_array_get(verbs, i));

		if (v && strcmp(v, verb) == 0)
			return true;
	}
	return false;
}

/* ---- one group version ----------------------------------------------------------------------- */

/* Both ways tell the same of a resource, under other names. */
struct words {
	const char *plural;
	struct str (*kind)(const json_t *resource);
	bool (*namespaced)(const json_t *resource);
};

static struct str aggregated_kind(const json_t *resource)
{
	return json_in_member(json_object_get(resource, "responseKind"), "kind");
}

static bool aggregated_namespaced(const json_t *resource)
{
	return str_eq(json_in_member(resource, "scope"), STR("Namespaced"));
}

static struct str legacy_kind(const json_t *resource)
{
	return json_in_member(resource, "kind");
}

static bool legacy_namespaced(const json_t *resource)
{
	return json_is_true(json_object_get(resource, "namespaced"));
}

static const struct words aggregated = {"resource", aggregated_kind, aggregated_namespaced};
static const struct words legacy = {"name", legacy_kind, legacy_namespaced};

/* 1: taken; 0: left out; -ENOMEM. */
static int take_item(const json_t *resource, const struct words *w, struct catalog_item *ret)
{
	const struct str plural = json_in_member(resource, w->plural), kind = w->kind(resource);

	/* "jobs/status" is a part of another resource. */
	if (!catalog_good_name(plural, false) || !catalog_good_name(kind, true))
		return 0;
	*ret = (struct catalog_item){.kind = str_dup(kind),
				     .plural = str_dup(plural),
				     .namespaced = w->namespaced(resource),
				     .can_get = has_verb(resource, "get"),
				     .can_list = has_verb(resource, "list"),
				     .can_watch = has_verb(resource, "watch")};
	if (ret->kind && ret->plural)
		return 1;
	free(ret->kind);
	free(ret->plural);
	return -ENOMEM;
}

static int take_items(struct catalog *c, const json_t *list, const struct words *w,
		      struct catalog_items **ret)
{
	const size_t n = MIN(json_array_size(list), (size_t)CATALOG_MAX_RESOURCES);
	struct catalog_items *items = calloc(1, sizeof(*items) + n * sizeof(items->v[0]));
	int r = items ? 0 : -ENOMEM;

	c->counters.left_out += json_array_size(list) - n;
	if (items)
		items->refs = 1;
	for (size_t i = 0; r >= 0 && i < n; i++) {
		r = take_item(json_array_get(list, i), w, &items->v[items->n]);
		items->n += r > 0;
	}
	if (r < 0) {
		catalog_items_unref(&items);
		return r;
	}
	*ret = items;
	return 0;
}

/* ---- aggregated ------------------------------------------------------------------------------ */

static int take_version(struct catalog *c, struct str group, const json_t *version, unsigned rank)
{
	const bool stale = str_eq(json_in_member(version, "freshness"), STR("Stale"));
	struct catalog_gv *gv;
	bool full;

	gv = catalog_add_gv(c, group, json_in_member(version, "version"), rank, &full);
	if (!gv)
		return full ? 0 : -ENOMEM;
	c->counters.stale += stale;
	if (stale && catalog_keep(c, gv))
		return 0;
	return take_items(c, json_object_get(version, "resources"), &aggregated, &gv->items);
}

static int take_aggregated(struct catalog *c, const json_t *root, bool core)
{
	const json_t *groups = json_object_get(root, "items");
	int r = json_is_array(groups) ? 0 : -EBADMSG;

	for (size_t i = 0; r == 0 && i < json_array_size(groups); i++) {
		const json_t *group = json_array_get(groups, i);
		const struct str name = json_in_member(json_object_get(group, "metadata"), "name");
		const json_t *versions = json_object_get(group, "versions");

		if (core != str_empty(name)) { /* the core group alone has no name */
			c->counters.left_out++;
			continue;
		}
		/* From the most preferred down. */
		for (size_t k = 0; r == 0 && k < json_array_size(versions); k++)
			r = take_version(c, name, json_array_get(versions, k), (unsigned)k);
	}
	return r;
}

/* ---- one answer per group version ------------------------------------------------------------ */

static int ask_version(struct catalog *c, struct str group, struct str version, unsigned rank)
{
	char path[MAX_PATH];
	bool full;

	if (!catalog_add_gv(c, group, version, rank, &full))
		return full ? 0 : -ENOMEM;
	(void)snprintf(path, sizeof(path), "%s%.*s/%.*s", group.n ? "/apis/" : "/api",
		       STR_ARG(group), STR_ARG(version));
	return catalog_add_ask(c, ASK_VERSION, path, c->round.n - 1);
}

static int take_core_versions(struct catalog *c, const json_t *root)
{
	const json_t *versions = json_object_get(root, "versions");
	int r = json_is_array(versions) ? 0 : -EBADMSG;

	for (size_t i = 0; r == 0 && i < json_array_size(versions); i++) {
		const json_t *v = json_array_get(versions, i);

		r = ask_version(c, (struct str){0},
				str_make(json_string_value(v), json_string_length(v)), (unsigned)i);
	}
	return r;
}

static int take_group(struct catalog *c, const json_t *group)
{
	const json_t *versions = json_object_get(group, "versions");
	const struct str best =
		json_in_member(json_object_get(group, "preferredVersion"), "version");
	int r = 0;

	for (size_t i = 0; r == 0 && i < json_array_size(versions); i++) {
		const struct str v = json_in_member(json_array_get(versions, i), "version");

		r = ask_version(c, json_in_member(group, "name"), v,
				str_eq(v, best) ? 0 : 1 + (unsigned)i);
	}
	return r;
}

static int take_groups(struct catalog *c, const json_t *root)
{
	const json_t *groups = json_object_get(root, "groups");
	int r = json_is_array(groups) ? 0 : -EBADMSG;

	for (size_t i = 0; r == 0 && i < json_array_size(groups); i++) {
		const json_t *group = json_array_get(groups, i);

		if (str_empty(json_in_member(group, "name")))
			c->counters.left_out++;
		else
			r = take_group(c, group);
	}
	return r;
}

int catalog_parse(struct catalog *c, const struct catalog_ask *a, const json_t *root)
{
	const struct str kind = json_in_member(root, "kind");
	const json_t *resources = json_object_get(root, "resources");

	switch (a->about) {
	case ASK_CORE:
		if (str_eq(kind, STR("APIVersions")))
			return take_core_versions(c, root);
		break;
	case ASK_GROUPS:
		if (str_eq(kind, STR("APIGroupList")))
			return take_groups(c, root);
		break;
	case ASK_VERSION:
		if (!str_eq(kind, STR("APIResourceList")) || !json_is_array(resources))
			return -EBADMSG;
		return take_items(c, resources, &legacy, &c->round.v[a->gv].items);
	}
	return str_eq(kind, STR("APIGroupDiscoveryList"))
		       ? take_aggregated(c, root, a->about == ASK_CORE)
		       : -EBADMSG;
}
