#include "store.h"

#include "read.h"
#include "span.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct kind_info kind_info[_KIND_MAX] = {
	[KIND_PODS] = {"pods", "Pod", "", "v1", "/api/v1", true, KIND_PODS},
	[KIND_REPLICASETS] = {"replicasets", "ReplicaSet", "apps", "apps/v1", "/apis/apps/v1", true,
			      KIND_REPLICASETS},
	[KIND_JOBS] = {"jobs", "Job", "batch", "batch/v1", "/apis/batch/v1", true, KIND_JOBS},
	[KIND_NODES] = {"nodes", "Node", "", "v1", "/api/v1", false, KIND_NODES},
	[KIND_SERVICES] = {"services", "Service", "", "v1", "/api/v1", true,
			   KIND_SERVICES}, /* there are none */
};

enum kind kind_end = KIND_RECORDED;

void kind_full_name(enum kind k, char *text, size_t n)
{
	snprintf(text, n, "%s%s%s", kind_info[k].plural, kind_info[k].group[0] ? "." : "",
		 kind_info[k].group);
}

const char *const event_name[_EVENT_TYPE_MAX] = {
	[EVENT_ADDED] = "ADDED",
	[EVENT_MODIFIED] = "MODIFIED",
	[EVENT_DELETED] = "DELETED",
	[EVENT_BOOKMARK] = "BOOKMARK",
};

struct buf *recorded_file(struct store *s)
{
	struct buf *b;

	s->files = must_realloc(s->files, s->n_files + 1, sizeof(*s->files));
	b = &s->files[s->n_files++];
	buf_init(b, READ_MAX);
	return b;
}

void recorded_done(struct store *s)
{
	for (size_t i = 0; i < _KIND_MAX; i++) {
		free(s->kinds[i].versions);
		free(s->kinds[i].events);
		free(s->kinds[i].base);
		free(s->kinds[i].cur);
		free(s->kinds[i].any);
	}
	for (size_t i = 0; i < s->n_files; i++)
		buf_done(&s->files[i]);
	free(s->files);
	*s = (struct store){0};
}

struct version *recorded_add_version(struct kind_store *k)
{
	if ((k->n_versions & (k->n_versions - 1)) == 0)
		k->versions = must_realloc(k->versions, k->n_versions ? k->n_versions * 2 : 1,
					   sizeof(*k->versions));
	k->versions[k->n_versions] = (struct version){0};
	return &k->versions[k->n_versions++];
}

int version_set_json(struct version *v, struct str object)
{
	unsigned long long rv;

	if (!span_member(object, "metadata", &v->meta_json))
		return -EBADMSG;
	/* The key stands right before the value: "metadata": is 11 bytes. */
	v->json.p = v->meta_json.p - 11;
	v->json.n = (size_t)(object.p + object.n - v->json.p);
	v->uid = span_text(v->meta_json, "uid");
	v->ns = span_text(v->meta_json, "namespace");
	v->name = span_text(v->meta_json, "name");
	v->rv_text = span_text(v->meta_json, "resourceVersion");
	if (!str_starts(v->json, STR("\"metadata\":")) || str_to_u64(v->rv_text, &rv) < 0)
		return -EBADMSG;
	v->rv = rv;
	return 0;
}

bool version_member(const struct version *v, const char *key, struct str *ret_value)
{
	return span_member(v->json, key, ret_value);
}

/* Lists are sorted by the key NAMESPACE/NAME as one text (etcd's order): "a-b/x" before "a/x". */
static int cmp_key(const struct version *a, const struct version *b)
{
	char x[600], y[600];

	snprintf(x, sizeof(x), "%.*s/%.*s", STR_ARG(a->ns), STR_ARG(a->name));
	snprintf(y, sizeof(y), "%.*s/%.*s", STR_ARG(b->ns), STR_ARG(b->name));
	return strcmp(x, y);
}

static int cmp_version(const void *pa, const void *pb, void *versions)
{
	const struct version *v = versions;
	const struct version *a = &v[*(const uint32_t *)pa], *b = &v[*(const uint32_t *)pb];
	int r = cmp_key(a, b);

	if (r == 0)
		r = str_cmp(a->uid, b->uid);
	return r ? r : (a->rv > b->rv) - (a->rv < b->rv);
}

/* Versions of one uid stand together after sorting; a uid is one object. */
static void number_objects(struct kind_store *k)
{
	uint32_t *order = must_calloc(k->n_versions, sizeof(*order));

	for (size_t i = 0; i < k->n_versions; i++)
		order[i] = (uint32_t)i;
	qsort_r(order, k->n_versions, sizeof(*order), cmp_version, k->versions);
	for (size_t i = 0; i < k->n_versions; i++) {
		struct version *v = &k->versions[order[i]];

		if (i == 0 || !str_eq(v->uid, k->versions[order[i - 1]].uid))
			k->n_objects++;
		v->obj = (uint32_t)(k->n_objects - 1);
	}
	free(order);
}

uint32_t *recorded_state(const struct kind_store *k, size_t pos)
{
	uint32_t *cur = must_calloc(k->n_objects, sizeof(*cur));

	memset(cur, 0xff, k->n_objects * sizeof(*cur));
	for (size_t i = 0; i < k->n_base; i++)
		cur[k->versions[k->base[i]].obj] = k->base[i];
	for (size_t i = 0; i < pos; i++) {
		const struct event *e = &k->events[i];

		if (e->version != NO_VERSION)
			cur[k->versions[e->version].obj] =
				e->type == EVENT_DELETED ? NO_VERSION : e->version;
	}
	return cur;
}

void recorded_finish(struct kind_store *k)
{
	number_objects(k);
	k->cur = recorded_state(k, 0);
	for (size_t i = 0; i < k->n_events; i++) {
		struct event *e = &k->events[i];
		uint32_t *slot;

		e->prev = NO_VERSION;
		if (e->version == NO_VERSION)
			continue;
		slot = &k->cur[k->versions[e->version].obj];
		e->prev = *slot;
		*slot = e->type == EVENT_DELETED ? NO_VERSION : e->version;
	}
	free(k->cur);
	k->cur = recorded_state(k, 0);
}

uint64_t recorded_rv(const struct kind_store *k)
{
	return k->pos ? MAX(k->base_rv, k->events[k->pos - 1].rv) : k->base_rv;
}

void recorded_advance(struct kind_store *k, size_t pos)
{
	for (; k->pos < pos && k->pos < k->n_events; k->pos++) {
		const struct event *e = &k->events[k->pos];

		if (e->version != NO_VERSION)
			k->cur[k->versions[e->version].obj] =
				e->type == EVENT_DELETED ? NO_VERSION : e->version;
	}
}

size_t recorded_find(const struct kind_store *k, uint64_t rv)
{
	size_t i = 0;

	while (i < k->n_events && k->events[i].rv <= rv)
		i++;
	return i;
}

size_t recorded_at(const struct kind_store *k, double ms)
{
	size_t i = k->pos;

	while (i < k->n_events && k->events[i].ms <= ms)
		i++;
	return i;
}

const struct version *recorded_get(const struct kind_store *k, struct str ns, struct str name)
{
	for (size_t i = 0; i < k->n_objects; i++) {
		const struct version *v;

		if (k->cur[i] == NO_VERSION)
			continue;
		v = &k->versions[k->cur[i]];
		if (str_eq(v->name, name) && str_eq(v->ns, ns))
			return v;
	}
	return NULL;
}
