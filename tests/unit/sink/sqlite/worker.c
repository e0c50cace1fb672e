/*
 * The worker: jobs run in order, each in a transaction; their ends are told on the loop;
 * a full queue refuses; what is cancelled or left over is dropped, once.
 */
#include "tests/unit/sink/sqlite/rig.h"

#include <event2/event.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/resource.h>

#include "sink/sqlite/worker.h"
#include "tests/lib/torture.h"

struct bench {
	struct rig *g;
	struct event_base *base;
	struct worker *w;
	int ran, done, dropped, last_r;
	char order[256];
	char words[DB_ERROR_MAX + 1];
	pthread_t loop;
	pthread_mutex_t gate; /* jobs that wait for it hold up the queue */
	atomic_bool at_gate;
};

struct job {
	struct bench *b;
	char name;
	const char *sql;
	int r; /* what run returns when the SQL went well */
	int again;
};

static int run_sql(void *ctx, struct sqlite3 *db, struct buf *error)
{
	struct job *j = ctx;
	int r = j->sql ? db_exec(db, j->sql, error) : 0;

	assert_false(pthread_equal(pthread_self(), j->b->loop));
	j->b->ran++;
	if (r == 0 && j->r < 0)
		(void)buf_printf(error, "job %c failed", j->name);
	return r < 0 ? r : j->r;
}

static int run_gate(void *ctx, struct sqlite3 *db, struct buf *error)
{
	struct job *j = ctx;

	(void)db;
	(void)error;
	j->b->at_gate = true;
	(void)pthread_mutex_lock(&j->b->gate);
	(void)pthread_mutex_unlock(&j->b->gate);
	j->b->ran++;
	return 0;
}

static void on_dropped(void *ctx)
{
	struct job *j = ctx;

	assert_true(pthread_equal(pthread_self(), j->b->loop));
	j->b->dropped++;
}

static int put(struct job *j);

static void on_done(void *ctx, int r, struct str error)
{
	struct job *j = ctx;
	struct bench *b = j->b;
	size_t n = strlen(b->order);

	assert_true(pthread_equal(pthread_self(), b->loop));
	b->done++;
	b->last_r = r;
	(void)snprintf(b->words, sizeof(b->words), "%.*s", STR_ARG(error));
	(void)snprintf(b->order + n, sizeof(b->order) - n, "%c", j->name);
	if (j->again-- > 0)
		assert_int_equal(put(j), 0);
}

static int put(struct job *j)
{
	const struct worker_job job = {
		.run = run_sql, .done = on_done, .dropped = on_dropped, .ctx = j};

	return worker_put(j->b->w, &job);
}

static int put_gate(struct job *j)
{
	const struct worker_job job = {
		.run = run_gate, .done = on_done, .dropped = on_dropped, .ctx = j};

	return worker_put(j->b->w, &job);
}

/* Turns the loop until so many are done. */
static void wait_done(struct bench *b, int n)
{
	while (b->done < n)
		assert_int_equal(event_base_loop(b->base, EVLOOP_ONCE), 0);
}

static void open_worker(struct bench *b, struct rig *g)
{
	struct worker_opts o = {.file = g->file};

	*b = (struct bench){.g = g, .loop = pthread_self()};
	(void)pthread_mutex_init(&b->gate, NULL);
	o.base = b->base = event_base_new();
	assert_non_null(b->base);
	rig_ok(g, worker_new(&o, &b->w, &g->error));
	rig_ok(g, db_open(g->file, false, &g->db, &g->error));
	rig_ok(g, db_exec(g->db, "CREATE TABLE t(x)", &g->error));
}

static void close_worker(struct bench *b)
{
	worker_free(&b->w);
	event_base_free(b->base);
	(void)pthread_mutex_destroy(&b->gate);
}

