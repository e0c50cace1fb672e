/*
 * Processes that have sockets, by pid. One that has ended stays for cgroup_linger,
 * within max_procs; a record older than its end does not bring it back.
 */
#include "flow/state.h"

#include "base/mem.h"

#include <string.h>

static struct proc_rec *proc_at(const struct flows *f, uint32_t id)
{
	return pool_at(&f->procs, id);
}

static uint32_t pid_hash(const struct flows *f, uint32_t pid)
{
	return (uint32_t)hash_numbers(&f->seed, pid, 0);
}

static uint32_t find(const struct flows *f, uint32_t pid)
{
	uint32_t at, h = pid_hash(f, pid);

	for (uint32_t id = index_first(&f->by_pid, h, &at); id; id = index_next(&f->by_pid, h, &at))
		if (proc_at(f, id)->pid == pid)
			return id;
	return 0;
}

static void append(struct flows *f, struct id_list *l, uint32_t id)
{
	proc_at(f, id)->in = (struct id_link){.prev = l->tail};
	if (l->tail)
		proc_at(f, l->tail)->in.next = id;
	else
		l->head = id;
	l->tail = id;
	l->n++;
}

static void take_out(struct flows *f, struct id_list *l, uint32_t id)
{
	const struct id_link in = proc_at(f, id)->in;

	if (in.prev)
		proc_at(f, in.prev)->in.next = in.next;
	else
		l->head = in.next;
	if (in.next)
		proc_at(f, in.next)->in.prev = in.prev;
	else
		l->tail = in.prev;
	l->n--;
}

static void make_fresh(struct flows *f, uint32_t id)
{
	append(f, &f->fresh_procs, id);
	proc_at(f, id)->fresh = 1;
}

static void leave_fresh(struct flows *f, uint32_t id)
{
	if (!proc_at(f, id)->fresh)
		return;
	take_out(f, &f->fresh_procs, id);
	proc_at(f, id)->fresh = 0;
}

static void proc_free(struct flows *f, uint32_t id)
{
	struct proc_rec *p = proc_at(f, id);

	leave_fresh(f, id);
	if (p->gone_at)
		take_out(f, &f->gone_procs, id);
	index_del(&f->by_pid, pid_hash(f, p->pid), id);
	cgroups_put(f, p->cgroup);
	p->used = 0;
	pool_release(&f->procs, id);
	f->procs_changes++;
}

/* 0: no room and nothing that has ended, or no memory; counted. */
static uint32_t add(struct flows *f, uint32_t pid)
{
	uint32_t id;

	if (f->procs.live >= f->opts.max_procs && f->gone_procs.head)
		proc_free(f, f->gone_procs.head);
	id = pool_alloc(&f->procs);
	if (!id || index_put(&f->by_pid, pid_hash(f, pid), id) < 0) {
		if (id)
			pool_release(&f->procs, id);
		f->stats.procs_refused++;
		return 0;
	}
	*proc_at(f, id) = (struct proc_rec){.pid = pid, .used = 1};
	f->procs_changes++;
	return id;
}

static void set_comm(struct flows *f, struct proc_rec *p, const uint8_t comm[ABI_COMM_MAX])
{
	uint8_t n;

	if (memcmp(p->comm, comm, sizeof(p->comm)) == 0)
		return;
	n = (uint8_t)strnlen((const char *)comm, ABI_COMM_MAX);
	if (!n || (n == p->comm_n && memcmp(p->comm, comm, n) == 0))
		return;
	memcpy(p->comm, comm, n);
	p->comm_n = n;
	f->procs_changes++;
}

/* The v1 directory is the process's own; the v2 id is the socket's. Which of them counts is known
 * when both are: the one that says more is kept. */
static bool set_cgroup(struct flows *f, uint32_t id, const uint64_t said[2])
{
	cgroup_ix held[2] = {0}, best, was = proc_at(f, id)->cgroup;

	for (int i = 0; i < 2; i++)
		(void)cgroups_hold(f, said[i], &held[i]);
	best = cgroups_choose(f, held, false);
	if (!best)
		best = cgroups_waits_at(f, held);
	for (int i = 0; i < 2; i++)
		if (held[i] != best || best == was)
			cgroups_put(f, held[i]);
	if (!best || best == was)
		return false;
	cgroups_put(f, was);
	proc_at(f, id)->cgroup = best;
	f->procs_changes++;
	return was != 0;
}

