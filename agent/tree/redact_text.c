/*
 * What must go from a text. One pass from left to right: most bytes can begin
 * nothing and are passed over; at the others it is asked what stands there. Every
 * look ahead or back is bounded or never made twice, so that the time is linear
 * whatever the text is.
 */
#include "base/mem.h"
#include "tree/redact_parts.h"

#include <assert.h>

#define MAX_KEY	     128  /* bytes of a key or flag looked back for */
#define MAX_USERINFO 1024 /* bytes of userinfo looked for */
#define MAX_PROBE    512  /* bytes of a value that is looked at to keep it; a longer one goes */
#define MAX_MARKED   64	  /* bytes behind a mark that are looked at */
#define MIN_LONG     32	  /* shorter texts cannot have a run of high entropy */
#define MIN_MARKED   11	  /* shorter texts hold no marked key, scheme or PEM block */

enum {
	WORD = 1, /* may begin a marked key at the start of a word */
	COLON = 2,
	EQUALS = 4,
	AT = 8,
	SPACE = 16,
	DASH = 32,
	RUN = 64, /* a token character */
	ALNUM = 128,
};

static const uint8_t classes[256] = {
	['A' ... 'B'] = ALNUM | RUN | WORD,
	['S'] = ALNUM | RUN | WORD,
	['a' ... 'b'] = ALNUM | RUN | WORD,
	['d' ... 'e'] = ALNUM | RUN | WORD,
	['g' ... 'h'] = ALNUM | RUN | WORD,
	['n'] = ALNUM | RUN | WORD,
	['p'] = ALNUM | RUN | WORD,
	['r' ... 's'] = ALNUM | RUN | WORD,
	['w' ... 'y'] = ALNUM | RUN | WORD,
	['0' ... '9'] = ALNUM | RUN,
	['C' ... 'R'] = ALNUM | RUN,
	['T' ... 'Z'] = ALNUM | RUN,
	['c'] = ALNUM | RUN,
	['f'] = ALNUM | RUN,
	['i' ... 'm'] = ALNUM | RUN,
	['o'] = ALNUM | RUN,
	['q'] = ALNUM | RUN,
	['t' ... 'v'] = ALNUM | RUN,
	['z'] = ALNUM | RUN,
	['+'] = RUN,
	['/'] = RUN,
	['_'] = RUN,
	[':'] = COLON,
	['='] = EQUALS,
	['@'] = AT,
	[' '] = SPACE,
	['\t'] = SPACE,
	['\n'] = SPACE,
	['-'] = RUN | DASH,
};

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_quote(char c)
{
	return c == '"' || c == '\'' || c == '`';
}

/* Of keys in texts: "spring.datasource.password", "--api-key". */
static bool is_key_char(char c)
{
	return is_alnum(c) || c == '_' || c == '-' || c == '.';
}

static void found(struct search *s, size_t from, size_t to, enum redact_found what)
{
	assert(from < to && to <= s->s.n);
	if (!s->n || from >= s->spans[s->n - 1].to)
		s->counts[what]++;
	while (s->n && from <= s->spans[s->n - 1].to) {
		from = MIN(from, s->spans[s->n - 1].from);
		to = MAX(to, s->spans[s->n - 1].to);
		s->n--;
	}
	if (s->n == REDACT_MAX_SPANS)
		s->all = true;
	else
		s->spans[s->n++] = (struct span){from, to};
}

static bool at(const struct search *s, size_t i, struct str what)
{
	return str_starts(str_from(s->s, i), what);
}

static bool at_any_case(const struct search *s, size_t i, struct str what)
{
	return s->s.n - i >= what.n && strncasecmp(s->s.p + i, what.p, what.n) == 0;
}

/* ---- marked keys ---- */

