/* Sockets that are open already, compared with what the test itself opened and sent; the tables of
 * /proc as text, and another network namespace through them. */
#include "flow/diag.h"

#include "flow/existing.h"
#include "flow/layout.h"
#include "flow/proc_scan.h"
#include "flow_abi.h"
#include "shell_rig.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

struct seen {
	struct diag_sock s[64];
	unsigned int n;
};

static void on_sock(void *ctx, const struct diag_sock *s)
{
	struct seen *x = ctx;

	CHECK(x->n < ARRAY_SIZE(x->s), "too many");
	x->s[x->n++] = *s;
}

static void look(struct seen *x)
{
	struct diag *d = NULL;
	int r;

	x->n = 0;
	CHECK(diag_new(on_sock, x, &d) == 0, "diag_new");
	do
		r = diag_run(d, 1);
	while (r > 0);
	CHECK(r == 0, "diag_run: %d", r);
	diag_free(&d);
}

static struct diag_sock find(const struct seen *x, uint16_t lport, uint16_t rport)
{
	unsigned int i = 0;

	while (i < x->n && (x->s[i].lport != lport || x->s[i].rport != rport))
		i++;
	CHECK(i < x->n, "%u -> %u is missing among %u", lport, rport, x->n);
	return x->s[i];
}

static void check(const struct seen *x, uint16_t lport, uint16_t rport, enum flow_dir dir,
		  uint64_t sent, uint64_t received)
{
	const struct diag_sock s = find(x, lport, rport);

	CHECK(s.dir == dir, "%u: direction %d", lport, s.dir);
	CHECK(s.counters.sent == sent && s.counters.received == received,
	      "%u: sent %lu received %lu, not %lu %lu", lport, (unsigned long)s.counters.sent,
	      (unsigned long)s.counters.received, (unsigned long)sent, (unsigned long)received);
}

static uint64_t own_v2_cgroup(void)
{
	struct layout l;
	char text[4096] = "", path[5000];
	struct stat st;
	FILE *f = fopen("/proc/self/cgroup", "re");

	CHECK(f && layout_find("/sys/fs/cgroup", "/proc", &l) == 0, "cgroups");
	while (fgets(text, sizeof(text), f) && strncmp(text, "0::", 3) != 0)
		;
	(void)fclose(f);
	text[strcspn(text, "\n")] = '\0';
	(void)snprintf(path, sizeof(path), "%s%s", l.v2, text + 3);
	return *l.v2 && stat(path, &st) == 0 ? st.st_ino : 0;
}

static void here(void *ctx)
{
	const bool v6 = *(const bool *)ctx;
	struct seen x = {0};
	struct diag_sock s;

	if (!rig_netns())
		exit(RIG_SKIP);
	struct rig_pair p = rig_connect(v6), q = rig_connect(v6), h = rig_connect(v6);

	rig_send(p.client, p.server, 100);
	rig_send(p.server, p.client, 70000);
	look(&x);
	CHECK(x.n == 6, "%u sockets", x.n);
	check(&x, p.cport, p.lport, FLOW_OUT, 100, 70000);
	check(&x, p.lport, p.cport, FLOW_IN, 70000, 100);
	check(&x, q.cport, q.lport, FLOW_OUT, 0, 0); /* the SYN is no payload */
	s = find(&x, p.cport, p.lport);
	CHECK(s.counters.rtt_us > 0 && s.counters.segs_out > 1, "tcp_info");
	CHECK(addr_is_v4(&s.laddr) == !v6 && addr_eq(&s.laddr, &s.raddr), "addresses");
	if (own_v2_cgroup())
		CHECK(s.cgroup == own_v2_cgroup(), "cgroup %lu", (unsigned long)s.cgroup);

	/* The listener goes: its child is still one that was accepted. */
	(void)close(p.listener);
	/* Half closed, on either side: FINs are no payload. */
	rig_send(h.client, h.server, 9);
	CHECK(shutdown(h.client, SHUT_WR) == 0, "shutdown");
	rig_send(h.server, h.client, 11);
	look(&x);
	check(&x, p.lport, p.cport, FLOW_IN, 70000, 100);
	check(&x, p.cport, p.lport, FLOW_OUT, 100, 70000);
	check(&x, h.cport, h.lport, FLOW_OUT, 9, 11);
	check(&x, h.lport, h.cport, FLOW_IN, 11, 9);

	/* What is not read does not go, and is not acknowledged once both buffers are full. */
	char big[65536] = {0};
	size_t given = 0;
	ssize_t n;

	while ((n = send(q.client, big, sizeof(big), MSG_DONTWAIT)) > 0)
		given += (size_t)n;
	usleep(50000);
	look(&x);
	s = find(&x, q.cport, q.lport);
	CHECK(s.counters.sent + s.counters.unacked == given, "%lu + %lu != %lu",
	      (unsigned long)s.counters.sent, (unsigned long)s.counters.unacked,
	      (unsigned long)given);
	(void)close(p.client);
	(void)close(p.server);
	rig_close(&q);
	rig_close(&h);
}

