/* The head of an answer; see head.h. */
#include "http/head.h"

#include <errno.h>

void http_head_init(struct http_head *d, size_t max)
{
	*d = (struct http_head){0};
	buf_init(&d->lines, max);
}

void http_head_done(struct http_head *d)
{
	buf_done(&d->lines);
}

/* "HTTP/1.1 200 OK" (RFC 9112 section 4). */
static int head_status(struct http_head *d, struct str line)
{
	unsigned long long status;
	struct str version;

	(void)str_split(&line, ' ', &version);
	line = str_trim(line);
	if (line.n < 3 || str_to_u64(str_make(line.p, 3), &status) < 0 || status < 100)
		return -EBADMSG;
	buf_reset(&d->lines);
	d->status = (int)status;
	return 0;
}

int http_head_line(struct http_head *d, struct str line)
{
	if (d->complete)
		return 0;
	if (str_starts(line, STR("HTTP/")))
		return head_status(d, line);
	if (!d->status)
		return -EBADMSG;
	if (str_empty(str_trim(line))) {
		d->complete = d->status >= 200;
		return d->complete;
	}
	return buf_append_str(&d->lines, line);
}

struct str http_head_field(const struct http_head *d, struct str name)
{
	struct str rest = buf_str(&d->lines);

	while (rest.n) {
		struct str line, key;

		(void)str_split(&rest, '\n', &line);
		if (str_split(&line, ':', &key) && str_ieq(key, name))
			return str_trim(line);
	}
	return (struct str){0};
}
