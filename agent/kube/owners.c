/*
 * Owners read one by one; see owners.h.
 *
 *   entry   one uid: queued in its lane, being asked, or answered
 *   lane    all entries of one apiVersion, kind and namespace, with one backoff
 *   slot    one request under way, of an entry or of a group version's discovery
 *
 * Entries and lanes live in pools: callbacks may add to them and nothing moves.
 */
#include "kube/owners.h"

#include "base/buf.h"
#include "base/hash.h"
#include "base/index.h"
#include "base/mem.h"
#include "base/pool.h"
#include "decode/decode.h"
#include "kube/discovery.h"
#include "kube/redact.h"
#include "kube/target.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

#define DEFAULT_QUEUE	      10000
#define DEFAULT_KNOWN	      200000
#define DEFAULT_PARALLEL      4
#define DEFAULT_REFRESH	      (600 * NSEC_PER_SEC)
#define DEFAULT_REFRESH_SPACE NSEC_PER_SEC
#define DEFAULT_REFUSE_AFTER  (10 * NSEC_PER_SEC)
#define DEFAULT_IDLE	      (30 * NSEC_PER_SEC)

/* Lanes are as many as there are kinds times namespaces; over it owners are refused. */
#define MAX_LANES 16384
/* What only an installation can change (a missing kind) is looked at again so often. */
#define SLOW_RETRY (300 * NSEC_PER_SEC)
/* An answer that cannot be understood is asked for so many times, then only at a refresh. */
#define MAX_TRIES 3
#define MAX_ERROR 65536
/* A refresh that failed may be tried again so much later. */
#define REFRESH_RETRY (30 * NSEC_PER_SEC)

enum entry_state {
	ENTRY_QUEUED, /* in its lane */
	ENTRY_ASKING, /* in a slot */
	ENTRY_IDLE,   /* answered, or given up until the next refresh */
	ENTRY_GONE,
};

struct queue {
	pool_id head, tail;
};

struct entry {
	pool_id lane, prev, next;
	char *uid, *name;   /* one block, at uid; NULL in a free record */
	nsec_t fresh_until; /* an event after this has it read again */
	uint8_t state;	    /* enum entry_state */
	uint8_t tries;
	bool read;    /* an object was delivered */
	bool told;    /* refused was */
	bool confirm; /* ask the storage, not the cache */
	bool again;   /* to be read again: waits in owners.refresh and not in its lane */
};

struct lane {
	struct queue queue;	       /* entries never read, oldest first */
	char *api_version, *kind, *ns; /* one block, at api_version; NULL in a free record */
	uint32_t entries;	       /* of any state */
	nsec_t not_before;
	nsec_t refused_since; /* NSEC_NEVER: the last answer was no 403 */
	struct backoff backoff;
	char text[320]; /* why its entries are refused; "" while they are not */
	bool untold;	/* some of the queue may not have been told */
	bool discovering;
};

enum slot_use { SLOT_FREE, SLOT_ENTRY, SLOT_DISCOVERY };

struct slot {
	struct owners *owners;
	enum slot_use use;
	pool_id entry; /* 0 when it was forgotten meanwhile */
	pool_id lane;
	nsec_t start, heard;
	bool confirm, plain;
	bool answered, delivered, other_uid, missing_kind, abort;
	int status;
	nsec_t retry_after;
	char content_type[128];
	struct buf head; /* without a Content-Type: first bytes; in discovery: the body */
	struct decode *decode;
	size_t error_bytes;
	char message[256];
};

struct owners {
	struct owners_opts o;
	struct pool entries, lanes;
	struct index by_uid, by_lane;
	struct hash_seed seed;
	struct rng rng;
	struct backoff backoff; /* of the server as a whole */
	nsec_t not_before;
	nsec_t next_refresh;
	struct queue refresh;
	uint32_t queued; /* in all queues */
	pool_id turn;	 /* the lane that was served last */
	bool plain;	 /* the server does not give metadata alone */
	struct discovery *discovery;
	struct buf target;
	struct slot slots[OWNERS_MAX_PARALLEL];
	nsec_t now; /* of the running call */
	struct owners_counters counters;
};

