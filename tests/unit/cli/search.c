/*
 * kindred search over a store's file, as a process of its own: what it prints, and what it
 * says when there is nothing to ask. The table by itself: widths, marks, hostile texts.
 */
#include "cli/cmd_search.h"
#include "cli/search_table.h"
#include "sink/vector/embed_hash.h"
#include "tests/unit/sink/sqlite/rig.h"

#include <jansson.h>
#include <sys/wait.h>

#define DIM 384

struct said {
	int code;
	char out[16384], err[4096];
};

static void slurp(const char *path, char *text, size_t cap)
{
	FILE *f = fopen(path, "re");

	assert_non_null(f);
	text[fread(text, 1, cap - 1, f)] = '\0';
	(void)fclose(f);
	(void)unlink(path);
}

/* `args` ends with NULL. */
static void run(struct rig *g, char **args, struct said *ret)
{
	char out[96], err[96];
	int argc = 0, status;
	pid_t pid;

	(void)snprintf(out, sizeof(out), "%s/out", g->folder);
	(void)snprintf(err, sizeof(err), "%s/err", g->folder);
	while (args[argc])
		argc++;
	(void)fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (!freopen(out, "we", stdout) || !freopen(err, "we", stderr))
			_exit(99);
		status = cmd_search(argc, args);
		(void)fflush(NULL);
		_exit(status);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	ret->code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	slurp(out, ret->out, sizeof(ret->out));
	slurp(err, ret->err, sizeof(ret->err));
}

static void has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" is not in:\n%s", part, text);
}

#define SAY(g, ret, ...) run((g), (char *[]){(char *)"search", __VA_ARGS__, NULL}, (ret))
#define ARG(s)		 ((char *)(uintptr_t)(s))

static void fill(struct rig *g, const char *model)
{
	static const struct {
		const char *id, *ns, *kind, *name, *text;
	} all[] = {
		{"1", "payments", "Deployment", "ledger",
		 "Deployment ledger | mounts secret postgres"},
		{"2", "payments", "Secret", "postgres", "Secret postgres | credentials password"},
		{"3", "", "Node", "worker-1", "Node worker-1 | capacity 8 cpu"},
	};
	const struct docs_opts o = {.collection = STR("kindred"),
				    .model = str_of(model),
				    .dim = DIM,
				    .template_ = STR("t1")};

	rig_ok(g, db_open(g->file, false, &g->db, &g->error));
	rig_ok(g, docs_open(g->db, &o, &g->docs, &g->error));
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		float v[DIM];
		struct docs_row row =
			rig_row(all[i].id, all[i].ns, all[i].kind, all[i].name, all[i].text, v);

		embed_hash(row.text, DIM, v);
		rig_ok(g, docs_upsert(g->docs, &row, 1, &g->error));
	}
}

static void a_store_is_searched(void **state)
{
	struct rig *g = *state;
	static struct said s; /* the writer stays open meanwhile */

	fill(g, "hash-v1:384");
	SAY(g, &s, ARG("who mounts"), ARG("postgres"), ARG("--store"), g->file);
	assert_int_equal(s.code, 0);
	assert_string_equal(s.err, "");
	has(s.out, "SCORE  KIND        NAMESPACE/NAME     TEXT\n");
	assert_ptr_equal(strstr(s.out, "payments/"),
			 strstr(s.out, "payments/ledger")); /* the first */
	has(s.out, "Deployment  payments/ledger    ");
	has(s.out, "Secret      payments/postgres  Secret postgres | credentials password\n");
	has(s.out, "worker-1"); /* by its vector */
	SAY(g, &s, ARG("postgres"), ARG("--store"), g->file, ARG("--kind"), ARG("SECRET"),
	    ARG("-o"), ARG("json"));
	assert_int_equal(s.code, 0);
	has(s.out, "[{\"id\":\"2\",\"score\":1,");
	assert_null(strstr(s.out, "\"id\":\"1\""));
	SAY(g, &s, ARG("postgres"), ARG("--store"), g->file, ARG("-n"), ARG("1"),
	    ARG("--namespace"), ARG("payments"));
	assert_int_equal(s.code, 0);
	assert_null(strstr(s.out, "ledger "));
	SAY(g, &s, ARG("postgres"), ARG("--store"), g->file, ARG("--namespace"), ARG("nowhere"));
	assert_int_equal(s.code, 1);
	assert_string_equal(s.out, "");
	has(s.err, "nothing was found");
}

