/* conntrack's events by netlink; see conntrack.h. */
#include "flow/conntrack.h"

#include "base/clock.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

/* Bursts of about 30,000 connections; beyond it events are lost, counted. */
#define RCVBUF (8 * 1024 * 1024)
/* The kernel fills a page or two at a time (MNL_SOCKET_BUFFER_SIZE); dumps up to 32 KiB. */
#define READ_BUF (32 * 1024)

struct conntrack {
	struct mnl_socket *events, *dump; /* dump: NULL once it has ended */
	conntrack_fn fn;
	void *ctx;
	struct conntrack_figures figures;
	bool listing; /* what is read is the listing */
	char buf[READ_BUF] __attribute__((aligned(8)));
};

/* ---- one message ----------------------------------------------------------------------------- */

struct tuple {
	struct flows_endpoint src, dst;
	uint8_t proto;
	unsigned int have; /* bits: src, dst, ports */
};
#define HAVE_ALL 0x1f

static void set_addr(struct addr *a, const struct nlattr *attr, uint16_t len, struct tuple *t,
		     unsigned int bit)
{
	if (mnl_attr_get_payload_len(attr) != len)
		return;
	*a = (struct addr){0};
	if (len == 4)
		a->b[10] = a->b[11] = 0xff;
	memcpy(a->b + 16 - len, mnl_attr_get_payload(attr), len);
	t->have |= bit;
}

static int ip_attr(const struct nlattr *attr, void *data)
{
	struct tuple *t = data;

	switch (mnl_attr_get_type(attr)) {
	case CTA_IP_V4_SRC:
		set_addr(&t->src.ip, attr, 4, t, 1);
		break;
	case CTA_IP_V4_DST:
		set_addr(&t->dst.ip, attr, 4, t, 2);
		break;
	case CTA_IP_V6_SRC:
		set_addr(&t->src.ip, attr, 16, t, 1);
		break;
	case CTA_IP_V6_DST:
		set_addr(&t->dst.ip, attr, 16, t, 2);
		break;
	default:
		break;
	}
	return MNL_CB_OK;
}

static int proto_attr(const struct nlattr *attr, void *data)
{
	const uint16_t len = mnl_attr_get_payload_len(attr);
	struct tuple *t = data;

	switch (mnl_attr_get_type(attr)) {
	case CTA_PROTO_NUM:
		if (len == 1) {
			t->proto = mnl_attr_get_u8(attr);
			t->have |= 4;
		}
		break;
	case CTA_PROTO_SRC_PORT:
		if (len == 2) {
			t->src.port = ntohs(mnl_attr_get_u16(attr));
			t->have |= 8;
		}
		break;
	case CTA_PROTO_DST_PORT:
		if (len == 2) {
			t->dst.port = ntohs(mnl_attr_get_u16(attr));
			t->have |= 16;
		}
		break;
	default:
		break;
	}
	return MNL_CB_OK;
}

static int tuple_attr(const struct nlattr *attr, void *data)
{
	switch (mnl_attr_get_type(attr)) {
	case CTA_TUPLE_IP:
		return mnl_attr_parse_nested(attr, ip_attr, data);
	case CTA_TUPLE_PROTO:
		return mnl_attr_parse_nested(attr, proto_attr, data);
	default:
		return MNL_CB_OK;
	}
}

struct tuples {
	struct tuple orig, reply;
};

static int top_attr(const struct nlattr *attr, void *data)
{
	struct tuples *t = data;

	switch (mnl_attr_get_type(attr)) {
	case CTA_TUPLE_ORIG:
		return mnl_attr_parse_nested(attr, tuple_attr, &t->orig);
	case CTA_TUPLE_REPLY:
		return mnl_attr_parse_nested(attr, tuple_attr, &t->reply);
	default:
		return MNL_CB_OK;
	}
}

static bool same_end(const struct flows_endpoint *a, const struct flows_endpoint *b)
{
	return a->port == b->port && addr_eq(&a->ip, &b->ip);
}

bool conntrack_parse(const struct nlmsghdr *h, struct flows_translation *ret)
{
	const unsigned int type = NFNL_MSG_TYPE(h->nlmsg_type);
	struct tuples t = {0};

	if (NFNL_SUBSYS_ID(h->nlmsg_type) != NFNL_SUBSYS_CTNETLINK ||
	    (type != IPCTNL_MSG_CT_NEW && type != IPCTNL_MSG_CT_DELETE) ||
	    mnl_nlmsg_get_payload_len(h) < sizeof(struct nfgenmsg) ||
	    mnl_attr_parse(h, sizeof(struct nfgenmsg), top_attr, &t) < 0)
		return false;
	if (t.orig.have != HAVE_ALL || t.reply.have != HAVE_ALL ||
	    (t.orig.proto != IPPROTO_TCP && t.orig.proto != IPPROTO_UDP))
		return false;
	if (same_end(&t.orig.dst, &t.reply.src) && same_end(&t.orig.src, &t.reply.dst))
		return false;
	*ret = (struct flows_translation){
		.proto = t.orig.proto == IPPROTO_TCP ? FLOW_TCP : FLOW_UDP,
		.from = t.orig.src,
		.asked = t.orig.dst,
		.backend = t.reply.src,
		.seen_as = t.reply.dst,
		.gone = type == IPCTNL_MSG_CT_DELETE,
	};
	return true;
}

