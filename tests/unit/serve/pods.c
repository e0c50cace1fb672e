/*
 * /api/v1/pods and /api/v1/workloads: pages, filters and tokens over an inventory that
 * may change.
 */
#include "tests/unit/serve/rig.h"

#include <jansson.h>

#define MANY 3000
#define APPS 70

static int status;

/* The answer's JSON, whatever its status. */
static json_t *get(struct ask_rig *g, const char *target)
{
	_buf_ struct buf in = {.max = 64UL << 20};
	int fd = rig_connect(g);
	const char *p;
	char *body, *to;
	json_t *root;

	rig_get(fd, target);
	assert_true(rig_read(g, fd, &in, NULL, 20000));
	(void)close(fd);
	status = (int)strtol(in.p + 9, NULL, 10);
	p = strstr(in.p, "\r\n\r\n") + 4;
	body = to = calloc(1, in.n + 1);
	if (!strstr(in.p, "chunked"))
		memcpy(to, p, strlen(p));
	else
		for (size_t n; (n = strtoul(p, NULL, 16)); p += n + 2) {
			p = strstr(p, "\r\n") + 2;
			memcpy(to, p, n);
			to += n;
		}
	root = json_loads(body, 0, NULL);
	if (!root)
		fail_msg("%s", body);
	free(body);
	return root;
}

static const char *text(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key)) ?: "";
}

static void add(struct ask_rig *g, unsigned i)
{
	struct obj b;
	char name[64], ns[32], app[32];

	(void)snprintf(name, sizeof(name), "p-%u", i);
	(void)snprintf(ns, sizeof(ns), "ns-%u", i % 3);
	(void)snprintf(app, sizeof(app), "app-%u", i % APPS);
	obj_pod(&b, ns, name, obj_uid(1000 + i), "");
	if (i % 10)
		obj_owned(&b, "apps/v1", "StatefulSet", app, obj_uid(500000 + i % APPS));
	b.o.pod.phase = i % 2 ? POD_PHASE_RUNNING : POD_PHASE_PENDING;
	b.o.pod.node_name = str_of(i % 4 ? "node-1" : "node-2");
	assert_int_equal(inventory_apply_pod(g->inventory, 0, clock_mono(), &b.o), 0);
}

static int fill(void **state)
{
	int r = ask_rig_setup(state);

	for (unsigned i = 0; i < MANY; i++)
		add(*state, i);
	return r;
}

/* All pages of a target ("...?x=y"), 100 at a time; each name is put into `seen`. */
static size_t walk(struct ask_rig *g, const char *target, const char *key, json_t *seen,
		   void (*between)(struct ask_rig *g))
{
	char next[900] = "", url[1200];
	size_t n = 0, pages = 0;

	do {
		json_t *root, *list, *o;
		size_t i;

		(void)snprintf(url, sizeof(url), "%s%climit=100%s%s", target,
			       strchr(target, '?') ? '&' : '?', next[0] ? "&continue=" : "", next);
		root = get(g, url);
		assert_int_equal(status, 200);
		list = json_object_get(root, key);
		assert_true(json_array_size(list) <= 100);
		json_array_foreach(list, i, o)
		{
			char name[900];

			(void)snprintf(name, sizeof(name), "%s/%s/%s", text(o, "namespace"),
				       text(o, "kind"), text(o, "name"));
			assert_null(json_object_get(seen, name)); /* once */
			assert_int_equal(json_object_set(seen, name, o), 0);
			n++;
		}
		(void)snprintf(next, sizeof(next), "%s", text(root, "continue"));
		json_decref(root);
		if (between)
			between(g);
		assert_true(++pages < 100);
	} while (next[0]);
	return n;
}

static size_t count(struct ask_rig *g, const char *target, const char *key)
{
	json_t *seen = json_object();
	size_t n = walk(g, target, key, seen, NULL);

	json_decref(seen);
	return n;
}

static void every_pod_once(void **state)
{
	struct ask_rig *g = *state;
	json_t *seen = json_object(), *o, *w;

	assert_int_equal(walk(g, "/api/v1/pods", "pods", seen, NULL), MANY + 2);
	o = json_object_get(seen, "ns-2//p-11");
	assert_string_equal(text(o, "phase"), "Running");
	assert_string_equal(text(o, "node"), "node-1");
	w = json_object_get(o, "workload");
	assert_string_equal(text(w, "kind"), "StatefulSet");
	assert_string_equal(text(w, "name"), "app-11");
	assert_string_equal(text(w, "end"), "top");
	assert_int_equal(json_array_size(json_object_get(o, "owners")), 1);
	o = json_object_get(seen, "ns-1//p-10");
	w = json_object_get(o, "workload");
	assert_string_equal(text(w, "kind"), "Pod");
	assert_string_equal(text(w, "name"), "p-10");
	assert_string_equal(text(w, "end"), "no_owner");
	o = json_object_get(seen, "shop//web-1");
	assert_string_equal(text(json_array_get(json_object_get(o, "addresses"), 0), "address"),
			    "10.0.0.1");
	o = json_array_get(json_object_get(o, "containers"), 0);
	assert_string_equal(text(o, "id"), "containerd://" RIG_CID);
	assert_string_equal(text(o, "type"), "main");
	json_decref(seen);
}

