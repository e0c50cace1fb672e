/*
 * The sync against a store and a database in memory: debounce, batches, failures of
 * every kind, restarts; in the end the database holds what the store does.
 */
#include "tests/unit/sink/sync_rig.h"

static void settle(struct rig *g)
{
	rig_run(g, 300 * SEC);
}

/* A sync with `n` Deployments d0.. that are listed and stored. */
static void begin_with(struct rig *g, unsigned n, enum doc_id identity)
{
	char name[32];

	rig_init(g);
	g->o.doc.id = identity;
	store_list_begin(g->store, g->source);
	for (unsigned i = 0; i < n; i++) {
		(void)snprintf(name, sizeof(name), "d%u", i);
		rig_apply_at(g, name, i, 0, "x");
	}
	rig_start(g);
	rig_listed(g);
	rig_run(g, 10 * SEC);
	rig_check(g);
	memset(g->n_ops, 0, sizeof(g->n_ops));
	g->n_embedded = 0;
}

static void begin(struct rig *g, unsigned n)
{
	begin_with(g, n, DOC_ID_PATH);
}

/* A second kind, whose list has begun. */
static uint16_t another_kind(struct rig *g)
{
	const struct store_kind_opts sets = {.group = STR("apps"),
					     .version = STR("v1"),
					     .kind = STR("Deployment"),
					     .plural = STR("owners"),
					     .namespaced = true};
	_buf_ struct buf error = {.max = 1024};
	store_kind kind;
	uint16_t source;

	assert_int_equal(store_kind_add(g->store, &sets, &kind, &error), 0);
	assert_int_equal(store_source_add(g->store, kind, (struct str){0}, &source), 0);
	store_list_begin(g->store, source);
	return source;
}

static void first_list_goes_at_once_in_batches(void **state)
{
	struct rig g;
	char name[32];

	(void)state;
	rig_init(&g);
	store_list_begin(g.store, g.source);
	for (unsigned i = 0; i < 250; i++) {
		(void)snprintf(name, sizeof(name), "d%u", i);
		rig_apply_at(&g, name, i, 0, "x");
	}
	rig_start(&g);
	rig_listed(&g);
	rig_run(&g, 0); /* the first two are full, the third waits for the interval */
	assert_int_equal(g.n_docs, 200);
	rig_run(&g, 6 * SEC);
	assert_int_equal(g.n_docs, 250);
	assert_int_equal(g.n_ops[OP_UPSERT], 3);
	assert_int_equal(g.n_ops[OP_EMBED], 4 + 4 + 2); /* the embedder takes 32 at a time */
	assert_int_equal(g.largest, 100);
	rig_check(&g);
	rig_done(&g);
}

/* ---- two batches ----------------------------------------------------------------------------- */

static void list_many(struct rig *g, unsigned n)
{
	char name[32];

	store_list_begin(g->store, g->source);
	for (unsigned i = 0; i < n; i++) {
		(void)snprintf(name, sizeof(name), "d%u", i);
		rig_apply_at(g, name, i, 0, "x");
	}
	rig_start(g);
	rig_listed(g);
}

/* Until the database is asked to write, and for as long as the embedder has something to do. */
static void run_to_write(struct rig *g)
{
	for (unsigned turns = 0; turns < 1000; turns++) {
		const nsec_t next = rig_turn(g);

		if (g->embed_op != OP_NONE || (g->op != OP_NONE && g->op != OP_UPSERT))
			(void)rig_answer(g);
		else if (next > g->now)
			break;
	}
	assert_int_equal(g->op, OP_UPSERT);
}

static void the_next_batch_is_made_while_one_is_written(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g);
	list_many(&g, 350);
	run_to_write(&g);
	assert_int_equal(g.n_docs, 0);
	assert_int_equal(g.n_embedded, 200); /* one is on its way, one is ready, and no more */
	assert_true(rig_answer(&g));
	assert_int_equal(g.n_docs, 100);
	run_to_write(&g);
	assert_int_equal(g.n_embedded, 300);
	settle(&g);
	assert_int_equal(g.n_embedded, 350);
	rig_check(&g);
	rig_done(&g);
}

static void a_failed_write_takes_the_next_batch_along(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g);
	list_many(&g, 250);
	run_to_write(&g);
	rig_delete(&g, "d150"); /* of the one that is ready */
	g.fail[OP_UPSERT] = VECTOR_RETRY;
	assert_true(rig_answer(&g));
	assert_int_equal(g.n_docs, 0);
	settle(&g);
	rig_check(&g);
	assert_int_equal(g.n_ops[OP_UPSERT], 4); /* nothing was halved */
	rig_done(&g);
}

/* What is gone before its batch goes is not written; the vectors of the others stay theirs, which
 * the rig looks at. */
static void a_batch_that_waits_lets_the_dead_go(void **state)
{
	struct sync_status s;
	struct rig g;

	(void)state;
	rig_init(&g);
	list_many(&g, 200);
	run_to_write(&g);
	rig_delete(&g, "d120");
	rig_delete(&g, "d121");
	rig_delete(&g, "d199");
	rig_delete(&g, "d50"); /* this one is on its way */
	(void)rig_turn(&g);
	settle(&g);
	sync_status(g.sync, g.now, &s);
	assert_int_equal(s.upserts, 197);
	assert_int_equal(s.deletes, 1);
	rig_check(&g);
	rig_done(&g);
}