/* Behind so many characters of the alphabet it is a key; a hyphenated word ends the run. */
static const struct marked {
	struct str prefix;
	uint32_t least;
	bool unbroken; /* the characters stand together: a prefix that words may have, too */
} marked[] = {
	{STR("AKIA"), 16, true},	 {STR("ASIA"), 16, true},
	{STR("AIza"), 30, false},	 {STR("AGE-SECRET-KEY-1"), 20, true},
	{STR("SG."), 20, true},		 {STR("ghp_"), 16, true},
	{STR("gho_"), 16, true},	 {STR("ghu_"), 16, true},
	{STR("ghs_"), 16, true},	 {STR("ghr_"), 16, true},
	{STR("github_pat_"), 16, false}, {STR("glpat-"), 16, false},
	{STR("gldt-"), 16, false},	 {STR("glrt-"), 16, false},
	{STR("xoxa-"), 8, false},	 {STR("xoxb-"), 8, false},
	{STR("xoxe-"), 8, false},	 {STR("xoxe."), 8, false},
	{STR("xoxo-"), 8, false},	 {STR("xoxp-"), 8, false},
	{STR("xoxr-"), 8, false},	 {STR("xoxs-"), 8, false},
	{STR("xapp-"), 16, false},	 {STR("sk-"), 16, true},
	{STR("sk_live_"), 12, true},	 {STR("sk_test_"), 12, true},
	{STR("rk_live_"), 12, true},	 {STR("whsec_"), 12, true},
	{STR("npm_"), 24, true},	 {STR("pypi-AgE"), 16, false},
	{STR("hvs."), 20, false},	 {STR("hvb."), 20, false},
	{STR("dop_v1_"), 24, true},	 {STR("ya29."), 16, false},
};

static bool is_key_body(char c)
{
	return is_alnum(c) || c == '_' || c == '-' || c == '.' || c == '/' || c == '+' || c == '=';
}

static size_t end_of_body(const struct search *s, size_t i)
{
	while (i < s->s.n && is_key_body(s->s.p[i]))
		i++;
	return i;
}

static size_t longest_piece(struct str body)
{
	size_t best = 0, run = 0;

	for (size_t i = 0; i < body.n; i++) {
		run = is_alnum(body.p[i]) ? run + 1 : 0;
		best = MAX(best, run);
	}
	return best;
}

/* By the second character, which turns nearly all words away. */
static bool may_be_marked(char first, char second)
{
	switch (first) {
	case 'A':
		return second == 'K' || second == 'S' || second == 'I' || second == 'G';
	case 'S':
		return second == 'G';
	case 'd':
		return second == 'o';
	case 'g':
		return second == 'h' || second == 'i' || second == 'l' || second == 'd';
	case 'h':
		return second == 'v';
	case 'n':
		return second == 'p';
	case 'p':
		return second == 'y';
	case 'r':
	case 's':
		return second == 'k';
	case 'w':
		return second == 'h';
	case 'x':
		return second == 'o' || second == 'a';
	case 'y':
		return second == 'a';
	default:
		return false;
	}
}

static size_t provider_key(struct search *s, size_t i)
{
	if (i + 1 == s->s.n || !may_be_marked(s->s.p[i], s->s.p[i + 1]))
		return 0;
	for (size_t k = 0; k < ARRAY_SIZE(marked); k++) {
		const struct marked *m = &marked[k];
		size_t body = i + m->prefix.n, to;

		if (s->s.p[i] != m->prefix.p[0] || !at(s, i, m->prefix))
			continue;
		/* No further than can matter, for a text may begin many times. */
		for (to = body; to < s->s.n && to < body + MAX_MARKED && is_key_body(s->s.p[to]);)
			to++;
		if (to - body < m->least ||
		    (m->unbroken && longest_piece(str_make(s->s.p + body, to - body)) < m->least))
			continue;
		to = end_of_body(s, body);
		found(s, i, to, REDACT_PROVIDER_KEY);
		return to;
	}
	return 0;
}

