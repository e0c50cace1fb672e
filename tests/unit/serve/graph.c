/*
 * The graph over the socket and from the command line: the worker of the file answers,
 * also those who hang up, and bad questions are told so.
 */
#include "tests/unit/serve/rig.h"

#include "cli/cmd_graph.h"
#include "cli/cmd_help.h"
#include "serve/web.h"
#include "sink/graph/rows.h"
#include "sink/sqlite/db.h"
#include "sink/sqlite/worker.h"

#include <pthread.h>
#include <stdatomic.h>

#define IN_MAX (1UL << 20)

struct shop {
	struct ask_rig g; /* without flows */
	struct worker *worker;
	char file[128];
};

static void fill(struct shop *s)
{
	static const char json[] =
		"{\"apiVersion\":\"apps/"
		"v1\",\"kind\":\"Deployment\",\"metadata\":{\"name\":\"web\","
		"\"namespace\":\"shop\",\"uid\":\"00000000-0000-4000-8000-000000000001\"},\"spec\":"
		"{"
		"\"template\":{\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i:1\"}],"
		"\"volumes\":[{\"name\":\"v\",\"secret\":{\"secretName\":\"tls\"}}]}}}}";
	struct graph_made made = {0};
	struct relay_item item = {.time = 1700000000 * NSEC_PER_SEC, .made = &made};
	_db_ struct sqlite3 *db = NULL;
	_buf_ struct buf error = {.max = DB_ERROR_MAX};
	struct arena a;
	struct tree *t;

	arena_init(&a, 1UL << 20);
	assert_int_equal(db_open(s->file, false, &db, &error), 0);
	assert_int_equal(tree_parse(&a, str_of(json), &t), 0);
	assert_int_equal(edges_of(t, &a, &made.set), 0);
	assert_int_equal(graph_state_of(t, &a, item.time, &made.state), 0);
	item.group = STR("apps");
	item.kind = STR("Deployment");
	item.ns = STR("shop");
	item.name = STR("web");
	item.uid = tree_text_at(t, "metadata.uid");
	assert_int_equal(rows_write(db, (struct str){0}, 1, &item, 1, &error), 0);
	arena_done(&a);
}

static int setup(void **state)
{
	struct shop *s = calloc(1, sizeof(*s));
	struct ask_rig *g = &s->g;
	struct serve_opts o = {.version = "test"};
	struct worker_opts w = {0};

	(void)snprintf(g->folder, sizeof(g->folder), "/tmp/kindred-serve-XXXXXX");
	assert_non_null(mkdtemp(g->folder));
	(void)snprintf(g->socket, sizeof(g->socket), "%s/run/agent.sock", g->folder);
	(void)snprintf(s->file, sizeof(s->file), "%s/graph.db", g->folder);
	buf_init(&g->words, 4096);
	fill(s);
	g->base = event_base_new();
	w.base = g->base;
	w.file = s->file;
	assert_int_equal(worker_new(&w, &s->worker, &g->words), 0);
	o.base = g->base;
	o.socket = g->socket;
	o.graph = s->worker;
	assert_int_equal(serve_new(&o, &g->serve, &g->words), 0);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	static const char *const tails[] = {"run", "graph.db", "graph.db-wal", "graph.db-shm"};
	struct shop *s = *state;
	char path[160];

	serve_free(&s->g.serve);
	worker_free(&s->worker);
	event_base_free(s->g.base);
	buf_done(&s->g.words);
	for (size_t i = 0; i < ARRAY_SIZE(tails); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", s->g.folder, tails[i]);
		(void)remove(path);
	}
	(void)rmdir(s->g.folder);
	free(s);
	return 0;
}

static void expect(struct shop *s, const char *target, const char *status, const char *text)
{
	_buf_ struct buf in = {.max = IN_MAX};
	int fd = rig_connect(&s->g);

	rig_get(fd, target);
	assert_true(rig_read(&s->g, fd, &in, NULL, 20000));
	(void)close(fd);
	if (strncmp(in.p + 9, status, 3) != 0 || !strstr(in.p, text))
		fail_msg("%s\nis answered with\n%s", target, in.p);
}

static void both_ways(void **state)
{
	struct shop *s = *state;

	expect(s, "/api/v1/graph?q=Deployment/shop/web&out=1", "200", "Secret/shop/tls");
	expect(s, "/api/v1/graph?q=secret/shop/tls&in=1", "200", "Deployment/shop/web");
	expect(s, "/api/v1/graph?q=Deployment/shop/web&output=json", "200", "application/json");
	expect(s, "/api/v1/graph?q=Deployment/shop/web&output=dot", "200", "digraph");
}

