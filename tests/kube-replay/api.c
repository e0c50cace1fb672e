/*
 * One request to one answer. Follows what the recorded servers did: content
 * negotiation, paging with consistent tokens, which errors are a Status and in
 * which encoding.
 */
#include "server.h"

#include "pb.h"
#include "read.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/http.h>
#include <stdio.h>
#include <stdlib.h>

#define MEDIA_JSON STR("application/json")
#define MEDIA_PB   STR("application/vnd.kubernetes.protobuf")
#define WHO	   "system:serviceaccount:kindred:kindred"

const char *api_param(const struct request *r, const char *key)
{
	return evhttp_find_header(&r->query, key);
}

void api_count(struct conn *c, int status)
{
	struct server *s = c->srv;
	struct counter *k;
	char key[64];
	size_t i = 0;

	snprintf(key, sizeof(key), "%s %s", verb_name[c->req.verb],
		 c->req.kind == _KIND_MAX ? "other" : kind_info[c->req.kind].plural);
	while (i < s->n_counters &&
	       (s->counters[i].status != status || strcmp(s->counters[i].key, key) != 0))
		i++;
	if (i == COUNTERS_MAX)
		return;
	k = &s->counters[i];
	if (i == s->n_counters) {
		memcpy(k->key, key, sizeof(key));
		k->status = status;
		s->n_counters++;
	}
	k->n++;
}

static const struct fault *hit(struct conn *c, enum fault_id id)
{
	return faults_hit(&c->srv->faults, id, c->req.verb, c->req.kind, clock_mono());
}

/* ---- errors ---- */

void api_status(struct conn *c, const struct status *s, const char *extra)
{
	/* What a stalled etcd leaves behind is JSON whatever was asked for. */
	bool pb = c->req.enc.pb && !s->bare && !hit(c, FAULT_JSON_STATUS);
	_buf_ struct buf b;

	buf_init(&b, 1U << 20);
	status_body(&b, s, pb, true);
	resp_start(c, s->code,
		   s->bare ? "text/plain; charset=utf-8"
			   : encoding_type((struct encoding){.pb = pb}, false),
		   extra);
	resp_write(c, b.p, b.n);
	resp_end(c);
}

static void plain(struct conn *c, int code, const char *text, const char *extra)
{
	resp_start(c, code, "text/plain; charset=utf-8", extra);
	resp_write(c, text, strlen(text));
	resp_end(c);
}

static void unauthorized(struct conn *c)
{
	api_status(
		c,
		&(struct status){.code = 401, .reason = "Unauthorized", .message = "Unauthorized"},
		NULL);
}

static void forbidden(struct conn *c)
{
	static const struct kind_info none = {.plural = "", .group = ""};
	const struct request *r = &c->req;
	const struct kind_info *k = r->kind == _KIND_MAX ? &none : &kind_info[r->kind];
	char full[320], where[320], text[1024];

	snprintf(full, sizeof(full), "%s", "");
	if (r->kind != _KIND_MAX)
		kind_full_name(r->kind, full, sizeof(full));
	snprintf(where, sizeof(where), "in the namespace \"%.*s\"", STR_ARG(r->sel.ns));
	snprintf(text, sizeof(text),
		 "%s is forbidden: User \"" WHO
		 "\" cannot %s resource \"%s\" in API group \"%s\" %s",
		 full, verb_name[r->verb], k->plural, k->group,
		 r->sel.ns.n ? where : "at the cluster scope");
	api_status(c,
		   &(struct status){.code = 403,
				    .reason = "Forbidden",
				    .message = text,
				    .group = k->group,
				    .kind = k->plural},
		   "X-Content-Type-Options: nosniff\r\n");
}

static void not_found(struct conn *c)
{
	const struct kind_info *k = &kind_info[c->req.kind];
	char full[320], name[320], text[700];

	kind_full_name(c->req.kind, full, sizeof(full));
	snprintf(name, sizeof(name), "%.*s", STR_ARG(c->req.name));
	snprintf(text, sizeof(text), "%s \"%s\" not found", full, name);
	api_status(c,
		   &(struct status){.code = 404,
				    .reason = "NotFound",
				    .message = text,
				    .name = name,
				    .group = k->group,
				    .kind = k->plural},
		   NULL);
}

