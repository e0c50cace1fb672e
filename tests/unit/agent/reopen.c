/*
 * What the agent does with its lines of flows: lets go of a file that was moved away (SIGHUP, as
 * logrotate does), and ends with whole lines and true figures where nobody reads.
 */
#include "tests/lib/rig.h"
#include "tests/lib/rig_page.h"

#include "base/mem.h"

// clang-format off: cmocka's header needs these before it
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static bool may_load(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	unsigned long long set = 0;
	char line[256];

	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, "CapEff:", 7) == 0)
			set = strtoull(line + 7, NULL, 16);
	if (f)
		(void)fclose(f);
	return set >> CAP_BPF & set >> CAP_PERFMON & 1;
}

/* One connection to ourselves, from an address that no other test has; its text is returned. */
static const char *connect_once(void)
{
	static char from[INET_ADDRSTRLEN];
	static unsigned nth;
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const unsigned self = (unsigned)getpid();
	struct sockaddr_in me = {.sin_family = AF_INET};
	socklen_t n = sizeof(a);
	int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int c = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), s;

	(void)snprintf(from, sizeof(from), "127.%u.%u.%u", 100 + nth++ % 100, self >> 8 & 255,
		       self & 255);
	assert_true(l >= 0 && c >= 0);
	assert_int_equal(inet_pton(AF_INET, from, &me.sin_addr), 1);
	assert_int_equal(bind(l, (const struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(l, 1), 0);
	assert_int_equal(getsockname(l, (struct sockaddr *)&a, &n), 0);
	assert_int_equal(bind(c, (const struct sockaddr *)&me, sizeof(me)), 0);
	assert_int_equal(connect(c, (const struct sockaddr *)&a, sizeof(a)), 0);
	s = accept(l, NULL, NULL);
	(void)close(s);
	(void)close(c);
	(void)close(l);
	return from;
}

static bool has(const char *path, const char *address)
{
	char *text = proc_text(path), quoted[INET_ADDRSTRLEN + 2];
	bool found;

	(void)snprintf(quoted, sizeof(quoted), "\"%s\"", address);
	found = strstr(text, quoted) != NULL;
	free(text);
	return found;
}

static void wait_for(struct rig *rig, const char *path, const char *address)
{
	const nsec_t until = clock_mono() + RIG_PATIENCE;

	while (!has(path, address)) {
		rig_assert(rig, clock_mono() < until, "%s never tells of %s", path, address);
		proc_sleep(50 * NSEC_PER_MSEC);
	}
}

static void a_file_that_was_moved_is_let_go_of(void **state)
{
	struct rig *rig = *state;
	char file[PROC_PATH_MAX], moved[PROC_PATH_MAX], arg[PROC_PATH_MAX + 8];
	char before[INET_ADDRSTRLEN];
	const char *after;

	if (!may_load()) {
		print_message("skipped: no CAP_BPF (cannot run here)\n");
		skip();
	}
	(void)rig_path(rig, "flows", file);
	(void)rig_path(rig, "flows.1", moved);
	(void)snprintf(arg, sizeof(arg), "jsonl:%s", file);
	rig_replay(rig, NULL);
	rig_reducer(rig, NULL);
	rig_agent(rig,
		  (const char *const[]){"--flows", "on", "--flows-out", arg, "--flow-pending", "1s",
					NULL},
		  NULL);
	rig_wait_told(rig, "metadata_complete");
	(void)snprintf(before, sizeof(before), "%s", connect_once());
	wait_for(rig, file, before);
	assert_int_equal(rename(file, moved), 0);
	assert_int_equal(kill(rig->agent.pid, SIGHUP), 0);
	for (int i = 0; i < 200 && access(file, F_OK) != 0; i++)
		proc_sleep(50 * NSEC_PER_MSEC);
	after = connect_once();
	wait_for(rig, file, after);
	rig_assert(rig, !has(moved, after), "the old file is written still");
	rig_assert(rig, has(moved, before), "the old file has lost its lines");
	rig_stop_flows(rig);
	rig_assert(rig, rig_logged(rig, "flows: lines written "), "no figures of the lines");
	rig_assert(rig, rig_logged(rig, "not taken before the stop 0;"), "lines are left");
}

/* The number behind that text in the agent's words; 0 without. */
static unsigned long figure(const struct rig *rig, const char *text)
{
	char *err = proc_text(rig->agent.err);
	const char *at = strstr(err, text);
	const unsigned long n = at ? strtoul(at + strlen(text), NULL, 10) : 0;

	free(err);
	return n;
}

/* --flow-max 4096 leaves a slow output 1,024 ended flows: half a thousand connections fit into the
 * pipe and the buffer, the others do not. */
static void who_does_not_read_is_told_the_loss(void **state)
{
	struct rig *rig = *state;
	char file[PROC_PATH_MAX], socket[PROC_PATH_MAX], arg[PROC_PATH_MAX + 8];
	static char bytes[1 << 20];
	unsigned long lines;
	size_t got = 0;
	ssize_t n;
	int fd;

	if (!may_load()) {
		print_message("skipped: no CAP_BPF (cannot run here)\n");
		skip();
	}
	(void)rig_path(rig, "fifo", file);
	(void)snprintf(arg, sizeof(arg), "jsonl:%s", file);
	assert_int_equal(mkfifo(file, 0600), 0);
	fd = open(file, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(fd >= 0);
	rig_replay(rig, NULL);
	rig_reducer(rig, NULL);
	rig_agent(rig,
		  (const char *const[]){"--flows", "on", "--flows-out", arg, "--flow-pending", "1s",
					"--flow-max", "4096", "--socket",
					rig_path(rig, RIG_SOCKET, socket), NULL},
		  NULL);
	rig_wait_told(rig, "metadata_complete");
	for (int i = 0; i < 2500; i++)
		(void)connect_once();
	proc_sleep(3 * NSEC_PER_SEC); /* remote ends are looked for a while */
	/* Others on this machine connect, too: some may just be on their way. */
	rig_wait_figure(rig, "kindred_flows_unaccounted", 0);
	rig_stop_flows(rig);
	lines = figure(rig, "flows: lines written ");
	rig_assert(rig, lines > 0, "no lines");
	rig_assert(rig, figure(rig, "not taken before the stop ") > 0, "all lines were taken");
	rig_assert(rig, figure(rig, "the output was too slow for ") > 500, "no flow was let go of");
	n = read(fd, bytes, sizeof(bytes));
	rig_assert(rig, n > 0 && bytes[n - 1] == '\n', "it ends with half a line");
	for (ssize_t i = 0; i < n; i++)
		got += bytes[i] == '\n';
	assert_int_equal(got, lines);
	(void)close(fd);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_file_that_was_moved_is_let_go_of, rig_setup,
						rig_teardown),
		cmocka_unit_test_setup_teardown(who_does_not_read_is_told_the_loss, rig_setup,
						rig_teardown),
	};

	return rig_run("reopen", tests, ARRAY_SIZE(tests), argc, argv);
}
