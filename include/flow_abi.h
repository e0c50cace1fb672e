/*
 * What the eBPF programs and the agent say to each other: records of the ring
 * buffer and values of the maps. Included by both sides; a program for the kernel
 * declares the fixed-width integers in its own header.
 *
 *	ring record:   struct abi_head, then the body of its type
 *	tape:          struct abi_tcp each, and abi_tape_at
 *	maps:          places (array of abi_places), socks (sk -> abi_sock), ends
 *	               (abi_end_key -> abi_sock),
 *	               udp (abi_udp_key -> abi_udp), fresh (array of abi_fresh),
 *	               counts (per-CPU array of u64, enum abi_count)
 *
 * Every field is naturally aligned, padding is explicit and zero. Addresses are 16 bytes in network
 * order, IPv4 as ::ffff:a.b.c.d; ports are numbers in host order. Times are
 * CLOCK_MONOTONIC nanoseconds (bpf_ktime_get_ns).
 */
#pragma once

#ifndef __bpf__
#include <stdint.h>
#endif

#define ABI_VERSION  1
#define ABI_COMM_MAX 16	 /* TASK_COMM_LEN */
#define ABI_NAME_MAX 160 /* of a cgroup directory's name; a longer one is cut and has no NUL */
#define ABI_DNS_MAX  512 /* bytes of a DNS message that are copied */

/* A cgroup's id is its directory's inode number, which is unique in its hierarchy only. Ids of a
 * v1 hierarchy carry this bit wherever the two could meet. */
#define ABI_CGROUP_V1 (1ULL << 63)

enum abi_type {
	ABI_TCP_OPEN = 1, /* abi_tcp: established, or (state LISTEN) listening */
	ABI_TCP_CLOSE,	  /* abi_tcp: ended, or never came up */
	ABI_CGROUP_NEW,	  /* abi_cgroup */
	ABI_CGROUP_GONE,  /* abi_cgroup: directory removed; name may be empty */
	ABI_PROC_EXIT,	  /* abi_proc: the last thread of a process that had sockets */
	ABI_PROC_MOVE,	  /* abi_proc: such a process is in another cgroup now */
	ABI_DNS,	  /* abi_dns */
	ABI_UDP_DROP,	  /* abi_udp_drop: only where the map `udp` has no room */
	_ABI_TYPE_MAX,
};

struct abi_head {
	uint8_t type;	 /* enum abi_type */
	uint8_t version; /* ABI_VERSION */
	uint16_t size;	 /* of the whole record */
	uint32_t lap;	 /* in the tape: its number + 1, written last; else 0 */
	uint64_t time;
};
_Static_assert(sizeof(struct abi_head) == 16, "layout");

struct abi_tuple {
	uint8_t laddr[16], raddr[16];
	uint16_t lport, rport;
	uint32_t netns; /* inode number of the network namespace; 0: not known */
};
_Static_assert(sizeof(struct abi_tuple) == 40, "layout");

/* Payload only: what the kernel counts for SYN and FIN is taken away. */
struct abi_counters {
	uint64_t sent;	   /* bytes that the other end has acknowledged */
	uint64_t received; /* bytes taken in order */
	uint64_t unacked;  /* bytes given to the kernel that were never acknowledged (so far) */
	uint32_t segs_out, segs_in;
	uint32_t retrans;    /* tcp_sock.total_retrans, SYNs included */
	uint32_t lost;	     /* tcp_sock.lost_out */
	uint32_t dsack;	     /* tcp_sock.dsack_dups */
	uint32_t srtt_us;    /* microseconds (the kernel's value / 8); 0: not measured */
	uint32_t rtt_min_us; /* 0: not measured */
	uint32_t rcv_rtt_us; /* the receiver's estimate (the kernel's value / 8) */
};
_Static_assert(sizeof(struct abi_counters) == 56, "layout");

enum abi_dir { ABI_DIR_UNKNOWN, ABI_DIR_OUT, ABI_DIR_IN };

