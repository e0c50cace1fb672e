/*
 * TCP connections that exist already: of this process's own network namespace by
 * sock_diag, with counters and the socket's cgroup; of others by the tables in
 * /proc/PID/net, which tell addresses only.
 */
#pragma once

#include "model/flow.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct diag_sock {
	struct addr laddr, raddr;
	uint16_t lport, rport;
	uint32_t inode;	 /* of the socket; 0: no file refers to it any more */
	uint64_t cgroup; /* v2; 0: not told (before Linux 5.8, or by /proc) */
	enum flow_dir dir;
	struct flow_counters counters; /* payload, as in abi_counters */
};
typedef void (*diag_fn)(void *ctx, const struct diag_sock *s);

/* ---- this network namespace ------------------------------------------------------------------ */

struct diag;

/* 0, -ENOMEM, or -errno of the socket. Needs no capability. */
int diag_new(diag_fn fn, void *ctx, struct diag **ret);
void diag_free(struct diag **d);
/* Reads at most `max` datagrams: 1 there is more, 0 all was told, -errno given up. */
int diag_run(struct diag *d, unsigned int max);

/* ---- another one's tables -------------------------------------------------------------------- */

/* Ports that are listened on, one bit each. */
struct diag_ports {
	uint64_t bits[65536 / 64];
};

/* Reads `dir_fd`/net/tcp and net/tcp6 of a process and tells its connections, most `max` of them.
 * `scratch` is overwritten. Returns how many were left out over `max`, or -errno. */
int diag_proc_net(int dir_fd, uint32_t max, struct diag_ports *scratch, diag_fn fn, void *ctx);
/* One line of such a table. False: its header, or not a line. */
bool diag_proc_line(const char *line, struct diag_sock *ret, unsigned int *ret_state);