/* "hooks.slack.com/services/T000/B000/XXXX": the path is the secret. */
static size_t slack_hook(struct search *s, size_t i)
{
	static const struct str hook = STR("hooks.slack.com/services/");
	size_t to;

	if (!at(s, i, hook))
		return 0;
	to = end_of_body(s, i + hook.n);
	if (to == i + hook.n)
		return 0;
	found(s, i + hook.n, to, REDACT_PROVIDER_KEY);
	return to;
}

/* JSON in base64url, dot, the same again: "eyJhbGciOi.eyJzdWIiOi.c2lnbmF0dXJl", also of two or five
 * parts. *no_more: up to there nothing more of the kind begins. */
static size_t jwt(struct search *s, size_t i, size_t *no_more)
{
	size_t to = i, dots = 0;

	if (i < *no_more || !at(s, i, STR("eyJ")))
		return 0;
	while (to < s->s.n && (is_alnum(s->s.p[to]) || s->s.p[to] == '-' || s->s.p[to] == '_' ||
			       (s->s.p[to] == '.' && to + 1 < s->s.n && s->s.p[to - 1] != '.')))
		dots += s->s.p[to++] == '.';
	*no_more = to;
	if (!dots || to - i < 20)
		return 0;
	found(s, i, to, REDACT_JWT);
	return to;
}

static size_t pem(struct search *s, size_t i)
{
	static const struct str begin = STR("-----BEGIN "), end = STR("-----END ");
	const char *last, *line;
	size_t to = s->s.n;

	if (!at(s, i, begin))
		return 0;
	last = memmem(s->s.p + i, s->s.n - i, end.p, end.n);
	if (last) {
		to = (size_t)(last - s->s.p) + end.n;
		line = memmem(s->s.p + to, s->s.n - to, "-----", 5);
		to = line ? (size_t)(line - s->s.p) + 5 : s->s.n;
	}
	found(s, i, to, REDACT_PEM); /* without its end: all that is left */
	return to;
}

/* ---- Authorization ---- */

static size_t end_of_token(const struct search *s, size_t i)
{
	while (i < s->s.n && !is_blank(s->s.p[i]) && !is_quote(s->s.p[i]) && s->s.p[i] != '\\' &&
	       s->s.p[i] != ',' && s->s.p[i] != ';' && s->s.p[i] != '<' && s->s.p[i] != '>')
		i++;
	return i;
}

/* Not "Bearer token", "Basic authentication" and what else is said of them. */
static bool is_credential(struct str token, bool basic)
{
	bool digit = false, upper = false, odd = false;

	if (value_is_reference(token))
		return false;
	for (size_t i = 0; i < token.n; i++) {
		digit = digit || (token.p[i] >= '0' && token.p[i] <= '9');
		upper = upper || (i && token.p[i] >= 'A' && token.p[i] <= 'Z');
		odd = odd || token.p[i] == '=' || token.p[i] == '_' || token.p[i] == '+';
	}
	return token.n >= 6 &&
	       (digit || odd || (basic ? upper && token.n % 4 == 0 : upper) || token.n >= 24);
}

static size_t scheme(struct search *s, size_t i)
{
	bool basic = at_any_case(s, i, STR("basic "));
	size_t from, to;

	if (!basic && !at_any_case(s, i, STR("bearer ")))
		return 0;
	for (from = i + (basic ? 6 : 7); from < s->s.n && s->s.p[from] == ' ';)
		from++;
	to = end_of_token(s, from);
	if (!is_credential(str_make(s->s.p + from, to - from), basic))
		return 0;
	found(s, from, to, REDACT_AUTHORIZATION);
	return to;
}