static void no_resource(struct conn *c)
{
	api_status(c,
		   &(struct status){.code = 404,
				    .reason = "NotFound",
				    .details = true,
				    .message = "the server could not find the requested resource"},
		   NULL);
}

static void not_acceptable(struct conn *c)
{
	c->req.enc.pb = false;
	api_status(c,
		   &(struct status){.code = 406,
				    .reason = "NotAcceptable",
				    .details = true,
				    .message = "406: Not Acceptable\n\nAvailable representations: "
					       "application/json, application/yaml, "
					       "application/vnd.kubernetes.protobuf, "
					       "application/json;stream=watch, "
					       "application/vnd.kubernetes.protobuf;stream=watch"},
		   NULL);
}

static void expired(struct conn *c, const char *cont)
{
	api_status(
		c,
		&(struct status){
			.code = 410,
			.reason = "Expired",
			.cont = cont,
			.message =
				cont ? "The provided continue parameter is too old to display a "
				       "consistent list result. You can start a new list without "
				       "the continue parameter, or use the continue token in this "
				       "response to retrieve the remainder of the results. "
				       "Continuing with the provided token results in an "
				       "inconsistent list - objects that were created, modified, "
				       "or deleted between the time the first chunk was returned "
				       "and now may show up in the list."
				     : "The resourceVersion for the provided list is too old."},
		NULL);
}

static void error_event(struct conn *c, const struct status *s)
{
	_buf_ struct buf object, frame;

	buf_init(&object, 1U << 20);
	buf_init(&frame, 1U << 20);
	status_body(&object, s, c->req.enc.pb, false);
	event_frame(&frame, "ERROR", buf_str(&object), c->req.enc.pb);
	api_start(c, true);
	resp_write(c, frame.p, frame.n);
	resp_flush(c);
	resp_end(c);
}

/* Asked for a list of the future: as an answer, or as the only event of a streaming list. */
static void too_large_rv(struct conn *c, unsigned long long rv)
{
	char text[160];
	struct status s = {.code = 504,
			   .reason = "Timeout",
			   .message = text,
			   .cause_reason = "ResourceVersionTooLarge",
			   .cause_message = "Too large resource version",
			   .retry_after = 1};

	snprintf(text, sizeof(text), "Timeout: Too large resource version: %llu, current: %llu", rv,
		 (unsigned long long)recorded_rv(kind_data(&c->srv->store, c->req.kind)));
	if (c->req.verb == VERB_WATCH)
		error_event(c, &s);
	else
		api_status(c, &s, "Retry-After: 1\r\n");
}

static void invalid_option(struct conn *c, const char *field, const char *why)
{
	char text[512], cause[400];

	snprintf(cause, sizeof(cause), "Forbidden: %s", why);
	snprintf(text, sizeof(text), "ListOptions.meta.k8s.io \"\" is invalid: %s: %s", field,
		 cause);
	api_status(c,
		   &(struct status){.code = 422,
				    .reason = "Invalid",
				    .message = text,
				    .group = "meta.k8s.io",
				    .kind = "ListOptions",
				    .cause_reason = "FieldValueForbidden",
				    .cause_message = cause,
				    .cause_field = field},
		   NULL);
}

static void bad_request(struct conn *c, const char *text)
{
	api_status(c, &(struct status){.code = 400, .reason = "BadRequest", .message = text}, NULL);
}

/* ---- understanding the request ---- */

/* One clause of the Accept header; false when it is none of our types. */
static bool accept_clause(struct request *r, struct str clause, struct encoding *ret)
{
	const char *as =
		r->verb == VERB_LIST ? "PartialObjectMetadataList" : "PartialObjectMetadata";
	struct encoding e = {0};
	struct str part;

	str_split(&clause, ';', &part);
	part = str_trim(part);
	if (str_eq(part, MEDIA_PB))
		e.pb = true;
	else if (!str_eq(part, MEDIA_JSON) && !str_eq(part, STR("*/*")) &&
		 !str_eq(part, STR("application/*")))
		return false;
	while (clause.n) {
		str_split(&clause, ';', &part);
		part = str_trim(part);
		if (!str_starts(part, STR("as=")))
			continue;
		if (!str_eq(str_from(part, 3), str_of(as)))
			return false;
		e.meta = true;
	}
	*ret = e;
	return true;
}