enum abi_sock_flag {
	ABI_SOCK_PRE_EXISTING = 1 << 0, /* was open before the programs were: start is when seen */
	ABI_SOCK_OPEN_UNSENT = 1 << 1,	/* the ring was full when it opened: the map tells */
	ABI_SOCK_CLOSE_UNSENT = 1 << 2, /* the same when it ended: the map `ends` has it */
	ABI_SOCK_RST_SENT = 1 << 3,
	ABI_SOCK_RST_RECEIVED = 1 << 4,
	ABI_SOCK_WAS_OPEN = 1 << 5, /* it was established once */
	ABI_SOCK_STAND_IN = 1 << 6, /* accepted, and its listener is not known: pid is 0 */
};

/* One TCP socket. `sk` and `start` together name it: kernel addresses come again. */
struct abi_sock {
	uint64_t start;	    /* SYN sent, child made, or first seen */
	uint64_t updated;   /* when the counters were read */
	uint64_t cgroup;    /* v2, of the socket itself (sk_cgrp_data); 0: none */
	uint64_t cgroup_v1; /* of the task that connected or listens, with ABI_CGROUP_V1; 0: none */
	struct abi_tuple tuple;
	struct abi_counters counters;
	uint8_t asked_addr[16]; /* what connect() was given, when the kernel was given another */
	uint16_t asked_port;	/* 0: the same */
	uint8_t state;		/* the kernel's TCP_* (include/net/tcp_states.h) */
	uint8_t dir;		/* enum abi_dir */
	uint16_t flags;		/* enum abi_sock_flag */
	uint16_t err;		/* sk_err at the end: an errno, 0 for an orderly close */
	uint32_t pid; /* tgid of who connected or listens, in the first pid namespace; 0 */
	uint32_t pad;
	uint8_t comm[ABI_COMM_MAX];
};
_Static_assert(sizeof(struct abi_sock) == 176, "layout");

#define ABI_PLACES 4

/*
 * A bucket of the map `places`: sockets by a hash of their address, for as many as find room; the
 * others are in `socks`. Memory of both sides: who reads an entry here takes it only if its mark
 * was the same address, and `start` the same, before and after.
 */
struct abi_places {
	uint64_t sk[ABI_PLACES]; /* 0: free; odd: being written */
	uint64_t spilled;	 /* the programs' own: how many of its sockets are in `socks` */
	struct abi_sock sock[ABI_PLACES];
	uint64_t pad[3]; /* to a whole number of cache lines */
};
_Static_assert(sizeof(struct abi_places) == 768, "layout");

/* Of the map `ends`: final records that found the ring full. Whoever reads one deletes it. */
struct abi_end_key {
	uint64_t sk, start;
};
_Static_assert(sizeof(struct abi_end_key) == 16, "layout");

#define ABI_FRESH_MAX 64

/* A place of the map `fresh`, which is memory of both sides: the agent writes the first two fields
 * and runs the program `refresh_run` with the number of places, which writes the others. */
struct abi_fresh {
	uint64_t sk, start;
	uint64_t updated; /* 0: not answered, this is no open socket, or it is being changed */
	struct abi_counters counters;
	uint8_t state; /* the kernel's TCP_* */
	uint8_t pad[7];
};
_Static_assert(sizeof(struct abi_fresh) == 88, "layout");

struct abi_tcp {
	struct abi_head head;
	uint64_t sk;
	struct abi_sock sock;
};
_Static_assert(sizeof(struct abi_tcp) == 200, "layout");

/* Of the tape: how many were begun, how many the agent has read. Each in its own cache line. */
struct abi_tape_at {
	uint64_t tail;
	uint64_t pad[7];
	uint64_t head;
	uint64_t pad2[7];
};
_Static_assert(sizeof(struct abi_tape_at) == 128, "layout");

struct abi_cgroup {
	struct abi_head head;
	uint64_t id, parent;	    /* v1: with ABI_CGROUP_V1 */
	uint32_t hierarchy;	    /* 0: v2; else the v1 hierarchy's number in /proc/cgroups */
	uint32_t level;		    /* 0: root */
	uint8_t name[ABI_NAME_MAX]; /* last path component, NUL padded */
};
_Static_assert(sizeof(struct abi_cgroup) == 200, "layout");

struct abi_proc {
	struct abi_head head;
	uint64_t cgroup, cgroup_v1; /* after the move; at the exit */
	uint32_t pid, pad;
	uint8_t comm[ABI_COMM_MAX];
};
_Static_assert(sizeof(struct abi_proc) == 56, "layout");

