/* Requests to a service; see service_http.h. */
#include "sink/vector/service_http.h"

#include "base/json_in.h"
#include "base/mem.h"
#include "base/server_url.h"
#include "http/token.h"
#include "http/watched_file.h"
#include "sink/vector/service_text.h"

#include <ctype.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdarg.h>
#include <stdio.h>

#define MAX_URL	 8192
#define MAX_TEXT 1024 /* bytes of a text for people */

struct service {
	struct http *http;
	char *url, *token_header;
	struct watched_file token_file, ca_file;
	bool insecure, slow_first, served; /* served: it has answered well once */
	nsec_t timeout;
	size_t max_answer;

	struct buf out;		    /* the next request's body */
	struct service_request req; /* under way while `busy` */
	bool busy;
	struct http_xfer *x;
	int status;
	nsec_t retry_after;
	bool too_long;
	bool full;	       /* there are as many transfers as may be */
	struct buf in;	       /* the answer */
	struct buf header;     /* req.header's value */
	struct buf text;       /* what went wrong */
	struct event not_sent; /* tells of a request that could not be sent */
};

/* --- texts --------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static void say(struct service *s, const char *fmt, ...)
{
	char line[MAX_TEXT];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	buf_reset(&s->text);
	(void)buf_printf(&s->text, "%s: %s", s->req.what, line);
}

static struct str token(const struct service *s)
{
	return str_trim(watched_file_str(&s->token_file));
}

void service_quote(const struct service *s, struct str text, struct buf *ret)
{
	_buf_ struct buf clean = {.max = SERVICE_BODY_MAX};

	text.n = MIN(text.n, (size_t)SERVICE_BODY_MAX / 2);
	(void)service_clean(text, token(s), &clean);
	(void)buf_append(ret, buf_str(&clean).p, MIN(clean.n, (size_t)SERVICE_TEXT_MAX));
}

static void say_status(struct service *s)
{
	_buf_ struct buf words = {.max = SERVICE_TEXT_MAX + 1};

	if (s->req.words)
		service_quote(s, s->req.words(buf_str(&s->in)), &words);
	else
		(void)service_error_text(buf_str(&s->in), token(s), &words);
	say(s, "answered %d%s%.*s", s->status, buf_str(&words).n ? ": " : "",
	    STR_ARG(buf_str(&words)));
}

/* --- the end ------------------------------------------------------------- */

/* What is lent to the callback is its own: it may ask again, or free the service. */
static void finish(struct service *s, enum vector_outcome how, json_t *json)
{
	_buf_ struct buf in = s->in, header = s->header, text = s->text;
	struct service_request req = s->req;
	struct service_answer a = {
		.end = {.how = how, .retry_after = s->retry_after},
		.status = s->status,
		.json = json,
	};

	buf_init(&s->in, in.max);
	buf_init(&s->header, header.max);
	buf_init(&s->text, text.max);
	a.body = buf_str(&in);
	a.header = buf_str(&header);
	if (how != VECTOR_OK)
		a.end.text = buf_str(&text);
	s->busy = false;
	s->served = s->served || (how == VECTOR_OK && req.body); /* metadata load no model */
	s->x = NULL;
	req.done(req.ctx, &a);
}

/* Some write NaN where JSON has no word for it. */
static bool near_nan(struct str body, size_t at)
{
	struct str around = str_from(body, at > 12 ? at - 12 : 0);

	around.n = MIN(around.n, (size_t)24);
	return memmem(around.p, around.n, "NaN", 3) || memmem(around.p, around.n, "Infinity", 8);
}

static void finish_json(struct service *s)
{
	_json_ json_t *root = NULL;
	struct str body = buf_str(&s->in);
	json_error_t e = {.position = 0};
	_buf_ struct buf words = {.max = SERVICE_TEXT_MAX + 1};

	root = body.n ? json_loadb(body.p, body.n, 0, &e) : NULL;
	if (root) {
		finish(s, VECTOR_OK, root);
		return;
	}
	if (body.n && near_nan(body, (size_t)MAX(e.position, 0))) {
		say(s, "answered %d with NaN or Infinity in it", s->status);
		finish(s, VECTOR_SPLIT, NULL);
		return;
	}
	(void)service_error_text(body, token(s), &words);
	say(s, "answered %d with what is no JSON (%zu bytes%s%.*s)", s->status, body.n,
	    buf_str(&words).n ? "): " : ")", STR_ARG(buf_str(&words)));
	finish(s, VECTOR_RETRY, NULL);
}

static void say_redirect(struct service *s)
{
	_buf_ struct buf to = {.max = 4 * MAX_TEXT};

	(void)service_clean(http_header(s->x, "Location"), token(s), &to);
	say(s, "answered %d, a redirect to %.*s, which is not followed: give the URL it leads to",
	    s->status, (int)MIN(buf_str(&to).n, (size_t)SERVICE_TEXT_MAX),
	    buf_str(&to).n ? buf_str(&to).p : "");
}

