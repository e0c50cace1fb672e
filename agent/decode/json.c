/*
 * The JSON decoder (RFC 8259): a state machine over the wanted objects and
 * arrays; what nobody wants is passed over by json_scan. A token that a chunk's
 * end cuts is gathered raw in `carry` and read when it is whole.
 *
 * What is looked at is checked strictly; what is passed over only for its
 * strings and for the number of its brackets. As in Go, the last of equal keys
 * wins and null leaves a field as it was.
 */
#include "base/mem.h"
#include "decode/fill.h"
#include "decode/text.h"

#include <assert.h>
#include <errno.h>

#define CARRY_KEPT 65536 /* bytes; a carry that grew over it is freed with its object */
#define SCALAR_MAX 64	 /* bytes; a longer number is no wanted one and is not looked at */

static uint64_t offset_of(const struct decode *d, const char *p)
{
	return d->offset + (uint64_t)(p - d->chunk);
}

void json_init(struct decode *d)
{
	buf_init(&d->json.carry, MAX(d->max_object, (size_t)DECODE_MAX_KEY));
}

void json_done(struct decode *d)
{
	buf_done(&d->json.carry);
}

void json_rest(struct decode *d)
{
	if (d->json.state < JSON_IN_KEY) /* from there on: inside a token */
		buf_done(&d->json.carry);
}

static inline bool is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static int expected(struct decode *d, const char *p, const char *what)
{
	return fill_error(d, -EBADMSG, offset_of(d, p), "JSON: expected %s", what);
}

/* A value of another type than the table says. */
static int mismatch(struct decode *d, const struct field *f, const char *p)
{
	if (!f || f->soft)
		return 0;
	if (!d->in_item && d->body != DECODE_WATCH)
		return fill_error(d, -EBADMSG, offset_of(d, p),
				  "JSON: value of a wrong type for '%s'", f->name.p);
	item_bad(d, BAD_MALFORMED);
	return 0;
}

/* What a fill_ function said about a value. */
static int filled(struct decode *d, const struct field *f, const char *p, int r)
{
	if (r == 0 || r == -ENOMEM)
		return r;
	if (r != -EMSGSIZE)
		return mismatch(d, f, p);
	if (!d->in_item)
		return fill_error(d, -EBADMSG, offset_of(d, p), "JSON: list metadata over %d bytes",
				  DECODE_MAX_TOP);
	item_bad(d, BAD_TOO_LARGE);
	d->json.drop = true;
	return 0;
}

static struct json_level *level(struct decode *d)
{
	return &d->json.stack[d->json.depth - 1];
}

static void push(struct decode *d, struct json_level l)
{
	struct json *j = &d->json;

	assert(j->depth < DECODE_STACK);
	j->stack[j->depth++] = l;
	j->state = l.array ? JSON_FIRST_ELEM : JSON_FIRST_KEY;
	j->field = l.array ? l.field : NULL;
	j->base = l.base;
}

/* Passes over an object or array whose bracket is read. */
static void begin_skip(struct decode *d, uint32_t depth)
{
	struct json *j = &d->json;

	json_scan_begin(&j->scan, depth, DECODE_MAX_DEPTH - j->depth);
	j->state = JSON_IN_SKIP;
}

static void begin_token(struct json *j, enum json_state state)
{
	buf_reset(&j->carry);
	j->has_escape = false;
	j->escaped = false;
	j->too_long = false;
	j->state = state;
}

/* A value is over: what may follow. */
static void value_done(struct decode *d)
{
	d->json.state = JSON_NEXT;
}

/* An object or array is over; p is behind its bracket. */
static int after_close(struct decode *d, const char *p)
{
	struct json *j = &d->json;
	int r = 0;

	if (j->item_depth == j->depth + 1) {
		j->item_depth = 0;
		j->drop = false;
		if (j->carry.cap > CARRY_KEPT)
			buf_done(&j->carry);
		r = raw_end(d, offset_of(d, p));
		if (r == 0)
			r = item_end(d, offset_of(d, p));
		if (r < 0)
			return r;
	}
	if (j->depth) {
		value_done(d);
		return 0;
	}
	if (d->body != DECODE_WATCH) {
		j->state = JSON_END;
		return 0;
	}
	j->state = JSON_TOP;
	return event_end(d);
}

