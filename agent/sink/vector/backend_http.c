/*
 * A receiver that embeds by itself: cluster-whisperer's POST /api/v1/instances/sync and
 * whatever else takes S2's payload at the URL given. It gets
 *
 *   {"upserts": [{id, namespace, name, kind, apiVersion, apiGroup, labels{}, annotations{},
 *                 createdAt}], "deletes": [id]}
 *
 * with every field there, for one that is missing has the whole batch refused:
 * "_cluster" for the namespace of cluster-wide kinds, the epoch for an object without
 * creationTimestamp. Bodies stay below the receiver's 5 MiB. Nothing can be listed or
 * searched, and there is no collection to make.
 */
#include "sink/vector/rest.h"

#include "base/json_in.h"
#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MAX_REQUEST ((5u << 20) - 4096)
#define NO_TIME	    "1970-01-01T00:00:00Z"

struct receiver {
	struct rest r;		/* first */
	struct service *origin; /* for health: scheme, host and port alone */
};

/* --- the body ------------------------------------------------------------ */

/* ",k=v,k=v," as an object. */
static void put_labels(struct json_out *j, struct str labels)
{
	struct str one, key;
	_buf_ struct buf name = {.max = 1024};

	json_open(j, "labels", '{');
	while (labels.n) {
		(void)str_split(&labels, ',', &one);
		if (!one.n)
			continue;
		(void)str_split(&one, '=', &key);
		buf_reset(&name);
		if (j->r == 0)
			j->r = json_escape(&name, key);
		if (j->r == 0)
			j->r = buf_append(&name, "", 1);
		if (j->r == 0)
			json_text(j, buf_str(&name).p, one);
	}
	json_close(j, '{');
}

static struct str or_else(struct str s, const char *instead)
{
	return s.n ? s : str_of(instead);
}

static void put_instance(struct json_out *j, const struct document *d)
{
	json_open(j, NULL, '{');
	json_text(j, "id", d->id);
	json_text(j, "namespace", or_else(d->fields[DOC_NAMESPACE], "_cluster"));
	json_text(j, "name", d->fields[DOC_NAME]);
	json_text(j, "kind", d->fields[DOC_KIND]);
	json_text(j, "apiVersion", d->fields[DOC_API_VERSION]);
	json_text(j, "apiGroup", d->fields[DOC_API_GROUP]);
	put_labels(j, d->fields[DOC_LABELS]);
	json_raw(j, "annotations", or_else(d->annotations, "{}"));
	json_text(j, "createdAt", or_else(d->fields[DOC_CREATED_AT], NO_TIME));
	json_close(j, '{');
}

/* --- requests ------------------------------------------------------------ */

static void on_synced(void *ctx, const struct service_answer *a)
{
	_buf_ struct buf words = {.max = REST_MAX_WORDS};
	struct receiver *h = ctx;

	if (a->end.how != VECTOR_OK) {
		struct vector_end end = a->end;

		if (end.how == VECTOR_GONE) /* nothing that ensure could make */
			end.how = VECTOR_REFUSED;
		rest_finish(&h->r, &end);
		return;
	}
	if (str_eq(json_in_member(a->json, "status"), STR("ok"))) {
		rest_finish_ok(&h->r);
		return;
	}
	(void)buf_printf(&words, "answered %d without status \"ok\"", a->status);
	rest_finish_read(&h->r, VECTOR_RETRY, "sync", &words);
}

static int send_sync(struct receiver *h, const struct backend_doc *docs, uint32_t n_docs,
		     const struct str *ids, uint32_t n_ids)
{
	struct json_out j = {.out = service_body(h->r.s)};

	json_open(&j, NULL, '{');
	json_open(&j, "upserts", '[');
	for (uint32_t i = 0; i < n_docs; i++)
		put_instance(&j, docs[i].doc);
	json_close(&j, '[');
	json_open(&j, "deletes", '[');
	for (uint32_t i = 0; i < n_ids; i++)
		json_text(&j, NULL, ids[i]);
	json_close(&j, '[');
	json_close(&j, '{');
	return j.r < 0 ? j.r : rest_ask(&h->r, "sync", "POST", "", true, on_synced);
}

static int upsert(struct backend *b, const struct backend_doc *docs, uint32_t n, backend_done done,
		  void *ctx)
{
	struct receiver *h = (struct receiver *)b;
	int r = rest_begin(&h->r, n, done, ctx);

	return r < 0 ? r : send_sync(h, docs, n, NULL, 0);
}

static int remove_ids(struct backend *b, const struct str *ids, uint32_t n, backend_done done,
		      void *ctx)
{
	struct receiver *h = (struct receiver *)b;
	int r = rest_begin(&h->r, n, done, ctx);

	return r < 0 ? r : send_sync(h, NULL, 0, ids, n);
}

/* A receiver that says that it has no /healthz is there. */
static void on_health(void *ctx, const struct service_answer *a)
{
	struct receiver *h = ctx;

	if (a->end.how == VECTOR_GONE || a->status == 405)
		rest_finish_ok(&h->r);
	else
		rest_finish(&h->r, &a->end);
}

/* There is nothing to make; whether somebody answers is worth knowing before the first batch. */
static int health(struct backend *b, backend_done done, void *ctx)
{
	struct receiver *h = (struct receiver *)b;
	struct service_request req = {.what = "health",
				      .method = "GET",
				      .path = STR("/healthz"),
				      .done = on_health,
				      .ctx = h};
	int r = service_busy(h->origin) ? -EBUSY : rest_begin(&h->r, 0, done, ctx);

	return r < 0 ? r : service_ask(h->origin, &req);
}

/* --- making -------------------------------------------------------------- */

static void cancel(struct backend *b)
{
	struct receiver *h = (struct receiver *)b;

	rest_cancel(b);
	service_cancel(h->origin);
}

static void receiver_free(struct backend *b)
{
	struct receiver *h = (struct receiver *)b;

	service_free(&h->origin);
	rest_done(&h->r);
	free(h);
}

static const struct backend_ops ops = {
	.ensure = health,
	.upsert = upsert,
	.remove = remove_ids,
	.health = health,
	.cancel = cancel,
	.free = receiver_free,
};

/* "http://host:3000/api/v1/x": up to the path. */
static struct str origin_of(struct str url)
{
	const char *scheme = url.n ? memmem(url.p, url.n, "://", 3) : NULL;
	size_t at = scheme ? (size_t)(scheme - url.p) + 3 : url.n;

	while (at < url.n && url.p[at] != '/')
		at++;
	return str_make(url.p, at);
}

static int make_origin(struct receiver *h, const struct backend_opts *o, struct str url,
		       struct buf *ret_error)
{
	struct service_opts so = {
		.base = o->base,
		.http = o->http,
		.url = origin_of(url),
		.access = o->access,
		.max_answer = REST_MAX_WORDS * 64,
	};

	return service_new(&so, &h->origin, ret_error);
}

int backend_http_new(const struct backend_opts *o, struct str rest, struct backend **ret,
		     struct buf *ret_error)
{
	struct receiver *h = calloc(1, sizeof(*h));
	int r;

	if (!h)
		return -ENOMEM;
	r = rest_init(&h->r, o, "http", rest, MAX_REQUEST, &ops, ret_error);
	if (r == 0)
		r = make_origin(h, o, rest, ret_error);
	if (r == 0)
		r = rest_name(&h->r, "http:%s", service_url(h->r.s)); /* without collections */
	h->r.b.own_vectors = true;
	if (r < 0)
		receiver_free(&h->r.b);
	else
		*ret = &h->r.b;
	return r;
}