static void finish_answer(struct service *s)
{
	enum vector_outcome how = service_outcome(s->status);

	if (how == VECTOR_OK && s->req.json) {
		finish_json(s);
		return;
	}
	if (s->status >= 300 && s->status < 400)
		say_redirect(s);
	else if (how != VECTOR_OK)
		say_status(s);
	finish(s, how, NULL);
}

/* --- one transfer -------------------------------------------------------- */

static int on_response(void *ctx, struct http_xfer *x, int status)
{
	struct service *s = ctx;

	s->status = status;
	s->retry_after = http_retry_after(x);
	return s->req.header ? buf_append_str(&s->header, http_header(x, s->req.header)) : 0;
}

/* Of an error the beginning is enough. */
static int on_data(void *ctx, struct http_xfer *x, const void *p, size_t n)
{
	struct service *s = ctx;
	size_t held = buf_str(&s->in).n;
	int r;

	(void)x;
	if (s->status < 200 || s->status >= 300)
		n = MIN(n, (size_t)SERVICE_BODY_MAX - MIN(held, (size_t)SERVICE_BODY_MAX));
	r = buf_append(&s->in, p, n);
	s->too_long = r == -EMSGSIZE;
	return r;
}

static void on_end(void *ctx, struct http_xfer *x, enum http_result how, const char *text)
{
	struct service *s = ctx;

	s->x = x; /* its header is read once more */
	if (how == HTTP_DONE) {
		finish_answer(s);
		return;
	}
	if (s->too_long)
		say(s, "the answer is longer than %zu bytes", s->max_answer);
	else
		say(s, "%s", text);
	finish(s, s->too_long ? VECTOR_SPLIT : VECTOR_RETRY, NULL);
}

static const struct http_ops ops = {.response = on_response, .data = on_data, .end = on_end};

static void on_not_sent(evutil_socket_t fd, short what, void *ctx)
{
	struct service *s = ctx;

	(void)fd;
	(void)what;
	finish(s, s->full ? VECTOR_RETRY : VECTOR_REFUSED, NULL);
}

/* --- asking -------------------------------------------------------------- */

/* Once it has been read, a file that cannot be read any more leaves what it held. */
static int refresh(struct service *s, struct watched_file *f, const char *what)
{
	_buf_ struct buf words = {.max = MAX_TEXT};

	if (!f->path || (f->bytes && !watched_file_changed(f)))
		return 0;
	if (watched_file_read(f, what, &words) == 0 || f->bytes)
		return 0;
	say(s, "%.*s", STR_ARG(buf_str(&words)));
	return -EACCES;
}

static int refresh_both(struct service *s)
{
	int r = refresh(s, &s->token_file, "token file");
	const char *wrong = r == 0 && s->token_file.path ? token_wrong(token(s)) : NULL;

	if (wrong) {
		say(s, "token file %s %s", s->token_file.path, wrong);
		return -EACCES;
	}
	return r < 0 ? r : refresh(s, &s->ca_file, "CA file");
}

/* Headers in `h`; returns how many. `line` holds the token's and must be wiped. */
static size_t headers(const struct service *s, const struct service_request *req,
		      struct http_field h[SERVICE_MAX_HEADERS + 2], struct buf *line)
{
	size_t n = 0;

	for (size_t i = 0; i < req->n_fields && n < SERVICE_MAX_HEADERS; i++)
		h[n++] = req->fields[i];
	h[n++] = (struct http_field){STR("Accept"), STR("application/json, */*;q=0.5")};
	if (!s->token_file.bytes)
		return n;
	if (s->token_header) {
		h[n++] = (struct http_field){str_of(s->token_header), token(s)};
	} else {
		(void)buf_printf(line, "Bearer %.*s", STR_ARG(token(s)));
		h[n++] = (struct http_field){STR("Authorization"), buf_str(line)};
	}
	return n;
}

static void wipe(struct buf *b)
{
	if (b->p)
		explicit_bzero(b->p, b->cap);
	buf_done(b);
}

