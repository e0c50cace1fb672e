/*
 * kindred flows against a server: table, JSON lines, filters, following, and what it
 * says when nobody answers.
 */
#include "tests/unit/cli/asking.h"
#include "tests/unit/sink/schema.h"

#include "cli/cmd_flows.h"
#include "cli/flow_table.h"

static void some_flows(struct ask_rig *g)
{
	rig_flow(g, ABI_TCP_OPEN, 1, 2048, 0, 0);
	rig_flow(g, ABI_TCP_CLOSE, 2, 6, 3, 0);
	rig_flow(g, ABI_TCP_CLOSE, 3, 0, 0, ECONNREFUSED);
}

static int lines(const char *text)
{
	int n = 0;

	for (; (text = strchr(text, '\n')); text++)
		n++;
	return n;
}

static void flows(struct ask_rig *g, struct said *s, char **args)
{
	run_command(g, cmd_flows, args, g->socket, NULL, s);
}
#define FLOWS(g, s, ...) flows(g, s, (char *[]){(char[]){"flows"}, __VA_ARGS__ NULL})
#define A(text)		 (char[]){text},

static void a_table_for_people(void **state)
{
	struct ask_rig *g = *state;
	static struct said s;

	some_flows(g);
	FLOWS(g, &s, );
	assert_string_equal(s.err, "");
	assert_int_equal(s.code, 0);
	assert_int_equal(lines(s.out), 4);
	assert_memory_equal(s.out, "TIME (UTC)    FROM  ", 20);
	expect_text(s.out, "shop/web");
	expect_text(s.out, "-> shop/db:5432");
	expect_text(s.out, "open                2.0K      0B        250us    0\n");
	expect_text(s.out, "failed:refused");
}

static void filters_are_passed_on(void **state)
{
	struct ask_rig *g = *state;
	static struct said s;

	some_flows(g);
	FLOWS(g, &s, A("--verdict") A("failed"));
	assert_int_equal(lines(s.out), 2);
	FLOWS(g, &s, A("--from") A("shop/*") A("--to") A("*/db") A("--port") A("5432"));
	assert_int_equal(lines(s.out), 4);
	FLOWS(g, &s, A("--from") A("shop/w b&c"));
	assert_int_equal(s.code, 0);
	assert_int_equal(lines(s.out), 1);
	FLOWS(g, &s, A("--last") A("0s"));
	assert_int_equal(lines(s.out), 2);
	FLOWS(g, &s, A("--until") A("2026-11-21T09:30:00+01:00"));
	assert_int_equal(lines(s.out), 1);
	FLOWS(g, &s, A("--since") A("-1h") A("--until") A("-0s") A("-o") A("json"));
	assert_int_equal(lines(s.out), 3);
}

static void json_lines_fit_the_schema(void **state)
{
	struct ask_rig *g = *state;
	struct schema schema;
	static struct said s;

	assert_true(schema_load(&schema));
	some_flows(g);
	FLOWS(g, &s, A("-o") A("json"));
	assert_string_equal(s.err, "");
	assert_int_equal(s.code, 0);
	assert_int_equal(lines(s.out), 3);
	for (char *l = s.out; *l; l = strchr(l, '\n') + 1)
		if (!schema_line(&schema, l, strcspn(l, "\n")))
			fail_msg("%s", schema.why);
	json_decref(schema.root);
}

static void wrong_usage(void **state)
{
	struct ask_rig *g = *state;
	static struct said s;

	FLOWS(g, &s, A("--verdict") A("good"));
	assert_int_equal(s.code, 2);
	FLOWS(g, &s, A("--last") A("soon"));
	assert_int_equal(s.code, 2);
	expect_text(s.err, "duration");
	FLOWS(g, &s, A("--from") A(""));
	assert_int_equal(s.code, 2);
	FLOWS(g, &s, A("word"));
	assert_int_equal(s.code, 2);
}

static void nobody_answers(void **state)
{
	struct ask_rig *g = *state;
	static struct said s;
	char *args[] = {(char[]){"flows"}, NULL};

	run_command(g, cmd_flows, args, "/nonexistent/agent.sock", NULL, &s);
	assert_int_equal(s.code, 3);
	assert_string_equal(s.out, "");
	expect_text(s.err, "kindred flows: no agent answers at /nonexistent/agent.sock: No such "
			   "file or directory; is `kindred agent` running");
	assert_int_equal(lines(s.err), 1);
}

