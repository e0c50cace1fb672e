/*
 * A node for tests of what the reducer is told of flows: real inventory, flows,
 * attribution and session on one side, the reference reducer on the other, records
 * of the kernel's layout put in by hand. Every message is decoded and encoded again;
 * a complaint of the reducer fails the test.
 */
#pragma once

#include "base/mem.h"
#include "core/attribute.h"
#include "flow_abi.h"
#include "proto/batch.h"
#include "reducer/ingest.h"
#include "reducer/report_flows.h"
#include "reducer/traffic.h"
#include "sink/reducer/session.h"
#include "tests/lib/objects.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define SEC		NSEC_PER_SEC
#define RIG_ESTABLISHED 1 /* include/net/tcp_states.h */
#define RIG_CLOSE	7
#define RIG_SYN_SENT	2

struct rig {
	struct inventory *inv;
	struct flows *flows;
	struct attribute *attr;
	struct session *s;
	struct reducer_table *table;
	struct ingest *in;
	uint16_t pods, owners;
	uint32_t connections;
	nsec_t now, wall;
	struct buf names; /* of the messages, one a line, while `listen` */
	bool listen;
	struct buf again; /* one message, encoded once more */
	unsigned complaints;
	char complaint[256];
	uint64_t messages;
};

static inline void rig_effect(void *arg, const struct ingest_effect *e)
{
	struct rig *g = arg;

	if (e->type != INGEST_ERROR)
		return;
	if (!g->complaints++)
		(void)snprintf(g->complaint, sizeof(g->complaint), "%s", e->error);
}

/* Bytes -> values -> the same bytes. */
static inline void rig_plain(void *ctx, struct str message)
{
	struct rig *g = ctx;
	struct wire_fault fault;
	struct wire_msg m;
	union {
		uint64_t align;
		char bytes[1024];
	} values;

	if (wire_decode(message, &m, &fault) != 0)
		fail_msg("undecodable message: %s", fault.reason);
	buf_reset(&g->again);
	wire_to_struct(&m, &values);
	assert_int_equal(wire_encode_struct(m.desc, &values, m.timestamp, &g->again), 0);
	assert_true(str_eq(buf_str(&g->again), message));
	g->messages++;
	if (g->listen)
		(void)buf_printf(&g->names, "%s\n", m.desc->name);
}

static const struct session_taps rig_taps = {.plain = rig_plain};
static const struct match_policy rig_policy = {0};

struct rig_opts {
	struct session_opts session;
	struct flows_opts flows;
};

/* 0 or -ENOMEM; rig_done either way. */
static inline int rig_try(struct rig *g, const struct rig_opts *o)
{
	static const char *const host = "10.9.9.9";
	struct session_opts so = o->session;
	struct addr addr;
	int r;

	*g = (struct rig){.now = 1000 * SEC, .wall = 5000 * SEC};
	buf_init(&g->names, 64 << 20);
	buf_init(&g->again, 1 << 17);
	(void)addr_parse(str_of(host), &addr);
	r = buf_reserve(&g->again, 65536);
	if (r == 0)
		r = inventory_new(&inventory_defaults, &g->inv);
	if (r == 0)
		r = inventory_source_add(g->inv, &g->pods);
	if (r == 0)
		r = inventory_source_add(g->inv, &g->owners);
	if (r == 0)
		r = flows_new(&o->flows, &g->flows);
	if (r == 0)
		r = attribute_new(
			&(struct attribute_opts){
				.flows = g->flows,
				.inventory = g->inv,
				.scope = {.policy = &rig_policy,
					  .node_scope = true,
					  .node = STR("node-a")},
			},
			&g->attr);
	so.inventory = g->inv;
	so.flows = g->flows;
	so.waiting = (struct waiting_opts){.max = 1000, .timeout = 10 * SEC};
	so.hostname = STR("node-a");
	so.cpu_cores = 2;
	so.addrs = &addr;
	so.n_addrs = 1;
	so.os = (struct session_os){1, STR("12"), STR("6.18.0"), 4096, 100};
	so.taps = &rig_taps;
	so.taps_ctx = g;
	if (r == 0)
		r = session_new(&so, &g->s);
	if (r == 0)
		r = reducer_table_new(&(struct reducer_table_opts){0}, &g->table);
	return r;
}