/* "Authorization: SCHEME ...": all of it. */
static size_t authorization(struct search *s, size_t i)
{
	static const struct str header = STR("authorization");
	size_t from, to;

	if (!at_any_case(s, i, header))
		return 0;
	from = i + header.n;
	while (from < s->s.n && (is_quote(s->s.p[from]) || s->s.p[from] == '\\'))
		from++;
	if (from >= s->s.n || (s->s.p[from] != ':' && s->s.p[from] != '='))
		return 0;
	for (from++; from < s->s.n &&
		     (is_quote(s->s.p[from]) || s->s.p[from] == '\\' || s->s.p[from] == ' ');)
		from++;
	for (to = from;
	     to < s->s.n && !is_quote(s->s.p[to]) && s->s.p[to] != '\n' && s->s.p[to] != '\\';)
		to++;
	if (to == from || value_is_reference(str_make(s->s.p + from, to - from)))
		return 0;
	found(s, from, to, REDACT_AUTHORIZATION);
	return to;
}

/* ---- URLs ---- */

static bool ends_authority(char c)
{
	return is_blank(c) || is_quote(c) || c == '<' || c == '>' || c == '\\';
}

/* The first '@' from here on; looked for once, however often it is asked for. */
static size_t next_at(struct search *s, size_t from)
{
	const char *p;

	if (s->next_at < from) {
		p = memchr(s->s.p + from, '@', s->s.n - from);
		s->next_at = p ? (size_t)(p - s->s.p) : s->s.n;
	}
	return s->next_at;
}

static bool is_port(const struct search *s, size_t from, size_t to)
{
	while (from < to && s->s.p[from] >= '0' && s->s.p[from] <= '9')
		from++;
	return from == to;
}

/* Where the userinfo ends (at its '@'), or 0. People put raw slashes into passwords, so behind
 * "user:" only a port number and a slash say that there is none. */
static size_t end_of_userinfo(struct search *s, size_t from)
{
	size_t limit = MIN(s->s.n, from + MAX_USERINFO), colon = 0, last = 0;

	if (next_at(s, from) >= limit)
		return 0;
	for (size_t i = from; i < limit && !ends_authority(s->s.p[i]); i++) {
		char c = s->s.p[i];

		if (c == ':' && !colon)
			colon = i;
		else if (c == '@')
			last = i;
		else if ((c == '/' || c == '?' || c == '#') &&
			 (!colon || last || is_port(s, colon + 1, i)))
			break;
	}
	return last;
}

static bool names_a_person(const struct search *s, size_t scheme_end, size_t from, size_t to)
{
	static const struct str shells[] = {STR("ssh"), STR("git"), STR("sftp"), STR("rsync")};
	struct str before = str_make(s->s.p, scheme_end);

	if (memchr(s->s.p + from, ':', to - from))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(shells); i++)
		if (str_ends(before, shells[i]))
			return true;
	return false;
}

/* `i` is at "://". */
static size_t userinfo(struct search *s, size_t i)
{
	size_t from = i + 3, to;

	if (!at(s, i, STR("://")))
		return 0;
	to = end_of_userinfo(s, from);
	if (to <= from || names_a_person(s, i, from, to) ||
	    value_is_reference(str_make(s->s.p + from, to - from)))
		return 0;
	found(s, from, to, REDACT_URL_USERINFO);
	return to;
}

/* "user:password@tcp(host:3306)/db", as Go's MySQL driver takes it. */
static size_t dsn(struct search *s, size_t i)
{
	size_t from = i, limit = i > MAX_USERINFO ? i - MAX_USERINFO : 0;

	if (s->n)
		limit = MAX(limit, s->spans[s->n - 1].to);
	if (!at(s, i, STR("@tcp(")) && !at(s, i, STR("@unix(")))
		return 0;
	while (from > limit && !is_blank(s->s.p[from - 1]) && !is_quote(s->s.p[from - 1]) &&
	       s->s.p[from - 1] != '=')
		from--;
	if (from == i || value_is_reference(str_make(s->s.p + from, i - from)))
		return 0;
	found(s, from, i, REDACT_URL_USERINFO);
	return i + 1;
}

/* ---- keys and flags ---- */

/* The name that ends at `to`; quotes and backslashes between are JSON's. *ret_from: where it
 * begins. */
static struct str key_before(const struct search *s, size_t to, size_t *ret_from)
{
	size_t end = to, from;