static void jobs_run_in_order(void **state)
{
	struct bench b;
	struct job jobs[] = {
		{&b, 'a', "INSERT INTO t VALUES(1)", 0, 2},
		{&b, 'b', "INSERT INTO t VALUES(2)", 5, 0},
		{&b, 'c', "INSERT INTO t VALUES(3)", 0, 0},
	};

	open_worker(&b, *state);
	assert_string_equal(worker_file(b.w), b.g->file);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(put(&jobs[i]), 0);
	wait_done(&b, 5);
	assert_string_equal(b.order, "abcaa");
	assert_int_equal(b.ran, 5);
	assert_int_equal(b.last_r, 0);
	assert_int_equal(worker_queued(b.w), 0);
	assert_int_equal(rig_number(b.g, "SELECT count(*) FROM t"), 5);
	close_worker(&b);
}

static void a_failed_job_leaves_nothing(void **state)
{
	struct bench b;
	struct job jobs[] = {
		{&b, 'a', "INSERT INTO t VALUES(1)", -EINVAL, 0},
		{&b, 'b', "INSERT INTO t VALUES(1); INSERT INTO nowhere VALUES(1)", 0, 0},
		{&b, 'c', "COMMIT; BEGIN; ROLLBACK", 0, 0}, /* it ends the transaction itself */
		{&b, 'd', "INSERT INTO t VALUES(4)", 0, 0},
	};

	open_worker(&b, *state);
	assert_int_equal(put(&jobs[0]), 0);
	wait_done(&b, 1);
	assert_int_equal(b.last_r, -EINVAL);
	assert_string_equal(b.words, "job a failed");
	assert_int_equal(put(&jobs[1]), 0);
	wait_done(&b, 2);
	assert_int_equal(b.last_r, -EIO);
	assert_non_null(strstr(b.words, "no such table"));
	assert_non_null(strstr(b.words, b.g->file));
	assert_int_equal(put(&jobs[2]), 0);
	wait_done(&b, 3);
	assert_true(b.last_r < 0);
	assert_int_equal(put(&jobs[3]), 0);
	wait_done(&b, 4);
	assert_int_equal(b.last_r, 0);
	assert_int_equal(rig_number(b.g, "SELECT sum(x) FROM t"), 4);
	close_worker(&b);
}

static void a_full_queue_refuses(void **state)
{
	struct bench b;
	struct job gate = {&b, 'g', NULL, 0, 0}, job = {&b, 'j', NULL, 0, 0};
	int n = 1;

	open_worker(&b, *state);
	(void)pthread_mutex_lock(&b.gate);
	assert_int_equal(put_gate(&gate), 0);
	while (put(&job) == 0)
		n++;
	assert_int_equal(n, WORKER_MAX_JOBS);
	assert_int_equal(worker_queued(b.w), WORKER_MAX_JOBS);
	assert_int_equal(put(&job), -EAGAIN);
	(void)pthread_mutex_unlock(&b.gate);
	wait_done(&b, n);
	assert_int_equal(put(&job), 0);
	wait_done(&b, n + 1);
	close_worker(&b);
}

static void cancelled_jobs_are_dropped(void **state)
{
	struct bench b;
	struct job gate = {&b, 'g', NULL, 0, 0}, a = {&b, 'a', NULL, 0, 0},
		   c = {&b, 'c', NULL, 0, 0};

	open_worker(&b, *state);
	(void)pthread_mutex_lock(&b.gate);
	assert_int_equal(put_gate(&gate), 0);
	assert_int_equal(put(&a), 0);
	assert_int_equal(put(&c), 0);
	assert_int_equal(put(&a), 0);
	while (!b.at_gate)
		(void)sched_yield();
	worker_cancel(b.w, &a);
	assert_int_equal(b.dropped, 2);
	(void)pthread_mutex_unlock(&b.gate);
	worker_cancel(b.w, &gate); /* it runs: waited for, and not told */
	assert_int_equal(b.dropped, 3);
	wait_done(&b, 1);
	assert_string_equal(b.order, "c");
	assert_int_equal(b.dropped, 3);
	assert_int_equal(b.ran, 2);
	close_worker(&b);
	assert_int_equal(b.dropped, 3);
}

