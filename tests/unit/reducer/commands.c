/*
 * `kindred reducer` and `kindred decode` as people run them: a process, its
 * output, its exit code, and real sockets for the faults.
 */
#include "cli/cmd_decode.h"
#include "cli/cmd_reducer.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "proto/batch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define PATIENCE_MS 60000 /* a test that waits longer has failed */

struct process {
	pid_t pid;
	int out; /* its standard output */
	struct buf seen;
};

typedef int (*command)(int argc, char **argv);

static void start(struct process *p, command cmd, const char *const *args, int in)
{
	char *argv[16] = {(char *)(uintptr_t) "command"};
	int pipes[2], argc = 1;

	for (; args[argc - 1]; argc++)
		argv[argc] = (char *)(uintptr_t)args[argc - 1];
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	(void)fflush(NULL);
	p->pid = fork();
	assert_true(p->pid >= 0);
	if (!p->pid) {
		(void)dup2(pipes[1], STDOUT_FILENO);
		(void)close(pipes[0]);
		(void)close(pipes[1]);
		if (in >= 0)
			(void)dup2(in, STDIN_FILENO);
		exit(cmd(argc, argv));
	}
	(void)close(pipes[1]);
	p->out = pipes[0];
	buf_init(&p->seen, 16U << 20);
}

/* One more read; false at the end. */
static bool read_more(struct process *p)
{
	struct pollfd fd = {.fd = p->out, .events = POLLIN};
	ssize_t n;

	if (poll(&fd, 1, PATIENCE_MS) != 1)
		fail_msg("no output for 10 s after: %.*s", STR_ARG(buf_str(&p->seen)));
	assert_int_equal(buf_reserve(&p->seen, 65536), 0);
	n = read(p->out, buf_tail(&p->seen), 65536);
	assert_true(n >= 0);
	buf_commit(&p->seen, (size_t)n);
	return n > 0;
}

static bool has(const struct process *p, const char *text)
{
	return p->seen.n && memmem(buf_str(&p->seen).p, p->seen.n, text, strlen(text));
}

static void wait_for(struct process *p, const char *text)
{
	while (!has(p, text))
		if (!read_more(p))
			fail_msg("ended without \"%s\": %.*s", text, STR_ARG(buf_str(&p->seen)));
}

