/* Readiness as text and as JSON; see ready.h. */
#include "serve/ready.h"

#include "base/json_out.h"
#include "base/mem.h"
#include "serve/parts.h"

#include <stdarg.h>
#include <stdio.h>

#define CONDITIONS_MAX (1UL << 20) /* bytes */
#define WORDS_MAX      512

struct ready {
	bool json;
	struct buf good, bad; /* lines, or elements of a list with commas between */
	unsigned n, failed;
	int r;
};

static void put_line(struct buf *out, const char *name, bool ok, const char *words)
{
	(void)buf_printf(out, "[%c] %s: %s\n", ok ? '+' : '-', name, words);
}

static int put_element(struct buf *out, const char *name, bool ok, const char *words)
{
	struct json_out j = {.out = out, .comma = out->n > 0};

	json_open(&j, NULL, '{');
	json_text(&j, "name", str_of(name));
	json_bool(&j, "ok", ok);
	json_text(&j, "message", str_of(words));
	json_close(&j, '{');
	return j.r;
}

void ready_put(struct ready *r, const char *name, bool ok, const char *fmt, ...)
{
	struct buf *out = ok ? &r->good : &r->bad;
	char words[WORDS_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(words, sizeof(words), fmt, ap);
	va_end(ap);
	for (char *p = words; *p; p++) /* a line each */
		*p = (unsigned char)*p < ' ' ? ' ' : *p;
	r->n++;
	r->failed += !ok;
	if (!r->json)
		put_line(out, name, ok, words);
	else if (r->r == 0)
		r->r = put_element(out, name, ok, words);
}

static int put_text(struct ready *r, struct buf *out)
{
	int e = r->failed ? buf_printf(out, "not ready: %u of %u conditions fail%s\n", r->failed,
				       r->n, r->failed == 1 ? "s" : "")
			  : buf_append_str(out, STR("ready\n"));

	if (e == 0)
		e = buf_append_str(out, buf_str(&r->bad));
	return e < 0 ? e : buf_append_str(out, buf_str(&r->good));
}

static int put_json(struct ready *r, struct buf *out)
{
	struct json_out j = {.out = out, .r = r->r};

	json_open(&j, NULL, '{');
	json_bool(&j, "ready", !r->failed);
	json_open(&j, "conditions", '[');
	if (r->bad.n)
		json_raw(&j, NULL, buf_str(&r->bad));
	if (r->good.n)
		json_raw(&j, NULL, buf_str(&r->good));
	json_close(&j, '[');
	json_close(&j, '{');
	return j.r;
}

static void ready_ask(struct serve *s, bool json, struct ready *ret)
{
	*ret = (struct ready){.json = json};
	buf_init(&ret->good, CONDITIONS_MAX);
	buf_init(&ret->bad, CONDITIONS_MAX);
	if (s->o.conditions)
		s->o.conditions(s->o.ctx, ret);
}

static void ready_done(struct ready *r)
{
	buf_done(&r->good);
	buf_done(&r->bad);
}

int serve_ready_json(struct serve *s, struct buf *out)
{
	struct ready r;
	int e;

	ready_ask(s, true, &r);
	e = put_json(&r, out);
	ready_done(&r);
	return e;
}

/* output=json or output=text; false: refused. */
static bool take_query(struct web_client *c, struct str query, bool *ret_json)
{
	char name[FILTER_TEXT_MAX], value[FILTER_TEXT_MAX];
	int r;

	*ret_json = false;
	while ((r = query_next(&query, name, value)) > 0) {
		*ret_json = strcmp(value, "json") == 0;
		if (strcmp(name, "output") != 0 || (!*ret_json && strcmp(value, "text") != 0))
			break;
	}
	if (r)
		serve_error(c, 400, STR("there is output=text and output=json"));
	return r == 0;
}

void serve_ready(struct serve *s, struct web_client *c, const struct web_request *q)
{
	_buf_ struct buf out = {.max = 3 * CONDITIONS_MAX};
	struct ready r;
	bool json;
	int e;

	if (!take_query(c, q->query, &json))
		return;
	ready_ask(s, json, &r);
	e = json ? put_json(&r, &out) : put_text(&r, &out);
	if (e == 0 && json)
		e = buf_append(&out, "\n", 1);
	if (e < 0)
		serve_error(c, 500, STR("the answer has no room in memory"));
	else
		web_reply(c, r.failed ? 503 : 200, json ? TYPE_JSON : TYPE_TEXT, buf_str(&out));
	ready_done(&r);
}
