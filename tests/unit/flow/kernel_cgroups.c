/*
 * The programs that follow cgroups and processes, against directories this program makes and
 * processes it starts.
 */
#include "tests/unit/flow/kernel_rig.h"

// clang-format off: cmocka's header needs these before it
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>

/* bpftool 7.1 writes a cast that drops const. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wcast-qual"
#include "bpf/cgroups.skel.h"
#include "bpf/procs.skel.h"
#include "bpf/tcp.skel.h"
#pragma GCC diagnostic pop

#define V1_PIDS "/sys/fs/cgroup/pids"

static uint32_t netns;

struct kernel {
	struct rig rig;
	struct tcp_bpf *tcp;
	struct cgroups_bpf *cgroups;
	struct procs_bpf *procs;
};

#define LOAD(k, name)                                                       \
	do {                                                                \
		assert_int_equal(rig_share(&(k)->rig, (k)->name->obj), 0);  \
		assert_int_equal(name##_bpf__load((k)->name), 0);           \
		assert_int_equal(rig_loaded(&(k)->rig, (k)->name->obj), 0); \
		assert_int_equal(name##_bpf__attach((k)->name), 0);         \
	} while (0)

static void kernel_up(struct kernel *k, uint32_t ring, uint32_t v1)
{
	*k = (struct kernel){0};
	rig_init(&k->rig);
	assert_non_null(k->rig.rec);
	k->tcp = tcp_bpf__open();
	k->cgroups = cgroups_bpf__open();
	k->procs = procs_bpf__open();
	assert_true(k->tcp && k->cgroups && k->procs);
	assert_int_equal(bpf_map__set_max_entries(k->tcp->maps.ring, ring), 0);
	k->cgroups->rodata->v1_hierarchy = v1;
	k->procs->rodata->v1_hierarchy = v1;
	k->procs->rodata->v1_controller = v1 ? 2 : 0;
	k->tcp->rodata->v1_controller = v1 ? 2 : 0;
	LOAD(k, tcp);
	LOAD(k, cgroups);
	LOAD(k, procs);
}

static void kernel_down(struct kernel *k)
{
	procs_bpf__destroy(k->procs);
	cgroups_bpf__destroy(k->cgroups);
	ring_buffer__free(k->rig.rb);
	k->rig.rb = NULL;
	tcp_bpf__destroy(k->tcp);
	rig_done(&k->rig);
}

static const struct abi_cgroup *cgroup_wait(struct kernel *k, uint8_t type, uint64_t id)
{
	for (int i = 0; i < 50; i++) {
		(void)ring_buffer__consume(k->rig.rb);
		for (size_t at = 0; at < k->rig.n; at++) {
			const struct abi_cgroup *c = (const void *)k->rig.rec[at];

			if (c->head.type == type && c->id == id)
				return c;
		}
		rig_sleep_ms(10);
	}
	return NULL;
}

static const struct abi_proc *proc_wait(struct kernel *k, uint8_t type, pid_t pid, int tries)
{
	for (int i = 0; i < tries; i++) {
		(void)ring_buffer__consume(k->rig.rb);
		for (size_t at = 0; at < k->rig.n; at++) {
			const struct abi_proc *p = (const void *)k->rig.rec[at];

			if (p->head.type == type && p->pid == (uint32_t)pid)
				return p;
		}
		rig_sleep_ms(10);
	}
	return NULL;
}

static const struct abi_proc *proc_told(struct kernel *k, uint8_t type, pid_t pid)
{
	const struct abi_proc *p = proc_wait(k, type, pid, 50);

	assert_non_null(p);
	if (!p)
		abort(); /* for compilers that do not know that the line above does not return */
	return p;
}

static uint32_t v1_hierarchy(const char *controller)
{
	FILE *f = fopen("/proc/cgroups", "re");
	char line[256], name[64];
	unsigned id, found = 0;

	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%63s %u", name, &id) == 2 && !strcmp(name, controller))
			found = id;
	}
	fclose(f);
	return found;
}

/* ---- directories ----------------------------------------------------------------------------- */

static void check_dir(struct kernel *k, const char *parent, const char *name, uint64_t mark,
		      uint32_t hierarchy)
{
	char dir[512];
	const struct abi_cgroup *c;
	uint64_t id;

	snprintf(dir, sizeof(dir), "%s/%s", parent, name);
	assert_int_equal(mkdir(dir, 0755), 0);
	id = rig_inode(dir) | mark;
	c = cgroup_wait(k, ABI_CGROUP_NEW, id);
	assert_non_null(c);
	assert_int_equal(c->parent, rig_inode(parent) | mark);
	assert_int_equal(c->hierarchy, hierarchy);
	assert_true(c->level >= 1);
	if (strlen(name) < ABI_NAME_MAX) {
		char want[ABI_NAME_MAX] = {0};

		memcpy(want, name, strlen(name));
		assert_memory_equal(c->name, want, sizeof(want));
	} else {
		assert_memory_equal(c->name, name, ABI_NAME_MAX - 1);
	}
	assert_int_equal(rmdir(dir), 0);
	c = cgroup_wait(k, ABI_CGROUP_GONE, id);
	assert_non_null(c);
	assert_int_equal(c->parent, rig_inode(parent) | mark);
}

