/*
 * The graph as JSON lines: each replaces all that was said of its object before.
 * A line that has no room waits for it; what was put counts as taken.
 */
#include "base/mem.h"
#include "sink/graph/backends.h"
#include "sink/graph/lines.h"
#include "sink/jsonl/out.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>

#define LINE_MAX_BYTES ((size_t)8 << 20) /* an object with a longer line is left out */
#define WAITING_MAX    ((size_t)16 << 20)

struct jsonl_backend {
	struct graph_backend b;
	struct out *out;
	struct event *turn; /* ends are told, and lines put, on a turn of their own */
	const struct relay_item *items;
	uint32_t n, at;
	struct buf line;
	graph_done done;
	void *ctx;
};

static void go_on(evutil_socket_t fd, short what, void *ctx)
{
	struct jsonl_backend *s = ctx;
	struct vector_end end = {.how = VECTOR_OK};
	int r = 0;

	(void)fd;
	(void)what;
	for (; s->done && s->at < s->n; s->at++) {
		buf_reset(&s->line);
		r = lines_put(&s->line, s->b.cluster, &s->items[s->at]);
		if (r == -EMSGSIZE)
			continue;
		if (r == 0)
			r = out_put(s->out, buf_str(&s->line));
		if (r == -EMSGSIZE)
			return; /* on_room */
		if (r < 0)
			break;
	}
	if (!s->done)
		return;
	if (r == -ENOMEM)
		end = (struct vector_end){.how = VECTOR_RETRY, .text = STR("out of memory")};
	graph_done done = s->done;

	s->done = NULL;
	out_flush(s->out);
	done(s->ctx, &end);
}

static void on_room(void *ctx)
{
	struct jsonl_backend *s = ctx;

	if (s->done)
		event_active(s->turn, 0, 0);
}

static int write_items(struct graph_backend *b, const struct relay_item *items, uint32_t n,
		       graph_done done, void *ctx)
{
	struct jsonl_backend *s = (struct jsonl_backend *)b;

	s->items = items;
	s->n = n;
	s->at = 0;
	s->done = done;
	s->ctx = ctx;
	event_active(s->turn, 0, 0);
	return 0;
}

static void cancel(struct graph_backend *b)
{
	((struct jsonl_backend *)b)->done = NULL;
}

static void drop(struct graph_backend *b)
{
	struct jsonl_backend *s = (struct jsonl_backend *)b;

	s->done = NULL;
	out_drop(s->out);
}

static void free_backend(struct graph_backend *b)
{
	struct jsonl_backend *s = (struct jsonl_backend *)b;

	if (s->turn)
		event_free(s->turn);
	out_free(&s->out);
	buf_done(&s->line);
	free(s);
}

int graph_jsonl_new(struct event_base *base, struct str file, struct graph_backend **ret,
		    struct buf *ret_error)
{
	static const struct graph_backend_ops ops = {
		.write = write_items, .cancel = cancel, .drop = drop, .free = free_backend};
	struct jsonl_backend *s = calloc(1, sizeof(*s));
	_free_ char *path = str_dup(file);
	struct out_opts o = {
		.base = base, .path = path, .max = WAITING_MAX, .room = on_room, .ctx = s};
	int r;

	if (!s || !path) {
		free(s);
		return -ENOMEM;
	}
	s->b.ops = &ops;
	buf_init(&s->line, LINE_MAX_BYTES);
	s->turn = event_new(base, -1, 0, go_on, s);
	r = s->turn ? out_new(&o, &s->out) : -ENOMEM;
	if (r < 0) {
		if (r != -ENOMEM)
			(void)buf_printf(ret_error, "%s: %s", path, strerror(-r));
		free_backend(&s->b);
		return r;
	}
	*ret = &s->b;
	return 0;
}
