#include "tests/lib/rig.h"

#include "base/buf.h"
#include "base/mem.h"

// clang-format off: cmocka's header needs these before it
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <arpa/inet.h>
#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#define POLL	  (20 * NSEC_PER_MSEC)
#define WORKERS	  4
#define TAIL	  6000 /* bytes of a log that a failure shows */
#define MAX_REPLY (1U << 20)

/* --- failing --- */

static void print_tail(const char *what, const char *file)
{
	_free_ char *text = proc_text(file);
	const size_t n = strlen(text);

	if (n)
		fprintf(stderr, "--- %s:\n%s", what, text + (n > TAIL ? n - TAIL : 0));
}

void rig_fail(struct rig *rig, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	print_tail("agent", rig->agent.err);
	print_tail("reducer", rig->reducer.err);
	print_tail("kube-replay", rig->replay.err);
	fprintf(stderr, "---\n");
	fail_msg("%s", text);
	abort(); /* fail_msg has jumped */
}

/* --- setup --- */

int rig_setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	if (!rig)
		return -1;
	rig->arg = *state;
	*state = rig;
	(void)snprintf(rig->folder, sizeof(rig->folder), "/tmp/kindred-rig-XXXXXX");
	if (!mkdtemp(rig->folder) || proc_find("kindred", rig->kindred) < 0 ||
	    proc_find("kube-replay", rig->kube_replay) < 0) {
		fprintf(stderr, "kindred and kube-replay are built by `make`\n");
		return -1;
	}
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *at)
{
	(void)st;
	(void)flag;
	(void)at;
	return remove(path);
}

