/* Processes that have sockets: their exit, and their moves to other cgroups. */
#include "kernel.h"
#include "flow_abi.h"
#include "map_counts.h"
#include "map_procs.h"
#include "map_ring.h"
#include "owner.h"

LICENCE;

const volatile uint32_t v1_hierarchy = 0; /* number in /proc/cgroups; 0: none */

static __always_inline void tell(u8 type, struct task_struct *task, u32 tgid)
{
	struct abi_proc *r = ring_reserve(type, sizeof(*r), bpf_ktime_get_ns());

	if (!r) {
		count(ABI_COUNT_DROP_PROC);
		return;
	}
	r->cgroup = owner_task_v2(task);
	r->cgroup_v1 = owner_task_v1(task);
	r->pid = tgid;
	r->pad = 0;
	bpf_core_read(r->comm, sizeof(r->comm), &task->comm);
	ring_submit(r);
}

/* Every thread comes here. When the last two leave together both see that none is left: the one
 * that deletes the entry tells. */
SEC("raw_tp/sched_process_exit")
int proc_exit(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = (void *)ctx->args[0];
	u32 tgid = bpf_get_current_pid_tgid() >> 32;

	if (!bpf_map_lookup_elem(&procs, &tgid))
		return 0;
	if (READ(task, signal, live.counter) != 0)
		return 0;
	if (!bpf_map_delete_elem(&procs, &tgid))
		tell(ABI_PROC_EXIT, task, tgid);
	return 0;
}

/* Arguments: destination, its path, the task, whether the whole process moves (a single thread's
 * move within a threaded cgroup is nothing to us). The task is in its new cgroup already. */
SEC("raw_tp/cgroup_attach_task")
int proc_move(struct bpf_raw_tracepoint_args *ctx)
{
	struct cgroup *to = (void *)ctx->args[0];
	struct task_struct *task = (void *)ctx->args[2];
	u32 tgid = READ(task, tgid), hierarchy;

	if (!ctx->args[3] || !bpf_map_lookup_elem(&procs, &tgid))
		return 0;
	hierarchy = READ(to, root, hierarchy_id);
	if (!hierarchy || hierarchy == v1_hierarchy)
		tell(ABI_PROC_MOVE, task, tgid);
	return 0;
}