static struct entry *entry_at(const struct owners *o, pool_id id)
{
	return pool_at(&o->entries, id);
}

static struct lane *lane_at(const struct owners *o, pool_id id)
{
	return pool_at(&o->lanes, id);
}

/* ---- lanes and their queues ---- */

static struct queue *queue_of(struct owners *o, const struct entry *e)
{
	return e->again ? &o->refresh : &lane_at(o, e->lane)->queue;
}

static void queue_put(struct owners *o, pool_id id, bool front)
{
	struct entry *e = entry_at(o, id);
	struct queue *q = queue_of(o, e);

	e->prev = front ? 0 : q->tail;
	e->next = front ? q->head : 0;
	*(e->prev ? &entry_at(o, e->prev)->next : &q->head) = id;
	*(e->next ? &entry_at(o, e->next)->prev : &q->tail) = id;
	e->state = ENTRY_QUEUED;
	o->queued++;
	if (!e->told && !e->read)
		lane_at(o, e->lane)->untold = true;
}

static void queue_take(struct owners *o, pool_id id, enum entry_state now)
{
	struct entry *e = entry_at(o, id);
	struct queue *q = queue_of(o, e);

	*(e->prev ? &entry_at(o, e->prev)->next : &q->head) = e->next;
	*(e->next ? &entry_at(o, e->next)->prev : &q->tail) = e->prev;
	e->prev = e->next = 0;
	e->state = (uint8_t)now;
	o->queued--;
}

static uint32_t hash_str(const struct owners *o, struct str s)
{
	return (uint32_t)hash_bytes(&o->seed, s.p, s.n);
}

static uint32_t lane_hash(const struct owners *o, struct str av, struct str kind, struct str ns)
{
	return hash_str(o, av) * 31 + hash_str(o, kind) * 17 + hash_str(o, ns);
}

static bool lane_is(const struct lane *l, struct str av, struct str kind, struct str ns)
{
	return str_eq(str_of(l->kind), kind) && str_eq(str_of(l->ns), ns) &&
	       str_eq(str_of(l->api_version), av);
}

static pool_id lane_find(const struct owners *o, struct str av, struct str kind, struct str ns)
{
	uint32_t h = lane_hash(o, av, kind, ns), at;
	pool_id id = index_first(&o->by_lane, h, &at);

	while (id && !lane_is(lane_at(o, id), av, kind, ns))
		id = index_next(&o->by_lane, h, &at);
	return id;
}

/* A block of `n` texts, each with a NUL behind it; NULL when memory is short. */
static char *text_block(const struct str *s, char **const *ret, size_t n)
{
	size_t size = 0;

	for (size_t i = 0; i < n; i++)
		size += s[i].n + 1;
	char *p = calloc(1, size);
	for (size_t i = 0, at = 0; p && i < n; i++) {
		*ret[i] = p + at;
		if (s[i].n)
			memcpy(p + at, s[i].p, s[i].n);
		at += s[i].n + 1;
	}
	return p;
}

static pool_id lane_make(struct owners *o, struct str av, struct str kind, struct str ns)
{
	pool_id id = lane_find(o, av, kind, ns);

	if (id)
		return id;
	id = pool_alloc(&o->lanes);
	if (!id)
		return 0;
	struct lane *l = lane_at(o, id);
	struct str texts[] = {av, kind, ns};
	char **const to[] = {&l->api_version, &l->kind, &l->ns};
	if (!text_block(texts, to, ARRAY_SIZE(texts)) ||
	    index_put(&o->by_lane, lane_hash(o, av, kind, ns), id) < 0) {
		free(l->api_version);
		l->api_version = NULL;
		pool_release(&o->lanes, id);
		return 0;
	}
	backoff_init(&l->backoff);
	l->refused_since = NSEC_NEVER;
	return id;
}

static void lane_drop(struct owners *o, pool_id id)
{
	struct lane *l = lane_at(o, id);

	index_del(&o->by_lane, lane_hash(o, str_of(l->api_version), str_of(l->kind), str_of(l->ns)),
		  id);
	free(l->api_version);
	l->api_version = NULL;
	pool_release(&o->lanes, id);
}