	while (end &&
	       (is_quote(s->s.p[end - 1]) || s->s.p[end - 1] == '\\' || s->s.p[end - 1] == ' ') &&
	       to - end < 8)
		end--;
	for (from = end; from && end - from < MAX_KEY && is_key_char(s->s.p[from - 1]);)
		from--;
	*ret_from = from;
	return str_make(s->s.p + from, end - from);
}

/* Whether the quote at `i` closes what was opened behind so many backslashes: JSON within JSON has
 * more of them before a quote that belongs to the text. */
static bool closes(const struct search *s, size_t from, size_t i, size_t opened)
{
	size_t n = 0;

	while (i - n > from && s->s.p[i - n - 1] == '\\')
		n++;
	return n <= opened || (!opened && n % 2 == 0);
}

struct value {
	size_t from, to;
	char quote; /* 0: none */
};

/* Within quotes up to the closing one, else up to a blank. */
static struct value value_behind(const struct search *s, size_t i)
{
	struct value v = {0};
	size_t slashes = 0;

	for (; i < s->s.n && !v.quote; i++) {
		if (is_quote(s->s.p[i]))
			v.quote = s->s.p[i];
		else if (s->s.p[i] == '\\')
			slashes++;
		else if (s->s.p[i] != ' ')
			break;
	}
	v.from = i;
	for (; i < s->s.n; i++) {
		char c = s->s.p[i];

		if (!v.quote && (is_blank(c) || is_quote(c) || c == '&' || c == '\\'))
			break;
		if (c != v.quote || !v.quote || !closes(s, v.from, i, slashes))
			continue;
		if (c != '\'' || i + 1 == s->s.n || s->s.p[i + 1] != '\'')
			break;
		i++; /* two of them are one, in YAML and SQL */
	}
	v.to = i;
	while (v.quote && slashes && v.to > v.from && s->s.p[v.to - 1] == '\\')
		v.to--;
	return v;
}

static struct str value_text(const struct search *s, struct value v)
{
	return str_make(s->s.p + v.from, v.to - v.from);
}

static bool must_go(enum name_says says, struct str value)
{
	if (value.n > MAX_PROBE)
		return true;
	if (value_is_reference(value))
		return false;
	return says == NAME_SECRET || !value_is_path(value);
}

/* Behind ':' prose is common: there the key begins a line or is quoted, and the value is one word,
 * or quoted. */
static bool begins_mapping(const struct search *s, size_t key)
{
	char c;

	while (key && (s->s.p[key - 1] == ' ' || s->s.p[key - 1] == '\t' || s->s.p[key - 1] == '-'))
		key--;
	c = key ? s->s.p[key - 1] : '\n';
	return c == '\n' || c == '{' || c == ',' || c == ';' || is_quote(c);
}

static bool ends_mapping(const struct search *s, size_t i)
{
	char c;

	while (i < s->s.n && (s->s.p[i] == ' ' || s->s.p[i] == '\t' || s->s.p[i] == '\r'))
		i++;
	c = i < s->s.n ? s->s.p[i] : '\n';
	return c == '\n' || c == '#' || c == ',' || c == '}' || c == '\\' || is_quote(c);
}

/* The start of the line that `i` is in; 0, too, when it is far. */
static size_t line_start(const struct search *s, size_t i)
{
	size_t from = i;

	while (from && i - from < MAX_KEY && s->s.p[from - 1] != '\n')
		from--;
	return from && s->s.p[from - 1] != '\n' ? 0 : from;
}

/* "- name: DB_HOST" */
static bool names_variable(struct str line)
{
	line = str_trim(line);
	if (str_starts(line, STR("- ")))
		line = str_trim(str_from(line, 2));
	if (!str_starts(line, STR("name:")))
		return false;
	line = str_trim(str_from(line, 5));
	for (size_t i = 0; i < line.n; i++)
		if (!(line.p[i] >= 'A' && line.p[i] <= 'Z') && line.p[i] != '_' &&
		    !(line.p[i] >= '0' && line.p[i] <= '9'))
			return false;
	return line.n > 0;
}

