/* Permissions as people write them down: names, and RBAC rules in YAML. */
#include "config/access.h"

#include "base/json_out.h"

#include <errno.h>

#define SERVICE_ACCOUNT "system:serviceaccount:"

struct printer {
	const struct access *a;
	const char *name;
	struct str user;
	struct buf *b;
};

int access_name(const struct access_rule *r, struct buf *ret)
{
	if (r->path.n)
		return buf_append_str(ret, r->path);
	return buf_printf(ret, "%.*s%s%.*s%s%.*s", STR_ARG(r->resource), r->group.n ? "." : "",
			  STR_ARG(r->group), r->name.n ? "/" : "", STR_ARG(r->name));
}

/* In quotes, all of it: a namespace may be called 123 or on. */
static int print_field(const char *key, struct str value, struct buf *b)
{
	return buf_printf(b, "    %s: [\"%.*s\"]\n", key, STR_ARG(value));
}

static int print_verbs(unsigned verbs, struct buf *b)
{
	const char *sep = "";
	int r = buf_append_str(b, STR("    verbs: ["));

	for (unsigned v = 0; r == 0 && v < _ACCESS_VERB_MAX; v++) {
		if (!(verbs & ACCESS_BIT(v)))
			continue;
		r = buf_printf(b, "%s\"%s\"", sep, access_verb_name((enum access_verb)v));
		sep = ", ";
	}
	return r < 0 ? r : buf_append_str(b, STR("]\n"));
}

static int print_url(const struct access_rule *rule, struct buf *b)
{
	int r = buf_printf(b, "  - nonResourceURLs: [\"%.*s\"]\n", STR_ARG(rule->path));

	return r < 0 ? r : print_verbs(rule->verbs, b);
}

static int print_resource(const struct access_rule *rule, unsigned verbs, bool named, struct buf *b)
{
	int r = buf_printf(b, "  - apiGroups: [\"%.*s\"]\n", STR_ARG(rule->group));

	if (r == 0)
		r = print_field("resources", rule->resource, b);
	if (r == 0 && named)
		r = print_field("resourceNames", rule->name, b);
	return r < 0 ? r : print_verbs(verbs, b);
}

static int print_rule(const struct access_rule *rule, struct buf *b)
{
	/* An object that is still to be made has no name for the server. */
	const unsigned unnamed = rule->verbs & ACCESS_BIT(ACCESS_CREATE);
	const bool named = rule->name.n && !rule->shared;
	int r = buf_printf(b, "  # %s\n", rule->use);

	if (r == 0 && rule->kind.n)
		r = buf_printf(b, "  # (guessed from the kind %.*s)\n", STR_ARG(rule->kind));
	if (r < 0 || rule->path.n)
		return r < 0 ? r : print_url(rule, b);
	if (!named)
		return print_resource(rule, rule->verbs, false, b);
	if (unnamed)
		r = print_resource(rule, unnamed, false, b);
	if (r == 0 && rule->verbs != unnamed)
		r = print_resource(rule, rule->verbs & ~unnamed, true, b);
	return r;
}

/* Whether the rule belongs to this namespace's Role; NULL: to the ClusterRole. */
static bool is_in(const struct access_rule *r, const char *ns)
{
	if (!ns || !r->namespaces.n)
		return !ns && !r->namespaces.n;
	for (size_t i = 0; i < r->namespaces.n; i++)
		if (strcmp(r->namespaces.v[i], ns) == 0)
			return true;
	return false;
}

static int print_head(const struct printer *p, const char *kind, const char *ns)
{
	int r = buf_printf(p->b,
			   "%sapiVersion: rbac.authorization.k8s.io/v1\n"
			   "kind: %s%s\n"
			   "metadata:\n"
			   "  name: %s\n",
			   p->b->n ? "---\n" : "", ns ? "" : "Cluster", kind, p->name);

	return r < 0 || !ns ? r : buf_printf(p->b, "  namespace: \"%s\"\n", ns);
}

static int print_subject(const struct printer *p)
{
	struct str rest = p->user, ns;

	if (str_starts(rest, STR(SERVICE_ACCOUNT))) {
		rest = str_from(rest, sizeof(SERVICE_ACCOUNT) - 1);
		(void)str_split(&rest, ':', &ns);
		return buf_printf(p->b,
				  "  - kind: ServiceAccount\n"
				  "    name: \"%.*s\"\n"
				  "    namespace: \"%.*s\"\n",
				  STR_ARG(rest), STR_ARG(ns));
	}
	int r = buf_printf(p->b, "  - kind: User\n"
				 "    apiGroup: rbac.authorization.k8s.io\n"
				 "    name: \"");

	if (r == 0)
		r = json_escape(p->b, p->user); /* YAML knows JSON's escapes */
	return r < 0 ? r : buf_append_str(p->b, STR("\"\n"));
}

static int print_binding(const struct printer *p, const char *ns)
{
	int r = print_head(p, "RoleBinding", ns);

	if (r == 0)
		r = buf_printf(p->b,
			       "roleRef:\n"
			       "  apiGroup: rbac.authorization.k8s.io\n"
			       "  kind: %sRole\n"
			       "  name: %s\n"
			       "subjects:\n",
			       ns ? "" : "Cluster", p->name);
	return r < 0 ? r : print_subject(p);
}

static int print_role(const struct printer *p, const char *ns)
{
	bool begun = false;
	int r = 0;

	for (size_t i = 0; r == 0 && i < p->a->n; i++) {
		const struct access_rule *rule = &p->a->v[i];

		if (rule->built_in || !is_in(rule, ns))
			continue;
		if (!begun)
			r = print_head(p, "Role", ns);
		if (!begun && r == 0)
			r = buf_append_str(p->b, STR("rules:\n"));
		begun = true;
		if (r == 0)
			r = print_rule(rule, p->b);
	}
	return r < 0 || !begun || !p->user.n ? r : print_binding(p, ns);
}

/* Whether a rule before the nth, or a place before the kth, names the same namespace. */
static bool seen(const struct access *a, size_t n, size_t k)
{
	const char *ns = a->v[n].namespaces.v[k];

	for (size_t i = 0; i < k; i++)
		if (strcmp(a->v[n].namespaces.v[i], ns) == 0)
			return true;
	for (size_t i = 0; i < n; i++)
		if (is_in(&a->v[i], ns))
			return true;
	return false;
}

int access_print(const struct access *a, const char *name, struct str user, struct buf *ret)
{
	const struct printer p = {.a = a, .name = name, .user = user, .b = ret};
	int r = print_role(&p, NULL);

	for (size_t i = 0; r == 0 && i < a->n; i++)
		for (size_t k = 0; r == 0 && k < a->v[i].namespaces.n; k++)
			if (!seen(a, i, k))
				r = print_role(&p, a->v[i].namespaces.v[k]);
	return r;
}