/* And while it is being embedded: that answer is not waited for. */
static void one_that_is_being_embedded_is_let_go(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g);
	list_many(&g, 250);
	g.database_first = true;
	for (;;) {
		const nsec_t next = rig_turn(&g);

		if (g.op == OP_UPSERT && g.embed_op == OP_EMBED)
			break;
		if (next > g.now)
			assert_true(rig_answer(&g));
	}
	g.fail[OP_UPSERT] = VECTOR_RETRY;
	assert_true(rig_answer(&g));
	assert_int_equal(g.embed_op, OP_NONE);
	settle(&g);
	rig_check(&g);
	rig_done(&g);
}

static void a_failed_embedding_lets_the_write_end(void **state)
{
	struct sync_status s;
	struct rig g;

	(void)state;
	rig_init(&g);
	list_many(&g, 250);
	while (g.op != OP_UPSERT)
		if (rig_turn(&g) > g.now)
			assert_true(rig_answer(&g));
	g.fail[OP_EMBED] = VECTOR_RETRY;
	run_to_write(&g);
	sync_status(g.sync, g.now, &s);
	assert_int_equal(s.health, SYNC_OK);
	assert_true(rig_answer(&g));
	assert_int_equal(g.n_docs, 100);
	(void)rig_turn(&g);
	sync_status(g.sync, g.now, &s);
	assert_int_equal(s.health, SYNC_FAILING);
	assert_int_equal(s.retries, 1);
	settle(&g);
	rig_check(&g);
	rig_done(&g);
}

static void where_a_batch_is_no_request_all_go(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g);
	g.backend.bulk = true;
	g.backend.max_batch = BACKEND_MAX_BATCH;
	list_many(&g, 450);
	settle(&g);
	assert_int_equal(g.n_ops[OP_UPSERT], 1);
	assert_int_equal(g.largest, 450);
	rig_check(&g);
	rig_done(&g);
}

static void waits_for_quiet_but_not_for_ever(void **state)
{
	struct rig g;
	nsec_t changed;
	unsigned version = 1;

	(void)state;
	begin(&g, 3);
	rig_apply_at(&g, "d1", 1, version++, "x");
	rig_run(&g, 9 * SEC);
	assert_int_equal(g.n_ops[OP_UPSERT], 0);
	rig_run(&g, 7 * SEC); /* quiet for 10 s, and 5 s for others to come along */
	assert_int_equal(g.n_ops[OP_UPSERT], 1);
	rig_check(&g);

	changed = g.now;
	while (g.n_ops[OP_UPSERT] == 1) { /* never quiet */
		rig_apply_at(&g, "d1", 1, version++, "x");
		rig_run(&g, 4 * SEC);
		assert_true(g.now - changed < 80 * SEC);
	}
	assert_true(g.now - changed >= 60 * SEC);
	settle(&g);
	rig_check(&g);
	rig_done(&g);
}

static void deletions_do_not_wait_and_cancel_what_does(void **state)
{
	struct sync_status s;
	struct rig g;

	(void)state;
	begin(&g, 5);
	rig_apply_at(&g, "d1", 1, 1, "x");
	rig_run(&g, SEC);
	rig_delete(&g, "d1");
	rig_delete(&g, "d2");
	rig_run(&g, 0);
	assert_int_equal(g.n_ops[OP_REMOVE], 1); /* both in one */
	assert_int_equal(g.n_docs, 3);
	settle(&g);
	assert_int_equal(g.n_ops[OP_UPSERT], 0);
	assert_int_equal(g.n_ledger, 3);
	sync_status(g.sync, g.now, &s);
	assert_int_equal(s.deletes, 2);
	rig_check(&g);
	rig_done(&g);
}

static void what_never_got_there_is_not_deleted(void **state)
{
	struct rig g;

	(void)state;
	begin(&g, 1);
	rig_apply_at(&g, "brief", 77, 0, "x");
	rig_run(&g, SEC);
	rig_delete(&g, "brief");
	settle(&g);
	assert_int_equal(g.n_ops[OP_REMOVE], 0);
	assert_int_equal(g.n_ops[OP_UPSERT], 0);
	rig_check(&g);
	rig_done(&g);
}

static void the_same_name_again_is_one_document(void **state)
{
	struct rig g;

	(void)state;
	begin(&g, 2);
	rig_delete(&g, "d0");
	rig_apply_at(&g, "d0", 1234, 5, "x"); /* before the deletion was looked at */
	settle(&g);
	rig_check(&g);
	rig_delete(&g, "d0");
	rig_run(&g, 0);
	rig_apply_at(&g, "d0", 1235, 6, "x");
	settle(&g);
	rig_check(&g);
	rig_done(&g);
}

/* It was never away, as far as the API server tells; but its document is. */
static void what_comes_back_during_its_removal_is_written_again(void **state)
{
	struct rig g;

	(void)state;
	begin(&g, 2);
	rig_delete(&g, "d1");
	while (g.op != OP_REMOVE)
		(void)rig_turn(&g);
	rig_apply_at(&g, "d1", 1, 0, "x");
	settle(&g);
	rig_check(&g);
	rig_done(&g);
}

