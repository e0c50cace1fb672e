/*
 * DNS: the log of transactions, a ring whose oldest goes.
 */
#include "flow/state.h"

#include "base/mem.h"
#include "flow/dns_match.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int names_new(struct flows *f)
{
	f->dns_log = calloc(f->opts.max_dns, sizeof(*f->dns_log));
	if (!f->dns_log)
		return -ENOMEM;
	return dns_match_new(f->opts.max_dns, f->opts.dns_timeout, &f->dns);
}

static struct flows_endpoint endpoint(const uint8_t ip[16], uint16_t port)
{
	struct flows_endpoint e = {.port = port};

	memcpy(e.ip.b, ip, sizeof(e.ip));
	return e;
}

static struct dns_rec *place(const struct flows *f, uint64_t serial)
{
	return &f->dns_log[serial % f->opts.max_dns];
}

static int told(struct flows *f, const struct dns_transaction *t)
{
	struct dns_rec *d = place(f, f->dns_serial + 1);
	pool_id name;

	if (intern_get(&f->strings, str_make(t->name, t->name_n), &name) < 0) {
		f->stats.dns_lost++;
		return -ENOMEM;
	}
	intern_put(&f->strings, d->name);
	*d = (struct dns_rec){
		.name = name,
		.dns = {.serial = ++f->dns_serial,
			.flow = udp_find(f, &t->key),
			.server = t->server,
			.timeout = t->timeout,
			.rcode = t->rcode,
			.qtype = t->qtype,
			.at = t->at,
			.latency = t->latency,
			.cgroup = flows_cgroup_by_id(f, t->key.cgroup),
			.local = endpoint(t->key.laddr, t->key.lport),
			.remote = endpoint(t->key.raddr, t->key.rport),
			.n_addrs = MIN(t->n_addrs, (uint32_t)FLOWS_DNS_ADDRS)},
	};
	memcpy(d->dns.addrs, t->addrs, d->dns.n_addrs * sizeof(*t->addrs));
	d->flow_serial = d->dns.flow ? flow_rec(f, d->dns.flow)->serial : 0;
	d->cgroup_id = t->key.cgroup;
	f->stats.dns_transactions++;
	f->stats.dns_timeouts += t->timeout;
	return 0;
}

int names_packet(struct flows *f, nsec_t now, const struct abi_dns *d)
{
	struct dns_transaction t;
	int r = dns_match_packet(f->dns, now, d, &t);

	return r > 0 ? told(f, &t) : r == -EBADMSG ? 0 : r;
}

#define MAX_EXPIRED 256 /* a tick; the rest comes at the next */

nsec_t names_tick(struct flows *f, nsec_t now)
{
	struct dns_transaction t;

	for (int i = 0; i < MAX_EXPIRED && dns_match_expire(f->dns, now, &t) > 0; i++)
		(void)told(f, &t);
	return dns_match_deadline(f->dns);
}

bool flows_dns_next(const struct flows *f, uint64_t after, struct flow_dns *ret)
{
	uint64_t oldest =
		f->dns_serial >= f->opts.max_dns ? f->dns_serial - f->opts.max_dns + 1 : 1;
	const struct dns_rec *d;

	if (after >= f->dns_serial)
		return false;
	d = place(f, MAX(after + 1, oldest));
	*ret = d->dns;
	ret->name = intern_str(&f->strings, d->name);
	if (ret->flow && (!(flow_rec(f, ret->flow)->flags & FLOW_F_USED) ||
			  flow_rec(f, ret->flow)->serial != d->flow_serial))
		ret->flow = 0;
	ret->cgroup = flows_cgroup_by_id(f, d->cgroup_id); /* the node may have gone */
	return true;
}

void names_figures(const struct flows *f, struct flows_stats *ret)
{
	struct dns_match_figures m;

	dns_match_figures(f->dns, &m);
	ret->dns_open = m.open;
	ret->dns_bad = m.bad;
	ret->dns_lost += m.lost + m.no_memory;
}

size_t names_bytes(const struct flows *f)
{
	return f->opts.max_dns * sizeof(*f->dns_log) + dns_match_bytes(f->dns);
}

void names_done(struct flows *f)
{
	dns_match_free(&f->dns);
	free(f->dns_log);
}
