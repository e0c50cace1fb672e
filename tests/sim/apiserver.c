#include "tests/sim/apiserver.h"

#include "base/mem.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BOOKMARK_EVERY (60 * NSEC_PER_SEC)
#define MAX_CUT	       3000 /* bytes of one delivery */
#define PRODUCE_BELOW  8192 /* a watch writes on when less than this is undelivered */

static uint32_t pick(struct apiserver *s, uint32_t n)
{
	return (uint32_t)rng_below(s->rng, n);
}

static bool trouble(struct apiserver *s, uint32_t one_in)
{
	return s->opts.trouble && pick(s, 100) < s->opts.trouble && pick(s, one_in) == 0;
}

static const struct {
	const char *path, *list, *item, *api;
} kinds[_SIM_KIND_MAX] = {
	[SIM_PODS] = {"/api/v1/pods", "PodList", "Pod", "v1"},
	[SIM_REPLICASETS] = {"/apis/apps/v1/replicasets", "ReplicaSetList", "ReplicaSet",
			     "apps/v1"},
	[SIM_JOBS] = {"/apis/batch/v1/jobs", "JobList", "Job", "batch/v1"},
	[SIM_CUSTOM] = {"/apis/db.example.com/v1/clusters", "ClusterList", "Cluster",
			"db.example.com/v1"},
};

/* The value of a query parameter, percent-decoded; "" when absent. */
static void param(const char *target, const char *key, char out[256])
{
	const char *at = strchr(target, '?');
	size_t len = strlen(key), n = 0;

	out[0] = '\0';
	while (at && *at) {
		at++;
		if (strncmp(at, key, len) == 0 && at[len] == '=') {
			for (at += len + 1; *at && *at != '&' && n < 255; at++) {
				unsigned int hex;

				if (*at == '%' && sscanf(at + 1, "%2x", &hex) == 1) {
					out[n++] = (char)hex;
					at += 2;
				} else {
					out[n++] = *at;
				}
			}
			out[n] = '\0';
			return;
		}
		at = strchr(at, '&');
	}
}

static bool matches(const struct xfer *x, const struct gen_object *o)
{
	return cluster_kind(o) == x->kind && (!x->node[0] || strcmp(o->node, x->node) == 0) &&
	       (!x->ns[0] || strcmp(o->ns, x->ns) == 0) && (!x->odd || cluster_odd(o));
}

static void fail(struct xfer *x, int status, const char *reason, const char *cont)
{
	x->status = status;
	x->ended = true;
	buf_reset(&x->out);
	assert(gen_status(x->format, false, status, reason, "simulated", cont, &x->out) == 0);
}

/* ---- lists ----------------------------------------------------------------------------------- */

static int by_key(const void *a, const void *b)
{
	const struct gen_object *x = *(const struct gen_object *const *)a,
				*y = *(const struct gen_object *const *)b;
	int r = strcmp(x->ns, y->ns);

	return r ? r : strcmp(x->name, y->name);
}

/* Pointers to what the transfer selects, in the API's order; the caller frees them. */
static const struct gen_object **selected(struct apiserver *s, struct xfer *x, uint32_t *ret_n)
{
	const struct gen_object **v = calloc(s->cluster->n_live + 1, sizeof(*v));
	uint32_t n = 0;

	assert(v);
	for (uint32_t i = 0; i < s->cluster->n_live; i++)
		if (matches(x, &s->cluster->live[i]))
			v[n++] = &s->cluster->live[i];
	qsort(v, n, sizeof(*v), by_key);
	*ret_n = n;
	return v;
}

/* Pages see the cluster as it is when they are asked for; a token names the last key and the
 * revision of the first page, which a compaction makes stale. */