/* An object that had to be read again goes when it is there: its quiet time is over. */
static void what_was_read_again_waits_no_more(void **state)
{
	struct rig g;
	struct sync_status s;

	(void)state;
	rig_init_with(&g, STORE_CACHE);
	store_list_begin(g.store, g.source);
	rig_apply_at(&g, "d1", 1, 0, "x");
	rig_start(&g);
	rig_listed(&g);
	settle(&g);
	(void)store_tick(g.store, g.now);
	sync_resync(g.sync, g.now);
	rig_run(&g, 6 * SEC);
	assert_int_not_equal(g.fetched, 0);
	sync_status(g.sync, g.now, &s);
	assert_int_equal(s.unchanged, 0);
	store_fetched(g.store, g.fetched, g.now,
		      rig_tree(&g, "d1", 1, 0, "x", (struct rig_owner){0}), 0);
	rig_run(&g, 6 * SEC); /* the batch's, not the debounce's */
	sync_status(g.sync, g.now, &s);
	assert_int_equal(s.unchanged, 1);
	rig_check(&g);
	rig_done(&g);
}

static void unchanged_is_neither_embedded_nor_written(void **state)
{
	struct rig g;
	struct sync_status s;

	(void)state;
	begin(&g, 20);
	sync_resync(g.sync, g.now);
	settle(&g);
	assert_int_equal(g.n_ops[OP_EMBED], 0);
	assert_int_equal(g.n_ops[OP_UPSERT] + g.n_ops[OP_PAYLOAD], 0);
	sync_status(g.sync, g.now, &s);
	assert_int_equal(s.unchanged, 20);
	assert_true(s.complete);
	assert_int_equal(s.health, SYNC_OK);
	rig_done(&g);
}

static void metadata_alone_is_not_embedded(void **state)
{
	struct rig g;

	(void)state;
	begin(&g, 3);
	/* helm.sh/chart is in the fields, not in the text */
	arena_reset(&g.arena);
	{
		char json[4096], *at;
		struct tree *t;

		rig_json(&g, json, sizeof(json), "d1", 1, 0, "x", (struct rig_owner){0});
		at = strstr(json, "\"note\"");
		memmove(at + 20, at, strlen(at) + 1);
		memcpy(at, "\"helm.sh/chart\":\"y\",", 20);
		assert_int_equal(tree_parse(&g.arena, str_of(json), &t), 0);
		assert_int_equal(store_apply(g.store, g.source, g.now, t), 0);
	}
	settle(&g);
	assert_int_equal(g.n_ops[OP_EMBED], 0);
	assert_int_equal(g.n_ops[OP_PAYLOAD], 1);
	rig_check(&g);
	rig_done(&g);
}

static void a_dead_database_costs_marks_alone(void **state)
{
	struct rig g;
	struct sync_status before, after;
	char name[32];

	(void)state;
	begin(&g, 50);
	sync_status(g.sync, g.now, &before);
	for (unsigned round = 1; round < 200; round++) {
		for (unsigned i = 0; i < 50; i++) {
			(void)snprintf(name, sizeof(name), "d%u", i);
			rig_apply_at(&g, name, i, round, "x");
		}
		g.fail[OP_UPSERT] = VECTOR_RETRY;
		rig_run(&g, 432 * SEC); /* a day in all */
	}
	/* the last failure may have been answered well in the end: make it stay dead */
	sync_status(g.sync, g.now, &after);
	assert_int_equal(before.bytes, after.bytes);
	settle(&g);
	rig_check(&g);
	rig_done(&g);
}

static void pauses_as_the_server_asks(void **state)
{
	struct rig g;
	nsec_t began;

	(void)state;
	begin(&g, 1);
	rig_apply_at(&g, "d0", 0, 1, "x");
	g.fail[OP_UPSERT] = VECTOR_RETRY;
	g.retry_after = 40 * SEC;
	began = g.now;
	while (g.n_ops[OP_UPSERT] < 2)
		rig_run(&g, SEC);
	assert_true(g.now - began >= 55 * SEC); /* debounce, interval, and what was asked */
	settle(&g);
	rig_check(&g);
	rig_done(&g);
}

static void the_one_bad_document_is_set_aside(void **state)
{
	struct rig g;
	struct sync_status s;
	char name[32];

	(void)state;
	begin(&g, 100);
	g.poison = "poison";
	for (unsigned i = 0; i < 100; i++) {
		(void)snprintf(name, sizeof(name), "d%u", i);
		rig_apply_at(&g, name, i, 1, i == 37 ? "poison" : "y");
	}
	settle(&g);
	sync_status(g.sync, g.now, &s);
	assert_int_equal(s.quarantined, 1);
	assert_int_equal(s.set_aside, 1);
	assert_in_range(g.n_ops[OP_UPSERT], 3, 30);
	assert_non_null(strstr(g.told, "shop/apps/v1/Deployment/d37"));
	assert_int_equal(g.n_docs, 100); /* its former document is still there */

	memset(g.n_ops, 0, sizeof(g.n_ops)); /* and nothing but a change is a reason to try again */
	sync_resync(g.sync, g.now);
	settle(&g);
	sync_free(&g.sync);
	rig_start(&g);
	rig_listed(&g);
	settle(&g);
	assert_int_equal(g.n_ops[OP_LIST], 30);
	assert_int_equal(g.n_ops[OP_UPSERT] + g.n_ops[OP_EMBED], 0);
	sync_status(g.sync, g.now, &s);
	assert_int_equal(s.quarantined, 1);

	rig_apply_at(&g, "d37", 37, 2, "y"); /* it changes, and is tried again */
	settle(&g);
	sync_status(g.sync, g.now, &s);
	assert_int_equal(s.quarantined, 0);
	rig_check(&g);
	rig_done(&g);
}

