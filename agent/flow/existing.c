/*
 * Finding what was open before; see existing.h. In slices:
 *
 *     PROCESSES   /proc once: each process's cgroup, network namespace, descriptors
 *     HOST        sock_diag
 *     MARK, TELL  the tables of the other namespaces, twice: what two pods show is nobody's
 */
#include "flow/existing.h"

#include "base/mem.h"
#include "flow/caps.h"
#include "flow/diag.h"
#include "flow/proc_scan.h"
#include "flow/sock_owners.h"
#include "flow_abi.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define MAX_SPACES  4096  /* other namespaces; those over it are not looked at */
#define MAX_SOCKETS 65536 /* of one namespace; those over it are left out, counted */
#define DIAG_BATCH  4	  /* datagrams between two looks at the clock */

enum step { PROCESSES, HOST, MARK, TELL, DONE };

/* One table to read. */
struct space {
	uint32_t netns; /* 0: not known */
	uint32_t pid;	/* one process in it */
	uint64_t pod;	/* cgroup; 0: several, or none */
};

struct existing {
	struct existing_opts opts;
	enum step step;
	int proc;	/* directory */
	uint32_t netns; /* this process's own */
	struct proc_scan *scan;
	struct diag *diag;
	struct sock_owners *owners;
	struct space *spaces;
	uint32_t n_spaces, at;
	bool failed;
	struct diag_ports ports; /* scratch */
	struct existing_figures figures;
};

/* ---- telling --------------------------------------------------------------------------------- */

static void tell(struct existing *e, const struct diag_sock *s, uint32_t netns, uint64_t cgroup,
		 uint32_t pid)
{
	const struct flows_found found = {
		.laddr = s->laddr,
		.raddr = s->raddr,
		.lport = s->lport,
		.rport = s->rport,
		.netns = netns,
		.cgroup = cgroup,
		.pid = pid,
		.dir = s->dir,
		.counters = s->counters,
	};

	e->figures.without_cgroup += !cgroup;
	/* By now: whoever began later is another connection. */
	if (flows_pre_existing(e->opts.flows, clock_mono(), &found) < 0)
		e->figures.left_out++;
}

/* v2's answer names no pod when pods are in v1: then the process's cgroup does. */
static uint64_t choose(const struct existing *e, uint64_t of_sock, uint64_t of_process)
{
	if (!of_sock || (e->opts.layout->follow_v1 && of_process & ABI_CGROUP_V1))
		return of_process ? of_process : of_sock;
	return of_sock;
}

static void on_host_sock(void *ctx, const struct diag_sock *s)
{
	struct existing *e = ctx;
	struct sock_owner *o = sock_owners_put(e->owners, s->inode);

	if (o)
		o->seen_here = true;
	e->figures.host++;
	tell(e, s, e->netns, choose(e, s->cgroup, o ? o->cgroup : 0), o ? o->pid : 0);
}

static void on_mark(void *ctx, const struct diag_sock *s)
{
	struct existing *e = ctx;
	struct sock_owner *o = sock_owners_put(e->owners, s->inode);

	if (!o)
		return;
	o->spaces += o->space != e->at + 1;
	o->space = e->at + 1;
}

static void on_tell(void *ctx, const struct diag_sock *s)
{
	struct existing *e = ctx;
	const struct space *space = &e->spaces[e->at];
	const struct sock_owner *o = sock_owners_get(e->owners, s->inode);
	uint64_t pod = space->pod;

	/* A table that more than one space shows is told of with the last of them. Sockets that no
	 * file refers to have inode 0 and no record: their table is all that is known. */
	if (o && (o->seen_here || o->space != e->at + 1))
		return;
	if (o && o->spaces > 1)
		pod = 0;
	e->figures.others++;
	tell(e, s, space->netns, o && o->cgroup ? o->cgroup : pod, o ? o->pid : 0);
}

/* ---- processes ------------------------------------------------------------------------------- */

static void on_process(void *ctx, const struct proc_seen *p)
{
	struct existing *e = ctx;

	e->figures.processes++;
	e->figures.closed_fds += !p->fds_read;
	if (p->netns == e->netns || (!p->netns && !p->pod))
		return;
	for (uint32_t i = 0; i < e->n_spaces; i++) {
		struct space *s = &e->spaces[i];

		if (s->netns != p->netns || (!p->netns && s->pod != p->pod))
			continue;
		if (s->pod != p->pod)
			s->pod = 0;
		return;
	}
	if (e->n_spaces == MAX_SPACES) {
		e->figures.left_out++;
		return;
	}
	e->spaces[e->n_spaces++] = (struct space){.netns = p->netns, .pid = p->pid, .pod = p->pod};
}

