#include "sink/otlp/points.h"

#include "base/mem.h"
#include "peers/varint.h"

#define POINT_MAX 192 /* bytes of a point beside its pair's attributes */

/* opentelemetry/proto/metrics/v1/metrics.proto */
enum {
	METRIC_NAME = 1,
	METRIC_DESCRIPTION = 2,
	METRIC_UNIT = 3,
	METRIC_SUM = 7,
	METRIC_HISTOGRAM = 9
};
enum { DATA_POINTS = 1, DATA_TEMPORALITY = 2, DATA_MONOTONIC = 3 };
enum { TEMPORALITY_CUMULATIVE = 2 };
enum { POINT_START = 2, POINT_TIME = 3, POINT_INT = 6, POINT_ATTRIBUTES = 7 };
enum { HIST_COUNT = 4, HIST_SUM = 5, HIST_ATTRIBUTES = 9 };

struct family {
	const char *name, *description, *unit;
	unsigned first, last; /* series of a pair */
};

static const struct family families[] = {
	{.name = "kindred.flow.io",
	 .description = "Payload bytes between two workloads.",
	 .unit = "By",
	 .first = PAIR_SENT,
	 .last = PAIR_RECEIVED},
	{.name = "kindred.flow.connections",
	 .description = "TCP connections that came up, and UDP conversations.",
	 .unit = "{connection}",
	 .first = PAIR_CONNECTIONS,
	 .last = PAIR_CONNECTIONS},
	{.name = "kindred.flow.failures",
	 .description = "TCP connections that never came up.",
	 .unit = "{connection}",
	 .first = PAIR_FAILED,
	 .last = PAIR_MAX - 1},
	{.name = "kindred.flow.resets",
	 .description = "TCP connections that came up and ended by a reset or an error.",
	 .unit = "{connection}",
	 .first = PAIR_RESETS,
	 .last = PAIR_RESETS},
	{.name = "kindred.flow.retransmits",
	 .description = "TCP segments sent again, SYNs included.",
	 .unit = "{segment}",
	 .first = PAIR_RETRANSMITS,
	 .last = PAIR_RETRANSMITS},
	{.name = "kindred.flow.rtt",
	 .description =
		 "Smoothed round-trip time of TCP, each time a connection's counters were read.",
	 .unit = "s",
	 .first = PAIR_RTT_COUNT,
	 .last = PAIR_RTT_COUNT},
	{.name = "kindred.flow.drops",
	 .description = "UDP datagrams that arrived and found the socket's queue full.",
	 .unit = "{datagram}",
	 .first = PAIR_DROPPED,
	 .last = PAIR_DROPPED},
};

/* ---- names of a pair ------------------------------------------------------------------------- */

int points_label(const struct flow_view *v, struct buf *out)
{
	struct attrs a = {.pb = {.out = out}};

	attrs_ends(&a, v, false);
	attr_text(&a, "network.transport", str_of(flow_proto_name(v->proto)));
	return a.pb.r;
}

/* Of what found no room: the same in both ends, as in `other` of /metrics. */
static void label_other(enum flow_proto proto, struct buf *out)
{
	struct attrs a = {.pb = {.out = out}};

	attr_text(&a, "source.kindred.workload.name", STR("other"));
	attr_text(&a, "destination.kindred.workload.name", STR("other"));
	attr_text(&a, "network.transport", str_of(flow_proto_name(proto)));
}

/* ---- points ---------------------------------------------------------------------------------- */

struct encode {
	struct pb_out *p;
	nsec_t wall;
	uint64_t points;
	size_t data; /* the metric's, once it has begun */
	size_t metric;
};

static void put_labels(struct pb_out *p, unsigned field, struct str labels)
{
	uint64_t n;

	while (labels.n && varint_take(&labels, &n) == 0 && n <= labels.n) {
		pb_bytes(p, field, str_make(labels.p, n));
		labels = str_from(labels, n);
	}
}

/* The attribute besides the pair's own, if the series has one. */
static void put_extra(struct pb_out *p, unsigned series)
{
	struct attrs a = {.pb = *p, .field = POINT_ATTRIBUTES};

	if (series == PAIR_SENT || series == PAIR_RECEIVED)
		attr_text(&a, "network.io.direction",
			  series == PAIR_SENT ? STR("transmit") : STR("receive"));
	else if (series >= PAIR_FAILED)
		attr_text(&a, "error.type",
			  str_of(flow_reason_name((enum flow_reason)(series - PAIR_FAILED))));
	*p = a.pb;
}