/* It was mended while the database was still refusing it. */
static void one_that_changed_in_flight_is_not_set_aside(void **state)
{
	struct rig g;

	(void)state;
	begin(&g, 2);
	g.poison = "poison";
	rig_apply_at(&g, "d0", 0, 1, "poison");
	while (g.op != OP_UPSERT) {
		nsec_t next = rig_turn(&g);

		if (next > g.now && g.op != OP_UPSERT && !rig_answer(&g))
			g.now = next;
	}
	rig_apply_at(&g, "d0", 0, 2, "y");
	(void)rig_turn(&g);
	settle(&g);
	rig_check(&g);
	rig_done(&g);
}

static void an_unembeddable_one_too(void **state)
{
	struct rig g;
	struct sync_status s;

	(void)state;
	begin(&g, 40);
	g.poison = "nothing has this";
	for (unsigned i = 0; i < 40; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "d%u", i);
		rig_apply_at(&g, name, i, 1, i == 39 ? "unembeddable" : "y");
	}
	settle(&g);
	sync_status(g.sync, g.now, &s);
	assert_int_equal(s.quarantined, 1);
	assert_int_equal(g.n_docs, 40);
	g.poison = NULL;
	rig_apply_at(&g, "d39", 39, 2, "y");
	settle(&g);
	rig_check(&g);
	rig_done(&g);
}

/* Nothing is right: that is not the documents' fault, and must not cost a request for each. */
static void all_refused_is_not_asked_for_ever(void **state)
{
	struct rig g;
	char name[32];

	(void)state;
	begin(&g, 100);
	g.poison = "Deployment";
	for (unsigned i = 0; i < 100; i++) {
		(void)snprintf(name, sizeof(name), "d%u", i);
		rig_apply_at(&g, name, i, 1, "y");
	}
	rig_run(&g, 60 * SEC);
	assert_in_range(g.n_ops[OP_UPSERT], 1, 120);
	g.poison = NULL;
	sync_resync(g.sync, g.now);
	rig_done(&g);
}

static void a_restart_embeds_nothing(void **state)
{
	struct rig g;

	(void)state;
	begin(&g, 60);
	sync_free(&g.sync);
	rig_delete(&g, "d7"); /* meanwhile */
	rig_start(&g);
	rig_listed(&g);
	settle(&g);
	assert_int_equal(g.n_ops[OP_EMBED], 0);
	assert_int_equal(g.n_ops[OP_UPSERT], 0);
	assert_int_equal(g.n_docs, 59);
	rig_check(&g);
	rig_done(&g);
}

static void an_empty_ledger_is_read_from_the_database(void **state)
{
	struct rig g;
	char name[32];

	(void)state;
	begin(&g, 120);
	sync_free(&g.sync);
	g.n_ledger = 0; /* a new leader on an empty disk */
	for (unsigned i = 0; i < 50; i++) {
		(void)snprintf(name, sizeof(name), "d%u", i);
		rig_delete(&g, name);
	}
	rig_start(&g);
	rig_listed(&g);
	settle(&g);
	assert_int_equal(g.n_ops[OP_EMBED], 0);
	assert_int_equal(g.n_docs, 70);
	rig_check(&g);
	rig_done(&g);
}

static void serve_by_the_ledger(enum doc_id identity)
{
	struct rig g;

	begin_with(&g, 30, identity);
	g.backend.ops = &rig_ops_blind;
	sync_free(&g.sync);
	rig_delete(&g, "d3");
	rig_start(&g);
	rig_listed(&g);
	settle(&g);
	assert_int_equal(g.n_ops[OP_EMBED], 0);
	assert_int_equal(g.n_ops[OP_LIST], 0);
	rig_check(&g);
	rig_done(&g);
}

static void the_ledger_alone_serves_where_nothing_can_be_listed(void **state)
{
	(void)state;
	serve_by_the_ledger(DOC_ID_PATH);
	serve_by_the_ledger(DOC_ID_CONTENT);
}

/* A database that does not tell hashes is written once, whatever the ledger believes. */
static void what_is_not_known_is_written_once(void **state)
{
	struct rig g;

	(void)state;
	begin(&g, 5);
	g.no_hashes = true;
	sync_resync(g.sync, g.now);
	settle(&g);
	assert_int_equal(g.n_embedded, 5);
	g.no_hashes = false;
	sync_resync(g.sync, g.now);
	settle(&g);
	assert_int_equal(g.n_embedded, 5);
	rig_check(&g);
	rig_done(&g);
}

/* Only of kinds that were listed to their end. */
static void nothing_is_pruned_before_its_kind_is_listed(void **state)
{
	struct rig g, h;

	(void)state;
	begin(&g, 10);
	rig_init(&h); /* another agent, whose list is refused */
	memcpy(h.docs, g.docs, RIG_DOCS * sizeof(*h.docs));
	h.n_docs = g.n_docs;
	store_list_begin(h.store, h.source);
	rig_start(&h);
	sync_kinds_complete(h.sync, true, h.now);
	rig_run(&h, 3600 * SEC);
	assert_int_equal(h.n_docs, 10);
	rig_apply_at(&h, "d4", 4, 0, "x");
	rig_listed(&h);
	settle(&h);
	assert_int_equal(h.n_docs, 1);
	rig_check(&h);
	rig_done(&g);
	rig_done(&h);
}