/* Of kinds that were not recorded there is metadata alone in protobuf, as of custom resources. */
static bool has_pb(const struct request *r, struct encoding e)
{
	return e.meta || r->kind < KIND_RECORDED;
}

/* The first type we can make. 0 or -EINVAL: 406. */
static int negotiate(struct conn *c)
{
	struct str rest = str_of(c->req.accept ? c->req.accept : "*/*");
	bool no_pb = hit(c, FAULT_NO_PROTOBUF) != NULL;
	int r = -EINVAL;

	while (rest.n) {
		struct encoding e;
		struct str clause;

		str_split(&rest, ',', &clause);
		if (!accept_clause(&c->req, clause, &e) || (e.pb && (no_pb || !has_pb(&c->req, e))))
			continue;
		if (r < 0)
			c->req.enc = e;
		c->req.has_json |= !e.pb;
		r = 0;
	}
	return r;
}

/* PREFIX/RESOURCE, PREFIX/namespaces/NS/RESOURCE, each with /NAME. */
static bool parse_path(struct request *r)
{
	for (enum kind k = 0; k < kind_end; k++) {
		struct str rest = str_of(r->path), prefix = str_of(kind_info[k].prefix), part;
		struct str ns = {0};

		if (kind_info[k].gone)
			continue;
		if (!str_starts(rest, prefix) || rest.n <= prefix.n || rest.p[prefix.n] != '/')
			continue;
		rest = str_from(rest, prefix.n + 1);
		str_split(&rest, '/', &part);
		if (str_eq(part, STR("namespaces")) && kind_info[k].namespaced) {
			str_split(&rest, '/', &ns);
			str_split(&rest, '/', &part);
		}
		if (!str_eq(part, str_of(kind_info[k].plural)) ||
		    (rest.n && memchr(rest.p, '/', rest.n)))
			continue;
		r->kind = k;
		r->sel.ns = ns;
		r->name = rest;
		return true;
	}
	return false;
}

static void find_verb(struct request *r)
{
	const char *watch = api_param(r, "watch");

	if (r->name.n)
		r->verb = VERB_GET;
	else if (watch && (!strcmp(watch, "1") || !strcmp(watch, "true")))
		r->verb = VERB_WATCH;
	else
		r->verb = VERB_LIST;
}

/* ---- faults in place of an answer ---- */

static void garbage(struct conn *c, long n)
{
	resp_start(c, 200, encoding_type(c->req.enc, c->req.verb == VERB_WATCH), NULL);
	for (; n > 0; n -= 8) {
		uint64_t v = rng_next(&c->srv->faults.rng);

		resp_write(c, &v, n > 8 ? 8 : (size_t)n);
	}
	resp_end(c);
}

/* A text value of `mb` megabytes that is made while it is sent, in one chunk. */
static void long_line(struct conn *c, long mb)
{
	static const char json_list[] = "{\"kind\":\"List\",\"items\":[{\"metadata\":{\"name\":\"";
	static const char json_event[] =
		"{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"";
	uint64_t size = (uint64_t)mb << 20;
	_buf_ struct buf b;

	buf_init(&b, 65536);
	api_start(c, c->req.verb == VERB_WATCH);
	if (!c->req.enc.pb) {
		put_z(&b, c->req.verb == VERB_WATCH ? json_event : json_list);
	} else if (c->req.verb == VERB_WATCH) {
		uint32_t n = (uint32_t)MIN(size, (uint64_t)0x7fffffff);
		char be[4] = {(char)(n >> 24), (char)(n >> 16), (char)(n >> 8), (char)n};

		put(&b, be, 4);
		pb_put_len(&b, 1, STR("ADDED"));
		pb_put_head(&b, 2, n - 16);
		pb_put_head(&b, 1, n - 24);
	} else {
		put_str(&b, PB_MAGIC);
		pb_put_head(&b, 2, size + 32);
		pb_put_head(&b, 2, size + 16);
		pb_put_head(&b, 1, size + 8);
		pb_put_head(&b, 1, size);
	}
	/* One chunk whose size covers the filler; the peer never sees its end. */
	resp_write(c, b.p, b.n);
	resp_flush(c);
	if (c->dead)
		return;
	evbuffer_add_printf(c->pending, "%llx\r\n", (unsigned long long)size);
	c->fill_left = (int64_t)size;
	c->closing_fill = true;
	conn_pump(c);
}

