/*
 * A sync with a real store, and an embedder and a database that stand in memory: their
 * answers come when the test says so, and end as it says.
 */
#pragma once

#include "base/mem.h"
#include "sink/vector/sync.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define SEC	 NSEC_PER_SEC
#define RIG_DIM	 4
#define RIG_DOCS 4096

enum rig_op { OP_NONE, OP_ENSURE, OP_UPSERT, OP_PAYLOAD, OP_REMOVE, OP_LIST, OP_EMBED, _OP_MAX };

struct rig_doc { /* what the database holds */
	char id[256], uid[64], text[DOC_TEXT_MAX + 1];
	uint8_t text_hash[DOC_HASH_SIZE], meta_hash[DOC_HASH_SIZE];
	float vector[RIG_DIM];
	enum ledger_state state; /* in the ledger */
};

struct rig {
	struct backend backend; /* first */
	struct embedder embedder;
	struct store *store;
	struct sync *sync;
	struct sync_opts o;
	store_kind kind;
	uint16_t source;
	nsec_t now, due;
	bool woken; /* by the sync: it wants to run, though it is not `due` */
	struct arena arena;

	struct rig_doc *docs, *pending; /* RIG_DOCS each */
	uint32_t n_docs, n_pending;
	enum rig_op op, embed_op; /* under way */
	backend_done done;
	void (*list_done)(void *ctx, const struct vector_end *end, bool more);
	void (*list_row)(void *ctx, const struct backend_known *k);
	void (*embed_done)(void *ctx, const struct vector_end *end, const float *v, uint32_t dim);
	void *done_ctx;
	char **embed_texts;
	uint32_t n_texts;
	uint32_t list_at;

	uint32_t n_ops[_OP_MAX]; /* requests */
	uint32_t n_embedded;
	uint32_t largest;		   /* batch */
	const char *poison;		   /* a document whose text has it is refused */
	enum vector_outcome fail[_OP_MAX]; /* the next one of the kind ends like this, once */
	nsec_t retry_after;
	bool lists;	     /* the database can be listed */
	bool database_first; /* of two requests its own is answered first, else the embedder's */

	struct rig_doc *ledger; /* what was made durable */
	uint32_t n_ledger;
	int ledger_r;
	char told[4096];
	unsigned quiet;
	bool no_hashes;	  /* the database does not tell them */
	bool loses;	  /* and may have lost what it had */
	store_id fetched; /* that the store wants to be read again */
	/* The chain above an object, as the test has made it; NULL: nothing is owned. */
	uint32_t (*owners)(struct rig *g, struct str name, struct doc_owner ret[8]);
};

/* ---- the embedder ---------------------------------------------------------------------------- */

static inline void rig_vector(struct str text, float v[RIG_DIM])
{
	v[0] = 1.0F;
	v[1] = (float)text.n;
	v[2] = text.n ? (float)(unsigned char)text.p[text.n / 2] : 0.0F;
	v[3] = text.n ? (float)(unsigned char)text.p[text.n - 1] : 0.0F;
}

static inline struct rig *rig_of_embedder(struct embedder *e)
{
	return (struct rig *)((char *)e - offsetof(struct rig, embedder));
}

static inline int rig_embed(struct embedder *e, const struct str *texts, uint32_t n,
			    void (*done)(void *ctx, const struct vector_end *end, const float *v,
					 uint32_t dim),
			    void *ctx)
{
	struct rig *g = rig_of_embedder(e);

	assert_int_equal(g->embed_op, OP_NONE);
	assert_in_range(n, 1, e->max_batch);
	g->embed_texts = calloc(n, sizeof(*g->embed_texts));
	for (uint32_t i = 0; i < n; i++)
		g->embed_texts[i] = str_dup(texts[i]);
	g->n_texts = n;
	g->embed_op = OP_EMBED;
	g->embed_done = done;
	g->done_ctx = ctx;
	g->n_ops[OP_EMBED]++;
	return 0;
}

