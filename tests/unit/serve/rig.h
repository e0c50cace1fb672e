/*
 * An agent that answers questions, for tests: a flow table filled by hand, an inventory
 * of two pods, and the server on a socket in a folder of its own. The test turns the
 * loop itself.
 */
#pragma once

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "flow/flows.h"
#include "flow_abi.h"
#include "inventory/inventory.h"
#include "match/end.h"
#include "serve/serve.h"
#include "tests/lib/objects.h"

#define RIG_CID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

struct ask_rig {
	char folder[64], socket[100];
	struct event_base *base;
	struct flows *flows;
	struct inventory *inventory;
	struct match_policy policy;
	struct end_scope scope;
	struct serve *serve;
	struct buf words;
	nsec_t at; /* when the pods were told of */
};

static inline void rig_pods(struct ask_rig *g)
{
	struct obj b;
	uint16_t source;

	assert_int_equal(inventory_new(&inventory_defaults, &g->inventory), 0);
	assert_int_equal(inventory_source_add(g->inventory, &source), 0);
	g->at = clock_mono();
	obj_pod(&b, "shop", "web-1", obj_uid(1), "10.0.0.1");
	obj_owned(&b, "apps/v1", "StatefulSet", "web", obj_uid(11));
	obj_container(&b, "containerd://" RIG_CID, "app", "image");
	assert_int_equal(inventory_apply_pod(g->inventory, source, g->at, &b.o), 0);
	obj_pod(&b, "shop", "db-1", obj_uid(2), "10.0.0.2");
	obj_owned(&b, "apps/v1", "StatefulSet", "db", obj_uid(12));
	assert_int_equal(inventory_apply_pod(g->inventory, source, g->at, &b.o), 0);
}

static inline void rig_cgroups(struct ask_rig *g)
{
	nsec_t now = clock_mono();

	assert_int_equal(flows_cgroup(g->flows, now, 1, 0, STR("")), 0);
	assert_int_equal(flows_cgroup(g->flows, now, 2, 1, STR("kubepods.slice")), 0);
	assert_int_equal(
		flows_cgroup(g->flows, now, 3, 2,
			     STR("kubepods-pod00000000_0000_4000_8000_000000000001.slice")),
		0);
	assert_int_equal(flows_cgroup(g->flows, now, 4, 3, STR("cri-containerd-" RIG_CID ".scope")),
			 0);
}

static inline int ask_rig_setup(void **state)
{
	struct ask_rig *g = calloc(1, sizeof(*g));
	const struct flows_opts fo = {0};
	struct serve_opts o = {.version = "test"};

	assert_non_null(g);
	(void)snprintf(g->folder, sizeof(g->folder), "/tmp/kindred-serve-XXXXXX");
	assert_non_null(mkdtemp(g->folder));
	(void)snprintf(g->socket, sizeof(g->socket), "%s/run/agent.sock", g->folder);
	buf_init(&g->words, 4096);
	g->base = event_base_new();
	assert_int_equal(flows_new(&fo, &g->flows), 0);
	rig_pods(g);
	rig_cgroups(g);
	g->scope = (struct end_scope){.inventory = g->inventory,
				      .policy = &g->policy,
				      .node_scope = true,
				      .node = STR("node-1")};
	o.base = g->base;
	o.flows = g->flows;
	o.scope = &g->scope;
	o.socket = g->socket;
	o.probe_at.host = "127.0.0.1";
	assert_int_equal(serve_new(&o, &g->serve, &g->words), 0);
	*state = g;
	return 0;
}

static inline int ask_rig_teardown(void **state)
{
	struct ask_rig *g = *state;
	char run[100];

	serve_free(&g->serve);
	assert_int_equal(access(g->socket, F_OK), -1);
	flows_free(&g->flows);
	inventory_free(&g->inventory);
	event_base_free(g->base);
	buf_done(&g->words);
	(void)snprintf(run, sizeof(run), "%s/run", g->folder);
	(void)rmdir(run);
	(void)rmdir(g->folder);
	free(g);
	return 0;
}

static inline void rig_turn(struct ask_rig *g)
{
	(void)event_base_loop(g->base, EVLOOP_NONBLOCK);
	usleep(200);
}

/* A TCP flow of web-1 to db-1 (out) or back (in), by its record. */
static inline void rig_flow(struct ask_rig *g, uint8_t type, uint64_t sk, uint64_t sent,
			    uint32_t retrans, uint16_t err)
{
	nsec_t now = clock_mono();
	struct abi_tcp t = {
		.head = {.type = type, .version = ABI_VERSION, .size = sizeof(t), .time = now},
		.sk = sk,
		.sock = {.start = g->at + sk,
			 .updated = now,
			 .cgroup = 4,
			 .dir = ABI_DIR_OUT,
			 .flags = err ? 0 : ABI_SOCK_WAS_OPEN,
			 .err = err,
			 .state = type == ABI_TCP_OPEN ? 1 : 7,
			 .tuple = {.lport = (uint16_t)(1000 + sk), .rport = 5432},
			 .counters = {.sent = sent, .retrans = retrans, .srtt_us = 250}}};
	const struct flow_end local = {.known_by = KNOWN_CGROUP,
				       .ns = STR("shop"),
				       .pod = STR("web-1"),
				       .container = STR("app"),
				       .workload = STR("web"),
				       .workload_kind = STR("StatefulSet")};
	const struct flow_end remote = {.known_by = KNOWN_ADDRESS,
					.ns = STR("shop"),
					.pod = STR("db-1"),
					.workload = STR("db"),
					.workload_kind = STR("StatefulSet")};

	t.sock.tuple.laddr[10] = t.sock.tuple.laddr[11] = 0xff;
	memcpy(t.sock.tuple.raddr, t.sock.tuple.laddr, 16);
	memcpy(t.sock.tuple.laddr + 12, "\x0a\x00\x00\x01", 4);
	memcpy(t.sock.tuple.raddr + 12, "\x0a\x00\x00\x02", 4);
	assert_int_equal(flows_record(g->flows, now, str_make(&t, sizeof(t))), 0);
	for (flow_id id = flows_unnamed(g->flows, now); id; id = flows_unnamed(g->flows, now))
		assert_int_equal(flows_name(g->flows, now, id, &local, &remote), 0);
	serve_changed(g->serve);
}

/* ---- a client that reads when it is told to -------------------------------------------------- */

static inline int rig_connect(const struct ask_rig *g)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	(void)snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", g->socket);
	assert_int_equal(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	return fd;
}

static inline void rig_say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static inline void rig_get(int fd, const char *target)
{
	char text[1024];

	(void)snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", target);
	rig_say(fd, text);
}

/* Reads until the text is there (or the end, `text` NULL), turning the loop: whether it came. */
static inline bool rig_read(struct ask_rig *g, int fd, struct buf *in, const char *text,
			    int patience_ms)
{
	nsec_t until = clock_mono() + (nsec_t)patience_ms * NSEC_PER_MSEC;

	while (clock_mono() < until) {
		ssize_t n;

		rig_turn(g);
		assert_int_equal(buf_reserve(in, 65537), 0);
		n = recv(fd, buf_tail(in), 65536, 0);
		if (n > 0)
			buf_commit(in, (size_t)n);
		buf_tail(in)[0] = '\0';
		if (text && in->n && strstr(in->p + in->off, text))
			return true;
		if (n == 0 || (n < 0 && errno != EAGAIN))
			return !text;
	}
	return false;
}