static void redirect(struct conn *c, const char *to)
{
	char extra[512];

	snprintf(extra, sizeof(extra), "Location: %s\r\n", to ? to : c->req.path);
	plain(c, 302, "", extra);
}

static void html(struct conn *c, long code)
{
	static const char page[] = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head>"
				   "<body><h1>Please sign in</h1></body></html>\n";

	resp_start(c, (int)code, "text/html; charset=utf-8", NULL);
	resp_write(c, page, sizeof(page) - 1);
	resp_end(c);
}

static void too_many(struct conn *c, long seconds)
{
	char extra[80];

	snprintf(extra, sizeof(extra), "Retry-After: %ld\r\nX-Content-Type-Options: nosniff\r\n",
		 seconds);
	plain(c, 429, "Too many requests, please try again later.\n", extra);
}

bool api_fault(struct conn *c)
{
	const struct fault *f;

	if (hit(c, FAULT_401))
		unauthorized(c);
	else if (hit(c, FAULT_403))
		forbidden(c);
	else if (hit(c, FAULT_404))
		c->req.verb == VERB_GET ? not_found(c) : no_resource(c);
	else if (!api_param(&c->req, "continue") && hit(c, FAULT_410))
		expired(c, NULL);
	else if ((f = hit(c, FAULT_429)))
		too_many(c, f->num);
	else if (hit(c, FAULT_500))
		api_status(c,
			   &(struct status){.code = 500,
					    .reason = "InternalError",
					    .message = "Internal error occurred: etcdserver: "
						       "leader changed",
					    .cause_reason = "",
					    .cause_message = "etcdserver: leader changed"},
			   NULL);
	else if (hit(c, FAULT_504))
		api_status(c,
			   &(struct status){.code = 504,
					    .reason = "Timeout",
					    .details = true,
					    .bare = true,
					    .message = "Timeout: request did not complete within "
						       "the allotted timeout"},
			   NULL);
	else if ((f = hit(c, FAULT_REDIRECT)))
		redirect(c, f->arg);
	else if ((f = hit(c, FAULT_HTML)))
		html(c, f->num);
	else if (hit(c, FAULT_EMPTY))
		garbage(c, 0);
	else if ((f = hit(c, FAULT_GARBAGE)))
		garbage(c, f->num);
	else if ((f = hit(c, FAULT_LONG_LINE)))
		long_line(c, f->num);
	else if (hit(c, FAULT_SILENT))
		c->stalled = true;
	else
		return false;
	return true;
}

/* The byte faults of an answer of status 200. */
void api_start(struct conn *c, bool watch)
{
	static const struct {
		enum fault_id id;
		enum cut_mode mode;
	} cuts[] = {
		{FAULT_CUT, CUT_CLOSE},	  {FAULT_CUT_CHUNK, CUT_CLOSE},	  {FAULT_RESET, CUT_RESET},
		{FAULT_STALL, CUT_STALL}, {FAULT_TRUNCATE, CUT_TRUNCATE},
	};
	const struct fault *f = hit(c, FAULT_CONTENT_TYPE);
	const char *type = encoding_type(c->req.enc, watch);

	if (f)
		type = f->arg && strcmp(f->arg, "none") == 0 ? "" : f->arg;
	resp_start(c, 200, type, NULL);
	f = hit(c, FAULT_SLOW);
	c->rate = f ? MAX(f->num, 1L) : 0;
	c->tokens = 0;
	for (size_t i = 0; i < ARRAY_SIZE(cuts); i++) {
		f = hit(c, cuts[i].id);
		if (!f)
			continue;
		c->cut = cuts[i].mode;
		c->cut_at_chunk = cuts[i].id == FAULT_CUT_CHUNK;
		c->cut_body = f->num;
		c->cut_left = f->num;
		return;
	}
}

