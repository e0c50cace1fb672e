/*
 * The list and watch state machine of one kind; see reflector.h.
 *
 *        ┌──────────── stream (list and watch in one) ──────────┐
 *   wait ┤                                                       ├─ watch ─ wait ─ watch ...
 *        └─ page ─ wait ─ page ─ ... ─ (last page) ─ wait ───────┘
 *
 * `transfer` says what is under way, `list_wanted` what comes next. Every way a
 * transfer can end passes through close_transfer and sets `not_before`.
 */
#include "kube/reflector.h"

#include "base/buf.h"
#include "base/mem.h"
#include "kube/redact.h"
#include "kube/target.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#define DEFAULT_PAGE	   500
#define DEFAULT_FIRST_BYTE (60 * NSEC_PER_SEC)
#define DEFAULT_IDLE	   (30 * NSEC_PER_SEC)
#define DEFAULT_WATCH_IDLE (150 * NSEC_PER_SEC)
#define DEFAULT_WATCH_MIN  300
#define DEFAULT_WATCH_MAX  600
#define MAX_TARGET	   (32 * 1024)
#define MAX_PATH	   1024
#define MAX_SELECTOR	   4096

/* A watch is started at most this often, however often the server ends it. */
#define WATCH_SPACING NSEC_PER_SEC
/* A watch that ends cleanly sooner than this and brought nothing is backed off from. */
#define WATCH_SHORT (10 * NSEC_PER_SEC)
/* The server ends a watch at timeoutSeconds; one that is open so much longer is dead. */
#define WATCH_OVERTIME (60 * NSEC_PER_SEC)
/* A watch that stays open so long after its head is healthy, also when nothing happens. */
#define WATCH_SETTLE NSEC_PER_SEC
/* So many tries from one resourceVersion that bring nothing: the resume point is not trusted. */
#define MAX_STUCK 3
/* So many protobuf bodies in a row that cannot be decoded: JSON from then on. */
#define MAX_PROTOBUF_ERRORS 2
/* So many streaming lists in a row that do not complete: pages from then on. */
#define MAX_STREAM_FAILURES 2
/* So many page tokens that expire in one list: the rest of the tries ask for everything at once. */
#define MAX_EXPIRED_TOKENS 2
/* Waits at least so long where only an administrator can help (404). */
#define SLOW_RETRY (30 * NSEC_PER_SEC)

enum transfer { TRANSFER_NONE, TRANSFER_PAGE, TRANSFER_STREAM, TRANSFER_WATCH };

/* Why a decoder callback stopped the body. */
enum stop { STOP_NONE, STOP_STATUS, STOP_CONSUMER, STOP_NO_MARKER, STOP_BAD_RV };

struct rv {
	size_t n;
	char p[REFLECTOR_MAX_RV];
};

/* A Status, copied out of the decoder. */
struct answer {
	bool seen;
	int code;
	nsec_t retry_after;
	char reason[64];
	char message[REFLECTOR_MAX_TEXT];
};

struct reflector {
	struct reflector_opts o; /* its strings point to the copies below */
	char *path, *field_selector, *label_selector, *api_version, *kind;
	char what[256]; /* "pods", "replicasets.apps in namespace shop" */
	char resource[128];
	struct buf target;
	struct rng rng;
	struct backoff backoff;

	/* What the server can do, learned once. */
	bool streaming_off, json_only, plain_only, server_bookmarks;
	unsigned protobuf_errors, stream_failures;
	bool pages_once; /* the next list is paged, whatever is offered */

	/* Where we are. */
	bool started, paused, abort_pending;
	bool list_wanted, ever_synced;
	struct rv rv;	   /* resume point of the watch */
	struct rv list_rv; /* of the list under way */
	char *cont;	   /* page token of the next request, NULL at the first page */
	char *next_cont;   /* of the page after the one under way */
	unsigned expired_tokens;
	unsigned stuck;
	nsec_t not_before;
	nsec_t paused_at;

	/* The transfer under way. */
	enum transfer transfer;
	nsec_t start_at, limit_at, settle_at;
	nsec_t heard;	   /* the last byte that counts against silence */
	nsec_t decoded_at; /* the last whole object: bytes that never become one are silence too */
	bool answered, body_seen, progress;
	int status;
	nsec_t retry_after;
	char content_type[128];
	char head[8]; /* first bytes, until they tell the format */
	size_t n_head;
	size_t error_bytes;
	bool error_plain; /* the error's body is no Status */
	char error_head[200];
	size_t n_error_head;
	struct decode *decode;
	enum decode_format format;
	enum stop stop;
	int consumer_error;
	bool list_meta_seen;
	struct answer answer;
	nsec_t now; /* of the running call */

	enum reflector_health health;
	nsec_t since;
	char text[REFLECTOR_MAX_TEXT];
	struct reflector_counters counters;
};

