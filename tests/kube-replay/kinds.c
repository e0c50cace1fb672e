/*
 * Kinds that were not recorded. What a server of the recorded version has of its
 * own is known from its aggregated discovery; a kind of it comes into being with its
 * first object. Custom resources come and go with their definitions.
 */
#include "server.h"

#include "read.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Places in discovery: group, version and resource as recorded, custom ones behind them. */
#define RANK(group, version, resource) ((int)((group)*10000 + (version)*1000 + (resource)))
#define RANK_MADE		       10000000

static const char *text_of(const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text ? text : "";
}

static json_t *read_json(const char *dir, const char *name)
{
	_buf_ struct buf b;

	buf_init(&b, READ_MAX);
	if (read_recorded(dir, name, ".body", &b) < 0)
		return NULL;
	return json_loadb(buf_str(&b).p, b.n, 0, NULL);
}

static char *join(const char *a, const char *b, const char *c, const char *d)
{
	char *text;

	if (asprintf(&text, "%s%s%s%s", a, b, c, d) < 0)
		abort();
	return text;
}

/* One more kind; its objects are with `of`, or (_KIND_MAX) its own. */
static enum kind add(struct server *s, const char *group, const char *version, json_t *entry,
		     enum kind of, int rank)
{
	enum kind k = kind_end;
	struct kind_info *info = &kind_info[k];

	if (k == _KIND_MAX) {
		fprintf(stderr, "kube-replay: more than %d kinds\n", _KIND_MAX);
		return _KIND_MAX;
	}
	kind_end++;
	*info = (struct kind_info){
		.plural = join(text_of(entry, "resource"), "", "", ""),
		.kind = join(text_of(json_object_get(entry, "responseKind"), "kind"), "", "", ""),
		.group = join(group, "", "", ""),
		.api_version = join(group, *group ? "/" : "", version, ""),
		.prefix = join(*group ? "/apis/" : "/api", group, "/", version),
		.namespaced = strcmp(text_of(entry, "scope"), "Namespaced") == 0,
		.of = of == _KIND_MAX ? k : of,
		.rank = rank,
		.entry = json_incref(entry),
	};
	if (info->of == k) {
		s->store.kinds[k].base_rv = s->store.kinds[KIND_PODS].base_rv;
		recorded_finish(&s->store.kinds[k]);
	}
	s->made = true;
	return k;
}

static enum kind find(const char *group, const char *version, const char *plural)
{
	char api[640];

	snprintf(api, sizeof(api), "%s%s%s", group, *group ? "/" : "", version);
	for (enum kind k = 0; k < kind_end; k++)
		if (!kind_info[k].gone && strcmp(kind_info[k].api_version, api) == 0 &&
		    strcmp(kind_info[k].plural, plural) == 0)
			return k;
	return _KIND_MAX;
}

/* ---- the server's own ------------------------------------------------------------------------ */

/* Adds every version of the group that has the resource; the first one has the objects. */
static void add_versions(struct server *s, json_t *group, size_t gi, const char *plural)
{
	const char *name = text_of(json_object_get(group, "metadata"), "name");
	enum kind of = _KIND_MAX;
	json_t *version, *entry;
	size_t vi, ri;

	json_array_foreach(json_object_get(group, "versions"), vi, version)
		json_array_foreach(json_object_get(version, "resources"), ri, entry)
	{
		const char *v = text_of(version, "version");
		enum kind k = find(name, v, plural);

		if (strcmp(text_of(entry, "resource"), plural) != 0)
			continue;
		if (k == _KIND_MAX)
			k = add(s, name, v, entry, of, RANK(gi, vi, ri));
		of = of == _KIND_MAX ? k : of;
	}
}

/* The resource of a kind in one recorded document. */
static bool add_known(struct server *s, json_t *doc, size_t first, const char *group,
		      const char *version, const char *kind)
{
	json_t *g, *v, *entry;
	size_t gi, vi, ri;

	json_array_foreach(json_object_get(doc, "items"), gi, g)
	{
		if (strcmp(text_of(json_object_get(g, "metadata"), "name"), group) != 0)
			continue;
		json_array_foreach(json_object_get(g, "versions"), vi, v)
			json_array_foreach(json_object_get(v, "resources"), ri, entry)
		{
			if (strcmp(text_of(v, "version"), version) != 0 ||
			    strcmp(text_of(json_object_get(entry, "responseKind"), "kind"), kind) !=
				    0)
				continue;
			add_versions(s, g, first + gi, text_of(entry, "resource"));
			return true;
		}
	}
	return false;
}

/* Recorded kinds get their places in discovery, too. */
static void know_recorded(json_t *doc, size_t first)
{
	json_t *g, *v, *entry;
	size_t gi, vi, ri;

	json_array_foreach(json_object_get(doc, "items"), gi, g)
		json_array_foreach(json_object_get(g, "versions"), vi, v)
			json_array_foreach(json_object_get(v, "resources"), ri, entry)
	{
		enum kind k = find(text_of(json_object_get(g, "metadata"), "name"),
				   text_of(v, "version"), text_of(entry, "resource"));

		if (k == _KIND_MAX)
			continue;
		kind_info[k].entry = json_incref(entry);
		kind_info[k].rank = RANK(first + gi, vi, ri);
	}
}

int kinds_init(struct server *s)
{
	s->api = read_json(s->o.dir, "disc-api-aggregated");
	s->apis = read_json(s->o.dir, "disc-apis-aggregated");
	if (!s->api || !s->apis)
		return -ENOENT;
	know_recorded(s->api, 0);
	know_recorded(s->apis, 1);
	return 0;
}

