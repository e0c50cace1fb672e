/*
 * What the server says about itself. As long as there is nothing but recorded kinds:
 * what the recorded one said, byte for byte. Else the documents are made, and name the
 * kinds that are served and no others.
 */
#include "server.h"

#include "read.h"

#include <stdio.h>
#include <stdlib.h>

static const struct {
	const char *path, *name, *aggregated;
	const char *type; /* NULL: JSON */
} pages[] = {
	{"/version", "disc-version", NULL, NULL},
	{"/api", "disc-api", "disc-api-aggregated", NULL},
	{"/apis", "disc-apis", "disc-apis-aggregated", NULL},
	{"/api/v1", "disc-api-v1", NULL, NULL},
	{"/apis/apps", "disc-apis-apps", NULL, NULL},
	{"/apis/apps/v1", "disc-apis-apps-v1", NULL, NULL},
	{"/apis/batch/v1", "disc-apis-batch-v1", NULL, NULL},
	{"/healthz", "disc-healthz", NULL, "text/plain; charset=utf-8"},
	{"/readyz", "disc-healthz", NULL, "text/plain; charset=utf-8"},
	{"/livez", "disc-healthz", NULL, "text/plain; charset=utf-8"},
};

#define AGGREGATED_TYPE "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

/* Small answers were kept whole, large ones as body alone. */
static int read_page(struct conn *c, const char *name, struct buf *b)
{
	int r = read_recorded(c->srv->o.dir, name, ".body", b);
	struct str s;
	const char *at;

	if (r == 0)
		return 0;
	r = read_recorded(c->srv->o.dir, name, ".http", b);
	if (r < 0)
		return r;
	s = buf_str(b);
	at = memmem(s.p, s.n, "\r\n\r\n", 4);
	if (at)
		buf_consume(b, (size_t)(at - s.p) + 4);
	return 0;
}

/* ---- made documents -------------------------------------------------------------------------- */

static const char *text_of(const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text ? text : "";
}

static int by_rank(const void *a, const void *b)
{
	int x = kind_info[*(const enum kind *)a].rank, y = kind_info[*(const enum kind *)b].rank;

	return (x > y) - (x < y);
}

/* Kinds that are served and known to discovery, in its order; returns how many. */
static size_t served(enum kind *ret)
{
	size_t n = 0;

	for (enum kind k = 0; k < kind_end; k++)
		if (!kind_info[k].gone && kind_info[k].entry)
			ret[n++] = k;
	qsort(ret, n, sizeof(*ret), by_rank);
	return n;
}

static const char *version_of(enum kind k)
{
	const char *slash = strchr(kind_info[k].api_version, '/');

	return slash ? slash + 1 : kind_info[k].api_version;
}

/* The member of an array whose `key` (below metadata for groups) is this, appended when missing. */
static json_t *member(json_t *all, const char *key, const char *value, json_t *fresh)
{
	json_t *one;
	size_t i;

	json_array_foreach(all, i,
			   one) if (strcmp(text_of(json_object_get(one, "metadata")
							   ? json_object_get(one, "metadata")
							   : one,
						   key),
					   value) == 0)
	{
		json_decref(fresh);
		return one;
	}
	json_array_append_new(all, fresh);
	return fresh;
}

static json_t *aggregated(bool core)
{
	static enum kind kinds[_KIND_MAX];
	json_t *groups = json_array();
	size_t n = served(kinds);

	for (size_t i = 0; i < n; i++) {
		const struct kind_info *k = &kind_info[kinds[i]];
		json_t *group, *version;

		if (!k->group[0] != core)
			continue;
		group = member(groups, "name", k->group,
			       core ? json_pack("{s:{}, s:[]}", "metadata", "versions")
				    : json_pack("{s:{s:s}, s:[]}", "metadata", "name", k->group,
						"versions"));
		version =
			member(json_object_get(group, "versions"), "version", version_of(kinds[i]),
			       json_pack("{s:s, s:[], s:s}", "version", version_of(kinds[i]),
					 "resources", "freshness", "Current"));
		json_array_append(json_object_get(version, "resources"), k->entry);
	}
	return json_pack("{s:s, s:s, s:{}, s:o}", "kind", "APIGroupDiscoveryList", "apiVersion",
			 "apidiscovery.k8s.io/v2", "metadata", "items", groups);
}

/* One APIGroup; the preferred version is the first one. */
static json_t *legacy_group(json_t *group, bool whole)
{
	const char *name = text_of(json_object_get(group, "metadata"), "name");
	json_t *versions = json_array(), *version, *ret;
	size_t i;

	json_array_foreach(json_object_get(group, "versions"), i, version)
	{
		char gv[640];

		snprintf(gv, sizeof(gv), "%s/%s", name, text_of(version, "version"));
		json_array_append_new(versions, json_pack("{s:s, s:s}", "groupVersion", gv,
							  "version", text_of(version, "version")));
	}
	ret = whole ? json_pack("{s:s, s:s}", "kind", "APIGroup", "apiVersion", "v1")
		    : json_object();
	json_object_set_new(ret, "name", json_string(name));
	json_object_set_new(ret, "versions", versions);
	json_object_set(ret, "preferredVersion", json_array_get(versions, 0));
	return ret;
}

static json_t *legacy_groups(void)
{
	json_t *all = aggregated(false), *groups = json_array(), *group;
	size_t i;

	json_array_foreach(json_object_get(all, "items"), i, group)
		json_array_append_new(groups, legacy_group(group, false));
	json_decref(all);
	return json_pack("{s:s, s:s, s:o}", "kind", "APIGroupList", "apiVersion", "v1", "groups",
			 groups);
}

