/*
 * From a folder of recorded bodies to the store: JSON first (base list, watch
 * lines, their chunk times), then the protobuf bytes of the same versions,
 * matched by uid and resourceVersion.
 */
#include "meta.h"
#include "pb.h"
#include "read.h"
#include "span.h"
#include "store.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

/* Bytes of the magic in front of every protobuf body. */
#define MAGIC_LEN 4

static int bad(const char *dir, const char *name, const char *what, int r)
{
	fprintf(stderr, "kube-replay: %s/%s: %s: %s\n", dir, name, what, strerror(-r));
	return r;
}

static int load_base(struct store *s, struct kind_store *k, const char *dir, const char *name)
{
	struct buf *b = recorded_file(s);
	struct str list, meta, items, item;
	unsigned long long rv;
	size_t off = 0;
	int r;

	r = read_recorded(dir, name, ".body", b);
	if (r < 0)
		return bad(dir, name, "read", r);
	list = buf_str(b);
	if (!span_member(list, "metadata", &meta) || !span_member(list, "items", &items) ||
	    str_to_u64(span_text(meta, "resourceVersion"), &rv) < 0)
		return bad(dir, name, "not a list", -EBADMSG);
	k->base_rv = rv;
	while (span_element(items, &off, &item)) {
		r = version_set_json(recorded_add_version(k), item);
		if (r < 0)
			return bad(dir, name, "item", r);
	}
	k->n_base = k->n_versions;
	k->base = must_calloc(k->n_base, sizeof(*k->base));
	for (size_t i = 0; i < k->n_base; i++)
		k->base[i] = (uint32_t)i;
	return 0;
}

/* When the chunk that holds byte `off` was received. Lines: milliseconds, size, offset. */
struct chunk_times {
	struct str rest;
	double ms;
	size_t end;
};

static double chunk_time(struct chunk_times *t, size_t off)
{
	while (t->end <= off && t->rest.n) {
		struct str line;
		char copy[80];
		double ms;
		long size;
		unsigned long at;

		str_split(&t->rest, '\n', &line);
		snprintf(copy, sizeof(copy), "%.*s", STR_ARG(line));
		if (sscanf(copy, "%lf %ld %lu", &ms, &size, &at) != 3 || size <= 0)
			continue;
		t->ms = ms;
		t->end = at + (size_t)size;
	}
	return t->ms;
}

struct event *recorded_add_event(struct kind_store *k)
{
	if ((k->n_events & (k->n_events - 1)) == 0)
		k->events = must_realloc(k->events, k->n_events ? k->n_events * 2 : 1,
					 sizeof(*k->events));
	k->events[k->n_events] = (struct event){.version = NO_VERSION, .prev = NO_VERSION};
	return &k->events[k->n_events++];
}

static int load_line(struct kind_store *k, struct str line, double ms)
{
	struct str type = span_text(line, "type"), object;
	struct event *e;
	unsigned long long rv;
	int r;

	if (!span_member(line, "object", &object))
		return -EBADMSG;
	e = recorded_add_event(k);
	e->ms = ms;
	for (e->type = 0; e->type < _EVENT_TYPE_MAX; e->type++)
		if (str_eq(type, str_of(event_name[e->type])))
			break;
	if (e->type == _EVENT_TYPE_MAX)
		return -EBADMSG;
	if (e->type == EVENT_BOOKMARK) {
		struct str meta, meta_time;

		if (!span_member(object, "metadata", &meta) ||
		    str_to_u64(span_text(meta, "resourceVersion"), &rv) < 0)
			return -EBADMSG;
		e->rv = rv;
		k->bookmark_null = span_member(meta, "creationTimestamp", &meta_time);
		k->bookmark_json =
			str_make(meta.p + meta.n, (size_t)(object.p + object.n - meta.p) - meta.n);
		return 0;
	}
	e->version = (uint32_t)k->n_versions;
	r = version_set_json(recorded_add_version(k), object);
	e->rv = k->versions[e->version].rv;
	return r;
}

/* The watch's start within the whole recording, in milliseconds; 0 when the index lacks it. */
static double watch_start(const struct buf *index, const char *name)
{
	struct str rest = buf_str(index), line;

	while (rest.n) {
		struct str at;
		char copy[40];

		str_split(&rest, '\n', &line);
		if (str_eq(span_text(line, "name"), str_of(name)) &&
		    span_member(line, "t_start", &at)) {
			snprintf(copy, sizeof(copy), "%.*s", STR_ARG(at));
			return strtod(copy, NULL) * 1000;
		}
	}
	return 0;
}

