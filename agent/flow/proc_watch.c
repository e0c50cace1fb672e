/* Which processes are watched for their exit; see proc_watch.h. */
#include "flow/proc_watch.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#define TURN 256 /* processes in one call */

/* include/linux/sched.h: seen by everybody in field 9 of /proc/PID/stat. */
#define KERNEL_EXITING 0x00000004UL
#define KERNEL_THREAD  0x00200000UL
#define KTHREADD       2

struct looks {
	unsigned long flags, threads;
};

/* Field `n` of the line, counted as proc_pid_stat(5) does; fields 1 and 2 are left of `at`. */
static unsigned long field(const char *at, int n)
{
	for (int i = 3; i < n && at; i++) {
		at = strchr(at, ' ');
		at += at != NULL;
	}
	return at ? strtoul(at, NULL, 10) : 0;
}

/* 0, -ENOENT, -EIO. */
static int look(int proc, uint32_t pid, struct looks *ret)
{
	char path[32], line[1024];
	const char *end;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "%u/stat", pid);
	_close_ int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? -ENOENT : -EIO;
	n = read(fd, line, sizeof(line) - 1);
	if (n <= 0)
		return n < 0 && errno == ESRCH ? -ENOENT : -EIO;
	line[n] = 0;
	end = strrchr(line, ')'); /* a name may have any character */
	if (!end || end[1] != ' ')
		return -EIO;
	*ret = (struct looks){.flags = field(end + 2, 9), .threads = field(end + 2, 20)};
	return 0;
}

static bool hides(const char *proc_root)
{
	FILE *f = setmntent("/proc/self/mounts", "re");
	const struct mntent *m;
	bool found = false;

	while (f && !found && (m = getmntent(f))) { /* NOLINT(concurrency-mt-unsafe): one thread */
		const char *o = strcmp(m->mnt_type, "proc") == 0 ? hasmntopt(m, "hidepid") : NULL;

		found = o && strcmp(m->mnt_dir, proc_root) == 0;
	}
	if (f)
		(void)endmntent(f);
	return found;
}

bool proc_watch_may(const char *proc_root)
{
	_close_ int proc = open(proc_root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct looks l;

	return proc >= 0 && look(proc, KTHREADD, &l) == 0 && l.flags & KERNEL_THREAD &&
	       !hides(proc_root);
}

/*
 * One that is in the map by now. The kernel tells of the exit when the last thread leaves, after
 * its leader has begun to: while that has not, the exit will be told. When it has, and others
 * are left, it may or may not: it is looked at again.
 */
static void check(struct flows *f, nsec_t now, int map, int proc, uint32_t pid)
{
	struct looks l;
	const int r = look(proc, pid, &l);

	if (r == 0 && !(l.flags & KERNEL_EXITING))
		return;
	if (r == -EIO || (r == 0 && l.threads > 1)) {
		flows_proc_again(f, pid);
		return;
	}
	flows_proc_over(f, now, pid);
	(void)bpf_map_delete_elem(map, &pid);
}

void proc_watch_run(struct flows *f, nsec_t now, int map, int proc)
{
	const uint32_t one = 1;

	/* One that comes again goes to the end: a turn sees each once. */
	uint32_t n = flows_procs_fresh(f);

	for (n = MIN(n, (uint32_t)TURN); n; n--) {
		const uint32_t pid = flows_proc_fresh(f);

		if (bpf_map_update_elem(map, &pid, &one, BPF_ANY) < 0)
			flows_proc_again(f, pid); /* full: its end is found by looking */
		else
			check(f, now, map, proc, pid);
	}
}
