/*
 * Objects that were not recorded: those of --objects, which are there from the
 * beginning, and those that a test writes while it runs. A write is one more event of
 * its kind; it has happened at once.
 */
#include "server.h"

#include "meta.h"
#include "pb.h"
#include "read.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define CREATED "2026-11-20T17:50:00Z" /* where an object does not say when */

static const char *text_of(const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text ? text : "";
}

static void set_text(json_t *o, const char *key, const char *value)
{
	json_object_set_new(o, key, json_string(value));
}

/* ---- versions -------------------------------------------------------------------------------- */

static void put_json(struct buf *b, const char *key, json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

	if (!text)
		abort();
	json_text(b, str_of(key));
	put_z(b, ":");
	put_z(b, text);
	free(text);
}

/* metadata in front, kind and apiVersion left out, as versions are kept. */
static struct str object_text(struct server *s, json_t *o)
{
	struct buf *b = recorded_file(&s->store);
	const char *key;
	json_t *value;

	put_z(b, "{");
	put_json(b, "metadata", json_object_get(o, "metadata"));
	json_object_foreach(o, key, value)
	{
		if (strcmp(key, "metadata") == 0 || strcmp(key, "kind") == 0 ||
		    strcmp(key, "apiVersion") == 0)
			continue;
		put_z(b, ",");
		put_json(b, key, value);
	}
	put_z(b, "}");
	return buf_str(b);
}

/* A byte of NAMESPACE/NAME, -1 behind its end. */
static int key_at(const struct version *v, size_t i)
{
	if (i < v->ns.n)
		return (unsigned char)v->ns.p[i];
	i -= v->ns.n;
	if (i == 0)
		return '/';
	return i - 1 < v->name.n ? (unsigned char)v->name.p[i - 1] : -1;
}

static int cmp_place(const struct version *a, const struct version *b)
{
	size_t i = 0;

	while (key_at(a, i) == key_at(b, i) && key_at(a, i) >= 0)
		i++;
	return key_at(a, i) != key_at(b, i) ? key_at(a, i) - key_at(b, i) : str_cmp(a->uid, b->uid);
}

static void know_objects(struct kind_store *ks, size_t n_versions)
{
	if (ks->any)
		return;
	ks->any = must_calloc(ks->n_objects + 1, sizeof(*ks->any));
	for (size_t i = 0; i < n_versions; i++)
		ks->any[ks->versions[i].obj] = (uint32_t)i;
}

/* Room for one more object at this place in the order of lists; those behind it move. */
static void insert_object(struct kind_store *ks, uint32_t place)
{
	size_t behind = ks->n_objects - place;

	for (size_t i = 0; i + 1 < ks->n_versions; i++)
		ks->versions[i].obj += ks->versions[i].obj >= place;
	ks->cur = must_realloc(ks->cur, ks->n_objects + 1, sizeof(*ks->cur));
	ks->any = must_realloc(ks->any, ks->n_objects + 1, sizeof(*ks->any));
	memmove(&ks->cur[place + 1], &ks->cur[place], behind * sizeof(*ks->cur));
	memmove(&ks->any[place + 1], &ks->any[place], behind * sizeof(*ks->any));
	ks->cur[place] = NO_VERSION;
	ks->any[place] = (uint32_t)(ks->n_versions - 1);
	ks->n_objects++;
}

/* Which object the last version is of: one that is or was there, or a new one. */
static void find_place(struct kind_store *ks)
{
	struct version *v = &ks->versions[ks->n_versions - 1];
	size_t low = 0, high = ks->n_objects;

	know_objects(ks, ks->n_versions - 1);
	while (low < high) {
		size_t middle = (low + high) / 2;
		int r = cmp_place(&ks->versions[ks->any[middle]], v);

		if (r == 0) {
			v->obj = (uint32_t)middle;
			return;
		}
		if (r < 0)
			low = middle + 1;
		else
			high = middle;
	}
	v->obj = (uint32_t)low;
	insert_object(ks, v->obj);
}

