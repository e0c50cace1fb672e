#include "cli/resource_lists.h"

#include "base/mem.h"
#include "tree/path.h"

#include <ctype.h>
#include <errno.h>

#define PATH_BYTES (64 * 1024) /* of one expression with what was cut off it */

static int own(struct lists *l, void *p)
{
	void **v = p ? realloc(l->v, (l->n + 1) * sizeof(*v)) : NULL;

	if (!v) {
		free(p);
		return -ENOMEM;
	}
	l->v = v;
	l->v[l->n++] = p;
	return 0;
}

void lists_done(struct lists *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i]);
	free(l->v);
	*l = (struct lists){0};
}

static struct str *make_array(struct lists *l, size_t n)
{
	struct str *v = calloc(n + 1, sizeof(*v));

	return own(l, v) == 0 ? v : NULL;
}

int lists_names(struct lists *l, const struct option_list *o, struct collect_names *ret)
{
	struct str *v = make_array(l, o->n);

	if (!v)
		return -ENOMEM;
	for (size_t i = 0; i < o->n; i++)
		v[i] = str_of(o->v[i]);
	*ret = (struct collect_names){.v = v, .n = (uint32_t)o->n};
	return 0;
}

/* The expression that begins at item *at, of which `head` was read already; *at goes behind it. */
static int take_path(struct lists *l, const struct option_list *o, size_t *at, struct str head,
		     struct str *ret)
{
	_buf_ struct buf b = {.max = PATH_BYTES};
	char *copy;
	int r = buf_append_str(&b, head);

	for (++*at; r == 0 && *at < o->n && path_until(buf_str(&b), ',') == SIZE_MAX; ++*at)
		r = buf_printf(&b, ",%s", o->v[*at]);
	if (r < 0)
		return r;
	copy = str_dup(buf_str(&b));
	r = own(l, copy);
	if (r == 0)
		*ret = str_of(copy);
	return r;
}

int lists_paths(struct lists *l, const struct option_list *o, struct collect_names *ret)
{
	struct str *v = make_array(l, o->n);
	uint32_t n = 0;
	int r = v ? 0 : -ENOMEM;

	for (size_t at = 0; r == 0 && at < o->n;)
		r = take_path(l, o, &at, str_of(o->v[at]), &v[n++]);
	if (r == 0)
		*ret = (struct collect_names){.v = v, .n = n};
	return r;
}

/* "ingresses=" begins an index; no expression begins like that ("==" compares). */
static bool begins(struct str s, struct str *ret_resource, struct str *ret_path)
{
	size_t i = 0;

	while (i < s.n && (isalnum((unsigned char)s.p[i]) || s.p[i] == '-' || s.p[i] == '.'))
		i++;
	if (i == 0 || i + 1 >= s.n || s.p[i] != '=' || s.p[i + 1] == '=')
		return false;
	*ret_resource = str_make(s.p, i);
	*ret_path = str_from(s, i + 1);
	return true;
}

static int fault(struct buf *ret_error, const char *item)
{
	int r = buf_printf(ret_error,
			   "--index \"%s\" must be RESOURCE=JSONPATH[,JSONPATH...], such as "
			   "ingresses=.spec.rules[0].host",
			   item);

	return r < 0 ? r : -EINVAL;
}

int lists_indexes(struct lists *l, const struct option_list *o, const struct collect_index **ret,
		  uint32_t *ret_n, struct buf *ret_error)
{
	struct collect_index *all = calloc(o->n + 1, sizeof(*all)), *x = NULL;
	struct str *paths;
	uint32_t n = 0;
	int r = own(l, all);

	if (r < 0)
		return r;
	paths = make_array(l, o->n);
	if (!paths)
		return -ENOMEM;
	for (size_t at = 0; r == 0 && at < o->n;) {
		struct str path = str_of(o->v[at]), resource;

		if (begins(path, &resource, &path)) {
			x = &all[n++];
			*x = (struct collect_index){.resource = resource, .paths = paths};
		} else if (!x) {
			return fault(ret_error, o->v[at]);
		}
		r = take_path(l, o, &at, path, paths++);
		x->n++;
	}
	*ret = all;
	*ret_n = n;
	return r;
}