static int close_level(struct decode *d, const char *p)
{
	d->json.depth--;
	return after_close(d, p);
}

static void push_item(struct decode *d, const char *p)
{
	item_begin(d, offset_of(d, p));
	push(d, (struct json_level){.m = d->item_message, .base = &d->item});
	d->json.item_depth = d->json.depth;
}

static int open_document(struct decode *d, const char **p)
{
	const char *at = *p;

	if (*at != '{')
		return expected(d, at, "'{'");
	++*p;
	switch (d->body) {
	case DECODE_WATCH:
		event_begin(d);
		push(d, (struct json_level){.m = &message_event, .base = &d->top});
		break;
	case DECODE_OBJECT:
		push_item(d, at);
		break;
	case DECODE_LIST:
		push(d, (struct json_level){.m = &message_list, .base = &d->top});
		break;
	case DECODE_STATUS:
	case _DECODE_BODY_MAX:
		push(d, (struct json_level){.m = &message_json_status, .base = &d->top});
		break;
	}
	return 0;
}

/* One element of a wanted array; `at` is its bracket. */
static int open_element(struct decode *d, const struct field *f, const char *at)
{
	void *e;
	int r;

	if (f->op == FIELD_ITEMS) {
		push_item(d, at);
		return 0;
	}
	r = fill_list(d, f, level(d)->base, &e);
	if (r == 0 && e)
		push(d, (struct json_level){.m = f->sub, .base = e});
	else
		begin_skip(d, 1);
	return filled(d, f, at, r);
}

static int open_object(struct decode *d, const char **p)
{
	struct json *j = &d->json;
	const struct field *f = j->field;
	const char *at = (*p)++;
	char *base = j->base;

	if (f && level(d)->array && f->op != FIELD_TEXTS)
		return open_element(d, f, at);
	if (f && f->op == FIELD_STATE)
		*(enum container_state *)(void *)(base + f->at) = f->arg;
	if (f && (f->op == FIELD_MSG || (f->op == FIELD_STATE && f->sub))) {
		push(d, (struct json_level){.m = f->sub, .base = base + f->at});
		return 0;
	}
	if (f && f->op == FIELD_MAP && (!f->arg || d->want_labels)) {
		push(d, (struct json_level){.field = f, .base = base});
		return 0;
	}
	if (f && f->op == FIELD_ITEM) {
		push_item(d, at);
		return 0;
	}
	begin_skip(d, 1);
	return f && (f->op == FIELD_MAP || f->op == FIELD_STATE) ? 0 : mismatch(d, f, at);
}

static int open_array(struct decode *d, const char **p)
{
	struct json *j = &d->json;
	const struct field *f = j->field;
	const char *at = (*p)++;

	if (!f || level(d)->array ||
	    (f->op != FIELD_LIST && f->op != FIELD_TEXTS && f->op != FIELD_ITEMS)) {
		begin_skip(d, 1);
		return mismatch(d, f, at);
	}
	if (f->op != FIELD_ITEMS)
		fill_list_reset(f, j->base);
	else
		d->top.has_items = true;
	push(d, (struct json_level){.field = f, .base = j->base, .array = true});
	return 0;
}

/* Adds to a token that the chunk's end cuts. Over `max` it is no longer kept. */
static int carry(struct decode *d, const char *from, const char *to, size_t max)
{
	struct json *j = &d->json;
	size_t n = (size_t)(to - from);
	int r;

	if (j->too_long)
		return 0;
	if (n > max || j->carry.n > max - n) {
		j->too_long = true;
		return 0;
	}
	r = buf_append(&j->carry, from, n);
	return r;
}

/* The bytes of a token that ends at `to`: 1 with the bytes, 0 when they are too many. */
static int token(struct decode *d, const char *from, const char *to, size_t max, struct str *ret)
{
	struct json *j = &d->json;
	int r;

	if (!j->carry.n && !j->too_long) {
		*ret = str_make(from, (size_t)(to - from));
		return ret->n <= max;
	}
	r = carry(d, from, to, max);
	if (r < 0)
		return r;
	*ret = buf_str(&j->carry);
	return !j->too_long;
}