static inline void rig_done(struct rig *g)
{
	session_free(&g->s);
	attribute_free(&g->attr);
	flows_free(&g->flows);
	inventory_free(&g->inv);
	ingest_free(&g->in);
	reducer_table_free(&g->table);
	buf_done(&g->names);
	buf_done(&g->again);
}

static inline void rig_init(struct rig *g, struct rig_opts o)
{
	assert_int_equal(rig_try(g, &o), 0);
}

/* ---- the connection -------------------------------------------------------------------------- */

static inline void rig_cut(struct rig *g)
{
	session_disconnected(g->s);
	ingest_free(&g->in);
}

static inline int rig_connect_try(struct rig *g)
{
	rig_cut(g);
	session_connected(g->s, g->now, g->wall);
	return ingest_new(&(struct ingest_opts){.table = g->table,
						.number = ++g->connections,
						.hook = rig_effect,
						.arg = g},
			  g->now, &g->in);
}

static inline void rig_connect(struct rig *g)
{
	assert_int_equal(rig_connect_try(g), 0);
}

/* At most `n` bytes reach the reducer. */
static inline int rig_carry(struct rig *g, size_t n)
{
	struct str out = session_output(g->s);
	int r;

	out.n = MIN(out.n, n);
	if (!out.n || !g->in)
		return 0;
	r = ingest_push(g->in, out, g->now);
	session_sent(g->s, out.n);
	return r;
}

static inline int rig_name_all(struct rig *g)
{
	int r;

	(void)flows_tick(g->flows, g->now);
	do
		r = attribute_run(g->attr, g->now);
	while (r == 1);
	return r;
}

static inline void rig_at_ease(const struct rig *g)
{
	if (g->complaints)
		fail_msg("the reducer complains %u times: %s", g->complaints, g->complaint);
}

/* Names flows and tells until there is nothing more to do now. */
static inline void rig_settle(struct rig *g)
{
	int r;

	assert_int_equal(rig_name_all(g), 0);
	do {
		r = session_run(g->s, g->now, g->wall);
		assert_true(r == 0 || r == 1 || r == -EAGAIN);
		assert_int_equal(rig_carry(g, SIZE_MAX), 0);
	} while (r);
	rig_at_ease(g);
}

static inline void rig_wait(struct rig *g, nsec_t t)
{
	g->now += t;
	g->wall += t;
}

/* The sweeps are due, too. */
static inline void rig_rest(struct rig *g)
{
	for (int i = 0; i < 8; i++) {
		rig_settle(g);
		if (session_at_rest(g->s))
			return;
		rig_wait(g, SEC);
	}
	fail_msg("not at rest");
}

/* ---- the node -------------------------------------------------------------------------------- */

enum { RIG_ROOT = 1, RIG_KUBEPODS, RIG_SYSTEM, RIG_SSHD, RIG_POD = 1000, RIG_CONTAINER = 2000000 };

static inline void rig_uid(unsigned n, char sep, char out[40])
{
	(void)snprintf(out, 40, "%08x%c1111%c2222%c3333%c%012x", n, sep, sep, sep, sep, n);
}

static inline void rig_cid(unsigned n, char out[65])
{
	(void)snprintf(out, 65, "%064x", n + 0xabc000);
}

static inline int rig_tree_try(struct rig *g)
{
	static const struct {
		uint64_t id, parent;
		const char *name;
	} v[] = {{RIG_ROOT, 0, ""},
		 {RIG_KUBEPODS, RIG_ROOT, "kubepods.slice"},
		 {RIG_SYSTEM, RIG_ROOT, "system.slice"},
		 {RIG_SSHD, RIG_SYSTEM, "sshd.service"}};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(v); i++)
		r = flows_cgroup(g->flows, g->now, v[i].id, v[i].parent, str_of(v[i].name));
	return r;
}

