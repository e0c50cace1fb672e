/* What databases behind REST share; see rest.h. */
#include "sink/vector/rest.h"

#include "base/mem.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int rest_begin(struct rest *r, uint32_t n, backend_done done, void *ctx)
{
	if (service_busy(r->s))
		return -EBUSY;
	if (n > r->b.max_batch)
		return -EMSGSIZE;
	r->done = done;
	r->ctx = ctx;
	return 0;
}

static void compose(struct rest *r, struct json_out *ret)
{
	*ret = (struct json_out){.out = service_body(r->s)};
	json_open(ret, NULL, '{');
}

int rest_compose(struct rest *r, uint32_t n, backend_done done, void *ctx, struct json_out *ret)
{
	int e = rest_begin(r, n, done, ctx);

	if (e == 0)
		compose(r, ret);
	return e;
}

int rest_compose_list(struct rest *r, void (*row)(void *ctx, const struct backend_known *k),
		      void (*done)(void *ctx, const struct vector_end *end, bool more), void *ctx,
		      struct json_out *ret)
{
	if (service_busy(r->s))
		return -EBUSY;
	r->row = row;
	r->list_done = done;
	r->ctx = ctx;
	compose(r, ret);
	return 0;
}

int rest_compose_search(struct rest *r, const struct backend_query *q,
			void (*done)(void *ctx, const struct vector_end *end, struct str json),
			void *ctx, struct json_out *ret)
{
	if (service_busy(r->s))
		return -EBUSY;
	if (!q->vector)
		return -EINVAL;
	r->search_done = done;
	r->ctx = ctx;
	compose(r, ret);
	return 0;
}

int rest_composed(struct json_out *j)
{
	json_close(j, '{');
	return j->r;
}

int rest_ask(struct rest *r, const char *what, const char *method, const char *path, bool body,
	     void (*done)(void *ctx, const struct service_answer *a))
{
	struct service_request req = {
		.what = what,
		.method = method,
		.path = str_of(path),
		.body = body,
		.json = true,
		.done = done,
		.ctx = r,
	};

	return service_ask(r->s, &req);
}

void rest_finish(struct rest *r, const struct vector_end *end)
{
	r->done(r->ctx, end);
}

void rest_finish_ok(struct rest *r)
{
	rest_finish(r, &(struct vector_end){.how = VECTOR_OK});
}

void rest_finish_errno(struct rest *r, int e)
{
	rest_finish(r, &(struct vector_end){.how = VECTOR_RETRY, .text = str_of(strerror(-e))});
}

void rest_finish_read(struct rest *r, enum vector_outcome how, const char *what,
		      const struct buf *words)
{
	_buf_ struct buf text = {.max = 2 * REST_MAX_WORDS};
	struct vector_end end = {.how = how};

	if (how != VECTOR_OK) {
		(void)buf_printf(&text, "%s: %.*s%s", what, STR_ARG(buf_str(words)),
				 how == VECTOR_MISMATCH ? "; --reembed makes a new one" : "");
		end.text = buf_str(&text);
	}
	rest_finish(r, &end);
}

void rest_on_done(void *ctx, const struct service_answer *a)
{
	rest_finish(ctx, &a->end);
}

void rest_finish_search(struct rest *r, const struct service_answer *a,
			enum vector_outcome (*read)(json_t *answer, struct buf *hits,
						    struct buf *words))
{
	_buf_ struct buf words = {.max = REST_MAX_WORDS}, hits = {.max = REST_MAX_ANSWER};
	struct vector_end end = a->end;

	(void)buf_printf(&words, "search: ");
	if (end.how == VECTOR_OK) {
		end.how = read(a->json, &hits, &words);
		if (end.how != VECTOR_OK)
			end.text = buf_str(&words);
	}
	r->search_done(r->ctx, &end, end.how == VECTOR_OK ? buf_str(&hits) : (struct str){0});
}

void rest_cancel(struct backend *b)
{
	service_cancel(((struct rest *)b)->s);
}

int rest_name(struct rest *r, const char *fmt, ...)
{
	va_list ap;
	char *name;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&name, fmt, ap);
	va_end(ap);
	if (n < 0)
		return -ENOMEM;
	free(r->name);
	r->name = name;
	r->b.name = name;
	return 0;
}

static int copies(struct rest *r, const struct backend_opts *o)
{
	r->collection = str_dup(o->collection);
	r->model = str_dup(o->model);
	r->template_ = str_dup(o->template_);
	r->cluster = str_dup(o->cluster);
	if (!r->collection || !r->model || !r->template_ || !r->cluster)
		return -ENOMEM;
	r->origin = (struct doc_origin){str_of(r->model), str_of(r->template_)};
	return 0;
}

int rest_init(struct rest *r, const struct backend_opts *o, const char *kind, struct str url,
	      size_t max_request, const struct backend_ops *ops, struct buf *ret_error)
{
	struct service_opts so = {
		.base = o->base,
		.http = o->http,
		.url = url,
		.access = o->access,
		.max_request = max_request,
		.max_answer = REST_MAX_ANSWER,
	};
	int e = service_new(&so, &r->s, ret_error);

	r->b = (struct backend){
		.ops = ops,
		.dim = o->dim,
		.max_batch = services_batch(o->batch, BACKEND_BATCH, BACKEND_MAX_BATCH),
		.max_body = max_request,
	};
	if (e == 0)
		e = copies(r, o);
	return e < 0 ? e : rest_name(r, "%s:%s/%s", kind, service_url(r->s), r->collection);
}

void rest_done(struct rest *r)
{
	service_free(&r->s);
	free(r->name);
	free(r->collection);
	free(r->model);
	free(r->template_);
	free(r->cluster);
}
