/*
 * What goes wrong with files: no room, no right to write, another program's file, a newer
 * schema, damage, other processes, a kill. Each is said in words, costs what it touches,
 * and leaves a sound file.
 */
#include "tests/unit/sink/sqlite/rig.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

static const float up[RIG_DIM] = {1, 0.5F};

static const struct docs_opts opts = {.collection = STR("kindred"),
				      .model = STR("test:16"),
				      .dim = RIG_DIM,
				      .template_ = STR("t1:rich")};

static void close_all(struct rig *g)
{
	docs_close(&g->docs);
	db_close(&g->db);
}

static void write_file(const char *path, const void *p, size_t n, off_t at, int flags)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0600);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, p, n, at), n);
	(void)close(fd);
}

/* n documents, in one transaction; text big enough to need pages. 0 or what went wrong. */
static int put_some(struct sqlite3 *db, struct docs *d, unsigned from, unsigned n,
		    struct buf *error)
{
	char id[32], text[1024];
	int r = db_exec(db, "BEGIN IMMEDIATE", error);

	for (unsigned i = from; i < from + n && r == 0; i++) {
		struct docs_row row;

		(void)snprintf(id, sizeof(id), "id-%u", i);
		(void)snprintf(text, sizeof(text), "word%u %0800u", i, i * 2654435761U);
		row = rig_row(id, "shop", "Pod", id, text, up);
		r = docs_upsert(d, &row, 1, error);
	}
	r = r < 0 ? r : db_exec(db, "COMMIT", error);
	if (!sqlite3_get_autocommit(db))
		(void)db_exec(db, "ROLLBACK", NULL);
	return r;
}

static int open_both(const char *file, struct sqlite3 **db, struct docs **d, struct buf *error)
{
	int r = db_open(file, false, db, error);

	return r < 0 ? r : docs_open(*db, &opts, d, error);
}

/* Runs it in a process of its own, which may not read and write as root does; its exit code. */
static int elsewhere(int (*fn)(struct rig *g), struct rig *g)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		if (geteuid() == 0 && setuid(65534) < 0)
			_exit(99);
		_exit(fn(g));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void give(const char *path)
{
	if (geteuid() == 0 && access(path, F_OK) == 0)
		assert_int_equal(chown(path, 65534, 65534), 0);
}

static int heard(struct rig *g, int r, int want, const char *words)
{
	bool said = g->error.n && memmem(buf_str(&g->error).p, g->error.n, words, strlen(words));

	if (r == want && said)
		return 0;
	print_error("%d instead of %d: %.*s\n", r, want, STR_ARG(buf_str(&g->error)));
	return 1;
}

/* ---- files that are not ours ----------------------------------------------------------------- */

static void a_text_is_no_database(void **state)
{
	struct rig *g = *state;
	char text[4096];

	memset(text, 'x', sizeof(text));
	write_file(g->file, text, sizeof(text), 0, 0);
	rig_said(g, db_open(g->file, false, &g->db, &g->error), -EBADMSG, "is no SQLite file");
	rig_said(g, db_open_reader(g->file, &g->db, &g->error), -EBADMSG, g->file);
	assert_null(g->db);
}

static void another_programs_file_is_left_alone(void **state)
{
	struct rig *g = *state;
	struct sqlite3 *db;

	assert_int_equal(sqlite3_open(g->file, &db), SQLITE_OK);
	rig_ok(g, db_exec(db, "CREATE TABLE bookmarks(x)", &g->error));
	db_close(&db);
	rig_said(g, db_open(g->file, false, &g->db, &g->error), -EBADMSG, "not a store of kindred");
	assert_int_equal(sqlite3_open(g->file, &db), SQLITE_OK);
	g->db = db;
	assert_int_equal(rig_number(g, "SELECT count(*) FROM sqlite_schema"), 1);
}

