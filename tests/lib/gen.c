#include "tests/lib/gen.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MAX_BODY ((size_t)4 << 30)

/* ---- protobuf -------------------------------------------------------------------------------- */

static int pb_varint(struct buf *b, uint64_t v)
{
	uint8_t out[10];
	size_t n = 0;

	do {
		out[n++] = (uint8_t)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
		v >>= 7;
	} while (v);
	return buf_append(b, out, n);
}

static int pb_bytes(struct buf *b, uint32_t field, struct str s)
{
	int r = pb_varint(b, (uint64_t)field << 3 | 2);

	if (r == 0)
		r = pb_varint(b, s.n);
	return r < 0 ? r : buf_append_str(b, s);
}

static int pb_text(struct buf *b, uint32_t field, const char *z)
{
	return *z ? pb_bytes(b, field, str_of(z)) : 0;
}

static int pb_int(struct buf *b, uint32_t field, uint64_t v)
{
	int r = pb_varint(b, (uint64_t)field << 3);

	return r < 0 ? r : pb_varint(b, v);
}

/* Appends what `in` holds as a message field and empties it. */
static int pb_message(struct buf *b, uint32_t field, struct buf *in)
{
	int r = pb_bytes(b, field, buf_str(in));

	buf_reset(in);
	return r;
}

static int pb_owner(struct buf *b, const struct gen_ref *o)
{
	_buf_ struct buf in = {.max = MAX_BODY};
	int r = pb_text(&in, 1, o->kind);

	r |= pb_text(&in, 3, o->name);
	r |= pb_text(&in, 4, o->uid);
	r |= pb_text(&in, 5, o->api_version);
	r |= pb_int(&in, 6, 1);
	r |= pb_int(&in, 7, 1);
	return r ? r : pb_message(b, 13, &in);
}

/* One ManagedFieldsEntry with `bytes` of FieldsV1. */
static int pb_managed(struct buf *b, uint32_t bytes)
{
	_buf_ struct buf raw = {.max = MAX_BODY}, fields = {.max = MAX_BODY},
			 entry = {.max = MAX_BODY};
	int r = 0;

	for (uint32_t i = 0; buf_str(&raw).n < bytes; i++)
		r |= buf_printf(&raw, "\"f:field-%u\":{\".\":{}},", i);
	r |= pb_text(&entry, 1, "kube-controller-manager");
	r |= pb_text(&entry, 2, "Update");
	r |= pb_bytes(&fields, 1, buf_str(&raw));
	r |= pb_message(&entry, 7, &fields);
	return r ? r : pb_message(b, 17, &entry);
}

static int pb_meta(struct buf *b, uint32_t field, const struct gen_object *o)
{
	_buf_ struct buf in = {.max = MAX_BODY}, time = {.max = 64};
	char rv[24];
	int r = pb_text(&in, 1, o->name);

	(void)snprintf(rv, sizeof(rv), "%" PRIu64, o->rv);
	r |= pb_text(&in, 3, o->ns);
	r |= pb_text(&in, 5, o->uid);
	r |= pb_text(&in, 6, rv);
	r |= pb_int(&time, 1, 1795197283);
	r |= pb_message(&in, 8, &time);
	if (o->terminating) {
		r |= pb_int(&time, 1, 1795197290);
		r |= pb_message(&in, 9, &time);
	}
	if (o->has_owner)
		r |= pb_owner(&in, &o->owner);
	if (o->bulk)
		r |= pb_managed(&in, o->bulk / 2);
	return r ? r : pb_message(b, field, &in);
}

static int pb_spec(struct buf *b, const struct gen_object *o)
{
	_buf_ struct buf in = {.max = MAX_BODY}, c = {.max = MAX_BODY}, env = {.max = 256};
	char text[64];
	int r = 0;

	for (uint32_t i = 0; i < o->n_containers; i++) {
		r |= pb_text(&c, 1, o->containers[i].name);
		r |= pb_text(&c, 2, o->containers[i].image);
		while (i == 0 && buf_str(&c).n < o->bulk / 2) {
			(void)snprintf(text, sizeof(text), "VARIABLE_%zu", buf_str(&c).n);
			r |= pb_text(&env, 1, text);
			r |= pb_text(&env, 2, "a value of some length");
			r |= pb_message(&c, 7, &env);
		}
		r |= pb_message(&in, 2, &c);
	}
	r |= pb_text(&in, 10, o->node);
	if (o->host_network)
		r |= pb_int(&in, 11, 1);
	return r ? r : pb_message(b, 2, &in);
}