/* Reads the rest and returns the exit code. */
static int finish(struct process *p)
{
	int status;

	while (read_more(p))
		;
	assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
	(void)close(p->out);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int stop(struct process *p)
{
	assert_int_equal(kill(p->pid, SIGTERM), 0);
	return finish(p);
}

/* --- a reducer and its agents --- */

struct reducer {
	struct process p;
	char folder[64];
	uint16_t port;
};

static void start_reducer(struct reducer *r, const char *a, const char *b)
{
	char file[80];
	const char *args[] = {"--listen", "127.0.0.1:0", "--port-file", file,
			      a,	  a ? b : NULL,	 NULL};
	FILE *f = NULL;

	(void)snprintf(r->folder, sizeof(r->folder), "/tmp/kindred-test-XXXXXX");
	assert_non_null(mkdtemp(r->folder));
	(void)snprintf(file, sizeof(file), "%s/port", r->folder);
	start(&r->p, cmd_reducer, args, -1);
	for (int i = 0; i < PATIENCE_MS / 10 && !(f = fopen(file, "re")); i++)
		(void)usleep(10000);
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%hu", &r->port), 1);
	(void)fclose(f);
	(void)unlink(file);
	(void)rmdir(r->folder);
}

static int dial(const struct reducer *r)
{
	const struct sockaddr_in a = {.sin_family = AF_INET,
				      .sin_port = htons(r->port),
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

/* What an agent with `pods` pods says; owners alternate between a Deployment and a CronJob. */
static void speech(struct buf *out, unsigned pods)
{
	struct wire_batch b;

	assert_int_equal(wire_batch_init(&b), 0);
	buf_init(out, 64U << 20);
	assert_int_equal(wire_put_version_info(out, 1, &(struct wire_version_info){.minor = 11}),
			 0);
	assert_int_equal(
		wire_batch_put_connect(&b, out, 1, &(struct wire_connect){3, STR("node-\"a\"")}),
		0);
	assert_int_equal(
		wire_batch_put_pod_resync(&b, out, 1, &(struct wire_pod_resync){1763474400}), 0);
	for (unsigned i = 0; i < pods; i++) {
		char uid[32], name[32];

		(void)snprintf(uid, sizeof(uid), "uid-%u", i);
		(void)snprintf(name, sizeof(name), "pod-%u", i);
		assert_int_equal(wire_batch_put_pod_new_with_name(
					 &b, out, 1,
					 &(struct wire_pod_new_with_name){
						 .uid = str_of(uid),
						 .ip = i ? 0x0a000000 + i : 0,
						 .owner_name = i % 2 ? STR("nightly") : STR("web"),
						 .pod_name = str_of(name),
						 .owner_kind = i % 2 ? 3 : 1,
						 .owner_uid = STR("owner-1"),
						 .is_host_network = i == 1,
						 .ns = STR("shop"),
						 .version = STR("'nginx:1.25'")}),
				 0);
		assert_int_equal(
			wire_batch_put_pod_container(
				&b, out, 1,
				&(struct wire_pod_container){str_of(uid), STR("containerd://c1"),
							     STR("main"), STR("nginx:1.25")}),
			0);
	}
	assert_int_equal(wire_batch_flush(&b, out), 0);
	wire_batch_done(&b);
}

static void say(int fd, struct str s)
{
	while (s.n) {
		ssize_t n = send(fd, s.p, s.n, MSG_NOSIGNAL);

		assert_true(n > 0);
		s = str_from(s, (size_t)n);
	}
}

/* The line of the output that has this event, parsed; the first one. */
static json_t *event(const struct process *p, const char *name)
{
	struct str rest = buf_str(&p->seen), line;
	json_t *j;

	while (rest.n) {
		(void)str_split(&rest, '\n', &line);
		j = json_loadb(line.p, line.n, 0, NULL);
		assert_non_null(j);
		if (strcmp(json_string_value(json_object_get(j, "event")), name) == 0)
			return j;
		json_decref(j);
	}
	fail_msg("no event %s", name);
	return NULL;
}

static void assert_event(const struct process *p, const char *want)
{
	json_t *w = json_loads(want, 0, NULL), *got;

	assert_non_null(w);
	got = event(p, json_string_value(json_object_get(w, "event")));
	if (!json_equal(w, got)) {
		char *text = json_dumps(got, 0);

		fail_msg("want %s, got %s", want, text);
	}
	json_decref(w);
	json_decref(got);
}

static void test_json_events(void **state)
{
	struct reducer r;
	struct buf words;
	struct wire_batch b;
	int fd;

	(void)state;
	start_reducer(&r, "--json", NULL);
	speech(&words, 1);
	assert_int_equal(wire_batch_init(&b), 0);
	assert_int_equal(wire_batch_put_heartbeat(&b, &words, 7), 0);
	assert_int_equal(
		wire_batch_put_pod_delete(&b, &words, 7, &(struct wire_pod_delete){STR("uid-0")}),
		0);
	assert_int_equal(
		wire_batch_put_pod_delete(&b, &words, 7, &(struct wire_pod_delete){STR("uid-0")}),
		0);
	assert_int_equal(wire_batch_flush(&b, &words), 0);
	fd = dial(&r);
	say(fd, buf_str(&words));
	wait_for(&r.p, "\"error\""); /* arrives though the connection lives: lines are flushed */
	(void)close(fd);
	wait_for(&r.p, "\"disconnect\"");
	assert_int_equal(stop(&r.p), 0);
	assert_event(&r.p, "{\"event\":\"connect\",\"conn\":1,\"host\":\"node-\\\"a\\\"\"}");
	assert_event(&r.p, "{\"event\":\"resync\",\"conn\":1,\"epoch\":1763474400}");
	assert_event(&r.p,
		     "{\"event\":\"pod\",\"conn\":1,\"uid\":\"uid-0\",\"ns\":\"shop\","
		     "\"pod\":\"pod-0\",\"ip\":\"\",\"owner_kind\":\"Deployment\","
		     "\"owner_name\":\"web\",\"owner_uid\":\"owner-1\",\"host_network\":false,"
		     "\"version\":\"'nginx:1.25'\"}");
	assert_event(&r.p,
		     "{\"event\":\"container\",\"conn\":1,\"uid\":\"uid-0\","
		     "\"id\":\"containerd://c1\",\"name\":\"main\",\"image\":\"nginx:1.25\"}");
	assert_event(&r.p, "{\"event\":\"delete\",\"conn\":1,\"uid\":\"uid-0\"}");
	assert_event(&r.p, "{\"event\":\"message\",\"conn\":1,\"name\":\"version_info\","
			   "\"id\":310,\"timestamp\":1,"
			   "\"fields\":{\"major\":0,\"minor\":11,\"patch\":0}}");
	assert_event(&r.p, "{\"event\":\"error\",\"conn\":1,"
			   "\"error\":\"pod_delete of uid-0, which was not announced\"}");
	assert_event(&r.p, "{\"event\":\"disconnect\",\"conn\":1}");
	wire_batch_done(&b);
	buf_done(&words);
	buf_done(&r.p.seen);
}

static void test_table(void **state)
{
	struct reducer r;
	struct buf words;
	int fd;

	(void)state;
	start_reducer(&r, NULL, NULL);
	speech(&words, 4);
	fd = dial(&r);
	say(fd, buf_str(&words));
	wait_for(&r.p, "1 agent connected"); /* comes by itself when things are quiet */
	assert_true(has(&r.p, "NAMESPACE"));
	assert_true(has(&r.p, "Deployment/web"));
	assert_true(has(&r.p, "CronJob/nightly"));
	assert_true(has(&r.p, "10.0.0.3"));
	assert_true(has(&r.p, "2 workloads, 4 pods, 4 containers"));
	assert_int_equal(stop(&r.p), 0);
	(void)close(fd);
	buf_done(&words);
	buf_done(&r.p.seen);
}

/* FIN gives the pods up; after a reset they stay, as the reducer keeps them until its sweep. */
static void test_fin_and_reset(void **state)
{
	const struct linger hard = {.l_onoff = 1, .l_linger = 0};
	struct reducer r;
	struct buf words;
	int fd;

	(void)state;
	speech(&words, 4);
	for (int reset = 0; reset < 2; reset++) {
		start_reducer(&r, NULL, NULL);
		fd = dial(&r);
		say(fd, buf_str(&words));
		wait_for(&r.p, "1 agent connected");
		if (reset)
			assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)),
					 0);
		(void)close(fd);
		wait_for(&r.p, "0 agents connected");
		assert_int_equal(has(&r.p, "0 workloads, 0 pods"), !reset);
		assert_int_equal(stop(&r.p), 0);
		buf_done(&r.p.seen);
	}
	buf_done(&words);
}

