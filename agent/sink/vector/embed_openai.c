/*
 * An embedder behind POST /v1/embeddings: OpenAI, Ollama, TEI, llama.cpp, vLLM.
 *
 * Vectors are asked for as base64, which is a third of the bytes; servers that do
 * not know it answer with numbers, and those that refuse it are asked for numbers
 * from then on. A server's own limit of a batch is learnt from its refusal.
 */
#include "sink/vector/openai_answer.h"
#include "sink/vector/services_parts.h"

#include "base/mem.h"

#include <errno.h>
#include <stdio.h>

#define DEFAULT_MODEL	"text-embedding-3-small"
#define MAX_ANSWER	((size_t)64 << 20) /* 256 vectors of 8192 numbers as text */
#define MAX_WORDS	512
#define EMBEDDINGS_PATH "/v1/embeddings"

struct openai {
	struct embedder e; /* first */
	char *model;	   /* "openai:NAME" */
	const char *name;  /* behind its colon */
	struct service *s;
	bool base64;
	uint32_t n;    /* texts under way */
	uint32_t want; /* dimensions demanded; 0: the first answer tells */
	void (*done)(void *ctx, const struct vector_end *end, const float *vectors, uint32_t dim);
	void (*healthy)(void *ctx, const struct vector_end *end);
	void *ctx;
};

/* The server refuses base64: the same again, without. */
static bool refuses_base64(struct openai *o, const struct service_answer *a)
{
	struct str t = a->end.text;

	if (!o->base64 || a->end.how != VECTOR_SPLIT || !t.n)
		return false;
	return memmem(t.p, t.n, "encoding_format", 15) || memmem(t.p, t.n, "base64", 6);
}

static void on_refused(struct openai *o, const struct service_answer *a)
{
	struct vector_end end = a->end;
	uint32_t limit = end.how == VECTOR_SPLIT ? openai_batch_limit(end.text) : 0;

	if (refuses_base64(o, a)) {
		o->base64 = false;
		end.how = VECTOR_RETRY;
	} else if (limit && limit < o->e.max_batch) {
		o->e.max_batch = limit;
	}
	o->done(o->ctx, &end, NULL, 0);
}

static void on_answer(void *ctx, const struct service_answer *a)
{
	struct openai *o = ctx;
	_vectors_ struct vectors v = {0};
	struct vector_end end = a->end;
	_buf_ struct buf words = {.max = MAX_WORDS};

	if (end.how != VECTOR_OK) {
		on_refused(o, a);
		return;
	}
	(void)buf_printf(&words, "embed: ");
	end.how = openai_read(a->json, o->n, o->want, o->name, &v, &words);
	if (end.how == VECTOR_OK)
		o->want = o->e.dim = v.dim;
	else
		end.text = buf_str(&words);
	o->done(o->ctx, &end, v.v, v.dim);
}

static int write_body(struct openai *o, const struct str *texts, uint32_t n)
{
	struct json_out j = {.out = service_body(o->s)};

	json_open(&j, NULL, '{');
	json_text(&j, "model", str_of(o->name));
	json_open(&j, "input", '[');
	for (uint32_t i = 0; i < n; i++)
		json_text(&j, NULL, texts[i]);
	json_close(&j, '[');
	json_text(&j, "encoding_format", o->base64 ? STR("base64") : STR("float"));
	json_close(&j, '{');
	return j.r;
}

static int embed(struct embedder *e, const struct str *texts, uint32_t n,
		 void (*done)(void *ctx, const struct vector_end *end, const float *vectors,
			      uint32_t dim),
		 void *ctx)
{
	struct openai *o = (struct openai *)e;
	struct service_request req = {
		.what = "embed",
		.method = "POST",
		.path = STR(EMBEDDINGS_PATH),
		.body = true,
		.json = true,
		.done = on_answer,
		.ctx = o,
	};
	int r;

	if (service_busy(o->s))
		return -EBUSY;
	if (n > e->max_batch)
		return -EMSGSIZE;
	r = write_body(o, texts, n);
	if (r < 0)
		return r;
	o->n = n;
	o->done = done;
	o->ctx = ctx;
	return service_ask(o->s, &req);
}

/* Most have a list of models; whoever answers that there is none is there. */
static void on_health(void *ctx, const struct service_answer *a)
{
	struct openai *o = ctx;
	struct vector_end end = a->end;

	if (end.how == VECTOR_GONE || a->status == 405)
		end = (struct vector_end){.how = VECTOR_OK};
	o->healthy(o->ctx, &end);
}

static int health(struct embedder *e, void (*done)(void *ctx, const struct vector_end *end),
		  void *ctx)
{
	struct openai *o = (struct openai *)e;
	struct service_request req = {
		.what = "health",
		.method = "GET",
		.path = STR("/v1/models"),
		.done = on_health,
		.ctx = o,
	};

	if (service_busy(o->s))
		return -EBUSY;
	o->healthy = done;
	o->ctx = ctx;
	return service_ask(o->s, &req);
}

static void cancel(struct embedder *e)
{
	service_cancel(((struct openai *)e)->s);
}

static void openai_free(struct embedder *e)
{
	struct openai *o = (struct openai *)e;

	service_free(&o->s);
	free(o->model);
	free(o);
}

static const struct embedder_ops ops = {
	.embed = embed, .health = health, .cancel = cancel, .free = openai_free};

/* People give the URL with or without the path. */
static struct str base_url(struct str url)
{
	static const struct str ends[] = {STR("/"), STR("/embeddings"), STR("/v1")};

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		if (str_ends(url, ends[i]))
			url.n -= ends[i].n;
	return url;
}

int embed_openai_new(const struct embedder_opts *eo, struct str rest, struct embedder **ret,
		     struct buf *ret_error)
{
	struct service_opts so = {
		.base = eo->base,
		.http = eo->http,
		.url = base_url(rest),
		.access = eo->access,
		.slow_first = true,
		.max_request = EMBED_MAX_BODY,
		.max_answer = MAX_ANSWER,
	};
	struct str name = eo->model.n ? eo->model : STR(DEFAULT_MODEL);
	struct openai *o = calloc(1, sizeof(*o));
	int r;

	if (!o)
		return -ENOMEM;
	if (asprintf(&o->model, "openai:%.*s", STR_ARG(name)) < 0) {
		free(o);
		return -ENOMEM;
	}
	o->name = strchr(o->model, ':') + 1;
	o->base64 = true;
	o->want = eo->dim;
	o->e = (struct embedder){
		.ops = &ops,
		.model = o->model,
		.dim = eo->dim,
		.max_batch = services_batch(eo->batch, EMBED_BATCH, EMBED_MAX_BATCH),
	};
	r = service_new(&so, &o->s, ret_error);
	if (r < 0)
		openai_free(&o->e);
	else
		*ret = &o->e;
	return r;
}
