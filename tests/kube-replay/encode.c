#include "encode.h"

#include "meta.h"
#include "pb.h"
#include "read.h"

#include <arpa/inet.h>
#include <stdio.h>

#define META_API    "meta.k8s.io/v1"
#define INITIAL_END "k8s.io/initial-events-end"

const char *encoding_type(struct encoding e, bool watch)
{
	if (!e.pb)
		return "application/json";
	return watch ? "application/vnd.kubernetes.protobuf;stream=watch"
		     : "application/vnd.kubernetes.protobuf";
}

static size_t varint_size(uint64_t v)
{
	size_t n = 1;

	for (; v >= 0x80; v >>= 7)
		n++;
	return n;
}

static struct str rv_text(uint64_t rv, char *text, size_t n)
{
	int len = snprintf(text, n, "%llu", (unsigned long long)rv);

	return str_make(text, len > 0 ? (size_t)len : 0);
}

/* runtime.Unknown's typeMeta */
static void put_type_meta(struct buf *b, const char *api_version, const char *kind)
{
	_buf_ struct buf t;

	buf_init(&t, 1024);
	pb_put_len(&t, 1, str_of(api_version));
	pb_put_len(&t, 2, str_of(kind));
	pb_put_len(b, 1, buf_str(&t));
}

/* contentEncoding=3 and contentType=4 are always written, empty. */
static void put_unknown_tail(struct buf *b)
{
	pb_put_len(b, 3, (struct str){0});
	pb_put_len(b, 4, (struct str){0});
}

void unknown_body(struct buf *b, const char *api_version, const char *kind, struct str raw)
{
	put_str(b, PB_MAGIC);
	put_type_meta(b, api_version, kind);
	pb_put_len(b, 2, raw);
	put_unknown_tail(b);
}

static void list_head_json(struct buf *b, const char *kind, const char *api,
			   const struct list_meta *m)
{
	put_f(b,
	      "{\"kind\":\"%sList\",\"apiVersion\":\"%s\",\"metadata\":{\"resourceVersion\":\"%"
	      "llu\"",
	      kind, api, (unsigned long long)m->rv);
	if (m->cont.n)
		put_f(b, ",\"continue\":\"%.*s\"", STR_ARG(m->cont));
	if (m->remaining >= 0)
		put_f(b, ",\"remainingItemCount\":%lld", (long long)m->remaining);
	put_z(b, "},\"items\":[");
}

void list_head(struct buf *b, enum kind k, struct encoding e, const struct list_meta *m,
	       size_t items_size)
{
	const char *kind = e.meta ? "PartialObjectMetadata" : kind_info[k].kind;
	const char *api = e.meta ? META_API : kind_info[k].api_version;
	_buf_ struct buf meta, head;
	char list_kind[64], rv[24];

	buf_init(&meta, 65536);
	buf_init(&head, 65536);
	if (!e.pb) {
		list_head_json(b, kind, api, m);
		return;
	}
	pb_put_len(&meta, 1, (struct str){0}); /* selfLink */
	pb_put_len(&meta, 2, rv_text(m->rv, rv, sizeof(rv)));
	pb_put_len(&meta, 3, m->cont);
	if (m->remaining >= 0)
		pb_put_num(&meta, 4, (uint64_t)m->remaining);
	pb_put_len(&head, 1, buf_str(&meta));
	snprintf(list_kind, sizeof(list_kind), "%sList", kind);
	put_str(b, PB_MAGIC);
	put_type_meta(b, api, list_kind);
	pb_put_head(b, 2, head.n + items_size);
	put_str(b, buf_str(&head));
}

size_t list_payload(const struct version *v, struct encoding e)
{
	return e.meta ? 1 + varint_size(v->meta_pb.n) + v->meta_pb.n : v->pb.n;
}

void list_item(struct buf *b, const struct version *v, struct encoding e)
{
	if (e.pb && e.meta) {
		pb_put_head(b, 2, list_payload(v, e));
		pb_put_len(b, 1, v->meta_pb);
	} else if (e.pb) {
		pb_put_len(b, 2, v->pb);
	} else if (e.meta) {
		put_z(b, "{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"" META_API
			 "\",\"metadata\":");
		put_str(b, v->meta_json);
		put_z(b, "}");
	} else {
		put_z(b, "{");
		put_str(b, v->json);
	}
}

void list_tail(struct buf *b, struct encoding e)
{
	if (e.pb)
		put_unknown_tail(b);
	else
		put_z(b, "]}\n");
}

/* A copy of the typed message with another resourceVersion. */
static void pb_with_rv(struct buf *b, struct str object, struct str rv, struct str annotation)
{
	_buf_ struct buf meta;
	struct pb_field f;

	buf_init(&meta, READ_MAX);
	while (pb_next(&object, &f) > 0) {
		if (f.no == 1 && f.wire == PB_LEN) {
			meta_pb_with(f.data, rv, annotation, &meta);
			pb_put_len(b, 1, buf_str(&meta));
		} else {
			put_str(b, f.raw);
		}
	}
}

static void object_pb(struct buf *b, enum kind k, const struct version *v, struct encoding e,
		      struct str rv)
{
	_buf_ struct buf raw;

