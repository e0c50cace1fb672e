/*
 * One connection from the inside, for ingest*.c alone: what it has told of cgroups,
 * processes and sockets. All of that is the connection's own and goes with it.
 *
 *     sock, udp ─ process ─ cgroup ─ parent
 *
 * A closed cgroup or process stays as long as something refers to it, as the
 * reducer's reference counts have it.
 */
#pragma once

#include "base/hash.h"
#include "base/index.h"
#include "base/pool.h"
#include "proto/reader.h"
#include "reducer/ingest.h"
#include "reducer/traffic.h"

#include <errno.h>

/* The pools of one ingest shard of the reducer. */
#define INGEST_MAX_CGROUPS 800000
#define INGEST_MAX_PROCS   10000000
#define INGEST_MAX_SOCKS   5000000
#define INGEST_MAX_UDP	   120000

struct span_cgroup {
	uint64_t id;
	pool_id parent;
	uint32_t refs; /* children and processes */
	bool open;
	char *text; /* everything below is in it */
	struct str uid, container, service;
	char *role, *role_ns; /* of container_metadata */
};

struct span_proc {
	pool_id cgroup; /* 0: none */
	uint32_t pid;
	uint32_t refs; /* sockets */
	bool open;
	char comm[17];
};

struct span_sock {
	uint64_t sk;
	pool_id proc; /* 0: none */
	struct traffic_tuple tuple;
	struct addr asked_ip; /* set_state's other end; a translation changes the tuple */
	uint16_t asked_port;
	traffic_link link; /* 0: not matched */
	int side;
	bool has_state, named, open; /* named: by its pod */
};

struct span_remote {
	struct addr ip;
	traffic_link link;
	int side;
	uint16_t port;
};

struct span_udp {
	uint32_t sk_id;
	pool_id proc;
	struct addr laddr;
	struct span_remote remote[2]; /* by is_rx */
	uint16_t lport;
	bool open, named;
};

struct spans {
	struct pool pool;
	struct index index;
};

enum phase {			      /* of an agent that follows flows; bits */
	     PHASE_NODE = 1 << 0,     /* set_node_info */
	     PHASE_METADATA = 1 << 1, /* metadata_complete */
	     PHASE_COMPILED = 1 << 2,
	     PHASE_PROCS = 1 << 3,
	     PHASE_SOCKS = 1 << 4,
	     PHASE_BEGUN = 1 << 5,
	     PHASE_EARLY = 1 << 6, /* flows before bpf_compiled: said once */
};

struct ingest {
	struct ingest_opts o;
	struct wire_reader *reader;
	char *host; /* NULL before connect */
	uint8_t collector;
	uint64_t epoch, messages;
	nsec_t last_data;
	bool connected, closed;

	struct hash_seed seed;
	struct spans cgroups, procs, socks, udp;
	unsigned phase;
};

/* One line, told as an effect. */
__attribute__((format(printf, 4, 5))) void
ingest_complain(struct ingest *in, const struct wire_msg *m, bool fatal, const char *fmt, ...);
/* The reducer closes the connection for this. */
#define fail(in, m, ...) (ingest_complain(in, m, true, __VA_ARGS__), -EBADMSG)
/* The reducer takes it, but an agent should not send it. */
#define warn(in, m, ...) ingest_complain(in, m, false, __VA_ARGS__)
#define NAME_SHOWN	 80 /* bytes of a uid or name that an error line shows */
#define SHOWN(s)	 (int)((s).n < NAME_SHOWN ? (s).n : NAME_SHOWN), (s).n ? (s).p : ""

/* ---- spans.c --------------------------------------------------------------------------------- */

void spans_init(struct ingest *in);
/* All of the connection's spans are released; `lost` for its sockets. */
void spans_done(struct ingest *in);

pool_id span_cgroup_find(const struct ingest *in, uint64_t id);
pool_id span_proc_find(const struct ingest *in, uint32_t pid);
pool_id span_sock_find(const struct ingest *in, uint64_t sk);
pool_id span_udp_find(const struct ingest *in, uint32_t sk_id);
static inline struct span_cgroup *span_cgroup_at(const struct ingest *in, pool_id id)
{
	return pool_at(&in->cgroups.pool, id);
}
static inline struct span_proc *span_proc_at(const struct ingest *in, pool_id id)
{
	return pool_at(&in->procs.pool, id);
}
static inline struct span_sock *span_sock_at(const struct ingest *in, pool_id id)
{
	return pool_at(&in->socks.pool, id);
}
static inline struct span_udp *span_udp_at(const struct ingest *in, pool_id id)
{
	return pool_at(&in->udp.pool, id);
}
/* A new one under its key: 0 and `ret`, -ENOSPC or -ENOMEM. */
int span_cgroup_add(struct ingest *in, uint64_t id, pool_id *ret);
int span_proc_add(struct ingest *in, uint32_t pid, pool_id *ret);
int span_sock_add(struct ingest *in, uint64_t sk, pool_id *ret);
int span_udp_add(struct ingest *in, uint32_t sk_id, pool_id *ret);
/* Its key knows it no more; it goes with the last reference. */
void span_cgroup_close(struct ingest *in, pool_id id);
void span_proc_close(struct ingest *in, pool_id id);
void span_sock_close(struct ingest *in, pool_id id, bool lost);
void span_udp_close(struct ingest *in, pool_id id, bool lost);
/* One reference less; 0 is ignored. */
void span_cgroup_unref(struct ingest *in, pool_id id);

/* Who a process is to the reducer: 0 and `ret` (0: nobody), or -ENOMEM. `ret_pod`: by a pod. */
int span_proc_resolve(struct ingest *in, pool_id proc, traffic_node *ret, bool *ret_pod);

/* ---- messages: 0 or -ENOMEM ------------------------------------------------------------------ */

/* ingest_proc.c. 1: not one of its messages. */
int ingest_proc(struct ingest *in, const struct wire_msg *m);
/* ingest_tcp.c, the same. */
int ingest_tcp(struct ingest *in, const struct wire_msg *m);
/* ingest_udp.c, the same. */
int ingest_udp(struct ingest *in, const struct wire_msg *m);
