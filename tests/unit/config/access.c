/* What each configuration needs of the API server, rule by rule. */
#include "config/access.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/torture.h"

#define ARGS(...) ((char *[]){(char[]){"agent"}, __VA_ARGS__, NULL})
#define W(text)	  ((char[]){text}) /* a word of argv */

static int load(char **argv, struct agent_config *c, struct options **o)
{
	int argc = 0;
	int r = options_new(&agent_option_table, c, o);

	while (argv[argc])
		argc++;
	return r < 0 ? r : agent_config_load(*o, argc, argv, NULL, c);
}

/* "use: name verbs [in namespaces] [flags]", a line each. */
static void describe(const struct access *a, struct buf *b)
{
	for (size_t i = 0; i < a->n; i++) {
		const struct access_rule *r = &a->v[i];

		assert_int_equal(access_name(r, b), 0);
		for (unsigned v = 0; v < _ACCESS_VERB_MAX; v++)
			if (r->verbs & ACCESS_BIT(v))
				assert_int_equal(
					buf_printf(b, " %s", access_verb_name((enum access_verb)v)),
					0);
		for (size_t k = 0; k < r->namespaces.n; k++)
			assert_int_equal(
				buf_printf(b, "%s%s", k ? "," : " in ", r->namespaces.v[k]), 0);
		assert_int_equal(buf_printf(b, "%s%s%s\n", r->shared ? " shared" : "",
					    r->built_in ? " built-in" : "",
					    r->kind.n ? " guessed" : ""),
				 0);
		assert_true(r->use && r->use[0]);
	}
	assert_int_equal(buf_append(b, "", 1), 0);
}

static void expect(char **argv, const char *rules)
{
	_buf_ struct buf got = {.max = 1 << 20};
	_access_ struct access a = {0};
	struct agent_config c = {0};
	struct options *o;

	assert_int_equal(load(argv, &c, &o), 0);
	assert_int_equal(access_needed(&c, &a), 0);
	describe(&a, &got);
	assert_string_equal(buf_str(&got).p, rules);
	options_free(&o);
}

static void expect_yaml(char **argv, const char *yaml)
{
	_buf_ struct buf got = {.max = 1 << 20};
	_access_ struct access a = {0};
	struct agent_config c = {0};
	struct options *o;

	assert_int_equal(load(argv, &c, &o), 0);
	assert_int_equal(access_needed(&c, &a), 0);
	assert_int_equal(access_print(&a, "kindred", (struct str){0}, &got), 0);
	assert_int_equal(buf_append(&got, "", 1), 0);
	assert_string_equal(buf_str(&got).p, yaml);
	options_free(&o);
}

#define DISCOVERY               \
	"/api get built-in\n"   \
	"/api/* get built-in\n" \
	"/apis get built-in\n"  \
	"/apis/* get built-in\n"

/* Without a single write verb, and of Nodes its own alone. */
static void node_scope(void **state)
{
	(void)state;
	expect(ARGS(W("--node-name=n1")), "pods list watch\n"
					  "replicasets.apps get\n"
					  "jobs.batch get\n"
					  "nodes/n1 get shared\n");
	expect(ARGS(W("--node-name=n1"), W("--follow-owners=argoproj.io/Rollout,x.io/Proxy,"
					   "x.io/Gateway,x.io/Mesh,x.io/Policy,x.io/Class")),
	       "pods list watch\n"
	       "replicasets.apps get\n"
	       "jobs.batch get\n"
	       "nodes/n1 get shared\n"
	       "rollouts.argoproj.io get guessed\n"
	       "proxies.x.io get guessed\n"
	       "gateways.x.io get guessed\n"
	       "meshes.x.io get guessed\n"
	       "policies.x.io get guessed\n"
	       "classes.x.io get guessed\n" DISCOVERY);
	expect(ARGS(W("--node-name=n1"), W("--follow-owners=*"), W("--watch-config=ops/agent.v1")),
	       "pods list watch\n"
	       "replicasets.apps get\n"
	       "jobs.batch get\n"
	       "nodes/n1 get shared\n"
	       "*.* get\n" DISCOVERY "configmaps/agent.v1 list watch in ops\n");
}

static void cluster_scope(void **state)
{
	(void)state;
	expect(ARGS(W("--flows=off")), "pods list watch\n"
				       "replicasets.apps list watch\n"
				       "jobs.batch list watch\n");
	expect(ARGS(W("--namespaces=shop,pay")), "pods list watch in shop,pay\n"
						 "replicasets.apps list watch in shop,pay\n"
						 "jobs.batch list watch in shop,pay\n"
						 "services list watch in shop,pay\n"
						 "nodes list watch\n");
	expect(ARGS(W("--namespaces=*"), W("--flows=off"), W("--node-name=n1"),
		    W("--scope=cluster")),
	       "pods list watch\n"
	       "replicasets.apps list watch\n"
	       "jobs.batch list watch\n"
	       "nodes/n1 get shared\n");
}

