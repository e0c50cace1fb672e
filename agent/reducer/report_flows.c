#include "reducer/report_flows.h"

#include "base/mem.h"
#include "proto/print.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- JSON ------------------------------------------------------------------------------------ */

static int end_json(const char *name, const struct traffic_end *e, struct buf *out)
{
	int r = buf_printf(out, ",\"%s\":{\"type\":\"%s\",\"ns\":", name,
			   traffic_type_name(e->type));

	if (r == 0)
		r = wire_print_text(e->ns, out);
	if (r == 0)
		r = buf_append_str(out, STR(",\"workload\":"));
	if (r == 0)
		r = wire_print_text(e->workload, out);
	return r < 0 ? r : buf_append_str(out, STR("}"));
}

static uint64_t average(uint64_t sum, uint64_t n)
{
	return n ? sum / n : 0;
}

static int row_json(const struct traffic_row *x, struct buf *out)
{
	int r = buf_printf(out, "{\"event\":\"flow\",\"proto\":\"%s\"", x->udp ? "udp" : "tcp");

	if (r == 0)
		r = end_json("source", &x->from, out);
	if (r == 0)
		r = end_json("dest", &x->to, out);
	if (r == 0)
		r = buf_printf(out,
			       ",\"connections\":%" PRIu64 ",\"open\":%" PRIu64
			       ",\"bytes\":%" PRIu64 ",\"packets\":%" PRIu64
			       ",\"bytes_back\":%" PRIu64 ",\"packets_back\":%" PRIu64,
			       x->connections, x->open, x->bytes, x->packets, x->bytes_back,
			       x->packets_back);
	if (r == 0 && !x->udp)
		r = buf_printf(out,
			       ",\"retrans\":%" PRIu64 ",\"resets\":%" PRIu64
			       ",\"syn_timeouts\":%" PRIu64 ",\"rtt_avg_us\":%" PRIu64,
			       x->retrans, x->resets, x->syn_timeouts,
			       average(x->rtt_sum, x->rtt_n));
	if (r == 0 && x->udp)
		r = buf_printf(out,
			       ",\"drops\":%" PRIu64 ",\"dns_responses\":%" PRIu64
			       ",\"dns_timeouts\":%" PRIu64 ",\"dns_avg_us\":%" PRIu64,
			       x->drops, x->dns_responses, x->dns_timeouts,
			       average(x->dns_ns, x->dns_n) / 1000);
	return r < 0 ? r : buf_append_str(out, STR("}\n"));
}

int report_flow(const struct traffic_row *row, struct buf *out)
{
	const size_t before = out->n;
	const int r = row_json(row, out);

	if (r < 0)
		out->n = before;
	return r;
}

static int by_place(const void *a, const void *b)
{
	return traffic_same_order(a, b);
}

static bool is_same(const struct traffic_row *a, const struct traffic_row *b)
{
	return a->connections == b->connections && a->open == b->open && a->bytes == b->bytes &&
	       a->packets == b->packets && a->bytes_back == b->bytes_back &&
	       a->packets_back == b->packets_back && a->retrans == b->retrans &&
	       a->resets == b->resets && a->syn_timeouts == b->syn_timeouts &&
	       a->drops == b->drops && a->rtt_n == b->rtt_n &&
	       a->dns_responses == b->dns_responses && a->dns_timeouts == b->dns_timeouts;
}

void report_grown_done(struct report_grown *g)
{
	free(g->rows);
	*g = (struct report_grown){0};
}

int report_grown(struct report_grown *g, const struct traffic *t, struct buf *out)
{
	struct traffic_row *rows;
	size_t n;
	int r;

	r = traffic_rows(t, &rows, &n);
	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < n; i++) {
		const struct traffic_row *old =
			g->n ? bsearch(&rows[i], g->rows, g->n, sizeof(*rows), by_place) : NULL;

		if (!old || !is_same(old, &rows[i]))
			r = report_flow(&rows[i], out);
	}
	qsort(rows, n, sizeof(*rows), by_place);
	free(g->rows);
	*g = (struct report_grown){rows, n};
	return r;
}

/* ---- the table ------------------------------------------------------------------------------- */

#define GAP	 2
#define CELL_MAX 96
enum column {
	COL_FROM,
	COL_TO,
	COL_PROTO,
	COL_CONNS,
	COL_BYTES,
	COL_BACK,
	COL_RETRANS,
	COL_RTT,
	_COL_MAX
};
static const char *const titles[_COL_MAX] = {"FROM",  "TO",   "PROTO",	 "CONNS",
					     "BYTES", "BACK", "RETRANS", "RTT"};