static void documents_of_a_kind_that_is_no_more(void **state)
{
	struct rig g;

	(void)state;
	begin(&g, 2);
	(void)snprintf(g.docs[g.n_docs++].id, 256, "%s", "shop/example.com/v1/Widget/w");
	sync_kinds_complete(g.sync, false, g.now);
	sync_resync(g.sync, g.now);
	settle(&g);
	assert_int_equal(g.n_docs, 3); /* not all kinds are known: it may be one of those */
	sync_kinds_complete(g.sync, true, g.now);
	settle(&g);
	rig_check(&g);
	rig_done(&g);
}

static void a_lost_collection_is_filled_again(void **state)
{
	struct rig g;

	(void)state;
	begin(&g, 25);
	g.n_docs = 0;
	rig_apply_at(&g, "d3", 3, 1, "y");
	g.fail[OP_UPSERT] = VECTOR_GONE;
	settle(&g);
	assert_int_equal(g.n_ops[OP_ENSURE], 1);
	rig_check(&g);
	rig_done(&g);
}

static void another_model_stands_still(void **state)
{
	struct rig g;
	struct sync_status s;

	(void)state;
	rig_init(&g);
	store_list_begin(g.store, g.source);
	rig_apply(&g, "a", 0);
	rig_start(&g);
	rig_listed(&g);
	g.fail[OP_ENSURE] = VECTOR_MISMATCH;
	rig_run(&g, 59 * SEC);
	sync_status(g.sync, g.now, &s);
	assert_int_equal(s.health, SYNC_MISMATCH);
	assert_int_equal(g.n_ops[OP_ENSURE], 1);
	assert_int_equal(g.n_docs, 0);
	rig_run(&g, 60 * SEC); /* it fits meanwhile */
	sync_status(g.sync, g.now, &s);
	assert_int_equal(s.health, SYNC_OK);
	rig_check(&g);
	rig_done(&g);
}

/* What the ledger says of what its rows are of; it answers when the test says so. */
static struct {
	void (*done)(void *ctx, int r, struct str error);
	void *ctx;
	uint32_t dim;
	unsigned asked;
} begun;

static int begin_ledger(void *ctx, struct str model, uint32_t dim, struct str template_,
			void (*done)(void *ctx, int r, struct str error), void *done_ctx)
{
	(void)ctx;
	assert_true(str_eq(model, STR("rig-model")));
	assert_true(str_eq(template_, STR(DOC_TEMPLATE)));
	begun.done = done;
	begun.ctx = done_ctx;
	begun.dim = dim;
	begun.asked++;
	return 0;
}

static void a_ledger_of_another_model_too(void **state)
{
	struct rig g;
	struct sync_status s;

	(void)state;
	rig_init(&g);
	begun.asked = 0;
	g.o.ledger.begin = begin_ledger;
	store_list_begin(g.store, g.source);
	rig_apply(&g, "a", 0);
	rig_start(&g);
	rig_listed(&g);
	rig_run(&g, SEC);
	assert_int_equal(begun.asked, 1);
	assert_int_equal(begun.dim, RIG_DIM);
	begun.done(begun.ctx, -EEXIST, STR("it is of model x"));
	rig_run(&g, 59 * SEC);
	sync_status(g.sync, g.now, &s);
	assert_int_equal(s.health, SYNC_MISMATCH);
	assert_non_null(strstr(g.told, "it is of model x: --reembed makes a new collection"));
	assert_int_equal(begun.asked, 1);
	assert_int_equal(g.n_docs, 0);
	rig_run(&g, 60 * SEC);
	assert_int_equal(begun.asked, 2);
	begun.done(begun.ctx, 0, (struct str){0});
	rig_run(&g, 60 * SEC);
	sync_status(g.sync, g.now, &s);
	assert_int_equal(s.health, SYNC_OK);
	assert_int_equal(begun.asked, 2);
	rig_check(&g);
	rig_done(&g);
}

static void another_dimension_passes(void **state)
{
	struct rig g;
	struct sync_status s;

	(void)state;
	begin(&g, 1);
	rig_apply_at(&g, "d0", 0, 1, "y");
	g.fail[OP_EMBED] = VECTOR_MISMATCH;
	rig_run(&g, 20 * SEC);
	sync_status(g.sync, g.now, &s);
	assert_int_equal(s.health, SYNC_MISMATCH);
	assert_int_equal(s.documents, 1);
	sync_resync(g.sync, g.now); /* asked for: at once */
	rig_run(&g, SEC);
	sync_status(g.sync, g.now, &s);
	assert_int_equal(s.health, SYNC_OK);
	rig_check(&g);
	rig_done(&g);
}

/* "pod" below "set" below "web", which "app" may own. */
static bool adopted;

static uint32_t chain(struct rig *g, struct str name, struct doc_owner ret[8])
{
	static const char *const above[] = {"set", "web", "app"};
	uint32_t n = 0, from = str_eq(name, STR("pod")) ? 0 : str_eq(name, STR("set")) ? 1 : 2;

	(void)g;
	if (str_eq(name, STR("app")) || str_eq(name, STR("other")))
		return 0;
	for (uint32_t i = from; i < (adopted ? 3U : 2U); i++)
		ret[n++] = (struct doc_owner){.kind = STR("Deployment"), .name = str_of(above[i])};
	return n;
}

static void family(struct rig *g)
{
	rig_init(g);
	g->owners = chain;
	adopted = false;
	store_list_begin(g->store, g->source);
	rig_apply_owned(g, "pod", 3, 1, "x", (struct rig_owner){"set", 2});
	rig_apply_owned(g, "set", 2, 1, "x", (struct rig_owner){"web", 1});
	rig_apply_at(g, "web", 1, 1, "x");
	rig_apply_at(g, "app", 9, 1, "x");
	rig_apply_at(g, "other", 8, 1, "x");
	rig_start(g);
	rig_listed(g);
	settle(g);
	rig_check(g);
}

