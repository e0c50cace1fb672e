/*
 * What the database is known to hold: the ledger's word first, then the database's
 * own, which counts more. And the sweep, that finds documents without an object.
 */
#include "sink/vector/sync_parts.h"

#include "base/mem.h"

#include <errno.h>
#include <string.h>

/* ---- the ledger ------------------------------------------------------------------------------ */

/* Of a document set aside the hashes of what was refused stay: the database has a former one. */
static void set_hashes(struct mark *m, const uint8_t *text_hash, const uint8_t *meta_hash)
{
	if (m->flags & MARK_ASIDE)
		return;
	if (text_hash && meta_hash) {
		memcpy(m->text_hash, text_hash, HASH_KEPT);
		memcpy(m->meta_hash, meta_hash, HASH_KEPT);
		m->flags &= (uint8_t)~MARK_FORCE;
	} else {
		m->flags |= MARK_FORCE; /* not known what is there: it is written once */
	}
}

static int take_row(struct sync *s, struct str id, struct str uid, const uint8_t *text_hash,
		    const uint8_t *meta_hash, uint32_t *ret)
{
	int r = mark_get(s, s->o.doc.id == DOC_ID_CONTENT ? uid : id, ret);

	if (r == 0)
		r = mark_set_point(s, *ret, id);
	if (r < 0)
		return r;
	mark_set_stored(s, *ret, true);
	set_hashes(mark_at(s, *ret), text_hash, meta_hash);
	return 0;
}

static int on_ledger_row(void *ctx, const struct ledger_row *row)
{
	struct sync *s = ctx;
	uint32_t id;
	int r = take_row(s, row->id, row->uid, row->text_hash, row->meta_hash, &id);

	if (r == -ENOMEM)
		return r;
	if (r == 0 && row->state == LEDGER_QUARANTINED)
		mark_set_aside(s, id, row->reason);
	return 0;
}

int known_load(struct sync *s, struct buf *error)
{
	if (!s->o.ledger.load)
		return 0;
	return s->o.ledger.load(s->o.ledger.ctx, on_ledger_row, s, error);
}

/* ---- the database ---------------------------------------------------------------------------- */

int known_drop(struct sync *s, struct str point)
{
	uint32_t id;
	int r = mark_get(s, point, &id);

	if (r < 0)
		return r;
	mark_set_stored(s, id, true);
	mark_at(s, id)->flags |= MARK_SEEN;
	mark_gone(s, id, s->now);
	return 0;
}

/* DOC_ID_CONTENT: a crash between writing a new document and deleting the former one leaves two.
 * Which of them is right is seen when the object is looked at. */
static bool is_second(const struct sync *s, const struct backend_known *k)
{
	uint32_t id = s->o.doc.id == DOC_ID_CONTENT ? mark_find(s, k->uid) : 0;

	return id && (mark_at(s, id)->flags & MARK_SEEN) &&
	       !str_eq(mark_point(mark_at(s, id)), k->id);
}

static void on_known(void *ctx, const struct backend_known *k)
{
	struct sync *s = ctx;
	uint32_t id;

	if (!str_eq(k->cluster, s->o.doc.cluster))
		return; /* another cluster's agent looks after it */
	if (is_second(s, k))
		(void)known_drop(s, k->id); /* without memory: found again by the next list */
	else if (take_row(s, k->id, k->uid, k->text_hash, k->meta_hash, &id) < 0)
		s->status.refused_full++;
	else
		mark_at(s, id)->flags |= MARK_SEEN;
}

/* What the ledger believed in and the database does not have is written again. */
static void forget_unseen(struct sync *s)
{
	for (uint32_t id = 1; id <= s->marks.next; id++) {
		struct mark *m = mark_at(s, id);

		if (!m->key)
			continue;
		if ((m->flags & (MARK_STORED | MARK_SEEN)) == MARK_STORED) {
			mark_set_stored(s, id, false);
			if (m->object)
				mark_changed(s, id, s->now, true);
		}
		m->flags &= (uint8_t)~MARK_SEEN;
	}
}

