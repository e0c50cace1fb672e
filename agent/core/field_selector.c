#include "core/field_selector.h"

#include "base/mem.h"
#include "core/collect.h"
#include "tree/path.h"

#include <errno.h>
#include <stdlib.h>

struct field_selector {
	char *text; /* the two below point into it */
	struct str resource, value;
	struct path *path;
};

static int fill(struct field_selector *s, struct buf *ret_error)
{
	struct str rest = str_of(s->text), path;
	_buf_ struct buf words = {.max = 4096};
	size_t end;
	int r;

	(void)str_split(&rest, '=', &s->resource);
	end = path_until(rest, '=');
	if (!s->resource.n || end == 0 || end >= rest.n) { /* no "=", or an open bracket */
		r = buf_printf(ret_error,
			       "\"%s\" must be RESOURCE=JSONPATH=VALUE, such as "
			       "ingresses=.spec.ingressClassName=public",
			       s->text);
		return r < 0 ? r : -EINVAL;
	}
	path = str_make(rest.p, end);
	s->value = str_from(rest, end + 1);
	r = path_new(path, &s->path, &words);
	if (r < 0 && words.n)
		(void)buf_printf(ret_error, "%.*s: %.*s", STR_ARG(s->resource),
				 STR_ARG(buf_str(&words)));
	return r;
}

int field_selector_new(struct str text, struct field_selector **ret, struct buf *ret_error)
{
	struct field_selector *s = calloc(1, sizeof(*s));
	int r = -ENOMEM;

	if (s)
		s->text = str_dup(text);
	if (s && s->text)
		r = fill(s, ret_error);
	if (r < 0)
		field_selector_free(&s);
	*ret = s;
	return r;
}

void field_selector_free(struct field_selector **sp)
{
	struct field_selector *s = *sp;

	if (!s)
		return;
	path_free(&s->path);
	free(s->text);
	free(s);
	*sp = NULL;
}

bool field_selector_is_of(const struct field_selector *s, struct str group, struct str plural)
{
	return collect_name_is(s->resource, group, plural);
}

bool field_selector_match(const struct field_selector *s, const struct tree *object)
{
	struct str value;

	return tree_scalar(path_first(s->path, object), &value) && str_eq(value, s->value);
}