static void revive(struct flows *f, uint32_t id)
{
	take_out(f, &f->gone_procs, id);
	proc_at(f, id)->gone_at = 0;
	proc_at(f, id)->moves++;
	f->procs_changes++;
}

void procs_seen(struct flows *f, nsec_t at, uint32_t pid, const uint8_t comm[ABI_COMM_MAX],
		const uint64_t cgroup_id[2])
{
	uint32_t id = find(f, pid);
	bool again = id && proc_at(f, id)->gone_at, fresh = !id || again;

	if (again && proc_at(f, id)->gone_at >= at)
		return; /* of before its end */
	if (!id)
		id = add(f, pid);
	if (!id)
		return;
	if (again)
		revive(f, id);
	if (fresh)
		make_fresh(f, id);
	set_comm(f, proc_at(f, id), comm);
	if (again || !proc_at(f, id)->cgroup)
		(void)set_cgroup(f, id, cgroup_id);
}

void procs_exit(struct flows *f, nsec_t now, const struct abi_proc *p)
{
	uint32_t id = find(f, p->pid);
	struct proc_rec *rec;

	(void)now;
	if (!id) /* its sockets' last records come after its own */
		id = add(f, p->pid);
	if (!id || proc_at(f, id)->gone_at)
		return;
	rec = proc_at(f, id);
	set_comm(f, rec, p->comm);
	if (!rec->cgroup)
		(void)set_cgroup(f, id, (const uint64_t[]){p->cgroup, p->cgroup_v1});
	leave_fresh(f, id);
	rec->gone_at = MAX(p->head.time, (nsec_t)1);
	append(f, &f->gone_procs, id);
	f->procs_changes++;
}

void procs_move(struct flows *f, nsec_t now, const struct abi_proc *p)
{
	uint32_t id = find(f, p->pid);

	(void)now;
	if (!id)
		id = add(f, p->pid);
	if (!id || proc_at(f, id)->gone_at)
		return;
	set_comm(f, proc_at(f, id), p->comm);
	if (set_cgroup(f, id, (const uint64_t[]){p->cgroup, p->cgroup_v1}))
		proc_at(f, id)->moves++;
}

nsec_t procs_tick(struct flows *f, nsec_t now)
{
	uint32_t id;

	while ((id = f->gone_procs.head)) {
		nsec_t due = proc_at(f, id)->gone_at + f->opts.cgroup_linger;

		if (due > now)
			return due;
		proc_free(f, id);
	}
	return NSEC_NEVER;
}

uint32_t flows_procs_fresh(const struct flows *f)
{
	return f->fresh_procs.n;
}

uint32_t flows_proc_fresh(struct flows *f)
{
	uint32_t id = f->fresh_procs.head;

	if (!id)
		return 0;
	leave_fresh(f, id);
	return proc_at(f, id)->pid;
}

void flows_proc_again(struct flows *f, uint32_t pid)
{
	uint32_t id = find(f, pid);

	if (id && !proc_at(f, id)->gone_at && !proc_at(f, id)->fresh)
		make_fresh(f, id);
}

void flows_proc_over(struct flows *f, nsec_t now, uint32_t pid)
{
	const struct abi_proc p = {.head.time = now, .pid = pid};

	if (find(f, pid))
		procs_exit(f, now, &p);
}

void procs_done(struct flows *f)
{
	index_done(&f->by_pid);
	pool_done(&f->procs);
}

bool flows_proc(const struct flows *f, uint32_t pid, struct flow_proc *ret)
{
	uint32_t id = find(f, pid);
	const struct proc_rec *p;

	if (!id)
		return false;
	p = proc_at(f, id);
	*ret = (struct flow_proc){
		.pid = p->pid,
		.cgroup = p->cgroup && node_at(f, p->cgroup)->flags & NODE_AWAITED ? 0 : p->cgroup,
		.comm = str_make(p->comm, p->comm_n),
		.gone = p->gone_at,
		.moves = p->moves,
	};
	return true;
}

uint64_t flows_procs_changes(const struct flows *f)
{
	return f->procs_changes;
}

uint32_t flows_proc_next(const struct flows *f, uint32_t pid)
{
	uint32_t id = pid ? find(f, pid) : 0;

	if (pid && !id)
		return 0;
	while (++id <= f->procs.next)
		if (proc_at(f, id)->used)
			return proc_at(f, id)->pid;
	return 0;
}