void kinds_free(struct server *s)
{
	for (enum kind k = 0; k < kind_end; k++) {
		const struct kind_info *i = &kind_info[k];

		json_decref(i->entry);
		if (k < KIND_RECORDED)
			continue;
		free((void *)(uintptr_t)i->plural);
		free((void *)(uintptr_t)i->kind);
		free((void *)(uintptr_t)i->group);
		free((void *)(uintptr_t)i->api_version);
		free((void *)(uintptr_t)i->prefix);
	}
	json_decref(s->api);
	json_decref(s->apis);
}

static enum kind find_kind(const char *api_version, const char *kind)
{
	for (enum kind k = 0; k < kind_end; k++)
		if (!kind_info[k].gone && strcmp(kind_info[k].api_version, api_version) == 0 &&
		    strcmp(kind_info[k].kind, kind) == 0)
			return k;
	return _KIND_MAX;
}

enum kind kinds_find(struct server *s, const char *api_version, const char *kind)
{
	const char *slash = strchr(api_version, '/');
	char group[320] = "";
	enum kind k = find_kind(api_version, kind);

	if (k != _KIND_MAX)
		return k;
	if (slash)
		snprintf(group, sizeof(group), "%.*s", (int)(slash - api_version), api_version);
	if (slash ? add_known(s, s->apis, 1, group, slash + 1, kind)
		  : add_known(s, s->api, 0, "", api_version, kind))
		return find_kind(api_version, kind);
	return _KIND_MAX;
}

/* ---- custom resources ------------------------------------------------------------------------ */

/* "v2" before "v1" before "v2beta1" before "v1alpha3", others behind, by name: the order of
 * apimachinery's version.CompareKubeAwareVersionStrings. */
static long priority(const char *v)
{
	char *end;
	long major, minor = 0, stable = 3;

	if (v[0] != 'v' || v[1] < '1' || v[1] > '9')
		return -1;
	major = strtol(v + 1, &end, 10);
	if (strncmp(end, "alpha", 5) == 0 || strncmp(end, "beta", 4) == 0) {
		stable = end[0] == 'a' ? 1 : 2;
		minor = strtol(end + (end[0] == 'a' ? 5 : 4), &end, 10);
	}
	return *end ? -1 : stable * 100000000 + major * 10000 + minor;
}

static int by_priority(const void *a, const void *b)
{
	const char *x = text_of(*(json_t *const *)a, "name");
	const char *y = text_of(*(json_t *const *)b, "name");
	long p = priority(x), q = priority(y);

	return p != q ? (p < q) - (p > q) : strcmp(x, y);
}

static json_t *make_entry(json_t *spec, const char *version)
{
	json_t *names = json_object_get(spec, "names");
	json_t *entry = json_pack(
		"{s:s, s:{s:s, s:s, s:s}, s:s, s:s, s:[s,s,s,s,s,s,s,s]}", "resource",
		text_of(names, "plural"), "responseKind", "group", text_of(spec, "group"),
		"version", version, "kind", text_of(names, "kind"), "scope", text_of(spec, "scope"),
		"singularResource", text_of(names, "singular"), "verbs", "delete",
		"deletecollection", "get", "list", "patch", "create", "update", "watch");

	if (json_array_size(json_object_get(names, "shortNames")))
		json_object_set(entry, "shortNames", json_object_get(names, "shortNames"));
	return entry;
}

static enum kind objects_of(const char *group, const char *plural)
{
	for (enum kind k = 0; k < kind_end; k++)
		if (!kind_info[k].gone && strcmp(kind_info[k].group, group) == 0 &&
		    strcmp(kind_info[k].plural, plural) == 0)
			return kind_info[k].of;
	return _KIND_MAX;
}

static int define_version(struct server *s, json_t *spec, json_t *version, int rank)
{
	const char *group = text_of(spec, "group"), *name = text_of(version, "name");
	const char *plural = text_of(json_object_get(spec, "names"), "plural");
	bool served = json_is_true(json_object_get(version, "served"));
	enum kind k = find(group, name, plural);
	json_t *entry;

	if (k != _KIND_MAX) {
		kind_info[k].gone = !served;
		kind_info[k].rank = rank;
		return 0;
	}
	if (!served)
		return 0;
	entry = make_entry(spec, name);
	k = add(s, group, name, entry, objects_of(group, plural), rank);
	json_decref(entry);
	return k == _KIND_MAX ? -ENOSPC : 0;
}

int kinds_define(struct server *s, json_t *crd)
{
	json_t *spec = json_object_get(crd, "spec"), *all = json_object_get(spec, "versions");
	json_t *sorted[64];
	size_t n = json_array_size(all);

	if (!n || n > ARRAY_SIZE(sorted) || !*text_of(spec, "group") ||
	    !*text_of(json_object_get(spec, "names"), "plural"))
		return -EINVAL;
	for (size_t i = 0; i < n; i++)
		sorted[i] = json_array_get(all, i);
	qsort(sorted, n, sizeof(sorted[0]), by_priority);
	s->n_made++;
	for (size_t i = 0; i < n; i++) {
		int r = define_version(s, spec, sorted[i], RANK_MADE + s->n_made * 100 + (int)i);

		if (r < 0)
			return r;
	}
	return 0;
}

static void end_watches(struct server *s, enum kind k)
{
	struct conn *c;

	TAILQ_FOREACH(c, &s->conns, link)
	if (c->watch && !c->dead && !c->ended && c->req.kind == k)
		resp_end(c);
}

void kinds_undefine(struct server *s, const char *group, const char *plural)
{
	enum kind of = objects_of(group, plural);

	if (of == _KIND_MAX)
		return;
	objects_delete_all(s, of, (struct str){0});
	for (enum kind k = 0; k < kind_end; k++) {
		if (kind_info[k].gone || kind_info[k].of != of)
			continue;
		kind_info[k].gone = true;
		end_watches(s, k);
	}
}
