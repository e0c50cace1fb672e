/* A request's head; see request.h. */
#include "serve/request.h"

#include "base/mem.h"

#include <ctype.h>

#define BAD 400

enum field {
	FIELD_HOST,
	FIELD_ORIGIN,
	FIELD_AUTHORIZATION,
	FIELD_TYPE,
	FIELD_LENGTH,
	FIELD_CODING,
	_FIELD_MAX
};

struct parse {
	struct web_request r;
	struct str method, fields[_FIELD_MAX];
	bool seen[_FIELD_MAX];
	bool old; /* HTTP/1.0: Host may be missing */
	const char *words;
};

static int refuse(struct parse *p, int status, const char *words)
{
	p->words = words;
	return status;
}

/* ---- characters ------------------------------------------------------------------------------ */

/* RFC 9110 section 5.6.2. */
static bool is_token(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!isalnum((unsigned char)s.p[i]) &&
		    (!s.p[i] || !strchr("!#$%&'*+-.^_`|~", s.p[i])))
			return false;
	return s.n > 0;
}

static bool is_visible(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~')
			return false;
	return true;
}

/* Tabs, and bytes above ASCII, may stand in a value; other control characters may not. */
static bool is_value(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (((unsigned char)s.p[i] < ' ' && s.p[i] != '\t') || s.p[i] == 0x7f)
			return false;
	return true;
}

static bool is_digits(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
	return s.n > 0;
}

/* ---- lines ----------------------------------------------------------------------------------- */

/* The next line without its end; a lone CR or LF in it makes it none. */
static bool take_line(struct str *s, struct str *ret)
{
	const char *end = s->n ? memmem(s->p, s->n, "\r\n", 2) : NULL;

	if (!end)
		return false;
	*ret = str_make(s->p, (size_t)(end - s->p));
	*s = str_from(*s, ret->n + 2);
	return !memchr(ret->p, '\n', ret->n) && !memchr(ret->p, '\r', ret->n);
}

/* RFC 9112 section 3: method SP request-target SP HTTP-version. */
static int take_first(struct parse *p, struct str line)
{
	static const char not_http[] = "this is no HTTP request";
	struct str target, version = line;

	if (!str_split(&version, ' ', &p->method) || !str_split(&version, ' ', &target) ||
	    !is_token(p->method) || !is_visible(target) || !str_starts(target, STR("/")) ||
	    !str_starts(version, STR("HTTP/")) || version.n != 8)
		return refuse(p, BAD, not_http);
	if (!str_starts(version, STR("HTTP/1.")) || !is_digits(str_from(version, 7)))
		return refuse(p, 505, "HTTP/1.1 is spoken here");
	p->old = str_eq(version, STR("HTTP/1.0"));
	p->r.query = target;
	(void)str_split(&p->r.query, '?', &p->r.path);
	return 0;
}

static int take_method(struct parse *p)
{
	p->r.head = str_eq(p->method, STR("HEAD"));
	p->r.post = str_eq(p->method, STR("POST"));
	if (p->r.head || p->r.post || str_eq(p->method, STR("GET")))
		return 0;
	return refuse(p, 405, "GET, HEAD and POST are all there is");
}

static int take_field(struct parse *p, struct str line)
{
	static const struct str names[_FIELD_MAX] = {
		[FIELD_HOST] = STR("Host"),
		[FIELD_ORIGIN] = STR("Origin"),
		[FIELD_AUTHORIZATION] = STR("Authorization"),
		[FIELD_TYPE] = STR("Content-Type"),
		[FIELD_LENGTH] = STR("Content-Length"),
		[FIELD_CODING] = STR("Transfer-Encoding"),
	};
	struct str name;

	if (!str_split(&line, ':', &name) || !is_token(name) || !is_value(line))
		return refuse(p, BAD, "a header line is malformed");
	for (int i = 0; i < _FIELD_MAX; i++) {
		if (!str_ieq(name, names[i]))
			continue;
		if (p->seen[i])
			return refuse(p, BAD, "a header that may stand once is there twice");
		p->seen[i] = true;
		p->fields[i] = str_trim(line);
	}
	return 0;
}

static int settle(struct parse *p)
{
	const struct str *f = p->fields;

	if (!p->old && !p->seen[FIELD_HOST])
		return refuse(p, BAD, "the Host header is missing");
	if (p->seen[FIELD_HOST] && !is_visible(f[FIELD_HOST]))
		return refuse(p, BAD, "the Host header is malformed");
	if (p->seen[FIELD_LENGTH] && (p->seen[FIELD_CODING] || !is_digits(f[FIELD_LENGTH])))
		return refuse(p, BAD, "the length of the body is malformed");
	p->r.host = f[FIELD_HOST];
	p->r.origin = f[FIELD_ORIGIN];
	p->r.authorization = f[FIELD_AUTHORIZATION];
	p->r.content_type = f[FIELD_TYPE];
	p->r.body = p->seen[FIELD_CODING] ||
		    (p->seen[FIELD_LENGTH] && !str_eq(f[FIELD_LENGTH], STR("0")));
	return 0;
}

static int parse(struct parse *p, struct str head)
{
	struct str line;
	int r = BAD;

	p->words = "a line of the request is malformed";
	if (!take_line(&head, &line))
		return BAD;
	r = take_first(p, line);
	while (r == 0) {
		if (!take_line(&head, &line))
			return refuse(p, BAD, "a line of the request is malformed");
		if (!line.n)
			break;
		r = take_field(p, line);
	}
	if (r == 0)
		r = settle(p);
	return r ? r : take_method(p);
}

int request_parse(struct str head, struct web_request *ret, const char **ret_words)
{
	struct parse p = {0};
	int r = parse(&p, head);

	if (r)
		*ret_words = p.words;
	else
		*ret = p.r;
	return r;
}