static void on_listed(void *ctx, const struct vector_end *end, bool more)
{
	struct sync *s = ctx;

	s->fly = FLY_NONE;
	if (end->how != VECTOR_OK) {
		sync_failed(s, end);
		return;
	}
	sync_worked(s);
	s->list_begun = more;
	if (!more) {
		forget_unseen(s);
		s->listed = true;
		s->sweep_due = true;
		s->status.complete = false;
	}
	sync_wake(s);
}

void known_list(struct sync *s)
{
	struct backend *b = s->o.backend;
	int r;

	if (!b->ops->list) {
		s->listed = true;
		s->sweep_due = true;
		return;
	}
	s->status.requests++;
	s->fly = FLY_LIST;
	r = b->ops->list(b, !s->list_begun, on_known, on_listed, s);
	if (r < 0)
		sync_not_started(s, r);
}

/* ---- the sweep ------------------------------------------------------------------------------- */

/* The kind of a document by its key, [CLUSTER/]NAMESPACE/APIVERSION/KIND/NAME. */
static bool kind_of_key(const struct sync *s, struct str key, struct str *ret_api_version,
			struct str *ret_kind)
{
	const char *slash;
	struct str head;

	if (s->o.doc.cluster.n)
		(void)str_split(&key, '/', &head);
	(void)str_split(&key, '/', &head); /* the namespace */
	slash = key.n ? memrchr(key.p, '/', key.n) : NULL;
	if (!slash)
		return false;
	key.n = (size_t)(slash - key.p); /* without the name */
	slash = memrchr(key.p, '/', key.n);
	if (!slash)
		return false;
	*ret_kind = str_from(key, (size_t)(slash - key.p) + 1);
	*ret_api_version = str_make(key.p, (size_t)(slash - key.p));
	return true;
}

bool known_all_synced(const struct sync *s)
{
	struct store_kind_view k;

	for (store_kind i = store_kind_next(s->o.store, 0); i; i = store_kind_next(s->o.store, i))
		if (store_kind_get(s->o.store, i, &k) && k.sync != STORE_SYNCED)
			return false;
	return true;
}

/* Whether an object of this document would have been seen: then there is none. */
static bool surely_gone(const struct sync *s, const struct mark *m)
{
	struct str api_version, kind;
	struct store_kind_view k;

	if (s->o.doc.id == DOC_ID_CONTENT)
		return s->kinds_complete && known_all_synced(s);
	if (!kind_of_key(s, str_make(m->key, m->key_n), &api_version, &kind))
		return s->kinds_complete;
	for (store_kind i = store_kind_next(s->o.store, 0); i; i = store_kind_next(s->o.store, i))
		if (store_kind_get(s->o.store, i, &k) && str_eq(k.kind, kind) &&
		    str_eq(k.api_version, api_version))
			return k.sync == STORE_SYNCED;
	return s->kinds_complete; /* the API server has no such kind any more, or it is not wanted
				   */
}

bool known_sweep(struct sync *s)
{
	uint32_t end;

	if (!s->sweep_at) {
		if (!s->sweep_due || !s->listed || !store_cursor_at_end(s->o.store, s->cursor))
			return false;
		s->sweep_due = false;
		s->sweep_at = 1;
	}
	end = MIN(s->sweep_at + SWEEP_SLICE, s->marks.next + 1);
	for (; s->sweep_at < end; s->sweep_at++) {
		struct mark *m = mark_at(s, s->sweep_at);

		if (m->key && !m->object && m->list != LIST_GONE && surely_gone(s, m))
			mark_gone(s, s->sweep_at, s->now);
	}
	if (s->sweep_at <= s->marks.next)
		return true;
	s->sweep_at = 0;
	s->status.complete = s->kinds_complete && known_all_synced(s) && !s->sweep_due;
	return s->sweep_due;
}