static inline void rig_drop_texts(struct rig *g)
{
	for (uint32_t i = 0; i < g->n_texts; i++)
		free(g->embed_texts[i]);
	free(g->embed_texts);
	g->embed_texts = NULL;
	g->n_texts = 0;
	g->embed_op = OP_NONE;
}

static inline void rig_embed_cancel(struct embedder *e)
{
	rig_drop_texts(rig_of_embedder(e));
}

static const struct embedder_ops rig_embedder_ops = {.embed = rig_embed,
						     .cancel = rig_embed_cancel};

/* ---- the database ---------------------------------------------------------------------------- */

static inline struct rig_doc *rig_find(struct rig *g, struct str id)
{
	for (uint32_t i = 0; i < g->n_docs; i++)
		if (str_eq(str_of(g->docs[i].id), id))
			return &g->docs[i];
	return NULL;
}

static inline void rig_begin(struct rig *g, enum rig_op op, backend_done done, void *ctx)
{
	assert_int_equal(g->op, OP_NONE);
	g->op = op;
	g->done = done;
	g->done_ctx = ctx;
	g->n_ops[op]++;
}

static inline int rig_ensure(struct backend *b, backend_done done, void *ctx)
{
	rig_begin((struct rig *)b, OP_ENSURE, done, ctx);
	return 0;
}

static inline void rig_take_docs(struct rig *g, const struct backend_doc *docs, uint32_t n)
{
	assert_in_range(n, 1, g->backend.max_batch);
	g->largest = MAX(g->largest, n);
	g->n_pending = n;
	for (uint32_t i = 0; i < n; i++) {
		const struct document *d = docs[i].doc;
		struct rig_doc *p = &g->pending[i];

		(void)snprintf(p->id, sizeof(p->id), "%.*s", STR_ARG(d->id));
		(void)snprintf(p->uid, sizeof(p->uid), "%.*s", STR_ARG(d->fields[DOC_UID]));
		(void)snprintf(p->text, sizeof(p->text), "%.*s", STR_ARG(docs[i].text));
		memcpy(p->text_hash, d->text_hash, DOC_HASH_SIZE);
		memcpy(p->meta_hash, d->meta_hash, DOC_HASH_SIZE);
		if (docs[i].vector)
			memcpy(p->vector, docs[i].vector, sizeof(p->vector));
	}
}

static inline int rig_upsert(struct backend *b, const struct backend_doc *docs, uint32_t n,
			     backend_done done, void *ctx)
{
	struct rig *g = (struct rig *)b;
	float v[RIG_DIM];

	rig_begin(g, OP_UPSERT, done, ctx);
	rig_take_docs(g, docs, n);
	for (uint32_t i = 0; i < n; i++) { /* each document with the vector of its own text */
		assert_non_null(docs[i].vector);
		rig_vector(docs[i].text, v);
		assert_memory_equal(docs[i].vector, v, sizeof(v));
	}
	return 0;
}

static inline int rig_payload(struct backend *b, const struct backend_doc *docs, uint32_t n,
			      backend_done done, void *ctx)
{
	struct rig *g = (struct rig *)b;

	rig_begin(g, OP_PAYLOAD, done, ctx);
	rig_take_docs(g, docs, n);
	for (uint32_t i = 0; i < n && !g->loses; i++)
		assert_non_null(rig_find(g, docs[i].doc->id));
	return 0;
}

static inline int rig_remove(struct backend *b, const struct str *ids, uint32_t n,
			     backend_done done, void *ctx)
{
	struct rig *g = (struct rig *)b;

	rig_begin(g, OP_REMOVE, done, ctx);
	assert_in_range(n, 1, b->max_batch);
	g->n_pending = n;
	for (uint32_t i = 0; i < n; i++)
		(void)snprintf(g->pending[i].id, sizeof(g->pending[i].id), "%.*s", STR_ARG(ids[i]));
	return 0;
}