	buf_init(&raw, READ_MAX);
	if (rv.n) {
		_buf_ struct buf whole;

		buf_init(&whole, READ_MAX);
		pb_with_rv(&whole, v->pb, rv, (struct str){0});
		if (e.meta)
			pb_put_len(&raw, 1, pb_get(buf_str(&whole), 1));
		else
			put_str(&raw, buf_str(&whole));
	} else if (e.meta) {
		pb_put_len(&raw, 1, v->meta_pb);
	} else {
		put_str(&raw, v->pb);
	}
	unknown_body(b, e.meta ? META_API : kind_info[k].api_version,
		     e.meta ? "PartialObjectMetadata" : kind_info[k].kind, buf_str(&raw));
}

static void object_json(struct buf *b, enum kind k, const struct version *v, struct encoding e,
			struct str rv)
{
	struct str whole = v->json;
	const char *at;

	put_f(b, "{\"kind\":\"%s\",\"apiVersion\":\"%s\",",
	      e.meta ? "PartialObjectMetadata" : kind_info[k].kind,
	      e.meta ? META_API : kind_info[k].api_version);
	if (e.meta)
		whole.n = (size_t)(v->meta_json.p + v->meta_json.n - whole.p);
	at = v->rv_text.p; /* a view into the same text */
	if (rv.n) {
		put(b, whole.p, (size_t)(at - whole.p));
		put_str(b, rv);
		whole = str_from(whole, (size_t)(at - whole.p) + v->rv_text.n);
	}
	put_str(b, whole);
	if (e.meta)
		put_z(b, "}");
}

static void object_with_rv(struct buf *b, enum kind k, const struct version *v, struct encoding e,
			   struct str rv)
{
	if (e.pb)
		object_pb(b, k, v, e, rv);
	else
		object_json(b, k, v, e, rv);
}

void object_body(struct buf *b, enum kind k, const struct version *v, struct encoding e)
{
	object_with_rv(b, k, v, e, (struct str){0});
	if (!e.pb)
		put_z(b, "\n");
}

void event_frame(struct buf *b, const char *type, struct str object, bool pb)
{
	_buf_ struct buf ext, event;
	uint32_t n;

	buf_init(&ext, READ_MAX);
	buf_init(&event, READ_MAX);
	if (!pb) {
		put_f(b, "{\"type\":\"%s\",\"object\":", type);
		put_str(b, object);
		put_z(b, "}\n");
		return;
	}
	pb_put_len(&ext, 1, object); /* RawExtension.raw */
	pb_put_len(&event, 1, str_of(type));
	pb_put_len(&event, 2, buf_str(&ext));
	n = htonl((uint32_t)event.n);
	put(b, &n, sizeof(n));
	put_str(b, buf_str(&event));
}

void event_body(struct buf *b, enum kind k, const char *type, const struct version *v,
		struct encoding e, uint64_t rv)
{
	_buf_ struct buf object;
	char text[24];

	buf_init(&object, READ_MAX);
	object_with_rv(&object, k, v, e, rv ? rv_text(rv, text, sizeof(text)) : (struct str){0});
	event_frame(b, type, buf_str(&object), e.pb);
}

static void bookmark_json(struct buf *b, enum kind k, const struct kind_store *ks,
			  struct encoding e, struct str rv, bool initial_end)
{
	put_f(b, "{\"kind\":\"%s\",\"apiVersion\":\"%s\",\"metadata\":{\"resourceVersion\":",
	      e.meta ? "PartialObjectMetadata" : kind_info[k].kind,
	      e.meta ? META_API : kind_info[k].api_version);
	put_f(b, "\"%.*s\"%s%s}", STR_ARG(rv),
	      ks->bookmark_null ? ",\"creationTimestamp\":null" : "",
	      initial_end ? ",\"annotations\":{\"" INITIAL_END "\":\"true\"}" : "");
	if (e.meta || !ks->bookmark_json.n)
		put_z(b, "}");
	else
		put_str(b, ks->bookmark_json);
}

/* The recorded bookmark of the kind serves as pattern; a kind without one gets metadata only. */
static void bookmark_pb(struct buf *b, enum kind k, const struct kind_store *ks, struct encoding e,
			struct str rv, bool initial_end)
{
	static const char empty_meta[] = "\x0a\x00\x12\x00\x1a\x00\x22\x00\x2a\x00\x32\x00"
					 "\x38\x00\x42\x00";
	_buf_ struct buf pattern, object, raw;

	buf_init(&pattern, 65536);
	buf_init(&object, 65536);
	buf_init(&raw, 65536);
	if (ks->bookmark_pb.n)
		put_str(&pattern, ks->bookmark_pb);
	else
		pb_put_len(&pattern, 1, STR(empty_meta));
	pb_with_rv(&object, buf_str(&pattern), rv,
		   initial_end ? STR(INITIAL_END) : (struct str){0});
	if (e.meta)
		pb_put_len(&raw, 1, pb_get(buf_str(&object), 1));
	else
		put_str(&raw, buf_str(&object));
	unknown_body(b, e.meta ? META_API : kind_info[k].api_version,
		     e.meta ? "PartialObjectMetadata" : kind_info[k].kind, buf_str(&raw));
}

void bookmark_body(struct buf *b, enum kind k, const struct kind_store *ks, struct encoding e,
		   uint64_t rv, bool initial_end)
{
	_buf_ struct buf object;
	char text[24];
	struct str rvs = rv_text(rv, text, sizeof(text));

	buf_init(&object, 65536);
	if (e.pb)
		bookmark_pb(&object, k, ks, e, rvs, initial_end);
	else
		bookmark_json(&object, k, ks, e, rvs, initial_end);
	event_frame(b, "BOOKMARK", buf_str(&object), e.pb);
}
