/*
 * Parsing, look-ups and changes. The text is copied into the arena in one piece,
 * a NUL behind it, so that no step needs to ask where the end is; texts of the
 * tree are parts of that copy, unescaped in place.
 */
#include "tree/tree.h"

#include "base/mem.h"
#include "decode/json_scan.h"
#include "decode/text.h"

#include <errno.h>
#include <stdlib.h>

#define FEW 32 /* members; among more, equal keys are found by sorting */

struct parse {
	struct arena *a;
	char *at, *end; /* *end is NUL */
	uint32_t depth;
	bool utf8; /* the whole text is */
};

struct seen { /* the keys of one object */
	uint64_t bits;
	bool check; /* two of many may be equal */
};

static inline void skip_space(struct parse *p)
{
	while (*p->at == ' ' || *p->at == '\n' || *p->at == '\r' || *p->at == '\t')
		p->at++;
}

static int fix_utf8(struct parse *p, struct str *s)
{
	char *fixed;

	if (text_is_utf8(*s))
		return 0;
	fixed = arena_alloc(p->a, 3 * s->n);
	if (!fixed)
		return -ENOMEM;
	*s = str_make(fixed, text_fix_utf8(*s, fixed));
	return 0;
}

/* A string with escapes: p->at is at the first of them. */
static int parse_escaped(struct parse *p, char *from, struct str *ret)
{
	size_t n;
	int r;

	while (*p->at != '"') {
		if (*p->at != '\\' || p->end - p->at < 2)
			return -EBADMSG;
		p->at += json_scan_string(p->at + 2, p->end) - p->at;
	}
	r = text_unescape(str_make(from, (size_t)(p->at - from)), from, &n);
	if (r < 0)
		return r;
	*ret = str_make(from, n);
	return 0;
}

/* p->at is behind the opening quote. */
static inline int parse_string(struct parse *p, struct str *ret)
{
	char *from = p->at;
	int r = 0;

	p->at += json_scan_string(from, p->end) - from;
	if (*p->at == '"')
		*ret = str_make(from, (size_t)(p->at - from));
	else
		r = parse_escaped(p, from, ret);
	if (r < 0)
		return r;
	p->at++;
	return p->utf8 ? 0 : fix_utf8(p, ret);
}

static int parse_word(struct parse *p, struct tree *t, struct str word, enum tree_type type)
{
	if (!str_starts(str_make(p->at, (size_t)(p->end - p->at)), word))
		return -EBADMSG;
	p->at += word.n;
	t->type = (uint8_t)type;
	return 0;
}

static int parse_number(struct parse *p, struct tree *t)
{
	char *from = p->at;

	while ((*p->at >= '0' && *p->at <= '9') || *p->at == '-' || *p->at == '+' ||
	       *p->at == '.' || (*p->at | 0x20) == 'e')
		p->at++;
	t->type = TREE_NUMBER;
	t->text = str_make(from, (size_t)(p->at - from));
	return text_is_number(t->text) ? 0 : -EBADMSG;
}

static int parse_value(struct parse *p, struct tree *t);

static struct tree *add_child(struct arena *a, struct tree *parent, struct str key)
{
	struct tree *t = arena_alloc(a, sizeof(*t));

	if (!t)
		return NULL;
	*t = (struct tree){.key = key};
	if (parent->last)
		parent->last->next = t;
	else
		parent->first = t;
	parent->last = t;
	parent->n++;
	return t;
}

static int parse_array(struct parse *p, struct tree *t)
{
	struct tree *e;
	int r;

	skip_space(p);
	if (*p->at == ']') {
		p->at++;
		return 0;
	}
	for (;;) {
		e = add_child(p->a, t, (struct str){0});
		r = e ? parse_value(p, e) : -ENOMEM;
		if (r < 0)
			return r;
		if (*p->at++ == ',')
			continue;
		return p->at[-1] == ']' ? 0 : -EBADMSG;
	}
}

/* A member of the same key that stands before, or NULL; of many members it is looked for at the
 * end. The few bits turn nearly all keys away. */