/* A clock that was set back leaves nothing that ends before it began. */
static size_t begin_point(struct encode *e, nsec_t born)
{
	size_t at = pb_open(e->p, DATA_POINTS);

	pb_fixed64(e->p, POINT_START, born);
	pb_fixed64(e->p, POINT_TIME, MAX(e->wall, born));
	e->points++;
	return at;
}

static void put_count(struct encode *e, const struct pair *x, nsec_t born, unsigned series,
		      struct str labels)
{
	size_t at = begin_point(e, born);

	pb_fixed64(e->p, POINT_INT, x->v[series]);
	put_labels(e->p, POINT_ATTRIBUTES, labels);
	put_extra(e->p, series);
	pb_close(e->p, at);
}

static void put_rtt(struct encode *e, const struct pair *x, nsec_t born, struct str labels)
{
	size_t at = begin_point(e, born);

	pb_fixed64(e->p, HIST_COUNT, x->v[PAIR_RTT_COUNT]);
	pb_double(e->p, HIST_SUM, (double)x->v[PAIR_RTT_SUM] / 1e6);
	put_labels(e->p, HIST_ATTRIBUTES, labels);
	pb_close(e->p, at);
}

/* A metric without points is none: it begins with its first. */
static void begin_metric(struct encode *e, const struct family *f)
{
	if (e->metric)
		return;
	e->metric = pb_open(e->p, ENVELOPE_ENTRY);
	pb_text(e->p, METRIC_NAME, str_of(f->name));
	pb_text(e->p, METRIC_DESCRIPTION, str_of(f->description));
	pb_text(e->p, METRIC_UNIT, str_of(f->unit));
	e->data = pb_open(e->p, f->first == PAIR_RTT_COUNT ? METRIC_HISTOGRAM : METRIC_SUM);
}

static void end_metric(struct encode *e, const struct family *f)
{
	if (!e->metric)
		return;
	pb_varint(e->p, DATA_TEMPORALITY, TEMPORALITY_CUMULATIVE);
	if (f->first != PAIR_RTT_COUNT)
		pb_varint(e->p, DATA_MONOTONIC, 1);
	pb_close(e->p, e->data);
	pb_close(e->p, e->metric);
	e->metric = 0;
}

static void put_pair(struct encode *e, const struct family *f, const struct pair *x, nsec_t born,
		     struct str labels)
{
	for (unsigned i = f->first; i <= f->last; i++) {
		if (!(x->has & 1U << i))
			continue;
		begin_metric(e, f);
		if (i == PAIR_RTT_COUNT)
			put_rtt(e, x, born, labels);
		else
			put_count(e, x, born, i, labels);
	}
}

/* ---- a request ------------------------------------------------------------------------------- */

static void put_others(struct encode *e, const struct pairs *p, const struct family *f)
{
	for (int i = 0; i < _FLOW_PROTO_MAX; i++) {
		char room[256];
		struct buf labels = {.p = room, .cap = sizeof(room), .max = sizeof(room)};

		label_other((enum flow_proto)i, &labels);
		put_pair(e, f, &p->other[i], p->born, buf_str(&labels));
	}
}

/* The last pair that has room behind the first. */
static pool_id last_of(const struct pairs *p, pool_id first, size_t max)
{
	pool_id last = 0;
	size_t sum = 0;

	for (pool_id id = first; id; id = pairs_after(p, id)) {
		const struct pair *x = pairs_at(p, id);

		sum += (size_t)__builtin_popcount(x->has) * (x->n_labels + POINT_MAX);
		if (last && sum > max)
			break;
		last = id;
	}
	return last;
}

static void put_family(struct encode *e, const struct pairs *p, const struct family *f, bool others,
		       pool_id first, pool_id last)
{
	if (others)
		put_others(e, p, f);
	for (pool_id id = first; id && id <= last; id = pairs_after(p, id)) {
		const struct pair *x = pairs_at(p, id);

		put_pair(e, f, x, x->born, str_make(x->labels, x->n_labels));
	}
	end_metric(e, f);
}

int points_encode(const struct pairs *p, const struct otlp_source *s, nsec_t wall, size_t max,
		  struct points_from *at, struct buf *out)
{
	const pool_id first = pairs_after(p, at->pair), last = first ? last_of(p, first, max) : 0;
	struct pb_out pb = {.out = out};
	struct encode e = {.p = &pb, .wall = wall};
	struct envelope around = envelope_begin(&pb, s);

	for (size_t i = 0; i < ARRAY_SIZE(families); i++)
		put_family(&e, p, &families[i], !at->others, first, last);
	envelope_end(&pb, around);
	if (pb.r < 0)
		return pb.r;
	*at = (struct points_from){.others = true, .pair = last, .points = e.points};
	return last && pairs_after(p, last) != 0;
}
