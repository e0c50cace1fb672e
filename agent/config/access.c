/* From a configuration to the permissions it needs; see access.h. */
#include "config/access.h"

#include <ctype.h>
#include <errno.h>

#define RULES_FIRST 16
#define TEXT_MAX    ((size_t)4 << 20) /* bytes of names that are made here */

#define GET   ACCESS_BIT(ACCESS_GET)
#define READ  (ACCESS_BIT(ACCESS_LIST) | ACCESS_BIT(ACCESS_WATCH))
#define WRITE ACCESS_BIT(ACCESS_CREATE)
#define RENEW (GET | ACCESS_BIT(ACCESS_UPDATE))

const char *access_verb_name(enum access_verb v)
{
	static const char *const names[_ACCESS_VERB_MAX] = {"get", "list", "watch", "create",
							    "update"};

	return names[v];
}

void access_init(struct access *a)
{
	*a = (struct access){0};
	arena_init(&a->arena, TEXT_MAX);
}

void access_done(struct access *a)
{
	free(a->v);
	arena_done(&a->arena);
	*a = (struct access){0};
}

struct access_rule *access_add(struct access *a, const struct access_rule *r)
{
	/* There is room up to the next power of two. */
	if (a->n == 0 || (a->n >= RULES_FIRST && (a->n & (a->n - 1)) == 0)) {
		const size_t cap = MAX(2 * a->n, (size_t)RULES_FIRST);
		struct access_rule *v = realloc(a->v, cap * sizeof(*v));

		if (!v)
			return NULL;
		a->v = v;
	}
	a->v[a->n] = *r;
	return &a->v[a->n++];
}

static int add(struct access *a, struct access_rule r)
{
	return access_add(a, &r) ? 0 : -ENOMEM;
}

/* ---- what it depends on ---------------------------------------------------------------------- */

static bool is_all(const struct option_list *l)
{
	return l->n == 1 && strcmp(l->v[0], "*") == 0;
}

/* The namespaces that Roles are enough in; none: all. */
static struct option_list roles_in(const struct agent_config *c)
{
	return is_all(&c->namespaces) ? (struct option_list){0} : c->namespaces;
}

static bool node_scope(const struct agent_config *c)
{
	return c->scope == AGENT_SCOPE_NODE;
}

/* ---- pods, their owners, addresses ----------------------------------------------------------- */

static int need_pods(struct access *a, const struct agent_config *c)
{
	const struct option_list in = roles_in(c);
	const unsigned owners = node_scope(c) ? GET : READ;
	int r = add(a,
		    (struct access_rule){.resource = STR("pods"),
					 .namespaces = in,
					 .verbs = READ,
					 .use = node_scope(c) ? "the pods of its node" : "pods"});

	if (r == 0)
		r = add(a, (struct access_rule){.group = STR("apps"),
						.resource = STR("replicasets"),
						.namespaces = in,
						.verbs = owners,
						.use = "owners of pods"});
	if (r == 0)
		r = add(a, (struct access_rule){.group = STR("batch"),
						.resource = STR("jobs"),
						.namespaces = in,
						.verbs = owners,
						.use = "owners of pods"});
	if (r == 0 && c->node_name)
		r = add(a, (struct access_rule){
				   .resource = STR("nodes"),
				   .name = str_of(c->node_name),
				   .shared = true,
				   .verbs = GET,
				   .use = "its own Node: zone, instance type, addresses"});
	return r;
}

static int need_places(struct access *a, const struct agent_config *c)
{
	int r;

	if (node_scope(c) || (c->flows == AGENT_FLOWS_OFF && !c->serve_peers))
		return 0;
	r = add(a, (struct access_rule){.resource = STR("services"),
					.namespaces = roles_in(c),
					.verbs = READ,
					.use = "flows: Services as the other end"});
	return r < 0 ? r
		     : add(a, (struct access_rule){.resource = STR("nodes"),
						   .verbs = READ,
						   .use = "flows: Nodes as the other end"});
}

