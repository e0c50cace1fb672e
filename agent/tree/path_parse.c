/*
 * The compiler of JSONPath expressions: recursive descent, one byte at a time. The
 * first fault ends it, with a mark under the place.
 */
#include "base/mem.h"
#include "decode/text.h"
#include "tree/path_parts.h"

#include <errno.h>

struct parse {
	struct arena *a;
	struct str s;
	size_t at;
	struct buf *error;
	uint32_t n_deep, n_nest, n_ways;
};

/* The sentence, the expression, and a mark under the byte `at`. */
static int fault(struct parse *p, size_t at, const char *sentence)
{
	struct buf *b = p->error;
	size_t column = 0, n;
	int r = buf_printf(b, "%s\n  ", sentence);

	for (size_t i = 0; i < p->s.n && r == 0; i += n) {
		n = MAX(str_utf8(str_from(p->s, i)), (size_t)1);
		if (i < at)
			column++;
		r = (unsigned char)p->s.p[i] < 0x20 ? buf_append(b, " ", 1)
						    : buf_append(b, p->s.p + i, n);
	}
	if (r == 0)
		r = buf_printf(b, "\n  %*s^", (int)column, "");
	return r == -ENOMEM ? r : -EINVAL;
}

static char peek(const struct parse *p)
{
	return p->at < p->s.n ? p->s.p[p->at] : '\0';
}

static bool over(const struct parse *p)
{
	return p->at >= p->s.n;
}

static bool accept(struct parse *p, char c)
{
	if (over(p) || peek(p) != c)
		return false;
	p->at++;
	return true;
}

static void skip_space(struct parse *p)
{
	while (accept(p, ' ') || accept(p, '\t'))
		;
}

static struct step *add_step(struct parse *p, enum step_type type, const struct step ***link)
{
	struct step *s = arena_alloc(p->a, sizeof(*s));

	if (!s)
		return NULL;
	*s = (struct step){.type = type};
	**link = s;
	*link = &s->next;
	return s;
}

/* ---- names ---- */

static bool ends_name(char c)
{
	return c == '.' || c == '[' || c == ']' || c == '(' || c == ')' || c == ' ' || c == '\t' ||
	       c == '=' || c == '!' || c == '<' || c == '>' || c == ',' || c == '\'' || c == '"' ||
	       c == '$' || c == '@' || c == '{' || c == '}' || c == '*' || c == '?' || c == ':';
}

/* A plain name; a backslash makes any byte part of it. */
static int plain_name(struct parse *p, struct str *ret)
{
	char *text = arena_alloc(p->a, p->s.n);
	size_t n = 0;

	if (!text)
		return -ENOMEM;
	while (!over(p) && !ends_name(peek(p))) {
		if (peek(p) == '\\' && ++p->at == p->s.n)
			return fault(p, p->at, "expected a character behind '\\'");
		text[n++] = p->s.p[p->at++];
	}
	if (!n)
		return fault(p, p->at, "expected a name");
	*ret = str_make(text, n);
	return 0;
}

/* p->at is at the opening quote. *ret_escaped: a backslash was there. */
static int quoted(struct parse *p, struct str *ret, bool *ret_escaped)
{
	size_t start = p->at, n = 0;
	char quote = p->s.p[p->at++];
	char *text = arena_alloc(p->a, p->s.n);

	if (!text)
		return -ENOMEM;
	*ret_escaped = false;
	while (!over(p) && peek(p) != quote) {
		if (peek(p) == '\\' && p->at + 1 < p->s.n) {
			p->at++;
			*ret_escaped = true;
		}
		text[n++] = p->s.p[p->at++];
	}
	if (!accept(p, quote))
		return fault(p, start, "this quote is not closed");
	*ret = str_make(text, n);
	return 0;
}

static int name_step(struct parse *p, const struct step ***link)
{
	bool wild = accept(p, '*');
	struct step *s = add_step(p, wild ? STEP_WILD : STEP_NAME, link);

	if (!s)
		return -ENOMEM;
	return wild ? 0 : plain_name(p, &s->name);
}

