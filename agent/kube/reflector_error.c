/*
 * Transfers of a reflector that fail: what each way to fail means for the next
 * request, and the words for it. What a server sends is redacted before it is told.
 */
#include "kube/reflector_parts.h"

#include "base/mem.h"
#include "kube/redact.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

/* Waits at least so long where only an administrator can help (404). */
#define SLOW_RETRY (30 * NSEC_PER_SEC)
/* So many protobuf bodies in a row that cannot be decoded: JSON from then on. */
#define MAX_PROTOBUF_ERRORS 2

void transfer_close(struct reflector *r)
{
	r->t.kind = TRANSFER_NONE;
	decode_free(&r->t.decode);
}

void transfer_fail(struct reflector *r, enum reflector_health health, nsec_t floor, const char *fmt,
		   ...)
{
	char text[REFLECTOR_MAX_TEXT];
	int n = snprintf(text, sizeof(text), "%s: ", r->what);
	va_list ap;

	va_start(ap, fmt);
	if (n > 0 && (size_t)n < sizeof(text))
		(void)vsnprintf(text + n, sizeof(text) - (size_t)n, fmt, ap);
	va_end(ap);
	transfer_close(r);
	r->counters.errors++;
	r->not_before = r->now + backoff_next(&r->backoff, &r->rng, r->now, floor);
	/* One broken connection after a good time is everyday life; the second one is news. */
	bool once = health == FAILING_IF_AGAIN;
	if (once && r->health == REFLECTOR_SYNCED && r->backoff.tries <= 1)
		return;
	reflector_tell(r, once ? REFLECTOR_FAILING : health, text);
}

/* The request has to be made in another way. That is how a server is got to know, no failure. */
static void try_otherwise(struct reflector *r)
{
	transfer_close(r);
	r->not_before = r->now;
}

/* What is true of every transfer that broke: how the next one is to be made. */
static void note_broken(struct reflector *r)
{
	if (r->t.kind == TRANSFER_STREAM && r->t.body_seen)
		list_stream_failed(r);
}

static const char *verb(const struct reflector *r)
{
	return r->t.kind == TRANSFER_PAGE ? "list" : "watch";
}

/* ---- the server says no ---- */

static const char *message(const struct reflector *r)
{
	return r->t.answer.message[0] ? r->t.answer.message : "no reason given";
}

static void forbidden(struct reflector *r)
{
	r->counters.forbidden++;
	transfer_fail(r, REFLECTOR_FORBIDDEN, r->t.retry_after,
		      "%s is forbidden (403): grant list and watch on %s; the server says: %s",
		      verb(r), r->resource, message(r));
}

static void unauthorized(struct reflector *r)
{
	r->counters.unauthorized++;
	transfer_fail(r, REFLECTOR_FAILING, r->t.retry_after,
		      "the server refuses the credentials (401), they are read again: %s",
		      message(r));
	if (r->o.ops->unauthorized)
		r->o.ops->unauthorized(r->o.ctx);
}

/* 406: ask for something plainer. */
static void not_acceptable(struct reflector *r)
{
	if (r->o.metadata_only && !r->plain_only)
		r->plain_only = true;
	else if (!r->json_only)
		r->json_only = true;
	else
		return transfer_fail(r, REFLECTOR_FAILING, SLOW_RETRY,
				     "the server has no format that is understood here (406): %s",
				     message(r));
	try_otherwise(r);
}

static void no_streaming(struct reflector *r)
{
	r->streaming_off = true;
	if (r->o.no_streaming_shared)
		*r->o.no_streaming_shared = true;
	try_otherwise(r);
}

static void slow_down(struct reflector *r, int code)
{
	if (r->o.budget)
		budget_slow_down(r->o.budget, r->now, r->t.start_at, r->t.retry_after);
	transfer_fail(r, REFLECTOR_FAILING, r->t.retry_after,
		      "the server asks to slow down (%d): %s", code, message(r));
}

static void failed_with(struct reflector *r, int code)
{
	watch_stuck(r);
	note_broken(r);
	/* A page token the server does not take at all: start over. */
	if (code == 400 && r->t.kind == TRANSFER_PAGE && r->cont) {
		r->counters.restarts++;
		list_forget(r);
	}
	transfer_fail(r, REFLECTOR_FAILING, r->t.retry_after, "%s failed with status %d: %s",
		      verb(r), code, message(r));
}

