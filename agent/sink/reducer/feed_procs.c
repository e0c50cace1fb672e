/*
 * Processes with sockets. A socket's process gives the reducer its cgroup, so the
 * process named must be in the cgroup that the socket belongs to: where it is not (it
 * moved, it is gone, the kernel did not tell it), the cgroup's stand-in is named, one
 * made-up process a cgroup.
 */
#include "sink/reducer/feed.h"
#include "sink/reducer/state.h"

#include "base/mem.h"

#include <errno.h>

#define WALK_SLICE 512

static uint32_t hash_pid(const struct session *s, uint32_t pid)
{
	return feed_hash(s, &pid, sizeof(pid));
}

static pool_id find(const struct session *s, uint32_t pid)
{
	const struct feed *f = s->feed;
	uint32_t at, id;

	for (id = index_first(&f->by_pid, hash_pid(s, pid), &at); id;
	     id = index_next(&f->by_pid, hash_pid(s, pid), &at))
		if (((const struct feed_proc *)pool_at(&f->procs, id))->pid == pid)
			break;
	return id;
}

static struct str comm_of(const char comm[16])
{
	return str_make(comm, strnlen(comm, 16));
}

static void set_comm(char out[16], struct str name)
{
	memset(out, 0, 16);
	name = feed_clip(name, 15);
	if (name.n)
		memcpy(out, name.p, name.n);
}

static int put_create(struct session *s, uint32_t pid, uint64_t cgroup, const char comm[16])
{
	return feed_put(s, WIRE_pid_info_create,
			&(struct wire_pid_info_create){
				.pid = pid,
				.comm = comm_of(comm),
				.cgroup = cgroup,
				.parent_pid = -1, /* services are told by cgroup */
			},
			&s->count.flows.procs);
}

static int put_close(struct session *s, uint32_t pid, struct str comm)
{
	return feed_put(s, WIRE_pid_close_info,
			&(struct wire_pid_close_info){.pid = pid, .comm = comm},
			&s->count.flows.proc_closes);
}

/* 0, or -ENOSPC: too many are told. */
static int create(struct session *s, const struct flow_proc *p, uint64_t cgroup)
{
	struct feed *f = s->feed;
	struct feed_proc *mine;
	pool_id id;
	int r;

	if (f->procs.live >= f->procs.max)
		return -ENOSPC;
	r = index_reserve(&f->by_pid, 1);
	id = r < 0 ? 0 : pool_alloc(&f->procs);
	if (!id)
		return -ENOMEM;
	mine = pool_at(&f->procs, id);
	*mine = (struct feed_proc){.pid = p->pid, .cgroup = cgroup, .used = true};
	set_comm(mine->comm, p->comm);
	r = put_create(s, p->pid, cgroup, mine->comm);
	if (r < 0) {
		mine->used = false;
		pool_release(&f->procs, id);
		return r;
	}
	(void)index_put(&f->by_pid, hash_pid(s, p->pid), id);
	return 0;
}

static int close_proc(struct session *s, pool_id id)
{
	struct feed *f = s->feed;
	struct feed_proc *mine = pool_at(&f->procs, id);
	int r = put_close(s, mine->pid, comm_of(mine->comm));

	if (r < 0)
		return r;
	index_del(&f->by_pid, hash_pid(s, mine->pid), id);
	mine->used = false;
	pool_release(&f->procs, id);
	return 0;
}

/* It has moved or runs another program (or is another process with that pid: it looks the same). */
static int update(struct session *s, struct feed_proc *mine, const struct flow_proc *p,
		  uint64_t cgroup)
{
	char comm[16];
	int r = 0;

	if (cgroup && mine->cgroup != cgroup) {
		r = feed_put(s, WIRE_pid_cgroup_move,
			     &(struct wire_pid_cgroup_move){.pid = mine->pid, .cgroup = cgroup},
			     &s->count.flows.proc_changes);
		if (r < 0)
			return r;
		mine->cgroup = cgroup;
	}
	set_comm(comm, p->comm);
	if (str_empty(p->comm) || memcmp(comm, mine->comm, sizeof(comm)) == 0)
		return 0;
	r = feed_put(s, WIRE_pid_set_comm,
		     &(struct wire_pid_set_comm){.pid = mine->pid, .comm = comm_of(comm)},
		     &s->count.flows.proc_changes);
	if (r == 0)
		memcpy(mine->comm, comm, sizeof(comm));
	return r;
}