static void on_fd(void *ctx, uint32_t pid, uint64_t cgroup, uint32_t inode)
{
	struct existing *e = ctx;
	struct sock_owner *o = sock_owners_put(e->owners, inode);

	if (!o) {
		e->figures.left_out++;
		return;
	}
	/* One that is shared is its first holder's, unless they are in different cgroups. */
	if (!o->pid)
		o->pid = pid;
	if (!o->holders++)
		o->cgroup = cgroup;
	else if (o->cgroup != cgroup)
		o->cgroup = 0;
}

/* ---- steps ----------------------------------------------------------------------------------- */

static int run_processes(struct existing *e, nsec_t until)
{
	int r;

	if (e->opts.need_caps)
		(void)caps_raise(e->opts.need_caps);
	r = proc_scan_run(e->scan, until);
	if (e->opts.need_caps)
		(void)caps_raise(0);
	return r;
}

static int run_host(struct existing *e, nsec_t until)
{
	int r;

	do
		r = diag_run(e->diag, DIAG_BATCH);
	while (r > 0 && clock_mono() < until);
	return r;
}

static int read_space(struct existing *e)
{
	char pid[16];

	(void)snprintf(pid, sizeof(pid), "%u", e->spaces[e->at].pid);
	_close_ int fd = openat(e->proc, pid, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return diag_proc_net(fd, MAX_SOCKETS, &e->ports, e->step == MARK ? on_mark : on_tell, e);
}

static int run_spaces(struct existing *e, nsec_t until)
{
	while (e->at < e->n_spaces && clock_mono() < until) {
		const int r = read_space(e); /* it may have ended meanwhile */

		e->figures.spaces += e->step == TELL && r >= 0;
		e->figures.left_out += e->step == TELL && r > 0 ? (uint32_t)r : 0;
		e->at++;
	}
	if (e->at < e->n_spaces)
		return 1;
	e->at = 0;
	return 0;
}

int existing_run(struct existing *e, nsec_t now, nsec_t budget)
{
	const nsec_t until = now + budget;
	int r = 0;

	switch (e->step) {
	case PROCESSES:
		r = run_processes(e, until);
		break;
	case HOST:
		r = run_host(e, until);
		break;
	case MARK:
	case TELL:
		r = run_spaces(e, until);
		break;
	case DONE:
	default:
		return 0;
	}
	e->failed |= r < 0;
	if (r <= 0) /* one that fails costs itself: the next has its own truth */
		e->step++;
	e->figures.all = e->step == DONE && !e->failed && !e->figures.left_out &&
			 e->figures.spaces == e->n_spaces;
	return e->step != DONE;
}

/* ---- life ------------------------------------------------------------------------------------ */

static int make(struct existing *e)
{
	struct stat st;
	int r;

	e->spaces = calloc(MAX_SPACES, sizeof(*e->spaces));
	if (!e->spaces)
		return -ENOMEM;
	e->netns = stat("/proc/self/ns/net", &st) == 0 ? (uint32_t)st.st_ino : 0;
	e->proc = open(e->opts.proc_root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (e->proc < 0)
		return -errno;
	r = sock_owners_new(&e->owners);
	if (r >= 0)
		r = diag_new(on_host_sock, e, &e->diag);
	if (r < 0)
		return r;
	const struct proc_scan_opts o = {
		.flows = e->opts.flows,
		.layout = e->opts.layout,
		.proc = e->proc,
		.process = on_process,
		.sock = on_fd,
		.ctx = e,
	};

	return proc_scan_new(&o, &e->scan);
}

int existing_new(const struct existing_opts *o, struct existing **ret)
{
	_cleanup_(existing_free) struct existing *e = calloc(1, sizeof(*e));
	int r;

	if (!e)
		return -ENOMEM;
	e->opts = *o;
	e->proc = -1;
	r = make(e);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(e);
	return 0;
}

void existing_free(struct existing **e)
{
	if (!*e)
		return;
	proc_scan_free(&(*e)->scan);
	diag_free(&(*e)->diag);
	sock_owners_free(&(*e)->owners);
	if ((*e)->proc >= 0)
		(void)close((*e)->proc);
	free((*e)->spaces);
	free(*e);
	*e = NULL;
}

bool existing_lists(const struct existing *e)
{
	return e->step == HOST;
}

struct existing_figures existing_figures(const struct existing *e)
{
	return e->figures;
}