struct cells {
	char text[_COL_MAX][CELL_MAX];
};

/* Keeps control bytes from the terminal; a longer name is cut with "~". */
static void put_end(char *dst, const struct traffic_end *e)
{
	const size_t max = 60;
	char text[1200];
	size_t n;

	(void)snprintf(text, sizeof(text), "%.*s%s%.*s", (int)MIN(e->ns.n, (size_t)500),
		       e->ns.n ? e->ns.p : "", e->ns.n ? "/" : "",
		       (int)MIN(e->workload.n, (size_t)500), e->workload.n ? e->workload.p : "");
	n = strlen(text);
	for (size_t i = 0; i < n && i < max; i++)
		dst[i] = (unsigned char)text[i] < 0x20 || text[i] == 0x7f ? '?' : text[i];
	dst[MIN(n, max)] = '\0';
	if (n > max)
		dst[max - 1] = '~';
}

static void put_size(char *dst, uint64_t n)
{
	static const char units[] = "BKMGTPE";
	double v = (double)n;
	int u = 0;

	for (; v >= 1024 && u < 6; u++)
		v /= 1024;
	if (u)
		(void)snprintf(dst, CELL_MAX, "%.1f%ci", v, units[u]);
	else
		(void)snprintf(dst, CELL_MAX, "%" PRIu64, n);
}

static void put_time(char *dst, uint64_t us, uint64_t n)
{
	if (!n)
		(void)snprintf(dst, CELL_MAX, "-");
	else if (us < 1000)
		(void)snprintf(dst, CELL_MAX, "%" PRIu64 "us", us);
	else
		(void)snprintf(dst, CELL_MAX, "%.1fms", (double)us / 1000);
}

static void cells_of(const struct traffic_row *x, struct cells *c)
{
	put_end(c->text[COL_FROM], &x->from);
	put_end(c->text[COL_TO], &x->to);
	(void)snprintf(c->text[COL_PROTO], CELL_MAX, "%s", x->udp ? "udp" : "tcp");
	(void)snprintf(c->text[COL_CONNS], CELL_MAX, "%" PRIu64, x->connections);
	put_size(c->text[COL_BYTES], x->bytes);
	put_size(c->text[COL_BACK], x->bytes_back);
	(void)snprintf(c->text[COL_RETRANS], CELL_MAX, "%" PRIu64, x->retrans);
	put_time(c->text[COL_RTT], average(x->rtt_sum, x->rtt_n), x->rtt_n);
}

static void widen(int *widths, const struct cells *c)
{
	for (int i = 0; i < _COL_MAX; i++)
		widths[i] = MAX(widths[i], (int)strlen(c->text[i]));
}

/* Names to the left, figures to the right. */
static int print_row(const int *widths, const struct cells *c, struct buf *out)
{
	int r = 0;

	for (int i = 0; r == 0 && i < _COL_MAX; i++)
		r = buf_printf(out, i < COL_CONNS ? "%-*s" : "%*s",
			       i < COL_CONNS ? widths[i] + GAP : widths[i], c->text[i]);
	return r < 0 ? r : buf_append_str(out, STR("\n"));
}

static int print_rows(const struct traffic_row *rows, size_t n, struct buf *out)
{
	int widths[_COL_MAX] = {0}, r;
	struct cells head, c;

	for (int i = 0; i < _COL_MAX; i++)
		(void)snprintf(head.text[i], CELL_MAX, "%s", titles[i]);
	widen(widths, &head);
	for (size_t i = 0; i < n; i++) {
		cells_of(&rows[i], &c);
		widen(widths, &c);
	}
	for (int i = COL_CONNS + 1; i < _COL_MAX; i++)
		widths[i] += GAP;
	r = print_row(widths, &head, out);
	for (size_t i = 0; r == 0 && i < n; i++) {
		cells_of(&rows[i], &c);
		r = print_row(widths, &c, out);
	}
	return r;
}

int report_traffic(const struct traffic *t, size_t max_rows, struct buf *out)
{
	_free_ struct traffic_row *rows = NULL;
	size_t n, shown;
	int r;

	r = traffic_rows(t, &rows, &n);
	if (r < 0 || !n)
		return r;
	n = traffic_merge(rows, n);
	shown = max_rows && max_rows < n ? max_rows : n;
	r = print_rows(rows, shown, out);
	return r < 0 || shown == n ? r : buf_printf(out, "... and %zu more\n", n - shown);
}
