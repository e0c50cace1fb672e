/*
 * Embedders and databases on an event loop, against a stand-in: one call, turned until
 * it has ended, and what came of it.
 */
#pragma once

#include <errno.h>
#include <event2/event.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/buf.h"
#include "http/http.h"
#include "sink/vector/services.h"
#include "tests/lib/fake.h"
#include "tests/lib/http_probe.h"

#define RIG_DIM	   8
#define RIG_DOCS   64
#define RIG_SECRET "canary-7d1f9a-secret-token"

struct rig {
	struct event_base *base;
	struct http *http;
	struct fake fake;
	struct embedder *e;
	struct backend *b;
	char token_file[64];

	/* Of the last call. */
	bool ended;
	enum vector_outcome how;
	char text[2048];
	nsec_t retry_after;
	float *v;
	uint32_t n, dim;
	json_t *json; /* a search's */
	bool more;
	json_t *known; /* listed: {id: {kind, ns, text_hash, meta_hash}} */
	bool text_hash_right, meta_hash_right;

	struct document docs[RIG_DOCS];
	struct backend_doc bdocs[RIG_DOCS];
	char words[RIG_DOCS][128], ids[RIG_DOCS][128], names[RIG_DOCS][32];
	float vectors[RIG_DOCS][RIG_DIM];
};

static inline void rig_loop(struct rig *r)
{
	*r = (struct rig){0};
	r->base = event_base_new();
	assert_int_equal(
		http_new(&(struct http_opts){.base = r->base, .user_agent = "kindred-test"},
			 &r->http),
		0);
}

static inline void rig_done(struct rig *r)
{
	if (r->e)
		r->e->ops->free(r->e);
	if (r->b)
		r->b->ops->free(r->b);
	fake_stop(&r->fake);
	http_free(&r->http);
	event_base_free(r->base);
	if (r->token_file[0])
		(void)unlink(r->token_file);
	free(r->v);
	json_decref(r->json);
	json_decref(r->known);
}