static int start(struct service *s, const struct service_request *req)
{
	_cleanup_(wipe) struct buf line;
	_buf_ struct buf url = {.max = MAX_URL};
	struct http_field h[SERVICE_MAX_HEADERS + 2];
	struct http_tls tls = {.ca = watched_file_str(&s->ca_file), .insecure = s->insecure};
	struct http_request hr = {
		.method = req->method,
		.content_type = req->type ? req->type : "application/json",
		.headers = h,
		.tls = &tls,
		.total_timeout = s->slow_first && !s->served ? SERVICE_FIRST_TIMEOUT : s->timeout,
		.ops = &ops,
		.ctx = s,
	};
	int r;

	buf_init(&line, WATCHED_FILE_MAX + 16);
	if (req->body)
		hr.body = buf_str(&s->out);
	hr.n_headers = headers(s, req, h, &line);
	r = buf_printf(&url, "%s%.*s", s->url, STR_ARG(req->path));
	if (r == 0)
		r = buf_append(&url, "", 1);
	if (r < 0)
		return r;
	hr.url = buf_str(&url).p;
	return http_start(s->http, &hr, &s->x);
}

int service_ask(struct service *s, const struct service_request *req)
{
	int r;

	if (s->busy)
		return -EBUSY;
	s->req = *req;
	s->status = 0;
	s->retry_after = 0;
	s->too_long = false;
	buf_reset(&s->in);
	buf_reset(&s->header);
	buf_reset(&s->text);
	r = refresh_both(s);
	if (r == 0) {
		r = start(s, req);
		if (r == -EINVAL || r == -EMSGSIZE)
			say(s, "the request cannot be sent: %s", strerror(-r));
	}
	buf_done(&s->out);
	s->req.fields = NULL; /* good for this call alone, as the path is */
	s->req.path = (struct str){0};
	if (r == -ENOMEM)
		return r;
	s->busy = true;
	s->full = r == -EMSGSIZE;
	if (r < 0)
		event_active(&s->not_sent, EV_TIMEOUT, 0);
	return 0;
}

struct buf *service_body(struct service *s)
{
	buf_reset(&s->out);
	return &s->out;
}

void service_cancel(struct service *s)
{
	http_cancel(&s->x);
	(void)event_del(&s->not_sent);
	s->busy = false;
}

bool service_busy(const struct service *s)
{
	return s->busy;
}

const char *service_url(const struct service *s)
{
	return s->url;
}

/* --- making -------------------------------------------------------------- */

static int file_init(struct watched_file *f, const char *path, const char *what,
		     struct buf *ret_error)
{
	int r = path ? watched_file_init(f, path) : 0;

	if (r == 0 && path)
		r = watched_file_read(f, what, ret_error);
	return r == 0 || r == -ENOMEM ? r : -EINVAL;
}

static bool header_ok(const char *h)
{
	for (const char *c = h; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr("-_", *c))
			return false;
	return *h != '\0';
}

static int wrong(struct buf *ret_error, const char *what, const char *why)
{
	(void)buf_printf(ret_error, "%s %s", what, why);
	return -EINVAL;
}

static int init(struct service *s, const struct service_opts *o, struct buf *ret_error)
{
	const struct service_access *a = &o->access;
	const char *why;
	int r;

	s->url = str_dup(o->url);
	s->token_header = a->header ? str_dup(str_of(a->header)) : NULL;
	if (!s->url || (a->header && !s->token_header))
		return -ENOMEM;
	why = server_url_wrong(str_of(s->url));
	if (why)
		return wrong(ret_error, "the URL", why);
	server_url_trim(s->url);
	if (a->header && !header_ok(a->header))
		return wrong(ret_error, "the token's header", "is no name of a header");
	r = file_init(&s->token_file, a->token_file, "token file", ret_error);
	if (r < 0)
		return r;
	why = a->token_file ? token_wrong(token(s)) : NULL;
	if (why) {
		(void)buf_printf(ret_error, "token file %s %s", a->token_file, why);
		return -EINVAL;
	}
	return file_init(&s->ca_file, a->ca_file, "CA file", ret_error);
}

int service_new(const struct service_opts *o, struct service **ret, struct buf *ret_error)
{
	struct service *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->http = o->http;
	s->insecure = o->access.insecure;
	s->slow_first = o->slow_first && !o->access.timeout;
	s->timeout = o->access.timeout ? o->access.timeout : SERVICE_TIMEOUT;
	s->max_answer = o->max_answer;
	buf_init(&s->out, o->max_request);
	buf_init(&s->in, o->max_answer);
	buf_init(&s->header, MAX_TEXT);
	buf_init(&s->text, 2 * MAX_TEXT);
	(void)event_assign(&s->not_sent, o->base, -1, 0, on_not_sent, s);
	r = init(s, o, ret_error);
	if (r < 0)
		service_free(&s);
	else
		*ret = s;
	return r;
}

void service_free(struct service **sp)
{
	struct service *s = *sp;

	if (!s)
		return;
	service_cancel(s);
	watched_file_done(&s->token_file);
	watched_file_done(&s->ca_file);
	buf_done(&s->out);
	buf_done(&s->in);
	buf_done(&s->header);
	buf_done(&s->text);
	free(s->url);
	free(s->token_header);
	free(s);
	*sp = NULL;
}
