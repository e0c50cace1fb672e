/*
 * A reflector's making, and its poll: what to do now, and how long silence is
 * borne. See reflector.h for the whole, reflector_parts.h for the other files.
 */
#include "kube/reflector_parts.h"

#include "base/mem.h"
#include "kube/target.h"

#include <assert.h>
#include <errno.h>
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

void reflector_tell(struct reflector *r, enum reflector_health health, const char *text)
{
	if (r->health == health && strcmp(r->text, text) == 0)
		return;
	if (r->health != health)
		r->since = r->now;
	r->health = health;
	(void)snprintf(r->text, sizeof(r->text), "%s", text);
	if (r->o.ops->state) {
		struct reflector_status s = reflector_status(r);

		r->o.ops->state(r->o.ctx, &s);
	}
}

/* ---- polling ---- */

static nsec_t silence_limit(const struct reflector *r)
{
	nsec_t list = r->t.heard + (r->t.body_seen ? r->o.idle : r->o.first_byte);

	if (r->t.answered && r->t.status != 200)
		return r->t.heard + r->o.idle;
	if (r->t.kind == TRANSFER_PAGE)
		return list;
	/* A frame may claim a length that swallows all that follows. */
	if (r->t.kind == TRANSFER_STREAM)
		return MIN(list, r->t.decoded_at + r->o.first_byte + r->o.watch_idle);
	if (!r->t.answered)
		return r->t.heard + r->o.idle;
	/* Nothing to expect from a server that sends no bookmarks: then only the end counts. */
	return r->server_bookmarks ? r->t.decoded_at + r->o.watch_idle : NSEC_NEVER;
}

static nsec_t transfer_limit(const struct reflector *r)
{
	return r->paused ? NSEC_NEVER : MIN(silence_limit(r), r->t.limit_at);
}

static void give_up(struct reflector *r)
{
	if (r->t.answered && r->t.status != 200)
		return answer_refused(r);
	/* An answer, but no end of the list: the server may not know streaming lists. (With bytes
	 * of the body, note_broken counts it.) */
	if (r->t.kind == TRANSFER_STREAM && r->t.answered && !r->t.body_seen)
		list_stream_failed(r);
	/* Bookmarks should have come. A resume point of the future (a cluster restored from a
	 * backup) gives such silence. */
	watch_stuck(r);
	if (r->t.answered)
		return transfer_broke(r, "fell silent", NULL);
	if (r->o.budget)
		budget_slow_down(r->o.budget, r->now, r->t.start_at, 0);
	transfer_broke(r, "got no answer in time", NULL);
}

static enum reflector_action poll_busy(struct reflector *r, nsec_t *ret_deadline)
{
	if (r->now >= transfer_limit(r)) {
		give_up(r);
		*ret_deadline = r->now;
		return REFLECTOR_ABORT;
	}
	if (r->now >= r->t.settle_at) {
		r->t.settle_at = NSEC_NEVER;
		reflector_tell(r, REFLECTOR_SYNCED, "");
	}
	*ret_deadline = MIN(transfer_limit(r), r->t.settle_at);
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
	if (r->t.kind != TRANSFER_NONE)
		return poll_busy(r, ret_deadline);
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
	if (request_make(r, ret_request) < 0) {
		transfer_fail(r, REFLECTOR_FAILING, 0, "out of memory");
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
	r->t.heard = MIN(now, r->t.heard + stood);
	r->t.decoded_at = MIN(now, r->t.decoded_at + stood);
	if (r->t.limit_at != NSEC_NEVER)
		r->t.limit_at += stood;
}

bool reflector_paused(const struct reflector *r)
{
	return r->paused;
}

void reflector_relist(struct reflector *r, nsec_t now)
{
	if (r->list_wanted)
		return;
	r->abort_pending = r->t.kind != TRANSFER_NONE;
	transfer_close(r);
	list_forget(r);
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

void reflector_opts_tune(struct reflector_opts *o, const struct reflector_opts *from)
{
	o->page_size = from->page_size;
	o->whole_lists = from->whole_lists;
	o->no_streaming = from->no_streaming;
	o->max_object = from->max_object;
	o->first_byte = from->first_byte;
	o->idle = from->idle;
	o->watch_idle = from->watch_idle;
	o->watch_min_s = from->watch_min_s;
	o->watch_max_s = from->watch_max_s;
	o->backoff_base = from->backoff_base;
	o->backoff_cap = from->backoff_cap;
}

static void set_backoff(struct reflector *r)
{
	r->backoff.base = r->o.backoff_base ? r->o.backoff_base : BACKOFF_BASE;
	r->backoff.cap = r->o.backoff_cap ? r->o.backoff_cap : BACKOFF_CAP;
}

void reflector_tune(struct reflector *r, const struct reflector_opts *o)
{
	reflector_opts_tune(&r->o, o);
	set_defaults(&r->o);
	set_backoff(r);
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
	set_backoff(r);
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
	decode_free(&r->t.decode);
	buf_done(&r->target);
	list_forget(r);
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
		.heard = r->heard,
		.bookmarks = r->server_bookmarks,
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
	return sizeof(*r) + r->target.cap + (r->t.decode ? decode_bytes(r->t.decode) : 0) +
	       (r->cont ? strlen(r->cont) + 1 : 0);
}