/* ---- brackets ---- */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* An integer, or nothing: *ret stays. */
static int number(struct parse *p, int64_t *ret, bool *ret_found)
{
	size_t from = p->at;

	*ret_found = false;
	(void)accept(p, '-');
	while (is_digit(peek(p)))
		p->at++;
	if (p->at == from)
		return 0;
	*ret_found = true;
	if (text_int(str_make(p->s.p + from, p->at - from), INT32_MIN, INT32_MAX, ret) < 0)
		return fault(p, from, "not a number that can be an index");
	return 0;
}

/* [3], [-1], [1:3], [:2], [::2] */
static int slice(struct parse *p, struct step *s)
{
	size_t start = p->at;
	bool found, colon = false;
	int r;

	*s = (struct step){.type = STEP_SLICE, .from = 0, .to = INT64_MAX, .by = 1};
	r = number(p, &s->from, &found);
	if (r < 0)
		return r;
	if (!found && peek(p) != ':')
		return fault(p, p->at, "expected a quoted name, an index, '*' or '?('");
	if (accept(p, ':')) {
		colon = true;
		r = number(p, &s->to, &found);
	}
	if (r == 0 && colon && accept(p, ':')) {
		start = p->at;
		r = number(p, &s->by, &found);
	}
	if (r < 0)
		return r;
	if (s->by < 1)
		return fault(p, start, "the step of a slice must be 1 or more");
	if (!colon)
		s->to = s->from == -1 ? INT64_MAX : s->from + 1;
	return 0;
}

static int alternative(struct parse *p, struct step *s)
{
	bool escaped;
	int r;

	if (peek(p) != '\'' && peek(p) != '"')
		return slice(p, s);
	r = quoted(p, &s->name, &escaped);
	s->type = STEP_NAME;
	s->dotted = r == 0 && !escaped && memchr(s->name.p, '.', s->name.n);
	return r;
}

static int union_step(struct parse *p, const struct step ***link)
{
	struct step *s = add_step(p, STEP_UNION, link), *one = NULL;
	const struct step **among;
	uint32_t n = 0;
	int r;

	if (!s)
		return -ENOMEM;
	among = &s->among;
	do {
		skip_space(p);
		one = add_step(p, STEP_NAME, &among);
		r = one ? alternative(p, one) : -ENOMEM;
		if (r < 0)
			return r;
		n++;
		skip_space(p);
	} while (accept(p, ','));
	p->n_ways *= n;
	return p->n_ways <= PATH_MAX_WAYS ? 0 : fault(p, p->at, "too many alternatives");
}

static int parse_steps(struct parse *p, bool bare, const struct step **ret);

static int path_operand(struct parse *p, struct operand *ret)
{
	ret->from_root = peek(p) == '$';
	p->at++;
	return parse_steps(p, false, &ret->steps);
}

static int word_operand(struct parse *p, struct operand *ret)
{
	size_t from = p->at;
	struct str word;

	while (!over(p) && peek(p) != ')' && peek(p) != ' ' && peek(p) != '\t')
		p->at++;
	word = str_make(p->s.p + from, p->at - from);
	if (str_eq(word, STR("true")))
		ret->value.type = TREE_TRUE;
	else if (str_eq(word, STR("false")))
		ret->value.type = TREE_FALSE;
	else if (str_eq(word, STR("null")))
		ret->value.type = TREE_NULL;
	else if (text_is_number(word))
		ret->value = (struct tree){.type = TREE_NUMBER, .text = word};
	else
		return fault(p, from,
			     "expected '@', '$', a quoted text, a number, true, false or null");
	return 0;
}

static int operand(struct parse *p, struct operand *ret)
{
	bool escaped;

	skip_space(p);
	if (peek(p) == '@' || peek(p) == '$')
		return path_operand(p, ret);
	ret->literal = true;
	if (peek(p) != '\'' && peek(p) != '"')
		return word_operand(p, ret);
	ret->value.type = TREE_STRING;
	return quoted(p, &ret->value.text, &escaped);
}