static struct tree *twin(struct tree *object, struct str key, struct seen *seen)
{
	uint64_t h = key.n;
	uint64_t bit;

	if (key.n)
		h += (unsigned char)key.p[0] * 7U + (unsigned char)key.p[key.n - 1] * 13U +
		     (unsigned char)key.p[key.n / 2] * 29U;
	bit = 1ULL << (h & 63);
	if (!(seen->bits & bit)) {
		seen->bits |= bit;
		return NULL;
	}
	if (object->n > FEW) {
		seen->check = true;
		return NULL;
	}
	for (struct tree *t = object->first; t; t = t->next)
		if (str_eq(t->key, key))
			return t;
	return NULL;
}

struct place {
	struct tree *t;
	uint32_t at;
};

static int by_key(const void *a, const void *b)
{
	const struct place *x = a, *y = b;
	int r = str_cmp(x->t->key, y->t->key);

	return r ? r : (x->at > y->at) - (x->at < y->at);
}

static void take_value(struct tree *to, const struct tree *from)
{
	to->first = from->first;
	to->last = from->last;
	to->text = from->text;
	to->n = from->n;
	to->type = from->type;
}

/* Of equal keys the first keeps its place and takes the last one's value. */
static int drop_twins(struct arena *a, struct tree *object)
{
	struct place *places = arena_alloc(a, object->n * sizeof(*places)), *first;
	uint32_t n = 0;

	if (!places)
		return -ENOMEM;
	for (struct tree *t = object->first; t; t = t->next)
		places[n] = (struct place){.t = t, .at = n}, n++;
	qsort(places, n, sizeof(*places), by_key);
	first = places;
	for (uint32_t i = 1; i < n; i++) {
		if (!str_eq(first->t->key, places[i].t->key)) {
			first = &places[i];
			continue;
		}
		take_value(first->t, places[i].t);
		places[i].t->type = _TREE_TYPE_MAX; /* goes below */
	}
	for (struct tree **link = &object->first, *t; (t = *link);) {
		if (t->type == _TREE_TYPE_MAX) {
			*link = t->next;
			object->n--;
			continue;
		}
		object->last = t;
		link = &t->next;
	}
	return 0;
}

static int parse_member(struct parse *p, struct tree *object, struct seen *seen)
{
	struct tree *t;
	struct str key;
	int r;

	skip_space(p);
	if (*p->at != '"')
		return -EBADMSG;
	p->at++;
	r = parse_string(p, &key);
	if (r < 0)
		return r;
	skip_space(p);
	if (*p->at != ':')
		return -EBADMSG;
	p->at++;
	t = twin(object, key, seen);
	if (t)
		take_value(t, &(struct tree){0});
	else
		t = add_child(p->a, object, key);
	return t ? parse_value(p, t) : -ENOMEM;
}

static int parse_object(struct parse *p, struct tree *t)
{
	struct seen seen = {0};
	int r;

	skip_space(p);
	if (*p->at == '}') {
		p->at++;
		return 0;
	}
	do {
		r = parse_member(p, t, &seen);
		if (r < 0)
			return r;
	} while (*p->at++ == ',');
	if (p->at[-1] != '}')
		return -EBADMSG;
	return seen.check ? drop_twins(p->a, t) : 0;
}

static int parse_nested(struct parse *p, struct tree *t)
{
	bool array = *p->at++ == '[';
	int r;

	if (p->depth == TREE_MAX_DEPTH)
		return -EMSGSIZE;
	p->depth++;
	t->type = array ? TREE_ARRAY : TREE_OBJECT;
	r = array ? parse_array(p, t) : parse_object(p, t);
	p->depth--;
	return r;
}

