/*
 * DNS transactions, each told once, on the UDP socket that it went through. The log
 * is read in order; a transaction whose flow still waits for its names is held back
 * (FEED_MAX_HELD of them) so that it is not counted for nobody.
 */
#include "sink/reducer/feed.h"
#include "sink/reducer/state.h"

#include "base/mem.h"

#include <errno.h>

#define DNS_SLICE 128
#define WIRE_NAME 256 /* dns_response.domain_name keeps the last bytes */

enum client_server { DNS_CLIENT, DNS_SERVER };

/* The local end as a flow has it: its own, else what the transaction itself says. */
static void end_of(const struct session *s, const struct flow_dns *d, struct flow_view *ret)
{
	if (d->flow && flows_at(s->feed->flows, d->flow, ret) && ret->proto == FLOW_UDP)
		return;
	*ret = (struct flow_view){
		.proto = FLOW_UDP,
		.cgroup = d->cgroup,
		.laddr = d->local.ip,
		.lport = d->local.port,
	};
}

static struct str tail(struct str s, size_t max)
{
	return s.n > max ? str_from(s, s.n - max) : s;
}

static int put_timeout(struct session *s, uint32_t id, const struct flow_dns *d)
{
	return feed_put(s, WIRE_dns_timeout,
			&(struct wire_dns_timeout){
				.sk_id = id,
				.total_dn_len = (uint16_t)MIN(d->name.n, (size_t)UINT16_MAX),
				.domain_name = tail(d->name, WIRE_NAME),
				.timeout_ns = d->latency,
			},
			&s->count.flows.dns_timeouts);
}

static int put_response(struct session *s, uint32_t id, const struct flow_dns *d)
{
	char v4[4 * FLOWS_DNS_ADDRS], v6[16 * FLOWS_DNS_ADDRS];
	size_t n4 = 0, n6 = 0;

	for (uint32_t i = 0; i < MIN(d->n_addrs, (uint32_t)FLOWS_DNS_ADDRS); i++) {
		const struct addr *a = &d->addrs[i];

		if (addr_is_v4(a)) {
			memcpy(v4 + n4, a->b + 12, 4);
			n4 += 4;
		} else {
			memcpy(v6 + n6, a->b, 16);
			n6 += 16;
		}
	}
	return feed_put(s, WIRE_dns_response,
			&(struct wire_dns_response){
				.sk_id = id,
				.total_dn_len = (uint16_t)MIN(d->name.n, (size_t)UINT16_MAX),
				.domain_name = tail(d->name, WIRE_NAME),
				.ipv4_addrs = str_make(v4, n4),
				.ipv6_addrs = str_make(v6, n6),
				.latency_ns = d->latency,
				.client_server = d->server ? DNS_SERVER : DNS_CLIENT,
			},
			&s->count.flows.dns);
}

/* On a socket that may have been made just for this. */
static int put_on(struct session *s, uint32_t id, const struct flow_dns *d)
{
	const struct feed_remote to = {.ip = d->remote.ip, .port = d->remote.port};
	int r;

	r = feed_udp_point(s, id, &to);
	if (r == 0)
		r = d->timeout ? put_timeout(s, id, d) : put_response(s, id, d);
	/* The answer is out: a socket that cannot be closed now is closed with its next flow. */
	if (r == 0)
		(void)feed_udp_close(s, id);
	return r;
}

static int tell(struct session *s, const struct flow_dns *d)
{
	struct flow_view v;
	uint32_t id;
	int r;

	if (d->timeout && d->server) /* the reducer counts the client's */
		return 0;
	end_of(s, d, &v);
	if (!v.lport || feed_is_local(s, &v.laddr, &d->remote.ip)) {
		s->count.flows.dns_untold++;
		return 0;
	}
	r = feed_udp_need(s, &v, &id);
	if (r < 0)
		return r;
	if (!id) {
		s->count.flows.dns_untold++;
		return 0;
	}
	return put_on(s, id, d);
}

/* Its flow is there and has no names yet. */
static bool waits(const struct session *s, const struct flow_dns *d)
{
	struct flow_view v;

	return d->flow && flows_at(s->feed->flows, d->flow, &v) && !v.named;
}

static void drop_held(struct feed *f, uint32_t i)
{
	f->n_held--;
	memmove(&f->held[i], &f->held[i + 1], (f->n_held - i) * sizeof(f->held[0]));
}

/* One that was held back: told, unless it still waits and may go on waiting. 1: it waits. */
static int tell_held(struct session *s, uint32_t i, bool force)
{
	struct feed *f = s->feed;
	struct flow_dns d;
	int r = 0;

	if (!flows_dns_next(f->flows, f->held[i] - 1, &d) || d.serial != f->held[i])
		s->count.flows.dns_lost++;
	else if (!force && waits(s, &d))
		return 1;
	else
		r = tell(s, &d);
	if (r == 0)
		drop_held(f, i);
	return r;
}

static int tell_all_held(struct session *s)
{
	struct feed *f = s->feed;
	int r;

	if (f->held_moved == f->log_moved)
		return 0;
	for (uint32_t i = 0; i < f->n_held;) {
		r = tell_held(s, i, false);
		if (r < 0)
			return r;
		i += r == 1;
	}
	f->held_moved = f->log_moved;
	return 0;
}

static int hold(struct session *s, const struct flow_dns *d)
{
	struct feed *f = s->feed;
	int r = 0;

	if (f->n_held == FEED_MAX_HELD) /* the oldest has waited long enough */
		r = tell_held(s, 0, true);
	if (r < 0)
		return r;
	f->held[f->n_held++] = d->serial;
	return 0;
}

int feed_dns(struct session *s)
{
	struct feed *f = s->feed;
	struct flow_dns d;
	int r;

	r = tell_all_held(s);
	if (r < 0)
		return r;
	for (uint32_t n = 0; n < DNS_SLICE; n++) {
		if (!flows_dns_next(f->flows, f->dns, &d))
			return 0;
		r = waits(s, &d) ? hold(s, &d) : tell(s, &d);
		if (r < 0)
			return r;
		if (f->dns)
			s->count.flows.dns_lost += d.serial - f->dns - 1;
		f->dns = d.serial;
	}
	return 1;
}
