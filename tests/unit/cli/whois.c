/*
 * kindred whois against a server: every kind of thing, other times, and what is said of
 * what is not known.
 */
#include "tests/unit/cli/asking.h"

#include <jansson.h>

#include "cli/cmd_whois.h"
#include "serve/whois.h"

static json_t *whois_at(struct ask_rig *g, const char *what, const char *at, int code)
{
	static struct said s;
	char *args[] = {strdup("whois"),
			strdup(what),
			strdup("-o"),
			strdup("json"),
			at ? strdup("--at") : NULL,
			at ? strdup(at) : NULL,
			NULL};
	json_t *o;

	run_command(g, cmd_whois, args, g->socket, NULL, &s);
	for (int i = 0; args[i]; i++)
		free(args[i]);
	if (s.code != code)
		fail_msg("%s: %d\n%s%s", what, s.code, s.out, s.err);
	o = json_loads(s.out, 0, NULL);
	assert_non_null(o);
	return o;
}

static void expect_member(const json_t *o, const char *key, const char *value)
{
	const char *got = json_string_value(json_object_get(o, key));

	if (!got || strcmp(got, value) != 0) {
		char *all = json_dumps(o, 0);

		fail_msg("%s is %s, not %s, in %s", key, got ? got : "absent", value, all);
	}
}

static void expect_web(struct ask_rig *g, const char *what, const char *kind)
{
	json_t *o = whois_at(g, what, NULL, 0);

	expect_member(o, "query", what);
	expect_member(o, "what", kind);
	expect_member(o, "namespace", "shop");
	expect_member(o, "pod", "web-1");
	expect_member(o, "workload", "web");
	expect_member(o, "workload_kind", "StatefulSet");
	expect_member(o, "pod_uid", "00000000-0000-4000-8000-000000000001");
	assert_int_equal(json_array_size(json_object_get(o, "owners")), 1);
	assert_int_equal(json_array_size(json_object_get(o, "addresses")), 1);
	assert_non_null(json_object_get(o, "how"));
	json_decref(o);
}

/* The owner of web-1 is known, not only referred to: its chain is whole. */
static void tell_owners(struct ask_rig *g)
{
	struct obj b;
	uint16_t source;

	assert_int_equal(inventory_source_add(g->inventory, &source), 0);
	obj_owner(&b, "apps/v1", "StatefulSet", "shop", "web", obj_uid(11));
	assert_int_equal(inventory_apply_owner(g->inventory, source, g->at, &b.o), 0);
}

static void one_pod_by_all_its_names(void **state)
{
	struct ask_rig *g = *state;

	tell_owners(g);
	expect_web(g, "10.0.0.1", "address");
	expect_web(g, "shop/web-1", "pod");
	expect_web(g, "web-1", "pod");
	expect_web(g, "00000000-0000-4000-8000-000000000001", "pod");
	expect_web(g, RIG_CID, "container");
	expect_web(g, "containerd://" RIG_CID, "container");
	expect_web(g, "0123456789ab", "container");
	expect_web(g, "cgroup:4", "cgroup");
	expect_web(g,
		   "/kubepods.slice/kubepods-pod00000000_0000_4000_8000_000000000001.slice/"
		   "cri-containerd-" RIG_CID ".scope",
		   "cgroup");
	expect_web(g,
		   "/sys/fs/cgroup/kubepods.slice/"
		   "kubepods-pod00000000_0000_4000_8000_000000000001.slice/"
		   "cri-containerd-" RIG_CID ".scope",
		   "cgroup");
}

static void how_an_address_is_known(void **state)
{
	struct ask_rig *g = *state;
	json_t *o = whois_at(g, "10.0.0.1", NULL, 0);

	expect_text(json_string_value(json_object_get(o, "how")),
		    "pod shop/web-1 had this address from 20");
	expect_text(json_string_value(json_object_get(o, "how")), "as the API server told");
	json_decref(o);
}

static void before_its_time_it_was_nobodys(void **state)
{
	struct ask_rig *g = *state;
	json_t *o = whois_at(g, "10.0.0.1", "-5m", 1);

	assert_true(json_array_size(json_object_get(o, "tried")) >= 1);
	expect_text(json_string_value(json_array_get(json_object_get(o, "tried"), 0)),
		    "no pod of this node had it at that time");
	json_decref(o);
}