/* Too old to be told of; never the present, although the kind may not have changed for long. */
static bool is_compacted(const struct conn *c, uint64_t rv)
{
	const struct kind_store *ks = kind_data(&c->srv->store, c->req.kind);

	return rv < ks->base_rv || rv < MIN(c->srv->compacted, recorded_rv(ks));
}

/* ---- lists ---- */

/* {"v":"meta.k8s.io/v1","rv":N,"start":"NS/NAME\u0000"} in base64url, as the API server's. */
static void make_token(int64_t rv, const char *start, char *out, size_t n)
{
	char text[1024];
	int len = snprintf(text, sizeof(text),
			   "{\"v\":\"meta.k8s.io/v1\",\"rv\":%lld,\"start\":\"%s\\u0000\"}",
			   (long long)rv, start);

	if ((size_t)len >= sizeof(text) || (size_t)len / 3 * 4 + 5 > n)
		abort();
	EVP_EncodeBlock((unsigned char *)out, (unsigned char *)text, len);
	for (char *p = out; *p; p++)
		*p = *p == '+' ? '-' : *p == '/' ? '_' : *p;
	out[strcspn(out, "=")] = 0;
}

static int read_token(const char *token, int64_t *ret_rv, char *start, size_t n)
{
	unsigned char in[1600], text[1200] = {0};
	size_t len = strlen(token);
	const char *rv, *at;

	if (len + 4 > sizeof(in))
		return -EINVAL;
	memset(in, '=', sizeof(in));
	for (size_t i = 0; i < len; i++)
		in[i] = (unsigned char)(token[i] == '-' ? '+' : token[i] == '_' ? '/' : token[i]);
	if (EVP_DecodeBlock(text, in, (int)((len + 3) / 4 * 4)) < 0)
		return -EINVAL;
	rv = strstr((char *)text, "\"rv\":");
	at = strstr((char *)text, "\"start\":\"");
	if (!rv || !at)
		return -EINVAL;
	at += 9;
	*ret_rv = strtoll(rv + 5, NULL, 10);
	snprintf(start, n, "%.*s", (int)strcspn(at, "\\\""), at);
	return 0;
}

struct page {
	const struct version **v;
	size_t n;
	int64_t remaining;
	struct list_meta meta;
	char token[1600];
};

static void key_of(const struct version *v, char *key, size_t n)
{
	snprintf(key, n, "%.*s/%.*s", STR_ARG(v->ns), STR_ARG(v->name));
}

static void fill_page(struct conn *c, struct page *p, size_t pos, const char *start, size_t limit)
{
	const struct kind_store *ks = kind_data(&c->srv->store, c->req.kind);
	uint32_t *state = recorded_state(ks, pos);
	char key[600], last[600] = "";
	size_t more = 0;

	p->v = must_calloc(ks->n_objects + 16, sizeof(*p->v));
	for (size_t i = 0; i < ks->n_objects; i++) {
		const struct version *v;

		if (state[i] == NO_VERSION)
			continue;
		v = &ks->versions[state[i]];
		if (!selector_match(&c->req.sel, v))
			continue;
		key_of(v, key, sizeof(key));
		if (*start && strcmp(key, start) <= 0)
			continue;
		if (limit && p->n == limit) {
			more++;
			continue;
		}
		p->v[p->n++] = v;
		memcpy(last, key, sizeof(last));
	}
	free(state);
	p->meta.remaining = -1;
	if (!more)
		return;
	if (!selector_filters(&c->req.sel))
		p->meta.remaining = (int64_t)more;
	make_token((int64_t)p->meta.rv, last, p->token, sizeof(p->token));
	p->meta.cont = str_of(p->token);
}

static void add_hostile(struct conn *c, struct page *p)
{
	for (enum fault_id id = FAULT_OVERSIZED; id <= FAULT_OWNER_CYCLE; id++) {
		const struct fault *f = hit(c, id);
		const struct hostile *h =
			f ? hostile_get(c->srv, f, c->req.kind, &c->req.sel) : NULL;

		for (size_t i = 0; h && i < h->n; i++)
			p->v[p->n++] = &h->v[i];
	}
}

