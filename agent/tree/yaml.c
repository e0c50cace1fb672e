/* YAML 1.2 block style; texts that need it are quoted as JSON does, which YAML reads alike. */
#include "tree/yaml.h"

#include "base/mem.h"

#include <ctype.h>

static int put_value(struct buf *b, const struct tree *t, int depth);

/* What a YAML 1.1 reader (Go's, libyaml's) would take for no text. */
static bool is_word(struct str s)
{
	static const char *const words[] = {"true", "false", "yes", "no",   "on",  "off",
					    "null", "y",     "n",   "none", "inf", "nan"};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (str_ieq(s, str_of(words[i])))
			return true;
	return false;
}

static bool is_plain(struct str s)
{
	if (!s.n || !isalpha((unsigned char)s.p[0]) || is_word(s))
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!isalnum((unsigned char)s.p[i]) && !strchr("-_./", s.p[i]))
			return false;
	return true;
}

static int put_text(struct buf *b, struct str s)
{
	struct tree t = {.type = TREE_STRING, .text = s};

	return is_plain(s) ? buf_append_str(b, s) : tree_write(b, &t);
}

static int put_indent(struct buf *b, int depth)
{
	return depth ? buf_printf(b, "%*s", 2 * depth, "") : 0;
}

static bool is_block(const struct tree *t)
{
	return (t->type == TREE_OBJECT || t->type == TREE_ARRAY) && t->n > 0;
}

/* Behind "key:" or "-". */
static int put_child(struct buf *b, const struct tree *t, int depth)
{
	int r = buf_append_str(b, is_block(t) ? STR("\n") : STR(" "));

	if (r == 0)
		r = put_value(b, t, depth);
	return r < 0 || is_block(t) ? r : buf_append_str(b, STR("\n"));
}

static int put_members(struct buf *b, const struct tree *t, int depth, bool first_indented)
{
	int r = 0;

	tree_each(child, t)
	{
		if (r == 0 && !first_indented)
			r = put_indent(b, depth);
		first_indented = false;
		if (r == 0)
			r = put_text(b, child->key);
		if (r == 0)
			r = buf_append_str(b, STR(":"));
		/* Lists stand at their key's own indent, as kubectl has them. */
		if (r == 0)
			r = put_child(b, child, child->type == TREE_ARRAY ? depth : depth + 1);
	}
	return r;
}

static int put_elements(struct buf *b, const struct tree *t, int depth)
{
	int r = 0;

	tree_each(child, t)
	{
		if (r == 0)
			r = put_indent(b, depth);
		if (r == 0)
			r = buf_append_str(b, STR("-"));
		if (r == 0 && child->type == TREE_OBJECT && child->n) {
			r = buf_append_str(b, STR(" "));
			if (r == 0)
				r = put_members(b, child, depth + 1, true);
		} else if (r == 0) {
			r = put_child(b, child, depth + 1);
		}
	}
	return r;
}

static int put_value(struct buf *b, const struct tree *t, int depth)
{
	if (t->type == TREE_STRING)
		return put_text(b, t->text);
	if (!is_block(t))
		return tree_write(b, t);
	return t->type == TREE_OBJECT ? put_members(b, t, depth, false) : put_elements(b, t, depth);
}

int tree_write_yaml(struct buf *b, const struct tree *t)
{
	int r = put_value(b, t, 0);

	return r < 0 || is_block(t) ? r : buf_append_str(b, STR("\n"));
}
