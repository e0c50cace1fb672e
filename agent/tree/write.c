/*
 * A tree as compact JSON. Bytes go straight into the buffer's memory; what was
 * appended before a failure is taken back.
 */
#include "base/mem.h"
#include "decode/json_scan.h"
#include "tree/tree.h"

#include <errno.h>
#include <stdlib.h>

#define FEW 32 /* members whose sorted order needs no memory of its own */

struct out {
	struct buf *b;
	char *p, *end; /* between what is written and the end of the buffer's memory */
};

static int make_room(struct out *o, size_t n)
{
	int r;

	if (o->p)
		buf_commit(o->b, (size_t)(o->p - buf_tail(o->b)));
	r = buf_reserve(o->b, n);
	if (r < 0)
		return r;
	o->p = buf_tail(o->b);
	o->end = o->b->p + o->b->cap;
	return 0;
}

static inline int room(struct out *o, size_t n)
{
	return (size_t)(o->end - o->p) >= n ? 0 : make_room(o, n);
}

static int put(struct out *o, struct str s)
{
	int r = room(o, s.n);

	if (r < 0 || !s.n)
		return r;
	memcpy(o->p, s.p, s.n);
	o->p += s.n;
	return 0;
}

static inline int put_char(struct out *o, char c)
{
	int r = room(o, 1);

	if (r == 0)
		*o->p++ = c;
	return r;
}

static int put_escape(struct out *o, unsigned char c)
{
	static const char hex[] = "0123456789ABCDEF";
	static const char brief[] = "\"\\\b\f\n\r\t", letter[] = "\"\\bfnrt";
	const char *at = c ? strchr(brief, c) : NULL;
	char text[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};

	if (!at)
		return put(o, str_make(text, sizeof(text)));
	text[1] = letter[at - brief];
	return put(o, str_make(text, 2));
}

static int put_escaped(struct out *o, struct str s)
{
	const char *from = s.p, *end = s.p + s.n, *to;
	int r = put_char(o, '"');

	while (from < end && r == 0) {
		to = json_scan_string(from, end);
		r = put(o, str_make(from, (size_t)(to - from)));
		if (r == 0 && to < end)
			r = put_escape(o, (unsigned char)*to++);
		from = to;
	}
	return r < 0 ? r : put_char(o, '"');
}

/* Copied first and looked at there, because whole blocks may be read behind its end. */
static inline int put_string(struct out *o, struct str s)
{
	size_t blocks = (s.n + 15) & ~(size_t)15;
	char *text;

	if (!s.n || room(o, blocks + 2) < 0)
		return put_escaped(o, s);
	text = o->p + 1;
	memcpy(text, s.p, s.n);
	if (json_scan_string(text, text + blocks) < text + s.n)
		return put_escaped(o, s);
	*o->p = '"';
	text[s.n] = '"';
	o->p = text + s.n + 1;
	return 0;
}

static int put_value(struct out *o, const struct tree *t, bool sorted);

static int put_member(struct out *o, const struct tree *t, bool sorted)
{
	int r = put_string(o, t->key);

	if (r == 0)
		r = put_char(o, ':');
	return r < 0 ? r : put_value(o, t, sorted);
}

static int by_key(const void *a, const void *b)
{
	const struct tree *const *x = a, *const *y = b;

	return str_cmp((*x)->key, (*y)->key);
}

/* The members, sorted, into `list`, which has room for all. */
static int put_sorted(struct out *o, const struct tree *object, const struct tree **list)
{
	uint32_t n = 0;
	int r = 0;

	tree_each(t, object) list[n++] = t;
	qsort(list, n, sizeof(const struct tree *), by_key);
	for (uint32_t i = 0; i < n && r == 0; i++) {
		if (i)
			r = put_char(o, ',');
		if (r == 0)
			r = put_member(o, list[i], true);
	}
	return r;
}

static int put_sorted_many(struct out *o, const struct tree *object)
{
	_free_ const struct tree **list = calloc(object->n, sizeof(const struct tree *));

	return list ? put_sorted(o, object, list) : -ENOMEM;
}

static int put_sorted_few(struct out *o, const struct tree *object)
{
	const struct tree *list[FEW];

	return put_sorted(o, object, list);
}

static int put_children(struct out *o, const struct tree *t, bool sorted)
{
	int r = 0;

	if (sorted && t->type == TREE_OBJECT)
		return t->n > FEW ? put_sorted_many(o, t) : put_sorted_few(o, t);
	tree_each(child, t)
	{
		if (child != t->first)
			r = put_char(o, ',');
		if (r == 0)
			r = t->type == TREE_OBJECT ? put_member(o, child, sorted)
						   : put_value(o, child, sorted);
		if (r < 0)
			return r;
	}
	return 0;
}

static int put_nested(struct out *o, const struct tree *t, bool sorted)
{
	bool array = t->type == TREE_ARRAY;
	int r = put_char(o, array ? '[' : '{');

	if (r == 0)
		r = put_children(o, t, sorted);
	return r < 0 ? r : put_char(o, array ? ']' : '}');
}

static int put_value(struct out *o, const struct tree *t, bool sorted)
{
	switch ((enum tree_type)t->type) {
	case TREE_STRING:
		return put_string(o, t->text);
	case TREE_NUMBER:
		return put(o, t->text);
	case TREE_OBJECT:
	case TREE_ARRAY:
		return put_nested(o, t, sorted);
	case TREE_TRUE:
		return put(o, STR("true"));
	case TREE_FALSE:
		return put(o, STR("false"));
	case TREE_NULL:
	case _TREE_TYPE_MAX:
		break;
	}
	return put(o, STR("null"));
}

static int write_tree(struct buf *b, const struct tree *t, bool sorted)
{
	struct out o = {.b = b};
	size_t before = b->n;
	int r = make_room(&o, 2);

	if (r == 0)
		r = put_value(&o, t, sorted);
	if (r == 0)
		buf_commit(b, (size_t)(o.p - buf_tail(b)));
	else
		b->n = before;
	return r;
}

int tree_write(struct buf *b, const struct tree *t)
{
	return write_tree(b, t, false);
}

int tree_write_canonical(struct buf *b, const struct tree *t)
{
	return write_tree(b, t, true);
}