/* A file with the text, at a new place the first time. */
static inline const char *rig_token(struct rig *r, const char *text)
{
	FILE *f;

	if (!r->token_file[0]) {
		int fd;

		(void)snprintf(r->token_file, sizeof(r->token_file), "/tmp/kindred-token-XXXXXX");
		fd = mkstemp(r->token_file);
		assert_true(fd >= 0);
		(void)close(fd);
	}
	f = fopen(r->token_file, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	return r->token_file;
}

/* --- ends ---------------------------------------------------------------- */

/* Whatever is said to people never holds the token. */
static inline void rig_end(struct rig *r, const struct vector_end *end)
{
	assert_false(r->ended);
	r->ended = true;
	r->how = end->how;
	r->retry_after = end->retry_after;
	(void)snprintf(r->text, sizeof(r->text), "%.*s", STR_ARG(end->text));
	assert_int_equal(end->how == VECTOR_OK, end->text.n == 0);
	assert_null(strstr(r->text, RIG_SECRET));
}

static inline void rig_on_done(void *ctx, const struct vector_end *end)
{
	rig_end(ctx, end);
}

static inline void rig_on_vectors(void *ctx, const struct vector_end *end, const float *v,
				  uint32_t dim)
{
	struct rig *r = ctx;

	rig_end(r, end);
	assert_int_equal(end->how == VECTOR_OK, v != NULL);
	free(r->v);
	r->v = NULL;
	r->dim = dim;
	if (!v)
		return;
	r->v = malloc((size_t)r->n * dim * sizeof(*v));
	assert_non_null(r->v);
	memcpy(r->v, v, (size_t)r->n * dim * sizeof(*v));
}

static inline void rig_on_row(void *ctx, const struct backend_known *k)
{
	struct rig *r = ctx;

	assert_false(r->ended);
	for (uint32_t i = 0; i < RIG_DOCS; i++) {
		if (!r->docs[i].id.n || !str_eq(r->docs[i].id, k->id))
			continue;
		r->text_hash_right = r->text_hash_right && k->text_hash &&
				     !memcmp(k->text_hash, r->docs[i].text_hash, DOC_HASH_SIZE);
		r->meta_hash_right = r->meta_hash_right && k->meta_hash &&
				     !memcmp(k->meta_hash, r->docs[i].meta_hash, DOC_HASH_SIZE);
		assert_true(str_eq(k->uid, r->docs[i].fields[DOC_UID]));
		assert_true(str_eq(k->api_version, r->docs[i].fields[DOC_API_VERSION]));
		assert_true(str_eq(k->cluster, r->docs[i].fields[DOC_CLUSTER]));
	}
	assert_int_equal(
		json_object_setn_new_nocheck(r->known, k->id.p, k->id.n,
					     json_pack("{s:s%,s:s%}", "kind", k->kind.p, k->kind.n,
						       "ns", k->ns.n ? k->ns.p : "", k->ns.n)),
		0);
}

static inline void rig_on_list(void *ctx, const struct vector_end *end, bool more)
{
	struct rig *r = ctx;

	rig_end(r, end);
	r->more = more;
}

static inline void rig_on_search(void *ctx, const struct vector_end *end, struct str json)
{
	struct rig *r = ctx;

	rig_end(r, end);
	json_decref(r->json);
	r->json = json.n ? json_loadb(json.p, json.n, 0, NULL) : NULL;
	assert_int_equal(end->how == VECTOR_OK, r->json != NULL);
}

/* Turns the loop until the call's end; `started` is what the call said. */
static inline enum vector_outcome rig_wait(struct rig *r, int started)
{
	assert_int_equal(started, 0);
	assert_false(r->ended); /* never inside the call */
	for (nsec_t end = clock_mono() + 30 * NSEC_PER_SEC; !r->ended;) {
		assert_true(clock_mono() < end);
		probe_turn(r->base, 2);
	}
	r->ended = false;
	return r->how;
}

static inline void rig_expect(struct rig *r, enum vector_outcome got, enum vector_outcome want,
			      const char *words)
{
	if (got != want || !strstr(r->text, words))
		print_error("got %s: %s\n", vector_outcome_name(got), r->text);
	assert_int_equal(got, want);
	assert_non_null(strstr(r->text, words));
}

/* --- calls --------------------------------------------------------------- */

static inline enum vector_outcome rig_embed(struct rig *r, const struct str *texts, uint32_t n)
{
	r->n = n;
	return rig_wait(r, r->e->ops->embed(r->e, texts, n, rig_on_vectors, r));
}

static inline enum vector_outcome rig_ensure(struct rig *r)
{
	return rig_wait(r, r->b->ops->ensure(r->b, rig_on_done, r));
}

static inline enum vector_outcome rig_upsert(struct rig *r, uint32_t from, uint32_t n)
{
	return rig_wait(r, r->b->ops->upsert(r->b, r->bdocs + from, n, rig_on_done, r));
}

static inline enum vector_outcome rig_payload(struct rig *r, uint32_t from, uint32_t n)
{
	return rig_wait(r, r->b->ops->payload(r->b, r->bdocs + from, n, rig_on_done, r));
}

static inline enum vector_outcome rig_remove(struct rig *r, uint32_t from, uint32_t n)
{
	struct str ids[RIG_DOCS];

	for (uint32_t i = 0; i < n; i++)
		ids[i] = r->docs[from + i].id;
	return rig_wait(r, r->b->ops->remove(r->b, ids, n, rig_on_done, r));
}

static inline enum vector_outcome rig_health(struct rig *r)
{
	return rig_wait(r, r->b->ops->health(r->b, rig_on_done, r));
}

/* One page. */
static inline enum vector_outcome rig_page(struct rig *r, bool first)
{
	if (first) {
		json_decref(r->known);
		r->known = json_object();
		r->text_hash_right = r->meta_hash_right = true;
	}
	return rig_wait(r, r->b->ops->list(r->b, first, rig_on_row, rig_on_list, r));
}

/* All pages; how many documents, in how many pages. */
static inline size_t rig_list(struct rig *r, unsigned *ret_pages)
{
	unsigned pages = 0;

	do {
		rig_expect(r, rig_page(r, pages == 0), VECTOR_OK, "");
		assert_true(++pages < 1000);
	} while (r->more);
	if (ret_pages)
		*ret_pages = pages;
	return json_object_size(r->known);
}

static inline enum vector_outcome rig_search(struct rig *r, struct backend_query q)
{
	return rig_wait(r, r->b->ops->search(r->b, &q, rig_on_search, r));
}

/* --- documents ----------------------------------------------------------- */

/* Document i: its vector points mostly along axis i % RIG_DIM. Texts are not kind to JSON. */
static inline void rig_doc(struct rig *r, uint32_t i, const char *kind, const char *ns)
{
	struct document *d = &r->docs[i];

	(void)snprintf(r->names[i], sizeof(r->names[i]), "name-%u", i);
	(void)snprintf(r->ids[i], sizeof(r->ids[i]), "%s/apps/v1/%s/name-%u", ns, kind, i);
	(void)snprintf(r->words[i], sizeof(r->words[i]),
		       "%s name-%u \"quoted\" back\\slash\n\xc3\xa9", kind, i);
	*d = (struct document){.id = str_of(r->ids[i]), .text = str_of(r->words[i])};
	document_uuid(d->id, d->uuid);
	d->fields[DOC_NAMESPACE] = str_of(ns);
	d->fields[DOC_NAME] = str_of(r->names[i]);
	d->fields[DOC_KIND] = str_of(kind);
	d->fields[DOC_API_GROUP] = STR("apps");
	d->fields[DOC_API_VERSION] = STR("apps/v1");
	d->fields[DOC_UID] = STR("0b9be4a2-5a1f-4d4e-9d0c-0a6c3f1f2b11");
	d->fields[DOC_LABELS] = STR(",app=web,tier=front,");
	d->fields[DOC_CREATED_AT] = STR("2026-01-02T03:04:05Z");
	for (uint32_t k = 0; k < DOC_HASH_SIZE; k++) {
		d->text_hash[k] = (uint8_t)(i * 7 + k);
		d->meta_hash[k] = (uint8_t)(i * 13 + k + 1);
	}
	for (uint32_t k = 0; k < RIG_DIM; k++)
		r->vectors[i][k] = k == i % RIG_DIM ? 1 : 0.001F * (float)(i + 1);
	r->bdocs[i] = (struct backend_doc){.doc = d, .text = d->text, .vector = r->vectors[i]};
}

static inline void rig_docs(struct rig *r, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		rig_doc(r, i, i % 3 ? "Deployment" : "Service", i % 2 ? "shop" : "data");
}

/* --- making -------------------------------------------------------------- */

static inline void rig_fake(struct rig *r, const char *script, const char *const *args)
{
	fake_start(&r->fake, r->base, r->http, &(struct fake_opts){.script = script, .args = args});
}

/* The backend of "NAME:" and the stand-in's URL. */
static inline void rig_backend(struct rig *r, const char *name, const char *path,
			       struct backend_opts o)
{
	char url[200], spec[256];
	_buf_ struct buf error;

	buf_init(&error, 1024);
	(void)snprintf(spec, sizeof(spec), "%s:%s", name,
		       fake_url(&r->fake, path, url, sizeof(url)));
	o.base = r->base;
	o.http = r->http;
	o.spec = str_of(spec);
	o.collection = o.collection.n ? o.collection : STR("kindred");
	o.model = o.model.n ? o.model : STR("hash-v1:8");
	o.template_ = o.template_.n ? o.template_ : STR("t1/rich");
	o.dim = o.dim ? o.dim : RIG_DIM;
	if (r->b)
		r->b->ops->free(r->b);
	r->b = NULL;
	if (backend_new(&o, &r->b, &error) < 0)
		fail_msg("%.*s", STR_ARG(buf_str(&error)));
}

static inline void rig_embedder(struct rig *r, const char *name, const char *path,
				struct embedder_opts o)
{
	char url[200], spec[256];
	_buf_ struct buf error;

	buf_init(&error, 1024);
	(void)snprintf(spec, sizeof(spec), "%s:%s", name,
		       fake_url(&r->fake, path, url, sizeof(url)));
	o.base = r->base;
	o.http = r->http;
	o.spec = str_of(spec);
	o.model = o.model.n ? o.model : STR("test-model");
	if (r->e)
		r->e->ops->free(r->e);
	r->e = NULL;
	if (embedder_new(&o, &r->e, &error) < 0)
		fail_msg("%.*s", STR_ARG(buf_str(&error)));
}
