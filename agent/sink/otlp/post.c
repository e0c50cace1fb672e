#include "sink/otlp/post.h"

#include "base/backoff.h"
#include "base/log.h"
#include "base/mem.h"
#include "sink/otlp/gzip.h"
#include "sink/vector/service_http.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>

#define ANSWER_MAX (64U << 10) /* bytes of an answer; a collector's has a few */
#define WORDS_MAX  1024

struct post {
	struct post_opts o;
	struct service *service;
	struct event *pause;
	struct backoff backoff;
	struct rng rng;
	struct buf words;
	bool failing;
	nsec_t since;
	uint64_t requests, retries, bytes;
	size_t sending; /* bytes under way */
};

/* ---- how things stand ------------------------------------------------------------------------ */

/* A server may repeat what it was sent, and these are keys. */
static bool tells_header(const struct post *p, struct str text)
{
	const struct headers *h = p->o.headers;

	for (size_t i = 0; i < h->n; i++)
		if (memmem(text.p, text.n, h->v[i].value.p, h->v[i].value.n))
			return true;
	return false;
}

static void say(struct post *p, bool failing, struct str text)
{
	buf_reset(&p->words);
	if (text.n && tells_header(p, text))
		text = STR("the collector's words repeat a header, and are not shown");
	(void)buf_append(&p->words, text.p, MIN(text.n, (size_t)WORDS_MAX));
	if (failing == p->failing)
		return;
	p->failing = failing;
	p->since = clock_mono();
	if (failing)
		log_warn("otlp: %.*s", STR_ARG(buf_str(&p->words)));
	else
		log_info("otlp: %s: goes on", p->o.what);
}

static void pause_for(struct post *p, nsec_t retry_after)
{
	const nsec_t t = backoff_next(&p->backoff, &p->rng, clock_mono(), retry_after);
	const struct timeval tv = clock_timeval(t);

	(void)evtimer_add(p->pause, &tv);
}

static void fail(struct post *p, struct str text, nsec_t retry_after)
{
	say(p, true, text);
	pause_for(p, retry_after);
}

/* ---- an answer ------------------------------------------------------------------------------- */

static void say_taken(struct post *p, const struct otlp_answer *a)
{
	_buf_ struct buf clean = {.max = WORDS_MAX}, text = {.max = WORDS_MAX};

	service_quote(p->service, a->message, &clean);
	if (a->rejected)
		(void)buf_printf(&text, "%llu of a request were rejected%s%.*s",
				 (unsigned long long)a->rejected, clean.n ? ": " : "",
				 STR_ARG(buf_str(&clean)));
	say(p, false, text.n ? buf_str(&text) : buf_str(&clean));
}

static void say_unconfirmed(struct post *p, const struct service_answer *answer)
{
	_buf_ struct buf text = {.max = WORDS_MAX};
	const char *why = answer->end.text.n ? "what followed was cut" : "not as a collector does";

	(void)buf_printf(&text, "%s: answered %d, but %s: what was sent may have been taken",
			 p->o.what, answer->status, why);
	fail(p, buf_str(&text), 0);
}

static void on_answer(void *ctx, const struct service_answer *answer)
{
	const bool whole = answer->end.how == VECTOR_OK;
	struct post *p = ctx;
	struct otlp_answer a;
	enum otlp_end how = otlp_end_of(answer->status, whole, answer->body, &a);

	p->sending = 0;
	switch (how) {
	case OTLP_TAKEN:
		backoff_good(&p->backoff, clock_mono());
		say_taken(p, &a);
		break;
	case OTLP_UNCONFIRMED:
		say_unconfirmed(p, answer);
		break;
	case OTLP_RETRY:
		p->retries++;
		/* fall through */
	case OTLP_REFUSED:
	case _OTLP_END_MAX:
		fail(p, answer->end.text, answer->end.retry_after);
		break;
	}
	p->o.over(p->o.ctx, how, a.rejected);
}

static void on_pause(evutil_socket_t fd, short what, void *ctx)
{
	struct post *p = ctx;

	(void)fd;
	(void)what;
	p->o.due(p->o.ctx);
}

/* ---- a request ------------------------------------------------------------------------------- */

static size_t fields_of(const struct post *p, bool gzip, struct http_field ret[SERVICE_MAX_HEADERS])
{
	size_t n = 0;

	for (size_t i = 0; i < p->o.headers->n; i++)
		ret[n++] = p->o.headers->v[i];
	if (gzip)
		ret[n++] = (struct http_field){STR("Content-Encoding"), STR("gzip")};
	return n;
}

static int begin(struct post *p, struct str body, bool gzip)
{
	struct http_field fields[SERVICE_MAX_HEADERS];
	const struct service_request req = {
		.what = p->o.what,
		.method = "POST",
		.path = str_of(p->o.path),
		.type = "application/x-protobuf",
		.body = true,
		.words = otlp_status_message,
		.fields = fields,
		.n_fields = fields_of(p, gzip, fields),
		.done = on_answer,
		.ctx = p,
	};
	struct buf *out = service_body(p->service);
	int r = gzip ? gzip_put(body, out) : buf_append_str(out, body);
	const size_t n = out->n;

	if (r == 0)
		r = service_ask(p->service, &req);
	if (r < 0)
		return r;
	p->sending = n;
	p->requests++;
	p->bytes += n;
	return 0;
}

void post_send(struct post *p, struct str body, bool gzip)
{
	_buf_ struct buf error = {.max = WORDS_MAX};
	int r;

	_Static_assert(HEADERS_MAX + 1 <= SERVICE_MAX_HEADERS, "all have room");
	if (!headers_refresh(p->o.headers, &error)) {
		fail(p, buf_str(&error), 0);
		return;
	}
	r = begin(p, body, gzip);
	if (r < 0)
		fail(p, str_of(strerror(-r)), 0);
}

bool post_busy(const struct post *p)
{
	return service_busy(p->service);
}

bool post_idle(const struct post *p)
{
	return !post_busy(p) && !evtimer_pending(p->pause, NULL);
}

void post_hurry(struct post *p)
{
	(void)evtimer_del(p->pause);
}

/* ---- life ------------------------------------------------------------------------------------ */

int post_new(const struct post_opts *o, struct post **ret, struct buf *ret_error)
{
	const struct service_opts service = {.base = o->base,
					     .http = o->http,
					     .url = str_of(o->url),
					     .access = o->access,
					     .max_request = GZIP_MAX(o->max_body),
					     .max_answer = ANSWER_MAX};
	struct post *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->o = *o;
	p->since = clock_mono();
	buf_init(&p->words, WORDS_MAX);
	backoff_init(&p->backoff);
	rng_seed(&p->rng, o->seed);
	p->pause = evtimer_new(o->base, on_pause, p);
	r = p->pause ? service_new(&service, &p->service, ret_error) : -ENOMEM;
	if (r < 0) {
		post_free(&p);
		return r;
	}
	*ret = p;
	return 0;
}

void post_free(struct post **pp)
{
	struct post *p = *pp;

	*pp = NULL;
	if (!p)
		return;
	service_free(&p->service);
	if (p->pause)
		event_free(p->pause);
	buf_done(&p->words);
	free(p);
}

void post_status(const struct post *p, struct post_status *ret)
{
	*ret = (struct post_status){.failing = p->failing,
				    .words = buf_str(&p->words),
				    .since = p->since,
				    .requests = p->requests,
				    .retries = p->retries,
				    .bytes = p->bytes,
				    .held = p->sending};
}