static void the_end_drops_what_is_left(void **state)
{
	struct bench b;
	struct job jobs[] = {{&b, 'a', NULL, 0, 0}, {&b, 'b', NULL, 0, 0}};

	open_worker(&b, *state);
	assert_int_equal(put(&jobs[0]), 0);
	assert_int_equal(put(&jobs[1]), 0);
	close_worker(&b);
	assert_int_equal(b.dropped, 2);
	assert_int_equal(b.done, 0);
}

static int run_slowly(void *ctx, struct sqlite3 *db, struct buf *error)
{
	struct job *j = ctx;

	j->b->at_gate = true;
	return db_exec(db,
		       "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM "
		       "n WHERE i < 2000000000) SELECT i FROM n",
		       error);
}

/* Has written, waits until it is abandoned, and says that all is well. */
static int run_to_the_end(void *ctx, struct sqlite3 *db, struct buf *error)
{
	struct job *j = ctx;
	int r = db_exec(db, "INSERT INTO t VALUES(1)", error);

	j->b->at_gate = true;
	while (r == 0)
		r = db_exec(db,
			    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE "
			    "i < 1000000) SELECT count(*) FROM n",
			    error);
	return 0;
}

static void assert_rows(struct bench *b, int n)
{
	sqlite3_stmt *q = NULL;

	assert_int_equal(sqlite3_prepare_v2(b->g->db, "SELECT count(*) FROM t", -1, &q, NULL),
			 SQLITE_OK);
	assert_int_equal(sqlite3_step(q), SQLITE_ROW);
	assert_int_equal(sqlite3_column_int(q, 0), n);
	(void)sqlite3_finalize(q);
}

/* A statement that would take an hour is interrupted, and nothing of it stays. */
static void an_abandoned_job_is_not_committed(void **state)
{
	struct bench b;
	struct job jobs[] = {{&b, 'a', NULL, 0, 0}, {&b, 'b', NULL, 0, 0}};
	const struct worker_job slow = {
		.run = run_slowly, .done = on_done, .dropped = on_dropped, .ctx = &jobs[0]};

	open_worker(&b, *state);
	assert_int_equal(worker_put(b.w, &slow), 0);
	assert_int_equal(put(&jobs[1]), 0);
	while (!b.at_gate)
		(void)sched_yield();
	worker_abandon(b.w);
	assert_rows(&b, 0);
	close_worker(&b);
	assert_int_equal(b.dropped, 2);
	assert_int_equal(b.ran, 0);
}

/* It was done, and is not wanted any more when it comes to the commit. */
static void a_job_at_its_end_is_not_committed_either(void **state)
{
	struct bench b;
	struct job job = {&b, 'a', NULL, 0, 0};
	const struct worker_job ends = {
		.run = run_to_the_end, .done = on_done, .dropped = on_dropped, .ctx = &job};

	open_worker(&b, *state);
	assert_int_equal(worker_put(b.w, &ends), 0);
	while (!b.at_gate)
		(void)sched_yield();
	worker_abandon(b.w);
	assert_rows(&b, 0);
	close_worker(&b);
}

static bool may_not(void *ctx)
{
	++*(atomic_int *)ctx;
	return false;
}

