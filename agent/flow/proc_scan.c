/* Looking at processes; see proc_scan.h. */
#include "flow/proc_scan.h"

#include "base/mem.h"
#include "base/str.h"
#include "flow/cgroup_name.h"
#include "flow_abi.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FDS_EVERY 64 /* descriptors between two looks at the clock */

struct proc_scan {
	struct proc_scan_opts opts;
	DIR *procs;
	DIR *fds; /* of `seen`, while it is under way */
	struct proc_seen seen;
	uint32_t n_procs, n_fds;
};

/* ---- cgroup ---------------------------------------------------------------------------------- */

/* The path of one hierarchy: lines are NUMBER:CONTROLLERS:PATH, v2's is 0::PATH (cgroups(7)). */
static bool find_path(const char *text, const char *controller, struct str *ret)
{
	struct str rest = str_of(text), line, number, names, name;

	while (rest.n) {
		(void)str_split(&rest, '\n', &line);
		if (!str_split(&line, ':', &number) || !str_split(&line, ':', &names))
			continue;
		if (!controller && str_empty(names) && str_eq(number, STR("0"))) {
			*ret = line;
			return true;
		}
		while (controller && names.n) {
			(void)str_split(&names, ',', &name);
			if (str_eq(name, str_of(controller))) {
				*ret = line;
				return true;
			}
		}
	}
	return false;
}

/* The last component that names a container says which; the tree knows its cgroup. */
static uint64_t by_container(const struct flows *flows, struct str path)
{
	struct str part, found = {0};
	struct cgroup_name n;
	struct flow_cgroup g;
	bool below_pod = false;
	char id[65] = "";

	while (path.n) {
		(void)str_split(&path, '/', &part);
		cgroup_name_parse(part, below_pod, &n);
		below_pod = below_pod || n.what == CGROUP_POD;
		if (n.what != CGROUP_CONTAINER)
			continue;
		memcpy(id, n.container_id, sizeof(id));
		found = str_of(id);
	}
	const cgroup_ix ix = found.n ? flows_cgroup_by_container(flows, found) : 0;

	return ix && flows_cgroup_at(flows, ix, &g) ? g.id : 0;
}

static uint64_t by_path(const struct flows *flows, const char *mount, struct str path)
{
	char full[PATH_MAX];
	struct stat st;

	/* In another cgroup namespace than the process's, paths may begin above the root. */
	if (str_starts(path, STR("/..")))
		return by_container(flows, path);
	if (snprintf(full, sizeof(full), "%s%.*s", mount, STR_ARG(path)) < (int)sizeof(full) &&
	    stat(full, &st) == 0)
		return st.st_ino;
	return by_container(flows, path);
}

uint64_t proc_scan_cgroup(const struct flows *flows, const struct layout *l, const char *text)
{
	uint64_t v1 = 0, v2 = 0;
	struct str path;

	if (l->follow_v1 && find_path(text, l->v1_name, &path))
		v1 = by_path(flows, l->v1, path);
	if (v1)
		v1 |= ABI_CGROUP_V1;
	/* Where both are followed, the one that is in a pod. */
	if (v1 && proc_scan_pod(flows, v1))
		return v1;
	if (l->follow_v2 && find_path(text, NULL, &path))
		v2 = by_path(flows, l->v2, path);
	if (v2 && (!v1 || proc_scan_pod(flows, v2)))
		return v2;
	return v1;
}

uint64_t proc_scan_pod(const struct flows *flows, uint64_t id)
{
	cgroup_ix ix = flows_cgroup_by_id(flows, id);
	struct flow_cgroup g;
	uint64_t pod = 0;

	for (unsigned int up = 0; up < 64 && flows_cgroup_at(flows, ix, &g); up++) {
		if (g.ref.what == CGROUP_POD)
			return g.id;
		if (g.ref.what != CGROUP_CONTAINER)
			break;
		pod = g.id;
		ix = g.parent;
	}
	return pod;
}