static inline int rig_list(struct backend *b, bool first,
			   void (*row)(void *ctx, const struct backend_known *k),
			   void (*done)(void *ctx, const struct vector_end *end, bool more),
			   void *ctx)
{
	struct rig *g = (struct rig *)b;

	rig_begin(g, OP_LIST, NULL, ctx);
	g->list_row = row;
	g->list_done = done;
	if (first)
		g->list_at = 0;
	return 0;
}

static inline void rig_cancel(struct backend *b)
{
	((struct rig *)b)->op = OP_NONE;
}

static const struct backend_ops rig_ops = {.ensure = rig_ensure,
					   .upsert = rig_upsert,
					   .payload = rig_payload,
					   .remove = rig_remove,
					   .list = rig_list,
					   .cancel = rig_cancel};
static const struct backend_ops rig_ops_blind = {
	.ensure = rig_ensure, .upsert = rig_upsert, .remove = rig_remove, .cancel = rig_cancel};

static inline void rig_store_doc(struct rig *g, const struct rig_doc *p, bool whole)
{
	struct rig_doc *d = rig_find(g, str_of(p->id));

	if (!d) {
		assert_true(whole);
		assert_true(g->n_docs < RIG_DOCS);
		d = &g->docs[g->n_docs++];
		*d = *p;
		return;
	}
	if (whole)
		memcpy(d->vector, p->vector, sizeof(d->vector));
	memcpy(d->uid, p->uid, sizeof(d->uid));
	memcpy(d->text, p->text, sizeof(d->text));
	memcpy(d->text_hash, p->text_hash, DOC_HASH_SIZE);
	memcpy(d->meta_hash, p->meta_hash, DOC_HASH_SIZE);
}

static inline void rig_drop_doc(struct rig *g, struct str id)
{
	struct rig_doc *d = rig_find(g, id);

	if (d)
		*d = g->docs[--g->n_docs];
}

static inline enum vector_outcome rig_fate(struct rig *g, enum rig_op op)
{
	enum vector_outcome how = g->fail[op];

	g->fail[op] = VECTOR_OK;
	if (how != VECTOR_OK)
		return how;
	for (uint32_t i = 0; op == OP_PAYLOAD && i < g->n_pending; i++)
		if (!rig_find(g, str_of(g->pending[i].id)))
			return VECTOR_GONE;
	if (!g->poison)
		return VECTOR_OK;
	for (uint32_t i = 0; op == OP_UPSERT && i < g->n_pending; i++)
		if (strstr(g->pending[i].text, g->poison))
			return VECTOR_SPLIT;
	for (uint32_t i = 0; op == OP_EMBED && i < g->n_texts; i++)
		if (strstr(g->embed_texts[i], "unembeddable"))
			return VECTOR_SPLIT;
	return VECTOR_OK;
}

static inline struct vector_end rig_end(const struct rig *g, enum vector_outcome how)
{
	return (struct vector_end){.how = how,
				   .text = how == VECTOR_OK ? STR("") : STR("as the test wants"),
				   .retry_after = how == VECTOR_OK ? 0 : g->retry_after};
}

#define RIG_PAGE 7

static inline void rig_answer_list(struct rig *g, const struct vector_end *end)
{
	bool more;

	for (uint32_t n = 0; end->how == VECTOR_OK && n < RIG_PAGE && g->list_at < g->n_docs; n++) {
		const struct rig_doc *d = &g->docs[g->list_at++];
		const struct backend_known k = {.id = str_of(d->id),
						.uid = str_of(d->uid),
						.text_hash = g->no_hashes ? NULL : d->text_hash,
						.meta_hash = g->no_hashes ? NULL : d->meta_hash};

		g->list_row(g->done_ctx, &k);
	}
	more = g->list_at < g->n_docs;
	g->list_done(g->done_ctx, end, more);
}

