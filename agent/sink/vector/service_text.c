/* Error texts of services; see service_text.h. */
#include "sink/vector/service_text.h"

#include "base/json_in.h"
#include "base/mem.h"

#include <ctype.h>
#include <errno.h>

#define MASK STR("[redacted]")

enum vector_outcome service_outcome(int status)
{
	if (status >= 200 && status < 300)
		return VECTOR_OK;
	switch (status) {
	case 400:
	case 413:
	case 422:
		return VECTOR_SPLIT;
	case 404:
	case 410:
		return VECTOR_GONE;
	case 408:
	case 424: /* TEI: its model's process failed */
	case 425:
	case 429:
		return VECTOR_RETRY;
	case 501: /* Triton: the model cannot do this at all */
	case 507: /* Qdrant: the quota is used up */
		return VECTOR_REFUSED;
	default:
		return status >= 500 ? VECTOR_RETRY : VECTOR_REFUSED;
	}
}

/* --- credentials --------------------------------------------------------- */

/* What may stand inside a token, key or password. */
static bool token_byte(char c)
{
	return isalnum((unsigned char)c) || (c && strchr("-._~+/=%*", c));
}

static size_t token_length(struct str s)
{
	size_t n = 0;

	while (n < s.n && token_byte(s.p[n]))
		n++;
	return n;
}

static size_t skip(struct str s, const char *bytes)
{
	size_t n = 0;

	while (n < s.n && s.p[n] && strchr(bytes, s.p[n]))
		n++;
	return n;
}

static bool looks_secret(struct str s)
{
	if (s.n >= 16)
		return true;
	for (size_t i = 0; i < s.n && s.n >= 4; i++)
		if (isdigit((unsigned char)s.p[i]))
			return true;
	return false;
}

/* A credential at the start of `s`: bytes before it that stay, and its own; 0 own: none. */
struct found {
	size_t before, own;
};

static bool starts(struct str s, const char *prefix)
{
	size_t n = strlen(prefix);

	return s.n >= n && strncasecmp(s.p, prefix, n) == 0;
}

/* "Bearer abc", "api-key: abc", "\"token\":\"abc\"". */
static struct found find_named(struct str s)
{
	static const char *const names[] = {"bearer",	     "basic",	 "api-key",	  "api_key",
					    "apikey",	     "api key",	 "token",	  "secret",
					    "authorization", "password", "x-chroma-token"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		size_t n = strlen(names[i]), gap;
		struct found f = {0};

		if (!starts(s, names[i]))
			continue;
		gap = skip(str_from(s, n), i < 2 ? " " : "\"' :=");
		f.before = n + gap;
		f.own = token_length(str_from(s, f.before));
		if (gap && looks_secret(str_make(s.p + f.before, f.own)))
			return f;
	}
	return (struct found){0};
}

/* Keys of services that can be told by how they begin. */
static struct found find_key(struct str s)
{
	static const char *const begins[] = {"sk-",  "hf_",	    "eyJ", "pa-",
					     "ghp_", "github_pat_", "AKIA"};
	size_t n = token_length(s);

	for (size_t i = 0; i < ARRAY_SIZE(begins); i++)
		if (n >= 12 && str_starts(s, str_of(begins[i])))
			return (struct found){.own = n};
	return (struct found){0};
}

/* "://user:password@". */
static struct found find_user(struct str s)
{
	size_t n = 3;

	if (!str_starts(s, STR("://")))
		return (struct found){0};
	while (n < s.n && (unsigned char)s.p[n] > ' ' && !strchr("/?#\"'<>", s.p[n])) {
		if (s.p[n] == '@')
			return (struct found){.before = 3, .own = n - 3};
		n++;
	}
	return (struct found){0};
}

static struct found find(struct str s, struct str secret, bool word_start)
{
	struct found f;

	if (secret.n && str_starts(s, secret))
		return (struct found){.own = secret.n};
	f = find_user(s);
	if (!f.own && word_start)
		f = find_key(s);
	if (!f.own && word_start)
		f = find_named(s);
	return f;
}

/* --- one line ------------------------------------------------------------ */

/* One character: as it is, a blank for blanks and controls, '?' for what is no UTF-8. */
static int put_char(struct buf *ret, struct str s, size_t *ret_n)
{
	size_t n = str_utf8(s);
	struct str held = buf_str(ret);

	*ret_n = n ? n : 1;
	if (n > 1)
		return buf_append(ret, s.p, n);
	if (!n)
		return buf_append_str(ret, s.p[0] ? STR("?") : STR(" "));
	if ((unsigned char)s.p[0] > ' ' && s.p[0] != 0x7f)
		return buf_append(ret, s.p, 1);
	return held.n && held.p[held.n - 1] == ' ' ? 0 : buf_append_str(ret, STR(" "));
}

int service_clean(struct str text, struct str secret, struct buf *ret)
{
	bool word_start = true;
	int r = 0;

	text = str_trim(text);
	while (text.n && r == 0) {
		struct found f = find(text, secret, word_start);
		size_t n = f.before;

		if (f.own) {
			r = buf_append(ret, text.p, f.before);
			if (r == 0)
				r = buf_append_str(ret, MASK);
			n += f.own;
		} else {
			r = put_char(ret, text, &n);
		}
		word_start = !isalnum((unsigned char)text.p[n - 1]);
		text = str_from(text, n);
	}
	return r;
}

/* --- where it stands ----------------------------------------------------- */

static struct str first_text(json_t *root)
{
	static const char *const keys[] = {"error", "message", "detail"};
	struct str s = json_in_text(json_in_at(root, "error", "message"));

	for (size_t i = 0; i < ARRAY_SIZE(keys) && !s.n; i++)
		s = json_in_member(root, keys[i]);
	return s.n ? s : json_in_text(json_in_at(root, "status", "error"));
}

/* Chroma has a class in `error` and says what is wrong in `message`. */
static int put_text(json_t *root, struct str body, struct str secret, struct buf *line)
{
	struct str s = first_text(root), more = json_in_member(root, "message");
	int r = service_clean(s.n ? s : body, secret, line);

	if (r < 0 || !json_in_member(root, "error").n || !more.n)
		return r;
	r = buf_append_str(line, STR(": "));
	return r < 0 ? r : service_clean(more, secret, line);
}

int service_error_text(struct str body, struct str secret, struct buf *ret)
{
	_json_ json_t *root = NULL;
	_buf_ struct buf line = {.max = (size_t)SERVICE_BODY_MAX * 11}; /* masks are longer */
	struct str s;
	int r;

	body.n = MIN(body.n, (size_t)SERVICE_BODY_MAX);
	root = json_in_parse(body, JSON_ALLOW_NUL);
	r = put_text(root, body, secret, &line);
	if (r < 0)
		return r;
	s = buf_str(&line);
	if (s.n > SERVICE_TEXT_MAX)
		s.n = SERVICE_TEXT_MAX;
	while (s.n && s.n < buf_str(&line).n && ((unsigned char)s.p[s.n] & 0xc0) == 0x80)
		s.n--; /* not inside a character */
	return buf_append_str(ret, str_trim(s));
}