/* Whether the peer closes within the time. */
static bool closes(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char byte;

	return poll(&p, 1, ms) == 1 && recv(fd, &byte, 1, 0) <= 0;
}

static void test_close_after(void **state)
{
	struct reducer r;
	struct buf words;
	int fd;

	(void)state;
	start_reducer(&r, "--close-after", "3");
	speech(&words, 1);
	fd = dial(&r);
	say(fd, buf_str(&words));
	assert_true(closes(fd, PATIENCE_MS));
	(void)close(fd);
	assert_int_equal(stop(&r.p), 0);
	buf_done(&words);
	buf_done(&r.p.seen);
}

static void test_send_bytes(void **state)
{
	struct reducer r;
	char bytes[8];
	int fd;

	(void)state;
	start_reducer(&r, "--send-bytes", NULL);
	fd = dial(&r);
	assert_true(recv(fd, bytes, sizeof(bytes), 0) > 0);
	(void)close(fd);
	assert_int_equal(stop(&r.p), 0);
	buf_done(&r.p.seen);
}

/* Neither a hung nor a slow reducer takes what it is sent: a writer must come to a halt. */
static void test_hang_and_slow(void **state)
{
	static const char *const faults[][2] = {{"--hang", NULL}, {"--slow", "1000"}};
	static char zeros[65536];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		struct reducer r;
		struct buf words;
		size_t sent = 0;
		ssize_t n;
		int fd;

		start_reducer(&r, faults[i][0], faults[i][1]);
		speech(&words, 0);
		fd = dial(&r);
		say(fd, buf_str(&words));
		for (int tries = 0; tries < 50; tries++) {
			while ((n = send(fd, zeros, sizeof(zeros), MSG_DONTWAIT | MSG_NOSIGNAL)) >
			       0) {
				sent += (size_t)n;
				assert_true(sent < 64U << 20);
			}
			if (i == 0)
				assert_int_equal(errno, EAGAIN);
			(void)usleep(1000);
		}
		(void)close(fd);
		assert_int_equal(stop(&r.p), 0); /* and it can be stopped all the same */
		buf_done(&words);
		buf_done(&r.p.seen);
	}
}

