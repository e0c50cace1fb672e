/*
 * Any bytes as what the kernel tells: cut into records, entries of the maps, found
 * sockets, translations, names and ticks. Whatever comes, the ledger balances and
 * each flow's end is told once.
 *
 * Input: one byte says what comes, one how long it is, then its bytes.
 */
#include "flow/flows.h"
#include "tests/fuzz/fuzz.h"

#include "base/mem.h"
#include "flow_abi.h"

#include <stdlib.h>
#include <string.h>

struct world {
	struct flows *f;
	struct flow_cursor *c;
	nsec_t now;
};

static void check(bool ok)
{
	if (!ok)
		abort();
}

/* As many bytes as there are; the rest is zero. */
static void fill(void *to, size_t n, struct str from)
{
	memset(to, 0, n);
	if (from.n)
		memcpy(to, from.p, MIN(n, from.n));
}

/* A record whose head is right, so that the rest of the input is not refused for it. */
static void record(struct world *w, struct str s)
{
	static const uint16_t sizes[_ABI_TYPE_MAX] = {
		[ABI_TCP_OPEN] = sizeof(struct abi_tcp),
		[ABI_TCP_CLOSE] = sizeof(struct abi_tcp),
		[ABI_CGROUP_NEW] = sizeof(struct abi_cgroup),
		[ABI_CGROUP_GONE] = sizeof(struct abi_cgroup),
		[ABI_PROC_EXIT] = sizeof(struct abi_proc),
		[ABI_PROC_MOVE] = sizeof(struct abi_proc),
		[ABI_DNS] = sizeof(struct abi_dns),
		[ABI_UDP_DROP] = sizeof(struct abi_udp_drop),
	};
	uint8_t bytes[sizeof(struct abi_dns)];
	struct abi_head h;

	fill(bytes, sizeof(bytes), s);
	memcpy(&h, bytes, sizeof(h));
	h.type = (uint8_t)(h.type % (_ABI_TYPE_MAX - 1) + 1);
	h.version = ABI_VERSION;
	h.size = sizes[h.type];
	memcpy(bytes, &h, sizeof(h));
	(void)flows_record(w->f, w->now, str_make(bytes, h.size));
}

static void maps(struct world *w, struct str s, bool tcp)
{
	struct {
		struct abi_udp_key k;
		struct abi_udp u;
	} udp;
	struct abi_sock sock;

	if (tcp) {
		fill(&sock, sizeof(sock), s);
		(void)flows_sock(w->f, w->now, sock.start % 5, &sock);
	} else {
		fill(&udp, sizeof(udp), s);
		(void)flows_udp(w->f, w->now, &udp.k, &udp.u);
	}
}

static void others(struct world *w, struct str s)
{
	struct flows_endpoint e[3];
	struct flows_found found;

	fill(e, sizeof(e), s);
	flows_nat(w->f, w->now, e[0].port % 2 ? FLOW_TCP : FLOW_UDP, &e[0], &e[1], &e[2],
		  e[2].port % 4 == 0);
	memset(&found, 0, sizeof(found));
	found.laddr = e[0].ip;
	found.raddr = e[1].ip;
	found.lport = e[0].port;
	found.rport = e[1].port;
	found.cgroup = e[2].port;
	found.dir = (enum flow_dir)(e[2].port % _FLOW_DIR_MAX);
	(void)flows_pre_existing(w->f, w->now, &found);
}

static void name(struct world *w, struct str s)
{
	flow_id id;

	for (size_t i = 0; i < s.n && (id = flows_unnamed(w->f, w->now)); i++) {
		struct flow_end local = {.known_by = s.p[i] & 1 ? KNOWN_CGROUP : KNOWN_NOT,
					 .why = s.p[i] & 2 ? UNKNOWN_PENDING : UNKNOWN_NO_CGROUP,
					 .workload = str_make(&s.p[i], 1)};
		struct flow_end remote = {.known_by = s.p[i] & 4 ? KNOWN_ADDRESS : KNOWN_NOT,
					  .why = s.p[i] & 8 ? UNKNOWN_PENDING : UNKNOWN_ADDRESS};

		check(flows_name(w->f, w->now, id, &local, &remote) == 0);
	}
}

static void follow(struct world *w, size_t n)
{
	struct flow_view v;
	flow_id id;

	while (n-- && (id = flows_cursor_next(w->f, w->c))) {
		check(flows_at(w->f, id, &v) && v.named);
		flows_cursor_done(w->f, w->c, id);
		check(!v.ended || !flows_at(w->f, id, &v));
	}
}

static void ledger(const struct world *w)
{
	struct flows_stats s;
	uint64_t sum = 0;

	flows_stats(w->f, &s);
	for (int i = 0; i < _FLOW_DROP_MAX; i++)
		sum += s.dropped[i];
	check((int64_t)s.started == (int64_t)(s.reported + s.open + sum) + s.unaccounted);
	check(s.flows <= 8 + 4 && s.cgroups <= 8 && s.procs <= 4 && s.pending <= 2);
}

static void step(struct world *w, uint8_t what, struct str s)
{
	struct flow_dns d;

	switch (what % 9) {
	case 0:
		(void)flows_record(w->f, w->now, s);
		break;
	case 1:
	case 2:
		record(w, s);
		break;
	case 3:
		maps(w, s, what & 16);
		break;
	case 4:
		others(w, s);
		break;
	case 5:
		name(w, s);
		break;
	case 6:
		follow(w, s.n);
		break;
	case 7:
		w->now += s.n * NSEC_PER_SEC / 4;
		(void)flows_tick(w->f, w->now);
		for (uint64_t at = 0; flows_dns_next(w->f, at, &d); at = d.serial)
			check(d.serial > at);
		break;
	default:
		if (what & 16)
			flows_poll_begin(w->f, w->now);
		else
			flows_poll_end(w->f, w->now);
		flows_wake_container(w->f, s);
		flows_wake_pod(w->f, s);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct flows_opts o = {.max_flows = 8,
				     .max_ended = 4,
				     .max_pending = 2,
				     .max_cgroups = 8,
				     .max_procs = 4,
				     .max_dns = 4,
				     .max_nat = 4};
	struct world w = {.now = 1000 * NSEC_PER_SEC};
	struct str in = str_make(data, size);

	check(flows_new(&o, &w.f) == 0);
	check(flows_cursor_add(w.f, &w.c) == 0);
	while (in.n >= 2) {
		uint8_t what = (uint8_t)in.p[0];
		size_t n = (uint8_t)in.p[1] * 2U;
		struct str part;

		in = str_from(in, 2);
		part = str_make(in.p, MIN(n, in.n));
		in = str_from(in, part.n);
		step(&w, what, part);
		ledger(&w);
	}
	flows_free(&w.f);
	return 0;
}