static void who_may_not_write_commits_nothing(void **state)
{
	struct bench b = {.g = *state, .loop = pthread_self()};
	struct job jobs[] = {{&b, 'a', "INSERT INTO t VALUES(1)", 0, 0},
			     {&b, 'b', "SELECT count(*) FROM t", 0, 0}};
	const struct worker_job reads = {
		.run = run_sql, .done = on_done, .ctx = &jobs[1], .reads = true};
	atomic_int asked = 0;
	struct worker_opts o = {.file = b.g->file, .may_write = may_not, .ctx = &asked};

	(void)pthread_mutex_init(&b.gate, NULL);
	o.base = b.base = event_base_new();
	rig_ok(b.g, worker_new(&o, &b.w, &b.g->error));
	rig_ok(b.g, db_open(b.g->file, false, &b.g->db, &b.g->error));
	rig_ok(b.g, db_exec(b.g->db, "CREATE TABLE t(x)", &b.g->error));
	assert_int_equal(put(&jobs[0]), 0);
	wait_done(&b, 1);
	assert_int_equal(b.last_r, -ECANCELED);
	assert_rows(&b, 0);
	assert_int_equal(worker_put(b.w, &reads), 0);
	wait_done(&b, 2);
	assert_int_equal(b.last_r, 0);
	assert_int_equal(asked, 1);
	close_worker(&b);
}

/* A job that only reads does not wait for another process's transaction. */
static void readers_do_not_wait(void **state)
{
	struct bench b;
	struct job job = {&b, 'a', "SELECT count(*) FROM t", 0, 0};
	const struct worker_job reads = {
		.run = run_sql, .done = on_done, .ctx = &job, .reads = true};

	open_worker(&b, *state);
	rig_ok(b.g, db_exec(b.g->db, "BEGIN IMMEDIATE; INSERT INTO t VALUES(1)", &b.g->error));
	assert_int_equal(worker_put(b.w, &reads), 0);
	wait_done(&b, 1);
	assert_int_equal(b.last_r, 0);
	rig_ok(b.g, db_exec(b.g->db, "COMMIT", &b.g->error));
	close_worker(&b);
}

/* A disk that is full when the agent starts. */
static void a_file_may_be_opened_later(void **state)
{
	struct bench b = {.g = *state, .loop = pthread_self()};
	struct worker_opts o = {.file = b.g->file};
	struct job job = {.b = &b, .name = 'x', .sql = "INSERT INTO t VALUES(1)"};
	struct rlimit full, before;

	(void)pthread_mutex_init(&b.gate, NULL);
	o.base = b.base = event_base_new();
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	full = (struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &full), 0);
	assert_true(worker_new(&o, &b.w, &b.g->error) < 0);
	buf_reset(&b.g->error);
	o.patient = true;
	assert_int_equal(worker_new(&o, &b.w, &b.g->error), 0);
	assert_true(b.g->error.n > 0);
	buf_reset(&b.g->error);
	assert_int_equal(put(&job), 0);
	wait_done(&b, 1);
	assert_true(b.words[0]);
	assert_true(worker_may_pass(b.last_r));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	rig_ok(b.g, db_open(b.g->file, false, &b.g->db, &b.g->error));
	rig_ok(b.g, db_exec(b.g->db, "CREATE TABLE t(x)", &b.g->error));
	assert_int_equal(put(&job), 0);
	wait_done(&b, 2);
	assert_int_equal(b.last_r, 0);
	close_worker(&b);
}

static int life(void *ctx)
{
	struct rig *g = ctx;
	struct worker_opts o = {.file = g->file, .base = event_base_new()};
	struct worker *w = NULL;
	int r = o.base ? worker_new(&o, &w, &g->error) : -ENOMEM;

	worker_free(&w);
	if (o.base)
		event_base_free(o.base);
	buf_reset(&g->error);
	return r;
}

static void memory_may_run_out(void **state)
{
	assert_int_equal(torture_run(life, *state), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, rig_up, rig_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(jobs_run_in_order),
		TEST(a_failed_job_leaves_nothing),
		TEST(a_full_queue_refuses),
		TEST(cancelled_jobs_are_dropped),
		TEST(the_end_drops_what_is_left),
		TEST(readers_do_not_wait),
		TEST(an_abandoned_job_is_not_committed),
		TEST(a_job_at_its_end_is_not_committed_either),
		TEST(who_may_not_write_commits_nothing),
		TEST(a_file_may_be_opened_later),
		TEST(memory_may_run_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