static void paths_that_cannot_be(void **state)
{
	struct rig *g = *state;
	char path[160];

	(void)snprintf(path, sizeof(path), "%s/nowhere/store.db", g->folder);
	rig_said(g, db_open(path, false, &g->db, &g->error), -ENOENT, "cannot be made");
	rig_said(g, db_open_reader(path, &g->db, &g->error), -ENOENT, path);
	assert_true(db_open(g->folder, false, &g->db, &g->error) < 0);
	assert_non_null(strstr(buf_str(&g->error).p, g->folder));
	buf_reset(&g->error);
	write_file(g->file, "", 0, 0, 0);
	rig_said(g, db_open_reader(g->file, &g->db, &g->error), -EBADMSG, "not a store");
}

/* As left behind once by an agent linked of objects that did not agree on the options' struct: the
 * bytes of a pointer, read as a name. */
static void names_that_are_none(void **state)
{
	static const char *const names[] = {
		"", "a\x03z", "store\n.db", "\x7f", "P\xb7o\xbaGV", "\xc3", "\xed\xa0\x80"};
	static const char good[] = "Gr\xc3\xb6\xc3\x9f";
	struct rig *g = *state;
	char before[PATH_MAX];

	assert_non_null(getcwd(before, sizeof(before)));
	assert_int_equal(chdir(g->folder), 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		rig_said(g, db_open(names[i], false, &g->db, &g->error), -EINVAL, "SQLite file");
		rig_said(g, db_open_reader(names[i], &g->db, &g->error), -EINVAL, "SQLite file");
		assert_null(g->db);
		assert_int_equal(access(names[i], F_OK), -1);
	}
	rig_ok(g, db_open(good, false, &g->db, &g->error));
	db_close(&g->db);
	assert_int_equal(unlink(good), 0);
	assert_int_equal(chdir(before), 0);
}