/* The cgroups of pod n and its one container. */
static inline int rig_cgroups_try(struct rig *g, unsigned n)
{
	char uid[40], cid[65], name[128];
	int r;

	rig_uid(n, '_', uid);
	rig_cid(n, cid);
	(void)snprintf(name, sizeof(name), "kubepods-burstable-pod%s.slice", uid);
	r = flows_cgroup(g->flows, g->now, RIG_POD + n, RIG_KUBEPODS, str_of(name));
	(void)snprintf(name, sizeof(name), "cri-containerd-%s.scope", cid);
	return r < 0 ? r
		     : flows_cgroup(g->flows, g->now, RIG_CONTAINER + n, RIG_POD + n, str_of(name));
}

/* Pod n of Deployment `owner`, 10.0.x.y. */
static inline int rig_pod_try(struct rig *g, unsigned n, const char *owner)
{
	char uid[40], cid[80] = "containerd://", ip[32], name[64];
	struct obj b;

	rig_uid(n, '-', uid);
	rig_cid(n, cid + strlen(cid));
	(void)snprintf(ip, sizeof(ip), "10.0.%u.%u", n >> 8 & 255, n & 255);
	(void)snprintf(name, sizeof(name), "%s-%u", owner, n);
	obj_pod(&b, "shop", name, str_of(uid), ip);
	obj_owned(&b, "apps/v1", "DaemonSet", owner, str_of(owner));
	obj_container(&b, cid, "main", "nginx:1");
	return inventory_apply_pod(g->inv, g->pods, g->now, &b.o);
}

static inline void rig_pod(struct rig *g, unsigned n, const char *owner)
{
	assert_int_equal(rig_cgroups_try(g, n), 0);
	assert_int_equal(rig_pod_try(g, n, owner), 0);
}

static inline struct addr rig_ip(unsigned n)
{
	return (struct addr){.b = {[10] = 0xff, 0xff, 10, 0, (uint8_t)(n >> 8), (uint8_t)n}};
}

struct rig_conn { /* one TCP socket */
	uint64_t sk, start, cgroup;
	struct addr laddr, raddr;
	uint16_t lport, rport;
	uint32_t pid;
	bool in;
	uint64_t sent, received;
	uint32_t segs_out, segs_in, retrans, srtt_us;
	uint16_t flags, err;
	struct addr asked;
	uint16_t asked_port;
};

static inline int rig_tcp(struct rig *g, const struct rig_conn *c, uint8_t type, uint8_t state)
{
	struct abi_tcp t = {
		.head = {.type = type, .version = ABI_VERSION, .size = sizeof(t), .time = g->now},
		.sk = c->sk,
		.sock = {.start = c->start,
			 .updated = g->now,
			 .cgroup = c->cgroup,
			 .tuple = {.lport = c->lport, .rport = c->rport, .netns = 1},
			 .counters = {.sent = c->sent,
				      .received = c->received,
				      .segs_out = c->segs_out,
				      .segs_in = c->segs_in,
				      .retrans = c->retrans,
				      .srtt_us = c->srtt_us},
			 .asked_port = c->asked_port,
			 .state = state,
			 .dir = c->in ? ABI_DIR_IN : ABI_DIR_OUT,
			 .flags = c->flags,
			 .err = c->err,
			 .pid = c->pid,
			 .comm = "prog"},
	};

	memcpy(t.sock.tuple.laddr, c->laddr.b, 16);
	memcpy(t.sock.tuple.raddr, c->raddr.b, 16);
	memcpy(t.sock.asked_addr, c->asked.b, 16);
	return flows_record(g->flows, g->now, str_make(&t, sizeof(t)));
}