static inline void rig_answer_embed(struct rig *g)
{
	float *v = calloc((size_t)g->n_texts * RIG_DIM, sizeof(*v));
	uint32_t n = g->n_texts;
	const struct vector_end end = rig_end(g, rig_fate(g, OP_EMBED));

	for (uint32_t i = 0; i < n; i++)
		rig_vector(str_of(g->embed_texts[i]), v + (size_t)i * RIG_DIM);
	rig_drop_texts(g);
	if (end.how == VECTOR_OK) {
		g->n_embedded += n;
		g->embedder.dim = RIG_DIM;
	}
	g->embed_done(g->done_ctx, &end, end.how == VECTOR_OK ? v : NULL, RIG_DIM);
	free(v);
}

/* What was asked is answered. False: nothing was. */
static inline bool rig_answer(struct rig *g)
{
	enum rig_op op = g->op;
	struct vector_end end;

	if (g->embed_op != OP_NONE && !(g->database_first && op != OP_NONE)) {
		rig_answer_embed(g);
		return true;
	}
	if (op == OP_NONE)
		return false;
	end = rig_end(g, rig_fate(g, op));
	g->op = OP_NONE;
	if (op == OP_LIST) {
		rig_answer_list(g, &end);
		return true;
	}
	for (uint32_t i = 0; end.how == VECTOR_OK && i < g->n_pending; i++) {
		if (op == OP_UPSERT || op == OP_PAYLOAD)
			rig_store_doc(g, &g->pending[i], op == OP_UPSERT);
		else if (op == OP_REMOVE)
			rig_drop_doc(g, str_of(g->pending[i].id));
	}
	g->n_pending = 0;
	g->done(g->done_ctx, &end);
	return true;
}

/* ---- the ledger ------------------------------------------------------------------------------ */

static inline int rig_ledger_load(void *ctx, int (*row)(void *, const struct ledger_row *),
				  void *row_ctx, struct buf *error)
{
	struct rig *g = ctx;
	int r = 0;

	(void)error;
	for (uint32_t i = 0; r == 0 && i < g->n_ledger; i++) {
		const struct ledger_row l = {.id = str_of(g->ledger[i].id),
					     .uid = str_of(g->ledger[i].uid),
					     .text_hash = g->ledger[i].text_hash,
					     .meta_hash = g->ledger[i].meta_hash,
					     .state = g->ledger[i].state};

		r = row(row_ctx, &l);
	}
	return r;
}

static inline struct rig_doc *rig_ledger_find(struct rig *g, struct str id)
{
	for (uint32_t i = 0; i < g->n_ledger; i++)
		if (str_eq(str_of(g->ledger[i].id), id))
			return &g->ledger[i];
	return NULL;
}

static inline int rig_ledger_put(void *ctx, const struct ledger_row *rows, uint32_t n,
				 void (*done)(void *, int, struct str), void *done_ctx)
{
	struct rig *g = ctx;

	for (uint32_t i = 0; g->ledger_r == 0 && i < n; i++) {
		struct rig_doc *d = rig_ledger_find(g, rows[i].id);

		/* Never before the database has it, but for what it refused. */
		if (rows[i].state == LEDGER_STORED)
			assert_non_null(rig_find(g, rows[i].id));
		if (!d)
			d = &g->ledger[g->n_ledger++];
		(void)snprintf(d->id, sizeof(d->id), "%.*s", STR_ARG(rows[i].id));
		(void)snprintf(d->uid, sizeof(d->uid), "%.*s", STR_ARG(rows[i].uid));
		memcpy(d->text_hash, rows[i].text_hash, DOC_HASH_SIZE);
		memcpy(d->meta_hash, rows[i].meta_hash, DOC_HASH_SIZE);
		d->state = rows[i].state;
	}
	done(done_ctx, g->ledger_r, STR("as the test wants"));
	return 0;
}

static inline int rig_ledger_remove(void *ctx, const struct str *ids, uint32_t n,
				    void (*done)(void *, int, struct str), void *done_ctx)
{
	struct rig *g = ctx;

	for (uint32_t i = 0; i < n; i++) {
		struct rig_doc *d = rig_ledger_find(g, ids[i]);

		if (d)
			*d = g->ledger[--g->n_ledger];
	}
	done(done_ctx, 0, (struct str){0});
	return 0;
}