static void test_reducer_options(void **state)
{
	static const char *const wrong[][3] = {{"--nonsense"},		{"--listen", "no-port"},
					       {"--slow", "0"},		{"--slow", "x"},
					       {"--close-after", "-1"}, {"extra"}};
	static const char *const no_address[] = {"--listen", "192.0.2.1:0", NULL};
	static const char *const used[] = {"--help", NULL};
	struct process p;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		start(&p, cmd_reducer, wrong[i], -1);
		assert_int_equal(finish(&p), 2);
		buf_done(&p.seen);
	}
	start(&p, cmd_reducer, no_address, -1);
	assert_int_equal(finish(&p), 1);
	buf_done(&p.seen);
	start(&p, cmd_reducer, used, -1);
	assert_int_equal(finish(&p), 0);
	assert_true(has(&p, "--close-after"));
	buf_done(&p.seen);
}

/* --- decode --- */

/* Runs decode with these bytes on standard input (or in a file). */
static int decode(struct str bytes, bool as_file, struct process *p)
{
	char path[] = "/tmp/kindred-test-XXXXXX";
	const char *args[] = {as_file ? path : NULL, NULL};
	int fd = mkostemp(path, O_CLOEXEC), r;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes.p, bytes.n), bytes.n);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	start(p, cmd_decode, args, fd);
	r = finish(p);
	(void)close(fd);
	(void)unlink(path);
	return r;
}

static size_t lines(const struct process *p)
{
	struct str rest = buf_str(&p->seen), line;
	size_t n = 0;

	while (str_split(&rest, '\n', &line))
		n++;
	return n;
}

/* Standard error of what runs meanwhile goes to a file that is read back. */
static int redirect_errors(FILE *to)
{
	int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);

	assert_true(saved >= 0);
	(void)dup2(fileno(to), STDERR_FILENO);
	return saved;
}

static void assert_decode_error(struct str bytes, size_t messages, const char *want)
{
	char text[512] = "";
	FILE *errors = tmpfile();
	struct process p;
	int saved, r;

	assert_non_null(errors);
	saved = redirect_errors(errors);
	r = decode(bytes, true, &p);
	(void)dup2(saved, STDERR_FILENO);
	(void)close(saved);
	rewind(errors);
	assert_true(fread(text, 1, sizeof(text) - 1, errors) > 0);
	(void)fclose(errors);
	assert_int_equal(r, 1);
	assert_int_equal(lines(&p), messages);
	if (!strstr(text, want))
		fail_msg("\"%s\" does not say \"%s\"", text, want);
	buf_done(&p.seen);
}