static void schemas_of_other_times(void **state)
{
	struct rig *g = *state;
	struct stat st;

	rig_open(g, 0);
	assert_int_equal(stat(g->file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	rig_ok(g, db_exec(g->db, "PRAGMA user_version = 99", &g->error));
	close_all(g);
	rig_said(g, db_open(g->file, false, &g->db, &g->error), -ENOTSUP,
		 "newer kindred (schema 99");
	rig_said(g, db_open_reader(g->file, &g->db, &g->error), -ENOTSUP, "newer kindred");
	assert_int_equal(sqlite3_open(g->file, &g->db), SQLITE_OK);
	rig_ok(g, db_exec(g->db, "PRAGMA user_version = 0", &g->error));
	close_all(g);
	rig_said(g, db_open_reader(g->file, &g->db, &g->error), -ENOTSUP, "older kindred");
}

/* ---- no room, no right ----------------------------------------------------------------------- */

static void a_full_disk_costs_the_batch(void **state)
{
	struct rig *g = *state;
	struct rlimit before, small;
	struct stat st;

	rig_open(g, 0);
	(void)signal(SIGXFSZ, SIG_IGN);
	rig_ok(g, put_some(g->db, g->docs, 0, 20, &g->error));
	assert_int_equal(stat(g->file, &st), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small = before;
	small.rlim_cur = (rlim_t)st.st_size + 400000;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	rig_said(g, put_some(g->db, g->docs, 1000, 3000, &g->error), -ENOSPC,
		 "no room on the disk");
	assert_int_equal(rig_number(g, "SELECT count(*) FROM document"), 20);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	rig_ok(g, put_some(g->db, g->docs, 1000, 3000, &g->error));
	assert_int_equal(rig_number(g, "SELECT count(*) FROM document"), 3020);
	rig_check(g);
}

static void a_full_file_costs_the_batch(void **state)
{
	struct rig *g = *state;

	rig_open(g, 0);
	rig_ok(g, db_exec(g->db, "PRAGMA max_page_count = 60", &g->error));
	rig_said(g, put_some(g->db, g->docs, 0, 3000, &g->error), -ENOSPC, "full");
	rig_ok(g, put_some(g->db, g->docs, 0, 5, &g->error));
	rig_check(g);
}

static int cannot_write(struct rig *g)
{
	return heard(g, db_open(g->file, false, &g->db, &g->error), -EROFS, "read-only");
}

static int cannot_make(struct rig *g)
{
	return heard(g, db_open(g->file, false, &g->db, &g->error), -EACCES, "cannot be made");
}

static int reads(struct rig *g)
{
	int64_t n = 0;
	int r = db_open_reader(g->file, &g->db, &g->error);

	r = r < 0 ? r : db_number(g->db, "SELECT count(*) FROM document", 0, &n, &g->error);
	if (r < 0)
		print_error("%d: %.*s\n", r, STR_ARG(buf_str(&g->error)));
	db_close(&g->db);
	return r == 0 && n == 5 ? 0 : 1;
}

static int cannot_read(struct rig *g)
{
	return heard(g, db_open_reader(g->file, &g->db, &g->error), -EACCES, g->file);
}

static void files_that_may_not_be_written(void **state)
{
	struct rig *g = *state;

	assert_int_equal(chmod(g->folder, 0555), 0);
	assert_int_equal(elsewhere(cannot_make, g), 0);
	assert_int_equal(chmod(g->folder, 0755), 0);
	rig_open(g, 0);
	rig_ok(g, put_some(g->db, g->docs, 0, 5, &g->error));
	close_all(g);
	give(g->file);
	assert_int_equal(chmod(g->file, 0444), 0);
	assert_int_equal(chmod(g->folder, 0555), 0);
	assert_int_equal(elsewhere(cannot_write, g), 0);
	assert_int_equal(elsewhere(reads, g), 0); /* where no log can be made */
	assert_int_equal(chmod(g->file, 0), 0);
	assert_int_equal(elsewhere(cannot_read, g), 0);
}

/* ---- damage ---------------------------------------------------------------------------------- */

static void damage_is_said(void **state)
{
	struct rig *g = *state;
	char junk[8192];
	struct stat st;
	int r;

	rig_open(g, 0);
	rig_ok(g, put_some(g->db, g->docs, 0, 500, &g->error));
	close_all(g);
	assert_int_equal(stat(g->file, &st), 0);
	memset(junk, 0x5a, sizeof(junk));
	for (off_t at = 8192; at < st.st_size; at += 8192) /* all but the schema */
		write_file(g->file, junk, sizeof(junk), at, 0);
	r = open_both(g->file, &g->db, &g->docs, &g->error);
	r = r < 0 ? r : put_some(g->db, g->docs, 0, 1, &g->error);
	rig_said(g, r, -EBADMSG, "is damaged; move it away");
}

static void a_cut_file_is_said(void **state)
{
	struct rig *g = *state;
	int r;

	rig_open(g, 0);
	rig_ok(g, put_some(g->db, g->docs, 0, 500, &g->error));
	close_all(g);
	assert_int_equal(truncate(g->file, 8192 * 3L), 0);
	r = open_both(g->file, &g->db, &g->docs, &g->error);
	r = r < 0 ? r : put_some(g->db, g->docs, 0, 1, &g->error);
	rig_said(g, r, -EBADMSG, "is damaged");
}

/* ---- other processes ------------------------------------------------------------------------- */

static int write_many(const char *file, unsigned from)
{
	_buf_ struct buf error = {.max = DB_ERROR_MAX};
	_docs_ struct docs *d = NULL;
	_db_ struct sqlite3 *db = NULL;
	int r = open_both(file, &db, &d, &error);

	for (unsigned i = 0; i < 30 && r == 0; i++)
		r = put_some(db, d, from + i * 10, 10, &error);
	if (r < 0)
		print_error("%d: %.*s\n", r, STR_ARG(buf_str(&error)));
	return r < 0;
}

static void two_processes_write_and_one_reads(void **state)
{
	struct rig *g = *state;
	pid_t pids[2];
	int status, left = 2;

	for (unsigned i = 0; i < 2; i++) { /* they make the file, too */
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] == 0)
			_exit(write_many(g->file, i * 1000));
	}
	while (left) {
		struct sqlite3 *db = NULL;
		int r = db_open_reader(g->file, &db, &g->error);

		if (r == 0) {
			int64_t docs = -1, vectors = -2;

			rig_ok(g, db_exec(db, "BEGIN", &g->error));
			if (db_number(db, "SELECT count(*) FROM document", 0, &docs, &g->error) ==
			    0)
				rig_ok(g, db_number(db, "SELECT count(*) FROM vector", 0, &vectors,
						    &g->error));
			assert_int_equal(docs, vectors);
			assert_int_equal(docs % 10, 0); /* whole batches */
		}
		buf_reset(&g->error); /* not there yet, or not whole */
		db_close(&db);
		if (waitpid(-1, &status, WNOHANG) > 0) {
			assert_int_equal(status, 0);
			left--;
		}
	}
	rig_open(g, 0);
	assert_int_equal(rig_number(g, "SELECT count(*) FROM document"), 600);
	rig_check(g);
}

static int make(const char *file)
{
	_buf_ struct buf error = {.max = DB_ERROR_MAX};
	_docs_ struct docs *d = NULL;
	_db_ struct sqlite3 *db = NULL;
	int r = open_both(file, &db, &d, &error);

	if (r < 0)
		print_error("%d: %.*s\n", r, STR_ARG(buf_str(&error)));
	return r < 0;
}

/* Which of them does what is up to the scheduler: often enough they meet. */
static void processes_make_one_file_together(void **state)
{
	enum { TIMES = 60, PROCESSES = 4 };
	struct rig *g = *state;

	for (int i = 0; i < TIMES; i++) {
		pid_t pids[PROCESSES];
		int status;

		for (int k = 0; k < PROCESSES; k++) {
			pids[k] = fork();
			assert_true(pids[k] >= 0);
			if (pids[k] == 0)
				_exit(make(g->file));
		}
		for (int k = 0; k < PROCESSES; k++) {
			assert_int_equal(waitpid(pids[k], &status, 0), pids[k]);
			assert_int_equal(status, 0);
		}
		rig_files(g, rig_unlink);
	}
}

static void one_that_holds_on_is_said(void **state)
{
	struct rig *g = *state;
	_db_ struct sqlite3 *other = NULL;

	rig_open(g, 0);
	rig_ok(g, db_open(g->file, false, &other, &g->error));
	rig_ok(g, db_exec(other, "BEGIN IMMEDIATE", &g->error));
	(void)sqlite3_busy_timeout(g->db, 20);
	rig_said(g, put_some(g->db, g->docs, 0, 1, &g->error), -EBUSY, "another process holds it");
	rig_ok(g, db_exec(other, "ROLLBACK", &g->error));
	rig_ok(g, put_some(g->db, g->docs, 0, 1, &g->error));
}

static int die_in_the_middle(struct rig *g)
{
	struct docs_row row = rig_row("late", "shop", "Pod", "late", "never told", up);

	if (open_both(g->file, &g->db, &g->docs, &g->error) < 0 ||
	    put_some(g->db, g->docs, 0, 300, &g->error) < 0 ||
	    db_exec(g->db, "BEGIN IMMEDIATE", &g->error) < 0 ||
	    docs_upsert(g->docs, &row, 1, &g->error) < 0)
		return 1;
	(void)kill(getpid(), SIGKILL);
	return 2;
}

static void a_kill_keeps_what_was_committed(void **state)
{
	struct rig *g = *state;

	give(g->folder);
	assert_int_equal(elsewhere(die_in_the_middle, g), 128 + SIGKILL);
	rig_open(g, 0);
	assert_int_equal(rig_number(g, "SELECT count(*) FROM document"), 300);
	rig_check(g);
	rig_ok(g, put_some(g->db, g->docs, 200, 200, &g->error));
	assert_int_equal(rig_number(g, "SELECT count(*) FROM document"), 400);
	rig_check(g);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, rig_up, rig_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_text_is_no_database),
		TEST(another_programs_file_is_left_alone),
		TEST(paths_that_cannot_be),
		TEST(names_that_are_none),
		TEST(schemas_of_other_times),
		TEST(a_full_disk_costs_the_batch),
		TEST(a_full_file_costs_the_batch),
		TEST(files_that_may_not_be_written),
		TEST(damage_is_said),
		TEST(a_cut_file_is_said),
		TEST(two_processes_write_and_one_reads),
		TEST(processes_make_one_file_together),
		TEST(one_that_holds_on_is_said),
		TEST(a_kill_keeps_what_was_committed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