/* ---- entries ---- */

static pool_id entry_find(const struct owners *o, struct str uid)
{
	uint32_t h = hash_str(o, uid), at;
	pool_id id = index_first(&o->by_uid, h, &at);

	while (id && !str_eq(str_of(entry_at(o, id)->uid), uid))
		id = index_next(&o->by_uid, h, &at);
	return id;
}

static void entry_free(struct owners *o, pool_id id)
{
	struct entry *e = entry_at(o, id);
	struct lane *l = lane_at(o, e->lane);

	index_del(&o->by_uid, hash_str(o, str_of(e->uid)), id);
	free(e->uid);
	e->uid = NULL;
	/* A lane that waits for a discovery is named by its slot and stays. */
	if (--l->entries == 0 && !l->discovering)
		lane_drop(o, e->lane);
	pool_release(&o->entries, id);
}

static int entry_make(struct owners *o, const struct owner_ref *ref, struct str ns)
{
	pool_id lane = lane_make(o, ref->api_version, ref->kind, ns);
	if (!lane)
		return -ENOSPC;
	pool_id id = pool_alloc(&o->entries);
	struct entry *e = id ? entry_at(o, id) : NULL;
	struct str texts[] = {ref->uid, ref->name};
	char **const to[] = {e ? &e->uid : NULL, e ? &e->name : NULL};

	if (!e || !text_block(texts, to, ARRAY_SIZE(texts)) ||
	    index_put(&o->by_uid, hash_str(o, ref->uid), id) < 0) {
		if (e) {
			free(e->uid);
			e->uid = NULL;
			pool_release(&o->entries, id);
		}
		if (lane_at(o, lane)->entries == 0 && !lane_at(o, lane)->discovering)
			lane_drop(o, lane);
		return e ? -ENOMEM : -ENOSPC;
	}
	e->lane = lane;
	lane_at(o, lane)->entries++;
	queue_put(o, id, false);
	return 0;
}

static bool has_nul(struct str s)
{
	return s.n && memchr(s.p, 0, s.n);
}

static bool usable(const struct owner_ref *ref, struct str ns)
{
	return ref->uid.n && ref->uid.n <= OWNERS_MAX_UID && ref->name.n &&
	       ref->name.n <= OWNERS_MAX_NAME && ref->kind.n && ref->kind.n <= OWNERS_MAX_NAME &&
	       ref->api_version.n && ref->api_version.n <= OWNERS_MAX_NAME &&
	       ns.n <= OWNERS_MAX_NAME && !has_nul(ref->uid) && !has_nul(ref->name) &&
	       !has_nul(ref->kind) && !has_nul(ref->api_version) && !has_nul(ns);
}

int owners_want(struct owners *o, nsec_t now, const struct owner_ref *ref, struct str ns)
{
	if (!usable(ref, ns))
		return -EINVAL;
	pool_id id = entry_find(o, ref->uid);
	if (!id) {
		int r = o->queued < o->o.max_queue ? entry_make(o, ref, ns) : -ENOSPC;

		if (r == 0)
			o->counters.wanted++;
		else if (r == -ENOSPC)
			o->counters.refused++;
		return r;
	}
	struct entry *e = entry_at(o, id);
	if (e->state != ENTRY_IDLE || now < e->fresh_until || o->queued >= o->o.max_queue)
		return 0;
	e->again = e->read;
	e->tries = 0;
	queue_put(o, id, false);
	return 0;
}

void owners_forget(struct owners *o, struct str uid)
{
	pool_id id = entry_find(o, uid);

	if (!id)
		return;
	struct entry *e = entry_at(o, id);
	if (e->state == ENTRY_QUEUED)
		queue_take(o, id, ENTRY_IDLE);
	/* A request under way goes on and its answer is dropped. */
	for (unsigned i = 0; e->state == ENTRY_ASKING && i < o->o.parallel; i++)
		if (o->slots[i].use == SLOT_ENTRY && o->slots[i].entry == id) {
			o->slots[i].entry = 0;
			o->slots[i].abort = true;
		}
	entry_free(o, id);
}