/* ---- --follow-owners ------------------------------------------------------------------------- */

static bool is_vowel(char c)
{
	return c && strchr("aeiou", c);
}

/* "Rollout" is read at "rollouts", "NetworkPolicy" at "networkpolicies": what most are called. */
static int guess_plural(struct access *a, struct str kind, struct str *ret)
{
	char text[80]; /* a kind has at most 63 letters */
	size_t n = MIN(kind.n, sizeof(text) - 4);
	const char *end = "s";

	for (size_t i = 0; i < n; i++)
		text[i] = (char)tolower((unsigned char)kind.p[i]);
	if (n > 1 && text[n - 1] == 'y' && !is_vowel(text[n - 2])) {
		n--;
		end = "ies";
	} else if (n && (text[n - 1] == 's' || text[n - 1] == 'x' ||
			 (n > 1 && text[n - 1] == 'h' && strchr("cs", text[n - 2])))) {
		end = "es";
	}
	memcpy(text + n, end, strlen(end));
	return arena_dup(&a->arena, str_make(text, n + strlen(end)), ret);
}

static int need_owner(struct access *a, const struct agent_config *c, struct str kind)
{
	struct access_rule rule = {.group = STR("*"),
				   .resource = STR("*"),
				   .namespaces = roles_in(c),
				   .verbs = GET,
				   .use = "owners of owners (--follow-owners)"};
	int r;

	if (str_eq(kind, STR("*")))
		return add(a, rule);
	(void)str_split(&kind, '/', &rule.group);
	rule.kind = kind;
	r = guess_plural(a, kind, &rule.resource);
	return r < 0 ? r : add(a, rule);
}

static int need_owners(struct access *a, const struct agent_config *c)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->follow_owners.n; i++)
		r = need_owner(a, c, str_of(c->follow_owners.v[i]));
	return r;
}

/* ---- resources ------------------------------------------------------------------------------- */

/* Resources of no namespace that every server has: where namespaces are named, these still need a
 * ClusterRole. */
static bool in_no_namespace(struct str plural)
{
	static const char *const names[] = {"apiservices",
					    "certificatesigningrequests",
					    "clusterrolebindings",
					    "clusterroles",
					    "componentstatuses",
					    "csidrivers",
					    "csinodes",
					    "customresourcedefinitions",
					    "flowschemas",
					    "ingressclasses",
					    "mutatingwebhookconfigurations",
					    "namespaces",
					    "nodes",
					    "persistentvolumes",
					    "priorityclasses",
					    "prioritylevelconfigurations",
					    "runtimeclasses",
					    "storageclasses",
					    "validatingadmissionpolicies",
					    "validatingadmissionpolicybindings",
					    "validatingwebhookconfigurations",
					    "volumeattachments"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (str_eq(plural, str_of(names[i])))
			return true;
	return false;
}

/* "Deployments.apps" is what it says, "pods" of whatever group. */
static int need_resource(struct access *a, const struct agent_config *c, struct str name)
{
	struct access_rule rule = {.verbs = GET | READ,
				   .use = "resources for databases, graph and events"};
	char text[256]; /* a name has at most 253 bytes */
	struct str copy;
	size_t n = 0;

	for (; n < MIN(name.n, sizeof(text)); n++)
		text[n] = (char)tolower((unsigned char)name.p[n]);
	if (arena_dup(&a->arena, str_make(text, n), &copy) < 0)
		return -ENOMEM;
	rule.group = copy;
	if (!str_split(&rule.group, '.', &rule.resource))
		rule.group = STR("*");
	if (!in_no_namespace(rule.resource))
		rule.namespaces = roles_in(c);
	return add(a, rule);
}

static int need_resources(struct access *a, const struct agent_config *c)
{
	int r = 0;

	if (c->resources != AGENT_RESOURCES_ON)
		return 0;
	if (!c->watch_resources.n)
		r = need_resource(a, c, STR("*.*"));
	for (size_t i = 0; r == 0 && i < c->watch_resources.n; i++)
		r = need_resource(a, c, str_of(c->watch_resources.v[i]));
	if (r == 0)
		r = add(a, (struct access_rule){.group = STR("apiextensions.k8s.io"),
						.resource = STR("customresourcedefinitions"),
						.verbs = READ,
						.use = "kinds as they come and go"});
	if (r == 0 && (is_all(&c->namespaces) || c->namespace_selector))
		r = add(a, (struct access_rule){.resource = STR("namespaces"),
						.verbs = READ,
						.use = "namespaces as they come and go"});
	return r;
}

/* ---- the rest -------------------------------------------------------------------------------- */

static int need_discovery(struct access *a, const struct agent_config *c)
{
	static const char *const paths[] = {"/api", "/api/*", "/apis", "/apis/*"};
	int r = 0;

	if (c->resources != AGENT_RESOURCES_ON && !c->follow_owners.n)
		return 0;
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(paths); i++)
		r = add(a, (struct access_rule){.path = str_of(paths[i]),
						.built_in = true,
						.verbs = GET,
						.use = "discovery: what kinds there are"});
	return r;
}