/* One UDP conversation of one cgroup. The entry stays until the agent deletes it (idle). With
 * remote address and port all zero it is no conversation: only `dropped` is counted, on sockets of
 * that local end, from remotes that the kernel did not tell (before 6.10, and only for sockets that
 * are not connected). */
struct abi_udp_key {
	uint64_t cgroup; /* v2, of the socket; v1 (with ABI_CGROUP_V1) on nodes where pods are there
			  */
	uint8_t laddr[16], raddr[16];
	uint16_t lport, rport;
	uint32_t pad;
};
_Static_assert(sizeof(struct abi_udp_key) == 48, "layout");

/* Counters only grow; payload bytes; GSO segments count as datagrams each. What was dropped is
 * counted as received, too: taken = received - dropped. */
struct abi_udp {
	uint64_t first, last; /* `last` is late by a tick of the kernel at most (1 to 10 ms) */
	uint64_t sent, received;
	uint64_t sent_packets, received_packets;
	uint64_t dropped;	/* received and then not taken: the socket's queue was full */
	uint64_t dropped_bytes; /* 0 where the kernel does not tell (before 6.10) */
	uint32_t tick;		/* of `last`: jiffies, the programs' own */
	uint32_t netns;		/* as in abi_tuple, of the socket whose datagram was the first */
	uint8_t dir;		/* enum abi_dir: who spoke first */
	uint8_t flags;		/* enum abi_udp_flag */
	/* The remote that the socket was connected to when its first datagram went to another one:
	 * by sendto(), or because translation rewrote it. */
	uint16_t asked_port; /* 0: the same, or not connected */
	uint32_t pad;
	uint8_t asked_addr[16];
};
_Static_assert(sizeof(struct abi_udp) == 96, "layout");

enum abi_udp_flag {
	ABI_UDP_ASKED = 1 << 0, /* made for that remote, so that an answer from there does not seem
				 * to have spoken first; may have counted nothing */
};

struct abi_udp_drop { /* only where `udp` has no room for the entry */
	struct abi_head head;
	struct abi_udp_key key;
	uint32_t drops, pad;
};
_Static_assert(sizeof(struct abi_udp_drop) == 72, "layout");

struct abi_dns { /* a datagram from or to port 53 */
	struct abi_head head;
	struct abi_udp_key key;
	uint8_t egress; /* 1: leaves the socket, 0: arrives at it */
	uint8_t pad;
	uint16_t len;	   /* of the whole DNS message */
	uint16_t captured; /* bytes of `data` that are filled: min(len, ABI_DNS_MAX) */
	uint16_t pad2;
	uint8_t data[ABI_DNS_MAX];
};
_Static_assert(sizeof(struct abi_dns) == 584, "layout");

/* Per-CPU counters. STARTED + FOUND = sockets that got a record or were dropped for want of one. */
enum abi_count {
	ABI_COUNT_STARTED, /* sockets: connecting, accepted, or unknown when they changed state */
	ABI_COUNT_ENDED,   /* close records given to the ring, or put into `ends` for the poll */
	ABI_COUNT_DROP_SOCKS_FULL, /* no room in `socks`: the socket is not followed */
	ABI_COUNT_DROP_CLOSE,  /* its end found no room in the ring and in `ends`, or was missed */
	ABI_COUNT_DROP_CGROUP, /* ring full: a cgroup record */
	ABI_COUNT_DROP_PROC,   /* ring full: a process record */
	ABI_COUNT_DROP_DNS,    /* ring full: a DNS message */
	ABI_COUNT_DROP_UDP_FULL,   /* no room in `udp`: one datagram not counted */
	ABI_COUNT_RING_FULL_OPEN,  /* told by the poll instead; nothing is lost */
	ABI_COUNT_RING_FULL_CLOSE, /* the same */
	ABI_COUNT_PRE_EXISTING,	   /* of STARTED: open before the programs were */
	ABI_COUNT_RETRANSMITS,
	ABI_COUNT_RST_SENT,
	ABI_COUNT_RST_RECEIVED,
	ABI_COUNT_FOUND, /* sockets found open by their reading: started, too */
	_ABI_COUNT_MAX,
};