static void do_list(struct apiserver *s, struct xfer *x, const char *target)
{
	char limit[256], cont[256], token[300] = "", from[256] = "";
	uint64_t rv = s->cluster->rv;
	uint32_t n, first = 0, max;
	const struct gen_object **all = selected(s, x, &n);
	struct gen_list l;

	param(target, "limit", limit);
	param(target, "continue", cont);
	if (cont[0] && sscanf(cont, "%" SCNu64 "|%255s", &rv, from) >= 1 &&
	    (rv < s->cluster->compacted || trouble(s, 3))) {
		(void)snprintf(token, sizeof(token), "%" PRIu64 "|%s", s->cluster->rv, from);
		fail(x, 410, "Expired", token);
		free(all);
		return;
	}
	while (from[0] && first < n) {
		char key[256];

		(void)snprintf(key, sizeof(key), "%s/%s", all[first]->ns, all[first]->name);
		if (strcmp(key, from) > 0)
			break;
		first++;
	}
	max = limit[0] ? (uint32_t)strtoul(limit, NULL, 10) : n;
	if (max && first + max < n)
		(void)snprintf(token, sizeof(token), "%" PRIu64 "|%s/%s", rv,
			       all[first + max - 1]->ns, all[first + max - 1]->name);
	else
		max = n - first;
	l = (struct gen_list){
		.format = x->format,
		.metadata_only = x->metadata_only,
		.kind = x->metadata_only ? "PartialObjectMetadataList" : kinds[x->kind].list,
		.api_version = x->metadata_only ? "meta.k8s.io/v1" : kinds[x->kind].api,
		.rv = rv,
		.cont = token};
	assert(gen_list(&l, all + first, max, &x->out) == 0);
	x->ended = true;
	free(all);
}

static void do_discovery(struct xfer *x)
{
	static const char list[] =
		"{\"kind\":\"APIResourceList\",\"groupVersion\":\"db.example.com/"
		"v1\",\"resources\":"
		"[{\"name\":\"clusters\",\"kind\":\"Cluster\",\"namespaced\":true}]}";

	x->format = GEN_JSON;
	assert(buf_append(&x->out, list, sizeof(list) - 1) == 0);
	x->ended = true;
}

static void do_single(struct apiserver *s, struct xfer *x)
{
	for (uint32_t i = 0; i < s->cluster->n_live; i++) {
		const struct gen_object *o = &s->cluster->live[i];
		char key[256];

		(void)snprintf(key, sizeof(key), "%s/%s", o->ns, o->name);
		if (cluster_kind(o) != x->kind || strcmp(key, x->single) != 0)
			continue;
		assert(gen_object(o, x->format, x->metadata_only, &x->out) == 0);
		x->ended = true;
		return;
	}
	fail(x, 404, "NotFound", "");
}

/* ---- watches --------------------------------------------------------------------------------- */

static void put_event(struct xfer *x, const struct gen_object *o, enum event_type type, bool end)
{
	assert(gen_event(o, x->format, x->metadata_only, type, end, &x->out) == 0);
}

static void put_bookmark(struct xfer *x, bool end)
{
	struct gen_object o = {.rv = x->rv};

	(void)snprintf(o.kind_text, sizeof(o.kind_text), "%s", kinds[x->kind].item);
	(void)snprintf(o.api_version, sizeof(o.api_version), "%s", kinds[x->kind].api);
	put_event(x, &o, EVENT_BOOKMARK, end);
}

static void begin_watch(struct apiserver *s, struct xfer *x, nsec_t now, const char *target)
{
	char rv[256], initial[256], timeout[256];
	const struct gen_object **all;
	uint32_t n;

	param(target, "resourceVersion", rv);
	param(target, "sendInitialEvents", initial);
	param(target, "timeoutSeconds", timeout);
	x->end_at = now + strtoull(timeout, NULL, 10) * NSEC_PER_SEC;
	x->bookmark_at = now + BOOKMARK_EVERY;
	if (strcmp(initial, "true") == 0 && !s->opts.streaming) {
		fail(x, 422, "Invalid", "");
		return;
	}
	x->rv = strcmp(initial, "true") == 0 ? s->cluster->rv : strtoull(rv, NULL, 10);
	if (strcmp(initial, "true") == 0) {
		all = selected(s, x, &n);
		for (uint32_t i = 0; i < n; i++)
			put_event(x, all[i], EVENT_ADDED, false);
		put_bookmark(x, true);
		free(all);
	} else if (x->rv < s->cluster->compacted) {
		assert(gen_status(x->format, true, 410, "Expired", "too old resource version", "",
				  &x->out) == 0);
		x->ended = true;
	}
	while (x->next < s->cluster->n_events && s->cluster->events[x->next].rv <= x->rv)
		x->next++;
}