static uint32_t add_version(struct server *s, struct kind_store *ks, json_t *o)
{
	struct str text = object_text(s, o);
	struct version *v = recorded_add_version(ks);
	struct buf *pb;

	if (version_set_json(v, text) < 0)
		abort(); /* it was written here */
	pb = recorded_file(&s->store);
	{
		_buf_ struct buf meta;

		buf_init(&meta, READ_MAX);
		meta_to_pb(json_object_get(o, "metadata"), &meta);
		pb_put_len(pb, 1, buf_str(&meta));
	}
	v->pb = buf_str(pb);
	v->meta_pb = pb_get(v->pb, 1);
	v->pb_made = true;
	find_place(ks);
	s->rv = MAX(s->rv, v->rv);
	return (uint32_t)(ks->n_versions - 1);
}

static void add_event(struct server *s, enum kind k, enum event_type type, uint32_t version)
{
	struct kind_store *ks = kind_data(&s->store, k);
	struct event *e = recorded_add_event(ks);
	const struct version *v = &ks->versions[version];

	*e = (struct event){.type = type, .rv = v->rv, .version = version, .prev = ks->cur[v->obj]};
	recorded_advance(ks, ks->n_events);
}

/* ---- what an object must have ---------------------------------------------------------------- */

static void set_rv(struct server *s, json_t *meta)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)++s->rv);
	set_text(meta, "resourceVersion", text);
}

static void fill_in(struct server *s, json_t *meta)
{
	char uid[40];

	snprintf(uid, sizeof(uid), "00000000-0000-4000-9000-%012lx", ++s->n_uid);
	if (!*text_of(meta, "uid"))
		set_text(meta, "uid", uid);
	if (!*text_of(meta, "creationTimestamp"))
		set_text(meta, "creationTimestamp", CREATED);
}

/* The object's kind and its metadata with name and namespace; or why not. */
static int check(struct server *s, json_t *o, enum kind *ret_kind, char *why, size_t n)
{
	json_t *meta = json_object_get(o, "metadata");
	enum kind k = kinds_find(s, text_of(o, "apiVersion"), text_of(o, "kind"));

	if (k == _KIND_MAX) {
		snprintf(why, n, "nobody knows of kind %s in %s", text_of(o, "kind"),
			 text_of(o, "apiVersion"));
		return -EINVAL;
	}
	if (!*text_of(meta, "name")) {
		snprintf(why, n, "a %s without metadata.name", text_of(o, "kind"));
		return -EINVAL;
	}
	if (!kind_info[k].namespaced)
		json_object_del(meta, "namespace");
	else if (!*text_of(meta, "namespace"))
		set_text(meta, "namespace", "default");
	*ret_kind = k;
	return 0;
}

static bool is_crd(enum kind k)
{
	return strcmp(kind_info[k].plural, "customresourcedefinitions") == 0;
}

/* ---- at the beginning ------------------------------------------------------------------------ */

static int add_base(struct server *s, json_t *o, char *why, size_t n)
{
	json_t *meta = json_object_get(o, "metadata");
	unsigned long long rv;
	struct kind_store *ks;
	uint32_t version;
	enum kind k;
	int r;

	r = check(s, o, &k, why, n);
	if (r < 0)
		return r;
	ks = kind_data(&s->store, k);
	if (recorded_get(ks, str_of(text_of(meta, "namespace")), str_of(text_of(meta, "name")))) {
		snprintf(why, n, "%s %s is there already", kind_info[k].plural,
			 text_of(meta, "name"));
		return -EEXIST;
	}
	fill_in(s, meta);
	if (str_to_u64(str_of(text_of(meta, "resourceVersion")), &rv) < 0)
		set_rv(s, meta);
	version = add_version(s, ks, o);
	ks->base = must_realloc(ks->base, ks->n_base + 1, sizeof(*ks->base));
	ks->base[ks->n_base++] = version;
	ks->cur[ks->versions[version].obj] = version;
	if (k >= KIND_RECORDED)
		ks->base_rv = MAX(ks->base_rv, ks->versions[version].rv);
	return is_crd(k) ? kinds_define(s, o) : 0;
}