/* Documents name the whole chain: another owner of the owner is a change of theirs, too. */
static void another_owner_of_the_owner_reaches_all_below(void **state)
{
	struct rig g;

	(void)state;
	family(&g);
	g.n_embedded = 0;
	rig_apply_owned(&g, "web", 1, 1, "x", (struct rig_owner){"app", 9});
	adopted = true;
	settle(&g);
	rig_check(&g);
	assert_int_equal(g.n_embedded, 3);  /* and nobody else */
	rig_apply_at(&g, "web", 1, 2, "x"); /* and let go again */
	adopted = false;
	settle(&g);
	rig_check(&g);
	rig_done(&g);
}

/* A kind whose list comes after the first documents may own them. */
static void late_owners_are_named(void **state)
{
	struct rig g;
	struct sync_status s;
	uint16_t source, first;

	(void)state;
	rig_init(&g);
	g.owners = chain;
	adopted = false;
	store_list_begin(g.store, g.source);
	source = another_kind(&g);
	rig_apply_owned(&g, "pod", 3, 1, "x", (struct rig_owner){"set", 2});
	rig_start(&g);
	rig_listed(&g);
	rig_run(&g, 25 * SEC);
	assert_int_equal(g.n_docs, 0); /* it is waited for, but not for ever */
	rig_run(&g, 15 * SEC);
	assert_int_equal(g.n_docs, 1);
	first = g.source;
	g.source = source;
	rig_apply_owned(&g, "set", 2, 1, "x", (struct rig_owner){"web", 1});
	g.source = first;
	store_list_end(g.store, source, g.now);
	rig_run(&g, 20 * SEC);
	rig_check(&g);
	sync_status(g.sync, g.now, &s);
	assert_int_equal(s.upserts, 3);
	rig_run(&g, 3600 * SEC);
	sync_status(g.sync, g.now, &s);
	assert_int_equal(s.upserts, 3);
	rig_done(&g);
}

/* The id says nothing of the kind then: as long as one is not listed, it may be its document. */
static void with_content_ids_nothing_is_pruned_before_all_is_listed(void **state)
{
	struct rig g;
	uint16_t source;

	(void)state;
	begin_with(&g, 2, DOC_ID_CONTENT);
	(void)snprintf(g.docs[g.n_docs].id, sizeof(g.docs[0].id), "%064d", 7);
	(void)snprintf(g.docs[g.n_docs++].uid, sizeof(g.docs[0].uid), "uid-of-another-kind");
	source = another_kind(&g);
	sync_resync(g.sync, g.now);
	settle(&g);
	assert_int_equal(g.n_docs, 3);
	store_list_end(g.store, source, g.now);
	settle(&g);
	rig_check(&g);
	rig_done(&g);
}

static void refused_credentials_are_tried_slowly(void **state)
{
	struct rig g;
	struct sync_status s;

	(void)state;
	begin(&g, 1);
	rig_apply_at(&g, "d0", 0, 1, "y");
	g.fail[OP_EMBED] = VECTOR_REFUSED;
	rig_run(&g, 20 * SEC);
	sync_status(g.sync, g.now, &s);
	assert_int_equal(s.health, SYNC_REFUSED);
	assert_int_equal(g.n_ops[OP_EMBED], 1);
	settle(&g);
	sync_status(g.sync, g.now, &s);
	assert_int_equal(s.health, SYNC_OK);
	rig_check(&g);
	rig_done(&g);
}

static void a_change_in_flight_is_not_lost(void **state)
{
	struct rig g;

	(void)state;
	begin(&g, 2);
	rig_apply_at(&g, "d0", 0, 1, "y");
	while (g.op != OP_UPSERT) {
		nsec_t next = rig_turn(&g);

		if (g.op == OP_UPSERT)
			break;
		if (!rig_answer(&g))
			g.now = MAX(next, g.now);
	}
	rig_apply_at(&g, "d0", 0, 2, "z");
	(void)rig_turn(&g);
	settle(&g);
	rig_check(&g);
	rig_delete(&g, "d1");
	(void)rig_turn(&g); /* its removal is under way */
	rig_apply_at(&g, "d1", 99, 1, "z");
	settle(&g);
	rig_check(&g);
	rig_done(&g);
}

static void a_broken_ledger_stops_nothing(void **state)
{
	struct rig g;
	struct sync_status s;

	(void)state;
	begin(&g, 2);
	g.ledger_r = -EIO;
	rig_apply_at(&g, "d0", 0, 1, "y");
	settle(&g);
	rig_check(&g);
	sync_status(g.sync, g.now, &s);
	assert_int_equal(s.ledger_failures, 1);
	rig_done(&g);
}

static void filters_decide_what_is_there(void **state)
{
	struct sink_filter f;
	_buf_ struct buf error = {.max = 512};
	struct rig g;

	(void)state;
	rig_init(&g);
	assert_int_equal(sink_filter_init(&f, STR("kinds=deployments;labels=note!=hidden"), &error),
			 0);
	g.o.filter = &f;
	store_list_begin(g.store, g.source);
	rig_apply_at(&g, "a", 1, 0, "shown");
	rig_apply_at(&g, "b", 2, 0, "hidden");
	rig_start(&g);
	rig_listed(&g);
	settle(&g);
	assert_int_equal(g.n_docs, 1);
	rig_apply_at(&g, "a", 1, 1, "hidden");
	rig_apply_at(&g, "b", 2, 1, "shown");
	settle(&g);
	assert_int_equal(g.n_docs, 1);
	assert_non_null(rig_find(&g, STR("shop/apps/v1/Deployment/b")));
	rig_done(&g);
	sink_filter_done(&f);
}