const char *reflector_health_name(enum reflector_health h)
{
	static const char *const names[_REFLECTOR_HEALTH_MAX] = {
		[REFLECTOR_SYNCING] = "syncing",
		[REFLECTOR_SYNCED] = "synced",
		[REFLECTOR_FAILING] = "failing",
		[REFLECTOR_FORBIDDEN] = "forbidden",
	};
	return h < _REFLECTOR_HEALTH_MAX ? names[h] : "?";
}

/* ---- state and failures ---- */

static void set_state(struct reflector *r, nsec_t now, enum reflector_health health,
		      const char *text)
{
	if (r->health == health && strcmp(r->text, text) == 0)
		return;
	if (r->health != health)
		r->since = now;
	r->health = health;
	(void)snprintf(r->text, sizeof(r->text), "%s", text);
	if (r->o.ops->state) {
		struct reflector_status s = reflector_status(r);

		r->o.ops->state(r->o.ctx, &s);
	}
}

static void close_transfer(struct reflector *r)
{
	r->transfer = TRANSFER_NONE;
	decode_free(&r->decode);
}

/* The transfer has failed: tell, and try again later. */
__attribute__((format(printf, 5, 6))) static void fail(struct reflector *r, nsec_t now,
						       enum reflector_health health, nsec_t floor,
						       const char *fmt, ...)
{
	char text[REFLECTOR_MAX_TEXT];
	int n = snprintf(text, sizeof(text), "%s: ", r->what);
	va_list ap;

	va_start(ap, fmt);
	if (n > 0 && (size_t)n < sizeof(text))
		(void)vsnprintf(text + n, sizeof(text) - (size_t)n, fmt, ap);
	va_end(ap);
	close_transfer(r);
	r->counters.errors++;
	r->not_before = now + backoff_next(&r->backoff, &r->rng, now, floor);
	/* One broken connection after a good time is everyday life; the second one is news. */
	bool once = health == REFLECTOR_SYNCED;
	if (once && r->health == REFLECTOR_SYNCED && r->backoff.tries <= 1)
		return;
	set_state(r, now, once ? REFLECTOR_FAILING : health, text);
}
/* As health of fail(): REFLECTOR_FAILING, but the first time is not worth a word. */
#define FAILING_IF_AGAIN REFLECTOR_SYNCED

/* The watch could not go on from r->rv. Some servers never recover from a bad resume point. */
static void count_stuck(struct reflector *r)
{
	if (r->transfer != TRANSFER_WATCH || r->progress || !r->answered)
		return;
	if (++r->stuck >= MAX_STUCK)
		r->list_wanted = true;
}

static void forget_list(struct reflector *r)
{
	free(r->cont);
	free(r->next_cont);
	r->cont = r->next_cont = NULL;
	r->list_rv.n = 0;
}

static void stream_failed(struct reflector *r)
{
	r->pages_once = true;
	if (++r->stream_failures >= MAX_STREAM_FAILURES)
		r->streaming_off = true;
}

/* What is true of every transfer that broke: how the next one is to be made. */
static void note_broken(struct reflector *r)
{
	if (r->transfer == TRANSFER_STREAM && r->body_seen)
		stream_failed(r);
}

static const char *verb(const struct reflector *r)
{
	return r->transfer == TRANSFER_PAGE ? "list" : "watch";
}

/* ---- the list ---- */

static int rv_set(struct rv *rv, struct str s)
{
	if (str_empty(s))
		return -EBADMSG;
	if (s.n > sizeof(rv->p))
		return -EMSGSIZE;
	memcpy(rv->p, s.p, s.n);
	rv->n = s.n;
	return 0;
}

static void list_complete(struct reflector *r, nsec_t now)
{
	r->rv = r->list_rv;
	forget_list(r);
	r->list_wanted = false;
	r->pages_once = false;
	r->expired_tokens = r->protobuf_errors = r->stuck = 0;
	r->ever_synced = true;
	r->counters.lists++;
	r->o.ops->list_end(r->o.ctx);
	set_state(r, now, REFLECTOR_SYNCED, "");
}

static int page_token(struct reflector *r, struct str cont)
{
	if (cont.n > REFLECTOR_MAX_CONTINUE)
		return -EMSGSIZE;
	/* A server that answers with the token it was given would be asked for ever. */
	if (r->cont && str_eq(str_of(r->cont), cont))
		return -ELOOP;
	free(r->next_cont);
	r->next_cont = str_empty(cont) ? NULL : str_dup(cont);
	return r->next_cont || str_empty(cont) ? 0 : -ENOMEM;
}

static int on_list(void *ctx, const struct list_meta *m)
{
	struct reflector *r = ctx;

	/* All pages are of the first one's version. */
	if (r->list_rv.n == 0 && rv_set(&r->list_rv, m->resource_version) < 0) {
		r->stop = STOP_BAD_RV;
		return -EBADMSG;
	}
	int e = page_token(r, m->cont);
	if (e < 0) {
		r->stop = STOP_BAD_RV;
		return e;
	}
	r->list_meta_seen = true;
	return 0;
}

