#include "cli/status_print.h"

#include "base/json_in.h"
#include "base/json_out.h"
#include "base/mem.h"
#include "cli/prom_read.h"
#include "cli/status_advice.h"
#include "cli/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>

#define WORD_MAX 128

/* Figures of everyday interest; more is in /metrics. */
static const struct figure {
	const char *name, *metric, *with;
} figures[] = {
	{"waiting_pods", "kindred_reducer_waiting_pods", ""},
	{"resource_kinds", "kindred_resource_kinds", ""},
	{"resource_objects", "kindred_resource_objects", ""},
	{"api_requests", "kindred_api_requests_total", ""},
	{"tcp_open", "kindred_flows_open", ""},
	{"tcp_started", "kindred_flows_started_total", ""},
	{"udp_open", "kindred_flows_udp_open", ""},
	{"memory_bytes", "process_resident_memory_bytes", ""},
	{"kernel_memory_bytes", "kindred_kernel_memory_bytes", ""},
	{"cpu_seconds", "process_cpu_seconds_total", ""},
};

static double figure_of(const struct status *s, const char *metric, const char *with)
{
	return prom_sum(s->metrics, metric, with);
}

static bool has_flows(const struct status *s)
{
	struct str page = s->metrics;
	struct prom_sample one;

	while (prom_read(&page, &one))
		if (str_eq(one.name, STR("kindred_flows_started_total")))
			return true;
	return false;
}

static uint64_t uptime(const struct status *s)
{
	const double begun = figure_of(s, "process_start_time_seconds", "");
	const double now = (double)s->now / NSEC_PER_SEC;

	return begun > 0 && now > begun ? (uint64_t)(now - begun) : 0;
}

static void build_word(const struct status *s, const char *label, char ret[WORD_MAX])
{
	struct str page = s->metrics;
	struct prom_sample one;

	ret[0] = '\0';
	while (prom_read(&page, &one))
		if (str_eq(one.name, STR("kindred_build_info")))
			prom_sample_text(one.labels, label, ret, WORD_MAX);
}

static const json_t *conditions_of(const struct status *s)
{
	return json_object_get(s->ready, "conditions");
}

bool status_is_ready(const struct status *s)
{
	return json_is_true(json_object_get(s->ready, "ready"));
}

/* ---- for people ------------------------------------------------------------------------------ */

struct printing {
	const struct status *s;
	const struct sheet_look *look;
	struct buf *out;
	unsigned n; /* lines under the heading that is under way */
};

static int put_tinted(struct printing *p, enum tint tint, const char *text)
{
	return buf_printf(p->out, "%s%s%s", tint_on(tint, p->look->colours), text,
			  tint_off(tint, p->look->colours));
}

static int put_head(struct printing *p)
{
	char version[WORD_MAX], span[TEXT_FIGURE_MAX];
	const bool ready = status_is_ready(p->s);
	int r = 0;

	build_word(p->s, "version", version);
	r = put_tinted(p, ready ? TINT_GOOD : TINT_BAD, ready ? "works" : "does not work");
	r = r ?: buf_append_str(p->out, STR(": kindred "));
	r = r ?: text_put(p->out, str_of(version[0] ? version : "?"), 0, 0);
	return r
		       ?: buf_printf(p->out, " at %s, up %s\n", p->s->where,
				     text_span(uptime(p->s), span));
}

static int put_conditions(struct printing *p)
{
	static const struct sheet_column columns[] = {
		{.title = ""}, {.title = "CONDITION", .min = 16}, {.title = "STATE", .min = 24}};
	_sheet_ struct sheet *t = NULL;
	int r = sheet_new(columns, ARRAY_SIZE(columns), &t);
	const json_t *c;
	size_t i;

	json_array_foreach(conditions_of(p->s), i, c)
	{
		const bool ok = json_is_true(json_object_get(c, "ok"));

		r = r ?: sheet_put(t, ok ? STR("ok") : STR("FAILS"), ok ? TINT_GOOD : TINT_BAD);
		r = r ?: sheet_put(t, json_in_member(c, "name"), TINT_PLAIN);
		r = r ?: sheet_put(t, json_in_member(c, "message"), TINT_PLAIN);
	}
	r = r ?: buf_append_str(p->out, STR("\n"));
	return r ?: sheet_print(t, p->look, SIZE_MAX, p->out);
}

static int put_line(struct printing *p, const char *heading, struct str what, const char *advice)
{
	int r = 0;

	if (!p->n++) {
		r = buf_append_str(p->out, STR("\n"));
		r = r ?: put_tinted(p, TINT_BOLD, heading);
		r = r ?: buf_append_str(p->out, STR("\n"));
	}
	r = r ?: buf_append_str(p->out, STR("  "));
	r = r ?: text_put(p->out, what, 0, 0);
	return r ?: buf_printf(p->out, ": %s\n", advice);
}

