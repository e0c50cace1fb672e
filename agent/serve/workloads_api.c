/*
 * GET /api/v1/workloads; see pods_api.h. One walk over the pods keeps the first workloads
 * behind the token, in order, as many as the page has, and counts their pods: one that is
 * pushed out by others in front of it never comes back, so what stays was counted whole.
 */
#include "serve/pods_api.h"

#include "base/json_out.h"
#include "base/mem.h"
#include "match/end.h"
#include "serve/pods_query.h"

#include <errno.h>
#include <stdlib.h>

#define KEY_MAX	  1024
#define PIECE_MAX ((size_t)PODS_LIMIT_MAX * 2048)

struct entry {
	uint32_t pods, running, containers;
	char uid[UID_TEXT_MAX + 1];
	uint32_t n_ns, n_kind; /* bytes of the key's parts */
	char key[];	       /* NAMESPACE/KIND/NAME */
};

struct walk {
	struct serve *serve;
	struct web_client *client;
	struct pods_query query;
	struct entry **v; /* sorted; one more than the page has room for tells that there is more */
	uint32_t n;
	bool more;
	pod_id id;
	struct buf key, piece;
};

/* ---- entries --------------------------------------------------------------------------------- */

/* Where the key is, or belongs. */
static uint32_t place_of(const struct walk *w, struct str key, bool *ret_there)
{
	uint32_t low = 0, high = w->n;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (str_cmp(str_of(w->v[mid]->key), key) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	*ret_there = low < w->n && str_eq(str_of(w->v[low]->key), key);
	return low;
}

static struct entry *entry_new(struct str key, struct str ns, const struct workload *wl)
{
	struct entry *e = calloc(1, sizeof(*e) + key.n + 1);

	if (!e)
		return NULL;
	memcpy(e->key, key.p, key.n);
	memcpy(e->uid, wl->uid, sizeof(e->uid));
	e->n_ns = (uint32_t)ns.n;
	e->n_kind = (uint32_t)pods_kind(wl).n;
	return e;
}

static int insert(struct walk *w, uint32_t at, struct str ns, const struct workload *wl)
{
	struct entry *e;

	if (w->n == w->query.limit) { /* the last one goes to another page */
		free(w->v[--w->n]);
		w->more = true;
	}
	e = entry_new(buf_str(&w->key), ns, wl);
	if (!e)
		return -ENOMEM;
	memmove(&w->v[at + 1], &w->v[at], (w->n - at) * sizeof(struct entry *));
	w->v[at] = e;
	w->n++;
	return 0;
}

/* ---- pods ------------------------------------------------------------------------------------ */

static int count(struct walk *w, const struct inv_pod_view *pod, const struct workload *wl)
{
	uint32_t at;
	bool there;
	int r;

	buf_reset(&w->key);
	if (buf_printf(&w->key, "%.*s/%.*s/%.*s", STR_ARG(pod->ns), STR_ARG(pods_kind(wl)),
		       STR_ARG(wl->name)) < 0)
		return -ENOMEM;
	if (str_cmp(buf_str(&w->key), str_of(w->query.after)) <= 0)
		return 0;
	at = place_of(w, buf_str(&w->key), &there);
	if (!there && at == w->query.limit) {
		w->more = true;
		return 0;
	}
	r = there ? 0 : insert(w, at, pod->ns, wl);
	if (r < 0)
		return r;
	w->v[at]->pods++;
	w->v[at]->running += pod->phase == POD_PHASE_RUNNING;
	w->v[at]->containers += pod->n_containers;
	return 0;
}

static int look_at(struct walk *w, pod_id id)
{
	const struct end_scope *scope = w->serve->o.scope;
	struct inv_pod_view pod;
	struct workload wl;

	if (!inventory_pod(scope->inventory, id, &pod) || !pods_query_may_fit(&w->query, &pod))
		return 0;
	(void)match_pod(scope->inventory, scope->policy, id, &wl);
	return pods_query_fits(&w->query, &wl) ? count(w, &pod, &wl) : 0;
}

/* ---- the answer ------------------------------------------------------------------------------ */

static void put_entry(struct json_out *j, const struct entry *e)
{
	const struct str key = str_of(e->key);

	json_open(j, NULL, '{');
	json_text(j, "namespace", str_make(key.p, e->n_ns));
	json_text(j, "kind", str_make(key.p + e->n_ns + 1, e->n_kind));
	json_text(j, "name", str_from(key, e->n_ns + 1 + e->n_kind + 1));
	json_some(j, "uid", str_of(e->uid));
	json_u64(j, "pods", e->pods);
	json_u64(j, "running", e->running);
	json_u64(j, "containers", e->containers);
	json_close(j, '{');
}

static int put_all(struct walk *w)
{
	struct json_out j = {.out = &w->piece};

	json_open(&j, NULL, '{');
	json_open(&j, "workloads", '[');
	for (uint32_t i = 0; i < w->n; i++)
		put_entry(&j, w->v[i]);
	json_close(&j, '[');
	if (w->more && w->n)
		json_text(&j, "continue", str_of(w->v[w->n - 1]->key));
	json_close(&j, '{');
	return j.r < 0 ? j.r : buf_append(&w->piece, "\n", 1);
}

static int walk_more(void *ctx)
{
	struct walk *w = ctx;
	const pod_id end = inventory_pod_ids(w->serve->o.scope->inventory);

	for (int i = 0; i < PODS_SLICE && w->id < end; i++)
		if (look_at(w, ++w->id) < 0)
			return -ENOMEM;
	if (w->id < end)
		return 1;
	if (put_all(w) < 0 || web_stream_put(w->client, buf_str(&w->piece)) < 0)
		return -ENOMEM;
	return -ENODATA;
}

static void walk_gone(void *ctx)
{
	struct walk *w = ctx;

	while (w->n)
		free(w->v[--w->n]);
	free(w->v);
	buf_done(&w->key);
	buf_done(&w->piece);
	free(w);
}

static const struct web_stream_ops walk_stream = {.more = walk_more, .gone = walk_gone};

void serve_workloads(struct serve *s, struct web_client *c, const struct web_request *r)
{
	_buf_ struct buf words = {.max = 2048};
	struct pods_query q;
	struct walk *w;

	if (!s->o.scope || !s->o.scope->inventory) {
		serve_error(c, 503, STR("there are no pods here"));
		return;
	}
	if (pods_query_parse(r->query, true, &q, &words) < 0) {
		serve_error(c, 400, buf_str(&words));
		return;
	}
	w = calloc(1, sizeof(*w));
	if (w)
		w->v = calloc(q.limit + 1, sizeof(struct entry *));
	if (!w || !w->v) {
		free(w);
		serve_error(c, 503, STR("out of memory"));
		return;
	}
	w->serve = s;
	w->client = c;
	w->query = q;
	buf_init(&w->key, KEY_MAX);
	buf_init(&w->piece, PIECE_MAX);
	web_stream(c, TYPE_JSON, &walk_stream, w);
}
