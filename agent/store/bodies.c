/*
 * Bodies: the objects themselves, as LZ4 blocks under one maximum for all.
 *
 * Objects of one kind are alike and small, which LZ4 alone makes little of: the
 * sixteenth object of a kind becomes its dictionary, and halves the others.
 *
 * Each body is in one list of those that may be evicted, the one used last at the
 * end. What is not here is fetched when somebody asks; the one that was kept last
 * is never evicted, so that every fetch serves at least one reader.
 */
#include "store/inside.h"

#include <assert.h>
#include <errno.h>
#include <lz4.h>
#include <stdlib.h>

#define DICT_AFTER  16 /* objects of a kind, before one becomes the dictionary */
#define DICT_MAX    16384
#define KEPT_BUFFER ((size_t)256 << 10)

int bodies_init(struct store *s)
{
	s->lz4 = LZ4_createStream();
	return s->lz4 ? 0 : -ENOMEM;
}

void bodies_done(struct store *s)
{
	(void)LZ4_freeStream(s->lz4);
	s->lz4 = NULL;
	free(s->packed);
	s->packed = NULL;
}

/* ---- packing --------------------------------------------------------------------------------- */

static int reserve_packed(struct store *s, size_t n)
{
	if (s->n_packed >= n && (s->n_packed <= KEPT_BUFFER || n > KEPT_BUFFER))
		return 0;
	free(s->packed);
	s->n_packed = 0;
	s->packed = malloc(n);
	if (!s->packed)
		return -ENOMEM;
	s->n_packed = n;
	return 0;
}

static int pack(struct store *s, const struct kind_rec *k, struct str json, struct str *ret)
{
	int n, r = reserve_packed(s, (size_t)LZ4_compressBound((int)json.n));

	if (r < 0)
		return r;
	(void)LZ4_loadDict(s->lz4, k->dict, (int)k->n_dict);
	n = LZ4_compress_fast_continue(s->lz4, json.p, s->packed, (int)json.n, (int)s->n_packed, 1);
	*ret = n > 0 && (size_t)n < json.n ? str_make(s->packed, (size_t)n) : json;
	return 0;
}

static size_t cost(const struct body *b)
{
	return heap_bytes(sizeof(*b) + b->n);
}

int body_pack(struct store *s, struct kind_rec *k, struct str json, struct body **ret_body)
{
	struct str packed;
	struct body *b;
	int r;

	r = pack(s, k, json, &packed);
	if (r < 0)
		return r;
	if (heap_bytes(sizeof(*b) + packed.n) > s->opts.max_bodies) {
		*ret_body = NULL;
		return 0;
	}
	b = malloc(sizeof(*b) + packed.n);
	if (!b)
		return -ENOMEM;
	*b = (struct body){.n_json = (uint32_t)json.n, .n = (uint32_t)packed.n, .dict = !!k->dict};
	memcpy(b->data, packed.p, packed.n);
	*ret_body = b;
	return 0;
}

/* Into `to`, which has room for n_json bytes. */
static int unpack(const struct kind_rec *k, const struct body *b, char *to)
{
	int n;

	if (b->n == b->n_json) {
		memcpy(to, b->data, b->n);
		return 0;
	}
	n = LZ4_decompress_safe_usingDict(b->data, to, (int)b->n, (int)b->n_json,
					  b->dict ? k->dict : NULL, b->dict ? (int)k->n_dict : 0);
	return n == (int)b->n_json ? 0 : -EBADMSG;
}

/* Without memory for it the next object is the dictionary. */
void body_learn(struct kind_rec *k, struct str json)
{
	size_t n = MIN(json.n, (size_t)DICT_MAX);

	if (k->dict || k->recs < DICT_AFTER)
		return;
	k->dict = malloc(n);
	if (!k->dict)
		return;
	memcpy(k->dict, json.p, n);
	k->n_dict = (uint32_t)n;
}

/* ---- who is used last ------------------------------------------------------------------------ */

static struct body *body_at(const struct store *s, store_id id)
{
	return rec_at(s, id)->body;
}