static int put_advice(struct printing *p)
{
	const json_t *c;
	size_t i;
	int r = 0;

	p->n = 0;
	json_array_foreach(conditions_of(p->s), i, c)
	{
		if (!json_is_true(json_object_get(c, "ok")))
			r = r
				    ?: put_line(p, "WHAT TO DO", json_in_member(c, "name"),
						status_advice(json_in_member(c, "name"),
							      json_in_member(c, "message")));
	}
	return r;
}

static int put_remark(void *ctx, const char *what, const char *advice)
{
	return put_line(ctx, "WORTH A LOOK", str_of(what), advice);
}

static int put_flows(struct printing *p)
{
	if (!has_flows(p->s))
		return buf_append_str(p->out,
				      STR("flows   off: its log says why (--flows, and what "
					  "they need)\n"));
	return buf_printf(p->out, "flows   %.0f TCP open, %.0f since it began; %.0f UDP\n",
			  figure_of(p->s, "kindred_flows_open", ""),
			  figure_of(p->s, "kindred_flows_started_total", ""),
			  figure_of(p->s, "kindred_flows_udp_open", ""));
}

static int put_figures(struct printing *p)
{
	const double kinds = figure_of(p->s, "kindred_resource_kinds", "");
	char memory[TEXT_FIGURE_MAX], kernel[TEXT_FIGURE_MAX];
	int r = buf_printf(
		p->out, "\npods    %" PRIu64 " of %" PRIu64 " workloads; %.0f wait for an owner\n",
		p->s->pods, p->s->workloads, figure_of(p->s, "kindred_reducer_waiting_pods", ""));

	r = r ?: put_flows(p);
	if (kinds > 0)
		r = r
			    ?: buf_printf(p->out, "objects %.0f of %.0f kinds\n",
					  figure_of(p->s, "kindred_resource_objects", ""), kinds);
	return r
		       ?: buf_printf(p->out, "memory  %s, in the kernel %s; CPU %.1f s\n",
				     text_bytes((uint64_t)figure_of(
							p->s, "process_resident_memory_bytes", ""),
						memory),
				     text_bytes((uint64_t)figure_of(
							p->s, "kindred_kernel_memory_bytes", ""),
						kernel),
				     figure_of(p->s, "process_cpu_seconds_total", ""));
}

int status_text(const struct status *s, const struct sheet_look *look, struct buf *out)
{
	struct printing p = {.s = s, .look = look, .out = out};
	int r = json_is_array(conditions_of(s)) ? 0 : -EBADMSG;

	r = r ?: put_head(&p);
	r = r ?: put_conditions(&p);
	r = r ?: put_advice(&p);
	p.n = 0;
	r = r ?: status_remarks(s->metrics, put_remark, &p);
	return r ?: put_figures(&p);
}

/* ---- for programs ---------------------------------------------------------------------------- */

static int put_json_remark(void *ctx, const char *what, const char *advice)
{
	struct json_out *j = ctx;

	json_open(j, NULL, '{');
	json_text(j, "what", str_of(what));
	json_text(j, "advice", str_of(advice));
	json_close(j, '{');
	return j->r;
}

static void put_json_conditions(const struct status *s, struct json_out *j)
{
	const json_t *c;
	size_t i;

	json_open(j, "conditions", '[');
	json_array_foreach(conditions_of(s), i, c)
	{
		const bool ok = json_is_true(json_object_get(c, "ok"));

		json_open(j, NULL, '{');
		json_text(j, "name", json_in_member(c, "name"));
		json_bool(j, "ok", ok);
		json_text(j, "message", json_in_member(c, "message"));
		if (!ok)
			json_text(j, "advice",
				  str_of(status_advice(json_in_member(c, "name"),
						       json_in_member(c, "message"))));
		json_close(j, '{');
	}
	json_close(j, '[');
}

int status_json(const struct status *s, struct buf *out)
{
	struct json_out j = {.out = out, .r = json_is_array(conditions_of(s)) ? 0 : -EBADMSG};
	char word[WORD_MAX];

	json_open(&j, NULL, '{');
	json_bool(&j, "ready", status_is_ready(s));
	build_word(s, "version", word);
	json_text(&j, "version", str_of(word));
	build_word(s, "commit", word);
	json_text(&j, "commit", str_of(word));
	json_u64(&j, "uptime_seconds", uptime(s));
	json_bool(&j, "flows", has_flows(s));
	put_json_conditions(s, &j);
	json_open(&j, "remarks", '[');
	(void)status_remarks(s->metrics, put_json_remark, &j);
	json_close(&j, '[');
	json_open(&j, "figures", '{');
	json_u64(&j, "pods", s->pods);
	json_u64(&j, "workloads", s->workloads);
	for (size_t i = 0; i < ARRAY_SIZE(figures); i++)
		json_u64(&j, figures[i].name,
			 (uint64_t)figure_of(s, figures[i].metric, figures[i].with));
	json_close(&j, '{');
	json_close(&j, '{');
	return j.r < 0 ? j.r : buf_append_str(out, STR("\n"));
}