/* ---- putting it together --------------------------------------------------------------------- */

static inline void rig_wake(void *ctx)
{
	((struct rig *)ctx)->woken = true;
}

static inline void rig_told(void *ctx, const char *words)
{
	struct rig *g = ctx;

	(void)snprintf(g->told, sizeof(g->told), "%s", words);
}

static inline void rig_start(struct rig *g)
{
	_buf_ struct buf error = {.max = 1024};

	assert_int_equal(sync_new(&g->o, &g->sync, &error), 0);
	g->woken = true;
}

static inline int rig_fetch(void *ctx, store_id id)
{
	struct rig *g = ctx;

	g->fetched = id;
	return 0;
}

static inline void rig_init_with(struct rig *g, enum store_keep keep)
{
	const struct store_kind_opts k = {.group = STR("apps"),
					  .version = STR("v1"),
					  .kind = STR("Deployment"),
					  .plural = STR("deployments"),
					  .namespaced = true,
					  .keep = keep};
	const struct store_opts so = {.fetch = rig_fetch, .ctx = g};
	_buf_ struct buf error = {.max = 1024};

	*g = (struct rig){.now = 1000 * SEC, .lists = true};
	g->docs = calloc(RIG_DOCS, sizeof(*g->docs));
	g->pending = calloc(BACKEND_MAX_BATCH, sizeof(*g->pending));
	g->ledger = calloc(RIG_DOCS, sizeof(*g->ledger));
	arena_init(&g->arena, 16UL << 20);
	assert_int_equal(store_new(&so, &g->store), 0);
	assert_int_equal(store_kind_add(g->store, &k, &g->kind, &error), 0);
	assert_int_equal(store_source_add(g->store, g->kind, (struct str){0}, &g->source), 0);
	g->backend = (struct backend){.ops = &rig_ops, .name = "rig", .max_batch = 100};
	g->embedder = (struct embedder){
		.ops = &rig_embedder_ops, .model = "rig-model", .dim = RIG_DIM, .max_batch = 32};
	g->o = (struct sync_opts){.store = g->store,
				  .backend = &g->backend,
				  .embedder = &g->embedder,
				  .ledger = {.load = rig_ledger_load,
					     .put = rig_ledger_put,
					     .remove = rig_ledger_remove,
					     .ctx = g},
				  .model = STR("rig-model"),
				  .template_ = STR(DOC_TEMPLATE),
				  .seed = 1,
				  .wake = rig_wake,
				  .told = rig_told,
				  .ctx = g};
}

static inline void rig_init(struct rig *g)
{
	rig_init_with(g, STORE_MEMORY);
}

static inline void rig_done(struct rig *g)
{
	sync_free(&g->sync);
	store_free(&g->store);
	rig_drop_texts(g);
	arena_done(&g->arena);
	free(g->docs);
	free(g->pending);
	free(g->ledger);
}

struct rig_owner { /* of an object; uid 0: none */
	const char *name;
	unsigned uid;
};

/* A Deployment whose image tells its version; its uid tells its generation. g->quiet is what no
 * document says. */
static inline void rig_json(const struct rig *g, char *out, size_t size, const char *name,
			    unsigned uid, unsigned version, const char *note,
			    struct rig_owner owner)
{
	char refs[256] = "";

	if (owner.uid)
		(void)snprintf(refs, sizeof(refs),
			       ",\"ownerReferences\":[{\"kind\":\"Deployment\",\"name\":\"%s\","
			       "\"uid\":\"00000000-0000-4000-8000-%012u\",\"controller\":true}]",
			       owner.name, owner.uid);
	(void)snprintf(out, size,
		       "{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"metadata\":{\"name\":"
		       "\"%s\",\"namespace\":\"shop\",\"uid\":\"00000000-0000-4000-8000-%012u\","
		       "\"resourceVersion\":\"%u\",\"labels\":{\"note\":\"%s\"}%s},\"spec\":{"
		       "\"replicas\":%u,\"template\":{\"spec\":{\"containers\":[{\"name\":\"c\","
		       "\"image\":\"registry/%s:%u\"}]}}},\"status\":{\"observedGeneration\":%u}}",
		       name, uid, version + g->quiet + 1, note, refs, version, name, version,
		       g->quiet);
}

