/*
 * What a socket load balancer does: a cgroup/connect4 or connect6 program that rewrites
 * one destination. A few instructions through bpf(2), attached by a link that dies with
 * the process.
 */
#include "actor.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define INSN(CODE, DST, SRC, OFF, IMM) \
	((struct bpf_insn){            \
		.code = (CODE), .dst_reg = (DST), .src_reg = (SRC), .off = (OFF), .imm = (IMM)})
#define PORT	  offsetof(struct bpf_sock_addr, user_port)
#define MAX_INSNS 32

/* The words of an address, as the context has them. */
struct words {
	uint32_t w[4];
	unsigned n;
	short at; /* of the first, in the context */
};

static struct words words_of(const union endpoint *e)
{
	struct words a = {.n = 1, .at = offsetof(struct bpf_sock_addr, user_ip4)};

	if (e->sa.sa_family == AF_INET) {
		a.w[0] = e->v4.sin_addr.s_addr;
		return a;
	}
	a.n = 4;
	a.at = offsetof(struct bpf_sock_addr, user_ip6);
	memcpy(a.w, &e->v6.sin6_addr, sizeof(a.w));
	return a;
}

static int bpf(int cmd, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

/* if (address == from && port == from's) { address = to; port = to's; } return 1; */
static unsigned compose(const union endpoint *from, const union endpoint *to,
			struct bpf_insn prog[MAX_INSNS])
{
	const struct words f = words_of(from), t = words_of(to);
	const unsigned last = 5 * f.n + 4; /* "return" */
	unsigned n = 0;

	for (unsigned i = 0; i < f.n; i++) {
		prog[n++] = INSN(BPF_LDX | BPF_MEM | BPF_W, 2, 1, (short)(f.at + 4 * i), 0);
		prog[n++] = INSN(BPF_ALU | BPF_MOV | BPF_K, 3, 0, 0, (int)f.w[i]);
		prog[n] = INSN(BPF_JMP | BPF_JNE | BPF_X, 2, 3, (short)(last - n - 1), 0);
		n++;
	}
	prog[n++] = INSN(BPF_LDX | BPF_MEM | BPF_W, 2, 1, PORT, 0);
	prog[n] = INSN(BPF_JMP | BPF_JNE | BPF_K, 2, 0, (short)(last - n - 1), from->v4.sin_port);
	n++;
	for (unsigned i = 0; i < t.n; i++) {
		prog[n++] = INSN(BPF_ALU | BPF_MOV | BPF_K, 2, 0, 0, (int)t.w[i]);
		prog[n++] = INSN(BPF_STX | BPF_MEM | BPF_W, 1, 2, (short)(t.at + 4 * i), 0);
	}
	prog[n++] = INSN(BPF_ALU | BPF_MOV | BPF_K, 2, 0, 0, to->v4.sin_port);
	prog[n++] = INSN(BPF_STX | BPF_MEM | BPF_W, 1, 2, PORT, 0);
	if (n != last)
		die("%u instructions", n);
	prog[n++] = INSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 1);
	prog[n++] = INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	return n;
}

static int load(const union endpoint *from, const union endpoint *to, enum bpf_attach_type type)
{
	static char log[4096];
	struct bpf_insn prog[MAX_INSNS];
	union bpf_attr a = {0};
	int fd;

	a.insn_cnt = compose(from, to, prog);
	a.prog_type = BPF_PROG_TYPE_CGROUP_SOCK_ADDR;
	a.expected_attach_type = type;
	a.insns = (uintptr_t)prog;
	a.license = (uintptr_t) "Dual BSD/GPL";
	a.log_buf = (uintptr_t)log;
	a.log_size = sizeof(log);
	a.log_level = 1;
	fd = bpf(BPF_PROG_LOAD, &a);
	if (fd < 0)
		die("load: %s\n%s", strerror(errno), log);
	return fd;
}

int role_rewrite(int argc, char **argv)
{
	union endpoint from, to;
	union bpf_attr a = {0};
	char c;

	(void)argc;
	(void)endpoint_of(argv[1], argv[2], &from);
	(void)endpoint_of(argv[3], argv[4], &to);
	if (from.sa.sa_family != to.sa.sa_family)
		die("addresses of two families");

	const enum bpf_attach_type type =
		from.sa.sa_family == AF_INET ? BPF_CGROUP_INET4_CONNECT : BPF_CGROUP_INET6_CONNECT;

	a.link_create.prog_fd = (uint32_t)load(&from, &to, type);
	a.link_create.target_fd = (uint32_t)open(argv[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	a.link_create.attach_type = type;
	if (bpf(BPF_LINK_CREATE, &a) < 0)
		die("attach to %s: %s", argv[0], strerror(errno));
	say_ready(0);
	while (read(STDIN_FILENO, &c, 1) == 1)
		;
	return 0;
}
