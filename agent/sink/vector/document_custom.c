/* Kinds that nobody here knows: what their spec says, leaf by leaf. */
#include "sink/vector/document_text.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#define LEAVES_MAX 40
#define PATH_SIZE  160

struct walk {
	struct prose *t;
	uint32_t n;
	char path[PATH_SIZE];
};

static void walk(struct walk *w, const struct tree *t, size_t len);

static void walk_members(struct walk *w, const struct tree *t, size_t len)
{
	tree_each(child, t)
	{
		size_t n = child->key.n;

		if (t->type == TREE_ARRAY) {
			walk(w, child, len);
			continue;
		}
		if (len + n + 2 > sizeof(w->path))
			continue;
		w->path[len] = ' ';
		memcpy(w->path + len + (len > 0), child->key.p, n);
		walk(w, child, len + (len > 0) + n);
	}
}

static void walk(struct walk *w, const struct tree *t, size_t len)
{
	if (w->n >= LEAVES_MAX)
		return;
	switch ((enum tree_type)t->type) {
	case TREE_OBJECT:
	case TREE_ARRAY:
		walk_members(w, t, len);
		break;
	case TREE_STRING:
	case TREE_NUMBER:
		PROSE_ITEM(w->t, str_make(w->path, len), prose_value(t->text));
		w->n++;
		break;
	case TREE_TRUE:
		PROSE_ITEM(w->t, str_make(w->path, len));
		w->n++;
		break;
	case TREE_NULL:
	case TREE_FALSE:
	case _TREE_TYPE_MAX:
		break;
	}
}

void document_custom(struct prose *t, const struct tree *object)
{
	struct walk w = {.t = t};
	const struct tree *spec = tree_get(object, "spec");

	prose_part(t, "spec");
	if (spec) {
		walk(&w, spec, 0);
		return;
	}
	tree_each(child, object) if (!str_eq(child->key, STR("metadata")) &&
				     !str_eq(child->key, STR("status")) &&
				     !str_eq(child->key, STR("kind")) &&
				     !str_eq(child->key, STR("apiVersion")))
	{
		size_t n = MIN(child->key.n, sizeof(w.path) - 1);

		memcpy(w.path, child->key.p, n);
		walk(&w, child, n);
	}
}