/* Another filter while it runs: the documents that do not pass it any more go. */
static void another_filter_takes_away(void **state)
{
	struct sink_filter f;
	_buf_ struct buf error = {.max = 512};
	struct rig g;

	(void)state;
	rig_init(&g);
	assert_int_equal(sink_filter_init(&f, STR(""), &error), 0);
	g.o.filter = &f;
	store_list_begin(g.store, g.source);
	rig_apply_at(&g, "a", 1, 0, "shown");
	rig_apply_at(&g, "b", 2, 0, "hidden");
	rig_start(&g);
	rig_listed(&g);
	settle(&g);
	assert_int_equal(g.n_docs, 2);
	assert_int_equal(sink_filter_change(&f, STR("labels=note!=hidden"), &error), 1);
	sync_refilter(g.sync, g.now);
	settle(&g);
	assert_int_equal(g.n_docs, 1);
	assert_int_equal(sink_filter_change(&f, STR("kinds=pods"), &error), 1);
	sync_refilter(g.sync, g.now);
	settle(&g);
	assert_int_equal(g.n_docs, 0);
	assert_int_equal(sink_filter_change(&f, STR("namespaces=shop"), &error), 1);
	sync_refilter(g.sync, g.now);
	settle(&g);
	assert_int_equal(g.n_docs, 2);
	assert_int_equal(g.n_embedded, 4);
	rig_done(&g);
	sink_filter_done(&f);
}

/* Other times and batches hold for what waits, too. */
static void tuned(void **state)
{
	struct rig g;
	struct sync_opts o;

	(void)state;
	begin(&g, 3);
	o = g.o;
	rig_apply_at(&g, "d1", 1, 1, "x");
	rig_run(&g, 2 * SEC);
	assert_int_equal(g.n_ops[OP_UPSERT], 0);
	o.debounce = SEC;
	o.debounce_max = 5 * SEC;
	o.interval = SEC;
	o.batch = 1;
	sync_tune(g.sync, &o, g.now);
	rig_run(&g, SEC);
	assert_int_equal(g.n_ops[OP_UPSERT], 1);
	rig_check(&g);
	g.largest = 0;
	for (unsigned i = 1; i <= 3; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "d%u", i);
		rig_apply_at(&g, name, i, 2, "y");
	}
	settle(&g);
	assert_int_equal(g.largest, 1);
	rig_check(&g);
	rig_done(&g);
}

static void content_ids_leave_no_orphan(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g);
	g.o.doc.id = DOC_ID_CONTENT;
	store_list_begin(g.store, g.source);
	rig_apply_at(&g, "a", 1, 0, "x");
	rig_apply_at(&g, "b", 2, 0, "x");
	rig_start(&g);
	rig_listed(&g);
	settle(&g);
	rig_check(&g);
	rig_apply_at(&g, "a", 1, 1, "x");
	g.fail[OP_REMOVE] = VECTOR_RETRY; /* of the former one */
	settle(&g);
	rig_check(&g);
	/* a crash between writing and removing leaves two */
	g.docs[g.n_docs] = g.docs[0];
	(void)snprintf(g.docs[g.n_docs++].id, 256, "%064d", 7);
	sync_free(&g.sync);
	rig_start(&g);
	rig_listed(&g);
	settle(&g);
	rig_check(&g);
	rig_delete(&g, "b");
	settle(&g);
	rig_check(&g);
	assert_int_equal(g.n_ledger, 1);
	rig_done(&g);
}

static void the_dimension_is_asked_for(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g);
	g.embedder.dim = 0;
	store_list_begin(g.store, g.source);
	rig_apply(&g, "a", 0);
	rig_start(&g);
	rig_listed(&g);
	settle(&g);
	assert_int_equal(g.n_ops[OP_EMBED], 2);
	rig_check(&g);
	rig_done(&g);
}

static void few_requests_for_many_documents(void **state)
{
	struct rig g;
	char name[32];
	uint32_t requests = 0;

	(void)state;
	begin(&g, 0);
	for (unsigned i = 0; i < 1000; i++) {
		(void)snprintf(name, sizeof(name), "d%u", i);
		rig_apply_at(&g, name, i, 1, "y");
	}
	settle(&g);
	for (int op = OP_ENSURE; op <= OP_LIST; op++)
		requests += g.n_ops[op];
	assert_in_range(requests, 10, 11);
	rig_check(&g);
	rig_done(&g);
}

/* A first list that is under way may take long, and what it has shown so far is no state of a
 * cluster. */
static void a_first_list_can_be_held_back(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g);
	g.o.hold_initial = true;
	g.o.initial_wait = SEC;
	store_list_begin(g.store, g.source);
	rig_apply(&g, "a", 0);
	rig_start(&g);
	rig_run(&g, 60 * SEC);
	assert_int_equal(g.n_docs, 0);
	rig_listed(&g);
	settle(&g);
	rig_check(&g);
	rig_done(&g);
}