static bool is_gone(const struct answer *a, int code)
{
	return code == 410 || strcmp(a->reason, "Expired") == 0 || strcmp(a->reason, "Gone") == 0;
}

/* A 4xx that a streaming list may get for being one. The others say nothing about the request as
 * such: asking in another way would not help. */
static bool blames_the_way(int code)
{
	return code >= 400 && code < 500 && code != 404 && code != 408 && code != 413 &&
	       code != 429;
}

void transfer_refused(struct reflector *r, int code)
{
	struct transfer *t = &r->t;

	t->retry_after = MAX(t->retry_after, t->answer.retry_after);
	if (is_gone(&t->answer, code))
		return list_expired(r);
	if (code == 401)
		return unauthorized(r);
	if (code == 403)
		return forbidden(r);
	if (code == 406)
		return not_acceptable(r);
	if (t->kind == TRANSFER_STREAM && t->status != 200 && blames_the_way(code))
		return no_streaming(r);
	if (code == 429 || code == 503)
		return slow_down(r, code);
	if (code == 404)
		return transfer_fail(r, REFLECTOR_FAILING, MAX(t->retry_after, SLOW_RETRY),
				     "the server does not have this resource (404): %s",
				     message(r));
	if (code >= 300 && code < 400)
		return transfer_fail(r, REFLECTOR_FAILING, 0,
				     "the server answers with a redirect (%d), which is not "
				     "followed; is this the API server's address?",
				     code);
	failed_with(r, code);
}

/* ---- the body is no good ---- */

void transfer_not_kubernetes(struct reflector *r)
{
	char type[sizeof(r->t.content_type)];

	redact_text(type, sizeof(type), str_of(r->t.content_type));
	r->counters.decode_errors++;
	transfer_fail(r, REFLECTOR_FAILING, 0,
		      "the answer is %s and no Kubernetes object; is this the API server's "
		      "address, or is a proxy in between?",
		      type[0] ? type : "of no known type");
}

void transfer_bad_body(struct reflector *r, const char *why)
{
	char text[256];

	redact_text(text, sizeof(text), str_of(why));
	r->counters.decode_errors++;
	watch_stuck(r);
	note_broken(r);
	if (r->format == DECODE_PROTOBUF && ++r->protobuf_errors >= MAX_PROTOBUF_ERRORS)
		r->json_only = true;
	transfer_fail(r, REFLECTOR_FAILING, 0, "%s: bad body: %s", verb(r), text);
}

void transfer_stopped(struct reflector *r, int e)
{
	switch (r->t.stop) {
	case STOP_STATUS:
		return transfer_refused(r, r->t.answer.code);
	case STOP_CONSUMER:
		return transfer_fail(r, REFLECTOR_FAILING, 0, "an object could not be stored: %s",
				     strerror(-r->t.consumer_error));
	case STOP_NO_MARKER:
		list_stream_failed(r);
		return try_otherwise(r);
	case STOP_BAD_RV:
		list_forget(r);
		return transfer_bad_body(r, e == -ELOOP
						    ? "the list's page token repeats itself"
						    : "no usable resourceVersion or page token");
	case STOP_NONE:
		break;
	}
	if (e == -ENOMEM)
		return transfer_fail(r, REFLECTOR_FAILING, 0, "%s: out of memory", verb(r));
	transfer_bad_body(r, r->t.decode ? decode_error(r->t.decode) : strerror(-e));
}

/* ---- no connection, or none any more ---- */

void transfer_broke(struct reflector *r, const char *how, const char *text)
{
	char why[256];

	redact_text(why, sizeof(why), str_of(text));
	note_broken(r);
	transfer_fail(r, FAILING_IF_AGAIN, 0, "%s %s%s%s", verb(r), how, why[0] ? ": " : "", why);
}

void transfer_unreachable(struct reflector *r, const char *how, const char *text)
{
	char why[320];

	redact_text(why, sizeof(why), str_of(text));
	if (r->o.budget)
		budget_slow_down(r->o.budget, r->now, r->t.start_at, 0);
	transfer_fail(r, FAILING_IF_AGAIN, 0, "%s%s%s", how, why[0] ? ": " : "", why);
}