static json_t *legacy_resource(json_t *entry, json_t *sub)
{
	bool namespaced = strcmp(text_of(entry, "scope"), "Namespaced") == 0;
	json_t *as = json_object_get(sub ? sub : entry, "responseKind"), *ret;
	char name[640];

	snprintf(name, sizeof(name), "%s%s%s", text_of(entry, "resource"), sub ? "/" : "",
		 text_of(sub, "subresource"));
	ret = json_pack("{s:s, s:s, s:b, s:s, s:O}", "name", name, "singularName",
			sub ? "" : text_of(entry, "singularResource"), "namespaced", namespaced,
			"kind", text_of(as, "kind"), "verbs",
			json_object_get(sub ? sub : entry, "verbs"));
	if (!sub && json_object_get(entry, "shortNames"))
		json_object_set(ret, "shortNames", json_object_get(entry, "shortNames"));
	return ret;
}

/* /api/v1 or /apis/GROUP/VERSION; NULL: there is none. */
static json_t *legacy_resources(const char *path)
{
	static enum kind kinds[_KIND_MAX];
	json_t *resources = json_array(), *sub;
	const char *api_version = NULL;
	size_t n = served(kinds), j;

	for (size_t i = 0; i < n; i++) {
		json_t *entry = kind_info[kinds[i]].entry;

		if (strcmp(kind_info[kinds[i]].prefix, path) != 0)
			continue;
		api_version = kind_info[kinds[i]].api_version;
		json_array_append_new(resources, legacy_resource(entry, NULL));
		json_array_foreach(json_object_get(entry, "subresources"), j, sub)
			json_array_append_new(resources, legacy_resource(entry, sub));
	}
	if (!api_version) {
		json_decref(resources);
		return NULL;
	}
	return json_pack("{s:s, s:s, s:s, s:o}", "kind", "APIResourceList", "apiVersion", "v1",
			 "groupVersion", api_version, "resources", resources);
}

static json_t *one_group(const char *name)
{
	json_t *all = aggregated(false), *group, *ret = NULL;
	size_t i;

	json_array_foreach(json_object_get(all, "items"), i,
			   group) if (strcmp(text_of(json_object_get(group, "metadata"), "name"),
					     name) == 0) ret = legacy_group(group, true);
	json_decref(all);
	return ret;
}

/* NULL: this path is for others to answer. */
static json_t *made_document(const char *path, bool as_aggregated)
{
	if (strcmp(path, "/api") == 0)
		return as_aggregated ? aggregated(true)
				     : json_pack("{s:s, s:[s], s:[]}", "kind", "APIVersions",
						 "versions", "v1", "serverAddressByClientCIDRs");
	if (strcmp(path, "/apis") == 0)
		return as_aggregated ? aggregated(false) : legacy_groups();
	if (strcmp(path, "/api/v1") == 0 ||
	    (strncmp(path, "/apis/", 6) == 0 && strchr(path + 6, '/') &&
	     strchr(path + 6, '/') == strrchr(path, '/')))
		return legacy_resources(path);
	return strncmp(path, "/apis/", 6) == 0 && !strchr(path + 6, '/') ? one_group(path + 6)
									 : NULL;
}

/* ---- answers --------------------------------------------------------------------------------- */

static bool is_aggregated(const struct conn *c)
{
	return (strcmp(c->req.path, "/api") == 0 || strcmp(c->req.path, "/apis") == 0) &&
	       strstr(c->req.accept ? c->req.accept : "", "APIGroupDiscoveryList");
}

static bool answer_made(struct conn *c)
{
	json_t *doc = made_document(c->req.path, is_aggregated(c));
	char *text = doc ? json_dumps(doc, JSON_COMPACT) : NULL;

	json_decref(doc);
	if (!text)
		return false;
	resp_start(c, 200, is_aggregated(c) ? AGGREGATED_TYPE : "application/json", NULL);
	resp_write(c, text, strlen(text));
	resp_write(c, "\n", 1);
	resp_end(c);
	free(text);
	return true;
}

static bool answer_recorded(struct conn *c)
{
	for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
		bool whole = pages[i].aggregated && is_aggregated(c);
		const char *type = pages[i].type ? pages[i].type : "application/json";
		_buf_ struct buf b;

		buf_init(&b, READ_MAX);
		if (strcmp(c->req.path, pages[i].path) != 0)
			continue;
		if (read_page(c, whole ? pages[i].aggregated : pages[i].name, &b) < 0)
			return false;
		resp_start(c, 200, whole ? AGGREGATED_TYPE : type, NULL);
		resp_write(c, buf_str(&b).p, b.n);
		resp_end(c);
		return true;
	}
	return false;
}

static bool is_discovery(const char *path)
{
	const char *at = path + strlen("/apis/");

	if (strcmp(path, "/api") == 0 || strcmp(path, "/api/v1") == 0 || strcmp(path, "/apis") == 0)
		return true;
	if (strncmp(path, "/apis/", 6) != 0)
		return false;
	at = strchr(at, '/');
	return !at || !strchr(at + 1, '/');
}

bool discovery_handle(struct conn *c)
{
	enum verb verb = c->req.verb;

	if (is_discovery(c->req.path)) {
		c->req.verb = VERB_DISCOVERY;
		if (api_fault(c))
			return true;
		c->req.verb = verb;
		if (c->srv->made && answer_made(c))
			return true;
		if (c->srv->made)
			return false;
	}
	return answer_recorded(c);
}