static inline int rig_open(struct rig *g, struct rig_conn *c)
{
	if (!c->start)
		c->start = g->now;
	c->flags |= ABI_SOCK_WAS_OPEN;
	return rig_tcp(g, c, ABI_TCP_OPEN, RIG_ESTABLISHED);
}

/* What a poll of the map shows. */
static inline void rig_refresh(struct rig *g, const struct rig_conn *c)
{
	struct abi_sock s = {
		.start = c->start,
		.updated = g->now,
		.cgroup = c->cgroup,
		.tuple = {.lport = c->lport, .rport = c->rport, .netns = 1},
		.counters = {.sent = c->sent,
			     .received = c->received,
			     .segs_out = c->segs_out,
			     .segs_in = c->segs_in,
			     .retrans = c->retrans,
			     .srtt_us = c->srtt_us},
		.state = RIG_ESTABLISHED,
		.dir = c->in ? ABI_DIR_IN : ABI_DIR_OUT,
		.flags = c->flags,
		.pid = c->pid,
		.comm = "prog",
		.asked_port = c->asked_port,
	};

	memcpy(s.tuple.laddr, c->laddr.b, 16);
	memcpy(s.tuple.raddr, c->raddr.b, 16);
	memcpy(s.asked_addr, c->asked.b, 16);
	(void)flows_sock(g->flows, g->now, c->sk, &s);
}

static inline int rig_close(struct rig *g, const struct rig_conn *c)
{
	return rig_tcp(g, c, ABI_TCP_CLOSE, RIG_CLOSE);
}

/* Pod `a` connects to pod `b`: the two sockets. */
static inline void rig_pair(struct rig *g, unsigned a, unsigned b, uint16_t port,
			    struct rig_conn *x, struct rig_conn *y)
{
	static uint64_t sk = 0xffff888000000000;

	*x = (struct rig_conn){.sk = sk += 64,
			       .cgroup = RIG_CONTAINER + a,
			       .laddr = rig_ip(a),
			       .raddr = rig_ip(b),
			       .lport = port,
			       .rport = 80,
			       .pid = 10000 + a};
	*y = (struct rig_conn){.sk = sk += 64,
			       .cgroup = RIG_CONTAINER + b,
			       .laddr = rig_ip(b),
			       .raddr = rig_ip(a),
			       .lport = 80,
			       .rport = port,
			       .pid = 10000 + b,
			       .in = true};
	(void)g;
}

/* The row of an edge; zeros when there is none. "shop/web", "sshd", "(unknown)". */
static inline struct traffic_row rig_row(const struct rig *g, const char *from, const char *to,
					 bool udp)
{
	_free_ struct traffic_row *rows = NULL;
	struct traffic_row ret = {0};
	char a[256], b[256];
	size_t n;

	assert_int_equal(traffic_rows(reducer_table_traffic(g->table), &rows, &n), 0);
	n = traffic_merge(rows, n);
	for (size_t i = 0; i < n; i++) {
		(void)snprintf(a, sizeof(a), "%.*s%s%.*s", STR_ARG(rows[i].from.ns),
			       rows[i].from.ns.n ? "/" : "", STR_ARG(rows[i].from.workload));
		(void)snprintf(b, sizeof(b), "%.*s%s%.*s", STR_ARG(rows[i].to.ns),
			       rows[i].to.ns.n ? "/" : "", STR_ARG(rows[i].to.workload));
		if (strcmp(a, from) == 0 && strcmp(b, to) == 0 && rows[i].udp == udp)
			ret = rows[i];
	}
	return ret;
}

/* The whole table as text, for comparison; the caller frees it. */
static inline char *rig_table(const struct rig *g)
{
	struct buf out;
	char *text;

	buf_init(&out, 64 << 20);
	assert_int_equal(report_traffic(reducer_table_traffic(g->table), 0, &out), 0);
	text = str_dup(buf_str(&out));
	assert_non_null(text);
	buf_done(&out);
	return text;
}
