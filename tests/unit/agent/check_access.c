/*
 * --check-access against a server whose grants are a list: what it asks, what it prints, the
 * rules it says are missing, and its exit code. With exactly the rules that --print-access
 * prints, and not one verb less, everything is allowed.
 */
#include "tests/lib/raw_server.h"
#include "tests/lib/rig.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"

// clang-format off: cmocka's header needs these before it
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_ARGS  16
#define HEAD_MAX  8192
#define GRANT_MAX 400

/* ---- the server ------------------------------------------------------------------------------ */

/* "VERB RESOURCE[.GROUP] [NAMESPACE]"; "*" stands for all, "~PATH" is a URL. */
struct server {
	struct raw_server *raw;
	const char *const *grants;
	int status; /* of reviews; 0: 201 */
	int busy;   /* so many reviews are answered with 429 first */
	bool no_who, nonsense;
	pthread_mutex_t lock;
	struct buf asked; /* a line a question */
};

static bool same(const char *grant, const char *is)
{
	return strcmp(grant, "*") == 0 || strcmp(grant, is) == 0;
}

static const char *text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static bool granted(const char *grant, const json_t *a, bool url)
{
	char verb[32] = "", what[300] = "", ns[64] = "";
	char *group;

	(void)sscanf(grant, "%31s %299s %63s", verb, what, ns);
	if (!same(verb, text(a, "verb")))
		return false;
	if (url || what[0] == '~')
		return url && what[0] == '~' && same(what + 1, text(a, "path"));
	group = strchr(what, '.');
	if (group)
		*group++ = '\0';
	return same(what, text(a, "resource")) && same(group ? group : "", text(a, "group")) &&
	       (!ns[0] || strcmp(ns, text(a, "namespace")) == 0);
}

/* The question as a line of `asked`, and whether it is granted. */
static bool judge(struct server *s, const json_t *spec)
{
	const json_t *a = json_object_get(spec, "resourceAttributes");
	const json_t *url = json_object_get(spec, "nonResourceAttributes");
	bool yes = false;

	if (url)
		(void)buf_printf(&s->asked, "%s ~%s\n", text(url, "verb"), text(url, "path"));
	else
		(void)buf_printf(&s->asked, "%s %s%s%s %s%s%s\n", text(a, "verb"),
				 text(a, "resource"), *text(a, "group") ? "." : "",
				 text(a, "group"), text(a, "namespace"),
				 *text(a, "name") ? "/" : "", text(a, "name"));
	for (size_t i = 0; s->grants[i] && !yes; i++)
		yes = granted(s->grants[i], url ? url : a, url != NULL);
	return yes;
}

static void answer(struct raw_conn *c, int status, const char *more, const char *body)
{
	char head[300];

	(void)snprintf(head, sizeof(head),
		       "HTTP/1.1 %d x\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
		       "%s\r\n",
		       status, strlen(body), more);
	(void)(raw_say(c, head) && raw_say(c, body));
}

static void review(struct server *s, struct raw_conn *c, const char *body)
{
	json_t *o = json_loads(body, 0, NULL);
	bool busy, yes;

	(void)pthread_mutex_lock(&s->lock);
	busy = s->busy > 0;
	s->busy -= busy;
	yes = !busy && judge(s, json_object_get(o, "spec"));
	(void)pthread_mutex_unlock(&s->lock);
	json_decref(o);
	if (busy)
		answer(c, 429, "Retry-After: 1\r\n", "slow down");
	else if (s->status)
		answer(c, s->status, "",
		       "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"message\":\"no reviews "
		       "here\"}");
	else if (s->nonsense)
		answer(c, 201, "", "{\"kind\":\"Pod\"}");
	else
		answer(c, 201, "",
		       yes ? "{\"kind\":\"SelfSubjectAccessReview\",\"status\":{\"allowed\":true}}"
			   : "{\"kind\":\"SelfSubjectAccessReview\",\"status\":{\"allowed\":false,"
			     "\"reason\":\"no rule of it\"}}");
}

static const char groups[] =
	"{\"kind\":\"APIGroupDiscoveryList\",\"apiVersion\":\"apidiscovery.k8s.io/v2\",\"items\":["
#define RESOURCE(plural, kind, scope)                                                              \
	"{\"resource\":\"" plural "\",\"responseKind\":{\"kind\":\"" kind "\"},\"scope\":\"" scope \
	"\",\"verbs\":[\"get\",\"list\",\"watch\"]}"