static void lru_link(struct store *s, store_id id, enum lru which)
{
	struct id_list *l = &s->lru[which];
	struct body *b = body_at(s, id);

	b->lru = which;
	b->prev = l->tail;
	b->next = 0;
	if (l->tail)
		body_at(s, l->tail)->next = id;
	else
		l->head = id;
	l->tail = id;
}

static void lru_unlink(struct store *s, store_id id)
{
	const struct body *b = body_at(s, id);
	struct id_list *l = &s->lru[b->lru];

	if (b->prev)
		body_at(s, b->prev)->next = b->next;
	else
		l->head = b->next;
	if (b->next)
		body_at(s, b->next)->prev = b->prev;
	else
		l->tail = b->prev;
}

static enum lru list_of(const struct store *s, const struct object_rec *o)
{
	if (o->flags & REC_DEAD)
		return LRU_DEAD;
	return kind_of(s, o)->keep == STORE_CACHE ? LRU_CACHE : LRU_MEMORY;
}

static void body_use(struct store *s, store_id id, nsec_t now)
{
	lru_unlink(s, id);
	lru_link(s, id, list_of(s, rec_at(s, id)));
	body_at(s, id)->used = now;
}

void body_drop(struct store *s, store_id id)
{
	struct object_rec *o = rec_at(s, id);

	if (!o->body)
		return;
	lru_unlink(s, id);
	s->body_bytes -= cost(o->body);
	kind_of(s, o)->stats.body_bytes -= cost(o->body);
	free(o->body);
	o->body = NULL;
}

/* Until all are under the maximum; never the one that was kept last. */
static void evict(struct store *s, store_id kept)
{
	for (enum lru l = 0; l < _LRU_MAX; l++) {
		store_id next;

		for (store_id id = s->lru[l].head; id; id = next) {
			if (s->body_bytes <= s->opts.max_bodies)
				return;
			next = body_at(s, id)->next;
			if (id == kept)
				continue;
			kind_of(s, rec_at(s, id))->stats.evicted++;
			body_drop(s, id);
		}
	}
}

void body_keep(struct store *s, store_id id, struct body *b, nsec_t now, bool wanted)
{
	struct object_rec *o = rec_at(s, id);

	body_drop(s, id);
	o->fetch_error = 0;
	o->body = b;
	if (!b)
		return;
	b->used = now;
	lru_link(s, id, wanted ? LRU_WANTED : list_of(s, o));
	s->body_bytes += cost(b);
	kind_of(s, o)->stats.body_bytes += cost(b);
	evict(s, id);
}

/* Of a record that has just died or come back. */
static void body_relist(struct store *s, store_id id)
{
	if (!body_at(s, id))
		return;
	lru_unlink(s, id);
	lru_link(s, id, list_of(s, rec_at(s, id)));
}

void body_bury(struct store *s, store_id id)
{
	body_relist(s, id);
}

void body_unbury(struct store *s, store_id id)
{
	body_relist(s, id);
}

void store_tune(struct store *s, size_t max_bodies, nsec_t ttl)
{
	s->opts.max_bodies = max_bodies ? max_bodies : DEFAULT_MAX_BODIES;
	s->opts.ttl = ttl ? ttl : DEFAULT_TTL;
	evict(s, 0);
}

/* Drops what of this list was not used for its time; when the next is due. */
static nsec_t expire(struct store *s, enum lru l, nsec_t now)
{
	for (store_id id; (id = s->lru[l].head);) {
		if (body_at(s, id)->used + s->opts.ttl > now)
			return body_at(s, id)->used + s->opts.ttl;
		kind_of(s, rec_at(s, id))->stats.expired++;
		body_drop(s, id);
	}
	return NSEC_NEVER;
}

nsec_t store_tick(struct store *s, nsec_t now)
{
	nsec_t cache = expire(s, LRU_CACHE, now), wanted = expire(s, LRU_WANTED, now);

	return MIN(cache, wanted);
}

/* ---- reading and fetching -------------------------------------------------------------------- */