static void test_decode(void **state)
{
	struct process p;
	struct buf words;
	json_t *j;

	(void)state;
	speech(&words, 500);
	for (int as_file = 0; as_file < 2; as_file++) {
		assert_int_equal(decode(buf_str(&words), as_file, &p), 0);
		assert_int_equal(lines(&p), 3 + 2 * 500);
		j = json_loadb(buf_str(&p.seen).p, p.seen.n, JSON_DISABLE_EOF_CHECK, NULL);
		assert_string_equal(json_string_value(json_object_get(j, "name")), "version_info");
		json_decref(j);
		buf_done(&p.seen);
	}
	assert_int_equal(decode((struct str){0}, true, &p), 0);
	buf_done(&p.seen);

	/* An uncompressed copy. */
	buf_reset(&words);
	assert_int_equal(wire_put_version_info(&words, 1, &(struct wire_version_info){.minor = 11}),
			 0);
	assert_int_equal(wire_put_heartbeat(&words, 1), 0);
	assert_int_equal(decode(buf_str(&words), false, &p), 0);
	assert_int_equal(lines(&p), 2);
	buf_done(&p.seen);
	buf_done(&words);
}

static void test_decode_errors(void **state)
{
	static const char *const wrong[] = {"--nonsense", NULL}, *const two[] = {"a", "b", NULL},
				 *const missing[] = {"/nonexistent/file", NULL},
				 *const folder[] = {"/tmp", NULL};
	FILE *errors = tmpfile();
	char text[256];
	int saved;
	struct process p;
	struct buf words;
	struct wire_batch b;

	(void)state;
	start(&p, cmd_decode, wrong, -1);
	assert_int_equal(finish(&p), 2);
	buf_done(&p.seen);
	start(&p, cmd_decode, two, -1);
	assert_int_equal(finish(&p), 2);
	buf_done(&p.seen);
	start(&p, cmd_decode, missing, -1);
	assert_int_equal(finish(&p), 1);
	buf_done(&p.seen);

	saved = redirect_errors(errors);
	start(&p, cmd_decode, folder, -1);
	assert_int_equal(finish(&p), 1);
	buf_done(&p.seen);
	(void)dup2(saved, STDERR_FILENO);
	(void)close(saved);
	rewind(errors);
	text[fread(text, 1, sizeof(text) - 1, errors)] = '\0';
	(void)fclose(errors);
	assert_string_equal(text, "kindred decode: /tmp: Is a directory\n");

	speech(&words, 1);
	assert_decode_error(str_make(words.p, words.n - 9), 1, "ends inside an LZ4");
	assert_decode_error(str_make(words.p, 20), 0, "at byte 20 of the stream");
	assert_int_equal(buf_append_str(&words, STR("no frame here")), 0);
	assert_decode_error(buf_str(&words), 5, "of the stream");
	buf_reset(&words);

	assert_int_equal(wire_put_version_info(&words, 1, &(struct wire_version_info){.minor = 11}),
			 0);
	assert_int_equal(wire_batch_init(&b), 0);
	assert_int_equal(wire_batch_put_heartbeat(&b, &words, 1), 0);
	assert_int_equal(wire_batch_put_heartbeat(&b, &words, 1), 0);
	b.raw.p[10 + 9] = 0x7f;
	assert_int_equal(wire_batch_flush(&b, &words), 0);
	assert_decode_error(buf_str(&words), 2, "at byte 42 of the decompressed messages");
	wire_batch_done(&b);
	buf_done(&words);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json_events),	cmocka_unit_test(test_table),
		cmocka_unit_test(test_fin_and_reset),	cmocka_unit_test(test_close_after),
		cmocka_unit_test(test_send_bytes),	cmocka_unit_test(test_hang_and_slow),
		cmocka_unit_test(test_reducer_options), cmocka_unit_test(test_decode),
		cmocka_unit_test(test_decode_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
