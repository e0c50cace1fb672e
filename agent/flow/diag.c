/* sock_diag(7); see diag.h. First the listeners of both families, then the connections: a
 * connection's direction is known by its listener. */
#include "flow/diag.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>

/* include/net/tcp_states.h; libc's names for them are in a header that linux/tcp.h shuts out. */
enum {
	ST_ESTABLISHED = 1,
	ST_FIN_WAIT1 = 4,
	ST_FIN_WAIT2 = 5,
	ST_CLOSE_WAIT = 8,
	ST_LAST_ACK = 9,
	ST_LISTEN = 10,
	ST_CLOSING = 11,
};
#define IN_LISTEN (1U << ST_LISTEN)
/* A socket in SYN_SENT is told of by the programs when it comes up; one in TIME_WAIT has ended. */
#define IN_OPEN                                                                                 \
	(1U << ST_ESTABLISHED | 1U << ST_FIN_WAIT1 | 1U << ST_FIN_WAIT2 | 1U << ST_CLOSE_WAIT | \
	 1U << ST_LAST_ACK | 1U << ST_CLOSING)

static const struct {
	uint8_t family;
	uint32_t states;
} dumps[] = {
	{AF_INET, IN_LISTEN},
	{AF_INET6, IN_LISTEN},
	{AF_INET, IN_OPEN},
	{AF_INET6, IN_OPEN},
};

struct diag {
	struct mnl_socket *nl;
	diag_fn fn;
	void *ctx;
	size_t at; /* in `dumps` */
	unsigned int datagrams;
	struct diag_ports listening;
	char buf[32 * 1024] __attribute__((aligned(8)));
};

static void set_addr(struct addr *a, uint8_t family, const uint32_t words[4])
{
	*a = (struct addr){0};
	if (family == AF_INET) {
		a->b[10] = a->b[11] = 0xff;
		memcpy(a->b + 12, words, 4);
	} else {
		memcpy(a->b, words, 16);
	}
}

/* ---- counters -------------------------------------------------------------------------------- */

/*
 * bytes_acked counts the SYN of the end that connected, bytes_sent never does: where
 * nothing is under way and nothing was sent twice, the difference is who connected.
 */
static enum flow_dir who_connected(const struct tcp_info *i, bool listened, bool fin_acked)
{
	const uint64_t payload = i->tcpi_bytes_sent + fin_acked;

	if (listened)
		return FLOW_IN;
	if (!i->tcpi_unacked && !i->tcpi_total_retrans && i->tcpi_bytes_acked == payload)
		return FLOW_IN; /* and its listener has gone */
	return FLOW_OUT;
}

static uint64_t less(uint64_t n, uint64_t by)
{
	return n > by ? n - by : 0;
}

static void set_counters(struct diag_sock *s, const struct inet_diag_msg *m,
			 const struct tcp_info *i, bool listened)
{
	const uint8_t st = m->idiag_state;
	const bool fin_out = st != ST_ESTABLISHED && st != ST_CLOSE_WAIT;
	const bool fin_acked = st == ST_FIN_WAIT2;
	const bool fin_in = st == ST_CLOSE_WAIT || st == ST_LAST_ACK || st == ST_CLOSING;

	s->dir = who_connected(i, listened, fin_acked);
	s->counters = (struct flow_counters){
		.sent = less(i->tcpi_bytes_acked, (s->dir == FLOW_OUT) + fin_acked),
		.received = less(i->tcpi_bytes_received, fin_in),
		.unacked = less(m->idiag_wqueue, fin_out && !fin_acked),
		.segs_out = i->tcpi_segs_out,
		.segs_in = i->tcpi_segs_in,
		.retrans = i->tcpi_total_retrans,
		.rtt_us = i->tcpi_rtt,
		.rtt_min_us = i->tcpi_min_rtt == UINT32_MAX ? 0 : i->tcpi_min_rtt,
		.rcv_rtt_us = i->tcpi_rcv_rtt,
	};
}

/* ---- one message ----------------------------------------------------------------------------- */

struct extras {
	struct tcp_info info;
	bool have_info;
	uint64_t cgroup;
};