/* Why there is no body: 0 when there is one after all. */
static int ask(struct store *s, struct store_cursor *c, store_id id)
{
	struct object_rec *o = rec_at(s, id);
	struct kind_rec *k = kind_of(s, o);
	int r = -o->fetch_error;

	if (r < 0) {
		if (!o->waiting)
			o->fetch_error = 0;
		return r;
	}
	if (!(o->flags & REC_FETCHING)) {
		if (o->flags & REC_DEAD || !s->opts.fetch)
			return -ENOENT;
		o->flags |= REC_FETCHING;
		k->stats.fetches++;
		r = s->opts.fetch(s->opts.ctx, id);
		if (r < 0) {
			o->flags &= (uint8_t)~REC_FETCHING;
			k->stats.fetches_failed++;
			return r;
		}
	}
	if (!(o->flags & REC_FETCHING)) /* answered at once */
		return o->body ? 0 : ask(s, c, id);
	if (c)
		o->waiting |= c->bit;
	return -EAGAIN;
}

/* The body, or why there is none. */
static int want(struct store *s, struct store_cursor *c, store_id id, nsec_t now)
{
	struct object_rec *o = store_rec(s, id);
	int r = 0;

	if (!o)
		return -ENOENT;
	if (c)
		o->waiting &= (uint16_t)~c->bit;
	if (!o->body)
		r = ask(s, c, id);
	if (r == 0)
		body_use(s, id, now);
	return r;
}

int store_body(struct store *s, struct store_cursor *c, store_id id, nsec_t now, struct buf *b)
{
	const struct object_rec *o;
	int r = want(s, c, id, now);

	if (r < 0)
		return r;
	o = rec_at(s, id);
	r = buf_reserve(b, o->body->n_json);
	if (r == 0)
		r = unpack(kind_of(s, o), o->body, buf_tail(b));
	if (r == 0)
		buf_commit(b, o->body->n_json);
	return r;
}

int store_tree(struct store *s, struct store_cursor *c, store_id id, nsec_t now, struct arena *a,
	       struct tree **ret)
{
	int r;

	if (s->out.cap > KEPT_BUFFER)
		buf_done(&s->out);
	buf_reset(&s->out);
	r = store_body(s, c, id, now, &s->out);
	return r < 0 ? r : tree_parse(a, buf_str(&s->out), ret);
}

/* ---- answers --------------------------------------------------------------------------------- */

static int take_answer(struct store *s, store_id id, nsec_t now, const struct tree *object)
{
	struct object_rec *o = rec_at(s, id);
	struct kind_rec *k = kind_of(s, o);
	struct incoming in;
	struct body *b;
	int r;

	r = object_incoming(s, k, object, &in);
	if (r < 0)
		return r;
	if (!object_has_uid(s, o, in.uid) || !str_eq(rec_name(o), in.name))
		return -ENOENT; /* another one has its name by now: the watch will tell */
	if (object_is_stale(o, in.rv))
		return 0; /* the watch was quicker, and its event brought a body */
	if (!(o->flags & REC_DEAD)) {
		r = object_update(s, id, &in, now, false);
		return r < 0 ? r : o->body ? 0 : -EMSGSIZE;
	}
	r = o->body ? 0 : body_pack(s, k, in.json, &b);
	if (r == 0 && !o->body)
		body_keep(s, id, b, now, o->waiting);
	return r;
}

void store_fetched(struct store *s, store_id id, nsec_t now, const struct tree *object, int r)
{
	struct object_rec *o = store_rec(s, id);

	if (!o || !(o->flags & REC_FETCHING))
		return;
	if (object)
		r = take_answer(s, id, now, object);
	o->flags &= (uint8_t)~REC_FETCHING;
	if (r < 0) {
		kind_of(s, o)->stats.fetches_failed++;
		if (!o->body && !(o->flags & REC_DEAD))
			o->fetch_error = (uint16_t)-r;
	}
	if (o->waiting)
		journal_touch(s, id, o->waiting);
	if (o->flags & REC_DEAD)
		(void)tomb_release(s, id);
	store_wake(s);
}