/* The string at *p, when it is whole, has no escapes and at most `max` bytes: nearly all are. */
static inline bool simple_string(const char **p, const char *end, size_t max, struct str *ret)
{
	const char *from = *p + 1, *to = json_scan_string(from, end);

	if (to == end || *to != '"' || (size_t)(to - from) > max)
		return false;
	*ret = str_make(from, (size_t)(to - from));
	*p = to + 1;
	return true;
}

/* Goes on in a string. *ret_end is its closing quote, or NULL when the chunk ended first. */
static int scan_string(struct decode *d, const char *p, const char *end, const char **ret_end)
{
	struct json *j = &d->json;

	*ret_end = NULL;
	while (p < end) {
		if (j->escaped) {
			j->escaped = false;
			p++;
			continue;
		}
		p = json_scan_string(p, end);
		if (p == end)
			return 0;
		if (*p == '"') {
			*ret_end = p;
			return 0;
		}
		if (*p != '\\')
			return expected(d, p, "no control character in a string");
		j->has_escape = true;
		j->escaped = true;
		p++;
	}
	return 0;
}

/* What takes the value of this key. */
static int find_field(struct decode *d, struct str key)
{
	struct json *j = &d->json;
	const struct json_level *l = level(d);

	j->base = l->base;
	if (l->m) {
		j->field = message_find(l->m, key);
		return 0;
	}
	return fill_map(d, l->field, l->base, key, &j->field, &j->base);
}

static int whole_key(struct decode *d, struct str raw, const char *p)
{
	struct json *j = &d->json;
	int r;

	if (j->has_escape) {
		r = text_unescape(raw, d->key, &raw.n);
		if (r < 0)
			return expected(d, p, "a key with valid escapes");
		raw.p = d->key;
	}
	r = find_field(d, raw);
	return r < 0 ? filled(d, level(d)->field, p, r) : 0;
}

static int on_value(struct decode *d, const char **p, const char *end);

/* Behind a key: nearly always a colon and the value follow at once. */
static int go_on_to_value(struct decode *d, const char **p, const char *end)
{
	if (end - *p < 2 || **p != ':' || is_space((*p)[1]))
		return 0;
	++*p;
	return on_value(d, p, end);
}

static int in_key(struct decode *d, const char **p, const char *end)
{
	struct json *j = &d->json;
	const char *from = *p, *quote;
	struct str raw;
	int r = scan_string(d, from, end, &quote);

	if (r < 0)
		return r;
	*p = quote ? quote + 1 : end;
	if (!quote)
		return carry(d, from, end, DECODE_MAX_KEY);
	r = token(d, from, quote, DECODE_MAX_KEY, &raw);
	if (r < 0)
		return r;
	j->state = JSON_COLON;
	j->field = NULL;
	r = r ? whole_key(d, raw, quote) : 0;
	return r < 0 ? r : go_on_to_value(d, p, end);
}

static int whole_text(struct decode *d, struct str raw, const char *p)
{
	struct json *j = &d->json;
	const struct field *f = j->field;
	void *copy;
	int r;

	if (j->carry.n)
		d->place = TEXT_ELSEWHERE;
	if (j->has_escape) {
		r = fill_alloc(d, raw.n, &copy);
		if (r < 0)
			return filled(d, f, p, r);
		r = text_unescape(raw, copy, &raw.n);
		if (r < 0)
			return expected(d, p, "a string with valid escapes");
		raw.p = copy;
		d->place = TEXT_ARENA;
	}
	r = fill_text(d, f, j->base, raw);
	d->place = TEXT_FED;
	return filled(d, f, p, r);
}

static int in_text(struct decode *d, const char **p, const char *end)
{
	const char *from = *p, *quote;
	struct str raw;
	int r = scan_string(d, from, end, &quote);

	if (r < 0)
		return r;
	*p = quote ? quote + 1 : end;
	if (!quote)
		return carry(d, from, end, d->max_object);
	r = token(d, from, quote, d->max_object, &raw);
	if (r < 0)
		return r;
	value_done(d);
	return r ? whole_text(d, raw, quote) : filled(d, d->json.field, quote, -EMSGSIZE);
}