/* A page has arrived whole. */
static void page_done(struct reflector *r, nsec_t now)
{
	close_transfer(r);
	free(r->cont);
	r->cont = TAKE_PTR(r->next_cont);
	r->counters.pages++;
	r->protobuf_errors = 0;
	r->not_before = now;
	backoff_good(&r->backoff, now);
	if (!r->cont)
		list_complete(r, now);
	else
		set_state(r, now, REFLECTOR_SYNCING, "");
}

/* The resume point, or the page token, is too old for the server: one new list. */
static void gone(struct reflector *r, nsec_t now)
{
	bool page = r->transfer == TRANSFER_PAGE;

	r->counters.gone++;
	if (page && r->cont)
		r->expired_tokens++;
	else if (r->transfer == TRANSFER_STREAM)
		stream_failed(r);
	if (page)
		r->counters.restarts++;
	close_transfer(r);
	forget_list(r);
	r->list_wanted = true;
	r->not_before = now + backoff_next(&r->backoff, &r->rng, now, 0);

	char text[REFLECTOR_MAX_TEXT];
	(void)snprintf(text, sizeof(text), "%s: %s is too old for the server (410), listing anew",
		       r->what, page ? "the list's page token" : "the resume point");
	set_state(r, now, REFLECTOR_SYNCING, text);
}

/* ---- what the decoder says ---- */

static int on_bookmark(struct reflector *r, const struct object *o)
{
	r->counters.bookmarks++;
	if (r->transfer == TRANSFER_STREAM && !o->meta.initial_events_end) {
		/* A server that knows streaming lists sends none before the end marker. */
		r->stop = STOP_NO_MARKER;
		return -ECANCELED;
	}
	r->server_bookmarks = true;
	if (r->transfer == TRANSFER_WATCH)
		return 0;
	if (rv_set(&r->list_rv, o->meta.resource_version) < 0) {
		r->stop = STOP_BAD_RV;
		return -EBADMSG;
	}
	r->transfer = TRANSFER_WATCH;
	r->stream_failures = 0;
	backoff_good(&r->backoff, r->now);
	list_complete(r, r->now);
	return 0;
}

/* Something came on the watch. Only there do objects move the resume point: those of a list come
 * in the order of their names. One without a usable version leaves it where it was. */
static void watch_moved(struct reflector *r, struct str version)
{
	(void)rv_set(&r->rv, version);
	r->progress = true;
	r->stuck = r->protobuf_errors = 0;
	if (r->settle_at != NSEC_NEVER) {
		r->settle_at = NSEC_NEVER;
		set_state(r, r->now, REFLECTOR_SYNCED, "");
	}
}

static int on_object(void *ctx, enum event_type type, const struct object *o)
{
	struct reflector *r = ctx;
	int e;

	r->decoded_at = r->now;
	if (type == EVENT_BOOKMARK) {
		e = on_bookmark(r, o);
	} else {
		struct object named = *o;

		if (r->kind) {
			named.api_version = str_of(r->api_version);
			named.kind = str_of(r->kind);
		}
		e = r->o.ops->object(r->o.ctx, type, &named);
		if (e < 0) {
			r->stop = STOP_CONSUMER;
			r->consumer_error = e;
		}
	}
	if (e < 0)
		return e;
	if (type != EVENT_BOOKMARK)
		r->counters.events++;
	if (r->transfer == TRANSFER_WATCH)
		watch_moved(r, o->meta.resource_version);
	return 0;
}

static int on_status(void *ctx, const struct api_status *s)
{
	struct reflector *r = ctx;
	struct answer *a = &r->answer;

	a->seen = true;
	a->code = s->code;
	a->retry_after = s->retry_after > 0 ? (nsec_t)s->retry_after * NSEC_PER_SEC : 0;
	redact_text(a->reason, sizeof(a->reason), s->reason);
	redact_text(a->message, sizeof(a->message), s->message);
	if (r->status != 200)
		return 0;
	r->stop = STOP_STATUS;
	return -ECANCELED;
}

static void on_bad(void *ctx, enum decode_bad why, struct str name)
{
	struct reflector *r = ctx;

	r->decoded_at = r->now;
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
		.max_object = r->o.max_object,
		.labels = r->o.labels,
		.n_labels = r->o.n_labels,
		.ops = &decode_ops,
		.ctx = r,
	};
	return decode_new(&d, &r->decode);
}

/* ---- answers that are no success ---- */

static bool is_gone(const struct reflector *r, int code)
{
	return code == 410 || strcmp(r->answer.reason, "Expired") == 0 ||
	       strcmp(r->answer.reason, "Gone") == 0;
}

static const char *message(const struct reflector *r)
{
	return r->answer.message[0] ? r->answer.message : "no reason given";
}

static void forbidden(struct reflector *r, nsec_t now)
{
	r->counters.forbidden++;
	fail(r, now, REFLECTOR_FORBIDDEN, r->retry_after,
	     "%s is forbidden (403): grant list and watch on %s; the server says: %s", verb(r),
	     r->resource, message(r));
}