static const char *phase_text(enum pod_phase p)
{
	static const char *const names[_POD_PHASE_MAX] = {"", "Pending", "Running", "Succeeded",
							  "Failed"};
	return names[p];
}

static int pb_pod_status(struct buf *b, const struct gen_object *o)
{
	static const uint32_t lists[_CONTAINER_TYPE_MAX] = {8, 10, 13};
	_buf_ struct buf in = {.max = MAX_BODY}, c = {.max = 4096}, state = {.max = 256},
			 running = {.max = 64};
	int r = pb_text(&in, 1, phase_text(o->phase));

	r |= pb_text(&in, 6, o->ips[0]);
	for (uint32_t i = 0; i < o->n_containers; i++) {
		const struct gen_container *k = &o->containers[i];

		r |= pb_text(&c, 1, k->name);
		r |= pb_message(&state, 2, &running);
		r |= pb_message(&c, 2, &state);
		r |= pb_text(&c, 6, k->image);
		r |= pb_text(&c, 8, k->id);
		r |= pb_message(&in, lists[k->type], &c);
	}
	for (int i = 0; i < 2 && o->ips[i][0]; i++) {
		r |= pb_text(&c, 1, o->ips[i]);
		r |= pb_message(&in, 12, &c);
	}
	return r ? r : pb_message(b, 3, &in);
}

static int pb_object(const struct gen_object *o, bool metadata_only, struct buf *b)
{
	int r = pb_meta(b, 1, o);

	if (r == 0 && !metadata_only && o->kind == KIND_POD)
		r = pb_spec(b, o);
	if (r == 0 && !metadata_only && o->kind == KIND_POD)
		r = pb_pod_status(b, o);
	return r;
}