static int in_string(struct decode *d, const char **p, const char *end)
{
	const char *quote;
	int r = scan_string(d, *p, end, &quote);

	if (r < 0)
		return r;
	*p = quote ? quote + 1 : end;
	if (quote)
		value_done(d);
	return 0;
}

static int on_null(struct decode *d, const struct field *f, const char *p)
{
	void *e;

	if (level(d)->array && f->op == FIELD_ITEMS) {
		item_begin(d, offset_of(d, p));
		return item_end(d, offset_of(d, p));
	}
	if (level(d)->array)
		return filled(d, f, p, fill_list(d, f, d->json.base, &e));
	if (f->op == FIELD_LIST || f->op == FIELD_TEXTS)
		fill_list_reset(f, d->json.base);
	if (f->op == FIELD_ITEMS)
		d->top.has_items = true;
	return 0;
}

static int on_number(struct decode *d, const struct field *f, struct str s, const char *p)
{
	int64_t v, min = INT64_MIN, max = INT64_MAX;

	if (level(d)->array || (f->op != FIELD_I32 && f->op != FIELD_I64))
		return mismatch(d, f, p);
	if (f->op == FIELD_I32) {
		min = INT32_MIN;
		max = INT32_MAX;
	}
	if (text_int(s, min, max, &v) < 0)
		return mismatch(d, f, p);
	fill_int(f, d->json.base, (uint64_t)v);
	return 0;
}

static int whole_scalar(struct decode *d, struct str s, const char *p)
{
	const struct field *f = d->json.field;
	bool yes = str_eq(s, STR("true"));

	if (str_eq(s, STR("null")))
		return f ? on_null(d, f, p) : 0;
	if (yes || str_eq(s, STR("false"))) {
		if (f && f->op == FIELD_BOOL && !level(d)->array)
			fill_int(f, d->json.base, yes);
		else
			return mismatch(d, f, p);
		return 0;
	}
	if (!text_is_number(s))
		return expected(d, p, "a value");
	return f ? on_number(d, f, s, p) : 0;
}

static bool is_scalar_char(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '-' || c == '+' ||
	       c == '.' || c == 'E';
}

static int in_scalar(struct decode *d, const char **p, const char *end)
{
	const char *from = *p, *q = from;
	struct str raw;
	int r;

	while (q < end && is_scalar_char(*q))
		q++;
	*p = q;
	if (q == end)
		return carry(d, from, end, SCALAR_MAX);
	r = token(d, from, q, SCALAR_MAX, &raw);
	if (r < 0)
		return r;
	value_done(d);
	return r ? whole_scalar(d, raw, q) : mismatch(d, d->json.field, q);
}

static int in_skip(struct decode *d, const char **p, const char *end)
{
	struct json *j = &d->json;

	*p += json_scan(&j->scan, *p, (size_t)(end - *p));
	if (j->scan.deep)
		item_bad(d, BAD_TOO_DEEP);
	if (j->scan.depth)
		return 0;
	if (!j->dropping) {
		value_done(d);
		return 0;
	}
	j->dropping = false;
	return after_close(d, *p);
}

/* Gives the rest of the object up: it takes more memory than it may. */
static void drop_item(struct decode *d)
{
	struct json *j = &d->json;
	uint32_t open = j->depth - j->item_depth + 1;

	j->depth = j->item_depth - 1;
	j->drop = false;
	j->dropping = true;
	begin_skip(d, open);
}

static bool is_text(const struct field *f)
{
	return f->op == FIELD_STR || f->op == FIELD_TRUE || f->op == FIELD_PHASE ||
	       f->op == FIELD_EVENT || f->op == FIELD_TIME;
}

static int on_string(struct decode *d, const char **p, const char *end)
{
	struct json *j = &d->json;
	const struct field *f = j->field;
	bool wanted =
		f && (f->op == FIELD_TEXTS ? level(d)->array : is_text(f) && !level(d)->array);
	const char *at = *p;
	struct str s;

	if (simple_string(p, end, d->max_object, &s)) {
		value_done(d);
		return wanted ? filled(d, f, *p - 1, fill_text(d, f, j->base, s))
			      : mismatch(d, f, at + 1);
	}
	++*p;
	begin_token(j, wanted ? JSON_IN_TEXT : JSON_IN_STRING);
	return wanted ? in_text(d, p, end) : mismatch(d, f, at + 1);
}

