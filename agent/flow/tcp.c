/*
 * TCP: what a record of the ring, or an entry of the map, says of one socket.
 *
 * `sk` and `start` name a socket. The ring tells opens and closes in order; the map
 * is read at any time, so an entry may be older or younger than what the ring told:
 * what is older never harms.
 */
#include "flow/state.h"

#include "base/mem.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#define TCP_STATE_LISTEN 10 /* include/net/tcp_states.h */

static const uint8_t no_addr[16];

struct verdict {
	enum flow_state state;
	enum flow_reason reason;
	bool syn_timeout;
};

static struct verdict never_open(const struct abi_sock *s)
{
	switch (s->err) {
	case ECONNREFUSED:
		return (struct verdict){FLOW_FAILED, FLOW_REASON_REFUSED, false};
	case ETIMEDOUT:
		return (struct verdict){FLOW_FAILED, FLOW_REASON_TIMED_OUT, true};
	case EHOSTUNREACH:
	case ENETUNREACH:
		return (struct verdict){FLOW_FAILED, FLOW_REASON_UNREACHABLE, false};
	case 0:
		if (s->flags & ABI_SOCK_RST_RECEIVED)
			return (struct verdict){FLOW_FAILED, FLOW_REASON_RST_RECEIVED, false};
		return (struct verdict){FLOW_FAILED, FLOW_REASON_ABORTED, false};
	case ECONNRESET:
		return (struct verdict){FLOW_FAILED, FLOW_REASON_RST_RECEIVED, false};
	default:
		return (struct verdict){FLOW_FAILED, FLOW_REASON_ERROR, false};
	}
}

static struct verdict verdict(const struct abi_sock *s)
{
	if (!(s->flags & ABI_SOCK_WAS_OPEN))
		return never_open(s);
	if (s->flags & ABI_SOCK_RST_RECEIVED || s->err == ECONNRESET)
		return (struct verdict){FLOW_RESET, FLOW_REASON_RST_RECEIVED, false};
	if (s->flags & ABI_SOCK_RST_SENT)
		return (struct verdict){FLOW_RESET, FLOW_REASON_RST_SENT, false};
	switch (s->err) {
	case 0:
		return (struct verdict){FLOW_CLOSED, FLOW_REASON_NONE, false};
	case ETIMEDOUT:
		return (struct verdict){FLOW_RESET, FLOW_REASON_TIMED_OUT, false};
	case EHOSTUNREACH:
	case ENETUNREACH:
		return (struct verdict){FLOW_RESET, FLOW_REASON_UNREACHABLE, false};
	default:
		return (struct verdict){FLOW_RESET, FLOW_REASON_ERROR, false};
	}
}

/* Where the programs cannot tell who connected, our SYN is in what was sent; a flow that was listed
 * knows by who listens. */
static uint64_t sent(const struct flow_rec *r, const struct abi_sock *s)
{
	const bool syn = r->dir == FLOW_OUT && s->dir == ABI_DIR_UNKNOWN && s->counters.sent;

	return s->counters.sent - syn;
}

static struct flow_counters counters(const struct flow_rec *r, const struct abi_sock *s)
{
	const struct abi_counters *c = &s->counters;

	return (struct flow_counters){
		.sent = sent(r, s),
		.received = c->received,
		.unacked = c->unacked,
		.segs_out = c->segs_out,
		.segs_in = c->segs_in,
		.retrans = c->retrans,
		.rtt_us = c->srtt_us,
		.rtt_min_us = c->rtt_min_us,
		.rcv_rtt_us = c->rcv_rtt_us,
	};
}

static bool is_asked(const struct abi_sock *s, struct flows_endpoint *ret)
{
	ret->port = s->asked_port;
	memcpy(ret->ip.b, s->asked_addr, sizeof(ret->ip));
	if (!s->asked_port || memcmp(s->asked_addr, no_addr, sizeof(no_addr)) == 0)
		return false;
	return s->asked_port != s->tuple.rport ||
	       memcmp(s->asked_addr, s->tuple.raddr, sizeof(no_addr)) != 0;
}

/* A cgroup that was not known of the flow before, or by the process that held it alone: a socket's
 * own is the truth. Without memory: as it was. */