static int load_watch(struct store *s, struct kind_store *k, const char *dir, const char *name,
		      double start)
{
	struct buf *b = recorded_file(s);
	_buf_ struct buf times;
	struct chunk_times t = {0};
	struct str rest, line;
	int r;

	buf_init(&times, READ_MAX);
	r = read_recorded(dir, name, ".body", b);
	if (r == 0)
		r = read_recorded(dir, name, ".chunks.tsv", &times);
	if (r < 0)
		return bad(dir, name, "read", r);
	t.rest = buf_str(&times);
	rest = buf_str(b);
	while (rest.n) {
		size_t end;

		str_split(&rest, '\n', &line);
		end = (size_t)(line.p - buf_str(b).p) + line.n;
		r = load_line(k, line, start + chunk_time(&t, end - 1));
		if (r < 0)
			return bad(dir, name, "event", r);
	}
	return 0;
}

static int cmp_uid_rv(const void *a, const void *b, void *arg)
{
	const struct version *v = arg;
	const struct version *x = &v[*(const uint32_t *)a], *y = &v[*(const uint32_t *)b];
	int r = str_cmp(x->uid, y->uid);

	return r ? r : (x->rv > y->rv) - (x->rv < y->rv);
}

/* A version can stand twice (in a list and in an event): every copy gets the bytes. */
static void attach_pb(struct kind_store *k, const uint32_t *order, struct str object)
{
	struct str meta = pb_get(object, 1), uid = pb_get(meta, 5);
	size_t lo = 0, hi = k->n_versions;
	unsigned long long rv;

	if (str_to_u64(pb_get(meta, 6), &rv) < 0)
		return;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct version *v = &k->versions[order[mid]];
		int r = str_cmp(v->uid, uid);

		if (r < 0 || (r == 0 && v->rv < rv))
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < k->n_versions; lo++) {
		struct version *v = &k->versions[order[lo]];

		if (!str_eq(v->uid, uid) || v->rv != rv)
			break;
		v->pb = object;
		v->meta_pb = meta;
	}
}

/* magic, runtime.Unknown: typeMeta=1, raw=2 */
static struct str unknown_raw(struct str body)
{
	return pb_get(str_from(body, MAGIC_LEN), 2);
}

static void load_pb_list(struct kind_store *k, const uint32_t *order, struct str body)
{
	struct str list = unknown_raw(body);
	struct pb_field f;

	while (pb_next(&list, &f) > 0)
		if (f.no == 2)
			attach_pb(k, order, f.data);
}

/* Frames: length (4 bytes, big endian), meta.WatchEvent: type=1, object=2 { raw=1 }. */
static void load_pb_watch(struct kind_store *k, const uint32_t *order, struct str body)
{
	while (body.n > 4) {
		uint32_t n;
		struct str event, object;

		memcpy(&n, body.p, sizeof(n));
		n = ntohl(n);
		if (n > body.n - 4)
			return;
		event = str_make(body.p + 4, n);
		body = str_from(body, 4 + (size_t)n);
		object = unknown_raw(pb_get(pb_get(event, 2), 1));
		if (str_eq(pb_get(event, 1), STR("BOOKMARK")))
			k->bookmark_pb = object;
		else
			attach_pb(k, order, object);
	}
}

/* What was recorded in JSON alone: ObjectMeta made from it, the rest left out. */
static void make_missing_pb(struct store *s, struct kind_store *k)
{
	for (size_t i = 0; i < k->n_versions; i++) {
		struct version *v = &k->versions[i];
		_buf_ struct buf meta;
		struct buf *b;
		json_t *json;

		buf_init(&meta, READ_MAX);
		if (v->pb.n)
			continue;
		json = json_loadb(v->meta_json.p, v->meta_json.n, 0, NULL);
		meta_to_pb(json, &meta);
		json_decref(json);
		b = recorded_file(s);
		pb_put_len(b, 1, buf_str(&meta));
		v->pb = buf_str(b);
		v->meta_pb = pb_get(v->pb, 1);
		v->pb_made = true;
		k->n_pb_made++;
	}
}

