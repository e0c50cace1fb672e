#include "cli/top_rows.h"

#include "base/json_out.h"
#include "base/mem.h"
#include "cli/prom_read.h"
#include "cli/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_ 400
#define ENDS_MAX  1024
#define ACTIVE	  0.005 /* less a second is shown as nothing */

const char *const top_sort_names[] = {"traffic", "connections", "failures", "retransmits", NULL};

/* ---- samples --------------------------------------------------------------------------------- */

/* Which figure a sample is; -1: none of them. */
static int figure_of(const struct prom_sample *s)
{
	static const struct {
		const char *name, *direction;
		enum top_figure figure;
	} all[] = {
		{"kindred_flow_bytes_total", "sent", TOP_SENT},
		{"kindred_flow_bytes_total", "received", TOP_BACK},
		{"kindred_flow_connections_total", NULL, TOP_CONNECTIONS},
		{"kindred_flow_failures_total", NULL, TOP_FAILURES},
		{"kindred_flow_retransmits_total", NULL, TOP_RETRANSMITS},
		{"kindred_flow_rtt_seconds_sum", NULL, TOP_RTT_SUM},
		{"kindred_flow_rtt_seconds_count", NULL, TOP_RTT_COUNT},
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (str_eq(s->name, str_of(all[i].name)) &&
		    (!all[i].direction ||
		     str_eq(prom_sample_label(s->labels, "direction"), str_of(all[i].direction))))
			return (int)all[i].figure;
	return -1;
}

/* The pair's own labels end with proto; what comes behind tells series of a pair apart. */
static struct str key_of(struct str labels)
{
	const struct str proto = prom_sample_label(labels, "proto");

	return proto.p ? str_make(labels.p, (size_t)(proto.p - labels.p) + proto.n + 1)
		       : (struct str){0};
}

static int by_key(const void *a, const void *b)
{
	const struct top_row *x = a, *y = b;

	return str_cmp(x->key, y->key);
}

/* Rows of one pair become one. */
static void fold(struct top_sample *s)
{
	size_t n = 0;

	if (s->n > 1)
		qsort(s->v, s->n, sizeof(*s->v), by_key);
	for (size_t i = 0; i < s->n; i++) {
		if (!n || !str_eq(s->v[n - 1].key, s->v[i].key)) {
			s->v[n++] = s->v[i];
			continue;
		}
		for (int f = 0; f < _TOP_FIGURES; f++)
			s->v[n - 1].v[f] += s->v[i].v[f];
	}
	s->n = n;
}

static int add(struct top_sample *s, size_t *cap, const struct prom_sample *one)
{
	const int figure = figure_of(one);
	const struct str key = figure < 0 ? (struct str){0} : key_of(one->labels);

	if (!key.n)
		return 0;
	if (s->n == *cap) {
		const size_t more = *cap ? 2 * *cap : 256;
		struct top_row *v = realloc(s->v, more * sizeof(*v));

		if (!v)
			return -ENOMEM;
		s->v = v;
		*cap = more;
	}
	s->v[s->n] = (struct top_row){.key = key};
	s->v[s->n++].v[figure] = one->value;
	return 0;
}

int top_sample_read(struct top_sample *s, nsec_t wall)
{
	const double now = (double)wall / NSEC_PER_SEC;
	struct str page = buf_str(&s->page);
	struct prom_sample one;
	size_t cap = 0;
	int r = 0;

	while (r == 0 && prom_read(&page, &one)) {
		if (str_eq(one.name, STR("process_start_time_seconds")))
			s->age = MAX(now - one.value, 0.0);
		s->flows = s->flows || str_eq(one.name, STR("kindred_flow_series_max"));
		r = add(s, &cap, &one);
	}
	fold(s);
	return r;
}

void top_sample_done(struct top_sample *s)
{
	free(s->v);
	buf_done(&s->page);
	*s = (struct top_sample){0};
}

/* ---- rows ------------------------------------------------------------------------------------ */

static const struct top_row *find(const struct top_sample *s, struct str key)
{
	const struct top_row want = {.key = key};

	return s && s->n ? bsearch(&want, s->v, s->n, sizeof(*s->v), by_key) : NULL;
}

int top_differences(const struct top_sample *before, const struct top_sample *now,
		    struct top_row **ret)
{
	struct top_row *v = calloc(now->n + 1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	for (size_t i = 0; i < now->n; i++) {
		const struct top_row *old = find(before, now->v[i].key);

		v[i] = now->v[i];
		for (int f = 0; old && f < _TOP_FIGURES; f++)
			v[i].v[f] -= old->v[f] <= v[i].v[f] ? old->v[f] : 0;
	}
	*ret = v;
	return 0;
}

static double sort_value(const struct top_row *r, enum top_sort by)
{
	switch (by) {
	case TOP_BY_CONNECTIONS:
		return r->v[TOP_CONNECTIONS];
	case TOP_BY_FAILURES:
		return r->v[TOP_FAILURES];
	case TOP_BY_RETRANSMITS:
		return r->v[TOP_RETRANSMITS];
	case TOP_BY_TRAFFIC:
	case _TOP_SORT_MAX:
		break;
	}
	return r->v[TOP_SENT] + r->v[TOP_BACK];
}

static int compare(const void *a, const void *b, void *ctx)
{
	const enum top_sort by = *(enum top_sort *)ctx;
	const double x = sort_value(a, by), y = sort_value(b, by);

	return x > y ? -1 : x < y ? 1 : by_key(a, b);
}

void top_sort_rows(struct top_row *v, size_t n, enum top_sort by)
{
	if (n > 1)
		qsort_r(v, n, sizeof(*v), compare, &by);
}

/* NAMESPACE/WORKLOAD; "unknown" has its reason behind it. */
static void end_text(const struct top_row *r, const char *ns, const char *workload,
		     const char *kind, char ret[NAME_MAX_])
{
	char a[128], b[260], k[64];

	prom_sample_text(r->key, ns, a, sizeof(a));
	prom_sample_text(r->key, workload, b, sizeof(b));
	prom_sample_text(r->key, kind, k, sizeof(k));
	if (a[0] || strcmp(b, "unknown") != 0 || !k[0])
		(void)snprintf(ret, NAME_MAX_, "%s%s%s", a, a[0] ? "/" : "", b);
	else
		(void)snprintf(ret, NAME_MAX_, "unknown (%s)", k);
}

static void from_text(const struct top_row *r, char ret[NAME_MAX_])
{
	end_text(r, "src_namespace", "src_workload", "src_kind", ret);
}

static void to_text(const struct top_row *r, char ret[NAME_MAX_])
{
	end_text(r, "dst_namespace", "dst_workload", "dst_kind", ret);
}

bool top_row_has(const struct top_row *r, const char *filter)
{
	char from[NAME_MAX_], to[NAME_MAX_], both[ENDS_MAX];

	from_text(r, from);
	to_text(r, to);
	(void)snprintf(both, sizeof(both), "%s -> %s", from, to);
	return strcasestr(both, filter) != NULL;
}

/* ---- output ---------------------------------------------------------------------------------- */

int top_sheet_new(struct sheet **ret)
{
	static const struct sheet_column columns[] = {
		{.title = "FROM", .min = 8},
		{.title = "TO", .min = 8},
		{.title = "PROTO"},
		{.title = "SENT/s", .right = true},
		{.title = "BACK/s", .right = true},
		{.title = "CONN/s", .right = true},
		{.title = "FAIL/s", .right = true},
		{.title = "RETR/s", .right = true},
		{.title = "RTT", .right = true},
	};

	return sheet_new(columns, ARRAY_SIZE(columns), ret);
}

static int put_bytes(struct sheet *s, double rate)
{
	char text[TEXT_FIGURE_MAX];

	return rate < ACTIVE
		       ? sheet_put(s, STR("-"), TINT_DIM)
		       : sheet_put(s, str_of(text_bytes((uint64_t)(rate + 0.5), text)), TINT_PLAIN);
}

static int put_rate(struct sheet *s, double rate, enum tint tint)
{
	if (rate < ACTIVE)
		return sheet_put(s, STR("-"), TINT_DIM);
	return sheet_printf(s, tint, rate < 9.95 ? "%.2f" : "%.0f", rate);
}

static int put_rtt(struct sheet *s, const struct top_row *r)
{
	const double n = r->v[TOP_RTT_COUNT], us = n > 0 ? r->v[TOP_RTT_SUM] / n * 1e6 : 0;

	if (us <= 0)
		return sheet_put(s, STR("-"), TINT_DIM);
	return us < 1000      ? sheet_printf(s, TINT_PLAIN, "%.0fus", us)
	       : us < 1000000 ? sheet_printf(s, TINT_PLAIN, "%.1fms", us / 1000)
			      : sheet_printf(s, TINT_PLAIN, "%.1fs", us / 1000000);
}

int top_sheet_put(struct sheet *s, const struct top_row *r, double seconds)
{
	char from[NAME_MAX_], to[NAME_MAX_], proto[16];
	int e;

	from_text(r, from);
	to_text(r, to);
	prom_sample_text(r->key, "proto", proto, sizeof(proto));
	e = sheet_put(s, str_of(from), TINT_PLAIN);
	e = e ?: sheet_put(s, str_of(to), TINT_PLAIN);
	e = e ?: sheet_put(s, str_of(proto), TINT_PLAIN);
	e = e ?: put_bytes(s, r->v[TOP_SENT] / seconds);
	e = e ?: put_bytes(s, r->v[TOP_BACK] / seconds);
	e = e ?: put_rate(s, r->v[TOP_CONNECTIONS] / seconds, TINT_PLAIN);
	e = e ?: put_rate(s, r->v[TOP_FAILURES] / seconds, TINT_BAD);
	e = e ?: put_rate(s, r->v[TOP_RETRANSMITS] / seconds, TINT_WARN);
	return e ?: put_rtt(s, r);
}

static void json_end(struct json_out *j, const char *key, const struct top_row *r,
		     const char *prefix)
{
	static const char *const parts[] = {"namespace", "workload", "kind"};
	char label[32], text[300];

	json_open(j, key, '{');
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		(void)snprintf(label, sizeof(label), "%s_%s", prefix, parts[i]);
		prom_sample_text(r->key, label, text, sizeof(text));
		json_some(j, parts[i], str_of(text));
	}
	json_close(j, '{');
}

int top_row_json(const struct top_row *r, double seconds, struct buf *out)
{
	const double n = r->v[TOP_RTT_COUNT];
	struct json_out j = {.out = out};
	char text[32];

	json_open(&j, NULL, '{');
	json_end(&j, "from", r, "src");
	json_end(&j, "to", r, "dst");
	prom_sample_text(r->key, "proto", text, sizeof(text));
	json_text(&j, "proto", str_of(text));
	(void)snprintf(text, sizeof(text), "%.3f", seconds);
	json_raw(&j, "seconds", str_of(text));
	json_u64(&j, "bytes_sent", (uint64_t)r->v[TOP_SENT]);
	json_u64(&j, "bytes_received", (uint64_t)r->v[TOP_BACK]);
	json_u64(&j, "connections", (uint64_t)r->v[TOP_CONNECTIONS]);
	json_u64(&j, "failures", (uint64_t)r->v[TOP_FAILURES]);
	json_u64(&j, "retransmits", (uint64_t)r->v[TOP_RETRANSMITS]);
	if (n > 0)
		json_u64(&j, "rtt_us", (uint64_t)(r->v[TOP_RTT_SUM] / n * 1e6));
	json_close(&j, '{');
	return j.r < 0 ? j.r : buf_append_str(out, STR("\n"));
}