static void stopping_sends_what_waits(void **state)
{
	struct rig g;

	(void)state;
	begin(&g, 1);
	rig_apply_at(&g, "d0", 0, 1, "y");
	rig_run(&g, 0);
	assert_false(sync_idle(g.sync));
	sync_flush(g.sync, g.now);
	rig_run(&g, 0);
	assert_true(sync_idle(g.sync));
	rig_check(&g);
	rig_done(&g);
}

/* A pause after a failure or a refusal is not waited out, what is under way is. */
static void stopping_ends_where_nothing_can_go(void **state)
{
	static const enum vector_outcome ends[] = {VECTOR_RETRY, VECTOR_REFUSED, VECTOR_MISMATCH};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		struct rig g;

		begin(&g, 1);
		rig_apply_at(&g, "d0", 0, 1, "y");
		sync_flush(g.sync, g.now);
		run_to_write(&g);
		assert_false(sync_spent(g.sync, g.now));
		g.fail[OP_UPSERT] = ends[i];
		assert_true(rig_answer(&g));
		rig_run(&g, 0);
		assert_true(sync_spent(g.sync, g.now));
		assert_false(sync_idle(g.sync));
		g.now += 100 * SEC;
		assert_false(sync_spent(g.sync, g.now)); /* it may be there again */
		settle(&g);
		assert_true(sync_spent(g.sync, g.now));
		rig_check(&g);
		rig_done(&g);
	}
}

static void on_lent(void *ctx)
{
	(*(unsigned *)ctx)++;
}

static void whoever_has_the_database_lent_is_alone(void **state)
{
	unsigned lent = 0;
	struct rig g;

	(void)state;
	begin(&g, 1);
	assert_int_equal(sync_lend(g.sync, on_lent, &lent), 0);
	rig_run(&g, 0);
	assert_int_equal(lent, 1);
	assert_int_equal(sync_lend(g.sync, on_lent, &lent), -EBUSY);
	rig_apply_at(&g, "d0", 0, 1, "y");
	settle(&g);
	assert_int_equal(g.n_ops[OP_UPSERT], 0);
	sync_give_back(g.sync);
	rig_run(&g, 0);
	assert_int_equal(g.n_ops[OP_UPSERT], 1);
	assert_int_equal(lent, 1);
	rig_check(&g);
	rig_done(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(another_filter_takes_away),
		cmocka_unit_test(whoever_has_the_database_lent_is_alone),
		cmocka_unit_test(tuned),
		cmocka_unit_test(the_next_batch_is_made_while_one_is_written),
		cmocka_unit_test(a_failed_write_takes_the_next_batch_along),
		cmocka_unit_test(a_batch_that_waits_lets_the_dead_go),
		cmocka_unit_test(one_that_is_being_embedded_is_let_go),
		cmocka_unit_test(a_failed_embedding_lets_the_write_end),
		cmocka_unit_test(where_a_batch_is_no_request_all_go),
		cmocka_unit_test(first_list_goes_at_once_in_batches),
		cmocka_unit_test(waits_for_quiet_but_not_for_ever),
		cmocka_unit_test(deletions_do_not_wait_and_cancel_what_does),
		cmocka_unit_test(what_never_got_there_is_not_deleted),
		cmocka_unit_test(the_same_name_again_is_one_document),
		cmocka_unit_test(what_comes_back_during_its_removal_is_written_again),
		cmocka_unit_test(what_was_read_again_waits_no_more),
		cmocka_unit_test(unchanged_is_neither_embedded_nor_written),
		cmocka_unit_test(metadata_alone_is_not_embedded),
		cmocka_unit_test(a_dead_database_costs_marks_alone),
		cmocka_unit_test(pauses_as_the_server_asks),
		cmocka_unit_test(the_one_bad_document_is_set_aside),
		cmocka_unit_test(one_that_changed_in_flight_is_not_set_aside),
		cmocka_unit_test(an_unembeddable_one_too),
		cmocka_unit_test(all_refused_is_not_asked_for_ever),
		cmocka_unit_test(a_restart_embeds_nothing),
		cmocka_unit_test(an_empty_ledger_is_read_from_the_database),
		cmocka_unit_test(the_ledger_alone_serves_where_nothing_can_be_listed),
		cmocka_unit_test(nothing_is_pruned_before_its_kind_is_listed),
		cmocka_unit_test(documents_of_a_kind_that_is_no_more),
		cmocka_unit_test(a_lost_collection_is_filled_again),
		cmocka_unit_test(another_model_stands_still),
		cmocka_unit_test(a_ledger_of_another_model_too),
		cmocka_unit_test(another_dimension_passes),
		cmocka_unit_test(another_owner_of_the_owner_reaches_all_below),
		cmocka_unit_test(late_owners_are_named),
		cmocka_unit_test(with_content_ids_nothing_is_pruned_before_all_is_listed),
		cmocka_unit_test(what_is_not_known_is_written_once),
		cmocka_unit_test(refused_credentials_are_tried_slowly),
		cmocka_unit_test(a_change_in_flight_is_not_lost),
		cmocka_unit_test(a_broken_ledger_stops_nothing),
		cmocka_unit_test(filters_decide_what_is_there),
		cmocka_unit_test(content_ids_leave_no_orphan),
		cmocka_unit_test(the_dimension_is_asked_for),
		cmocka_unit_test(few_requests_for_many_documents),
		cmocka_unit_test(a_first_list_can_be_held_back),
		cmocka_unit_test(stopping_sends_what_waits),
		cmocka_unit_test(stopping_ends_where_nothing_can_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