/* Metadata lists, and all before 1.32, were one write; since then an item is two: comma or tag and
 * length, then its bytes. */
static void send_page(struct conn *c, const struct page *p)
{
	struct encoding e = c->req.enc;
	_buf_ struct buf items, body;
	size_t *heads = must_calloc(p->n + 1, sizeof(*heads));
	size_t *ends = must_calloc(p->n + 1, sizeof(*ends));

	buf_init(&items, READ_MAX);
	buf_init(&body, READ_MAX);
	for (size_t i = 0; i < p->n; i++) {
		size_t from = items.n;

		if (!e.pb && i)
			put_z(&items, ",");
		list_item(&items, p->v[i], e);
		ends[i] = items.n;
		heads[i] = from + (e.pb ? items.n - from - list_payload(p->v[i], e) : i > 0);
	}
	list_head(&body, c->req.kind, e, &p->meta, items.n);
	api_start(c, false);
	if (e.meta || c->srv->store.minor < 32) {
		put_str(&body, buf_str(&items));
		list_tail(&body, e);
		resp_write(c, body.p, body.n);
	} else {
		resp_write(c, body.p, body.n);
		for (size_t i = 0, from = 0; i < p->n; from = ends[i++]) {
			resp_write(c, items.p + from, heads[i] - from);
			resp_write(c, items.p + heads[i], ends[i] - heads[i]);
		}
		buf_reset(&body);
		list_tail(&body, e);
		resp_write(c, body.p, body.n);
	}
	resp_end(c);
	free(heads);
	free(ends);
}

/* A list body no client should believe. */
static bool send_bad_list(struct conn *c)
{
	_buf_ struct buf b;
	bool negative = hit(c, FAULT_NEGATIVE_LENGTH) != NULL;
	bool huge = !negative && hit(c, FAULT_HUGE_LENGTH) != NULL;

	buf_init(&b, 65536);
	if (!negative && !huge && !hit(c, FAULT_WRONG_MAGIC))
		return false;
	if (!c->req.enc.pb) {
		put_z(&b, "{\"kind\":\"List\",\"items\":}]\n");
	} else if (negative || huge) {
		put_str(&b, PB_MAGIC);
		pb_put_head(&b, 2, 64);
		pb_put_head(&b, 2, negative ? SIZE_MAX : 0x7fffffff);
		put_z(&b, "\x0a\x05garba");
	} else {
		put(&b, "k8s\1\x0a\x02\x0a\0", 8);
	}
	api_start(c, false);
	resp_write(c, b.p, b.n);
	resp_end(c);
	return true;
}

/* The moment of a continued list. 0, or -1 when an error has been answered. */
static int token_moment(struct conn *c, const char *token, size_t *ret_pos, uint64_t *ret_rv,
			char *start, size_t n)
{
	const struct kind_store *ks = kind_data(&c->srv->store, c->req.kind);
	char fresh[1600];
	int64_t at;

	if (read_token(token, &at, start, n) < 0) {
		bad_request(c, "continue key is not valid: encoded in an unknown way");
		return -1;
	}
	if (at < 0) /* an inconsistent rest, as a 410 offers it: the present */
		return 0;
	if (is_compacted(c, (uint64_t)at) || hit(c, FAULT_410)) {
		make_token(-1, start, fresh, sizeof(fresh));
		expired(c, fresh);
		return -1;
	}
	*ret_pos = MIN(recorded_find(ks, (uint64_t)at), ks->pos);
	*ret_rv = (uint64_t)at;
	return 0;
}