static void what_is_wrong_is_told(void **state)
{
	struct shop *s = *state;

	expect(s, "/api/v1/graph?q=Deployment/shop/nobody", "404", "error");
	expect(s, "/api/v1/graph", "400", "q=KIND");
	expect(s, "/api/v1/graph?q=Deployment/shop/web&depth=0", "400", "depth=0");
	expect(s, "/api/v1/graph?q=Deployment/shop/web&output=svg", "400", "output=svg");
}

static void who_hangs_up_is_forgotten(void **state)
{
	struct shop *s = *state;

	/* Fewer than WEB_MAX_CLIENTS: who only closed one side may still listen, and keeps a place.
	 */
	for (int i = 0; i < WEB_MAX_CLIENTS - 4; i++) {
		int fd = rig_connect(&s->g);

		rig_get(fd, "/api/v1/graph?q=Deployment/shop/web");
		rig_turn(&s->g);
		(void)close(fd);
	}
	expect(s, "/api/v1/graph?q=Deployment/shop/web", "200", "tls");
}

static int run_gate(void *ctx, struct sqlite3 *db, struct buf *error)
{
	(void)db;
	(void)error;
	while (!atomic_load((atomic_bool *)ctx))
		(void)usleep(1000);
	return 0;
}

static void on_gate(void *ctx, int r, struct str error)
{
	(void)ctx, (void)r, (void)error;
}

/* The file's worker goes while a question waits for it, and comes back. */
static void who_waits_when_the_graph_goes_is_told(void **state)
{
	struct shop *s = *state;
	_buf_ struct buf in = {.max = IN_MAX};
	atomic_bool open = false;
	const struct worker_job gate = {
		.run = run_gate, .done = on_gate, .ctx = &open, .reads = true};
	int fd = rig_connect(&s->g);

	assert_int_equal(worker_put(s->worker, &gate), 0);
	rig_get(fd, "/api/v1/graph?q=Deployment/shop/web");
	for (int i = 0; i < 20; i++)
		rig_turn(&s->g);
	serve_set_sinks(s->g.serve, NULL, NULL, STR("it went away"));
	assert_true(rig_read(&s->g, fd, &in, NULL, 20000));
	(void)close(fd);
	assert_non_null(strstr(in.p, "503"));
	assert_non_null(strstr(in.p, "it went away"));
	atomic_store(&open, true);
	expect(s, "/api/v1/graph?q=Deployment/shop/web", "503", "--graph sqlite:FILE");
	serve_set_sinks(s->g.serve, s->worker, NULL, (struct str){0});
	expect(s, "/api/v1/graph?q=Deployment/shop/web", "200", "tls");
}

struct asking {
	char *argv[8];
	int argc, code;
	atomic_bool over;
};

static void *run_command(void *ctx)
{
	struct asking *c = ctx;

	c->code = cmd_graph(c->argc, c->argv);
	atomic_store(&c->over, true);
	return NULL;
}

/* The command blocks in a thread of its own while the agent's loop turns here. */
static int ask_agent(struct shop *s, struct asking *c)
{
	pthread_t t;

	while (c->argv[c->argc])
		c->argc++;
	assert_int_equal(pthread_create(&t, NULL, run_command, c), 0);
	while (!atomic_load(&c->over))
		rig_turn(&s->g);
	assert_int_equal(pthread_join(t, NULL), 0);
	return c->code;
}

static void the_command_asks_the_agent(void **state)
{
	struct shop *s = *state;
	char name[] = "graph", what[] = "Secret/shop/tls", flag[] = "--socket", in[] = "--in";
	char nobody[] = "Secret/shop/nobody";
	struct asking right = {.argv = {name, what, in, flag, s->g.socket}};
	struct asking wrong = {.argv = {name, nobody, flag, s->g.socket}};

	assert_int_equal(ask_agent(s, &right), EXIT_OK);
	assert_int_equal(ask_agent(s, &wrong), EXIT_FAILED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(both_ways, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_wrong_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(who_hangs_up_is_forgotten, setup, teardown),
		cmocka_unit_test_setup_teardown(who_waits_when_the_graph_goes_is_told, setup,
						teardown),
		cmocka_unit_test_setup_teardown(the_command_asks_the_agent, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