/* Flows come while it follows; then the agent goes, which it says. */
static void come_and_go(struct ask_rig *g, int turn)
{
	if (turn >= 1000 && turn < 1010)
		rig_flow(g, ABI_TCP_OPEN, (uint64_t)turn, 1, 0, 0);
	if (turn == 3000) { /* a new one in its place, for the teardown */
		const struct serve_opts o = {.base = g->base, .socket = g->socket};

		serve_free(&g->serve);
		assert_int_equal(serve_new(&o, &g->serve, &g->words), 0);
	}
}

static void following(void **state)
{
	struct ask_rig *g = *state;
	static struct said s;
	char *args[] = {(char[]){"flows"}, (char[]){"-f"}, NULL};

	some_flows(g);
	run_command(g, cmd_flows, args, g->socket, come_and_go, &s);
	assert_int_equal(s.code, 1);
	assert_int_equal(lines(s.out), 11);
	expect_text(s.err, "kindred flows: the answer ends here");
}

/* ---- rows ------------------------------------------------------------------------------------ */

static void rows_fit_the_terminal(void **state)
{
	json_t *o =
		json_loads("{\"event\":\"open\",\"time\":\"2026-11-21T09:30:00.123456Z\","
			   "\"proto\":\"tcp\",\"direction\":\"in\",\"state\":\"open\","
			   "\"bytes_sent\":1,\"bytes_received\":123456789,\"local\":{\"address\":"
			   "\"fd00::1\",\"port\":80},\"remote\":{\"address\":\"10.0.0.1\",\"port\":"
			   "9,\"namespace\":\"n\\u001b[31m\",\"workload\":"
			   "\"a-very-long-name-of-a-workload-that-will-not-fit-anywhere\"}}",
			   0, NULL);

	(void)state;
	for (unsigned width = 0; width < 300; width += 50) {
		_buf_ struct buf b = {.max = 8192};
		const struct sheet_look look = {.width = width};
		size_t columns = 0;

		assert_int_equal(flow_table_row(o, &look, &b), 0);
		for (size_t i = 0; i + 1 < b.n; i++) {
			assert_true((unsigned char)b.p[i] >= 0x20);
			columns += ((unsigned char)b.p[i] & 0xc0) != 0x80;
		}
		if (width)
			assert_in_range(columns, width > 100 ? 100 : 50, MAX(width, 60U));
		assert_int_equal(buf_append(&b, "", 1), 0);
		if (width == 0 || width >= 100) {
			expect_text(b.p, "09:30:00.123");
			expect_text(b.p, "1B");
		}
		expect_text(b.p, "118M");
		if (width == 0)
			expect_text(b.p, "n?[31m/a-very-long-name-of-a-workload-that-will-not-fit-"
					 "anywhere");
		expect_text(b.p, "-> [fd00::1]:80");
	}
	json_decref(o);
}

/* One found open, of which nobody knows who began it: either end may be the server. */
static void rows_of_unknown_direction(void **state)
{
	json_t *o = json_loads("{\"event\":\"refresh\",\"time\":\"2026-11-21T09:30:00.123456Z\","
			       "\"proto\":\"tcp\",\"state\":\"open\",\"pre_existing\":true,"
			       "\"bytes_sent\":1,\"bytes_received\":2,\"local\":{\"address\":"
			       "\"fd00::1\",\"port\":80},\"remote\":{\"address\":\"10.0.0.1\","
			       "\"port\":9,\"namespace\":\"n\",\"workload\":\"w\"}}",
			       0, NULL);
	_buf_ struct buf b = {.max = 8192};
	const struct sheet_look look = {0};

	(void)state;
	assert_int_equal(flow_table_row(o, &look, &b), 0);
	assert_int_equal(buf_append(&b, "", 1), 0);
	expect_text(b.p, "[fd00::1]:80");
	expect_text(b.p, "<> n/w:9");
	expect_text(b.p, "active");
	expect_text(b.p, "1B");
	json_decref(o);
}

#define T(name) cmocka_unit_test_setup_teardown(name, ask_rig_setup, ask_rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_table_for_people),
		T(filters_are_passed_on),
		T(json_lines_fit_the_schema),
		T(wrong_usage),
		T(nobody_answers),
		T(following),
		cmocka_unit_test(rows_fit_the_terminal),
		cmocka_unit_test(rows_of_unknown_direction),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