/* ---- reading --------------------------------------------------------------------------------- */

static int on_message(const struct nlmsghdr *h, void *data)
{
	struct conntrack *c = data;
	struct flows_translation t;

	c->figures.events++;
	if (!conntrack_parse(h, &t))
		return MNL_CB_OK;
	c->figures.told++;
	t.at = clock_mono();
	t.listed = c->listing;
	t.after = t.listed ? 0 : c->figures.read_to;
	c->fn(c->ctx, &t);
	return MNL_CB_OK;
}

/* One datagram: 1 more may come, 0 none now or (dump) the end, -errno. */
static int read_one(struct conntrack *c, struct mnl_socket *s, bool *ret_end)
{
	const ssize_t n = mnl_socket_recvfrom(s, c->buf, sizeof(c->buf));
	int r;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n < 0 && errno == ENOBUFS) { /* the queue is intact, what did not fit is gone */
		c->figures.lost++;
		c->figures.lost_from = c->figures.read_to;
		c->figures.lost_to = clock_mono();
		return 1;
	}
	if (n < 0 && errno != ENOSPC) /* longer than the buffer: cannot be, and is left out */
		return -errno;
	if (n <= 0)
		return 1;
	r = mnl_cb_run(c->buf, (size_t)n, 0, 0, on_message, c);
	if (r == MNL_CB_ERROR)
		return errno == EINTR ? 1 : -errno; /* EINTR: the table changed meanwhile */
	*ret_end = r == MNL_CB_STOP;
	return r == MNL_CB_STOP ? 0 : 1;
}

int conntrack_read(struct conntrack *c, unsigned int max)
{
	bool end = false;
	int r = 1;

	c->listing = false;
	for (unsigned int i = 0; r > 0 && i < max; i++) {
		const nsec_t before = clock_mono();

		r = read_one(c, c->events, &end);
		if (r == 0 && !end)
			c->figures.read_to = before;
	}
	return end ? 1 : r;
}

int conntrack_read_dump(struct conntrack *c, unsigned int max)
{
	bool end = false;
	int r = c->dump ? 1 : 0;

	c->listing = true;
	for (unsigned int i = 0; r > 0 && i < max; i++)
		r = read_one(c, c->dump, &end);
	if (r < 0 || end) {
		(void)mnl_socket_close(c->dump);
		c->dump = NULL;
	}
	return r;
}

/* ---- life ------------------------------------------------------------------------------------ */

static int open_socket(struct mnl_socket **ret)
{
	struct mnl_socket *s = mnl_socket_open2(NETLINK_NETFILTER, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (!s)
		return -errno;
	if (mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID) < 0) {
		const int r = -errno;

		(void)mnl_socket_close(s);
		return r;
	}
	*ret = s;
	return 0;
}

static int open_events(struct conntrack *c)
{
	const int size = RCVBUF;
	const unsigned int groups[] = {NFNLGRP_CONNTRACK_NEW, NFNLGRP_CONNTRACK_DESTROY};
	int r = open_socket(&c->events);

	if (r < 0)
		return r;
	const int fd = mnl_socket_get_fd(c->events);

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	for (size_t i = 0; i < ARRAY_SIZE(groups); i++) {
		unsigned int group = groups[i];

		if (mnl_socket_setsockopt(c->events, NETLINK_ADD_MEMBERSHIP, &group,
					  sizeof(group)) < 0)
			return -errno;
	}
	return 0;
}

static int ask_dump(struct conntrack *c)
{
	char buf[256] __attribute__((aligned(8)));
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	int r = open_socket(&c->dump);

	if (r < 0)
		return r;
	h->nlmsg_type = (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_GET;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	h->nlmsg_seq = 1;
	struct nfgenmsg *g = mnl_nlmsg_put_extra_header(h, sizeof(*g));

	g->nfgen_family = AF_UNSPEC;
	g->version = NFNETLINK_V0;
	return mnl_socket_sendto(c->dump, h, h->nlmsg_len) < 0 ? -errno : 0;
}

int conntrack_new(conntrack_fn fn, void *ctx, struct conntrack **ret)
{
	_cleanup_(conntrack_free) struct conntrack *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->fn = fn;
	c->ctx = ctx;
	r = open_events(c);
	if (r >= 0)
		r = ask_dump(c);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(c);
	return 0;
}

void conntrack_free(struct conntrack **c)
{
	if (!*c)
		return;
	if ((*c)->events)
		(void)mnl_socket_close((*c)->events);
	if ((*c)->dump)
		(void)mnl_socket_close((*c)->dump);
	free(*c);
	*c = NULL;
}

int conntrack_fd(const struct conntrack *c)
{
	return mnl_socket_get_fd(c->events);
}

int conntrack_dump_fd(const struct conntrack *c)
{
	return c->dump ? mnl_socket_get_fd(c->dump) : -1;
}

struct conntrack_figures conntrack_figures(const struct conntrack *c)
{
	return c->figures;
}