/* A frame that is none; what comes behind it is lost to the reader, who has to begin anew. */
static void put_garbage(struct xfer *x)
{
	struct str bad = x->format == GEN_PB ? STR("\0\0\0\5\xff\xff\xff\xff\xff")
					     : STR("{\"type\":\"ADDED\",\"object\":{]}}\n");

	assert(buf_append_str(&x->out, bad) == 0);
}

/* Writes what has happened since, and bookmarks. */
static void produce(struct apiserver *s, struct xfer *x, nsec_t now)
{
	const struct cluster *c = s->cluster;

	for (; x->next < c->n_events && buf_str(&x->out).n < PRODUCE_BELOW; x->next++) {
		const struct sim_event *e = &c->events[x->next];

		x->rv = e->rv;
		if (e->kind == x->kind && matches(x, &c->versions[e->object]))
			put_event(x, &c->versions[e->object], e->type, false);
		else
			continue;
		if (trouble(s, 20)) /* a server may repeat what it said */
			put_event(x, &c->versions[e->object], e->type, false);
		if (trouble(s, 100))
			put_garbage(x);
	}
	if (now >= x->bookmark_at && x->next == c->n_events) {
		put_bookmark(x, false);
		x->bookmark_at = now + BOOKMARK_EVERY;
	}
	if (now >= x->end_at)
		x->ended = true;
}

/* ---- transfers ------------------------------------------------------------------------------- */

/* "/apis/apps/v1/namespaces/NS/replicasets/NAME" → kind and "NS/NAME". */
static bool parse_path(struct xfer *x, const char *target)
{
	char path[512], ns[64], name[64], resource[32];
	const char *in;
	int n;

	(void)snprintf(path, sizeof(path), "%.*s", (int)strcspn(target, "?"), target);
	for (int k = 0; k < _SIM_KIND_MAX; k++) {
		x->kind = (enum sim_kind)k;
		if (strcmp(path, kinds[k].path) == 0)
			return true;
	}
	if (strcmp(path, "/apis/db.example.com/v1") == 0) {
		x->discovery = true;
		return true;
	}
	in = strstr(path, "/namespaces/");
	n = in ? sscanf(in, "/namespaces/%63[^/]/%31[^/]/%63s", ns, resource, name) : 0;
	if (n < 2)
		return false;
	for (int k = 0; k < _SIM_KIND_MAX; k++) {
		x->kind = (enum sim_kind)k;
		if (strcmp(strrchr(kinds[k].path, '/') + 1, resource) == 0) {
			(void)snprintf(x->ns, sizeof(x->ns), "%s", ns);
			if (n == 3)
				(void)snprintf(x->single, sizeof(x->single), "%s/%s", ns, name);
			return true;
		}
	}
	return false;
}

static bool refuse(struct apiserver *s, struct xfer *x, nsec_t now)
{
	if (now < s->unauthorized_until) {
		fail(x, 401, "Unauthorized", "");
		return true;
	}
	if (now < s->forbid_until || (s->opts.no_jobs && x->kind == SIM_JOBS && !x->discovery) ||
	    (now < s->role_until && strcmp(x->ns, s->role_ns) == 0)) {
		fail(x, 403, "Forbidden", "");
		return true;
	}
	if (!trouble(s, 3))
		return false;
	switch (pick(s, 5)) {
	case 0:
		fail(x, 429, "TooManyRequests", "");
		x->retry_after = (1 + pick(s, 3)) * NSEC_PER_SEC;
		break;
	case 1:
		fail(x, 500, "InternalError", "");
		break;
	case 2:
		fail(x, 504, "Timeout", "");
		break;
	case 3:
		fail(x, 401, "Unauthorized", "");
		break;
	default:
		x->silent = true;
		break;
	}
	return true;
}