#define GROUP(name, version, resources)                                               \
	"{\"metadata\":{\"name\":\"" name "\"},\"versions\":[{\"version\":\"" version \
	"\",\"freshness\":\"Current\",\"resources\":[" resources "]}]}"
	GROUP("apps", "v1", RESOURCE("deployments", "Deployment", "Namespaced")) "," GROUP(
		"argoproj.io", "v1",
		RESOURCE("rollouts", "Rollout", "Namespaced") "," RESOURCE(
			"oxen", "Ox",
			"Namespaced")) "," GROUP("fleet.io", "v1",
						 RESOURCE(
							 "deployments", "Deployment",
							 "Namespaced") "," RESOURCE("fleets",
										    "Fleet",
										    "Cluster")) "]"
												"}";
static const char core_group[] =
	"{\"kind\":\"APIGroupDiscoveryList\",\"apiVersion\":\"apidiscovery.k8s.io/"
	"v2\",\"items\":[" GROUP("", "v1",
				 RESOURCE("pods", "Pod", "Namespaced") "," RESOURCE(
					 "events", "Event", "Namespaced")) "]}";

static void serve_one(struct server *s, struct raw_conn *c, const char *head, const char *body)
{
	static const char v2[] = "Content-Type: application/json;g=apidiscovery.k8s.io;v=v2;"
				 "as=APIGroupDiscoveryList\r\n";

	if (strstr(head, "/selfsubjectaccessreviews "))
		review(s, c, body);
	else if (strstr(head, "/selfsubjectreviews ") && !s->no_who)
		answer(c, 201, "",
		       "{\"status\":{\"userInfo\":{\"username\":"
		       "\"system:serviceaccount:ops:agent\"}}}");
	else if (strstr(head, "GET /apis "))
		answer(c, 200, v2, groups);
	else if (strstr(head, "GET /api "))
		answer(c, 200, v2, core_group);
	else
		answer(c, 404, "", "{}");
}

static void serve(struct raw_conn *c)
{
	char head[HEAD_MAX], body[HEAD_MAX];

	while (raw_read_head(c, head, sizeof(head)) > 0) {
		const char *length = strcasestr(head, "content-length:");
		const size_t n = length ? strtoul(length + 15, NULL, 10) : 0;

		if (n >= sizeof(body) || !raw_read(c, body, n))
			return;
		body[n] = '\0';
		serve_one(c->arg, c, head, body);
	}
}

/* ---- running it ------------------------------------------------------------------------------ */

static void begin(struct server *s, const char *const *grants)
{
	*s = (struct server){.grants = grants, .asked = {.max = 1 << 20}};
	(void)pthread_mutex_init(&s->lock, NULL);
	s->raw = raw_server_start(serve, s, NULL);
}

static void end(struct server *s)
{
	raw_server_stop(&s->raw);
	(void)pthread_mutex_destroy(&s->lock);
	buf_done(&s->asked);
}

