/* Kinds and their resource names; see discovery.h. */
#include "kube/discovery.h"

#include "base/json_in.h"
#include "base/mem.h"
#include "kube/target.h"

#include <errno.h>

struct entry {
	char *kind, *plural;
	bool namespaced;
};

struct group {
	char *api_version; /* NULL: free */
	struct entry *entries;
	size_t n;
	uint64_t age;
};

struct discovery {
	struct group groups[DISCOVERY_MAX_GROUPS];
	uint64_t clock; /* counts learned groups, for the oldest */
};

static const struct {
	const char *api_version, *kind, *plural;
	bool namespaced;
} well_known[] = {
	{"apps/v1", "ReplicaSet", "replicasets", true},
	{"apps/v1", "Deployment", "deployments", true},
	{"apps/v1", "StatefulSet", "statefulsets", true},
	{"apps/v1", "DaemonSet", "daemonsets", true},
	{"batch/v1", "Job", "jobs", true},
	{"batch/v1", "CronJob", "cronjobs", true},
	{"batch/v1beta1", "CronJob", "cronjobs", true},
	{"v1", "ReplicationController", "replicationcontrollers", true},
	{"v1", "Pod", "pods", true},
	{"v1", "Node", "nodes", false},
};

int discovery_new(struct discovery **ret)
{
	struct discovery *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	*ret = d;
	return 0;
}

static void group_clear(struct group *g)
{
	for (size_t i = 0; i < g->n; i++) {
		free(g->entries[i].kind);
		free(g->entries[i].plural);
	}
	free(g->entries);
	free(g->api_version);
	*g = (struct group){0};
}

void discovery_free(struct discovery **d)
{
	if (!*d)
		return;
	for (size_t i = 0; i < DISCOVERY_MAX_GROUPS; i++)
		group_clear(&(*d)->groups[i]);
	free(*d);
	*d = NULL;
}

static size_t group_find(const struct discovery *d, struct str api_version)
{
	size_t i = 0;

	while (i < DISCOVERY_MAX_GROUPS &&
	       !(d->groups[i].api_version && str_eq(str_of(d->groups[i].api_version), api_version)))
		i++;
	return i;
}

enum discovery_state discovery_find(const struct discovery *d, struct str api_version,
				    struct str kind, struct resource *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(well_known); i++)
		if (str_eq(kind, str_of(well_known[i].kind)) &&
		    str_eq(api_version, str_of(well_known[i].api_version))) {
			ret->plural = str_of(well_known[i].plural);
			ret->namespaced = well_known[i].namespaced;
			return DISCOVERY_KNOWN;
		}
	size_t at = group_find(d, api_version);
	if (at == DISCOVERY_MAX_GROUPS)
		return DISCOVERY_ASK;
	const struct group *g = &d->groups[at];
	for (size_t i = 0; i < g->n; i++)
		if (str_eq(kind, str_of(g->entries[i].kind))) {
			ret->plural = str_of(g->entries[i].plural);
			ret->namespaced = g->entries[i].namespaced;
			return DISCOVERY_KNOWN;
		}
	return DISCOVERY_MISSING;
}

int discovery_target(struct buf *b, struct str api_version)
{
	struct str rest = api_version, head;
	bool grouped = str_split(&rest, '/', &head);
	int r = buf_append_str(b, grouped ? STR("/apis/") : STR("/api/"));

	if (r == 0)
		r = target_escape(b, head);
	if (r == 0 && grouped)
		r = buf_append(b, "/", 1);
	if (r == 0 && grouped)
		r = target_escape(b, rest);
	return r;
}

/* A free place, or the oldest one's; named already. NULL when memory is short. */
static struct group *group_make(struct discovery *d, struct str api_version)
{
	size_t at = group_find(d, api_version);

	for (size_t i = 0; at == DISCOVERY_MAX_GROUPS && i < DISCOVERY_MAX_GROUPS; i++)
		if (!d->groups[i].api_version)
			at = i;
	if (at == DISCOVERY_MAX_GROUPS) {
		at = 0;
		for (size_t i = 1; i < DISCOVERY_MAX_GROUPS; i++)
			if (d->groups[i].age < d->groups[at].age)
				at = i;
	}
	struct group *g = &d->groups[at];
	group_clear(g);
	g->api_version = str_dup(api_version);
	g->age = ++d->clock;
	return g->api_version ? g : NULL;
}

static int group_add(struct group *g, const json_t *item)
{
	const char *name = json_string_value(json_object_get(item, "name"));
	const char *kind = json_string_value(json_object_get(item, "kind"));

	/* "jobs/status" is a part of another resource. */
	if (!name || !kind || strchr(name, '/') || g->n == DISCOVERY_MAX_RESOURCES)
		return 0;
	struct entry e = {
		.kind = str_dup(str_of(kind)),
		.plural = str_dup(str_of(name)),
		.namespaced = json_is_true(json_object_get(item, "namespaced")),
	};
	if (!e.kind || !e.plural) {
		free(e.kind);
		free(e.plural);
		return -ENOMEM;
	}
	g->entries[g->n++] = e;
	return 0;
}

static int group_fill(struct group *g, const json_t *list)
{
	size_t n = MIN(json_array_size(list), (size_t)DISCOVERY_MAX_RESOURCES);
	int r = 0;

	g->entries = n ? calloc(n, sizeof(*g->entries)) : NULL;
	if (n && !g->entries)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < n; i++)
		r = group_add(g, json_array_get(list, i));
	return r;
}

int discovery_learn(struct discovery *d, struct str api_version, struct str body)
{
	_json_ json_t *root = json_in_parse(body, JSON_REJECT_DUPLICATES);
	const json_t *list = json_object_get(root, "resources");
	const char *kind = json_string_value(json_object_get(root, "kind"));
	int r = -EBADMSG;

	if (kind && strcmp(kind, "APIResourceList") == 0 && json_is_array(list)) {
		struct group *g = group_make(d, api_version);

		r = g ? group_fill(g, list) : -ENOMEM;
		if (r < 0 && g)
			group_clear(g);
	}
	return r;
}

int discovery_missing(struct discovery *d, struct str api_version)
{
	return group_make(d, api_version) ? 0 : -ENOMEM;
}

void discovery_forget(struct discovery *d, struct str api_version)
{
	size_t at = group_find(d, api_version);

	if (at < DISCOVERY_MAX_GROUPS)
		group_clear(&d->groups[at]);
}
