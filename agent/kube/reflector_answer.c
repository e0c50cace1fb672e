/*
 * Answers to a reflector: their heads, their bytes into the decoder, what the
 * decoder says of them, and how they end.
 */
#include "kube/reflector_parts.h"

#include "base/mem.h"
#include "kube/redact.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

/* ---- what the decoder says ---- */

static int on_bookmark(struct reflector *r, const struct object *o)
{
	r->counters.bookmarks++;
	if (r->t.kind == TRANSFER_STREAM)
		return list_marker(r, o);
	r->server_bookmarks = true;
	return 0;
}

static int on_change(struct reflector *r, enum event_type type, const struct object *o)
{
	struct object named = *o;

	if (r->kind) {
		named.api_version = str_of(r->api_version);
		named.kind = str_of(r->kind);
	}
	int e = r->o.ops->object(r->o.ctx, type, &named);
	if (e < 0) {
		r->t.stop = STOP_CONSUMER;
		r->t.consumer_error = e;
		return e;
	}
	r->counters.events++;
	return 0;
}

static int on_object(void *ctx, enum event_type type, const struct object *o)
{
	struct reflector *r = ctx;

	r->t.decoded_at = r->now;
	if (r->t.kind == TRANSFER_WATCH) /* before: the marker makes a watch of a list */
		r->just_listed = false;
	int e = type == EVENT_BOOKMARK ? on_bookmark(r, o) : on_change(r, type, o);
	if (e == 0 && r->t.kind == TRANSFER_WATCH)
		watch_moved(r, o->meta.resource_version);
	return e;
}

static int on_list(void *ctx, const struct list_meta *m)
{
	return list_meta(ctx, m);
}

static int on_status(void *ctx, const struct api_status *s)
{
	struct reflector *r = ctx;
	struct answer *a = &r->t.answer;

	a->code = s->code;
	a->retry_after = s->retry_after > 0 ? (nsec_t)s->retry_after * NSEC_PER_SEC : 0;
	redact_text(a->reason, sizeof(a->reason), s->reason);
	redact_text(a->message, sizeof(a->message), s->message);
	if (r->t.status != 200)
		return 0;
	r->t.stop = STOP_STATUS;
	return -ECANCELED;
}

static void on_bad(void *ctx, enum decode_bad why, struct str name)
{
	struct reflector *r = ctx;

	r->t.decoded_at = r->now;
	r->counters.bad[why]++;
	if (r->o.ops->bad_object)
		r->o.ops->bad_object(r->o.ctx, why, name);
}

static const struct decode_ops decode_ops = {
	.on_object = on_object,
	.on_list = on_list,
	.on_status = on_status,
	.on_bad = on_bad,
};

static int open_decoder(struct reflector *r, enum decode_body body)
{
	struct decode_opts d = {
		.format = r->format,
		.body = body,
		.shape = r->o.shape,
		.raw = r->o.raw,
		.max_object = r->o.max_object,
		.labels = r->o.labels,
		.n_labels = r->o.n_labels,
		.ops = &decode_ops,
		.ctx = r,
	};
	return decode_new(&d, &r->t.decode);
}

/* ---- errors ---- */

/* Text and HTML become the message, as far as it fits; the rest is read and dropped. */
static void error_text(struct transfer *t, const char *p, size_t n)
{
	n = MIN(n, sizeof(t->error_head) - t->n_error_head);
	memcpy(t->error_head + t->n_error_head, p, n);
	t->n_error_head += n;
}

static int error_data(struct reflector *r, const char *p, size_t n)
{
	struct transfer *t = &r->t;

	if (t->error_bytes == 0)
		t->error_plain =
			decode_sniff(str_of(t->content_type), str_make(p, n), &r->format) < 0 ||
			open_decoder(r, DECODE_STATUS) < 0;
	t->error_bytes += n;
	if (t->error_bytes > REFLECTOR_MAX_ERROR) {
		answer_refused(r);
		return -EMSGSIZE;
	}
	if (t->error_plain)
		error_text(t, p, n);
	else if (t->decode && decode_feed(t->decode, p, n) < 0)
		decode_free(&t->decode);
	return 0;
}

void answer_refused(struct reflector *r)
{
	struct transfer *t = &r->t;

	if (t->decode)
		(void)decode_finish(t->decode);
	if (!t->answer.message[0])
		redact_text(t->answer.message, sizeof(t->answer.message),
			    str_make(t->error_head, t->n_error_head));
	transfer_refused(r, t->status);
}

/* ---- heads and bytes ---- */

