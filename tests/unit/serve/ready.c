/*
 * /readyz: what conditions come to, as text and as JSON.
 */
#include "tests/unit/serve/rig.h"

#include <jansson.h>

#include "serve/ready.h"

struct said {
	bool bad;
	unsigned good;
};

static void say(void *ctx, struct ready *r)
{
	const struct said *s = ctx;

	for (unsigned i = 0; i < s->good; i++)
		ready_put(r, "watch \"x\"", true, "synced, heard from %u s ago", i);
	if (s->bad)
		ready_put(r, "reducer", false, "no\nconnection\tfor %d s", 42);
}

static void get(struct ask_rig *g, struct said *s, const char *target, struct buf *in)
{
	struct serve_opts o = {.base = g->base, .socket = g->socket, .conditions = say, .ctx = s};
	int fd;

	serve_free(&g->serve);
	buf_reset(&g->words);
	assert_int_equal(serve_new(&o, &g->serve, &g->words), 0);
	buf_reset(in);
	fd = rig_connect(g);
	rig_get(fd, target);
	assert_true(rig_read(g, fd, in, NULL, 5000));
	(void)close(fd);
}

static const char *body(const struct buf *in)
{
	return strstr(in->p, "\r\n\r\n") + 4;
}

static void a_line_a_condition(void **state)
{
	struct ask_rig *g = *state;
	_buf_ struct buf in = {.max = 4UL << 20};

	get(g, &(struct said){.good = 1}, "/readyz", &in);
	assert_memory_equal(in.p, "HTTP/1.1 200", 12);
	assert_string_equal(body(&in), "ready\n[+] watch \"x\": synced, heard from 0 s ago\n");
	get(g, &(struct said){.good = 1, .bad = true}, "/readyz", &in);
	assert_memory_equal(in.p, "HTTP/1.1 503", 12);
	assert_string_equal(body(&in), "not ready: 1 of 2 conditions fails\n"
				       "[-] reducer: no connection for 42 s\n"
				       "[+] watch \"x\": synced, heard from 0 s ago\n");
	get(g, &(struct said){.good = 0}, "/readyz?output=text", &in);
	assert_string_equal(body(&in), "ready\n");
	get(g, &(struct said){.good = 0}, "/readyz?output=xml", &in);
	assert_memory_equal(in.p, "HTTP/1.1 400", 12);
	get(g, &(struct said){.good = 0}, "/readyz?verbose=1", &in);
	assert_memory_equal(in.p, "HTTP/1.1 400", 12);
}

static void the_same_as_json(void **state)
{
	struct ask_rig *g = *state;
	_buf_ struct buf in = {.max = 4UL << 20};
	json_t *root, *list, *first;

	get(g, &(struct said){.good = 2, .bad = true}, "/readyz?output=json", &in);
	assert_memory_equal(in.p, "HTTP/1.1 503", 12);
	root = json_loads(body(&in), 0, NULL);
	assert_true(json_is_false(json_object_get(root, "ready")));
	list = json_object_get(root, "conditions");
	assert_int_equal(json_array_size(list), 3);
	first = json_array_get(list, 0);
	assert_string_equal(json_string_value(json_object_get(first, "name")), "reducer");
	assert_true(json_is_false(json_object_get(first, "ok")));
	assert_string_equal(json_string_value(json_object_get(first, "message")),
			    "no connection for 42 s");
	assert_true(json_is_true(json_object_get(json_array_get(list, 2), "ok")));
	json_decref(root);
	get(g, &(struct said){0}, "/readyz?output=json", &in);
	assert_string_equal(body(&in), "{\"ready\":true,\"conditions\":[]}\n");
}

/* Thousands of conditions are cut, not answered by an error: who fails comes first. */
static void very_many_conditions(void **state)
{
	struct ask_rig *g = *state;
	_buf_ struct buf in = {.max = 4UL << 20};

	get(g, &(struct said){.good = 50000, .bad = true}, "/readyz", &in);
	assert_memory_equal(in.p, "HTTP/1.1 503", 12);
	assert_memory_equal(body(&in), "not ready: 1 of 50001 ", 22);
	assert_non_null(strstr(body(&in), "[-] reducer"));
}

#define T(name) cmocka_unit_test_setup_teardown(name, ask_rig_setup, ask_rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_line_a_condition),
		T(the_same_as_json),
		T(very_many_conditions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
