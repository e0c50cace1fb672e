/*
 * What the programs need of the kernel's types, written by hand: just the fields that are read,
 * found by name at load time (CO-RE), so that the objects build anywhere and load on kernels that
 * lay them out otherwise. The order and size of what is declared here mean nothing, except in
 * contexts that are user ABI (<linux/bpf.h>), which are declared with the same relocation for
 * brevity.
 *
 * Kernels from 5.10 on are meant (the ring buffer needs 5.8). A field that older ones have under
 * another name is a second "flavour": struct NAME___why.
 */
#pragma once

typedef signed char __s8;
typedef unsigned char __u8;
typedef short __s16;
typedef unsigned short __u16;
typedef int __s32;
typedef unsigned int __u32;
typedef long long __s64;
typedef unsigned long long __u64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u64 __be64;
typedef __u32 __wsum;
typedef __u16 __sum16;

typedef __u8 uint8_t;
typedef __u16 uint16_t;
typedef __u32 uint32_t;
typedef __u64 uint64_t;
typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s64 s64;
typedef __s32 s32;

typedef _Bool bool;
#define true 1
#define false 0

/* <linux/bpf.h>: user ABI, fixed for ever. */
enum {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_HASH = 5,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_SK_STORAGE = 24,
	BPF_MAP_TYPE_RINGBUF = 27,
};
enum { BPF_ANY = 0, BPF_NOEXIST = 1, BPF_EXIST = 2 };
enum { BPF_F_NO_PREALLOC = 1, BPF_F_MMAPABLE = 1 << 10 };
enum { BPF_SK_STORAGE_GET_F_CREATE = 1 };
enum { BPF_F_CURRENT_NETNS = -1 };
enum { BPF_RB_NO_WAKEUP = 1, BPF_RB_FORCE_WAKEUP = 2 };
enum { BPF_RB_AVAIL_DATA = 0, BPF_RB_RING_SIZE = 1 };

/* <linux/socket.h>, <linux/in.h>, <net/tcp_states.h>, <linux/if_ether.h> */
enum { AF_INET = 2, AF_INET6 = 10 };
enum { IPPROTO_TCP = 6, IPPROTO_UDP = 17, IPPROTO_IPV6 = 41 };
enum { ETH_P_IP = 0x0800, ETH_P_IPV6 = 0x86dd };
enum {
	TCP_ESTABLISHED = 1,
	TCP_SYN_SENT,
	TCP_SYN_RECV,
	TCP_FIN_WAIT1,
	TCP_FIN_WAIT2,
	TCP_TIME_WAIT,
	TCP_CLOSE,
	TCP_CLOSE_WAIT,
	TCP_LAST_ACK,
	TCP_LISTEN,
	TCP_CLOSING,
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* ---- cgroups and tasks ----------------------------------------------------------------------- */

struct kernfs_node {
	u64 id; /* the directory's inode number (one u64 since 5.5) */
	const char *name;
	struct kernfs_node *parent;
};

struct cgroup_root {
	int hierarchy_id; /* 0: the default hierarchy (v2) */
};

struct cgroup;
struct cgroup_subsys_state {
	struct cgroup *cgroup;
	struct cgroup_subsys_state *parent;
};

struct cgroup {
	struct cgroup_subsys_state self;
	int level;
	struct kernfs_node *kn;
	struct cgroup_root *root;
};

struct css_set {
	struct cgroup_subsys_state *subsys[1]; /* CGROUP_SUBSYS_COUNT of them */
	struct cgroup *dfl_cgrp;
};

typedef struct {
	int counter;
} atomic_t;

struct signal_struct {
	atomic_t live; /* threads that have not exited */
};

struct task_struct {
	int pid, tgid;
	char comm[16];
	struct task_struct *group_leader;
	struct signal_struct *signal;
	struct css_set *cgroups;
};

/* The numbers differ from kernel to kernel: only ever through bpf_core_enum_value. */
enum cgroup_subsys_id { memory_cgrp_id, pids_cgrp_id };

/* ---- sockets --------------------------------------------------------------------------------- */

struct ns_common {
	unsigned int inum;
};

struct net {
	struct ns_common ns;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct in6_addr {
	union {
		u8 u6_addr8[16];
		__be32 u6_addr32[4];
	} in6_u;
};

typedef struct {
	s64 counter;
} atomic64_t;

struct sock_common {
	union {
		u64 skc_addrpair;
		struct {
			__be32 skc_daddr;
			__be32 skc_rcv_saddr;
		};
	};
	union {
		u32 skc_portpair;
		struct {
			__be16 skc_dport;
			u16 skc_num;
		};
	};
	unsigned short skc_family;
	volatile unsigned char skc_state;
	unsigned char skc_reuse : 4;
	unsigned char skc_reuseport : 1;
	unsigned char skc_ipv6only : 1;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	atomic64_t skc_cookie;
	unsigned long skc_flags;
};

struct sock_cgroup_data {
	struct cgroup *cgroup; /* since 5.15; before: `val`, at the same place */
};

typedef struct {
	int owned; /* by a process */
} socket_lock_t;

struct sock {
	struct sock_common __sk_common;
	socket_lock_t sk_lock;
	u16 sk_protocol;
	int sk_err;
	atomic_t sk_drops;
	u32 sk_ack_backlog;
	u32 sk_max_ack_backlog;
	struct sock_cgroup_data sk_cgrp_data;
};

enum sock_flags { SOCK_DEAD, SOCK_DONE };

struct inet_sock {
	struct sock sk;
	__be16 inet_sport;
};

struct inet_connection_sock {
	struct inet_sock icsk_inet;
};

struct minmax_sample {
	u32 t, v;
};
struct minmax {
	struct minmax_sample s[3];
};

struct request_sock;
struct tcp_sock {
	u64 bytes_acked, bytes_received, bytes_sent, bytes_retrans;
	u64 tcp_clock_cache; /* CLOCK_MONOTONIC nanoseconds, of the last packet */
	u32 write_seq, snd_una, snd_nxt;
	u32 segs_out, segs_in;
	u32 total_retrans, lost_out, dsack_dups;
	u32 srtt_us;
	struct minmax rtt_min;
	struct {
		u32 rtt_us;
	} rcv_rtt_est;
	struct request_sock *fastopen_rsk;
};

/* ---- contexts: user ABI ---------------------------------------------------------------------- */

struct bpf_sock {
	u32 bound_dev_if, family, type, protocol, mark, priority;
	u32 src_ip4;
	u32 src_ip6[4];
	u32 src_port; /* host order */
	__be16 dst_port;
	u32 dst_ip4;
	u32 dst_ip6[4];
	u32 state;
};

struct __sk_buff {
	u32 len, pkt_type, mark, queue_mapping;
	__be32 protocol;
	u32 data, data_end;
	u32 family, remote_ip4, local_ip4;
	u32 remote_ip6[4], local_ip6[4];
	u32 remote_port; /* network order in the upper half */
	u32 local_port;	 /* host order */
	struct bpf_sock *sk;
	u32 gso_segs, gso_size;
};

struct bpf_sock_addr {
	u32 user_family, user_ip4, user_ip6[4];
	u32 user_port; /* network order */
	u32 family, type, protocol;
	struct bpf_sock *sk;
};

#pragma clang attribute pop

struct bpf_raw_tracepoint_args {
	u64 args[0];
};

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>

#define LICENCE char LICENCE[] SEC("license") = "Dual BSD/GPL"

/* Reads a field through kernel pointers, every step by bpf_probe_read_kernel. */
#define READ(p, ...) BPF_CORE_READ(p, __VA_ARGS__)
