#include "sink/events/events.h"

#include "base/mem.h"
#include "sink/events/message.h"
#include "sink/jsonl/out.h"
#include "sink/loop.h"
#include "sink/vector/service_http.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>

#define BATCH_HTTP  100
#define REQUEST_MAX ((size_t)10 << 20)
#define ANSWER_MAX  65536
#define WAITING_MAX ((size_t)16 << 20)

struct events {
	struct relay *relay;
	struct sink_loop *loop;
	char *cluster;

	struct out *out; /* lines, or */
	struct service *service;

	struct event *turn;
	const struct relay_item *items; /* being written; NULL: none */
	uint32_t n, at;
};

static int make(void *ctx, struct arena *a, struct relay_item *item, uint64_t *ret_hash)
{
	struct events *e = ctx;
	_buf_ struct buf b;
	struct str *text = arena_alloc(a, sizeof(*text));
	int r;

	buf_init(&b, MESSAGE_MAX);
	*ret_hash = 0; /* every change is worth telling */
	if (!text)
		return -ENOMEM;
	r = message_put(&b, str_of(e->cluster), item);
	r = r < 0 ? r : buf_append_str(&b, STR("\n"));
	r = r < 0 ? r : arena_dup(a, buf_str(&b), text);
	item->made = text;
	return r;
}

static struct str text_of(const struct relay_item *item)
{
	return *(const struct str *)item->made;
}

static void end(struct events *e, const struct vector_end *end)
{
	e->items = NULL;
	relay_done(e->relay, clock_mono(), end);
}

/* ---- lines ---- */

static void go_on(evutil_socket_t fd, short what, void *ctx)
{
	struct events *e = ctx;
	int r = 0;

	(void)fd;
	(void)what;
	while (e->items && e->at < e->n) {
		r = out_put(e->out, text_of(&e->items[e->at]));
		if (r == -EMSGSIZE)
			return; /* on_room */
		if (r < 0)
			break;
		e->at++;
	}
	if (!e->items)
		return;
	out_flush(e->out);
	end(e, &(struct vector_end){.how = r < 0 ? VECTOR_RETRY : VECTOR_OK,
				    .text = r < 0 ? STR("out of memory") : (struct str){0}});
}

static void on_room(void *ctx)
{
	struct events *e = ctx;

	if (e->items)
		event_active(e->turn, 0, 0);
}

static int write_lines(struct events *e)
{
	e->at = 0;
	event_active(e->turn, 0, 0);
	return 0;
}

/* ---- HTTP ---- */

static void on_answer(void *ctx, const struct service_answer *a)
{
	end(ctx, &a->end);
}

static int post(struct events *e)
{
	struct buf *body = service_body(e->service);
	struct service_request req = {.what = "events",
				      .method = "POST",
				      .type = e->n > 1 ? "application/x-ndjson" : NULL,
				      .body = true,
				      .done = on_answer,
				      .ctx = e};
	int r = 0;

	for (uint32_t i = 0; i < e->n && r == 0; i++)
		r = buf_append_str(body, text_of(&e->items[i]));
	return r < 0 ? r : service_ask(e->service, &req);
}

static int write_items(void *ctx, const struct relay_item *items, uint32_t n)
{
	struct events *e = ctx;
	int r;

	e->items = items;
	e->n = n;
	r = e->out ? write_lines(e) : post(e);
	if (r < 0)
		e->items = NULL;
	return r;
}

/* ---- life ---- */

static nsec_t run(void *ctx, nsec_t now, nsec_t wall)
{
	return relay_run(((struct events *)ctx)->relay, now, wall);
}

static void wake(void *ctx)
{
	sink_loop_wake(((struct events *)ctx)->loop);
}

static int open_lines(struct events *e, const struct events_opts *o, struct str file,
		      struct buf *ret_error)
{
	_free_ char *path = str_dup(file);
	struct out_opts opts = {
		.base = o->base, .path = path, .max = WAITING_MAX, .room = on_room, .ctx = e};
	int r;

	if (!path)
		return -ENOMEM;
	e->turn = event_new(o->base, -1, 0, go_on, e);
	r = e->turn ? out_new(&opts, &e->out) : -ENOMEM;
	if (r < 0 && r != -ENOMEM)
		(void)buf_printf(ret_error, "%s: %s", path, strerror(-r));
	return r;
}

static int open_place(struct events *e, const struct events_opts *o, struct buf *ret_error)
{
	struct service_opts s = {.base = o->base,
				 .http = o->http,
				 .access = o->access,
				 .max_request = REQUEST_MAX,
				 .max_answer = ANSWER_MAX};
	struct str rest = o->spec, kind;

	if (str_eq(o->spec, STR("-")))
		return open_lines(e, o, o->spec, ret_error);
	if (str_split(&rest, ':', &kind) && str_eq(kind, STR("jsonl")) && rest.n)
		return open_lines(e, o, rest, ret_error);
	if (str_eq(kind, STR("http")) && o->http) {
		s.url = rest;
		return service_new(&s, &e->service, ret_error);
	}
	(void)buf_printf(ret_error, "'%.*s' is none of jsonl:FILE, - and http:URL",
			 STR_ARG(o->spec));
	return -EINVAL;
}

static int start(struct events *e, const struct events_opts *o)
{
	static const struct relay_ops ops = {.make = make, .write = write_items};
	struct relay_opts r = {.store = o->store,
			       .filter = o->filter,
			       .batch = e->service ? BATCH_HTTP : 0,
			       .hold_initial = o->hold_initial,
			       .seed = o->seed,
			       .ops = &ops,
			       .wake = wake,
			       .ctx = e};
	int e_no = sink_loop_new(o->base, run, e, &e->loop);

	if (e_no == 0)
		e_no = relay_new(&r, &e->relay);
	if (e_no == 0)
		sink_loop_wake(e->loop);
	return e_no;
}

int events_new(const struct events_opts *o, struct events **ret, struct buf *ret_error)
{
	struct events *e = calloc(1, sizeof(*e));
	int r;

	if (!e)
		return -ENOMEM;
	e->cluster = str_dup(o->cluster);
	r = e->cluster ? open_place(e, o, ret_error) : -ENOMEM;
	r = r < 0 ? r : start(e, o);
	if (r < 0)
		events_free(&e);
	else
		*ret = e;
	return r;
}

void events_drop(struct events *e)
{
	if (e->out)
		out_drop(e->out);
}

void events_free(struct events **ep)
{
	struct events *e = *ep;

	if (!e)
		return;
	service_free(&e->service);
	relay_free(&e->relay);
	sink_loop_free(&e->loop);
	if (e->turn)
		event_free(e->turn);
	if (e->out)
		out_free(&e->out);
	free(e->cluster);
	free(e);
	*ep = NULL;
}

void events_resync(struct events *e)
{
	relay_resync(e->relay);
}

void events_status(const struct events *e, struct relay_status *ret)
{
	relay_status(e->relay, ret);
}

void events_reopen(struct events *e)
{
	if (e->out)
		out_reopen(e->out);
}