static void directories_come_and_go(void **state)
{
	struct kernel k;
	char root[128], name[256], deep[400];

	(void)state;
	if (!rig_cgroup2(root, sizeof(root)))
		skip();
	kernel_up(&k, 1 << 20, 0);
	snprintf(name, sizeof(name), "kindred-test-%d", getpid());
	check_dir(&k, root, name, 0, 0);
	/* One below another, and a name that is too long. */
	snprintf(deep, sizeof(deep), "%s/%s", root, name);
	assert_int_equal(mkdir(deep, 0755), 0);
	check_dir(&k, deep, "cri-containerd-0123456789abcdef.scope", 0, 0);
	memset(name, 'x', 200);
	name[200] = 0;
	check_dir(&k, deep, name, 0, 0);
	assert_int_equal(rmdir(deep), 0);
	assert_int_equal(k.rig.lost, 0);
	kernel_down(&k);
}

/* Of v1 only the hierarchy that was asked for. */
static void of_v1_one_hierarchy(void **state)
{
	uint32_t pids = v1_hierarchy("pids"), memory = v1_hierarchy("memory");
	char name[64], dir[128];
	struct kernel k;
	uint64_t id;

	(void)state;
	if (!pids || !memory || access(V1_PIDS "/cgroup.procs", F_OK) != 0 ||
	    access("/sys/fs/cgroup/memory/cgroup.procs", F_OK) != 0)
		skip();
	kernel_up(&k, 1 << 20, pids);
	snprintf(name, sizeof(name), "kindred-test-%d", getpid());
	snprintf(dir, sizeof(dir), "/sys/fs/cgroup/memory/%s", name);
	assert_int_equal(mkdir(dir, 0755), 0);
	id = rig_inode(dir);
	check_dir(&k, V1_PIDS, name, ABI_CGROUP_V1, pids);
	assert_int_equal(rmdir(dir), 0);
	(void)ring_buffer__consume(k.rig.rb);
	for (size_t i = 0; i < k.rig.n; i++) {
		const struct abi_cgroup *c = (const void *)k.rig.rec[i];

		if (c->head.type == ABI_CGROUP_NEW || c->head.type == ABI_CGROUP_GONE)
			assert_true(c->hierarchy == 0 || c->hierarchy == pids);
	}
	(void)id;
	kernel_down(&k);
}

static void a_full_ring_counts_directories(void **state)
{
	struct kernel k;
	char root[128], dir[256];

	(void)state;
	if (!rig_cgroup2(root, sizeof(root)))
		skip();
	kernel_up(&k, 4096, 0);
	snprintf(dir, sizeof(dir), "%s/kindred-test-%d", root, getpid());
	for (int i = 0; i < 20; i++) {
		assert_int_equal(mkdir(dir, 0755), 0);
		assert_int_equal(rmdir(dir), 0);
	}
	(void)ring_buffer__consume(k.rig.rb);
	/* 40 records; others may have taken room. */
	assert_true(k.rig.n < 40 && rig_count(&k.rig, ABI_COUNT_DROP_CGROUP) >= 40 - k.rig.n);
	kernel_down(&k);
}

/* ---- processes ------------------------------------------------------------------------------- */

static void *idle_thread(void *arg)
{
	(void)arg;
	rig_sleep_ms(100);
	_exit(0);
}

/* Makes a connection to nowhere, which is enough; waits to be told; goes where it is told. */
static void child(int order, bool with_socket, const char *dir, bool threads)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(9)};
	pthread_t t;
	char c;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (with_socket)
		(void)connect(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&a, sizeof(a));
	if (read(order, &c, 1) != 1)
		_exit(2);
	if (dir && !rig_cgroup_join(dir))
		_exit(3);
	if (threads && pthread_create(&t, NULL, idle_thread, NULL) != 0)
		_exit(4);
	if (threads)
		pthread_exit(NULL); /* the first thread goes, the process stays */
	_exit(0);
}

static pid_t child_start(int *ret_order, bool with_socket, const char *dir, bool threads)
{
	int order[2];
	pid_t pid;

	assert_int_equal(pipe(order), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		close(order[1]);
		child(order[0], with_socket, dir, threads);
	}
	close(order[0]);
	*ret_order = order[1];
	return pid;
}

