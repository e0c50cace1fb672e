/*
 * meta/v1 Status in JSON and protobuf, with the bytes a real server makes of it.
 */
#include "encode.h"
#include "pb.h"
#include "read.h"

void json_text(struct buf *b, struct str s)
{
	put_z(b, "\"");
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == '"' || c == '\\')
			put_f(b, "\\%c", c);
		else if (c == '\n')
			put_z(b, "\\n");
		else if (c < 0x20 || c == '<' || c == '>' || c == '&')
			put_f(b, "\\u%04x", c);
		else
			put(b, &c, 1);
	}
	put_z(b, "\"");
}

/* A member in a flat object; the comma stands in front unless it is the first. */
static void member(struct buf *b, bool *first, const char *key, const char *value)
{
	if (!value || !*value)
		return;
	put_f(b, "%s\"%s\":", *first ? "" : ",", key);
	json_text(b, str_of(value));
	*first = false;
}

static bool has_details(const struct status *s)
{
	return s->details || s->name || s->group || s->kind || s->cause_reason || s->retry_after;
}

static void details_json(struct buf *b, const struct status *s)
{
	bool first = true;

	put_z(b, ",\"details\":{");
	member(b, &first, "name", s->name);
	member(b, &first, "group", s->group);
	member(b, &first, "kind", s->kind);
	if (s->cause_reason) {
		bool inner = true;

		put_f(b, "%s\"causes\":[{", first ? "" : ",");
		member(b, &inner, "reason", s->cause_reason);
		member(b, &inner, "message", s->cause_message);
		member(b, &inner, "field", s->cause_field);
		put_z(b, "}]");
		first = false;
	}
	if (s->retry_after)
		put_f(b, "%s\"retryAfterSeconds\":%d", first ? "" : ",", s->retry_after);
	put_z(b, "}");
}

static void status_json(struct buf *b, const struct status *s)
{
	bool first = false;

	put_z(b, s->bare ? "{\"metadata\":{"
			 : "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{");
	if (s->cont)
		put_f(b, "\"continue\":\"%s\"", s->cont);
	put_z(b, "},\"status\":\"Failure\"");
	member(b, &first, "message", s->message);
	member(b, &first, "reason", s->reason);
	if (has_details(s))
		details_json(b, s);
	put_f(b, ",\"code\":%d}", s->code);
}

static void details_pb(struct buf *b, const struct status *s)
{
	_buf_ struct buf d, c;

	buf_init(&d, 65536);
	buf_init(&c, 65536);
	pb_put_len(&d, 1, str_of(s->name));
	pb_put_len(&d, 2, str_of(s->group));
	pb_put_len(&d, 3, str_of(s->kind));
	if (s->cause_reason) {
		pb_put_len(&c, 1, str_of(s->cause_reason));
		pb_put_len(&c, 2, str_of(s->cause_message));
		pb_put_len(&c, 3, str_of(s->cause_field));
		pb_put_len(&d, 4, buf_str(&c));
	}
	pb_put_num(&d, 5, (uint64_t)s->retry_after);
	pb_put_len(&d, 6, (struct str){0});
	pb_put_len(b, 5, buf_str(&d));
}

static void status_pb(struct buf *b, const struct status *s)
{
	_buf_ struct buf meta, raw;

	buf_init(&meta, 65536);
	buf_init(&raw, 65536);
	pb_put_len(&meta, 1, (struct str){0});
	pb_put_len(&meta, 2, (struct str){0});
	pb_put_len(&meta, 3, str_of(s->cont));
	pb_put_len(&raw, 1, buf_str(&meta));
	pb_put_len(&raw, 2, STR("Failure"));
	pb_put_len(&raw, 3, str_of(s->message));
	pb_put_len(&raw, 4, str_of(s->reason));
	if (has_details(s))
		details_pb(&raw, s);
	pb_put_num(&raw, 6, (uint64_t)s->code);
	unknown_body(b, "v1", "Status", buf_str(&raw));
}

void status_body(struct buf *b, const struct status *s, bool pb, bool body)
{
	if (pb) {
		status_pb(b, s);
		return;
	}
	status_json(b, s);
	if (body)
		put_z(b, "\n");
}
