#include "cli/flow_table.h"

#include "base/mem.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
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
	_COLS
};

#define GAP	 2
#define CELL_MAX 1024
#define END_MIN	 16
#define END_WIDE 36 /* of FROM and TO where no terminal says how much room there is */

static const unsigned widths[_COLS] = {
	[COL_TIME] = 12,    [COL_PROTO] = 5, [COL_STATE] = 18, [COL_SENT] = 8,
	[COL_RECEIVED] = 8, [COL_RTT] = 7,   [COL_RETRANS] = 7};

struct row {
	char cell[_COLS][CELL_MAX];
};

/* ---- text ------------------------------------------------------------------------------------ */

/* Bytes of the next character; *ret_ok: it can be shown. C1 controls are U+0080 to U+009F. */
static size_t character(struct str s, bool *ret_ok)
{
	size_t n = s.p ? str_utf8(s) : 0;
	unsigned char c = n ? (unsigned char)s.p[0] : 0;

	*ret_ok = n > 0 && c >= 0x20 && c != 0x7f && !(c == 0xc2 && (unsigned char)s.p[1] < 0xa0);
	return n ? n : 1;
}

static size_t count(struct str s)
{
	size_t n = 0;
	bool ok;

	for (; s.n; n++)
		s = str_from(s, character(s, &ok));
	return n;
}

int text_put(struct buf *out, struct str s, size_t most, size_t pad)
{
	size_t n = count(s), shown = most && n > most ? most - 1 : n;
	bool cut = shown < n;
	int r = 0;

	for (size_t i = 0; i < shown && r == 0; i++) {
		bool ok;
		size_t bytes = character(s, &ok);

		r = ok ? buf_append(out, s.p, bytes) : buf_append_str(out, STR("?"));
		s = str_from(s, bytes);
	}
	if (cut && r == 0)
		r = buf_append_str(out, STR("\xe2\x80\xa6")); /* … */
	for (size_t i = shown + cut; i < pad && r == 0; i++)
		r = buf_append_str(out, STR(" "));
	return r;
}

/* What is left of the terminal goes to the two ends. */
static unsigned end_width(unsigned width)
{
	unsigned fixed = (_COLS - 1) * GAP;

	if (!width)
		return END_WIDE;
	for (int i = 0; i < _COLS; i++)
		fixed += widths[i];
	return width > fixed + 2 * END_MIN ? (width - fixed) / 2 : END_MIN;
}

static int put_row(const struct row *row, unsigned width, struct buf *out)
{
	int r = 0;

	for (int i = 0; i < _COLS && r == 0; i++) {
		bool end = i == COL_FROM || i == COL_TO;
		size_t room = end ? end_width(width) : widths[i];

		r = text_put(out, str_of(row->cell[i]), end && width ? room : 0,
			     i == _COLS - 1 ? 0 : room + GAP);
	}
	return r < 0 ? r : buf_append_str(out, STR("\n"));
}

int flow_table_head(unsigned width, struct buf *out)
{
	const struct row head = {.cell = {"TIME (UTC)", "FROM", "TO", "PROTO", "STATE", "SENT",
					  "RECEIVED", "RTT", "RETRANS"}};

	return put_row(&head, width, out);
}

/* ---- cells ----------------------------------------------------------------------------------- */

static const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static uint64_t number_of(const json_t *o, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(o, key));
}

/* 999, 1.2K, 34M: at most six characters. */
static void bytes_text(uint64_t n, char cell[CELL_MAX])
{
	static const char units[] = "BKMGTPE";
	double v = (double)n;
	int i = 0;

	while (v >= 999.5 && units[i + 1]) {
		v /= 1024;
		i++;
	}
	(void)snprintf(cell, CELL_MAX, i && v < 9.95 ? "%.1f%c" : "%.0f%c", v, units[i]);
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
	const char *ns = text_of(end, "namespace"), *name = text_of(end, "workload");
	const char *addr = text_of(end, "address");
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
	const char *state = text_of(flow, "state"), *reason = text_of(flow, "reason");
	bool refresh = strcmp(text_of(flow, "event"), "refresh") == 0;

	(void)snprintf(cell, CELL_MAX, "%.100s%s%.100s", refresh ? "active" : state,
		       reason[0] ? ":" : "", reason);
}

int flow_table_row(const json_t *flow, unsigned width, struct buf *out)
{
	const json_t *local = json_object_get(flow, "local");
	const json_t *remote = json_object_get(flow, "remote");
	const char *direction = text_of(flow, "direction"), *time = text_of(flow, "time");
	bool in = strcmp(direction, "in") == 0;
	struct row row;

	if (!local || !remote)
		return -EBADMSG;
	(void)snprintf(row.cell[COL_TIME], CELL_MAX, "%.12s", strlen(time) > 23 ? time + 11 : time);
	/* Either may be the server where it is not known who began. */
	end_text(in ? remote : local, !direction[0], "", row.cell[COL_FROM]);
	end_text(in ? local : remote, true, direction[0] ? "-> " : "<> ", row.cell[COL_TO]);
	(void)snprintf(row.cell[COL_PROTO], CELL_MAX, "%.16s", text_of(flow, "proto"));
	state_text(flow, row.cell[COL_STATE]);
	bytes_text(number_of(flow, in ? "bytes_received" : "bytes_sent"), row.cell[COL_SENT]);
	bytes_text(number_of(flow, in ? "bytes_sent" : "bytes_received"), row.cell[COL_RECEIVED]);
	rtt_text(flow, row.cell[COL_RTT]);
	if (json_object_get(flow, "retransmits"))
		(void)snprintf(row.cell[COL_RETRANS], CELL_MAX, "%" PRIu64,
			       number_of(flow, "retransmits"));
	else
		(void)snprintf(row.cell[COL_RETRANS], CELL_MAX, "-");
	return put_row(&row, width, out);
}