static int on_value(struct decode *d, const char **p, const char *end)
{
	switch (**p) {
	case '{':
		return open_object(d, p);
	case '[':
		return open_array(d, p);
	case '"':
		return on_string(d, p, end);
	default:
		if (**p != '-' && (**p < '0' || **p > '9') && **p != 't' && **p != 'f' &&
		    **p != 'n')
			return expected(d, *p, "a value");
		begin_token(&d->json, JSON_IN_SCALAR);
		return in_scalar(d, p, end);
	}
}

static int on_key(struct decode *d, const char **p, const char *end)
{
	struct json *j = &d->json;
	struct str key;
	int r;

	if (**p == '"' && simple_string(p, end, DECODE_MAX_KEY, &key)) {
		j->state = JSON_COLON;
		r = find_field(d, key);
		if (r < 0)
			r = filled(d, level(d)->field, *p, r);
		return r < 0 ? r : go_on_to_value(d, p, end);
	}
	if (**p == '"') {
		++*p;
		begin_token(j, JSON_IN_KEY);
		return in_key(d, p, end);
	}
	if (**p != '}' || j->state != JSON_FIRST_KEY)
		return expected(d, *p, j->state == JSON_FIRST_KEY ? "a key or '}'" : "a key");
	++*p;
	return close_level(d, *p);
}

/* ',' or the end of the object or array. */
static int on_next(struct decode *d, const char **p, const char *end)
{
	struct json *j = &d->json;
	const struct json_level *l = level(d);
	char c = **p;

	if (j->drop) {
		drop_item(d);
		return 0;
	}
	if (c == ',') {
		++*p;
		j->state = l->array ? JSON_VALUE : JSON_NEXT_KEY;
		j->field = l->array ? l->field : NULL;
		j->base = l->base;
		return *p < end && **p == '"' && !l->array ? on_key(d, p, end) : 0;
	}
	if (c != (l->array ? ']' : '}'))
		return expected(d, *p, l->array ? "',' or ']'" : "',' or '}'");
	++*p;
	return close_level(d, *p);
}

static int step(struct decode *d, const char **p, const char *end)
{
	struct json *j = &d->json;

	if (j->state < JSON_IN_KEY && is_space(**p)) {
		++*p;
		return 0;
	}
	switch (j->state) {
	case JSON_TOP:
		return open_document(d, p);
	case JSON_FIRST_KEY:
	case JSON_NEXT_KEY:
		return on_key(d, p, end);
	case JSON_COLON:
		if (**p != ':')
			return expected(d, *p, "':'");
		++*p;
		j->state = JSON_VALUE;
		return 0;
	case JSON_FIRST_ELEM:
		if (**p != ']')
			return on_value(d, p, end);
		++*p;
		return close_level(d, *p);
	case JSON_VALUE:
		return on_value(d, p, end);
	case JSON_NEXT:
		return on_next(d, p, end);
	case JSON_IN_KEY:
		return in_key(d, p, end);
	case JSON_IN_TEXT:
		return in_text(d, p, end);
	case JSON_IN_STRING:
		return in_string(d, p, end);
	case JSON_IN_SCALAR:
		return in_scalar(d, p, end);
	case JSON_IN_SKIP:
		return in_skip(d, p, end);
	case JSON_END:
		break;
	}
	return expected(d, *p, "the end");
}

int json_feed(struct decode *d, const char *p, size_t n)
{
	const char *end = p + n;
	int r;

	while (p < end) {
		r = step(d, &p, end);
		if (r < 0)
			return r;
	}
	return 0;
}

int json_finish(struct decode *d)
{
	enum json_state state = d->json.state;

	if (d->body == DECODE_WATCH && state == JSON_TOP)
		return 0;
	if (state != JSON_END)
		return fill_error(d, -EBADMSG, d->offset, "JSON: body cut short");
	return top_end(d);
}
