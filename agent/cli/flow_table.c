#include "cli/flow_table.h"

#include "base/mem.h"
#include "base/rfc3339.h"
#include "cli/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum column {
	COL_TIME,
	COL_FROM,
	COL_TO,
	COL_PROTO,
	COL_STATE,
	COL_SENT,
	COL_RECEIVED,
	COL_RTT,
	COL_RETRANS,
	COL_LASTED, /* it and what follows only with `wide` */
	COL_FROM_POD,
	COL_TO_POD,
	COL_KNOWN_BY,
	_COLS
};

#define GAP	  2
#define CELL_MAX  1024
#define END_MIN	  16
#define STATE_MIN 12
#define END_WIDE  36 /* of FROM and TO where no terminal says how much room there is */

static const unsigned widths[_COLS] = {
	[COL_TIME] = 12,     [COL_PROTO] = 5,	[COL_STATE] = 18,  [COL_SENT] = 8,
	[COL_RECEIVED] = 8,  [COL_RTT] = 7,	[COL_RETRANS] = 7, [COL_LASTED] = 10,
	[COL_FROM_POD] = 48, [COL_TO_POD] = 48, [COL_KNOWN_BY] = 0};

struct row {
	char cell[_COLS][CELL_MAX];
	enum tint tint[_COLS];
};

struct layout {
	bool shown[_COLS];
	unsigned width[_COLS]; /* of the ends, too */
	bool cut;	       /* what is wider is cut */
	int last;
};

static unsigned whole_width(const struct layout *l)
{
	unsigned sum = 0;

	for (int i = 0; i < _COLS; i++)
		sum += l->shown[i] ? l->width[i] + (i == l->last ? 0 : GAP) : 0;
	return sum;
}

/* In a narrow terminal first the state is cut, then columns go. */
static void narrow(struct layout *l, unsigned width)
{
	static const enum column go[] = {COL_PROTO, COL_RTT, COL_TIME, COL_RETRANS, COL_RECEIVED};

	if (whole_width(l) > width)
		l->width[COL_STATE] = STATE_MIN;
	for (size_t i = 0; i < ARRAY_SIZE(go) && whole_width(l) > width; i++) {
		l->shown[go[i]] = false;
		while (!l->shown[l->last])
			l->last--;
	}
}

/* What is left of the terminal goes to the two ends. */
static void lay_out(const struct sheet_look *look, struct layout *ret)
{
	struct layout l = {.last = look->wide ? _COLS - 1 : COL_RETRANS, .cut = look->width > 0};
	unsigned taken;

	memcpy(l.width, widths, sizeof(l.width));
	for (int i = 0; i <= l.last; i++)
		l.shown[i] = true;
	l.width[COL_FROM] = l.width[COL_TO] = look->width ? END_MIN : END_WIDE;
	if (look->width) {
		narrow(&l, look->width);
		taken = whole_width(&l);
		taken = look->width > taken ? (look->width - taken) / 2 : 0;
		l.width[COL_FROM] = l.width[COL_TO] = END_MIN + taken;
	}
	*ret = l;
}

static int put_cell(const struct row *row, int i, const struct layout *l, bool colours,
		    struct buf *out)
{
	const size_t room = l->width[i], most = l->cut ? room : 0;
	const size_t n = text_count(str_of(row->cell[i])), used = most && n > most ? most : n;
	int r = buf_append_str(out, str_of(tint_on(row->tint[i], colours)));

	r = r ?: text_put(out, str_of(row->cell[i]), most, 0);
	r = r ?: buf_append_str(out, str_of(tint_off(row->tint[i], colours)));
	if (r == 0 && i != l->last)
		r = buf_printf(out, "%*s", (int)(MAX(room, used) + GAP - used), "");
	return r;
}

static int put_row(const struct row *row, const struct sheet_look *look, struct buf *out)
{
	struct layout l;
	int r = 0;

	lay_out(look, &l);
	for (int i = 0; i < _COLS && r == 0; i++)
		if (l.shown[i])
			r = put_cell(row, i, &l, look->colours, out);
	return r < 0 ? r : buf_append_str(out, STR("\n"));
}

int flow_table_head(const struct sheet_look *look, struct buf *out)
{
	struct row head = {.cell = {"TIME (UTC)", "FROM", "TO", "PROTO", "STATE", "SENT",
				    "RECEIVED", "RTT", "RETRANS", "LASTED", "FROM POD", "TO POD",
				    "KNOWN BY"}};

	for (int i = 0; i < _COLS; i++)
		head.tint[i] = TINT_BOLD;
	return put_row(&head, look, out);
}

/* ---- cells ----------------------------------------------------------------------------------- */

static const char *word_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static uint64_t number_of(const json_t *o, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(o, key));
}

static void rtt_text(const json_t *flow, char cell[CELL_MAX])
{
	uint64_t us = number_of(flow, "rtt_us");

	if (!us)
		(void)snprintf(cell, CELL_MAX, "-");
	else if (us < 1000)
		(void)snprintf(cell, CELL_MAX, "%" PRIu64 "us", us);
	else if (us < 10000000)
		(void)snprintf(cell, CELL_MAX, "%.1fms", (double)us / 1000);
	else
		(void)snprintf(cell, CELL_MAX, "%.1fs", (double)us / 1000000);
}