static void vectors_of_others_are_left_out(void **state)
{
	struct rig *g = *state;
	static struct said s;

	fill(g, "openai:some-model");
	SAY(g, &s, ARG("mounted"), ARG("--store"), g->file);
	assert_int_equal(s.code, 0);
	has(s.err, "by words alone");
	has(s.out, "payments/ledger");
	assert_null(strstr(s.out, "worker-1"));
}

static void there_may_be_nobody_to_ask(void **state)
{
	struct rig *g = *state;
	static struct said s;

	SAY(g, &s, ARG("x"), ARG("--store"), g->file);
	assert_int_equal(s.code, 1);
	has(s.err, "No such file or directory; an agent with --vector sqlite:FILE makes it");
	rig_ok(g, db_open(g->file, false, &g->db, &g->error));
	SAY(g, &s, ARG("x"), ARG("--store"), g->file);
	assert_int_equal(s.code, 1);
	has(s.err, "no collection yet");
	SAY(g, &s, ARG("x"), ARG("--socket"), ARG("/nowhere/agent.sock"));
	assert_int_equal(s.code, 3);
	has(s.err, "no agent answers at /nowhere/agent.sock");
	has(s.err, "--store FILE reads a store without an agent\n");
	SAY(g, &s, ARG("--socket"), ARG("/nowhere/agent.sock"));
	assert_int_equal(s.code, 2);
	has(s.err, "words to search for are missing");
	SAY(g, &s, ARG("x"), ARG("-n"), ARG("0"));
	assert_int_equal(s.code, 2);
}

/* ---- the table ------------------------------------------------------------------------------- */

static void expect(const char *json, unsigned width, bool bold, const char *question,
		   const char *want)
{
	_buf_ struct buf out = {.max = 65536};
	const struct search_look look = {
		.question = str_of(question), .width = width, .bold = bold};
	json_t *hits = json_loads(json, 0, NULL);

	assert_non_null(hits);
	assert_int_equal(search_table(hits, &look, &out), 0);
	json_decref(hits);
	assert_int_equal(buf_append(&out, "", 1), 0);
	assert_string_equal(out.p, want);
}

#define HIT(text)                                                                              \
	"[{\"score\":0.5,\"kind\":\"Pod\",\"namespace\":\"a\",\"name\":\"b\",\"text\":\"" text \
	"\"}]"
#define HEAD "SCORE  KIND  NAMESPACE/NAME  TEXT\n"

static void rows_fit_and_are_marked(void **state)
{
	(void)state;
	expect(HIT("one | two"), 0, false, "x", HEAD "0.500  Pod   a/b             one | two\n");
	expect(HIT("Pod b | in a | mounts secret x"), 0, true, "who mounts the secrets",
	       HEAD "0.500  Pod   a/b             "
		    "Pod b | in a | \033[1mmounts\033[0m \033[1msecret\033[0m x\n");
	/* the stretch with the words, as wide as the terminal leaves room */
	expect(HIT("Pod b | labels of no interest | mounts secret one and more"), 55, false,
	       "mounts secret",
	       HEAD
	       "0.500  Pod   a/b             \xe2\x80\xa6 mounts secret one and m\xe2\x80\xa6\n");
	expect(HIT("\\u001b[31mred \\u0007"), 0, false, "x",
	       HEAD "0.500  Pod   a/b             ?[31mred ?\n");
	expect("[]", 80, true, "x", HEAD);
	expect("[{}]", 80, true, "x", HEAD "0.000                        \n");
}

static void what_is_no_answer_is_refused(void **state)
{
	_buf_ struct buf out = {.max = 65536};
	const struct search_look look = {.question = STR("x")};
	json_t *hits = json_loads("[1]", 0, NULL);

	(void)state;
	assert_int_equal(search_table(hits, &look, &out), -EBADMSG);
	json_decref(hits);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, rig_up, rig_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_store_is_searched),
		TEST(vectors_of_others_are_left_out),
		TEST(there_may_be_nobody_to_ask),
		cmocka_unit_test(rows_fit_and_are_marked),
		cmocka_unit_test(what_is_no_answer_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