/* The one object that is written. In node scope there is no election. */
static void a_lease(void **state)
{
	(void)state;
	expect(ARGS(W("--flows=off"), W("--pod-name=p"), W("--lease-namespace=obs"),
		    W("--lease-name=one")),
	       "pods list watch\n"
	       "replicasets.apps list watch\n"
	       "jobs.batch list watch\n"
	       "leases.coordination.k8s.io create in obs\n"
	       "leases.coordination.k8s.io/one get update in obs\n");
	expect(ARGS(W("--node-name=n1"), W("--pod-name=p"), W("--lease-namespace=obs")),
	       "pods list watch\n"
	       "replicasets.apps get\n"
	       "jobs.batch get\n"
	       "nodes/n1 get shared\n");
	expect(ARGS(W("--flows=off"), W("--leader-election=off"), W("--pod-name=p"),
		    W("--lease-namespace=obs")),
	       "pods list watch\n"
	       "replicasets.apps list watch\n"
	       "jobs.batch list watch\n");
}

static void resources(void **state)
{
	(void)state;
	expect(ARGS(W("--flows=off"), W("--events=jsonl:/dev/null")),
	       "pods list watch\n"
	       "replicasets.apps list watch\n"
	       "jobs.batch list watch\n"
	       "*.* get list watch\n"
	       "customresourcedefinitions.apiextensions.k8s.io list watch\n" DISCOVERY);
	expect(ARGS(W("--flows=off"), W("--resources=on"), W("--namespaces=shop"),
		    W("--watch-resources=Deployments.apps,nodes,widgets")),
	       "pods list watch in shop\n"
	       "replicasets.apps list watch in shop\n"
	       "jobs.batch list watch in shop\n"
	       "deployments.apps get list watch in shop\n"
	       "nodes.* get list watch\n"
	       "widgets.* get list watch in shop\n"
	       "customresourcedefinitions.apiextensions.k8s.io list watch\n" DISCOVERY);
	expect(ARGS(W("--flows=off"), W("--resources=on"), W("--namespace-selector=a=b")),
	       "pods list watch\n"
	       "replicasets.apps list watch\n"
	       "jobs.batch list watch\n"
	       "*.* get list watch\n"
	       "customresourcedefinitions.apiextensions.k8s.io list watch\n"
	       "namespaces list watch\n" DISCOVERY);
}

static void yaml(void **state)
{
	(void)state;
	expect_yaml(ARGS(W("--node-name=n1"), W("--follow-owners=argoproj.io/Rollout"),
			 W("--watch-config=123/agent")),
		    "apiVersion: rbac.authorization.k8s.io/v1\n"
		    "kind: ClusterRole\n"
		    "metadata:\n"
		    "  name: kindred\n"
		    "rules:\n"
		    "  # the pods of its node\n"
		    "  - apiGroups: [\"\"]\n"
		    "    resources: [\"pods\"]\n"
		    "    verbs: [\"list\", \"watch\"]\n"
		    "  # owners of pods\n"
		    "  - apiGroups: [\"apps\"]\n"
		    "    resources: [\"replicasets\"]\n"
		    "    verbs: [\"get\"]\n"
		    "  # owners of pods\n"
		    "  - apiGroups: [\"batch\"]\n"
		    "    resources: [\"jobs\"]\n"
		    "    verbs: [\"get\"]\n"
		    "  # its own Node: zone, instance type, addresses\n"
		    "  - apiGroups: [\"\"]\n"
		    "    resources: [\"nodes\"]\n"
		    "    verbs: [\"get\"]\n"
		    "  # owners of owners (--follow-owners)\n"
		    "  # (guessed from the kind Rollout)\n"
		    "  - apiGroups: [\"argoproj.io\"]\n"
		    "    resources: [\"rollouts\"]\n"
		    "    verbs: [\"get\"]\n"
		    "---\n"
		    "apiVersion: rbac.authorization.k8s.io/v1\n"
		    "kind: Role\n"
		    "metadata:\n"
		    "  name: kindred\n"
		    "  namespace: \"123\"\n"
		    "rules:\n"
		    "  # its own configuration (--watch-config)\n"
		    "  - apiGroups: [\"\"]\n"
		    "    resources: [\"configmaps\"]\n"
		    "    resourceNames: [\"agent\"]\n"
		    "    verbs: [\"list\", \"watch\"]\n");
}

