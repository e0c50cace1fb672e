#include "sink/otlp/record.h"

#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>

/* opentelemetry/proto/logs/v1/logs.proto */
enum {
	LOG_TIME = 1,
	LOG_SEVERITY = 2,
	LOG_SEVERITY_TEXT = 3,
	LOG_BODY = 5,
	LOG_ATTRIBUTES = 6,
	LOG_OBSERVED = 11,
	LOG_EVENT_NAME = 12
};
enum { BODY_STRING = 1 };
enum { SEVERITY_INFO = 9, SEVERITY_WARN = 13 };

#define BODY_MAX 1024 /* bytes; what is longer is left out: the attributes have it */

static bool is_bad(const struct flow_view *v, enum line_event e)
{
	return e == LINE_FAIL || e == LINE_DROP || (e == LINE_CLOSE && v->state == FLOW_RESET);
}

static nsec_t event_time(const struct record *r)
{
	const struct flow_view *v = r->flow;

	if (r->event == LINE_OPEN)
		return v->start;
	return v->ended ? v->ended : MAX(v->start, v->updated);
}

/* ---- body ------------------------------------------------------------------------------------ */

static void say_end(struct buf *b, const struct flow_end *e, const struct addr *ip)
{
	char text[ADDR_TEXT_MAX];

	if (e->known_by == KNOWN_NOT || !e->workload.n)
		(void)buf_printf(b, "%s", addr_print(ip, text));
	else
		(void)buf_printf(b, "%.*s%s%.*s", STR_ARG(e->ns), e->ns.n ? "/" : "",
				 STR_ARG(e->workload));
}

static void put_body(struct pb_out *p, const struct record *r)
{
	const struct flow_view *v = r->flow;
	const bool turned = attrs_turned(v);
	char room[BODY_MAX];
	struct buf b = {.p = room, .cap = sizeof(room), .max = sizeof(room)};
	size_t at = pb_open(p, LOG_BODY);

	say_end(&b, turned ? &v->remote : &v->local, turned ? &v->raddr : &v->laddr);
	(void)buf_append_str(&b, STR(" -> "));
	say_end(&b, turned ? &v->local : &v->remote, turned ? &v->laddr : &v->raddr);
	(void)buf_printf(&b, " %s %s", flow_proto_name(v->proto),
			 r->event == LINE_REFRESH || r->event == LINE_OPEN
				 ? line_event_name(r->event)
				 : flow_state_name(v->state));
	pb_text(p, BODY_STRING, buf_str(&b));
	pb_close(p, at);
}

/* ---- attributes ------------------------------------------------------------------------------ */

static void put_counters(struct attrs *a, const struct flow_view *v)
{
	const struct flow_counters *c = &v->counters;
	const bool turned = attrs_turned(v);

	attr_u64(a, "kindred.flow.transmit.bytes", turned ? c->received : c->sent);
	attr_u64(a, "kindred.flow.receive.bytes", turned ? c->sent : c->received);
	attr_u64(a, "kindred.flow.transmit.packets", turned ? c->segs_in : c->segs_out);
	attr_u64(a, "kindred.flow.receive.packets", turned ? c->segs_out : c->segs_in);
	if (v->proto == FLOW_TCP)
		attr_u64(a, "kindred.flow.retransmits", c->retrans);
	else
		attr_u64(a, "kindred.flow.drops", c->dropped);
	if (v->proto == FLOW_TCP && c->rtt_us)
		attr_double(a, "kindred.flow.rtt", c->rtt_us / 1e6);
}

static void put_network(struct attrs *a, const struct flow_view *v)
{
	char text[ADDR_TEXT_MAX];

	attr_text(a, "network.transport", str_of(flow_proto_name(v->proto)));
	attr_text(a, "network.type", addr_is_v4(&v->laddr) ? STR("ipv4") : STR("ipv6"));
	if (!v->translated)
		return;
	attr_text(a, "network.peer.address", str_of(addr_print(&v->asked.ip, text)));
	attr_u64(a, "network.peer.port", v->asked.port);
}

static void put_flow(struct attrs *a, const struct record *r)
{
	const struct flow_view *v = r->flow;

	attr_text(a, "kindred.flow.direction", str_of(flow_dir_name(v->dir)));
	attr_u64(a, "kindred.flow.id", v->serial);
	attr_text(a, "kindred.flow.state", str_of(flow_state_name(v->state)));
	if (v->reason != FLOW_REASON_NONE)
		attr_text(a, is_bad(v, r->event) ? "error.type" : "kindred.flow.reason",
			  str_of(flow_reason_name(v->reason)));
	if (v->ended > v->start)
		attr_double(a, "kindred.flow.duration", (double)(v->ended - v->start) / 1e9);
	if (v->pre_existing)
		attr_bool(a, "kindred.flow.pre_existing", true);
}

static void put_attributes(struct pb_out *p, const struct record *r)
{
	struct attrs a = {.pb = *p, .field = LOG_ATTRIBUTES};
	char uid[128];

	(void)snprintf(uid, sizeof(uid), "%.*s-%" PRIu64, STR_ARG(r->instance), r->number);
	attr_text(&a, "log.record.uid", str_of(uid));
	put_network(&a, r->flow);
	attrs_ends(&a, r->flow, true);
	put_flow(&a, r);
	put_counters(&a, r->flow);
	*p = a.pb;
}

/* ---- a record, a request --------------------------------------------------------------------- */

int record_encode(const struct record *r, struct buf *out)
{
	struct pb_out p = {.out = out};
	const size_t before = out->n;
	const bool bad = is_bad(r->flow, r->event);
	size_t at = pb_open(&p, ENVELOPE_ENTRY);
	char name[32];

	(void)snprintf(name, sizeof(name), "kindred.flow.%s", line_event_name(r->event));
	pb_fixed64(&p, LOG_TIME, line_wall(event_time(r), r->offset));
	pb_varint(&p, LOG_SEVERITY, bad ? SEVERITY_WARN : SEVERITY_INFO);
	pb_text(&p, LOG_SEVERITY_TEXT, bad ? STR("WARN") : STR("INFO"));
	put_body(&p, r);
	put_attributes(&p, r);
	pb_fixed64(&p, LOG_OBSERVED, r->observed);
	pb_text(&p, LOG_EVENT_NAME, str_of(name));
	pb_close(&p, at);
	if (p.r < 0)
		out->n = before;
	return p.r;
}

int records_encode(struct str entries, const struct otlp_source *s, struct buf *out)
{
	struct pb_out p = {.out = out};
	struct envelope around = envelope_begin(&p, s);

	pb_raw(&p, entries);
	envelope_end(&p, around);
	return p.r;
}
