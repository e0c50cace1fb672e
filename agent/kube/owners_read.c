/*
 * Answers to the owner reader: their bytes, and what they mean for an entry, its
 * lane, or the server as a whole.
 */
#include "kube/owners_parts.h"

#include "base/mem.h"
#include "kube/redact.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

/* An answer that cannot be understood is asked for so many times, then only at a refresh. */
#define MAX_TRIES 3
#define MAX_ERROR 65536

/* The server as a whole does not answer well: everything waits. */
static void server_trouble(struct owners *o, struct slot *s, bool slow_down)
{
	o->counters.errors++;
	o->not_before = o->now + backoff_next(&o->backoff, &o->rng, o->now, s->retry_after);
	if (slow_down && o->o.budget)
		budget_slow_down(o->o.budget, o->now, s->start, s->retry_after);
}

/* A status that says nothing about the owner or its kind. */
static void bad_status(struct owners *o, struct slot *s)
{
	server_trouble(o, s, s->status == 429 || s->status == 503);
	if (s->status == 401 && o->o.ops->unauthorized)
		o->o.ops->unauthorized(o->o.ctx);
}

static void lane_forbidden(struct owners *o, struct slot *s)
{
	struct lane *l = lane_at(o, s->lane);
	nsec_t wait = backoff_next(&l->backoff, &o->rng, o->now, s->retry_after);

	o->counters.forbidden++;
	if (l->refused_since == NSEC_NEVER)
		l->refused_since = o->now;
	nsec_t tell_at = l->refused_since + o->o.refuse_after;
	if (o->now >= tell_at) {
		lane_refuse(o, s->lane, wait, "get is forbidden (403)", s->message);
		return;
	}
	/* The try that settles it should not be late. */
	l->not_before = MIN(o->now + wait, MAX(tell_at, o->now + s->retry_after));
}

static void entry_gone(struct owners *o, struct slot *s)
{
	struct entry *e = entry_at(o, s->entry);

	lane_fine(o, s->lane);
	/* The cache of an API server may lag: before an owner is called gone, its storage is asked.
	 */
	if (!s->confirm) {
		e->confirm = true;
		queue_put(o, s->entry, true);
		return;
	}
	e->state = ENTRY_GONE;
	o->counters.gone++;
	o->o.ops->gone(o->o.ctx, str_of(e->uid));
}

/* The answer could not be used; after some tries the owner counts as unreadable. */
static void entry_bad(struct owners *o, struct slot *s, const char *why)
{
	struct entry *e = entry_at(o, s->entry);
	char text[200];

	o->counters.errors++;
	if (++e->tries < MAX_TRIES) {
		lane_at(o, s->lane)->not_before =
			o->now + backoff_next(&lane_at(o, s->lane)->backoff, &o->rng, o->now, 0);
		queue_put(o, s->entry, true);
		return;
	}
	e->state = ENTRY_IDLE;
	e->fresh_until = o->now + o->o.refresh;
	(void)snprintf(text, sizeof(text), "%s: %s", lane_at(o, s->lane)->kind, why);
	entry_tell(o, e, text);
}

static void entry_read(struct owners *o, struct slot *s)
{
	struct entry *e = entry_at(o, s->entry);

	lane_fine(o, s->lane);
	e->state = ENTRY_IDLE;
	e->fresh_until = o->now + o->o.refresh;
	e->again = e->confirm = false;
	e->tries = 0;
}

static void entry_answered(struct owners *o, struct slot *s)
{
	struct lane *l = lane_at(o, s->lane);

	if (s->status == 200 && s->delivered)
		return entry_read(o, s);
	if (s->status == 200 && !s->other_uid)
		return entry_bad(o, s, "the answer has no object");
	if (s->status == 200 || (s->status == 404 && !s->missing_kind))
		return entry_gone(o, s);
	if (s->status == 406 && !s->plain) {
		o->plain = true;
		return queue_put(o, s->entry, true);
	}
	if (entry_keep(o, s->entry))
		return;
	queue_put(o, s->entry, true);
	if (s->status == 403)
		return lane_forbidden(o, s);
	if (s->status == 404) {
		discovery_forget(o->discovery, str_of(l->api_version));
		return lane_refuse(o, s->lane, OWNERS_SLOW_RETRY, "no such kind (404)", s->message);
	}
	bad_status(o, s);
}

static void discovery_answered(struct owners *o, struct slot *s)
{
	struct str version = str_of(lane_at(o, s->lane)->api_version);
	int r = -EBADMSG;

	if (s->status == 200)
		r = discovery_learn(o->discovery, version, buf_str(&s->body));
	else if (s->status == 404)
		r = discovery_missing(o->discovery, version);
	if (r == 0)
		return lane_fine(o, s->lane);
	if (s->status == 403)
		return lane_forbidden(o, s);
	if (s->status != 200)
		return bad_status(o, s);
	o->counters.errors++;
	lane_refuse(o, s->lane, OWNERS_SLOW_RETRY, "the server's list of resources cannot be read",
		    "");
}

/* ---- ends ---- */

void slot_close(struct owners *o, struct slot *s)
{
	decode_free(&s->decode);
	buf_done(&s->body);
	if (s->use == SLOT_DISCOVERY) {
		lane_at(o, s->lane)->discovering = false;
		lane_let_go(o, s->lane);
	}
	s->use = SLOT_FREE;
}