/* The moment of a list with resourceVersion and resourceVersionMatch; 0 or -1 in the same way. */
static int match_moment(struct conn *c, size_t *ret_pos, uint64_t *ret_rv)
{
	const struct kind_store *ks = kind_data(&c->srv->store, c->req.kind);
	const char *text = api_param(&c->req, "resourceVersion");
	const char *match = api_param(&c->req, "resourceVersionMatch");
	bool has_rv = text && *text;
	unsigned long long rv = 0;

	if (has_rv && str_to_u64(str_of(text), &rv) < 0) {
		bad_request(c, "resourceVersion: Invalid value: strconv.ParseUint: invalid syntax");
		return -1;
	}
	if (match && *match && !has_rv) {
		invalid_option(c, "resourceVersionMatch",
			       "resourceVersionMatch is forbidden unless resourceVersion is "
			       "provided");
		return -1;
	}
	if (rv > recorded_rv(ks)) {
		too_large_rv(c, rv);
		return -1;
	}
	if (!match || strcmp(match, "Exact") != 0)
		return 0;
	if (is_compacted(c, rv)) {
		expired(c, NULL);
		return -1;
	}
	*ret_pos = MIN(recorded_find(ks, rv), ks->pos);
	*ret_rv = rv;
	return 0;
}

/* Which moment the list is of, and behind which key it begins. */
static int list_moment(struct conn *c, size_t *ret_pos, uint64_t *ret_rv, char *start, size_t n)
{
	const struct kind_store *ks = kind_data(&c->srv->store, c->req.kind);
	const char *token = api_param(&c->req, "continue");

	*ret_pos = ks->pos;
	*ret_rv = recorded_rv(ks);
	if (token && *token)
		return token_moment(c, token, ret_pos, ret_rv, start, n);
	return match_moment(c, ret_pos, ret_rv);
}

static void handle_list(struct conn *c)
{
	const char *limit = api_param(&c->req, "limit");
	struct page p = {0};
	char start[600] = "";
	size_t pos;

	if (list_moment(c, &pos, &p.meta.rv, start, sizeof(start)) < 0)
		return;
	if (send_bad_list(c))
		return;
	fill_page(c, &p, pos, start, limit ? strtoul(limit, NULL, 10) : 0);
	if (!p.meta.cont.n)
		add_hostile(c, &p);
	send_page(c, &p);
	free(p.v);
}

/* ---- single objects, watches ---- */

static void handle_get(struct conn *c)
{
	const struct version *v;
	_buf_ struct buf b;

	buf_init(&b, READ_MAX);
	timeline_get(c->srv, c->req.kind);
	v = recorded_get(kind_data(&c->srv->store, c->req.kind), c->req.sel.ns, c->req.name);
	if (!v) {
		not_found(c);
		return;
	}
	object_body(&b, c->req.kind, v, c->req.enc);
	api_start(c, false);
	resp_write(c, b.p, b.n);
	resp_end(c);
}

static void gone_event(struct conn *c, unsigned long long rv)
{
	char text[120];

	snprintf(text, sizeof(text), "too old resource version: %llu (%llu)", rv,
		 (unsigned long long)recorded_rv(kind_data(&c->srv->store, c->req.kind)));
	error_event(c, &(struct status){.code = 410, .reason = "Expired", .message = text});
}

static bool streaming_refused(struct conn *c)
{
	const char *initial = api_param(&c->req, "sendInitialEvents");
	const char *match = api_param(&c->req, "resourceVersionMatch");

	if (!initial)
		return false;
	if (c->srv->store.minor < 32 || hit(c, FAULT_NO_STREAMING_LIST)) {
		invalid_option(c, "sendInitialEvents",
			       "sendInitialEvents is forbidden for watch unless the WatchList "
			       "feature gate is enabled");
		return true;
	}
	if (!match || strcmp(match, "NotOlderThan") != 0) {
		invalid_option(c, "resourceVersionMatch",
			       "sendInitialEvents requires setting resourceVersionMatch to "
			       "NotOlderThan");
		return true;
	}
	return false;
}