static void unauthorized(struct reflector *r, nsec_t now)
{
	r->counters.unauthorized++;
	fail(r, now, REFLECTOR_FAILING, r->retry_after,
	     "the server refuses the credentials (401), they are read again: %s", message(r));
	if (r->o.ops->unauthorized)
		r->o.ops->unauthorized(r->o.ctx);
}

/* The request has to be made in another way. That is how a server is got to know, no failure. */
static void try_otherwise(struct reflector *r, nsec_t now)
{
	close_transfer(r);
	r->not_before = now;
}

/* 406: ask for something plainer. */
static void not_acceptable(struct reflector *r, nsec_t now)
{
	if (r->o.metadata_only && !r->plain_only)
		r->plain_only = true;
	else if (!r->json_only)
		r->json_only = true;
	else
		return fail(r, now, REFLECTOR_FAILING, SLOW_RETRY,
			    "the server has no format that is understood here (406): %s",
			    message(r));
	try_otherwise(r, now);
}

/* 4xx that say nothing about the request as such, so that asking in another way helps nothing. */
static bool blames_the_way(int code)
{
	return code >= 400 && code < 500 && code != 404 && code != 408 && code != 413 &&
	       code != 429;
}

static void no_streaming(struct reflector *r, nsec_t now)
{
	r->streaming_off = true;
	if (r->o.no_streaming_shared)
		*r->o.no_streaming_shared = true;
	try_otherwise(r, now);
}

static void slow_down(struct reflector *r, nsec_t now, int code)
{
	if (r->o.budget)
		budget_slow_down(r->o.budget, now, r->start_at, r->retry_after);
	fail(r, now, REFLECTOR_FAILING, r->retry_after, "the server asks to slow down (%d): %s",
	     code, message(r));
}

/* The server has said no, by status line or by an ERROR event. */
static void refused(struct reflector *r, nsec_t now, int code)
{
	r->retry_after = MAX(r->retry_after, r->answer.retry_after);
	if (is_gone(r, code))
		return gone(r, now);
	if (code == 401)
		return unauthorized(r, now);
	if (code == 403)
		return forbidden(r, now);
	if (code == 406)
		return not_acceptable(r, now);
	if (r->transfer == TRANSFER_STREAM && r->status != 200 && blames_the_way(code))
		return no_streaming(r, now);
	if (code == 429 || code == 503)
		return slow_down(r, now, code);
	if (code == 404)
		return fail(r, now, REFLECTOR_FAILING, MAX(r->retry_after, SLOW_RETRY),
			    "the server does not have this resource (404): %s", message(r));
	if (code >= 300 && code < 400)
		return fail(r, now, REFLECTOR_FAILING, 0,
			    "the server answers with a redirect (%d), which is not followed; is "
			    "this the API server's address?",
			    code);
	count_stuck(r);
	note_broken(r);
	/* A page token the server does not take at all: start over. */
	if (code == 400 && r->transfer == TRANSFER_PAGE && r->cont) {
		r->counters.restarts++;
		forget_list(r);
	}
	fail(r, now, REFLECTOR_FAILING, r->retry_after, "%s failed with status %d: %s", verb(r),
	     code, message(r));
}

/* ---- ends of a transfer ---- */

static void not_kubernetes(struct reflector *r, nsec_t now)
{
	char type[sizeof(r->content_type)];

	redact_text(type, sizeof(type), str_of(r->content_type));
	r->counters.decode_errors++;
	fail(r, now, REFLECTOR_FAILING, 0,
	     "the answer is %s and no Kubernetes object; is this the API server's address, or is a "
	     "proxy in between?",
	     type[0] ? type : "of no known type");
}

static void bad_body(struct reflector *r, nsec_t now, const char *why)
{
	char text[256];

	redact_text(text, sizeof(text), str_of(why));
	r->counters.decode_errors++;
	count_stuck(r);
	note_broken(r);
	if (r->format == DECODE_PROTOBUF && ++r->protobuf_errors >= MAX_PROTOBUF_ERRORS)
		r->json_only = true;
	fail(r, now, REFLECTOR_FAILING, 0, "%s: bad body: %s", verb(r), text);
}

/* The decoder stopped with `e`, for its own reason or for ours. */
static void stopped(struct reflector *r, nsec_t now, int e)
{
	switch (r->stop) {
	case STOP_STATUS:
		return refused(r, now, r->answer.code);
	case STOP_CONSUMER:
		return fail(r, now, REFLECTOR_FAILING, 0, "an object could not be stored: %s",
			    strerror(-r->consumer_error));
	case STOP_NO_MARKER:
		stream_failed(r);
		return try_otherwise(r, now);
	case STOP_BAD_RV:
		forget_list(r);
		return bad_body(r, now,
				e == -ELOOP ? "the list's page token repeats itself"
					    : "no usable resourceVersion or page token");
	case STOP_NONE:
		break;
	}
	if (e == -ENOMEM)
		return fail(r, now, REFLECTOR_FAILING, 0, "%s: out of memory", verb(r));
	bad_body(r, now, r->decode ? decode_error(r->decode) : strerror(-e));
}

