/* Names of CustomResourceDefinitions for a scanner; see capabilities.h. */
#include "sink/capabilities/capabilities.h"

#include "base/backoff.h"
#include "base/json_out.h"
#include "base/mem.h"
#include "sink/loop.h"
#include "sink/vector/service_http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUEST_MAX  (256UL << 10)
#define ANSWER_MAX   65536
#define DRAIN_SLICE  1024
#define REFUSED_WAIT (60 * NSEC_PER_SEC)

enum name_state {
	NAME_NEW,  /* exists, not told */
	NAME_TOLD, /* exists, told */
	NAME_GONE, /* told, exists no more */
};

struct name {
	char *text;
	enum name_state state;
	bool flying; /* in the request under way */
};

struct capabilities {
	struct store *store;
	struct store_cursor *cursor;
	struct service *service;
	struct sink_loop *loop;
	struct name *v;
	uint32_t n, cap;
	nsec_t debounce, changed; /* when the last new name came */
	nsec_t blocked_until;
	struct backoff backoff;
	struct rng rng;
	struct capabilities_status status;
	char words[512];
};

/* ---- names ----------------------------------------------------------------------------------- */

static struct name *find(struct capabilities *c, struct str text)
{
	for (uint32_t i = 0; i < c->n; i++)
		if (str_eq(str_of(c->v[i].text), text))
			return &c->v[i];
	return NULL;
}

static struct name *add(struct capabilities *c, struct str text)
{
	if (c->n == CAPABILITIES_MAX)
		return NULL;
	if (c->n == c->cap) {
		uint32_t cap = c->cap ? c->cap * 2 : 64;
		struct name *more = realloc(c->v, cap * sizeof(*more));

		if (!more)
			return NULL;
		c->v = more;
		c->cap = cap;
	}
	c->v[c->n] = (struct name){.text = str_dup(text)};
	return c->v[c->n].text ? &c->v[c->n++] : NULL;
}

static void drop(struct capabilities *c, struct name *n)
{
	free(n->text);
	*n = c->v[--c->n];
}

static void take_live(struct capabilities *c, struct str text, nsec_t now)
{
	struct name *n = find(c, text);

	if (n && n->state != NAME_GONE)
		return; /* it has changed: its name has not */
	if (!n)
		n = add(c, text);
	if (!n) {
		c->status.left_out++;
		return;
	}
	n->state = NAME_NEW;
	c->changed = now;
}

static void take_gone(struct capabilities *c, struct str text)
{
	struct name *n = find(c, text);

	if (!n)
		return;
	if (n->state == NAME_NEW && !n->flying)
		drop(c, n);
	else
		n->state = NAME_GONE;
}

static bool is_definition(const struct capabilities *c, store_kind kind)
{
	struct store_kind_view k;

	return store_kind_get(c->store, kind, &k) && str_eq(k.group, STR("apiextensions.k8s.io")) &&
	       str_eq(k.plural, STR("customresourcedefinitions"));
}

/* Whether there is more. */
static bool drain(struct capabilities *c, nsec_t now)
{
	for (int i = 0; i < DRAIN_SLICE; i++) {
		store_id id = store_cursor_next(c->store, c->cursor);
		struct store_view v;

		if (!id)
			return false;
		if (!store_get(c->store, id, &v))
			continue;
		if (is_definition(c, v.kind)) {
			if (v.dead)
				take_gone(c, v.name);
			else
				take_live(c, v.name, now);
		}
		if (v.dead)
			store_cursor_done(c->store, c->cursor, id);
	}
	return true;
}

/* ---- requests -------------------------------------------------------------------------------- */

static void landed(struct capabilities *c, bool well)
{
	for (uint32_t i = 0; i < c->n; i++) {
		struct name *n = &c->v[i];
		bool flew = n->flying;

		n->flying = false;
		if (!flew || !well)
			continue;
		if (n->state == NAME_NEW) {
			n->state = NAME_TOLD;
			c->status.upserts++;
		} else if (n->state == NAME_GONE) {
			c->status.deletes++;
			drop(c, n);
			i--; /* another one stands here now */
		}
	}
}

static void on_answer(void *ctx, const struct service_answer *a)
{
	struct capabilities *c = ctx;
	nsec_t now = clock_mono();
	bool well = a->end.how == VECTOR_OK;

	landed(c, well);
	c->status.failing = !well;
	(void)snprintf(c->words, sizeof(c->words), "%.*s", STR_ARG(a->end.text));
	if (well) {
		backoff_good(&c->backoff, now);
		c->blocked_until = 0;
	} else {
		c->status.retries++;
		c->blocked_until =
			now + (a->end.how == VECTOR_RETRY
				       ? backoff_next(&c->backoff, &c->rng, now, a->end.retry_after)
				       : REFUSED_WAIT);
	}
	sink_loop_wake(c->loop);
}

