/*
 * The hash embedder as an embedder: vectors are made at once, which takes some
 * microseconds a text, and told on the next turn of the loop, as services do.
 */
#include "sink/vector/embed_hash.h"
#include "sink/vector/services_parts.h"

#include "base/mem.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdio.h>

#define DEFAULT_DIM 384

struct builtin {
	struct embedder e; /* first */
	char model[32];
	struct event turn;
	bool busy;
	float *v; /* of the call under way; NULL: it asked for health */
	void (*done)(void *ctx, const struct vector_end *end, const float *vectors, uint32_t dim);
	void (*healthy)(void *ctx, const struct vector_end *end);
	void *ctx;
};

static void on_turn(evutil_socket_t fd, short what, void *ctx)
{
	static const struct vector_end ok = {.how = VECTOR_OK};
	struct builtin *b = ctx;
	_free_ float *v = TAKE_PTR(b->v);

	(void)fd;
	(void)what;
	b->busy = false; /* the callback may ask again, or free b */
	if (v)
		b->done(b->ctx, &ok, v, b->e.dim);
	else
		b->healthy(b->ctx, &ok);
}

/* A timer, and no event_active: who asks again from the callback would keep the loop from looking
 * at anything else until the last batch was done. */
static int begin(struct builtin *b, void *ctx)
{
	static const struct timeval next_turn;

	if (evtimer_add(&b->turn, &next_turn) < 0) {
		free(b->v);
		b->v = NULL;
		return -ENOMEM;
	}
	b->busy = true;
	b->ctx = ctx;
	return 0;
}

static int embed(struct embedder *e, const struct str *texts, uint32_t n,
		 void (*done)(void *ctx, const struct vector_end *end, const float *vectors,
			      uint32_t dim),
		 void *ctx)
{
	struct builtin *b = (struct builtin *)e;

	if (b->busy)
		return -EBUSY;
	if (n > e->max_batch)
		return -EMSGSIZE;
	b->v = malloc((size_t)n * e->dim * sizeof(*b->v));
	if (!b->v)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++)
		embed_hash(texts[i], e->dim, b->v + (size_t)i * e->dim);
	b->done = done;
	return begin(b, ctx);
}

static int health(struct embedder *e, void (*done)(void *ctx, const struct vector_end *end),
		  void *ctx)
{
	struct builtin *b = (struct builtin *)e;

	if (b->busy)
		return -EBUSY;
	b->healthy = done;
	return begin(b, ctx);
}

static void cancel(struct embedder *e)
{
	struct builtin *b = (struct builtin *)e;

	(void)event_del(&b->turn);
	b->busy = false;
	free(b->v);
	b->v = NULL;
}

static void builtin_free(struct embedder *e)
{
	cancel(e);
	free(e);
}

static const struct embedder_ops ops = {
	.embed = embed, .health = health, .cancel = cancel, .free = builtin_free};

int embed_builtin_new(const struct embedder_opts *o, struct str rest, struct embedder **ret,
		      struct buf *ret_error)
{
	unsigned long long dim = DEFAULT_DIM;
	struct builtin *b;

	if (!rest.n && o->dim)
		dim = o->dim;
	if ((rest.n && str_to_u64(rest, &dim) < 0) || dim < 8 || dim > EMBED_HASH_MAX_DIM) {
		(void)buf_printf(ret_error,
				 "hash:%.*s: expected a number of dimensions from 8 to %d, such as "
				 "hash:384 or hash:1024",
				 STR_ARG(rest), EMBED_HASH_MAX_DIM);
		return -EINVAL;
	}
	if (o->dim && o->dim != dim) {
		(void)buf_printf(ret_error, "hash:%llu: %u dimensions are wanted", dim, o->dim);
		return -EINVAL;
	}
	b = calloc(1, sizeof(*b));
	if (!b)
		return -ENOMEM;
	(void)snprintf(b->model, sizeof(b->model), "hash-v1:%llu", dim);
	b->e = (struct embedder){.ops = &ops,
				 .model = b->model,
				 .dim = (uint32_t)dim,
				 .max_batch =
					 services_batch(o->batch, EMBED_BATCH, EMBED_MAX_BATCH)};
	(void)event_assign(&b->turn, o->base, -1, 0, on_turn, b);
	*ret = &b->e;
	return 0;
}
