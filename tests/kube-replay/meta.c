#include "meta.h"

#include "pb.h"
#include "read.h"

#include <time.h>

#define META_MAX (128U << 20)

static struct str text(json_t *o, const char *key)
{
	json_t *v = json_object_get(o, key);

	return json_is_string(v) ? str_make(json_string_value(v), json_string_length(v))
				 : (struct str){0};
}

static void put_text(struct buf *b, uint32_t no, json_t *o, const char *key)
{
	pb_put_len(b, no, text(o, key));
}

/* RFC 3339 with whole seconds, as meta.Time is written. */
static void put_time(struct buf *b, uint32_t no, json_t *v)
{
	_buf_ struct buf t;
	struct tm tm = {0};

	buf_init(&t, 64);
	if (json_is_string(v) && strptime(json_string_value(v), "%Y-%m-%dT%H:%M:%S", &tm)) {
		pb_put_num(&t, 1, (uint64_t)timegm(&tm));
		pb_put_num(&t, 2, 0);
	}
	pb_put_len(b, no, buf_str(&t));
}

static int by_key(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The API server writes map entries sorted by key. */
static void put_map(struct buf *b, uint32_t no, json_t *map)
{
	size_t n = json_object_size(map);
	const char **keys = must_calloc(n, sizeof(*keys));
	const char *key;
	json_t *v;
	size_t i = 0;

	json_object_foreach(map, key, v) keys[i++] = key;
	qsort(keys, n, sizeof(*keys), by_key);
	for (i = 0; i < n; i++) {
		_buf_ struct buf e;

		buf_init(&e, META_MAX);
		pb_put_len(&e, 1, str_of(keys[i]));
		put_text(&e, 2, map, keys[i]);
		pb_put_len(b, no, buf_str(&e));
	}
	free(keys);
}

static void put_owner(struct buf *b, json_t *ref)
{
	_buf_ struct buf o;
	json_t *v;

	buf_init(&o, 65536);
	put_text(&o, 1, ref, "kind");
	put_text(&o, 3, ref, "name");
	put_text(&o, 4, ref, "uid");
	put_text(&o, 5, ref, "apiVersion");
	v = json_object_get(ref, "controller");
	if (v)
		pb_put_num(&o, 6, json_is_true(v));
	v = json_object_get(ref, "blockOwnerDeletion");
	if (v)
		pb_put_num(&o, 7, json_is_true(v));
	pb_put_len(b, 13, buf_str(&o));
}

static void put_managed(struct buf *b, json_t *entry)
{
	_buf_ struct buf e, raw;
	json_t *v;

	buf_init(&e, META_MAX);
	buf_init(&raw, META_MAX);
	put_text(&e, 1, entry, "manager");
	put_text(&e, 2, entry, "operation");
	put_text(&e, 3, entry, "apiVersion");
	v = json_object_get(entry, "time");
	if (v)
		put_time(&e, 4, v);
	put_text(&e, 6, entry, "fieldsType");
	v = json_object_get(entry, "fieldsV1");
	if (v) {
		char *s = json_dumps(v, JSON_COMPACT);

		pb_put_len(&raw, 1, str_of(s));
		pb_put_len(&e, 7, buf_str(&raw));
		free(s);
	}
	put_text(&e, 8, entry, "subresource");
	pb_put_len(b, 17, buf_str(&e));
}

void meta_to_pb(json_t *meta, struct buf *b)
{
	json_t *v;
	size_t i;

	put_text(b, 1, meta, "name");
	put_text(b, 2, meta, "generateName");
	put_text(b, 3, meta, "namespace");
	put_text(b, 4, meta, "selfLink");
	put_text(b, 5, meta, "uid");
	put_text(b, 6, meta, "resourceVersion");
	pb_put_num(b, 7, (uint64_t)json_integer_value(json_object_get(meta, "generation")));
	put_time(b, 8, json_object_get(meta, "creationTimestamp"));
	v = json_object_get(meta, "deletionTimestamp");
	if (v)
		put_time(b, 9, v);
	v = json_object_get(meta, "deletionGracePeriodSeconds");
	if (v)
		pb_put_num(b, 10, (uint64_t)json_integer_value(v));
	put_map(b, 11, json_object_get(meta, "labels"));
	put_map(b, 12, json_object_get(meta, "annotations"));
	json_array_foreach(json_object_get(meta, "ownerReferences"), i, v) put_owner(b, v);
	json_array_foreach(json_object_get(meta, "finalizers"), i, v)
		pb_put_len(b, 14, str_of(json_string_value(v)));
	json_array_foreach(json_object_get(meta, "managedFields"), i, v) put_managed(b, v);
}

static void put_annotation(struct buf *b, struct str key)
{
	_buf_ struct buf e;

	buf_init(&e, 4096);
	pb_put_len(&e, 1, key);
	pb_put_len(&e, 2, STR("true"));
	pb_put_len(b, 12, buf_str(&e));
}

void meta_pb_with(struct str meta, struct str rv, struct str annotation, struct buf *b)
{
	struct pb_field f;

	while (pb_next(&meta, &f) > 0) {
		if (f.no >= 12 && annotation.n) {
			put_annotation(b, annotation);
			annotation.n = 0;
		}
		if (f.no == 6)
			pb_put_len(b, 6, rv);
		else
			put_str(b, f.raw);
	}
	if (annotation.n)
		put_annotation(b, annotation);
}