/* An environment variable of a manifest in YAML: its name stands on the line before. */
static size_t yaml_env(struct search *s, size_t i)
{
	size_t line, before, from = i + 1, to;
	struct str value;

	if (i < 5 || memcmp(s->s.p + i - 5, "value", 5) != 0)
		return 0;
	line = line_start(s, i);
	if (line < 2 || !str_eq(str_trim(str_make(s->s.p + line, i - line)), STR("value")))
		return 0;
	before = line_start(s, line - 1);
	if (!names_variable(str_make(s->s.p + before, line - 1 - before)))
		return 0;
	while (from < s->s.n && (s->s.p[from] == ' ' || is_quote(s->s.p[from])))
		from++;
	for (to = from; to < s->s.n && s->s.p[to] != '\n';)
		to++;
	while (to > from && (is_blank(s->s.p[to - 1]) || is_quote(s->s.p[to - 1])))
		to--;
	value = str_make(s->s.p + from, to - from);
	if (!value.n || value_is_reference(value))
		return 0;
	found(s, from, to, REDACT_ENV_VALUE);
	return to;
}

/* `i` is at '=' or ':'. */
static size_t assignment(struct search *s, size_t i)
{
	bool mapping = s->s.p[i] == ':';
	size_t key_from;
	enum name_says says = name_says(key_before(s, i, &key_from));
	struct value v;

	if (says == NAME_HARMLESS || (mapping && !begins_mapping(s, key_from)))
		return 0;
	v = value_behind(s, i + 1);
	/* A flag that is a word of its own may hold blanks and anything else. */
	if (!mapping && !v.quote && key_from == 0 && s->s.p[0] == '-')
		v.to = s->s.n;
	if (v.from == v.to || !must_go(says, value_text(s, v)))
		return 0;
	if (mapping && v.to - v.from <= MAX_PROBE &&
	    ((!v.quote && !ends_mapping(s, v.to)) ||
	     (says == NAME_VAGUE && value_is_name(value_text(s, v)))))
		return 0;
	found(s, v.from, v.to, REDACT_FLAG);
	return v.to;
}

bool text_is_flag(struct str word)
{
	return word.n > 3 && word.n <= MAX_KEY && word.p[0] == '-' &&
	       !memchr(word.p, '=', word.n) && name_says(word) != NAME_HARMLESS;
}

/* What follows a flag in prose: "--token is deprecated". */
static bool is_prose(struct str value)
{
	static const struct str words[] = {
		STR("to"),   STR("is"),	 STR("and"), STR("or"),	    STR("flag"), STR("flags"),
		STR("for"),  STR("in"),	 STR("as"),  STR("option"), STR("when"), STR("with"),
		STR("must"), STR("can"), STR("may"), STR("will"),   STR("if"),	 STR("should"),
		STR("are"),  STR("was"), STR("has"), STR("options")};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (str_eq(value, words[i]))
			return true;
	return false;
}

/* "--password hunter2"; `i` is at the blank. */
static size_t flag(struct search *s, size_t i)
{
	size_t from = i, key_from;
	struct str name, value;
	struct value v;

	if (!i || !is_key_char(s->s.p[i - 1]))
		return 0;
	name = key_before(s, i, &key_from);
	if (!text_is_flag(name))
		return 0;
	while (from < s->s.n && (is_blank(s->s.p[from]) || s->s.p[from] == '\\'))
		from++;
	if (from == s->s.n || s->s.p[from] == '-')
		return 0;
	v = value_behind(s, from);
	value = value_text(s, v);
	if (!value.n || is_prose(value) || !must_go(name_says(name), value))
		return 0;
	found(s, v.from, v.to, REDACT_FLAG);
	return v.to;
}