/* An answer with a status has been read as far as it will be. */
static void slot_answered(struct owners *o, struct slot *s)
{
	if (o->o.budget && s->status < 500 && s->status != 429)
		budget_answered(o->o.budget, o->now);
	if (s->use == SLOT_DISCOVERY)
		discovery_answered(o, s);
	else if (s->entry)
		entry_answered(o, s);
	slot_close(o, s);
}

void slot_failed(struct owners *o, struct slot *s, bool unreachable)
{
	if (s->use == SLOT_ENTRY && s->entry && !entry_keep(o, s->entry))
		queue_put(o, s->entry, true);
	server_trouble(o, s, unreachable);
	slot_close(o, s);
}

/* ---- bytes ---- */

static int on_object(void *ctx, enum event_type type, const struct object *obj)
{
	struct slot *s = ctx;
	struct owners *o = s->owners;

	(void)type;
	if (!s->entry || s->delivered)
		return 0;
	struct entry *e = entry_at(o, s->entry);
	struct lane *l = lane_at(o, s->lane);
	if (!str_eq(obj->meta.uid, str_of(e->uid))) {
		s->other_uid = true;
		return 0;
	}
	/* The answer calls itself PartialObjectMetadata. */
	struct object copy = *obj;
	copy.api_version = str_of(l->api_version);
	copy.kind = str_of(l->kind);
	s->delivered = true;
	if (e->read)
		o->counters.refreshed++;
	e->read = true;
	o->counters.read++;
	o->o.ops->owner(o->o.ctx, str_of(e->uid), &copy);
	return 0;
}

static int on_status(void *ctx, const struct api_status *st)
{
	struct slot *s = ctx;

	redact_text(s->message, sizeof(s->message), st->message);
	/* The one 404 that speaks of the kind and not of the object. */
	if (str_eq(st->message, STR("the server could not find the requested resource")))
		s->missing_kind = true;
	return 0;
}

static int on_list(void *ctx, const struct list_meta *m)
{
	(void)ctx, (void)m;
	return -EBADMSG;
}

static void on_bad(void *ctx, enum decode_bad why, struct str name)
{
	(void)ctx, (void)why, (void)name;
}

static const struct decode_ops decode_ops = {
	.on_object = on_object,
	.on_list = on_list,
	.on_status = on_status,
	.on_bad = on_bad,
};

static int open_decoder(struct slot *s, struct str head)
{
	struct decode_opts d = {
		.body = s->status == 200 ? DECODE_OBJECT : DECODE_STATUS,
		.shape = SHAPE_META,
		.ops = &decode_ops,
		.ctx = s,
	};
	int r = decode_sniff(str_of(s->content_type), head, &d.format);

	return r < 0 ? r : decode_new(&d, &s->decode);
}

static struct slot *busy_slot(struct owners *o, unsigned id)
{
	return id < o->o.parallel && o->slots[id].use != SLOT_FREE ? &o->slots[id] : NULL;
}

int owners_response(struct owners *o, nsec_t now, unsigned id, int status, struct str content_type,
		    nsec_t retry_after)
{
	struct slot *s = busy_slot(o, id);

	o->now = now;
	if (!s || s->abort)
		return -ECANCELED;
	s->answered = true;
	s->heard = now;
	s->status = status;
	s->retry_after = retry_after;
	(void)snprintf(s->content_type, sizeof(s->content_type), "%.*s", STR_ARG(content_type));
	return 0;
}

/* An error's text: a 404 without a Status is the answer for an unknown group or version. */
static void error_text(struct slot *s, struct str text)
{
	redact_text(s->message, sizeof(s->message), text);
	s->missing_kind = true;
}

static int entry_data(struct owners *o, struct slot *s, const char *p, size_t n)
{
	bool first = s->bytes == 0;
	int r = first ? open_decoder(s, str_make(p, n)) : 0;

	s->bytes += n;
	if (r == 0 && s->decode)
		r = decode_feed(s->decode, p, n);
	if (s->status == 200 ? r < 0 : s->bytes > MAX_ERROR) {
		slot_answered(o, s);
		return -EBADMSG;
	}
	if (r < 0 && s->decode)
		decode_free(&s->decode);
	else if (r < 0)
		error_text(s, str_make(p, n));
	return 0;
}

int owners_data(struct owners *o, nsec_t now, unsigned id, const void *p, size_t n)
{
	struct slot *s = busy_slot(o, id);

	o->now = now;
	if (!s || s->abort)
		return -ECANCELED;
	assert(s->answered);
	s->heard = now;
	if (!n)
		return 0;
	if (s->use == SLOT_ENTRY)
		return entry_data(o, s, p, n);
	if (buf_append(&s->body, p, n) == 0)
		return 0;
	buf_reset(&s->body);
	slot_answered(o, s);
	return -EMSGSIZE;
}

void owners_end(struct owners *o, nsec_t now, unsigned id, enum reflector_end how, const char *text)
{
	struct slot *s = busy_slot(o, id);

	(void)text;
	o->now = now;
	if (!s)
		return;
	if (s->answered && (how == REFLECTOR_END_CLEAN || s->status != 200)) {
		if (s->decode)
			(void)decode_finish(s->decode);
		return slot_answered(o, s);
	}
	slot_failed(o, s,
		    how == REFLECTOR_END_CONNECT || how == REFLECTOR_END_TLS ||
			    how == REFLECTOR_END_TIMEOUT);
}