/* A list of the names in one state, if there are any; at most `max`. Returns how many. */
static uint32_t put_names(struct capabilities *c, struct json_out *j, const char *key,
			  enum name_state state, uint32_t max)
{
	uint32_t put = 0;

	for (uint32_t i = 0; i < c->n && put < max; i++) {
		if (c->v[i].state != state)
			continue;
		if (!put++)
			json_open(j, key, '[');
		json_text(j, NULL, str_of(c->v[i].text));
		c->v[i].flying = true;
	}
	if (put)
		json_close(j, '[');
	return put;
}

static int post(struct capabilities *c, bool new_ones)
{
	const struct service_request req = {.what = "capabilities",
					    .method = "POST",
					    .body = true,
					    .done = on_answer,
					    .ctx = c};
	struct json_out j = {.out = service_body(c->service)};
	uint32_t n;

	json_open(&j, NULL, '{');
	n = put_names(c, &j, "deletes", NAME_GONE, CAPABILITIES_BATCH);
	if (new_ones)
		(void)put_names(c, &j, "upserts", NAME_NEW, CAPABILITIES_BATCH - n);
	json_close(&j, '{');
	c->status.requests++;
	return j.r < 0 ? j.r : service_ask(c->service, &req);
}

static bool any(const struct capabilities *c, enum name_state state)
{
	for (uint32_t i = 0; i < c->n; i++)
		if (c->v[i].state == state)
			return true;
	return false;
}

static nsec_t run(void *ctx, nsec_t now, nsec_t wall)
{
	struct capabilities *c = ctx;
	nsec_t due = NSEC_NEVER;
	bool more = drain(c, now);

	(void)wall;
	if (any(c, NAME_GONE))
		due = now;
	else if (any(c, NAME_NEW))
		due = c->changed + c->debounce;
	due = MAX(due, c->blocked_until);
	if (more)
		return now;
	if (service_busy(c->service) || due > now)
		return service_busy(c->service) ? NSEC_NEVER : due;
	if (post(c, now >= c->changed + c->debounce) < 0) {
		landed(c, false);
		c->blocked_until = now + backoff_next(&c->backoff, &c->rng, now, 0);
		return c->blocked_until;
	}
	return NSEC_NEVER;
}

/* ---- life ------------------------------------------------------------------------------------ */

static void on_changed(void *ctx)
{
	sink_loop_wake(((struct capabilities *)ctx)->loop);
}

static void on_lost(void *ctx, store_id id)
{
	struct capabilities *c = ctx;
	struct store_view v;

	if (store_get(c->store, id, &v) && is_definition(c, v.kind))
		take_gone(c, v.name);
}

static int init(struct capabilities *c, const struct capabilities_opts *o, struct buf *ret_error)
{
	const struct store_cursor_opts cursor = {.changed = on_changed, .lost = on_lost, .ctx = c};
	const struct service_opts s = {.base = o->base,
				       .http = o->http,
				       .url = o->url,
				       .access = o->access,
				       .max_request = REQUEST_MAX,
				       .max_answer = ANSWER_MAX};
	int r = service_new(&s, &c->service, ret_error);

	if (r == 0)
		r = sink_loop_new(o->base, run, c, &c->loop);
	if (r == 0)
		r = store_cursor_add(o->store, &cursor, &c->cursor);
	if (r == 0)
		sink_loop_wake(c->loop);
	return r;
}

int capabilities_new(const struct capabilities_opts *o, struct capabilities **ret,
		     struct buf *ret_error)
{
	struct capabilities *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->store = o->store;
	c->debounce = o->debounce;
	backoff_init(&c->backoff);
	rng_seed(&c->rng, o->seed);
	r = init(c, o, ret_error);
	if (r < 0)
		capabilities_free(&c);
	else
		*ret = c;
	return r;
}

void capabilities_tune(struct capabilities *c, nsec_t debounce)
{
	c->debounce = debounce;
	sink_loop_wake(c->loop);
}

void capabilities_free(struct capabilities **cp)
{
	struct capabilities *c = *cp;

	if (!c)
		return;
	service_free(&c->service);
	sink_loop_free(&c->loop);
	if (c->cursor)
		store_cursor_remove(c->store, &c->cursor);
	for (uint32_t i = 0; i < c->n; i++)
		free(c->v[i].text);
	free(c->v);
	free(c);
	*cp = NULL;
}

void capabilities_status(const struct capabilities *c, struct capabilities_status *ret)
{
	*ret = c->status;
	ret->words = c->words;
	for (uint32_t i = 0; i < c->n; i++)
		*(c->v[i].state == NAME_TOLD ? &ret->names : &ret->waiting) += 1;
}
