#include "sink/jsonl/line.h"

#include "base/json_out.h"
#include "base/mem.h"
#include "flow_abi.h"

#include <assert.h>
#include <stdlib.h>

#define TOLD_END (1ULL << 63) /* of a mark: the end was told, too */

const char *line_event_name(enum line_event e)
{
	static const char *const names[] = {"open", "refresh", "close", "fail", "drop"};

	return names[e];
}

static void put_end(struct json_out *j, const char *key, const struct addr *ip, uint16_t port,
		    const struct flow_end *e)
{
	char text[ADDR_TEXT_MAX];

	json_open(j, key, '{');
	json_text(j, "address", str_of(addr_print(ip, text)));
	json_u64(j, "port", port);
	json_some(j, "namespace", e->ns);
	json_some(j, "pod", e->pod);
	json_some(j, "container", e->container);
	json_some(j, "workload", e->workload);
	json_some(j, "workload_kind", e->workload_kind);
	json_text(j, "known_by",
		  str_of(e->known_by == KNOWN_NOT ? "unknown" : known_by_name(e->known_by)));
	if (e->known_by == KNOWN_NOT)
		json_text(j, "reason", str_of(unknown_reason_name(e->why)));
	json_close(j, '{');
}

static void put_counters(struct json_out *j, const struct flow_view *v)
{
	const struct flow_counters *c = &v->counters;
	bool tcp = v->proto == FLOW_TCP;

	json_u64(j, "bytes_sent", c->sent);
	json_u64(j, "bytes_received", c->received);
	if (tcp && c->unacked)
		json_u64(j, "unacked", c->unacked);
	json_u64(j, "segments_out", c->segs_out);
	json_u64(j, "segments_in", c->segs_in);
	if (tcp)
		json_u64(j, "retransmits", c->retrans);
	else
		json_u64(j, "dropped", c->dropped);
	if (tcp && c->rtt_us)
		json_u64(j, "rtt_us", c->rtt_us);
	if (tcp && c->rtt_min_us)
		json_u64(j, "rtt_min_us", c->rtt_min_us);
}

static void put_asked(struct json_out *j, const struct flow_view *v)
{
	char text[ADDR_TEXT_MAX];

	if (!v->translated)
		return;
	json_open(j, "asked", '{');
	json_text(j, "address", str_of(addr_print(&v->asked.ip, text)));
	json_u64(j, "port", v->asked.port);
	json_close(j, '{');
}

/* When what the line says was so. */
static nsec_t event_time(const struct flow_view *v)
{
	return v->ended ? v->ended : MAX(v->start, v->updated);
}

static void put_flow(struct json_out *j, const struct flow_view *v, enum line_event e,
		     int64_t offset)
{
	json_open(j, NULL, '{');
	json_text(j, "event", str_of(line_event_name(e)));
	json_time(j, "time", line_wall(event_time(v), offset));
	json_time(j, "start", line_wall(v->start, offset));
	json_text(j, "proto", str_of(flow_proto_name(v->proto)));
	if (v->dir != FLOW_DIR_UNKNOWN)
		json_text(j, "direction", str_of(flow_dir_name(v->dir)));
	json_text(j, "state", str_of(flow_state_name(v->state)));
	if (v->reason != FLOW_REASON_NONE)
		json_text(j, "reason", str_of(flow_reason_name(v->reason)));
	put_end(j, "local", &v->laddr, v->lport, &v->local);
	put_end(j, "remote", &v->raddr, v->rport, &v->remote);
	put_asked(j, v);
	put_counters(j, v);
	if (v->pre_existing)
		json_bool(j, "pre_existing", true);
	if (v->cgroup_id) /* ABI_CGROUP_V1 says which hierarchy; the id is what stat(1) shows */
		json_u64(j, "cgroup_id", v->cgroup_id & ~ABI_CGROUP_V1);
	if (v->netns)
		json_u64(j, "netns", v->netns);
	json_close(j, '{');
}

/* Ends the line, or takes back what was written of it. */
static int end_line(struct json_out *j, size_t before)
{
	if (j->r == 0)
		j->r = buf_append_str(j->out, STR("\n"));
	if (j->r < 0)
		j->out->n = before;
	return j->r;
}

int line_flow(const struct flow_view *v, enum line_event e, int64_t offset, struct buf *out)
{
	struct json_out j = {.out = out};
	size_t before = out->n;

	put_flow(&j, v, e, offset);
	return end_line(&j, before);
}

int line_lost(nsec_t wall, const char *why, uint64_t count, struct buf *out)
{
	struct json_out j = {.out = out};
	size_t before = out->n;

	json_open(&j, NULL, '{');
	json_text(&j, "event", str_of(line_event_name(LINE_DROP)));
	json_time(&j, "time", wall);
	json_text(&j, "reason", str_of(why));
	json_u64(&j, "count", count);
	json_close(&j, '{');
	return end_line(&j, before);
}

enum line_event line_event_of(const struct flow_view *v)
{
	switch (v->state) {
	case FLOW_CLOSED:
	case FLOW_RESET:
		return LINE_CLOSE;
	case FLOW_FAILED:
		return LINE_FAIL;
	case FLOW_LOST:
		return LINE_DROP;
	case FLOW_OPEN:
	case _FLOW_STATE_MAX:
		break;
	}
	return LINE_OPEN;
}

/* ---- which events ---------------------------------------------------------------------------- */

void line_marks_done(struct line_marks *m)
{
	free(m->serial);
	*m = (struct line_marks){0};
}

unsigned line_events(const struct line_marks *m, const struct flow_view *v, enum line_event ret[2])
{
	uint64_t mark = v->id < m->n ? m->serial[v->id] : 0;
	bool told = (mark & ~TOLD_END) == v->serial + 1;
	enum line_event e = line_event_of(v);
	unsigned n = 0;

	if (told && (mark & TOLD_END))
		return 0;
	if (!told && e != LINE_FAIL)
		ret[n++] = LINE_OPEN;
	if (e != LINE_OPEN)
		ret[n++] = e;
	else if (told)
		ret[n++] = LINE_REFRESH;
	return n;
}

int line_marks_fit(struct line_marks *m, flow_id id)
{
	if (id < m->n)
		return 0;
	return mem_reach(&m->serial, &m->n, sizeof(*m->serial), MAX(id + 1, m->n + m->n / 2));
}

void line_mark(struct line_marks *m, const struct flow_view *v)
{
	assert(v->id < m->n);
	/* One more than the serial, so that an empty mark is no flow's. */
	m->serial[v->id] = (v->serial + 1) | (v->state == FLOW_OPEN ? 0 : TOLD_END);
}