/* Definitions first: the others may be of their kinds. */
static int add_all(struct server *s, json_t *doc, bool crds, char *why, size_t n)
{
	json_t *items = json_object_get(doc, "items"), *o;
	size_t i;

	if (!items) {
		if (crds != (strcmp(text_of(doc, "kind"), "CustomResourceDefinition") == 0))
			return 0;
		return add_base(s, doc, why, n);
	}
	json_array_foreach(items, i, o)
	{
		int r = add_all(s, o, crds, why, n);

		if (r < 0)
			return r;
	}
	return 0;
}

static int is_json(const struct dirent *d)
{
	return str_ends(str_of(d->d_name), STR(".json"));
}

static int load_file(struct server *s, const char *dir, const char *name, bool crds)
{
	char path[4096], why[700] = "";
	json_error_t error;
	json_t *doc;
	int r;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	doc = json_load_file(path, 0, &error);
	if (!doc) {
		fprintf(stderr, "kube-replay: %s:%d: %s\n", path, error.line, error.text);
		return -EBADMSG;
	}
	r = add_all(s, doc, crds, why, sizeof(why));
	json_decref(doc);
	if (r < 0)
		fprintf(stderr, "kube-replay: %s: %s\n", path, *why ? why : strerror(-r));
	return r;
}

static int load_folder(struct server *s, const char *dir, bool crds)
{
	struct dirent **names;
	int n = scandir(dir, &names, is_json, alphasort), r = 0;

	if (n < 0) {
		r = -errno;
		fprintf(stderr, "kube-replay: --objects %s: %s\n", dir, strerror(errno));
		return r;
	}
	for (int i = 0; i < n; i++) {
		if (r == 0)
			r = load_file(s, dir, names[i]->d_name, crds);
		free(names[i]);
	}
	free(names);
	return r;
}

static int make_namespace(struct server *s, struct str name)
{
	struct kind_store *ks;
	enum kind k = kinds_find(s, "v1", "Namespace");
	char why[700];
	json_t *o;
	int r;

	if (k == _KIND_MAX || !name.n)
		return 0;
	ks = kind_data(&s->store, k);
	if (recorded_get(ks, (struct str){0}, name))
		return 0;
	o = json_pack("{s:s, s:s, s:{s:s%, s:{s:s%}}, s:{s:[s]}, s:{s:s}}", "apiVersion", "v1",
		      "kind", "Namespace", "metadata", "name", name.p, name.n, "labels",
		      "kubernetes.io/metadata.name", name.p, name.n, "spec", "finalizers",
		      "kubernetes", "status", "phase", "Active");
	r = add_base(s, o, why, sizeof(why));
	json_decref(o);
	return r;
}

/* Every object's namespace is there, those of recorded ones, too. */
static int make_namespaces(struct server *s)
{
	static const char *const always[] = {"default", "kube-node-lease", "kube-public",
					     "kube-system"};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(always); i++)
		r = make_namespace(s, str_of(always[i]));
	for (enum kind k = 0; k < kind_end; k++)
		for (size_t i = 0;
		     r == 0 && kind_info[k].of == k && i < s->store.kinds[k].n_versions; i++)
			r = make_namespace(s, s->store.kinds[k].versions[i].ns);
	return r;
}

static void highest_rv(struct server *s)
{
	for (enum kind k = 0; k < kind_end; k++) {
		const struct kind_store *ks = &s->store.kinds[k];

		s->rv = MAX(s->rv, ks->base_rv);
		for (size_t i = 0; i < ks->n_versions; i++)
			s->rv = MAX(s->rv, ks->versions[i].rv);
		for (size_t i = 0; i < ks->n_events; i++)
			s->rv = MAX(s->rv, ks->events[i].rv);
	}
}

int objects_load(struct server *s)
{
	int r = 0;

	highest_rv(s);
	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; r == 0 && i < s->o.n_objects; i++)
			r = load_folder(s, s->o.objects[i], pass == 0);
	if (r < 0 || !s->o.n_objects)
		return r;
	return make_namespaces(s);
}

/* ---- while it runs --------------------------------------------------------------------------- */

static int busy(const struct kind_store *ks, enum kind k, char *why, size_t n)
{
	if (ks->pos >= ks->n_events)
		return 0;
	snprintf(why, n, "%s are being replayed: advance to the end first", kind_info[k].plural);
	return -EBUSY;
}