/* Opens the decoder once the format is known: 0, or -errno with the transfer over. */
static int sniff(struct reflector *r)
{
	struct transfer *t = &r->t;
	enum decode_body body = t->kind == TRANSFER_PAGE ? DECODE_LIST : DECODE_WATCH;
	int e = decode_sniff(str_of(t->content_type), str_make(t->head, t->n_head), &r->format);

	if (e < 0) {
		transfer_not_kubernetes(r);
		return -EPROTONOSUPPORT;
	}
	e = open_decoder(r, body);
	if (e == 0 && t->n_head)
		e = decode_feed(t->decode, t->head, t->n_head);
	t->n_head = 0;
	if (e < 0)
		transfer_stopped(r, e);
	return e;
}

int reflector_response(struct reflector *r, nsec_t now, int status, struct str content_type,
		       nsec_t retry_after)
{
	struct transfer *t = &r->t;

	r->now = now;
	if (t->kind == TRANSFER_NONE)
		return -ECANCELED;
	assert(!t->answered);
	t->answered = true;
	t->status = status;
	t->retry_after = retry_after;
	(void)snprintf(t->content_type, sizeof(t->content_type), "%.*s", STR_ARG(content_type));
	if (status != 200 || t->kind == TRANSFER_WATCH)
		t->heard = t->decoded_at = now;
	if (r->o.budget && status < 500 && status != 429)
		budget_answered(r->o.budget, now);
	if (status != 200)
		return 0;
	if (t->kind != TRANSFER_PAGE)
		r->counters.watches++;
	if (t->kind == TRANSFER_WATCH) {
		r->heard = now;
		backoff_good(&r->backoff, now);
		t->settle_at = now + WATCH_SETTLE;
	} else if (!r->cont) {
		r->o.ops->list_begin(r->o.ctx);
	}
	/* Without a type the first bytes decide. */
	return str_empty(content_type) ? 0 : sniff(r);
}

int reflector_data(struct reflector *r, nsec_t now, const void *p, size_t n)
{
	struct transfer *t = &r->t;
	const char *bytes = p;
	int e = 0;

	r->now = now;
	if (t->kind == TRANSFER_NONE)
		return -ECANCELED;
	assert(t->answered);
	t->heard = now;
	r->counters.bytes += n;
	if (t->status != 200)
		return error_data(r, bytes, n);
	t->body_seen |= n > 0;
	while (e == 0 && !t->decode && n) {
		t->head[t->n_head++] = *bytes++;
		n--;
		if (t->n_head == sizeof(t->head))
			e = sniff(r);
	}
	if (e < 0 || !n)
		return e;
	e = decode_feed(t->decode, bytes, n);
	if (e < 0)
		transfer_stopped(r, e);
	return e;
}

/* ---- ends ---- */

static void ended_clean(struct reflector *r)
{
	struct transfer *t = &r->t;

	if (!t->decode && t->n_head && sniff(r) < 0)
		return;
	int e = t->decode ? decode_finish(t->decode) : 0;
	if (e < 0)
		return transfer_stopped(r, e);
	switch (t->kind) {
	case TRANSFER_PAGE:
		if (!t->list_meta_seen)
			return transfer_bad_body(r, "it ended before the list did");
		return list_page_done(r);
	case TRANSFER_STREAM:
		list_stream_failed(r);
		r->counters.restarts++;
		return transfer_fail(r, FAILING_IF_AGAIN, 0,
				     "the streaming list ended before it was complete");
	case TRANSFER_WATCH:
		return watch_ended(r);
	case TRANSFER_NONE:
		break;
	}
}

void reflector_end(struct reflector *r, nsec_t now, enum reflector_end how, const char *text)
{
	r->now = now;
	r->abort_pending = false;
	if (r->t.kind == TRANSFER_NONE)
		return;
	if (r->t.answered && r->t.status != 200)
		return answer_refused(r);
	switch (how) {
	case REFLECTOR_END_CLEAN:
		if (!r->t.answered)
			return transfer_broke(r, "got no answer", text);
		return ended_clean(r);
	case REFLECTOR_END_CUT:
		return transfer_broke(r, "was cut", text);
	case REFLECTOR_END_CONNECT:
		return transfer_unreachable(r, "the API server cannot be reached", text);
	case REFLECTOR_END_TLS:
		return transfer_unreachable(r, "no trusted connection to the API server", text);
	case REFLECTOR_END_TIMEOUT:
		return transfer_unreachable(r, "the API server does not answer in time", text);
	case REFLECTOR_END_ABORTED:
	case _REFLECTOR_END_MAX:
		break;
	}
	transfer_close(r);
	r->not_before = now + backoff_next(&r->backoff, &r->rng, now, 0);
}