/* The server ended a watch as it should. What a slow reader missed comes with the next one. */
static void watch_ended(struct reflector *r, nsec_t now)
{
	bool useless = !r->progress && now - r->start_at < WATCH_SHORT;

	close_transfer(r);
	/* All watches of a server that stops end together: spread the return a little. */
	nsec_t wait = useless ? backoff_next(&r->backoff, &r->rng, now, 0)
			      : rng_below(&r->rng, r->backoff.base);
	r->not_before = MAX(now + wait, r->start_at + WATCH_SPACING);
	if (r->health != REFLECTOR_SYNCED && !r->list_wanted && !useless)
		set_state(r, now, REFLECTOR_SYNCED, "");
}

static void broke(struct reflector *r, nsec_t now, const char *how, const char *text)
{
	char why[256];

	redact_text(why, sizeof(why), str_of(text));
	note_broken(r);
	fail(r, now, FAILING_IF_AGAIN, 0, "%s %s%s%s", verb(r), how, why[0] ? ": " : "", why);
}

static void unreachable(struct reflector *r, nsec_t now, const char *how, const char *text)
{
	char why[320];

	redact_text(why, sizeof(why), str_of(text));
	if (r->o.budget)
		budget_slow_down(r->o.budget, now, r->start_at, 0);
	fail(r, now, FAILING_IF_AGAIN, 0, "%s%s%s", how, why[0] ? ": " : "", why);
}

static int sniff(struct reflector *r, nsec_t now);

static void ended_clean(struct reflector *r, nsec_t now)
{
	if (!r->decode && r->n_head && sniff(r, now) < 0)
		return;
	int e = r->decode ? decode_finish(r->decode) : 0;
	if (e < 0)
		return stopped(r, now, e);
	switch (r->transfer) {
	case TRANSFER_PAGE:
		if (!r->list_meta_seen)
			return bad_body(r, now, "it ended before the list did");
		return page_done(r, now);
	case TRANSFER_STREAM:
		stream_failed(r);
		r->counters.restarts++;
		return fail(r, now, FAILING_IF_AGAIN, 0,
			    "the streaming list ended before it was complete");
	case TRANSFER_WATCH:
		return watch_ended(r, now);
	case TRANSFER_NONE:
		break;
	}
}

static void ended_error(struct reflector *r, nsec_t now)
{
	if (r->decode)
		(void)decode_finish(r->decode);
	if (!r->answer.message[0])
		redact_text(r->answer.message, sizeof(r->answer.message),
			    str_make(r->error_head, r->n_error_head));
	refused(r, now, r->status);
}

void reflector_end(struct reflector *r, nsec_t now, enum reflector_end how, const char *text)
{
	r->now = now;
	r->abort_pending = false;
	if (r->transfer == TRANSFER_NONE)
		return;
	if (r->answered && r->status != 200)
		return ended_error(r, now);
	switch (how) {
	case REFLECTOR_END_CLEAN:
		if (!r->answered)
			return broke(r, now, "got no answer", text);
		return ended_clean(r, now);
	case REFLECTOR_END_CUT:
		return broke(r, now, "was cut", text);
	case REFLECTOR_END_CONNECT:
		return unreachable(r, now, "the API server cannot be reached", text);
	case REFLECTOR_END_TLS:
		return unreachable(r, now, "no trusted connection to the API server", text);
	case REFLECTOR_END_TIMEOUT:
		return unreachable(r, now, "the API server does not answer in time", text);
	case REFLECTOR_END_ABORTED:
	case _REFLECTOR_END_MAX:
		break;
	}
	close_transfer(r);
	r->not_before = now + backoff_next(&r->backoff, &r->rng, now, 0);
}

/* ---- bytes ---- */

/* Opens the decoder once the format is known: 0, or -errno with the transfer over. */
static int sniff(struct reflector *r, nsec_t now)
{
	enum decode_body body = r->transfer == TRANSFER_PAGE ? DECODE_LIST : DECODE_WATCH;
	int e = decode_sniff(str_of(r->content_type), str_make(r->head, r->n_head), &r->format);

	if (e < 0) {
		not_kubernetes(r, now);
		return -EPROTONOSUPPORT;
	}
	e = open_decoder(r, body);
	if (e == 0 && r->n_head)
		e = decode_feed(r->decode, r->head, r->n_head);
	r->n_head = 0;
	if (e < 0)
		stopped(r, now, e);
	return e;
}

/* Text and HTML become the message, as far as it fits; the rest is read and dropped. */
static void error_text(struct reflector *r, const char *p, size_t n)
{
	n = MIN(n, sizeof(r->error_head) - r->n_error_head);
	memcpy(r->error_head + r->n_error_head, p, n);
	r->n_error_head += n;
}