/* The envelope: magic, then Unknown{typeMeta, raw}. */
static int pb_unknown(struct buf *b, const char *api_version, const char *kind, struct str raw)
{
	_buf_ struct buf meta = {.max = 512};
	int r = pb_text(&meta, 1, api_version);

	r |= pb_text(&meta, 2, kind);
	r |= buf_append(b, "k8s", 4);
	r |= pb_message(b, 1, &meta);
	r |= pb_bytes(b, 2, raw);
	return r;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static int json_meta(const struct gen_object *o, struct buf *b)
{
	int r = buf_printf(b,
			   "\"metadata\":{\"name\":\"%s\",\"namespace\":\"%s\",\"uid\":\"%s\","
			   "\"resourceVersion\":\"%" PRIu64
			   "\",\"creationTimestamp\":\"2026-11-20T10:00:00Z\"",
			   o->name, o->ns, o->uid, o->rv);

	if (o->terminating)
		r |= buf_printf(b, ",\"deletionTimestamp\":\"2026-11-20T10:00:07Z\"");
	if (o->has_owner)
		r |= buf_printf(b,
				",\"ownerReferences\":[{\"apiVersion\":\"%s\",\"kind\":\"%s\","
				"\"name\":\"%s\",\"uid\":\"%s\",\"controller\":true,"
				"\"blockOwnerDeletion\":true}]",
				o->owner.api_version, o->owner.kind, o->owner.name, o->owner.uid);
	if (o->bulk) {
		size_t from = buf_str(b).n;

		r |= buf_printf(b,
				",\"managedFields\":[{\"manager\":\"m\",\"fieldsV1\":{\"f:a\":{}");
		for (uint32_t i = 0; buf_str(b).n - from < o->bulk / 2; i++)
			r |= buf_printf(b, ",\"f:field-%u\":{\".\":{}}", i);
		r |= buf_printf(b, "}}]");
	}
	return r | buf_append(b, "}", 1);
}

static int json_spec(const struct gen_object *o, struct buf *b)
{
	size_t from = buf_str(b).n;
	int r = buf_printf(b,
			   ",\"spec\":{\"containers\":[{\"name\":\"c\",\"env\":[{\"name\":\"A\"}");

	for (uint32_t i = 0; o->bulk && buf_str(b).n - from < o->bulk / 2; i++)
		r |= buf_printf(
			b, ",{\"name\":\"VARIABLE_%u\",\"value\":\"a value of some length\"}", i);
	r |= buf_printf(b, "]}]");
	if (o->node[0])
		r |= buf_printf(b, ",\"nodeName\":\"%s\"", o->node);
	if (o->host_network)
		r |= buf_printf(b, ",\"hostNetwork\":true");
	return r | buf_append(b, "}", 1);
}

static int json_containers(const struct gen_object *o, enum container_type type, const char *key,
			   struct buf *b)
{
	const char *sep = "";
	int r = buf_printf(b, ",\"%s\":[", key);

	for (uint32_t i = 0; i < o->n_containers; i++) {
		const struct gen_container *k = &o->containers[i];

		if (k->type != type)
			continue;
		r |= buf_printf(b, "%s{\"name\":\"%s\",\"state\":{\"running\":{}},\"image\":\"%s\"",
				sep, k->name, k->image);
		if (k->id[0])
			r |= buf_printf(b, ",\"containerID\":\"%s\"", k->id);
		r |= buf_append(b, "}", 1);
		sep = ",";
	}
	return r | buf_append(b, "]", 1);
}

static int json_pod_status(const struct gen_object *o, struct buf *b)
{
	int r = buf_printf(b, ",\"status\":{\"phase\":\"%s\"", phase_text(o->phase));

	if (o->ips[0][0])
		r |= buf_printf(b, ",\"podIP\":\"%s\",\"podIPs\":[{\"ip\":\"%s\"}", o->ips[0],
				o->ips[0]);
	if (o->ips[0][0] && o->ips[1][0])
		r |= buf_printf(b, ",{\"ip\":\"%s\"}", o->ips[1]);
	if (o->ips[0][0])
		r |= buf_append(b, "]", 1);
	r |= json_containers(o, CONTAINER_MAIN, "containerStatuses", b);
	r |= json_containers(o, CONTAINER_INIT, "initContainerStatuses", b);
	r |= json_containers(o, CONTAINER_EPHEMERAL, "ephemeralContainerStatuses", b);
	return r | buf_append(b, "}", 1);
}

static int json_object(const struct gen_object *o, bool metadata_only, bool typed, struct buf *b)
{
	int r = buf_append(b, "{", 1);

	if (typed && metadata_only)
		r |= buf_printf(b, "\"kind\":\"PartialObjectMetadata\",\"apiVersion\":"
				   "\"meta.k8s.io/v1\",");
	else if (typed)
		r |= buf_printf(b, "\"kind\":\"%s\",\"apiVersion\":\"%s\",", o->kind_text,
				o->api_version);
	r |= json_meta(o, b);
	if (!metadata_only && o->kind == KIND_POD)
		r |= json_spec(o, b) | json_pod_status(o, b);
	return r | buf_append(b, "}", 1);
}

/* ---- bodies ---------------------------------------------------------------------------------- */

int gen_object(const struct gen_object *o, enum gen_format f, bool metadata_only, struct buf *b)
{
	_buf_ struct buf raw = {.max = MAX_BODY};
	int r;

	if (f == GEN_JSON)
		return json_object(o, metadata_only, true, b);
	r = pb_object(o, metadata_only, &raw);
	if (metadata_only)
		return r | pb_unknown(b, "meta.k8s.io/v1", "PartialObjectMetadata", buf_str(&raw));
	return r | pb_unknown(b, o->api_version, o->kind_text, buf_str(&raw));
}

static int pb_list(const struct gen_list *l, const struct gen_object *const *objects, uint32_t n,
		   struct buf *b)
{
	_buf_ struct buf raw = {.max = MAX_BODY}, in = {.max = MAX_BODY};
	char rv[24];
	int r;

	(void)snprintf(rv, sizeof(rv), "%" PRIu64, l->rv);
	r = pb_text(&in, 2, rv);
	r |= pb_text(&in, 3, l->cont);
	r |= pb_message(&raw, 1, &in);
	for (uint32_t i = 0; i < n; i++)
		r |= pb_object(objects[i], l->metadata_only, &in) | pb_message(&raw, 2, &in);
	return r | pb_unknown(b, l->api_version, l->kind, buf_str(&raw));
}

int gen_list(const struct gen_list *l, const struct gen_object *const *objects, uint32_t n,
	     struct buf *b)
{
	int r;

	if (l->format == GEN_PB)
		return pb_list(l, objects, n, b);
	r = buf_printf(b,
		       "{\"kind\":\"%s\",\"apiVersion\":\"%s\",\"metadata\":{\"resourceVersion\":"
		       "\"%" PRIu64 "\"",
		       l->kind, l->api_version, l->rv);
	if (*l->cont)
		r |= buf_printf(b, ",\"continue\":\"%s\"", l->cont);
	r |= buf_printf(b, "},\"items\":[");
	for (uint32_t i = 0; i < n; i++) {
		r |= i ? buf_append(b, ",", 1) : 0;
		r |= json_object(objects[i], l->metadata_only, l->metadata_only, b);
	}
	return r | buf_append(b, "]}\n", 3);
}

static const char *const type_names[_EVENT_TYPE_MAX] = {"ADDED", "MODIFIED", "DELETED", "BOOKMARK",
							"ERROR"};

/* Wraps an encoded object into a frame of a protobuf watch. */
static int pb_frame(struct buf *b, enum event_type type, struct str object)
{
	_buf_ struct buf ev = {.max = MAX_BODY}, raw = {.max = MAX_BODY};
	uint8_t len[4];
	int r = pb_text(&ev, 1, type_names[type]);
	size_t n;

	r |= pb_bytes(&raw, 1, object);
	r |= pb_message(&ev, 2, &raw);
	n = buf_str(&ev).n;
	for (int i = 0; i < 4; i++)
		len[i] = (uint8_t)(n >> (24 - 8 * i));
	return r | buf_append(b, len, sizeof(len)) | buf_append_str(b, buf_str(&ev));
}

static int json_frame(struct buf *b, enum event_type type, struct str object)
{
	return buf_printf(b, "{\"type\":\"%s\",\"object\":", type_names[type]) |
	       buf_append_str(b, object) | buf_append(b, "}\n", 2);
}

static int pb_bookmark(const struct gen_object *o, bool end, struct buf *b)
{
	_buf_ struct buf in = {.max = 512}, note = {.max = 128};
	char rv[24];
	int r;

	(void)snprintf(rv, sizeof(rv), "%" PRIu64, o->rv);
	r = pb_text(&in, 6, rv);
	if (end) {
		r |= pb_text(&note, 1, "k8s.io/initial-events-end") | pb_text(&note, 2, "true");
		r |= pb_message(&in, 12, &note);
	}
	return r | pb_message(b, 1, &in);
}

static int bookmark(const struct gen_object *o, enum gen_format f, bool end, struct buf *b)
{
	_buf_ struct buf raw = {.max = 1024};
	int r;

	if (f == GEN_JSON)
		return buf_printf(b,
				  "{\"kind\":\"%s\",\"apiVersion\":\"%s\",\"metadata\":{"
				  "\"resourceVersion\":\"%" PRIu64 "\"%s},\"spec\":{\"containers\":"
				  "null},\"status\":{}}",
				  o->kind_text, o->api_version, o->rv,
				  end ? ",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}"
				      : "");
	r = pb_bookmark(o, end, &raw);
	return r | pb_unknown(b, o->api_version, o->kind_text, buf_str(&raw));
}

int gen_event(const struct gen_object *o, enum gen_format f, bool metadata_only,
	      enum event_type type, bool end, struct buf *b)
{
	_buf_ struct buf object = {.max = MAX_BODY};
	int r = type == EVENT_BOOKMARK ? bookmark(o, f, end, &object)
				       : gen_object(o, f, metadata_only, &object);

	return r | (f == GEN_JSON ? json_frame(b, type, buf_str(&object))
				  : pb_frame(b, type, buf_str(&object)));
}

static int pb_status(int code, const char *reason, const char *message, const char *cont,
		     struct buf *b)
{
	_buf_ struct buf raw = {.max = 65536}, in = {.max = 65536};
	int r = pb_text(&in, 3, cont);

	r |= pb_message(&raw, 1, &in);
	r |= pb_text(&raw, 2, "Failure") | pb_text(&raw, 3, message) | pb_text(&raw, 4, reason);
	r |= pb_int(&raw, 6, (uint64_t)code);
	return r | pb_unknown(b, "v1", "Status", buf_str(&raw));
}

int gen_status(enum gen_format f, bool event, int code, const char *reason, const char *message,
	       const char *cont, struct buf *b)
{
	_buf_ struct buf object = {.max = 65536};
	int r;

	if (f == GEN_PB)
		r = pb_status(code, reason, message, cont, &object);
	else
		r = buf_printf(
			&object,
			"{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{\"continue\":"
			"\"%s\"},\"status\":\"Failure\",\"message\":\"%s\",\"reason\":\"%s\","
			"\"code\":%d}",
			cont, message, reason, code);
	if (!event)
		return r | buf_append_str(b, buf_str(&object));
	return r | (f == GEN_JSON ? json_frame(b, EVENT_ERROR, buf_str(&object))
				  : pb_frame(b, EVENT_ERROR, buf_str(&object)));
}