/* NAMESPACE/WORKLOAD, or the address of who has no name; with the port of a server. */
static void end_text(const json_t *end, bool server, const char *arrow, char cell[CELL_MAX])
{
	const char *ns = word_of(end, "namespace"), *name = word_of(end, "workload");
	const char *addr = word_of(end, "address");
	bool v6 = !name[0] && server && strchr(addr, ':');
	char port[16] = "";

	if (server)
		(void)snprintf(port, sizeof(port), ":%u", (unsigned)number_of(end, "port"));
	(void)snprintf(cell, CELL_MAX, "%s%.300s%s%s%.300s%s%s", arrow, name[0] ? ns : "",
		       name[0] && ns[0] ? "/" : "", v6 ? "[" : "", name[0] ? name : addr,
		       v6 ? "]" : "", port);
}

static void state_text(const json_t *flow, char cell[CELL_MAX])
{
	const char *state = word_of(flow, "state"), *reason = word_of(flow, "reason");
	bool refresh = strcmp(word_of(flow, "event"), "refresh") == 0;

	(void)snprintf(cell, CELL_MAX, "%.100s%s%.100s", refresh ? "active" : state,
		       reason[0] ? ":" : "", reason);
}

static void bytes_cell(const json_t *flow, const char *key, char cell[CELL_MAX])
{
	char text[TEXT_FIGURE_MAX];

	(void)snprintf(cell, CELL_MAX, "%s", text_bytes(number_of(flow, key), text));
}

static void retrans_cell(const json_t *flow, struct row *row)
{
	const uint64_t n = number_of(flow, "retransmits");

	if (json_object_get(flow, "retransmits"))
		(void)snprintf(row->cell[COL_RETRANS], CELL_MAX, "%" PRIu64, n);
	else
		(void)snprintf(row->cell[COL_RETRANS], CELL_MAX, "-");
	row->tint[COL_RETRANS] = n ? TINT_WARN : TINT_PLAIN;
}

static enum tint state_tint(const json_t *flow)
{
	const char *state = word_of(flow, "state");

	return strcmp(state, "failed") == 0				   ? TINT_BAD
	       : strcmp(state, "reset") == 0 || strcmp(state, "lost") == 0 ? TINT_WARN
									   : TINT_PLAIN;
}

/* ---- with everything ------------------------------------------------------------------------- */

/* Of two RFC 3339 texts of UTC. */
static void lasted_cell(const json_t *flow, char cell[CELL_MAX])
{
	const char *start = word_of(flow, "start"), *time = word_of(flow, "time");
	int64_t from, to;

	if (rfc3339_parse(str_of(start), &from) == 0 && rfc3339_parse(str_of(time), &to) == 0) {
		const long us = strtol(strlen(time) > 20 ? time + 20 : "0", NULL, 10) -
				strtol(strlen(start) > 20 ? start + 20 : "0", NULL, 10);

		(void)snprintf(cell, CELL_MAX, "%.3fs", (double)(to - from) + (double)us / 1e6);
	}
}

static void pod_cell(const json_t *end, char cell[CELL_MAX])
{
	const char *pod = word_of(end, "pod"), *addr = word_of(end, "address");
	const bool v6 = strchr(addr, ':');

	(void)snprintf(cell, CELL_MAX, "%.300s%s%s%.64s%s:%u", pod, pod[0] ? "@" : "",
		       v6 ? "[" : "", addr, v6 ? "]" : "", (unsigned)number_of(end, "port"));
}

static void known_cell(const json_t *from, const json_t *to, char cell[CELL_MAX])
{
	const char *a = word_of(from, "reason"), *b = word_of(to, "reason");

	(void)snprintf(cell, CELL_MAX, "%.20s%s%.20s, %.20s%s%.20s", word_of(from, "known_by"),
		       a[0] ? ":" : "", a, word_of(to, "known_by"), b[0] ? ":" : "", b);
}

int flow_table_row(const json_t *flow, const struct sheet_look *look, struct buf *out)
{
	const json_t *local = json_object_get(flow, "local");
	const json_t *remote = json_object_get(flow, "remote");
	const char *direction = word_of(flow, "direction"), *time = word_of(flow, "time");
	const bool in = strcmp(direction, "in") == 0;
	const json_t *from = in ? remote : local, *to = in ? local : remote;
	struct row row = {.tint = {[COL_STATE] = state_tint(flow)}};

	if (!local || !remote)
		return -EBADMSG;
	(void)snprintf(row.cell[COL_TIME], CELL_MAX, "%.12s", strlen(time) > 23 ? time + 11 : time);
	/* Either may be the server where it is not known who began. */
	end_text(from, !direction[0], "", row.cell[COL_FROM]);
	end_text(to, true, direction[0] ? "-> " : "<> ", row.cell[COL_TO]);
	(void)snprintf(row.cell[COL_PROTO], CELL_MAX, "%.16s", word_of(flow, "proto"));
	state_text(flow, row.cell[COL_STATE]);
	bytes_cell(flow, in ? "bytes_received" : "bytes_sent", row.cell[COL_SENT]);
	bytes_cell(flow, in ? "bytes_sent" : "bytes_received", row.cell[COL_RECEIVED]);
	rtt_text(flow, row.cell[COL_RTT]);
	retrans_cell(flow, &row);
	lasted_cell(flow, row.cell[COL_LASTED]);
	pod_cell(from, row.cell[COL_FROM_POD]);
	pod_cell(to, row.cell[COL_TO_POD]);
	known_cell(from, to, row.cell[COL_KNOWN_BY]);
	return put_row(&row, look, out);
}