int rig_teardown(void **state)
{
	struct rig *rig = *state;

	proc_end_all();
	if (!rig)
		return 0;
	truth_done(&rig->truth);
	told_done(&rig->told);
	(void)nftw(rig->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(rig);
	*state = NULL;
	return 0;
}

const char *rig_path(const struct rig *rig, const char *name, char ret[PROC_PATH_MAX])
{
	(void)snprintf(ret, PROC_PATH_MAX, "%s/%s", rig->folder, name);
	return ret;
}

void rig_write(const struct rig *rig, const char *name, const char *text)
{
	char path[PROC_PATH_MAX];
	FILE *f = fopen(rig_path(rig, name, path), "we");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* Every WORKERS-th test from `first` on, output to `out`. */
static void work(const char *group, const struct CMUnitTest *tests, size_t n, size_t first,
		 FILE *out)
{
	struct CMUnitTest *mine = calloc(n, sizeof(*mine));
	size_t m = 0;
	int failed;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)dup2(fileno(out), STDOUT_FILENO);
	(void)dup2(fileno(out), STDERR_FILENO);
	(void)fclose(out);
	for (size_t i = first; mine && i < n; i += WORKERS)
		mine[m++] = tests[i];
	failed = mine ? _cmocka_run_group_tests(group, mine, m, NULL, NULL) : 1;
	free(mine);
	exit(failed != 0);
}

static void copy_out(FILE *from)
{
	char line[4096];

	rewind(from);
	while (fgets(line, sizeof(line), from))
		(void)fputs(line, stdout);
	(void)fclose(from);
}

int rig_run(const char *group, const struct CMUnitTest *tests, size_t n, int argc, char **argv)
{
	FILE *out[WORKERS];
	pid_t pids[WORKERS];
	int failed = 0, status;

	if (argc > 1) {
		cmocka_set_test_filter(argv[1]);
		return _cmocka_run_group_tests(group, tests, n, NULL, NULL);
	}
	for (size_t i = 0; i < WORKERS; i++) {
		out[i] = tmpfile();
		pids[i] = out[i] ? fork() : -1;
		if (pids[i] == 0)
			work(group, tests, n, i, out[i]);
	}
	for (size_t i = 0; i < WORKERS; i++) {
		failed |= pids[i] < 0 || waitpid(pids[i], &status, 0) != pids[i] || status != 0;
		if (out[i])
			copy_out(out[i]);
	}
	return failed;
}

/* --- the programs --- */

static void add(const char **argv, size_t *n, const char *const *more)
{
	for (size_t i = 0; more && more[i]; i++) {
		assert_true(*n < PROC_MAX_ARGS);
		argv[(*n)++] = more[i];
	}
}

/* The first of ./, ../, ../../ ... that holds the recordings. */
static void find_recorded(char ret[PATH_MAX])
{
	char rel[256] = "tests/fixtures/recorded";

	for (int i = 0; i < 8; i++) {
		char up[512];

		if (realpath(rel, ret))
			return;
		(void)snprintf(up, sizeof(up), "../%s", rel);
		(void)snprintf(rel, sizeof(rel), "%.255s", up);
	}
	fail_msg("tests/fixtures/recorded is not here");
}

static void start(struct rig *rig, struct proc *p, const char *tag, const char *const *argv,
		  const char *const *env)
{
	int r = proc_start(p, rig->folder, tag, argv, env);

	rig_assert(rig, r == 0, "cannot start %s: %s", argv[0], strerror(-r));
}

static bool has(const char *const *args, const char *arg)
{
	for (; args && *args; args++)
		if (strcmp(*args, arg) == 0)
			return true;
	return false;
}

/* A folder in `args` (first, and no option) is a set below the recordings. */
void rig_replay(struct rig *rig, const char *const *args)
{
	const char *argv[PROC_MAX_ARGS + 1] = {rig->kube_replay};
	char folder[PATH_MAX], dir[PATH_MAX + 64], port[PROC_PATH_MAX], listen[32];
	size_t n = 1;

	find_recorded(folder);
	(void)snprintf(dir, sizeof(dir), "%s/%s", folder,
		       args && args[0] && args[0][0] != '-' ? *args++ : "");
	(void)snprintf(listen, sizeof(listen), "127.0.0.1:%u", rig->replay_port);
	add(argv, &n,
	    (const char *const[]){dir, "--listen", listen, "--port-file",
				  rig_path(rig, "replay.port", port), "--speed", "0", NULL});
	add(argv, &n, args);
	rig->tls =
		has(args, "--tls") || has(args, "--tls-expired") || has(args, "--tls-wrong-host");
	(void)unlink(port);
	start(rig, &rig->replay, "replay", argv, NULL);
	rig_assert(rig, proc_port(port, RIG_PATIENCE * RIG_SLOWNESS, &rig->replay_port) == 0,
		   "kube-replay does not listen");
}

/* Each reducer writes to a file of its own; a later one takes the port of the first. */
void rig_reducer(struct rig *rig, const char *const *args)
{
	const char *argv[PROC_MAX_ARGS + 1] = {rig->kindred};
	char port[PROC_PATH_MAX], listen[32], tag[32];
	size_t n = 1;

	(void)snprintf(listen, sizeof(listen), "127.0.0.1:%u", rig->reducer_port);
	(void)snprintf(tag, sizeof(tag), "reducer%u", rig->reducers++);
	add(argv, &n,
	    (const char *const[]){"reducer", "--json", "--listen", listen, "--port-file",
				  rig_path(rig, "reducer.port", port), NULL});
	add(argv, &n, args);
	(void)unlink(port);
	start(rig, &rig->reducer, tag, argv, NULL);
	told_done(&rig->told);
	assert_int_equal(told_init(&rig->told, rig->reducer.out), 0);
	rig_assert(rig, proc_port(port, RIG_PATIENCE * RIG_SLOWNESS, &rig->reducer_port) == 0,
		   "the reducer does not listen");
}

/* Waits at the start and after failures are short here, so that tests are; their lengths are tested
 * elsewhere. */
void rig_agent_as(struct rig *rig, struct proc *p, const char *tag, const char *const *args,
		  const char *const *env)
{
	const char *argv[PROC_MAX_ARGS + 1] = {rig->kindred};
	char url[64], port[16];
	size_t n = 1;

	(void)snprintf(url, sizeof(url), "http%s://127.0.0.1:%u", rig->tls ? "s" : "",
		       rig->replay_port);
	(void)snprintf(port, sizeof(port), "%u", rig->reducer_port);
	add(argv, &n,
	    (const char *const[]){"agent", "--intake-port", port, "--backoff-min", "50ms",
				  "--backoff-max", "400ms", "--intake-backoff-min", "50ms",
				  "--intake-backoff-max", "400ms", "--start-jitter", "0s", NULL});
	if (!has(args, "--kubeconfig") && !has(args, "--api-server"))
		add(argv, &n, (const char *const[]){"--api-server", url, NULL});
	if (!has(args, "--flows"))
		add(argv, &n, (const char *const[]){"--flows", "off", NULL});
	add(argv, &n, args);
	start(rig, p, tag, argv, env);
}

void rig_agent(struct rig *rig, const char *const *args, const char *const *env)
{
	rig_agent_as(rig, &rig->agent, "agent", args, env);
}

void rig_truth(struct rig *rig, const char *set, const struct truth_select *select)
{
	int r = truth_read(set, select, &rig->truth);

	rig_assert(rig, r == 0, "no ground truth in '%s': %s", set, strerror(-r));
	rig_assert(rig, json_object_size(rig->truth.pods) > 0, "the ground truth has no pods");
}

/* --- asking kube-replay --- */

static int dial(unsigned port)
{
	const struct sockaddr_in a = {.sin_family = AF_INET,
				      .sin_port = htons((uint16_t)port),
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const struct timeval patience = {.tv_sec = 10};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && connect(fd, (const struct sockaddr *)&a, sizeof(a)) < 0) {
		(void)close(fd);
		return -1;
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return fd;
}

static void receive(int fd, struct buf *ret)
{
	ssize_t n;

	while (buf_reserve(ret, 65536) == 0 && (n = recv(fd, buf_tail(ret), 65536, 0)) > 0)
		buf_commit(ret, (size_t)n);
}

/* Takes a chunked body (RFC 9112 section 7.1) apart, in place; NULL when it is none. */
static char *dechunk(char *body)
{
	char *to = body, *at = body, *end;
	unsigned long n;

	while ((n = strtoul(at, &end, 16)) > 0 && strncmp(end, "\r\n", 2) == 0) {
		if (strnlen(end + 2, n + 2) < n + 2)
			return NULL;
		memmove(to, end + 2, n);
		to += n;
		at = end + 2 + n + 2;
	}
	*to = 0;
	return body;
}

/* The whole answer, NUL-terminated; false when there was none. */
static bool talk(const struct rig *rig, const char *method, const char *target, const char *body,
		 struct buf *reply)
{
	_close_ int fd = dial(rig->replay_port);
	_buf_ struct buf request = {.max = MAX_REPLY};

	if (fd < 0 || buf_printf(&request,
				 "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
				 "Content-Length: %zu\r\n\r\n%s",
				 method, target, strlen(body), body) < 0)
		return false;
	if (send(fd, request.p, request.n, MSG_NOSIGNAL) != (ssize_t)request.n)
		return false;
	receive(fd, reply);
	return reply->n && buf_append(reply, "", 1) == 0;
}

json_t *rig_ask(const struct rig *rig, const char *method, const char *target)
{
	_buf_ struct buf reply = {.max = MAX_REPLY};
	char *body;

	if (!talk(rig, method, target, "", &reply))
		return NULL;
	body = strstr(reply.p, "\r\n\r\n");
	if (!body)
		return NULL;
	*body = 0;
	body += 4;
	if (strstr(reply.p, "Transfer-Encoding: chunked"))
		body = dechunk(body);
	return body ? json_loads(body, JSON_DISABLE_EOF_CHECK, NULL) : NULL;
}

void rig_ask_agent(struct rig *rig, const char *socket_path, const char *what, struct buf *ret)
{
	char request[300];
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ssize_t n;

	assert_true(strlen(socket_path) < sizeof(a.sun_path));
	memcpy(a.sun_path, socket_path, strlen(socket_path));
	rig_assert(rig, connect(fd, (const struct sockaddr *)&a, sizeof(a)) == 0, "%s: %s",
		   socket_path, strerror(errno));
	(void)snprintf(request, sizeof(request), "%s HTTP/1.0\r\nContent-Length: 0\r\n\r\n", what);
	assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
	do {
		assert_int_equal(buf_reserve(ret, 65536), 0);
		n = recv(fd, buf_tail(ret), 65536, 0);
		if (n > 0)
			buf_commit(ret, (size_t)n);
	} while (n > 0);
	assert_int_equal(buf_append(ret, "", 1), 0);
}

int rig_send(const struct rig *rig, const char *method, const char *target, const char *body)
{
	_buf_ struct buf reply = {.max = MAX_REPLY};
	int status;

	if (!talk(rig, method, target, body, &reply) ||
	    sscanf(reply.p, "HTTP/1.1 %d", &status) != 1)
		return 0;
	return status;
}

unsigned rig_played(const struct rig *rig)
{
	json_t *state = rig_ask(rig, "GET", "/replay/state"), *f;
	json_int_t sum = 0;
	size_t i;

	json_array_foreach(json_object_get(state, "faults"), i, f)
	{
		sum += json_integer_value(json_object_get(f, "plays"));
	}
	json_decref(state);
	return (unsigned)sum;
}

/* With TLS nobody asks: what the reducer knows has to do. */
static bool finished(const struct rig *rig)
{
	json_t *state;
	bool is;

	if (rig->tls)
		return true;
	state = rig_ask(rig, "GET", "/replay/state");
	is = json_is_true(json_object_get(state, "finished"));
	json_decref(state);
	return is;
}

/* --- waiting --- */

static size_t differences(struct rig *rig, const char *but_ns, FILE *out)
{
	json_t *table = told_table(&rig->told);
	size_t n = told_differences(table, &rig->truth, but_ns, out);

	json_decref(table);
	return n;
}

static void read_told(struct rig *rig)
{
	rig_assert(rig, told_read(&rig->told) == 0, "the reducer's lines cannot be read");
	rig_assert(rig, rig->told.malformed == 0, "the reducer wrote lines that are no events");
	rig_assert(rig, rig->told.errors == 0, "the reducer complains: %s", rig->told.error);
	rig_assert(rig, rig->told.epochs_rise, "an epoch did not rise");
	rig_assert(rig, proc_running(&rig->agent), "the agent is gone: code %d", rig->agent.code);
}

void rig_converge_but(struct rig *rig, const char *but_ns, nsec_t patience)
{
	const nsec_t until = clock_mono() + patience * RIG_SLOWNESS;
	nsec_t right = 0;

	while (!right || clock_mono() < right + RIG_QUIET) {
		bool same;

		proc_sleep(POLL);
		read_told(rig);
		same = differences(rig, but_ns, NULL) == 0 && finished(rig);
		if (same && !right)
			right = clock_mono();
		else if (!same)
			right = 0;
		if (!right && clock_mono() > until) {
			size_t n = differences(rig, but_ns, stderr);

			rig_fail(rig, "%zu of %zu pods differ after %llu s%s", n,
				 json_object_size(rig->truth.pods),
				 (unsigned long long)(patience / NSEC_PER_SEC * RIG_SLOWNESS),
				 finished(rig) ? "" : ", and the recording has not ended");
		}
	}
}

void rig_converge(struct rig *rig)
{
	rig_converge_but(rig, NULL, RIG_PATIENCE);
}

bool rig_logged(const struct rig *rig, const char *text)
{
	_free_ char *log = proc_text(rig->agent.err);

	return strstr(log, text) != NULL;
}

void rig_wait_log(struct rig *rig, const char *text, nsec_t patience)
{
	const nsec_t until = clock_mono() + patience * RIG_SLOWNESS;

	while (!rig_logged(rig, text)) {
		rig_assert(rig, clock_mono() < until, "the agent's log does not say \"%s\"", text);
		rig_assert(rig, proc_running(&rig->agent), "the agent is gone: code %d",
			   rig->agent.code);
		proc_sleep(POLL);
	}
}

void rig_wait_told(struct rig *rig, const char *message)
{
	const nsec_t until = clock_mono() + RIG_PATIENCE * RIG_SLOWNESS;

	for (;;) {
		read_told(rig);
		if (strcmp(message, "connect") == 0
			    ? rig->told.connects > 0
			    : json_object_get(rig->told.messages, message) != NULL)
			return;
		rig_assert(rig, clock_mono() < until, "the reducer was not told: %s", message);
		proc_sleep(POLL);
	}
}

void rig_stop(struct rig *rig, int sig)
{
	nsec_t took = 0;
	int r;

	rig_assert(rig, proc_running(&rig->agent), "the agent is gone: code %d", rig->agent.code);
	r = proc_stop(&rig->agent, sig, RIG_PATIENCE, &took);
	rig_assert(rig, r == 0, "the agent does not stop");
	rig_assert(rig, rig->agent.code == 0, "the agent's exit code is %d", rig->agent.code);
	rig_assert(rig, took <= RIG_STOP, "the agent took %llu ms to stop",
		   (unsigned long long)(took / NSEC_PER_MSEC));
}

void rig_stop_flows(struct rig *rig)
{
	rig_assert(rig, proc_running(&rig->agent), "the agent is gone: code %d", rig->agent.code);
	rig_assert(rig,
		   proc_stop(&rig->agent, SIGTERM, RIG_PATIENCE * RIG_SLOWNESS, NULL) == 0 &&
			   rig->agent.code == 0,
		   "the agent does not stop: code %d", rig->agent.code);
}
