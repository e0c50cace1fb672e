#include "sink/otlp/headers.h"

#include "base/mem.h"

#include <ctype.h>
#include <errno.h>
#include <strings.h>

/* A token of RFC 9110, section 5.6.2. */
static bool name_ok(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!s.p[i] ||
		    (!isalnum((unsigned char)s.p[i]) && !strchr("!#$%&'*+-.^_`|~", s.p[i])))
			return false;
	return s.n > 0;
}

static bool value_ok(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
			return false;
	return s.n > 0;
}

/* What the request says by itself. */
static bool is_ours(struct str name)
{
	static const char *const ours[] = {"content-type",   "content-encoding",
					   "content-length", "transfer-encoding",
					   "host",	     "connection"};

	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		if (name.n == strlen(ours[i]) && strncasecmp(name.p, ours[i], name.n) == 0)
			return true;
	return false;
}

static const char *line_wrong(struct str line, struct http_field *ret)
{
	struct str name;

	if (!str_split(&line, ':', &name))
		return "has a line without a colon: each is NAME: VALUE";
	*ret = (struct http_field){str_trim(name), str_trim(line)};
	if (!name_ok(ret->name))
		return "has a line whose name is no name of a header";
	if (is_ours(ret->name))
		return "names a header that the request has by itself";
	return value_ok(ret->value) ? NULL
				    : "has a line without a value, or with control characters";
}

const char *headers_wrong(struct str text, struct http_field v[HEADERS_MAX], size_t *ret_n)
{
	const char *why = NULL;
	size_t n = 0;

	while (text.n && !why) {
		struct http_field f;
		struct str line;

		(void)str_split(&text, '\n', &line);
		line = str_trim(line);
		if (!line.n || line.p[0] == '#')
			continue;
		why = n == HEADERS_MAX ? "has more than 16 headers" : line_wrong(line, &f);
		if (!why && v)
			v[n] = f;
		n++;
	}
	if (!why && ret_n)
		*ret_n = n;
	return why;
}

const char *headers_text_wrong(struct str text)
{
	return headers_wrong(text, NULL, NULL);
}

static int read_file(struct headers *h, struct buf *ret_error)
{
	int r = watched_file_read(&h->file, "headers file", ret_error);

	if (r < 0)
		return r;
	h->n = 0;
	h->wrong = headers_wrong(watched_file_str(&h->file), h->v, &h->n);
	return 0;
}

static int say_wrong(const struct headers *h, struct buf *ret_error)
{
	if (h->wrong)
		(void)buf_printf(ret_error, "headers file %s %s", h->file.path, h->wrong);
	return h->wrong ? -EINVAL : 0;
}

int headers_init(struct headers *h, const char *path, struct buf *ret_error)
{
	int r = path ? watched_file_init(&h->file, path) : 0;

	if (r == 0 && path)
		r = read_file(h, ret_error);
	if (r == 0)
		r = say_wrong(h, ret_error);
	return r == 0 || r == -ENOMEM ? r : -EINVAL;
}

void headers_done(struct headers *h)
{
	watched_file_done(&h->file);
	h->n = 0;
}

bool headers_refresh(struct headers *h, struct buf *ret_error)
{
	_buf_ struct buf unread = {.max = 1024};

	if (h->file.path && watched_file_changed(&h->file))
		(void)read_file(h, &unread);
	return say_wrong(h, ret_error) == 0;
}