/* The exit code; what was printed is the caller's. */
static int run(struct rig *rig, const struct server *s, const char *const *words, char **ret_out)
{
	char url[64];
	const char *argv[MAX_ARGS + 8] = {rig->kindred, "agent", "--api-qps=1000",
					  "--api-burst=1000"};
	size_t n = 4;

	if (s) {
		(void)snprintf(url, sizeof(url), "--api-server=http://127.0.0.1:%d",
			       raw_server_port(s->raw));
		argv[n++] = url;
	}
	while (*words)
		argv[n++] = *words++;
	argv[n] = NULL;
	(void)unlink(rig->agent.out);
	(void)unlink(rig->agent.err);
	assert_int_equal(proc_start(&rig->agent, rig->folder, "agent", argv, NULL), 0);
	assert_int_equal(proc_wait(&rig->agent, RIG_PATIENCE), 0);
	*ret_out = proc_text(rig->agent.out);
	return rig->agent.code;
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void expect(struct rig *rig, const char *const *grants, const char *const *words, int code,
		   const char *out)
{
	_free_ char *printed = NULL;
	struct server s;
	const char *table;

	begin(&s, grants);
	assert_int_equal(run(rig, &s, words, &printed), code);
	table = strstr(printed, "\n\n"); /* behind the port, which no test knows */
	rig_assert(rig, table != NULL, "no table: %s", printed);
	if (strcmp(table + 2, out) != 0)
		rig_fail(rig, "printed:\n%s\nexpected:\n%s", table + 2, out);
	assert_non_null(strstr(printed, "as system:serviceaccount:ops:agent\n"));
	end(&s);
}

static void all_allowed(void **state)
{
	expect(*state,
	       WORDS("list pods", "watch pods", "get replicasets.apps", "get jobs.batch",
		     "get nodes"),
	       WORDS("--check-access", "--node-name=n1"), 0,
	       "PERMISSION            FOR                                           ANSWER\n"
	       "list pods             the pods of its node                          allowed\n"
	       "watch pods            the pods of its node                          allowed\n"
	       "get replicasets.apps  owners of pods                                allowed\n"
	       "get jobs.batch        owners of pods                                allowed\n"
	       "get nodes/n1          its own Node: zone, instance type, addresses  allowed\n"
	       "\n"
	       "all 5 permissions are there\n");
}

static void some_denied(void **state)
{
	expect(*state,
	       WORDS("list pods a", "watch pods a", "list pods b", "* replicasets.apps",
		     "* jobs.batch b"),
	       WORDS("--check-access", "--flows=off", "--namespaces=a,b"), 1,
	       "PERMISSION                      FOR             ANSWER\n"
	       "list pods in a, b               pods            allowed\n"
	       "watch pods in a, b              pods            denied in b: no rule of it\n"
	       "list replicasets.apps in a, b   owners of pods  allowed\n"
	       "watch replicasets.apps in a, b  owners of pods  allowed\n"
	       "list jobs.batch in a, b         owners of pods  denied in a: no rule of it\n"
	       "watch jobs.batch in a, b        owners of pods  denied in a: no rule of it\n"
	       "\n"
	       "3 of 6 permissions are denied. What is missing, for kubectl apply -f -:\n"
	       "\n"
	       "apiVersion: rbac.authorization.k8s.io/v1\n"
	       "kind: Role\n"
	       "metadata:\n"
	       "  name: kindred-missing\n"
	       "  namespace: \"b\"\n"
	       "rules:\n"
	       "  # pods\n"
	       "  - apiGroups: [\"\"]\n"
	       "    resources: [\"pods\"]\n"
	       "    verbs: [\"watch\"]\n"
	       "---\n"
	       "apiVersion: rbac.authorization.k8s.io/v1\n"
	       "kind: RoleBinding\n"
	       "metadata:\n"
	       "  name: kindred-missing\n"
	       "  namespace: \"b\"\n"
	       "roleRef:\n"
	       "  apiGroup: rbac.authorization.k8s.io\n"
	       "  kind: Role\n"
	       "  name: kindred-missing\n"
	       "subjects:\n"
	       "  - kind: ServiceAccount\n"
	       "    name: \"agent\"\n"
	       "    namespace: \"ops\"\n"
	       "---\n"
	       "apiVersion: rbac.authorization.k8s.io/v1\n"
	       "kind: Role\n"
	       "metadata:\n"
	       "  name: kindred-missing\n"
	       "  namespace: \"a\"\n"
	       "rules:\n"
	       "  # owners of pods\n"
	       "  - apiGroups: [\"batch\"]\n"
	       "    resources: [\"jobs\"]\n"
	       "    verbs: [\"list\", \"watch\"]\n"
	       "---\n"
	       "apiVersion: rbac.authorization.k8s.io/v1\n"
	       "kind: RoleBinding\n"
	       "metadata:\n"
	       "  name: kindred-missing\n"
	       "  namespace: \"a\"\n"
	       "roleRef:\n"
	       "  apiGroup: rbac.authorization.k8s.io\n"
	       "  kind: Role\n"
	       "  name: kindred-missing\n"
	       "subjects:\n"
	       "  - kind: ServiceAccount\n"
	       "    name: \"agent\"\n"
	       "    namespace: \"ops\"\n");
}

static void assert_lines(struct rig *rig, const char *printed, const char *const *lines)
{
	for (; *lines; lines++)
		rig_assert(rig, strstr(printed, *lines) != NULL, "there is no %s in\n%s", *lines,
			   printed);
}

/* Plurals and groups are the server's; what may not be read whole is asked for kind by kind, but
 * for what is left out anyway. */
static void discovered(void **state)
{
	struct rig *rig = *state;
	_free_ char *printed = NULL, *other = NULL;
	struct server s;

	begin(&s, WORDS("* pods", "list *.*", "get ~*"));
	assert_int_equal(run(rig, &s,
			     WORDS("--check-access", "--flows=off", "--resources=on",
				   "--follow-owners=argoproj.io/Ox,none.io/Box"),
			     &printed),
			 1);
	assert_lines(rig, printed,
		     WORDS("get oxen.argoproj.io ", "get boxes.none.io ", "list *.* ",
			   "watch deployments.apps ", "watch deployments.fleet.io ",
			   "watch fleets.fleet.io ", "get pods ", "get ~/apis " + 5,
			   "  # (guessed from the kind Box)\n"));
	assert_null(strstr(printed, "watch *.*"));
	assert_null(strstr(printed, "watch events"));
	end(&s);
	begin(&s, WORDS("* *.*", "get ~*"));
	assert_int_equal(run(rig, &s,
			     WORDS("--check-access", "--flows=off", "--resources=on",
				   "--watch-resources=deployments"),
			     &other),
			 0);
	assert_lines(rig, other, WORDS("get deployments.apps ", "get deployments.fleet.io "));
	end(&s);
}

/* A server that is busy is asked again; one that does not answer, or not that, cannot be asked. */
static void who_cannot_be_asked(void **state)
{
	struct rig *rig = *state;
	_free_ char *a = NULL, *b = NULL, *c = NULL, *d = NULL, *e = NULL;
	struct server s;

	begin(&s, WORDS("* *.*"));
	s.busy = 2;
	s.no_who = true;
	assert_int_equal(run(rig, &s, WORDS("--check-access", "--node-name=n"), &a), 0);
	assert_non_null(strstr(a, "as somebody it does not name\n"));
	s.status = 403;
	assert_int_equal(run(rig, &s, WORDS("--check-access", "--node-name=n"), &b), 2);
	assert_string_equal(b, "");
	rig_assert(rig, rig_logged(rig, "cannot ask for permissions: status 403: no reviews here"),
		   "why");
	s.status = 0;
	s.nonsense = true;
	assert_int_equal(run(rig, &s, WORDS("--check-access", "--node-name=n"), &c), 2);
	rig_assert(rig, rig_logged(rig, "is no SelfSubjectAccessReview"), "why");
	end(&s);
	assert_int_equal(
		run(rig, NULL,
		    WORDS("--check-access", "--node-name=n", "--api-server=http://127.0.0.1:9"),
		    &d),
		2);
	rig_assert(rig, rig_logged(rig, "cannot ask for permissions: "), "why");
	assert_int_equal(run(rig, NULL, WORDS("--check-access", "--kubeconfig=/no/such/file"), &e),
			 2);
}

/* Takes rules from what --print-access prints: the answers are then what it promises. */
static size_t read_rules(char *yaml, char grants[64][GRANT_MAX])
{
	char group[64] = "", resource[64] = "", name[64] = "", ns[64] = "", verbs[128];
	char *save = NULL;
	size_t n = 0;

	for (char *line = strtok_r(yaml, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		name[0] = strcmp(line, "---") == 0 ? (ns[0] = '\0') : name[0];
		(void)sscanf(line, "  namespace: \"%63[^\"]", ns);
		if (strstr(line, "apiGroups: [\"\"]"))
			group[0] = '\0';
		(void)sscanf(line, "  - apiGroups: [\"%63[^\"]", group);
		(void)sscanf(line, "    resources: [\"%63[^\"]", resource);
		if (sscanf(line, "    verbs: [%127[^]]", verbs) != 1)
			continue;
		for (char *rest = NULL, *v = strtok_r(verbs, "\", ", &rest); v;
		     v = strtok_r(NULL, "\", ", &rest))
			(void)snprintf(grants[n++], GRANT_MAX, "%s %s%s%s %s", v, resource,
				       group[0] ? "." : "", group, ns);
	}
	return n;
}

static void just_enough(void **state)
{
	static const char *const configs[][6] = {
		{"--node-name=n1", "--watch-config=ops/kindred", "--follow-owners=a.io/B", NULL},
		{"--scope=cluster", "--namespaces=a,b", NULL},
		{"--scope=cluster", "--resources=on", "--namespace-selector=x=y",
		 "--watch-resources=deployments.apps", NULL},
	};
	static char grants[64][GRANT_MAX];
	struct rig *rig = *state;

	for (size_t i = 0; i < ARRAY_SIZE(configs); i++) {
		const char *list[66] = {"get ~*"}, *words[8];
		_free_ char *yaml = NULL;
		size_t n, k;

		for (k = 0; configs[i][k]; k++)
			words[k + 1] = configs[i][k];
		words[0] = "--print-access";
		words[k + 1] = NULL;
		assert_int_equal(run(rig, NULL, words, &yaml), 0);
		n = read_rules(yaml, grants);
		assert_true(n > 5);
		words[0] = "--check-access";
		/* The first time all of them, then all but one. */
		for (size_t left_out = 0; left_out <= n; left_out++) {
			_free_ char *out = NULL;
			struct server s;
			size_t m = 1;

			for (k = 1; k <= n; k++)
				if (k != left_out)
					list[m++] = grants[k - 1];
			list[m] = NULL;
			begin(&s, list);
			if (run(rig, &s, words, &out) != (left_out ? 1 : 0))
				rig_fail(rig, "without \"%s\":\n%s",
					 left_out ? grants[left_out - 1] : "nothing", out);
			end(&s);
		}
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {TEST(all_allowed), TEST(some_denied), TEST(discovered),
					   TEST(who_cannot_be_asked), TEST(just_enough)};

	return rig_run("agent/check_access", tests, ARRAY_SIZE(tests), argc, argv);
}
