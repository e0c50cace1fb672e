/*
 * A socket's struct, read in one of two ways.
 *
 * Directly, where the verifier lets a raw tracepoint follow pointers (bpf_rdonly_cast, Linux 6.2; a
 * load that faults reads 0): `v` is NULL in all that follows, and `sk` is what view_direct gave.
 *
 * Else by a view: copied in few reads: one probe read costs as much as the other whatever its
 * size (23 ns on the machine where this was measured, 27 for 136 bytes), and up to 25 fields are
 * wanted. Two ranges are copied, and fields picked out of them by the offsets found at load time; a
 * field that lies outside on some kernel is read by itself.
 *
 *	head	from the start of struct sock: addresses, owner, error, source port
 *	tail	from the start of what is tcp_sock's own: counters
 *
 * The copies are too large for the stack. Each CPU has a few places for them, because an interrupt
 * may run a program in the midst of another.
 */
#pragma once

#include "kernel.h"

#define VIEW_HEAD  896
#define VIEW_TAIL  896
#define VIEW_DEPTH 3 /* programs one inside the other on a CPU; one more sees nothing */

struct sock_view {
	u64 busy;
	u8 head[VIEW_HEAD];
	u8 tail[VIEW_TAIL];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, VIEW_DEPTH);
	__type(key, u32);
	__type(value, struct sock_view);
} views SEC(".maps");

#ifdef NO_DIRECT
/* Kernels from 5.11 to 6.1 have BTF of modules, where libbpf looks for a function that vmlinux does
 * not have, and that needs CAP_SYS_ADMIN: so there the object must not name it at all. */
static __always_inline const struct sock *view_direct(u64 sk)
{
	return NULL;
}

static __always_inline const struct task_struct *view_task(void)
{
	return NULL;
}
#else
/* No call: the verifier turns it into a move. Weak: where it is not, the programs that use it do
 * not load, and the loader takes those that do not. */
extern void *bpf_rdonly_cast(const void *obj, u32 btf_id) __ksym __weak;

static __always_inline const struct sock *view_direct(u64 sk)
{
	return bpf_rdonly_cast((const void *)sk, bpf_core_type_id_kernel(struct tcp_sock));
}

/* The current task, to be followed. */
static __always_inline const struct task_struct *view_task(void)
{
	return bpf_rdonly_cast((const void *)bpf_get_current_task(),
			       bpf_core_type_id_kernel(struct task_struct));
}
#endif

static __always_inline struct sock_view *view_take(void)
{
#pragma unroll
	for (u32 i = 0; i < VIEW_DEPTH; i++) {
		u32 key = i;
		struct sock_view *v = bpf_map_lookup_elem(&views, &key);

		/* An interrupt between look and take has given it back when it returns. */
		if (v && !v->busy) {
			v->busy = 1;
			return v;
		}
	}
	return NULL;
}

static __always_inline void view_give(struct sock_view *v)
{
	v->busy = 0;
}

static __always_inline void view_head(struct sock_view *v, const struct sock *sk)
{
	if (!v)
		return;
	bpf_probe_read_kernel(v->head, VIEW_HEAD, sk);
}

static __always_inline u32 view_tail_at(void)
{
	return bpf_core_type_size(struct inet_connection_sock);
}

/* Just as much of the head as has the error and the flags. */
static __always_inline void view_head_error(struct sock_view *v, const struct sock *sk)
{
	u32 n = bpf_core_field_offset(struct sock, sk_err) + sizeof(u32);

	if (!v)
		return;
	bpf_probe_read_kernel(v->head, n <= VIEW_HEAD ? n : VIEW_HEAD, sk);
}

/* Not past the end of the struct: the page behind it need not be there. */
static __always_inline void view_tail(struct sock_view *v, const struct sock *sk)
{
	u32 at = view_tail_at(), n = bpf_core_type_size(struct tcp_sock) - at;

	if (!v)
		return;
	if (n > VIEW_TAIL)
		n = VIEW_TAIL;
	bpf_probe_read_kernel(v->tail, n, (const u8 *)sk + at);
}

/* A field of struct sock or inet_sock; of tcp_sock. */
#define VIEW_HEAD_GET(v, sk, type, strct, field)                                       \
	({                                                                             \
		type x_ = 0;                                                           \
		u32 o_ = bpf_core_field_offset(strct, field);                          \
		if (!(v))                                                              \
			x_ = (type)((const strct *)(sk))->field;                       \
		else if (o_ + sizeof(x_) <= VIEW_HEAD)                                 \
			x_ = *(type *)((v)->head + o_);                                \
		else                                                                   \
			bpf_probe_read_kernel(&x_, sizeof(x_), (const u8 *)(sk) + o_); \
		x_;                                                                    \
	})
#define VIEW_TAIL_GET(v, sk, type, field)                                              \
	({                                                                             \
		type x_ = 0;                                                           \
		u32 o_ = bpf_core_field_offset(struct tcp_sock, field);                \
		u32 at_ = view_tail_at();                                              \
		if (!(v))                                                              \
			x_ = (type)((const struct tcp_sock *)(sk))->field;             \
		else if (o_ >= at_ && o_ - at_ + sizeof(x_) <= VIEW_TAIL)              \
			x_ = *(type *)((v)->tail + (o_ - at_));                        \
		else                                                                   \
			bpf_probe_read_kernel(&x_, sizeof(x_), (const u8 *)(sk) + o_); \
		x_;                                                                    \
	})