static void handle_watch(struct conn *c)
{
	const char *text = api_param(&c->req, "resourceVersion");
	const struct kind_store *ks = kind_data(&c->srv->store, c->req.kind);
	unsigned long long rv = 0;
	const struct fault *f;

	if (text && *text && str_to_u64(str_of(text), &rv) < 0) {
		api_status(c,
			   &(struct status){.code = 500,
					    .message = "resourceVersion: Invalid value: "
						       "strconv.ParseUint: invalid syntax"},
			   NULL);
		return;
	}
	if (streaming_refused(c))
		return;
	f = hit(c, FAULT_ERROR_EVENT);
	if (f)
		error_event(c, &(struct status){.code = (int)f->num,
						.reason = "InternalError",
						.message = "context deadline exceeded"});
	else if (hit(c, FAULT_410_EVENT))
		gone_event(c, rv);
	else if (rv > recorded_rv(ks) && api_param(&c->req, "sendInitialEvents"))
		too_large_rv(c, rv);
	else if (rv && is_compacted(c, rv) && !api_param(&c->req, "sendInitialEvents"))
		gone_event(c, rv);
	else
		watch_new(c);
}

static bool token_ok(const struct conn *c)
{
	const char *a = c->req.authorization;

	return !c->srv->token ||
	       (a && strncasecmp(a, "Bearer ", 7) == 0 && strcmp(a + 7, c->srv->token) == 0);
}

static int parse_selectors(struct conn *c)
{
	const char *fields = api_param(&c->req, "fieldSelector");
	const char *labels = api_param(&c->req, "labelSelector");
	int r = 0;

	if (fields)
		r = selector_add(&c->req.sel, str_of(fields), false);
	if (r == 0 && labels)
		r = selector_add(&c->req.sel, str_of(labels), true);
	return r;
}

/* The answer itself, after a delay fault if there was one. */
void api_delayed(struct conn *c)
{
	if (api_fault(c))
		return;
	switch (c->req.verb) {
	case VERB_LIST:
		handle_list(c);
		break;
	case VERB_WATCH:
		handle_watch(c);
		break;
	case VERB_GET:
		handle_get(c);
		break;
	case VERB_DISCOVERY:
	case VERB_WRITE:
	case VERB_WRITTEN:
	case VERB_TOKEN_REVIEW:
	case VERB_ACCESS_REVIEW:
	case VERB_OTHER:
	case _VERB_MAX:
		no_resource(c);
	}
}

static void delay(struct conn *c, double seconds)
{
	struct timeval tv = {.tv_sec = (time_t)seconds};

	tv.tv_usec = (suseconds_t)((seconds - (double)tv.tv_sec) * 1e6);
	c->delayed = true;
	event_add(c->timer, &tv);
}

/* Below /api/v1/ or /apis/GROUP/ of a group that is served. */
static bool in_a_group(const char *path)
{
	for (enum kind k = 0; k < kind_end; k++) {
		struct str prefix = str_of(kind_info[k].prefix);

		if (kind_info[k].group[0])
			prefix.n = strlen("/apis/") + strlen(kind_info[k].group);
		if (!kind_info[k].gone && str_starts(str_of(path), prefix) && path[prefix.n] == '/')
			return true;
	}
	return false;
}

void api_handle(struct conn *c)
{
	struct request *r = &c->req;
	const struct fault *f;

	r->kind = _KIND_MAX;
	r->verb = VERB_OTHER;
	if (strncmp(r->path, "/replay/", 8) == 0) {
		control_handle(c);
		return;
	}
	if (!token_ok(c)) {
		r->enc.pb = r->accept && str_starts(str_of(r->accept), MEDIA_PB);
		unauthorized(c);
		return;
	}
	if (leases_handle(c) || reviews_handle(c) || discovery_handle(c))
		return;
	if (!parse_path(r)) {
		if (in_a_group(r->path))
			no_resource(c);
		else
			plain(c, 404, "404 page not found\n",
			      "X-Content-Type-Options: nosniff\r\n");
		return;
	}
	find_verb(r);
	if (negotiate(c) < 0) {
		not_acceptable(c);
		return;
	}
	if (strcmp(r->method, "GET") != 0) {
		api_status(c,
			   &(struct status){.code = 405,
					    .reason = "MethodNotAllowed",
					    .details = true,
					    .message = "the server does not allow this method on "
						       "the requested resource"},
			   NULL);
		return;
	}
	if (parse_selectors(c) < 0) {
		bad_request(c, "the field or label selector is not understood");
		return;
	}
	f = hit(c, FAULT_DELAY);
	if (f)
		delay(c, f->arg ? strtod(f->arg, NULL) : (double)f->num);
	else
		api_delayed(c);
}