static int error_data(struct reflector *r, nsec_t now, const char *p, size_t n)
{
	if (r->error_bytes == 0)
		r->error_plain =
			decode_sniff(str_of(r->content_type), str_make(p, n), &r->format) < 0 ||
			open_decoder(r, DECODE_STATUS) < 0;
	r->error_bytes += n;
	if (r->error_bytes > REFLECTOR_MAX_ERROR) {
		ended_error(r, now);
		return -EMSGSIZE;
	}
	if (r->error_plain)
		error_text(r, p, n);
	else if (r->decode && decode_feed(r->decode, p, n) < 0)
		decode_free(&r->decode);
	return 0;
}

int reflector_data(struct reflector *r, nsec_t now, const void *p, size_t n)
{
	const char *bytes = p;

	r->now = now;
	if (r->transfer == TRANSFER_NONE)
		return -ECANCELED;
	assert(r->answered);
	r->heard = now;
	r->counters.bytes += n;
	if (r->status != 200)
		return error_data(r, now, bytes, n);
	r->body_seen |= n > 0;
	while (!r->decode && n) {
		r->head[r->n_head++] = *bytes++;
		n--;
		if (r->n_head < sizeof(r->head))
			continue;
		int e = sniff(r, now);
		if (e < 0)
			return e;
	}
	if (!n)
		return 0;
	int e = decode_feed(r->decode, bytes, n);
	if (e < 0)
		stopped(r, now, e);
	return e;
}

int reflector_response(struct reflector *r, nsec_t now, int status, struct str content_type,
		       nsec_t retry_after)
{
	r->now = now;
	if (r->transfer == TRANSFER_NONE)
		return -ECANCELED;
	assert(!r->answered);
	r->answered = true;
	r->status = status;
	r->retry_after = retry_after;
	(void)snprintf(r->content_type, sizeof(r->content_type), "%.*s", STR_ARG(content_type));
	if (status != 200 || r->transfer == TRANSFER_WATCH)
		r->heard = r->decoded_at = now;
	if (r->o.budget && status < 500 && status != 429)
		budget_answered(r->o.budget, now);
	if (status != 200)
		return 0;
	if (r->transfer != TRANSFER_PAGE)
		r->counters.watches++;
	if (r->transfer == TRANSFER_WATCH) {
		backoff_good(&r->backoff, now);
		r->settle_at = now + WATCH_SETTLE;
	} else if (!r->cont) {
		r->o.ops->list_begin(r->o.ctx);
	}
	/* Without a type the first bytes decide. */
	return str_empty(content_type) ? 0 : sniff(r, now);
}

/* ---- requests ---- */

static int add_selectors(struct reflector *r)
{
	int e = 0;

	if (r->field_selector)
		e = target_param(&r->target, "fieldSelector", str_of(r->field_selector));
	if (e == 0 && r->label_selector)
		e = target_param(&r->target, "labelSelector", str_of(r->label_selector));
	return e;
}

static int page_target(struct reflector *r)
{
	int e = 0;

	/* After tokens expired twice the list is too slow for pages: everything in one answer. */
	if (!r->o.whole_lists && r->expired_tokens < MAX_EXPIRED_TOKENS)
		e = buf_printf(&r->target, "?limit=%u", r->o.page_size);
	if (e == 0 && r->cont)
		e = target_param(&r->target, "continue", str_of(r->cont));
	else if (e == 0 && r->o.list_from_cache && !r->ever_synced && !r->counters.gone)
		e = target_param(&r->target, "resourceVersion", STR("0"));
	return e;
}

static int watch_target(struct reflector *r, uint32_t seconds)
{
	int e = buf_printf(&r->target, "?watch=1&allowWatchBookmarks=true&timeoutSeconds=%u",
			   seconds);

	if (e == 0 && r->transfer == TRANSFER_STREAM)
		return buf_printf(&r->target,
				  "&sendInitialEvents=true"
				  "&resourceVersionMatch=NotOlderThan&resourceVersion=");
	if (e == 0)
		e = target_param(&r->target, "resourceVersion", str_make(r->rv.p, r->rv.n));
	return e;
}

static bool may_stream(const struct reflector *r)
{
	return !r->o.no_streaming && !r->streaming_off && !r->pages_once && !r->cont &&
	       !(r->o.no_streaming_shared && *r->o.no_streaming_shared);
}

static void begin_transfer(struct reflector *r, nsec_t now, uint32_t seconds)
{
	r->transfer = !r->list_wanted ? TRANSFER_WATCH
		      : may_stream(r) ? TRANSFER_STREAM
				      : TRANSFER_PAGE;
	r->start_at = r->heard = r->decoded_at = now;
	r->settle_at = NSEC_NEVER;
	r->limit_at = r->transfer == TRANSFER_PAGE ? NSEC_NEVER
						   : now + seconds * NSEC_PER_SEC + WATCH_OVERTIME;
	r->answered = r->body_seen = r->progress = r->list_meta_seen = r->error_plain = false;
	r->status = 0;
	r->retry_after = 0;
	r->n_head = r->error_bytes = r->n_error_head = 0;
	r->stop = STOP_NONE;
	r->answer = (struct answer){0};
	if (r->transfer != TRANSFER_WATCH && !r->cont) {
		r->list_rv.n = 0;
		r->stuck = 0;
		if (r->ever_synced)
			r->counters.relists++;
	}
}