/* The version's object, to be changed. */
static json_t *object_of(const struct version *v)
{
	_buf_ struct buf b;
	json_t *o;

	buf_init(&b, READ_MAX);
	put_z(&b, "{");
	put_str(&b, v->json);
	o = json_loadb(buf_str(&b).p, b.n, 0, NULL);
	if (!o)
		abort();
	return o;
}

static void delete_version(struct server *s, enum kind k, const struct version *v)
{
	struct kind_store *ks = kind_data(&s->store, k);
	json_t *o = object_of(v), *spec = json_object_get(o, "spec");
	struct str name = v->name;

	set_rv(s, json_object_get(o, "metadata"));
	add_event(s, k, EVENT_DELETED, add_version(s, ks, o));
	if (is_crd(k))
		kinds_undefine(s, text_of(spec, "group"),
			       text_of(json_object_get(spec, "names"), "plural"));
	if (strcmp(kind_info[k].kind, "Namespace") == 0 && !kind_info[k].group[0])
		for (enum kind other = 0; other < kind_end; other++)
			if (kind_info[other].of == other && kind_info[other].namespaced)
				objects_delete_all(s, other, name);
	json_decref(o);
	timeline_wake(s, kind_info[k].of);
}

void objects_delete_all(struct server *s, enum kind k, struct str ns)
{
	struct kind_store *ks = kind_data(&s->store, k);

	if (ks->pos < ks->n_events)
		return; /* the recording tells what becomes of them */
	for (size_t i = 0; i < ks->n_objects; i++) {
		const struct version *v;

		if (ks->cur[i] == NO_VERSION)
			continue;
		v = &ks->versions[ks->cur[i]];
		if (!ns.n || str_eq(v->ns, ns))
			delete_version(s, k, v);
	}
}

int objects_delete(struct server *s, const char *api_version, const char *kind, struct str ns,
		   struct str name, char *why, size_t n)
{
	enum kind k = kinds_find(s, api_version, kind);
	const struct version *v;
	int r;

	if (k == _KIND_MAX) {
		snprintf(why, n, "nobody knows of kind %s in %s", kind, api_version);
		return -EINVAL;
	}
	r = busy(kind_data(&s->store, k), k, why, n);
	if (r < 0)
		return r;
	v = recorded_get(kind_data(&s->store, k), ns, name);
	if (!v) {
		snprintf(why, n, "there is no such object");
		return -ENOENT;
	}
	delete_version(s, k, v);
	return 0;
}

static int apply_one(struct server *s, json_t *o, char *why, size_t n)
{
	json_t *meta = json_object_get(o, "metadata");
	const struct version *v;
	struct kind_store *ks;
	struct str ns, name;
	enum kind k;
	int r;

	r = check(s, o, &k, why, n);
	if (r < 0)
		return r;
	ks = kind_data(&s->store, k);
	r = busy(ks, k, why, n);
	if (r < 0)
		return r;
	ns = str_of(text_of(meta, "namespace"));
	name = str_of(text_of(meta, "name"));
	v = recorded_get(ks, ns, name);
	if (v && *text_of(meta, "uid") && !str_eq(v->uid, str_of(text_of(meta, "uid")))) {
		delete_version(s, k, v);
		v = NULL;
	}
	if (v) {
		json_object_set_new(meta, "uid", json_stringn(v->uid.p, v->uid.n));
		if (!*text_of(meta, "creationTimestamp")) {
			json_t *old = object_of(v);

			set_text(meta, "creationTimestamp",
				 text_of(json_object_get(old, "metadata"), "creationTimestamp"));
			json_decref(old);
		}
	}
	fill_in(s, meta);
	set_rv(s, meta);
	add_event(s, k, v ? EVENT_MODIFIED : EVENT_ADDED, add_version(s, ks, o));
	r = is_crd(k) ? kinds_define(s, o) : 0;
	s->made = true;
	timeline_wake(s, kind_info[k].of);
	return r;
}

int objects_apply(struct server *s, json_t *o, char *why, size_t n)
{
	json_t *items = json_object_get(o, "items"), *one;
	size_t i;

	if (!items)
		return apply_one(s, o, why, n);
	json_array_foreach(items, i, one)
	{
		int r = objects_apply(s, one, why, n);

		if (r < 0)
			return r;
	}
	return 0;
}