/* A value with the blanks around it. Never reads over the NUL. */
static int parse_value(struct parse *p, struct tree *t)
{
	int r;

	skip_space(p);
	switch (*p->at) {
	case '"':
		p->at++;
		t->type = TREE_STRING;
		r = parse_string(p, &t->text);
		break;
	case '{':
	case '[':
		r = parse_nested(p, t);
		break;
	case 'n':
		r = parse_word(p, t, STR("null"), TREE_NULL);
		break;
	case 'f':
		r = parse_word(p, t, STR("false"), TREE_FALSE);
		break;
	case 't':
		r = parse_word(p, t, STR("true"), TREE_TRUE);
		break;
	default:
		r = parse_number(p, t);
	}
	if (r == 0)
		skip_space(p);
	return r;
}

int tree_parse(struct arena *a, struct str json, struct tree **ret)
{
	struct parse p = {.a = a, .utf8 = json.n && text_is_utf8(json)};
	struct tree *t = arena_alloc(a, sizeof(*t));
	int r;

	p.at = json.n < SIZE_MAX ? arena_alloc(a, json.n + 1) : NULL;
	if (!t || !p.at)
		return -ENOMEM;
	*t = (struct tree){0};
	if (json.n)
		memcpy(p.at, json.p, json.n);
	p.end = p.at + json.n;
	*p.end = '\0';
	r = parse_value(&p, t);
	if (r < 0)
		return r;
	if (p.at != p.end)
		return -EBADMSG;
	*ret = t;
	return 0;
}

const struct tree *tree_get_str(const struct tree *t, struct str key)
{
	if (!t || t->type != TREE_OBJECT)
		return NULL;
	tree_each(m, t) if (str_eq(m->key, key)) return m;
	return NULL;
}

const struct tree *tree_get(const struct tree *t, const char *key)
{
	return tree_get_str(t, str_of(key));
}

const struct tree *tree_at(const struct tree *t, const char *path)
{
	struct str rest = str_of(path), key;
	bool more = true;

	while (t && more) {
		more = str_split(&rest, '.', &key);
		t = tree_get_str(t, key);
	}
	return t;
}

struct str tree_text(const struct tree *t)
{
	return t && (t->type == TREE_STRING || t->type == TREE_NUMBER) ? t->text : (struct str){0};
}

struct str tree_text_at(const struct tree *t, const char *path)
{
	return tree_text(tree_at(t, path));
}

bool tree_scalar(const struct tree *t, struct str *ret)
{
	switch (t ? t->type : TREE_NULL) {
	case TREE_STRING:
	case TREE_NUMBER:
		*ret = t->text;
		return true;
	case TREE_TRUE:
		*ret = STR("true");
		return true;
	case TREE_FALSE:
		*ret = STR("false");
		return true;
	default:
		return false;
	}
}

bool tree_is_true(const struct tree *t)
{
	return t && t->type == TREE_TRUE;
}

int64_t tree_int(const struct tree *t, int64_t otherwise)
{
	int64_t v;

	if (!t || t->type != TREE_NUMBER || text_int(t->text, INT64_MIN, INT64_MAX, &v) < 0)
		return otherwise;
	return v;
}

void tree_remove(struct tree *parent, struct tree *child)
{
	struct tree **link = &parent->first, *before = NULL;

	while (*link != child) {
		before = *link;
		link = &before->next;
	}
	*link = child->next;
	if (parent->last == child)
		parent->last = before;
	child->next = NULL;
	parent->n--;
}

static struct tree *member(struct tree *object, struct str key)
{
	for (struct tree *t = object->first; t; t = t->next)
		if (str_eq(t->key, key))
			return t;
	return NULL;
}

int tree_set_text(struct arena *a, struct tree *object, struct str key, struct str value)
{
	struct tree *t = member(object, key);
	int r = arena_dup(a, value, &value);

	if (r == 0 && !t) {
		r = arena_dup(a, key, &key);
		t = r == 0 ? add_child(a, object, key) : NULL;
	}
	if (r < 0 || !t)
		return -ENOMEM;
	tree_become_text(t, value);
	return 0;
}

void tree_become_text(struct tree *t, struct str text)
{
	take_value(t, &(struct tree){.type = TREE_STRING, .text = text});
}