/* Tells the process as it is now, with its cgroup before it. */
static int tell(struct session *s, const struct flow_proc *p, cgroup_ix own)
{
	uint64_t cgroup;
	pool_id id;
	int r;

	r = feed_cgroup_need(s, own, &cgroup);
	if (r < 0)
		return r;
	id = find(s, p->pid);
	return id ? update(s, pool_at(&s->feed->procs, id), p, cgroup) : create(s, p, cgroup);
}

/* The stand-in of a cgroup (0: of none). */
static int stand_in(struct session *s, cgroup_ix ix, uint32_t *ret_pid)
{
	struct feed *f = s->feed;
	bool *told = &f->nobody;
	char comm[16];
	uint64_t cgroup;
	int r;

	r = feed_cgroup_need(s, ix, &cgroup);
	if (r < 0)
		return r;
	if (!cgroup)
		ix = 0;
	if (ix)
		told = &f->cgroups[ix].stand_in;
	*ret_pid = FEED_STAND_IN | ix;
	if (*told)
		return 0;
	feed_cgroup_comm(s, ix, comm);
	r = put_create(s, *ret_pid, cgroup, comm);
	if (r < 0)
		return r;
	*told = true;
	s->count.flows.stand_ins++;
	return 0;
}

int feed_stand_in_close(struct session *s, cgroup_ix ix)
{
	struct feed_cgroup *m = &s->feed->cgroups[ix];
	int r;

	if (!m->stand_in)
		return 0;
	r = put_close(s, FEED_STAND_IN | ix, (struct str){0});
	if (r == 0)
		m->stand_in = false;
	return r;
}

int feed_owner(struct session *s, const struct flow_view *v, uint32_t *ret_pid)
{
	const cgroup_ix cgroup = feed_cgroup_of(s, v->cgroup);
	struct flow_proc p;
	cgroup_ix own;
	int r;

	/* A listener that is gone is no answer for who takes the connection. */
	if (!v->pid || !flows_proc(s->feed->flows, v->pid, &p) || (p.gone && v->dir != FLOW_OUT))
		return stand_in(s, cgroup, ret_pid);
	own = feed_cgroup_of(s, p.cgroup);
	if (cgroup && own != cgroup)
		return stand_in(s, cgroup, ret_pid);
	r = tell(s, &p, own);
	if (r == -ENOSPC) {
		s->count.flows.procs_full++;
		return stand_in(s, own, ret_pid);
	}
	*ret_pid = p.pid;
	return r;
}

int feed_procs_all(struct session *s)
{
	struct feed *f = s->feed;
	struct flow_proc p;
	uint32_t next;
	int r;

	for (uint32_t n = 0; n < WALK_SLICE; n++) {
		next = flows_proc_next(f->flows, f->proc_at);
		if (!next) {
			f->proc_at = 0;
			return 0;
		}
		if (flows_proc(f->flows, next, &p) && !p.gone) {
			r = tell(s, &p, feed_cgroup_of(s, p.cgroup));
			if (r < 0 && r != -ENOSPC)
				return r;
		}
		f->proc_at = next;
	}
	return 1;
}

static int look_at(struct session *s, pool_id id)
{
	struct feed_proc *mine = pool_at(&s->feed->procs, id);
	struct flow_proc p;

	if (!mine->used)
		return 0;
	if (!flows_proc(s->feed->flows, mine->pid, &p) || p.gone)
		return close_proc(s, id);
	return tell(s, &p, feed_cgroup_of(s, p.cgroup));
}

int feed_procs_walk(struct session *s)
{
	struct feed *f = s->feed;
	int r;

	for (uint32_t n = 0; n < WALK_SLICE && f->proc_at <= f->procs.next; n++) {
		r = look_at(s, f->proc_at);
		if (r < 0)
			return r;
		f->proc_at++;
	}
	if (f->proc_at <= f->procs.next)
		return 1;
	f->proc_at = 0;
	return 0;
}