static void filters(void **state)
{
	struct ask_rig *g = *state;
	static const struct {
		const char *query;
		size_t n;
	} all[] = {
		{"?namespace=ns-1", 1000},
		{"?namespace=ns-*", MANY},
		{"?namespace=shop", 2},
		{"?namespace=nobody", 0},
		{"?node=node-2", MANY / 4},
		{"?workload=app-11", 43},
		{"?workload=app-11&namespace=ns-2", 15},
		{"?workload=web", 1},
		{"?workload=p-10", 1},
		{"?workload=p-*&namespace=ns-0", 100},
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		char target[200];
		size_t n;

		(void)snprintf(target, sizeof(target), "/api/v1/pods%s", all[i].query);
		n = count(g, target, "pods");
		if (n != all[i].n)
			fail_msg("%s: %zu, not %zu", target, n, all[i].n);
	}
	assert_int_equal(count(g, "/api/v1/workloads?kind=Pod", "workloads"), 300);
	assert_int_equal(count(g, "/api/v1/workloads?kind=Stateful*&namespace=shop", "workloads"),
			 2);
}

static void workloads_are_sorted_and_counted(void **state)
{
	struct ask_rig *g = *state;
	json_t *seen = json_object(), *o;
	const char *key;
	size_t pods = 0;
	char last[900] = "";

	(void)walk(g, "/api/v1/workloads", "workloads", seen, NULL);
	json_object_foreach(seen, key, o)
	{
		assert_true(strcmp(key, last) > 0);
		(void)snprintf(last, sizeof(last), "%s", key);
		pods += (size_t)json_integer_value(json_object_get(o, "pods"));
	}
	assert_int_equal(pods, MANY + 2);
	o = json_object_get(seen, "ns-2/StatefulSet/app-11");
	assert_int_equal(json_integer_value(json_object_get(o, "pods")), 15);
	assert_int_equal(json_integer_value(json_object_get(o, "running")), 15); /* odd ones */
	assert_string_equal(text(o, "uid"), obj_uid(500011).p);
	o = json_object_get(seen, "ns-1/StatefulSet/app-12");
	assert_int_equal(json_integer_value(json_object_get(o, "running")), 0);
	json_decref(seen);
}

static void change(struct ask_rig *g)
{
	static unsigned next;

	inventory_delete_pod(g->inventory, obj_uid(1000 + next), clock_mono());
	add(g, MANY + next);
	next += 2;
}

/* What is there all the time comes once, whatever comes and goes between pages. */
static void pods_that_stay_are_all_there(void **state)
{
	struct ask_rig *g = *state;
	json_t *seen = json_object();
	char name[64];

	(void)walk(g, "/api/v1/pods", "pods", seen, change);
	for (unsigned i = 200; i < MANY; i++) {
		(void)snprintf(name, sizeof(name), "ns-%u//p-%u", i % 3, i);
		if (!json_object_get(seen, name))
			fail_msg("%s is missing", name);
	}
	json_decref(seen);
}

static void bad_questions(void **state)
{
	struct ask_rig *g = *state;
	static const struct {
		const char *target;
		int status;
	} all[] = {
		{"/api/v1/pods?limit=0", 400},	       {"/api/v1/pods?limit=5001", 400},
		{"/api/v1/pods?limit=-1", 400},	       {"/api/v1/pods?limit=x", 400},
		{"/api/v1/pods?colour=red", 400},      {"/api/v1/pods?kind=Pod", 400},
		{"/api/v1/pods?continue=x", 400},      {"/api/v1/pods?continue=1-2-3", 400},
		{"/api/v1/pods?continue=1-2", 410},    {"/api/v1/pods?namespace=%zz", 400},
		{"/api/v1/workloads?limit=5001", 400}, {"/api/v1/workloads?x", 400},
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		json_t *root = get(g, all[i].target);

		if (status != all[i].status || !text(root, "error")[0])
			fail_msg("%s: %d", all[i].target, status);
		json_decref(root);
	}
	for (int i = 0; i < 2; i++) { /* behind the last one */
		json_t *root = get(g, i ? "/api/v1/workloads?continue=zzz/Z/z"
					: "/api/v1/workloads?continue=%ff");

		assert_int_equal(status, 200);
		assert_int_equal(json_array_size(json_object_get(root, "workloads")), 0);
		json_decref(root);
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, fill, ask_rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(every_pod_once),
		T(filters),
		T(workloads_are_sorted_and_counted),
		T(pods_that_stay_are_all_there),
		T(bad_questions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