static bool learn_cgroup(struct flows *f, flow_id id, const struct abi_sock *s)
{
	struct flow_rec *r = flow_rec(f, id);
	const uint64_t said[2] = {s->cgroup, s->cgroup_v1};
	bool news = false;

	for (int i = 0; i < 2; i++) {
		cgroup_ix ix;

		if (!said[i] || said[i] == r->cgroup_id[i] || cgroups_hold(f, said[i], &ix) < 0)
			continue;
		cgroups_put(f, r->cgroup[i]);
		r->cgroup[i] = ix;
		r->cgroup_id[i] = said[i];
		news = true;
	}
	if (news && r->flags & FLOW_F_NO_CGROUP) {
		r->flags &= (uint16_t)~FLOW_F_NO_CGROUP;
		f->stats.pre_existing_unknown--;
	}
	return news;
}

/* Whatever a younger look at the same socket tells. True: there is news. */
static bool refresh(struct flows *f, flow_id id, const struct abi_sock *s)
{
	struct flow_rec *r = flow_rec(f, id);
	const struct flow_counters c = counters(r, s);
	struct flows_endpoint asked, to = {.port = s->tuple.rport};
	bool news = false;

	r->poll = f->poll;
	r->missed = 0;
	if (learn_cgroup(f, id, s)) {
		pending_again(f, id);
		news = true;
	}
	if (!r->pid && s->pid) {
		r->pid = s->pid;
		news = true;
	}
	memcpy(to.ip.b, s->tuple.raddr, sizeof(to.ip));
	if (!r->asked && is_asked(s, &asked))
		(void)table_translate(f, id, &asked, &to, false);
	if (s->updated < r->updated)
		return news;
	r->updated = s->updated;
	if (memcmp(&c, &r->counters, sizeof(c)) != 0) {
		r->counters = c;
		news = true;
	}
	return news;
}

static int make(struct flows *f, nsec_t now, uint64_t sk, const struct abi_sock *s, flow_id *ret)
{
	struct flows_endpoint asked;
	bool old = s->flags & ABI_SOCK_PRE_EXISTING;
	bool known = s->cgroup || s->cgroup_v1;
	const struct flow_new n = {
		.proto = FLOW_TCP,
		.dir = s->dir == ABI_DIR_OUT  ? FLOW_OUT
		       : s->dir == ABI_DIR_IN ? FLOW_IN
					      : FLOW_DIR_UNKNOWN,
		.tuple = &s->tuple,
		.sk = sk,
		.start = s->start,
		.cgroup_id = {s->cgroup, s->cgroup_v1},
		.pid = s->pid,
		.asked = is_asked(s, &asked) ? &asked : NULL,
		.flags = old ? FLOW_F_PRE_EXISTING | (known ? 0 : FLOW_F_NO_CGROUP) : 0,
	};
	int r = table_add(f, now, &n, ret);

	if (r < 0)
		return r;
	f->stats.pre_existing += old;
	f->stats.pre_existing_unknown += old && !known;
	return 0;
}

/* The live flow of this socket: known, found before, or new. 0 with *ret 0: it has ended already.
 */
static int get(struct flows *f, nsec_t now, uint64_t sk, const struct abi_sock *s, flow_id *ret)
{
	flow_id id = table_sock(f, sk, s->start);
	int r;

	*ret = id;
	if (id || table_was(f, sk, s->start))
		return 0;
	table_opened(f, sk, s->start);
	id = found_join(f, s);
	if (!id)
		return make(f, now, sk, s, ret);
	r = table_set_sock(f, id, sk, s->start);
	if (r < 0)
		return r;
	*ret = id;
	return 0;
}

static void end(struct flows *f, flow_id id, nsec_t at, const struct abi_sock *s)
{
	const struct verdict v = verdict(s);
	struct flow_rec *r = flow_rec(f, id);

	/* Nothing is younger than the end; what was listed has the time it was told of. */
	r->updated = MIN(r->updated, s->updated);
	(void)refresh(f, id, s);
	if (v.syn_timeout)
		r->flags |= FLOW_F_SYN_TIMEOUT;
	table_end(f, id, at, v.state, v.reason);
}

/* Who was at this address before has ended: its end comes yet, by the map of late ends, or the
 * polls find it lost. */