/* One namespace, of a text that says more. */
static int one_namespace(struct access *a, struct str ns, struct option_list *ret)
{
	const char **v = arena_alloc(&a->arena, sizeof(*v));
	char *name = arena_alloc(&a->arena, ns.n + 1);

	if (!v || !name)
		return -ENOMEM;
	memcpy(name, ns.p, ns.n);
	name[ns.n] = '\0';
	*v = name;
	*ret = (struct option_list){.v = v, .n = 1};
	return 0;
}

static int need_config(struct access *a, const struct agent_config *c)
{
	struct access_rule rule = {.resource = STR("configmaps"),
				   .name = str_of(c->watch_config),
				   .verbs = READ,
				   .use = "its own configuration (--watch-config)"};
	struct str ns;

	if (!c->watch_config)
		return 0;
	(void)str_split(&rule.name, '/', &ns);
	if (one_namespace(a, ns, &rule.namespaces) < 0)
		return -ENOMEM;
	return add(a, rule);
}

/* What is made has no name yet when it is asked for. */
static int need_lease(struct access *a, const struct agent_config *c)
{
	struct access_rule rule = {.group = STR("coordination.k8s.io"),
				   .resource = STR("leases"),
				   .verbs = WRITE,
				   .use = "one leader among several (--leader-election)"};
	int r;

	if (c->leader_election == AGENT_ELECTION_OFF || !c->lease_namespace)
		return 0;
	r = one_namespace(a, str_of(c->lease_namespace), &rule.namespaces);
	if (r == 0)
		r = add(a, rule);
	rule.name = str_of(c->lease_name);
	rule.verbs = RENEW;
	return r < 0 ? r : add(a, rule);
}

static int need_reviews(struct access *a, const struct agent_config *c)
{
	int r;

	if (c->probe_auth != AGENT_PROBE_AUTH_KUBE)
		return 0;
	r = add(a, (struct access_rule){.group = STR("authentication.k8s.io"),
					.resource = STR("tokenreviews"),
					.verbs = WRITE,
					.use = "scrapers: whose token it is (--probe-auth)"});
	return r < 0 ? r
		     : add(a, (struct access_rule){
				      .group = STR("authorization.k8s.io"),
				      .resource = STR("subjectaccessreviews"),
				      .verbs = WRITE,
				      .use = "scrapers: whether they may (--probe-auth)"});
}

int access_needed(const struct agent_config *c, struct access *ret)
{
	static int (*const all[])(struct access *, const struct agent_config *) = {
		need_pods,	need_places, need_owners, need_resources,
		need_discovery, need_config, need_lease,  need_reviews};
	struct access a;
	int r = 0;

	access_init(&a);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(all); i++)
		r = all[i](&a, c);
	if (r < 0)
		access_done(&a);
	else
		*ret = a;
	return r;
}