void apiserver_open(struct apiserver *s, struct xfer *x, nsec_t now, const char *target,
		    const char *accept)
{
	char field[256], watch[256];

	*x = (struct xfer){.open = true, .status = 200};
	buf_init(&x->out, (size_t)64 << 20);
	x->at = now + pick(s, 50) * NSEC_PER_MSEC;
	x->format = s->opts.protobuf && strstr(accept, "protobuf") ? GEN_PB : GEN_JSON;
	x->metadata_only = strstr(accept, "PartialObjectMetadata") != NULL;
	param(target, "watch", watch);
	param(target, "fieldSelector", field);
	(void)sscanf(field, "spec.nodeName=%63s", x->node);
	param(target, "labelSelector", field);
	x->odd = strcmp(field, "sim=odd") == 0;
	if (now < s->down_until) {
		x->ended = true;
		x->how = XFER_REFUSED;
		return;
	}
	if (!parse_path(x, target))
		fail(x, 404, "NotFound", "");
	else if (refuse(s, x, now))
		return;
	else if (x->discovery)
		do_discovery(x);
	else if (x->single[0])
		do_single(s, x);
	else if (watch[0])
		begin_watch(s, x, now, target);
	else
		do_list(s, x, target);
	if (now < s->slow_until && x->kind != SIM_PODS && !x->single[0])
		x->at = s->slow_until;
	x->watch = watch[0] && !x->ended;
}

void apiserver_close(struct xfer *x)
{
	buf_done(&x->out);
	*x = (struct xfer){0};
}

static void spoil(struct apiserver *s, struct xfer *x)
{
	if (!trouble(s, 40))
		return;
	switch (pick(s, 4)) {
	case 0: /* cut, perhaps inside a frame */
		x->how = XFER_CUT;
		x->ended = true;
		buf_reset(&x->out);
		break;
	case 1: /* a slow reader's watch: ends cleanly between events, some are missing */
		if (x->watch && buf_str(&x->out).n == 0)
			x->ended = true;
		break;
	case 2:
		x->silent = true;
		break;
	default:
		x->at += (1 + pick(s, 20)) * NSEC_PER_SEC;
		break;
	}
}

static bool deliver(struct apiserver *s, struct xfer *x, enum xfer_event *ret, struct str *bytes)
{
	static char piece[MAX_CUT];
	struct str held = buf_str(&x->out);
	size_t n = MIN(held.n, (size_t)1 + pick(s, MAX_CUT));

	if (held.n == 0)
		return false;
	memcpy(piece, held.p, n);
	buf_consume(&x->out, n);
	*bytes = str_make(piece, n);
	*ret = XFER_DATA;
	return true;
}

bool apiserver_next(struct apiserver *s, struct xfer *x, nsec_t now, enum xfer_event *ret,
		    struct str *ret_bytes)
{
	if (!x->open || now < x->at || x->silent)
		return false;
	x->at = now + pick(s, 20) * NSEC_PER_MSEC;
	if (now < s->down_until && x->answered && x->how != XFER_REFUSED) {
		x->how = XFER_CUT;
		x->ended = true;
		buf_reset(&x->out);
	}
	if (!x->answered && x->how != XFER_REFUSED) {
		x->answered = true;
		*ret = XFER_RESPONSE;
		return true;
	}
	if (x->watch && !x->ended)
		produce(s, x, now);
	spoil(s, x);
	if (!x->silent && deliver(s, x, ret, ret_bytes))
		return true;
	if (!x->ended || x->silent) {
		x->at = now + 200 * NSEC_PER_MSEC; /* looks again for events */
		return false;
	}
	x->open = false;
	*ret = XFER_END;
	return true;
}