static void child_end(pid_t pid, int order)
{
	int status;

	assert_int_equal(write(order, "x", 1), 1);
	close(order);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void who_has_sockets_is_followed(void **state)
{
	struct kernel k;
	char root[128], dir[256];
	const struct abi_proc *move, *end;
	uint64_t id;
	pid_t pid;
	int order;

	(void)state;
	if (!rig_cgroup2(root, sizeof(root)))
		skip();
	snprintf(dir, sizeof(dir), "%s/kindred-test-%d", root, getpid());
	assert_int_equal(mkdir(dir, 0755), 0);
	id = rig_inode(dir);
	kernel_up(&k, 1 << 20, 0);
	pid = child_start(&order, true, dir, false);
	rig_sleep_ms(50);
	child_end(pid, order);
	move = proc_told(&k, ABI_PROC_MOVE, pid);
	end = proc_told(&k, ABI_PROC_EXIT, pid);
	assert_int_equal(move->cgroup, id);
	assert_int_equal(end->cgroup, id);
	assert_int_equal(end->cgroup_v1, 0);
	assert_memory_equal(end->comm, "kernel_cgroups", 14);
	assert_true(end->head.time >= move->head.time);

	/* One without sockets is not. */
	pid = child_start(&order, false, dir, false);
	child_end(pid, order);
	assert_null(proc_wait(&k, ABI_PROC_MOVE, pid, 5));
	assert_null(proc_wait(&k, ABI_PROC_EXIT, pid, 5));
	kernel_down(&k);
	assert_int_equal(rmdir(dir), 0);
}

/* Once, when the last thread goes. */
static void threads_leave_one_by_one(void **state)
{
	struct kernel k;
	unsigned n = 0;
	pid_t pid;
	int order;

	(void)state;
	kernel_up(&k, 1 << 20, 0);
	pid = child_start(&order, true, NULL, true);
	rig_sleep_ms(50);
	assert_int_equal(write(order, "x", 1), 1);
	rig_sleep_ms(30);
	assert_null(proc_wait(&k, ABI_PROC_EXIT, pid, 1));
	close(order);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_non_null(proc_wait(&k, ABI_PROC_EXIT, pid, 50));
	for (size_t i = 0; i < k.rig.n; i++) {
		const struct abi_proc *p = (const void *)k.rig.rec[i];

		n += p->head.type == ABI_PROC_EXIT && p->pid == (uint32_t)pid;
	}
	assert_int_equal(n, 1);
	kernel_down(&k);
}

/* In its cgroup it connects to nowhere, and leaves. */
static pid_t connect_in(const char *dir)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(9)};
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid)
		return pid;
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (!rig_cgroup_join(dir))
		_exit(2);
	(void)connect(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&a, sizeof(a));
	_exit(0);
}

/* The owner in v1: of a process that leaves, and of the connection it made. */
static void in_v1_the_task_says_who(void **state)
{
	uint32_t pids = v1_hierarchy("pids");
	char dir[128];
	const struct abi_proc *end;
	struct kernel k;
	unsigned seen = 0;
	uint64_t id;
	pid_t pid;
	int status;

	(void)state;
	if (!pids || access(V1_PIDS "/cgroup.procs", F_OK) != 0)
		skip();
	snprintf(dir, sizeof(dir), "%s/kindred-test-%d", V1_PIDS, getpid());
	assert_int_equal(mkdir(dir, 0755), 0);
	id = rig_inode(dir) | ABI_CGROUP_V1;
	kernel_up(&k, 1 << 20, pids);
	pid = connect_in(dir);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	end = proc_told(&k, ABI_PROC_EXIT, pid);
	assert_int_equal(end->cgroup_v1, id);
	for (size_t i = 0; i < k.rig.n; i++) {
		const struct abi_tcp *t = (const void *)k.rig.rec[i];

		if (t->head.type != ABI_TCP_CLOSE || t->sock.pid != (uint32_t)pid)
			continue;
		assert_int_equal(t->sock.cgroup_v1, id);
		assert_int_equal(t->sock.tuple.netns, netns);
		seen++;
	}
	assert_int_equal(seen, 1);
	kernel_down(&k);
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(directories_come_and_go),
		cmocka_unit_test(of_v1_one_hierarchy),
		cmocka_unit_test(a_full_ring_counts_directories),
		cmocka_unit_test(who_has_sockets_is_followed),
		cmocka_unit_test(threads_leave_one_by_one),
		cmocka_unit_test(in_v1_the_task_says_who),
	};

	setvbuf(stdout, NULL, _IOLBF, 0);
	rig_or_skip();
	if (rig_netns(&netns) < 0) {
		printf("skipped: no network namespace (cannot run here)\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