static void the_end_of_a_flow(void **state)
{
	struct ask_rig *g = *state;
	json_t *o;

	rig_flow(g, ABI_TCP_OPEN, 1, 5, 0, 0);
	rig_flow(g, ABI_TCP_OPEN, 2, 5, 0, 0);
	o = whois_at(g, "10.0.0.1:1001", NULL, 0);
	expect_member(o, "what", "flow");
	assert_int_equal(json_array_size(json_object_get(o, "flows")), 1);
	json_decref(o);
	o = whois_at(g, "10.0.0.2:5432", NULL, 0);
	assert_int_equal(json_array_size(json_object_get(o, "flows")), 2);
	json_decref(o);
	json_decref(whois_at(g, "10.0.0.2:1", NULL, 1));
	json_decref(whois_at(g, "[fd00::1]:1", NULL, 1));
}

static void this_process_by_its_number(void **state)
{
	struct ask_rig *g = *state;
	char text[32];
	json_t *o;

	(void)snprintf(text, sizeof(text), "pid:%d", getpid());
	o = whois_at(g, text, NULL, 0); /* it has no sockets the agent knows: /proc tells */
	expect_member(o, "what", "process");
	assert_int_equal(json_integer_value(json_object_get(o, "pid")), getpid());
	expect_text(json_string_value(json_object_get(o, "how")), "runs in cgroup /");
	json_decref(o);
}

static void what_is_not_known(void **state)
{
	static const char *const all[] = {"nobody",	   "shop/nobody", "fedcba987654",
					  "/no/such/path", "2001:db8::1", "cgroup:999999",
					  "\"\\\x01"};
	struct ask_rig *g = *state;

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		json_t *o = whois_at(g, all[i], NULL, 1);

		assert_true(json_array_size(json_object_get(o, "tried")) >= 1);
		json_decref(o);
	}
}

static void for_people(void **state)
{
	struct ask_rig *g = *state;
	static struct said s;
	char *args[] = {(char[]){"whois"}, (char[]){"10.0.0.1"}, NULL};
	char *none[] = {(char[]){"whois"}, NULL};

	run_command(g, cmd_whois, args, g->socket, NULL, &s);
	assert_int_equal(s.code, 0);
	expect_text(s.out, "pod             web-1\n");
	expect_text(s.out, "workload        web\n");
	run_command(g, cmd_whois, none, g->socket, NULL, &s);
	assert_int_equal(s.code, 2);
	run_command(g, cmd_whois, args, "/nonexistent/agent.sock", NULL, &s);
	assert_int_equal(s.code, 3);
	expect_text(s.err, "no agent answers at /nonexistent/agent.sock");
}

static void times(void **state)
{
	const nsec_t now = 1795253400 * NSEC_PER_SEC;
	nsec_t t = 0;

	(void)state;
	assert_int_equal(whois_time(STR("2026-11-21T09:30:00Z"), now, &t), 0);
	assert_int_equal(t, now);
	assert_int_equal(whois_time(STR("2026-11-21T10:30:00.25+01:00"), now, &t), 0);
	assert_int_equal(t, now + NSEC_PER_SEC / 4);
	assert_int_equal(whois_time(STR("-5m"), now, &t), 0);
	assert_int_equal(t, now - 300 * NSEC_PER_SEC);
	assert_int_equal(whois_time(STR("2026-11-21T09:30:00"), now, &t), -EINVAL);
	assert_int_equal(whois_time(STR("2026-11-21T09:30:00+1"), now, &t), -EINVAL);
	assert_int_equal(whois_time(STR("yesterday"), now, &t), -EINVAL);
	assert_int_equal(whois_time(STR("1900-01-01T00:00:00Z"), now, &t), -EINVAL);
	assert_int_equal(whois_time(STR(""), now, &t), -EINVAL);
}

#define T(name) cmocka_unit_test_setup_teardown(name, ask_rig_setup, ask_rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(one_pod_by_all_its_names),
		T(how_an_address_is_known),
		T(before_its_time_it_was_nobodys),
		T(the_end_of_a_flow),
		T(this_process_by_its_number),
		T(what_is_not_known),
		T(for_people),
		cmocka_unit_test(times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