static int on_attr(const struct nlattr *attr, void *data)
{
	struct extras *x = data;
	const size_t len = mnl_attr_get_payload_len(attr);

	if (mnl_attr_get_type(attr) == INET_DIAG_INFO) { /* longer or shorter: other kernels */
		memcpy(&x->info, mnl_attr_get_payload(attr), MIN(len, sizeof(x->info)));
		x->have_info = true;
	} else if (mnl_attr_get_type(attr) == INET_DIAG_CGROUP_ID && len == 8) {
		x->cgroup = mnl_attr_get_u64(attr);
	}
	return MNL_CB_OK;
}

static bool port_bit(const struct diag_ports *p, uint16_t port)
{
	return p->bits[port / 64] >> (port % 64) & 1;
}

static int on_message(const struct nlmsghdr *h, void *data)
{
	struct diag *d = data;
	struct extras x = {0};

	if (h->nlmsg_type != SOCK_DIAG_BY_FAMILY ||
	    mnl_nlmsg_get_payload_len(h) < sizeof(struct inet_diag_msg))
		return MNL_CB_OK;
	const struct inet_diag_msg *m = mnl_nlmsg_get_payload(h);
	const uint16_t lport = ntohs(m->id.idiag_sport);

	if (m->idiag_state == ST_LISTEN) {
		d->listening.bits[lport / 64] |= 1ULL << (lport % 64);
		return MNL_CB_OK;
	}
	(void)mnl_attr_parse(h, sizeof(*m), on_attr, &x);
	struct diag_sock s = {
		.lport = lport,
		.rport = ntohs(m->id.idiag_dport),
		.inode = m->idiag_inode,
		.cgroup = x.cgroup,
		.dir = port_bit(&d->listening, lport) ? FLOW_IN : FLOW_OUT,
	};

	set_addr(&s.laddr, m->idiag_family, m->id.idiag_src);
	set_addr(&s.raddr, m->idiag_family, m->id.idiag_dst);
	if (x.have_info)
		set_counters(&s, m, &x.info, s.dir == FLOW_IN);
	d->fn(d->ctx, &s);
	return MNL_CB_OK;
}

/* ---- dumps ----------------------------------------------------------------------------------- */

static int ask(struct diag *d)
{
	char buf[256] __attribute__((aligned(8)));
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);

	h->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	h->nlmsg_seq = (uint32_t)d->at + 1;
	struct inet_diag_req_v2 *q = mnl_nlmsg_put_extra_header(h, sizeof(*q));

	q->sdiag_family = dumps[d->at].family;
	q->sdiag_protocol = IPPROTO_TCP;
	q->idiag_ext = 1 << (INET_DIAG_INFO - 1);
	q->idiag_states = dumps[d->at].states;
	return mnl_socket_sendto(d->nl, h, h->nlmsg_len) < 0 ? -errno : 0;
}

/* This dump is over: asks for the next one. 1, or 0 when that was the last. */
static int next_dump(struct diag *d)
{
	int r = 0;

	while (++d->at < ARRAY_SIZE(dumps)) {
		r = ask(d);
		if (r >= 0)
			return 1;
	}
	return r;
}

int diag_run(struct diag *d, unsigned int max)
{
	for (unsigned int i = 0; i < max && d->at < ARRAY_SIZE(dumps); i++) {
		const ssize_t n = mnl_socket_recvfrom(d->nl, d->buf, sizeof(d->buf));
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		r = mnl_cb_run(d->buf, (size_t)n, 0, 0, on_message, d);
		/* A family that this kernel has not is an error of its own dump only. */
		if (r == MNL_CB_ERROR && errno != EINTR && d->at + 1 == ARRAY_SIZE(dumps))
			return -errno;
		if (r == MNL_CB_STOP || (r == MNL_CB_ERROR && errno != EINTR))
			r = next_dump(d);
		if (r < 0 && r != MNL_CB_ERROR)
			return r;
	}
	return d->at < ARRAY_SIZE(dumps);
}

int diag_new(diag_fn fn, void *ctx, struct diag **ret)
{
	_cleanup_(diag_free) struct diag *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return -ENOMEM;
	d->fn = fn;
	d->ctx = ctx;
	d->nl = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (!d->nl || mnl_socket_bind(d->nl, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	r = ask(d);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(d);
	return 0;
}

void diag_free(struct diag **d)
{
	if (!*d)
		return;
	if ((*d)->nl)
		(void)mnl_socket_close((*d)->nl);
	free(*d);
	*d = NULL;
}
