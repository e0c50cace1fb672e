/*
 * The whole agent with a vector database: questions over its socket, also while the
 * database is written, from many at once, and from clients that hang up.
 */
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
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define QUESTION "GET /api/v1/search?q=who+mounts+the+payments+database+secret HTTP/1.0\r\n\r\n"

static void start(struct rig *rig, bool vector)
{
	const char *replay[] = {"--objects", "tests/fixtures/objects", "--speed", "0", NULL};
	char store[PROC_PATH_MAX + 16], socket_file[PROC_PATH_MAX], path[PROC_PATH_MAX];
	const char *args[12] = {
		"--scope",     "cluster", "--flows",  "off",
		"--resources", "on",	  "--socket", rig_path(rig, "agent.sock", socket_file)};

	(void)snprintf(store, sizeof(store), "sqlite:%s", rig_path(rig, "store.db", path));
	if (vector) {
		args[8] = "--vector";
		args[9] = store;
	}
	rig_replay(rig, replay);
	rig_reducer(rig, NULL);
	rig_agent(rig, args, NULL);
	rig_wait_log(rig, " objects: synced", RIG_PATIENCE);
}

static int dial(struct rig *rig)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char path[PROC_PATH_MAX];

	(void)rig_path(rig, "agent.sock", path);
	assert_true(strlen(path) < sizeof(a.sun_path));
	memcpy(a.sun_path, path, strlen(path));
	rig_assert(rig, connect(fd, (const struct sockaddr *)&a, sizeof(a)) == 0, "%s: %s", path,
		   strerror(errno));
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* All that comes, as a text. */
static void hear(int fd, struct buf *b)
{
	ssize_t n;

	do {
		assert_int_equal(buf_reserve(b, 65536), 0);
		n = recv(fd, buf_tail(b), 65536, 0);
		if (n > 0)
			buf_commit(b, (size_t)n);
	} while (n > 0);
	assert_int_equal(buf_append(b, "", 1), 0);
	(void)close(fd);
}

/* `kindred search` with these words; its standard output or error holds `want` in the end. */
static void search(struct rig *rig, const char *words, const char *want, int code)
{
	const nsec_t until = clock_mono() + RIG_PATIENCE * RIG_SLOWNESS;
	char path[PROC_PATH_MAX];
	const char *argv[] = {
		rig->kindred, "search", words, "--socket", rig_path(rig, "agent.sock", path), NULL};

	for (;;) {
		struct proc p;
		_free_ char *out = NULL, *err = NULL;
		bool there;

		assert_int_equal(proc_start(&p, rig->folder, "search", argv, NULL), 0);
		assert_int_equal(proc_wait(&p, RIG_PATIENCE), 0);
		out = proc_text(p.out);
		err = proc_text(p.err);
		there = p.code == code && (strstr(out, want) || strstr(err, want));
		(void)unlink(p.out);
		(void)unlink(p.err);
		if (there)
			return;
		rig_assert(rig, clock_mono() < until, "\"%s\" finds, with code %d:\n%s%s", words,
			   p.code, out, err);
		proc_sleep(100 * NSEC_PER_MSEC);
	}
}

static void test_questions_are_answered(void **state)
{
	struct rig *rig = *state;

	start(rig, true);
	search(rig, "who mounts the payments database secret", "payments/ledger", 0);
	search(rig, "stripe api key", "payments/stripe-api-key", 0);
	search(rig, "", "words to search for are missing", 2);
	rig_stop(rig, SIGTERM);
}

static void test_many_ask_and_some_hang_up(void **state)
{
	struct rig *rig = *state;
	int fds[12];

	start(rig, true);
	for (int round = 0; round < 5; round++) {
		for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
			fds[i] = dial(rig);
			say(fds[i], QUESTION);
		}
		for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
			_buf_ struct buf b = {.max = 1U << 22};
			const struct linger cut = {.l_onoff = 1};

			if (i % 3 == (size_t)round % 3) {
				(void)setsockopt(fds[i], SOL_SOCKET, SO_LINGER, &cut, sizeof(cut));
				(void)close(fds[i]);
				continue;
			}
			hear(fds[i], &b);
			/* before the collection is made there is no answer yet, in words */
			rig_assert(rig,
				   strncmp(b.p, "HTTP/1.1 200", 12) == 0 ||
					   (strncmp(b.p, "HTTP/1.1 503", 12) == 0 &&
					    strstr(b.p, "not open")),
				   "the answer is %s", b.p);
		}
		rig_assert(rig, proc_running(&rig->agent), "the agent is gone: code %d",
			   rig->agent.code);
	}
	search(rig, "payments", "payments/", 0);
	fds[0] = dial(rig); /* one that waits when the agent ends */
	say(fds[0], QUESTION);
	rig_stop(rig, SIGTERM);
	(void)close(fds[0]);
}

static void answer_of(struct rig *rig, const char *target, const char *status, const char *words)
{
	_buf_ struct buf b = {.max = 1U << 20};
	char request[300];
	int fd = dial(rig);

	(void)snprintf(request, sizeof(request), "GET /api/v1/search%s HTTP/1.0\r\n\r\n", target);
	say(fd, request);
	hear(fd, &b);
	rig_assert(rig, strncmp(b.p + 9, status, 3) == 0 && strstr(b.p, words),
		   "%s is answered with %s", target, b.p);
}

static void test_wrong_questions(void **state)
{
	struct rig *rig = *state;

	start(rig, false);
	answer_of(rig, "", "400", "the words to search for, is missing");
	answer_of(rig, "?q=x&n=0", "400", "from 1 to 200");
	answer_of(rig, "?q=x&n=201", "400", "from 1 to 200");
	answer_of(rig, "?q=x&color=red", "400", "\\\"color\\\" is not understood");
	answer_of(rig, "?q=%zz", "400", "malformed");
	answer_of(rig, "?q=x", "503", "start it with --vector sqlite:FILE");
	search(rig, "x", "start it with --vector sqlite:FILE", 1);
	rig_stop(rig, SIGTERM);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(test_questions_are_answered),
		TEST(test_many_ask_and_some_hang_up),
		TEST(test_wrong_questions),
	};

	return rig_run("agent/search", tests, ARRAY_SIZE(tests), argc, argv);
}