static int make_request(struct reflector *r, nsec_t now, struct reflector_request *ret)
{
	uint32_t span = r->o.watch_max_s - r->o.watch_min_s;
	uint32_t seconds = r->o.watch_min_s + (uint32_t)rng_below(&r->rng, span + 1ULL);

	begin_transfer(r, now, seconds);
	buf_reset(&r->target);
	int e = buf_append_str(&r->target, str_of(r->path));
	if (e == 0)
		e = r->transfer == TRANSFER_PAGE ? page_target(r) : watch_target(r, seconds);
	if (e == 0)
		e = add_selectors(r);
	if (e == 0)
		e = buf_append(&r->target, "", 1);
	if (e < 0)
		return e;
	*ret = (struct reflector_request){
		.target = buf_str(&r->target).p,
		.accept = accept_header((struct accept_form){
			.metadata_only = r->o.metadata_only && !r->plain_only,
			.list = r->transfer == TRANSFER_PAGE,
			.protobuf = !r->o.no_protobuf && !r->json_only,
		}),
		.watch = r->transfer != TRANSFER_PAGE,
	};
	return 0;
}

/* ---- time ---- */

static nsec_t silence_limit(const struct reflector *r)
{
	nsec_t list = r->heard + (r->body_seen ? r->o.idle : r->o.first_byte);

	if (r->answered && r->status != 200)
		return r->heard + r->o.idle;
	if (r->transfer == TRANSFER_PAGE)
		return list;
	/* A frame may claim a length that swallows all that follows. */
	if (r->transfer == TRANSFER_STREAM)
		return MIN(list, r->decoded_at + r->o.first_byte + r->o.watch_idle);
	if (!r->answered)
		return r->heard + r->o.idle;
	/* Nothing to expect from a server that sends no bookmarks: then only the end counts. */
	return r->server_bookmarks ? r->decoded_at + r->o.watch_idle : NSEC_NEVER;
}

static nsec_t transfer_limit(const struct reflector *r)
{
	return r->paused ? NSEC_NEVER : MIN(silence_limit(r), r->limit_at);
}

static void give_up(struct reflector *r, nsec_t now)
{
	if (r->answered && r->status != 200)
		return ended_error(r, now);
	/* An answer, but no end of the list: the server may not know streaming lists. (With bytes
	 * of the body, note_broken counts it.) */
	if (r->transfer == TRANSFER_STREAM && r->answered && !r->body_seen)
		stream_failed(r);
	/* Bookmarks should have come. A resume point of the future (a cluster restored from a
	 * backup) gives such silence. */
	count_stuck(r);
	if (r->answered)
		return broke(r, now, "fell silent", NULL);
	if (r->o.budget)
		budget_slow_down(r->o.budget, now, r->start_at, 0);
	broke(r, now, "got no answer in time", NULL);
}

static enum reflector_action poll_busy(struct reflector *r, nsec_t now, nsec_t *ret_deadline)
{
	if (now >= transfer_limit(r)) {
		give_up(r, now);
		*ret_deadline = now;
		return REFLECTOR_ABORT;
	}
	if (now >= r->settle_at) {
		r->settle_at = NSEC_NEVER;
		set_state(r, now, REFLECTOR_SYNCED, "");
	}
	*ret_deadline = MIN(transfer_limit(r), r->settle_at);
	return REFLECTOR_NONE;
}

enum reflector_action reflector_poll(struct reflector *r, nsec_t now,
				     struct reflector_request *ret_request, nsec_t *ret_deadline)
{
	r->now = now;
	if (r->abort_pending) {
		r->abort_pending = false;
		*ret_deadline = now;
		return REFLECTOR_ABORT;
	}
	if (r->transfer != TRANSFER_NONE)
		return poll_busy(r, now, ret_deadline);
	if (!r->started) {
		r->started = true;
		r->since = now;
		r->not_before =
			now + (r->o.start_jitter ? rng_below(&r->rng, r->o.start_jitter + 1) : 0);
	}
	*ret_deadline = r->paused ? NSEC_NEVER : r->not_before;
	if (now < *ret_deadline)
		return REFLECTOR_NONE;
	if (r->o.budget && !budget_take(r->o.budget, now, ret_deadline))
		return REFLECTOR_NONE;
	if (make_request(r, now, ret_request) < 0) {
		fail(r, now, REFLECTOR_FAILING, 0, "out of memory");
		*ret_deadline = r->not_before;
		return REFLECTOR_NONE;
	}
	*ret_deadline = transfer_limit(r);
	return REFLECTOR_START;
}