/* ---- answers ---- */

static void tell_refused(struct owners *o, struct entry *e, const char *text)
{
	if (e->told || e->read)
		return;
	e->told = true;
	o->o.ops->refused(o->o.ctx, str_of(e->uid), text);
}

static void tell_lane(struct owners *o, pool_id lane)
{
	struct lane *l = lane_at(o, lane);

	if (!l->text[0] || !l->untold)
		return;
	l->untold = false;
	for (pool_id id = l->queue.head; id; id = entry_at(o, id)->next)
		tell_refused(o, entry_at(o, id), l->text);
}

/* The server as a whole does not answer well: everything waits. */
static void server_trouble(struct owners *o, struct slot *s, nsec_t now, bool slow_down)
{
	o->counters.errors++;
	o->not_before = now + backoff_next(&o->backoff, &o->rng, now, s->retry_after);
	if (slow_down && o->o.budget)
		budget_slow_down(o->o.budget, now, s->start, s->retry_after);
}

/* No owner of the lane can be read. */
static void lane_refuse(struct owners *o, pool_id lane, nsec_t wait, const char *what,
			const char *why)
{
	struct lane *l = lane_at(o, lane);
	int n = snprintf(l->text, sizeof(l->text), "%s of %s: %s%s%s", l->kind, l->api_version,
			 what, why[0] ? ": " : "", why);

	if (n < 0)
		l->text[0] = '\0';
	l->not_before = o->now + wait;
	tell_lane(o, lane);
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

static void lane_fine(struct owners *o, pool_id lane)
{
	struct lane *l = lane_at(o, lane);

	l->refused_since = NSEC_NEVER;
	l->text[0] = '\0';
	backoff_good(&l->backoff, o->now);
	backoff_good(&o->backoff, o->now);
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
	tell_refused(o, e, text);
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

/* An entry that was read before keeps its answer, whatever a refresh meets. */
static bool keep_old_answer(struct owners *o, pool_id id)
{
	struct entry *e = entry_at(o, id);

	if (!e->read)
		return false;
	o->counters.errors++;
	e->state = ENTRY_IDLE;
	e->fresh_until = o->now + REFRESH_RETRY;
	e->again = e->confirm = false;
	return true;
}

static void entry_answered(struct owners *o, struct slot *s)
{
	int code = s->status;

	if (code == 200) {
		if (s->delivered)
			return entry_read(o, s);
		return s->other_uid ? entry_gone(o, s)
				    : entry_bad(o, s, "the answer has no object");
	}
	if (code == 404 && !s->missing_kind)
		return entry_gone(o, s);
	if (code == 406 && !s->plain) {
		o->plain = true;
		return queue_put(o, s->entry, true);
	}
	if (keep_old_answer(o, s->entry))
		return;
	queue_put(o, s->entry, true);
	if (code == 403)
		return lane_forbidden(o, s);
	if (code == 404) {
		struct lane *l = lane_at(o, s->lane);

		discovery_forget(o->discovery, str_of(l->api_version));
		return lane_refuse(o, s->lane, SLOW_RETRY, "no such kind (404)", s->message);
	}
	server_trouble(o, s, o->now, code == 429 || code == 503);
	if (code == 401 && o->o.ops->unauthorized)
		o->o.ops->unauthorized(o->o.ctx);
}

static void discovery_answered(struct owners *o, struct slot *s)
{
	struct lane *l = lane_at(o, s->lane);
	int r = -EBADMSG;

	if (s->status == 200)
		r = discovery_learn(o->discovery, str_of(l->api_version), buf_str(&s->head));
	else if (s->status == 404)
		r = discovery_missing(o->discovery, str_of(l->api_version));
	if (r == 0)
		return lane_fine(o, s->lane);
	if (s->status == 403)
		return lane_forbidden(o, s);
	if (s->status == 200) {
		o->counters.errors++;
		return lane_refuse(o, s->lane, SLOW_RETRY,
				   "the server's list of resources cannot be read", "");
	}
	server_trouble(o, s, o->now, s->status == 429 || s->status == 503);
	if (s->status == 401 && o->o.ops->unauthorized)
		o->o.ops->unauthorized(o->o.ctx);
}

static void slot_close(struct owners *o, struct slot *s)
{
	decode_free(&s->decode);
	buf_done(&s->head);
	if (s->use == SLOT_DISCOVERY) {
		struct lane *l = lane_at(o, s->lane);

		l->discovering = false;
		if (l->entries == 0)
			lane_drop(o, s->lane);
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

/* There was no answer. */
static void slot_failed(struct owners *o, struct slot *s, bool unreachable)
{
	if (s->use == SLOT_ENTRY && s->entry && !keep_old_answer(o, s->entry))
		queue_put(o, s->entry, true);
	server_trouble(o, s, o->now, unreachable);
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

static int entry_data(struct owners *o, struct slot *s, const char *p, size_t n)
{
	int r = 0;

	s->error_bytes += n;
	if (!s->decode && s->error_bytes == n)
		r = open_decoder(s, str_make(p, n));
	if (r == 0 && s->decode)
		r = decode_feed(s->decode, p, n);
	if (s->status == 200 && r == 0)
		return 0;
	if (s->status != 200 && s->error_bytes <= MAX_ERROR) {
		/* Text: a 404 without a Status is the answer for an unknown group or version. */
		if (!s->decode && s->error_bytes == n) {
			redact_text(s->message, sizeof(s->message), str_make(p, n));
			s->missing_kind = true;
		} else if (r < 0) {
			decode_free(&s->decode);
		}
		return 0;
	}
	slot_answered(o, s);
	return -EBADMSG;
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
	if (buf_append(&s->head, p, n) == 0)
		return 0;
	buf_reset(&s->head);
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

/* ---- requests ---- */

/* What has to be done for an owner. */
enum step { STEP_NOTHING, STEP_READ, STEP_DISCOVER };

struct job {
	enum step step;
	pool_id lane, entry;
	struct resource res;
};

static bool being_discovered(const struct owners *o, const struct lane *l)
{
	for (unsigned i = 0; i < o->o.parallel; i++)
		if (o->slots[i].use == SLOT_DISCOVERY &&
		    strcmp(lane_at(o, o->slots[i].lane)->api_version, l->api_version) == 0)
			return true;
	return false;
}

static enum step lane_step(struct owners *o, struct job *job, nsec_t *when)
{
	struct lane *l = lane_at(o, job->lane);

	if (l->not_before > o->now) {
		*when = MIN(*when, l->not_before);
		return STEP_NOTHING;
	}
	if (being_discovered(o, l))
		return STEP_NOTHING;
	switch (discovery_find(o->discovery, str_of(l->api_version), str_of(l->kind), &job->res)) {
	case DISCOVERY_KNOWN:
		return STEP_READ;
	case DISCOVERY_ASK:
		return STEP_DISCOVER;
	case DISCOVERY_MISSING:
		break;
	}
	/* Perhaps its definition is installed later. */
	discovery_forget(o->discovery, str_of(l->api_version));
	lane_refuse(o, job->lane, SLOW_RETRY, "the server has no such kind", "");
	*when = MIN(*when, l->not_before);
	return STEP_NOTHING;
}

/* The oldest refresh, if it is time for one. */
static struct job refresh_job(struct owners *o, nsec_t *when)
{
	struct job job = {0};

	while (o->refresh.head) {
		if (o->now < o->next_refresh) {
			*when = MIN(*when, o->next_refresh);
			break;
		}
		nsec_t later = NSEC_NEVER;
		job.entry = o->refresh.head;
		job.lane = entry_at(o, job.entry)->lane;
		job.step = lane_step(o, &job, &later);
		if (job.step != STEP_NOTHING)
			break;
		/* Its kind cannot be read at present. */
		queue_take(o, job.entry, ENTRY_IDLE);
		(void)keep_old_answer(o, job.entry);
	}
	return job;
}

/* The next lane with something to do, after the one that was served last; then refreshes. */
static struct job next_job(struct owners *o, nsec_t *when)
{
	uint32_t n = o->lanes.next;

	for (uint32_t i = 0; o->queued && i < n; i++) {
		struct job job = {.lane = (o->turn + i) % n + 1};
		struct lane *l = lane_at(o, job.lane);

		if (!l->api_version || !l->queue.head)
			continue;
		tell_lane(o, job.lane);
		job.entry = l->queue.head;
		job.step = lane_step(o, &job, when);
		if (job.step != STEP_NOTHING)
			return job;
	}
	return refresh_job(o, when);
}

static int entry_target(struct owners *o, const struct lane *l, const struct entry *e,
			const struct resource *res)
{
	int r = discovery_target(&o->target, str_of(l->api_version));

	if (r == 0 && res->namespaced && l->ns[0]) {
		r = buf_append_str(&o->target, STR("/namespaces/"));
		if (r == 0)
			r = target_escape(&o->target, str_of(l->ns));
	}
	if (r == 0)
		r = buf_append(&o->target, "/", 1);
	if (r == 0)
		r = target_escape(&o->target, res->plural);
	if (r == 0)
		r = buf_append(&o->target, "/", 1);
	if (r == 0)
		r = target_escape(&o->target, str_of(e->name));
	/* From the server's cache: an owner that a pod names is nearly always there. */
	if (r == 0 && !e->confirm)
		r = target_param(&o->target, "resourceVersion", STR("0"));
	return r;
}

static int slot_start(struct owners *o, struct slot *s, const struct job *job,
		      struct owners_request *ret)
{
	struct lane *l = lane_at(o, job->lane);
	struct entry *e = entry_at(o, job->entry);
	bool read = job->step == STEP_READ;
	int r;

	buf_reset(&o->target);
	r = read ? entry_target(o, l, e, &job->res)
		 : discovery_target(&o->target, str_of(l->api_version));
	if (r == 0)
		r = buf_append(&o->target, "", 1);
	if (r < 0)
		return r;
	*s = (struct slot){
		.owners = o,
		.use = read ? SLOT_ENTRY : SLOT_DISCOVERY,
		.entry = read ? job->entry : 0,
		.lane = job->lane,
		.start = o->now,
		.heard = o->now,
		.confirm = e->confirm,
		.plain = o->plain,
	};
	buf_init(&s->head, DISCOVERY_MAX_BODY);
	o->turn = job->lane;
	o->counters.requests++;
	*ret = (struct owners_request){
		.id = (unsigned)(s - o->slots),
		.target = buf_str(&o->target).p,
		.accept = accept_header((struct accept_form){
			.metadata_only = read && !o->plain,
			.protobuf = read && !o->o.no_protobuf,
		}),
	};
	if (!read) {
		o->counters.discoveries++;
		l->discovering = true;
		return 0;
	}
	if (e->again)
		o->next_refresh = o->now + o->o.refresh_space;
	queue_take(o, job->entry, ENTRY_ASKING);
	return 0;
}

static struct slot *free_slot(struct owners *o)
{
	for (unsigned i = 0; i < o->o.parallel; i++)
		if (o->slots[i].use == SLOT_FREE)
			return &o->slots[i];
	return NULL;
}

/* A slot that fell silent or whose answer nobody wants any more. */
static bool abort_one(struct owners *o, struct owners_request *ret, nsec_t *deadline)
{
	for (unsigned i = 0; i < o->o.parallel; i++) {
		struct slot *s = &o->slots[i];

		if (s->use == SLOT_FREE)
			continue;
		ret->id = i;
		if (s->abort) {
			slot_close(o, s);
			return true;
		}
		if (o->now >= s->heard + o->o.idle) {
			slot_failed(o, s, !s->answered);
			return true;
		}
		*deadline = MIN(*deadline, s->heard + o->o.idle);
	}
	return false;
}

enum reflector_action owners_poll(struct owners *o, nsec_t now, struct owners_request *ret,
				  nsec_t *ret_deadline)
{
	nsec_t when = NSEC_NEVER;

	o->now = now;
	*ret_deadline = NSEC_NEVER;
	if (abort_one(o, ret, ret_deadline)) {
		*ret_deadline = now;
		return REFLECTOR_ABORT;
	}
	struct slot *s = free_slot(o);
	if (!s || !o->queued)
		return REFLECTOR_NONE;
	if (now < o->not_before) {
		*ret_deadline = MIN(*ret_deadline, o->not_before);
		return REFLECTOR_NONE;
	}
	struct job job = next_job(o, &when);
	if (job.step != STEP_NOTHING && (!o->o.budget || budget_take(o->o.budget, now, &when))) {
		if (slot_start(o, s, &job, ret) == 0) {
			*ret_deadline = now;
			return REFLECTOR_START;
		}
		when = o->not_before = now + backoff_next(&o->backoff, &o->rng, now, NSEC_PER_SEC);
	}
	*ret_deadline = MIN(*ret_deadline, when);
	return REFLECTOR_NONE;
}

/* ---- birth and death ---- */

int owners_new(const struct owners_opts *opts, struct owners **ret)
{
	assert(opts->ops && opts->ops->owner && opts->ops->gone && opts->ops->refused);
	struct owners *o = calloc(1, sizeof(*o));
	if (!o)
		return -ENOMEM;
	o->o = *opts;
	o->o.max_queue = opts->max_queue ? opts->max_queue : DEFAULT_QUEUE;
	o->o.max_known = opts->max_known ? opts->max_known : DEFAULT_KNOWN;
	o->o.parallel = MIN(opts->parallel ? opts->parallel : DEFAULT_PARALLEL,
			    (uint32_t)OWNERS_MAX_PARALLEL);
	o->o.refresh = opts->refresh ? opts->refresh : DEFAULT_REFRESH;
	o->o.refresh_space = opts->refresh_space ? opts->refresh_space : DEFAULT_REFRESH_SPACE;
	o->o.refuse_after = opts->refuse_after ? opts->refuse_after : DEFAULT_REFUSE_AFTER;
	o->o.idle = opts->idle ? opts->idle : DEFAULT_IDLE;
	pool_init(&o->entries, sizeof(struct entry), o->o.max_known);
	pool_init(&o->lanes, sizeof(struct lane), MAX_LANES);
	index_init(&o->by_uid);
	index_init(&o->by_lane);
	hash_seed_init(&o->seed);
	rng_seed(&o->rng, opts->seed);
	backoff_init(&o->backoff);
	buf_init(&o->target, 16 * 1024);
	int r = discovery_new(&o->discovery);
	if (r < 0) {
		owners_free(&o);
		return r;
	}
	*ret = o;
	return 0;
}

void owners_free(struct owners **op)
{
	struct owners *o = *op;

	if (!o)
		return;
	for (unsigned i = 0; i < OWNERS_MAX_PARALLEL; i++) {
		decode_free(&o->slots[i].decode);
		buf_done(&o->slots[i].head);
	}
	for (pool_id id = 1; id <= o->entries.next; id++)
		free(entry_at(o, id)->uid);
	for (pool_id id = 1; id <= o->lanes.next; id++)
		free(lane_at(o, id)->api_version);
	pool_done(&o->entries);
	pool_done(&o->lanes);
	index_done(&o->by_uid);
	index_done(&o->by_lane);
	discovery_free(&o->discovery);
	buf_done(&o->target);
	free(o);
	*op = NULL;
}

const struct owners_counters *owners_counters(const struct owners *o)
{
	return &o->counters;
}

uint32_t owners_known(const struct owners *o)
{
	return o->entries.live;
}

uint32_t owners_queued(const struct owners *o)
{
	return o->queued;
}

size_t owners_bytes(const struct owners *o)
{
	return sizeof(*o) + pool_bytes(&o->entries) + pool_bytes(&o->lanes) +
	       index_bytes(&o->by_uid) + index_bytes(&o->by_lane) + o->target.cap;
}
