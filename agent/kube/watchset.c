/* What a scope watches; see watchset.h. */
#include "kube/watchset.h"

#include "base/mem.h"

#include <errno.h>
#include <stdio.h>

/* Names of nodes and namespaces are DNS labels or subdomains (RFC 1123): at most 253 bytes. */
#define MAX_NAME 253

static const struct {
	enum kind kind;
	enum decode_shape shape;
	bool metadata_only;
	const char *api_version, *root, *plural;
} kinds[] = {
	{KIND_POD, SHAPE_POD, false, "v1", "/api/v1", "pods"},
	{KIND_REPLICASET, SHAPE_META, true, "apps/v1", "/apis/apps/v1", "replicasets"},
	{KIND_JOB, SHAPE_META, true, "batch/v1", "/apis/batch/v1", "jobs"},
};

static bool good_name(struct str s)
{
	if (s.n == 0 || s.n > MAX_NAME)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.'))
			return false;
	}
	return true;
}

static int add(struct watchset *w, size_t k, struct str ns, const struct watchset_opts *o)
{
	struct watch_spec *s = &w->specs[w->n++];
	bool pods = kinds[k].kind == KIND_POD;

	*s = (struct watch_spec){
		.kind = kinds[k].kind,
		.shape = kinds[k].shape,
		.metadata_only = kinds[k].metadata_only,
		.api_version = kinds[k].api_version,
		/* Servers before 1.31 answer a list with a selector from storage by reading all
		 * pods; a thousand nodes that start together would bring storage down. */
		.list_from_cache = o->node_name != NULL,
	};
	if (asprintf(&s->path, "%s%s%.*s/%s", kinds[k].root, ns.n ? "/namespaces/" : "",
		     STR_ARG(ns), kinds[k].plural) < 0) {
		s->path = NULL;
		return -ENOMEM;
	}
	if (ns.n && !(s->ns = str_dup(ns)))
		return -ENOMEM;
	if (pods && o->label_selector && o->label_selector[0] &&
	    !(s->label_selector = str_dup(str_of(o->label_selector))))
		return -ENOMEM;
	if (o->node_name && asprintf(&s->field_selector, "spec.nodeName=%s", o->node_name) < 0) {
		s->field_selector = NULL;
		return -ENOMEM;
	}
	return 0;
}

static bool seen_before(const struct watchset_opts *o, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (str_eq(o->namespaces[j], o->namespaces[i]))
			return true;
	return false;
}

static int add_all(struct watchset *w, const struct watchset_opts *o)
{
	size_t n_kinds = o->node_name ? 1 : ARRAY_SIZE(kinds);
	int r = 0;

	for (size_t k = 0; r == 0 && k < n_kinds; k++) {
		if (o->n_namespaces == 0)
			r = add(w, k, (struct str){0}, o);
		for (size_t i = 0; r == 0 && i < o->n_namespaces; i++)
			if (!seen_before(o, i))
				r = add(w, k, o->namespaces[i], o);
	}
	return r;
}

int watchset_make(const struct watchset_opts *o, struct watchset *ret)
{
	_watchset_ struct watchset w = {0};
	size_t n = MAX(o->n_namespaces, (size_t)1) * ARRAY_SIZE(kinds);

	if (o->node_name && !good_name(str_of(o->node_name)))
		return -EINVAL;
	for (size_t i = 0; i < o->n_namespaces; i++)
		if (!good_name(o->namespaces[i]))
			return -EINVAL;
	if (n > WATCHSET_MAX)
		return -EMSGSIZE;
	w.specs = calloc(n, sizeof(*w.specs));
	if (!w.specs)
		return -ENOMEM;
	int r = add_all(&w, o);
	if (r < 0)
		return r;
	*ret = w;
	w = (struct watchset){0};
	return 0;
}

void watchset_done(struct watchset *w)
{
	for (size_t i = 0; i < w->n; i++) {
		free(w->specs[i].path);
		free(w->specs[i].field_selector);
		free(w->specs[i].label_selector);
		free(w->specs[i].ns);
	}
	free(w->specs);
	*w = (struct watchset){0};
}