static inline struct tree *rig_tree(struct rig *g, const char *name, unsigned uid, unsigned version,
				    const char *note, struct rig_owner owner)
{
	char json[4096];
	struct tree *t;

	rig_json(g, json, sizeof(json), name, uid, version, note, owner);
	arena_reset(&g->arena);
	assert_int_equal(tree_parse(&g->arena, str_of(json), &t), 0);
	return t;
}

static inline void rig_apply_owned(struct rig *g, const char *name, unsigned uid, unsigned version,
				   const char *note, struct rig_owner owner)
{
	struct tree *t = rig_tree(g, name, uid, version, note, owner);

	assert_int_equal(store_apply(g->store, g->source, g->now, t), 0);
}

static inline void rig_apply_at(struct rig *g, const char *name, unsigned uid, unsigned version,
				const char *note)
{
	rig_apply_owned(g, name, uid, version, note, (struct rig_owner){0});
}

static inline void rig_apply(struct rig *g, const char *name, unsigned version)
{
	rig_apply_at(g, name, (unsigned)strlen(name) * 1000U + (unsigned char)name[0], version,
		     "x");
}

static inline void rig_delete(struct rig *g, const char *name)
{
	store_delete(g->store, g->source, STR("shop"), str_of(name), (struct str){0}, g->now);
}

static inline void rig_listed(struct rig *g)
{
	store_list_end(g->store, g->source, g->now);
	sync_kinds_complete(g->sync, true, g->now);
}

static inline nsec_t rig_turn(struct rig *g)
{
	g->woken = false;
	g->due = sync_run(g->sync, g->now);
	return g->due;
}

/* Runs and answers until nothing is due within `span`. As in the agent, only what was woken or is
 * due runs. */
static inline void rig_run(struct rig *g, nsec_t span)
{
	nsec_t end = g->now + span;
	uint32_t turns = 0;

	for (;;) {
		if (g->woken || g->due <= g->now)
			(void)rig_turn(g);
		assert_in_range(++turns, 1, 200000);
		if (g->due <= g->now || rig_answer(g) || g->woken)
			continue;
		if (g->due > end) {
			g->now = end;
			return;
		}
		g->now = g->due;
	}
}

/* The database holds exactly what the live objects of the store are as documents. */
static inline void rig_check(struct rig *g)
{
	struct store_stats stats;
	uint32_t n = 0;

	for (store_id id = store_next(g->store, 0, (struct str){0}, 0); id;
	     id = store_next(g->store, 0, (struct str){0}, id)) {
		struct doc_owner owners[8];
		uint32_t n_owners = 0;
		struct document d;
		struct rig_doc *held;
		struct tree *t;

		arena_reset(&g->arena);
		assert_int_equal(store_tree(g->store, NULL, id, g->now, &g->arena, &t), 0);
		if (g->owners)
			n_owners = g->owners(g, tree_text_at(t, "metadata.name"), owners);
		assert_int_equal(document_make(&g->o.doc, t, owners, n_owners, &g->arena, &d), 0);
		held = rig_find(g, d.id);
		if (!held)
			fail_msg("%.*s is not in the database", STR_ARG(d.id));
		assert_memory_equal(held->text_hash, d.text_hash, DOC_HASH_SIZE);
		assert_memory_equal(held->meta_hash, d.meta_hash, DOC_HASH_SIZE);
		n++;
	}
	for (uint32_t i = 0; i < g->n_docs && g->n_docs > n; i++)
		print_message("held: %s %s\n", g->docs[i].id, g->docs[i].uid);
	assert_int_equal(g->n_docs, n);
	store_stats(g->store, &stats);
	assert_int_equal(stats.dead, 0); /* no tombstone is kept for it */
}