/* ---- one process ----------------------------------------------------------------------------- */

static uint64_t cgroup_of(const struct proc_scan *s, const char *pid)
{
	char path[32], text[8192];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "%.11s/cgroup", pid);
	_close_ int fd = openat(s->opts.proc, path, O_RDONLY | O_CLOEXEC);

	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n < 0)
		return 0;
	text[n] = '\0';
	return proc_scan_cgroup(s->opts.flows, s->opts.layout, text);
}

static uint32_t netns_of(const struct proc_scan *s, const char *pid)
{
	char path[32];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%.11s/ns/net", pid);
	return fstatat(s->opts.proc, path, &st, 0) == 0 ? (uint32_t)st.st_ino : 0;
}

static void open_fds(struct proc_scan *s, const char *pid)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "%.11s/fd", pid);
	_close_ int fd = openat(s->opts.proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	s->fds = fd < 0 ? NULL : fdopendir(fd);
	if (s->fds)
		(void)TAKE_FD(fd);
	s->n_fds = 0;
}

static void end_process(struct proc_scan *s)
{
	if (s->fds)
		(void)closedir(s->fds);
	s->fds = NULL;
	s->opts.process(s->opts.ctx, &s->seen);
}

/* 0: there are no more. */
static int next_process(struct proc_scan *s)
{
	unsigned long long pid;
	const struct dirent *e;

	do {
		e = readdir(s->procs);
		if (!e || s->n_procs == PROC_SCAN_MAX)
			return 0;
	} while (str_to_u64(str_of(e->d_name), &pid) < 0);
	s->n_procs++;
	s->seen = (struct proc_seen){.pid = (uint32_t)pid};
	s->seen.cgroup = cgroup_of(s, e->d_name);
	s->seen.pod = s->seen.cgroup ? proc_scan_pod(s->opts.flows, s->seen.cgroup) : 0;
	s->seen.netns = netns_of(s, e->d_name);
	open_fds(s, e->d_name);
	s->seen.fds_read = s->fds != NULL;
	if (!s->fds)
		end_process(s);
	return 1;
}

/* "socket:[12345]" */
static void next_fd(struct proc_scan *s)
{
	const struct dirent *e = readdir(s->fds);
	char text[64];
	unsigned long inode;
	ssize_t n;

	if (!e || s->n_fds++ == PROC_SCAN_MAX_FDS) {
		end_process(s);
		return;
	}
	n = readlinkat(dirfd(s->fds), e->d_name, text, sizeof(text) - 1);
	if (n < 0)
		return;
	text[n] = '\0';
	/* NOLINTNEXTLINE(cert-err34-c): the kernel's own number */
	if (sscanf(text, "socket:[%lu]", &inode) == 1)
		s->opts.sock(s->opts.ctx, s->seen.pid, s->seen.cgroup, (uint32_t)inode);
}

int proc_scan_run(struct proc_scan *s, nsec_t until)
{
	for (;;) {
		for (unsigned int i = 0; s->fds && i < FDS_EVERY; i++)
			next_fd(s);
		if (!s->fds && !next_process(s))
			return 0;
		if (clock_mono() >= until)
			return 1;
	}
}

/* ---- life ------------------------------------------------------------------------------------ */

int proc_scan_new(const struct proc_scan_opts *o, struct proc_scan **ret)
{
	_cleanup_(proc_scan_free) struct proc_scan *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->opts = *o;
	_close_ int fd = openat(o->proc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	s->procs = fd < 0 ? NULL : fdopendir(fd);
	if (!s->procs)
		return -errno;
	(void)TAKE_FD(fd);
	*ret = TAKE_PTR(s);
	return 0;
}

void proc_scan_free(struct proc_scan **s)
{
	if (!*s)
		return;
	if ((*s)->fds)
		(void)closedir((*s)->fds);
	if ((*s)->procs)
		(void)closedir((*s)->procs);
	free(*s);
	*s = NULL;
}