static int operator(struct parse *p, enum filter_op *ret)
{
	static const struct {
		struct str text;
		enum filter_op op;
	} ops[] = {
		{STR("=="), FILTER_EQ}, {STR("!="), FILTER_NE}, {STR("<="), FILTER_LE},
		{STR(">="), FILTER_GE}, {STR("<"), FILTER_LT},	{STR(">"), FILTER_GT},
	};

	skip_space(p);
	*ret = FILTER_EXISTS;
	if (peek(p) == ')')
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		if (!str_starts(str_from(p->s, p->at), ops[i].text))
			continue;
		*ret = ops[i].op;
		p->at += ops[i].text.n;
		return 0;
	}
	return fault(p, p->at, "expected ')' or one of == != < <= > >=");
}

static int filter_step(struct parse *p, const struct step ***link)
{
	struct step *s = add_step(p, STEP_FILTER, link);
	struct filter *f = arena_alloc(p->a, sizeof(*f));
	int r;

	if (!s || !f)
		return -ENOMEM;
	*f = (struct filter){0};
	s->filter = f;
	if (!accept(p, '('))
		return fault(p, p->at, "expected '(' behind '?'");
	if (++p->n_nest > PATH_MAX_NEST)
		return fault(p, p->at, "too many filters within filters");
	skip_space(p);
	if (peek(p) != '@' && peek(p) != '$')
		return fault(p, p->at,
			     "a filter begins with '@' (the element) or '$' (the object)");
	r = path_operand(p, &f->left);
	if (r == 0)
		r = operator(p, &f->op);
	if (r == 0 && f->op != FILTER_EXISTS)
		r = operand(p, &f->right);
	if (r < 0)
		return r;
	p->n_nest--;
	skip_space(p);
	return accept(p, ')') ? 0 : fault(p, p->at, "expected ')'");
}

static int bracket_step(struct parse *p, const struct step ***link)
{
	size_t start = p->at - 1;
	int r = 0;

	skip_space(p);
	if (over(p))
		return fault(p, start, "this bracket is not closed");
	if (accept(p, '*'))
		r = add_step(p, STEP_WILD, link) ? 0 : -ENOMEM;
	else if (accept(p, '?'))
		r = filter_step(p, link);
	else
		r = union_step(p, link);
	if (r < 0)
		return r;
	skip_space(p);
	return accept(p, ']')
		       ? 0
		       : fault(p, over(p) ? start : p->at,
			       over(p) ? "this bracket is not closed" : "expected ']' or ','");
}

/* ---- the whole ---- */

static int deep_step(struct parse *p, const struct step ***link)
{
	if (++p->n_deep > PATH_MAX_DEEP)
		return fault(p, p->at - 2, "too many '..' in one expression");
	if (!add_step(p, STEP_DEEP, link))
		return -ENOMEM;
	return peek(p) == '[' ? 0 : name_step(p, link);
}

/* Steps up to what cannot be one. `bare`: the first name may come without its dot. */
static int parse_steps(struct parse *p, bool bare, const struct step **ret)
{
	const struct step **link = ret;
	int r = 0;

	*ret = NULL;
	if (bare && !over(p) && peek(p) != '.' && peek(p) != '[')
		r = name_step(p, &link);
	while (r == 0 && !over(p)) {
		if (accept(p, '['))
			r = bracket_step(p, &link);
		else if (!accept(p, '.'))
			break;
		else if (accept(p, '.'))
			r = deep_step(p, &link);
		else if (peek(p) != '[') /* ".[0]" is written, too */
			r = name_step(p, &link);
	}
	return r;
}

/* "{.a}" is what kubectl takes; the braces say nothing here. */
static void strip_braces(struct parse *p)
{
	if (p->s.n < 2 || p->s.p[0] != '{' || p->s.p[p->s.n - 1] != '}')
		return;
	p->s = str_trim(str_make(p->s.p + 1, p->s.n - 2));
}

int path_compile(struct path *path, struct buf *ret_error)
{
	struct parse p = {
		.a = &path->arena, .s = str_trim(path->source), .error = ret_error, .n_ways = 1};
	bool rooted;
	int r;

	strip_braces(&p);
	if (!p.s.n)
		return fault(&p, 0, "the expression is empty");
	if (p.s.n == 1 && p.s.p[0] == '.')
		return 0; /* the object itself */
	rooted = accept(&p, '$') || accept(&p, '@');
	r = parse_steps(&p, !rooted, &path->steps);
	if (r == 0 && !over(&p))
		r = fault(&p, p.at, "expected '.', '[' or the end");
	return r;
}