/* "-u name:password", "--user name:password"; `i` is at the blank. */
static size_t user_flag(struct search *s, size_t i)
{
	struct value v;
	struct str value, user;

	if (!(i >= 2 && at(s, i - 2, STR("-u")) && (i == 2 || is_blank(s->s.p[i - 3]))) &&
	    !(i >= 6 && at(s, i - 6, STR("--user"))))
		return 0;
	v = value_behind(s, i + 1);
	value = value_text(s, v);
	/* "1000:1000" is a user and a group. */
	if (!str_split(&value, ':', &user) || !value.n || str_starts(value, STR("//")) ||
	    is_port(s, v.from, v.from + user.n))
		return 0;
	found(s, v.from, v.to, REDACT_FLAG);
	return v.to;
}

/* ---- the pass ---- */

static size_t at_word(struct search *s, size_t i, size_t *no_more)
{
	size_t to;

	switch (s->s.p[i]) {
	case 'e':
		return jwt(s, i, no_more);
	case 'b':
	case 'B':
		return scheme(s, i);
	case 'a':
		return authorization(s, i);
	case 'A':
		to = authorization(s, i);
		return to ? to : provider_key(s, i);
	case 'h':
		to = slack_hook(s, i);
		return to ? to : provider_key(s, i);
	default:
		return provider_key(s, i);
	}
}

static size_t look(struct search *s, size_t i, size_t *no_more)
{
	uint8_t c = classes[(unsigned char)s->s.p[i]];
	size_t to = 0;

	if (c & WORD && (!i || !is_alnum(s->s.p[i - 1])))
		return at_word(s, i, no_more);
	if (c & COLON) {
		to = userinfo(s, i);
		if (!to)
			to = yaml_env(s, i);
	}
	if (!to && c & (COLON | EQUALS))
		to = assignment(s, i);
	if (c & AT)
		to = dsn(s, i);
	if (c & DASH)
		to = pem(s, i);
	if (c & SPACE) {
		to = flag(s, i);
		if (!to)
			to = user_flag(s, i);
	}
	return to;
}

static size_t end_of_run(const struct search *s, size_t i)
{
	while (i < s->s.n && (classes[(unsigned char)s->s.p[i]] & RUN))
		i++;
	return i;
}

/* The next place where something may begin: a byte of these classes, or a letter of WORD at the
 * start of a word. */
static size_t next_place(const struct search *s, size_t i, size_t limit, uint8_t mask)
{
	uint8_t before = i ? classes[(unsigned char)s->s.p[i - 1]] : 0;

	for (; i < limit; i++) {
		uint8_t c = classes[(unsigned char)s->s.p[i]];

		if ((c & mask & ~WORD) || (c & mask & WORD && !(before & ALNUM)))
			break;
		before = c;
	}
	return i;
}

void text_search(struct search *s)
{
	const uint8_t all = WORD | COLON | EQUALS | AT | SPACE | DASH | RUN;
	uint8_t mask = s->s.n >= MIN_LONG     ? all
		       : s->s.n >= MIN_MARKED ? all & ~RUN
					      : COLON | EQUALS | AT | SPACE;
	size_t i = 0, run_end = 0, no_more = 0, to;

	while (i < s->s.n && !s->all) {
		bool in_run = i < run_end, fresh;
		uint8_t m = in_run ? mask & ~RUN : mask;
		size_t limit = in_run ? run_end : s->s.n;

		i = next_place(s, i, limit, m);
		if (i == limit)
			continue;
		fresh = !in_run && (classes[(unsigned char)s->s.p[i]] & m & RUN);
		if (fresh)
			run_end = end_of_run(s, i);
		to = look(s, i, &no_more);
		if (!to && fresh && run_end - i >= MIN_LONG &&
		    entropy_is_high(str_make(s->s.p + i, run_end - i))) {
			for (to = run_end; to < s->s.n && s->s.p[to] == '=';)
				to++;
			found(s, i, to, REDACT_ENTROPY);
		}
		i = to ? to : i + 1;
	}
}