static void test_here(void **state)
{
	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		bool arg = v6;

		RIG_NEED(rig_child(here, &arg));
	}
}

/* ---- /proc ----------------------------------------------------------------------------------- */

static void test_line(void **state)
{
	/* Recorded on x86_64: words are in its byte order. */
	static const char v4[] =
		"   1: 0100007F:1F90 0200007F:A0B1 01 00000005:00000000 00:00000000 00000000     0"
		"        0 12345 1 0000000000000000 20 4 30 10 -1\n";
	static const char v6[] = "   0: 00000000000000000000000001000000:0050 "
				 "0000000000000000FFFF00000100007F:C350 0A "
				 "00000000:00000000 00:00000000 00000000  1000        0 77 1 "
				 "0000000000000000 100 0 0\n";
	struct diag_sock s;
	unsigned int st;
	char text[ADDR_TEXT_MAX], cut[sizeof(v4)];

	(void)state;
	if (htons(1) == 1) {
		print_message("skipped: recorded on a little-endian machine (cannot run here)\n");
		skip();
	}
	assert_true(diag_proc_line(v4, &s, &st));
	assert_string_equal(addr_print(&s.laddr, text), "127.0.0.1");
	assert_string_equal(addr_print(&s.raddr, text), "127.0.0.2");
	assert_int_equal(s.lport, 8080);
	assert_int_equal(s.rport, 0xa0b1);
	assert_int_equal(st, 1);
	assert_int_equal(s.inode, 12345);
	assert_int_equal(s.counters.unacked, 5);
	assert_true(diag_proc_line(v6, &s, &st));
	assert_string_equal(addr_print(&s.laddr, text), "::1");
	assert_string_equal(addr_print(&s.raddr, text), "127.0.0.1");
	assert_int_equal(s.lport, 80);
	assert_int_equal(st, 10);
	assert_false(diag_proc_line("  sl  local_address rem_address   st tx_queue rx_queue\n", &s,
				    &st));
	for (size_t n = 0; n < 88; n++) { /* up to the inode: cut anywhere, it is no line */
		memcpy(cut, v4, n);
		cut[n] = '\0';
		(void)diag_proc_line(cut, &s, &st);
		if (n < 80)
			assert_false(diag_proc_line(cut, &s, &st));
	}
}

/* A process in another network namespace, looked at from here. */
static void other(void *ctx)
{
	struct seen x = {0};
	struct diag_ports *scratch = calloc(1, sizeof(*scratch));
	int ready[2];
	struct {
		uint16_t lport, cport;
	} told;

	(void)ctx;
	CHECK(pipe(ready) == 0 && scratch, "pipe");
	const pid_t pid = fork();

	if (pid == 0) {
		told.lport = 0;
		if (rig_netns()) {
			const struct rig_pair p = rig_connect(true);

			told.lport = p.lport;
			told.cport = p.cport;
		}
		CHECK(write(ready[1], &told, sizeof(told)) == sizeof(told), "write");
		(void)pause();
	}
	CHECK(read(ready[0], &told, sizeof(told)) == sizeof(told), "read");
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d", pid);
	const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const int r = diag_proc_net(fd, 64, scratch, on_sock, &x);
	const struct seen all = x;
	struct seen one = {0};
	const int over = diag_proc_net(fd, 1, scratch, on_sock, &one);

	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	(void)close(fd);
	free(scratch);
	if (!told.lport)
		exit(RIG_SKIP);
	CHECK(r == 0 && all.n == 2, "%d: %u sockets", r, all.n);
	check(&all, told.cport, told.lport, FLOW_OUT, 0, 0);
	check(&all, told.lport, told.cport, FLOW_IN, 0, 0);
	CHECK(over == 1 && one.n == 1, "over the bound: %d, %u", over, one.n);
}

static void test_other(void **state)
{
	(void)state;
	RIG_NEED(rig_child(other, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_here),
		cmocka_unit_test(test_line),
		cmocka_unit_test(test_other),
	};

	return cmocka_run_group_tests_name("flow/diag", tests, NULL, NULL);
}
