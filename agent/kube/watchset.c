/* What a scope watches; see watchset.h. */
#include "kube/watchset.h"

#include "base/mem.h"

#include <errno.h>
#include <stdio.h>

/* Names of nodes and namespaces are DNS labels or subdomains (RFC 1123): at most 253 bytes. */
#define MAX_NAME 253

static const struct {
	const char *api_version, *root, *plural;
	enum kind kind;
	enum decode_shape shape;
	bool metadata_only;
	bool place; /* only with watchset_opts.places */
	bool no_ns; /* is in no namespace */
} kinds[] = {
	{"v1", "/api/v1", "pods", KIND_POD, SHAPE_POD, false, false, false},
	{"apps/v1", "/apis/apps/v1", "replicasets", KIND_REPLICASET, SHAPE_META, true, false,
	 false},
	{"batch/v1", "/apis/batch/v1", "jobs", KIND_JOB, SHAPE_META, true, false, false},
	{"v1", "/api/v1", "services", KIND_SERVICE, SHAPE_SERVICE, false, true, false},
	{"v1", "/api/v1", "nodes", KIND_NODE, SHAPE_NODE, false, true, true},
};

/* Node scope watches pods alone. */
static bool wanted(size_t k, const struct watchset_opts *o)
{
	return kinds[k].kind == KIND_POD || (!o->node_name && (!kinds[k].place || o->places));
}

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
	int r = 0;

	for (size_t k = 0; r == 0 && k < ARRAY_SIZE(kinds); k++) {
		if (!wanted(k, o))
			continue;
		if (o->n_namespaces == 0 || kinds[k].no_ns) {
			r = add(w, k, (struct str){0}, o);
			continue;
		}
		for (size_t i = 0; r == 0 && i < o->n_namespaces; i++)
			if (!seen_before(o, i))
				r = add(w, k, o->namespaces[i], o);
	}
	return r;
}

/* Lines at most: namespaces that come twice are counted twice. */
static size_t count(const struct watchset_opts *o)
{
	size_t n = 0;

	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
		if (wanted(k, o))
			n += kinds[k].no_ns ? 1 : MAX(o->n_namespaces, (size_t)1);
	return n;
}

int watchset_make(const struct watchset_opts *o, struct watchset *ret)
{
	_watchset_ struct watchset w = {0};
	size_t n = count(o);

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