static int opened(struct flows *f, nsec_t now, nsec_t at, uint64_t sk, const struct abi_sock *s)
{
	flow_id id = table_sock_last(f, sk);
	int r;

	if (id && flow_rec(f, id)->start > s->start)
		return 0; /* late by a whole socket: its close is told, or was */
	r = get(f, now, sk, s, &id);
	if (r == 0 && id && refresh(f, id, s))
		table_changed(f, id);
	if (r == 0 && id && !flow_rec(f, id)->up && s->flags & ABI_SOCK_WAS_OPEN) {
		flow_rec(f, id)->up = at;
		nat_apply(f, id);
		nat_wake(f, id);
	}
	return r;
}

static int closed(struct flows *f, nsec_t now, nsec_t at, uint64_t sk, const struct abi_sock *s)
{
	flow_id id;
	int r = get(f, now, sk, s, &id);

	if (r < 0) {
		f->stats.dropped[FLOW_DROP_MEMORY]++;
		table_entomb(f, sk, s->start, TOMB_ENDED);
		return r;
	}
	if (id)
		end(f, id, at, s);
	else
		table_unentomb(f, sk, s->start);
	return 0;
}

int tcp_record(struct flows *f, nsec_t now, const struct abi_tcp *t)
{
	const uint64_t cgroups[2] = {t->sock.cgroup, t->sock.cgroup_v1};

	if (t->sock.pid)
		/* As of the start: what the kernel ends for a process that is gone is no sign of
		 * it. */
		procs_seen(f, t->sock.start, t->sock.pid, t->sock.comm, cgroups);
	if (t->sock.state == TCP_STATE_LISTEN)
		return 0;
	if (t->head.type == ABI_TCP_OPEN)
		return opened(f, now, t->head.time, t->sk, &t->sock);
	return closed(f, now, t->head.time, t->sk, &t->sock);
}

/* A close that cannot be read is a flow lost, unless the flow is known by what can be read. */
void tcp_bad_record(struct flows *f, struct str record)
{
	const size_t need = offsetof(struct abi_tcp, sock) + sizeof(uint64_t);
	struct abi_tcp t;

	if (record.n >= need) {
		memcpy(&t, record.p, need);
		if (table_sock(f, t.sk, t.sock.start) || table_was(f, t.sk, t.sock.start))
			return;
	}
	f->stats.dropped[FLOW_DROP_BAD_RECORD]++;
}

bool flows_sock(struct flows *f, nsec_t now, uint64_t sk, const struct abi_sock *s)
{
	bool over = s->flags & ABI_SOCK_CLOSE_UNSENT;
	flow_id id;

	if (!sk || s->state == TCP_STATE_LISTEN)
		return false;
	/* A connect has no local port yet when its SYN_SENT is told: the next record has it. */
	if (!s->tuple.lport && !over) {
		if (!table_sock(f, sk, s->start) && !table_was(f, sk, s->start))
			table_opening(f, sk, s->start);
		return false;
	}
	if (get(f, now, sk, s, &id) < 0)
		return false; /* the next poll shows it again */
	if (s->pid && s->flags & ABI_SOCK_OPEN_UNSENT)
		procs_seen(f, s->start, s->pid, s->comm,
			   (const uint64_t[]){s->cgroup, s->cgroup_v1});
	if (!id && over)
		table_unentomb(f, sk, s->start);
	else if (id && over)
		end(f, id, s->updated, s);
	else if (id && refresh(f, id, s))
		table_changed(f, id);
	return over;
}

void flows_poll_begin(struct flows *f, nsec_t now)
{
	(void)now;
	f->poll++;
	f->stats.polls++;
}

void flows_poll_end(struct flows *f, nsec_t now)
{
	flow_id next;

	for (flow_id id = f->live.head; id; id = next) {
		struct flow_rec *r = flow_rec(f, id);

		next = r->link[LINK_LIFE].next;
		if (r->proto != FLOW_TCP || !r->sk || r->ended || r->poll == f->poll)
			continue;
		if (++r->missed >= MISSED_POLLS)
			table_end(f, id, now, FLOW_LOST, FLOW_REASON_CLOSE_LOST);
	}
	tombs_poll_end(f);
}