void reflector_pause(struct reflector *r, nsec_t now, bool paused)
{
	if (paused == r->paused)
		return;
	r->paused = paused;
	if (paused) {
		r->paused_at = now;
		return;
	}
	nsec_t stood = now - r->paused_at;
	r->heard = MIN(now, r->heard + stood);
	r->decoded_at = MIN(now, r->decoded_at + stood);
	if (r->limit_at != NSEC_NEVER)
		r->limit_at += stood;
}

bool reflector_paused(const struct reflector *r)
{
	return r->paused;
}

void reflector_relist(struct reflector *r, nsec_t now)
{
	if (r->list_wanted)
		return;
	r->abort_pending = r->transfer != TRANSFER_NONE;
	close_transfer(r);
	forget_list(r);
	r->list_wanted = true;
	r->not_before = now;
}

/* ---- birth, death and looking in ---- */

static void name_resource(struct reflector *r)
{
	struct target_parts t = {.resource = str_of(r->path)};

	(void)target_split(t.resource, &t);
	(void)snprintf(r->resource, sizeof(r->resource), "%.*s%s%.*s", STR_ARG(t.resource),
		       t.group.n ? "." : "", STR_ARG(t.group));
	(void)snprintf(r->what, sizeof(r->what), "%s%s%.*s", r->resource,
		       t.ns.n ? " in namespace " : "", STR_ARG(t.ns));
}

static int copy_opt(struct str s, size_t max, char **ret)
{
	if (s.n > max || (s.n && memchr(s.p, 0, s.n)))
		return -EINVAL;
	*ret = s.n ? str_dup(s) : NULL;
	return s.n && !*ret ? -ENOMEM : 0;
}

static void set_defaults(struct reflector_opts *o)
{
	o->page_size = o->page_size ? o->page_size : DEFAULT_PAGE;
	o->first_byte = o->first_byte ? o->first_byte : DEFAULT_FIRST_BYTE;
	o->idle = o->idle ? o->idle : DEFAULT_IDLE;
	o->watch_idle = o->watch_idle ? o->watch_idle : DEFAULT_WATCH_IDLE;
	o->watch_min_s = o->watch_min_s ? o->watch_min_s : DEFAULT_WATCH_MIN;
	o->watch_max_s = o->watch_max_s ? o->watch_max_s : DEFAULT_WATCH_MAX;
	o->watch_max_s = MAX(o->watch_max_s, o->watch_min_s);
}

int reflector_new(const struct reflector_opts *o, struct reflector **ret)
{
	assert(o->ops && o->ops->list_begin && o->ops->object && o->ops->list_end);
	struct reflector *r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->o = *o;
	set_defaults(&r->o);
	buf_init(&r->target, MAX_TARGET);
	int e = str_empty(o->path) ? -EINVAL : copy_opt(o->path, MAX_PATH, &r->path);
	if (e == 0)
		e = copy_opt(o->field_selector, MAX_SELECTOR, &r->field_selector);
	if (e == 0)
		e = copy_opt(o->label_selector, MAX_SELECTOR, &r->label_selector);
	if (e == 0)
		e = copy_opt(o->api_version, MAX_PATH, &r->api_version);
	if (e == 0)
		e = copy_opt(o->kind, MAX_PATH, &r->kind);
	if (e < 0) {
		reflector_free(&r);
		return e;
	}
	r->o.path = r->o.field_selector = r->o.label_selector = (struct str){0};
	r->o.api_version = r->o.kind = (struct str){0};
	rng_seed(&r->rng, o->seed);
	backoff_init(&r->backoff);
	r->backoff.base = o->backoff_base ? o->backoff_base : BACKOFF_BASE;
	r->backoff.cap = o->backoff_cap ? o->backoff_cap : BACKOFF_CAP;
	r->list_wanted = true;
	name_resource(r);
	*ret = r;
	return 0;
}

void reflector_free(struct reflector **rp)
{
	struct reflector *r = *rp;

	if (!r)
		return;
	decode_free(&r->decode);
	buf_done(&r->target);
	forget_list(r);
	free(r->path);
	free(r->field_selector);
	free(r->label_selector);
	free(r->api_version);
	free(r->kind);
	free(r);
	*rp = NULL;
}

struct reflector_status reflector_status(const struct reflector *r)
{
	return (struct reflector_status){
		.health = r->health,
		.ever_synced = r->ever_synced,
		.since = r->since,
		.text = r->text,
	};
}

const struct reflector_counters *reflector_counters(const struct reflector *r)
{
	return &r->counters;
}

struct str reflector_resource_version(const struct reflector *r)
{
	return str_make(r->rv.p, r->rv.n);
}

size_t reflector_bytes(const struct reflector *r)
{
	return sizeof(*r) + r->target.cap + (r->decode ? decode_bytes(r->decode) : 0) +
	       (r->cont ? strlen(r->cont) + 1 : 0);
}