/* A Role for each namespace, once, with all its rules. */
static void roles(void **state)
{
	_buf_ struct buf got = {.max = 1 << 20};
	_access_ struct access a = {0};
	struct agent_config c = {0};
	struct options *o;
	struct str rest, line;
	int n_roles = 0, n_rules = 0;

	(void)state;
	assert_int_equal(
		load(ARGS(W("--flows=off"), W("--namespaces=a,b,a"), W("--watch-config=b/kindred")),
		     &c, &o),
		0);
	assert_int_equal(access_needed(&c, &a), 0);
	assert_int_equal(access_print(&a, "kindred", (struct str){0}, &got), 0);
	rest = buf_str(&got);
	assert_false(str_starts(rest, STR("---")));
	while (str_split(&rest, '\n', &line)) {
		n_roles += str_eq(line, STR("kind: Role"));
		n_rules += str_starts(line, STR("  - "));
	}
	assert_int_equal(n_roles, 2);
	assert_int_equal(n_rules, 3 + 4);
	options_free(&o);
}

/* An object that is still to be made has no name: that verb stands by itself. */
static void created(void **state)
{
	const struct access_rule lease = {.group = STR("coordination.k8s.io"),
					  .resource = STR("leases"),
					  .name = STR("kindred"),
					  .verbs = ACCESS_BIT(ACCESS_GET) |
						   ACCESS_BIT(ACCESS_CREATE) |
						   ACCESS_BIT(ACCESS_UPDATE),
					  .use = "one leader"};
	_buf_ struct buf got = {.max = 4096};
	_access_ struct access a;

	(void)state;
	access_init(&a);
	assert_non_null(access_add(&a, &lease));
	assert_int_equal(access_print(&a, "kindred", (struct str){0}, &got), 0);
	assert_int_equal(buf_append(&got, "", 1), 0);
	assert_non_null(strstr(buf_str(&got).p, "rules:\n"
						"  # one leader\n"
						"  - apiGroups: [\"coordination.k8s.io\"]\n"
						"    resources: [\"leases\"]\n"
						"    verbs: [\"create\"]\n"
						"  - apiGroups: [\"coordination.k8s.io\"]\n"
						"    resources: [\"leases\"]\n"
						"    resourceNames: [\"kindred\"]\n"
						"    verbs: [\"get\", \"update\"]\n"));
}

/* With the bindings of who asked: all that is to be applied. */
static void bound(void **state)
{
	_buf_ struct buf got = {.max = 1 << 20};
	_access_ struct access a = {0};
	struct agent_config c = {0};
	struct options *o;

	(void)state;
	assert_int_equal(load(ARGS(W("--node-name=n1"), W("--watch-config=shop/kindred")), &c, &o),
			 0);
	assert_int_equal(access_needed(&c, &a), 0);
	assert_int_equal(access_print(&a, "more", STR("system:serviceaccount:shop:agent"), &got),
			 0);
	assert_int_equal(buf_append(&got, "", 1), 0);
	assert_non_null(strstr(buf_str(&got).p, "---\n"
						"apiVersion: rbac.authorization.k8s.io/v1\n"
						"kind: ClusterRoleBinding\n"
						"metadata:\n"
						"  name: more\n"
						"roleRef:\n"
						"  apiGroup: rbac.authorization.k8s.io\n"
						"  kind: ClusterRole\n"
						"  name: more\n"
						"subjects:\n"
						"  - kind: ServiceAccount\n"
						"    name: \"agent\"\n"
						"    namespace: \"shop\"\n"
						"---\n"
						"apiVersion: rbac.authorization.k8s.io/v1\n"
						"kind: Role\n"));
	assert_non_null(strstr(buf_str(&got).p, "kind: RoleBinding\n"
						"metadata:\n"
						"  name: more\n"
						"  namespace: \"shop\"\n"
						"roleRef:\n"
						"  apiGroup: rbac.authorization.k8s.io\n"
						"  kind: Role\n"));
	buf_reset(&got);
	assert_int_equal(access_print(&a, "more", STR("jane"), &got), 0);
	assert_int_equal(buf_append(&got, "", 1), 0);
	assert_non_null(strstr(buf_str(&got).p, "  - kind: User\n"
						"    apiGroup: rbac.authorization.k8s.io\n"
						"    name: \"jane\"\n"));
	options_free(&o);
}

static int need_once(void *ctx)
{
	_buf_ struct buf got = {.max = 1 << 20};
	_access_ struct access a = {0};
	int r = access_needed(ctx, &a);

	return r < 0 ? r : access_print(&a, "kindred", (struct str){0}, &got);
}

static void torture(void **state)
{
	struct agent_config c = {0};
	struct options *o;

	(void)state;
	assert_int_equal(
		load(ARGS(W("--resources=on"), W("--watch-config=a/b"), W("--follow-owners=a.b/C"),
			  W("--watch-resources=a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q")),
		     &c, &o),
		0);
	assert_int_equal(torture_run(need_once, &c), 0);
	options_free(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(node_scope), cmocka_unit_test(cluster_scope),
		cmocka_unit_test(resources),  cmocka_unit_test(yaml),
		cmocka_unit_test(roles),      cmocka_unit_test(created),
		cmocka_unit_test(bound),      cmocka_unit_test(torture),
		cmocka_unit_test(a_lease),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