static void load_pb(struct store *s, enum kind kind, const char *dir, const char *const *formats,
		    size_t n)
{
	struct kind_store *k = &s->kinds[kind];
	uint32_t *order = must_calloc(k->n_versions, sizeof(*order));

	for (size_t i = 0; i < k->n_versions; i++)
		order[i] = (uint32_t)i;
	qsort_r(order, k->n_versions, sizeof(*order), cmp_uid_rv, k->versions);
	for (size_t i = 0; i < n; i++) {
		char name[80];
		struct buf *b = recorded_file(s);
		int len = snprintf(name, sizeof(name), "%.*s%s%s", (int)strcspn(formats[i], "*"),
				   formats[i], kind_info[kind].plural, strchr(formats[i], '*') + 1);

		if (len < 0 || read_recorded(dir, name, ".body", b) < 0)
			continue;
		if (str_starts(str_of(name), STR("watch")))
			load_pb_watch(k, order, buf_str(b));
		else
			load_pb_list(k, order, buf_str(b));
	}
	free(order);
	make_missing_pb(s, k);
}

static int load_churn(struct store *s, const char *dir)
{
	static const char *const pb[] = {"list-*-pb", "watchlist-*-pb", "watch-*-pb"};
	_buf_ struct buf index;
	double first = 0;
	char name[80];
	int r;

	buf_init(&index, READ_MAX);
	r = read_recorded(dir, "index", ".jsonl", &index);
	if (r < 0)
		return bad(dir, "index.jsonl", "read", r);
	for (enum kind i = 0; i < KIND_NODES; i++) {
		double at;

		snprintf(name, sizeof(name), "watch-%s-json", kind_info[i].plural);
		at = watch_start(&index, name);
		first = i == 0 ? at : MIN(first, at);
	}
	for (enum kind i = 0; i < KIND_NODES; i++) {
		snprintf(name, sizeof(name), "base-%s-json", kind_info[i].plural);
		r = load_base(s, &s->kinds[i], dir, name);
		if (r < 0)
			return r;
		snprintf(name, sizeof(name), "watch-%s-json", kind_info[i].plural);
		r = load_watch(s, &s->kinds[i], dir, name, watch_start(&index, name) - first);
		if (r < 0)
			return r;
		load_pb(s, i, dir, pb, ARRAY_SIZE(pb));
	}
	return 0;
}

/* Jobs did not change between the end of the watches and the large lists. */
static int load_big(struct store *s, const char *dir)
{
	static const char *const names[] = {"big-pods-json", "big-replicasets-json",
					    "final-jobs-json"};
	static const char *const pb[] = {"big-*-pb", "watchlist-*-pb", "watch-*-pb"};
	uint64_t newest = 0;

	for (enum kind i = 0; i < KIND_NODES; i++) {
		int r = load_base(s, &s->kinds[i], dir, names[i]);

		if (r < 0)
			return r;
		load_pb(s, i, dir, pb, ARRAY_SIZE(pb));
		newest = MAX(newest, s->kinds[i].base_rv);
	}
	/* They were taken one after another; served, they are of one moment. */
	for (enum kind i = 0; i < KIND_NODES; i++)
		s->kinds[i].base_rv = newest;
	return 0;
}

static unsigned int load_minor(const char *dir)
{
	_buf_ struct buf b;
	struct str s;
	const char *at;

	buf_init(&b, READ_MAX);
	if (read_recorded(dir, "disc-version", ".http", &b) < 0)
		return 36;
	put(&b, "", 1);
	s = buf_str(&b);
	at = strstr(s.p, "\"minor\": \"");
	return at ? (unsigned int)strtoul(at + 10, NULL, 10) : 36;
}

int recorded_load(const char *dir, const char *set, struct store *s)
{
	int r;

	*s = (struct store){.minor = load_minor(dir)};
	if (strcmp(set, "churn") == 0)
		r = load_churn(s, dir);
	else if (strcmp(set, "big") == 0)
		r = load_big(s, dir);
	else
		r = bad(dir, set, "--set is churn or big", -EINVAL);
	if (r < 0) {
		recorded_done(s);
		return r;
	}
	nodes_make(s);
	for (enum kind i = 0; i < KIND_RECORDED; i++)
		recorded_finish(&s->kinds[i]);
	return 0;
}
