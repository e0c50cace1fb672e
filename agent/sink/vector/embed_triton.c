/*
 * An embedder behind KServe v2: Triton and its like.
 *
 *   triton:http://HOST:8000   --embed-model NAME[/VERSION]
 *
 * The model's metadata tells the shape of its inputs ([n,1] or [n]), the datatype of
 * the constant further ones, and the dimension; its configuration, where there is one,
 * how many texts a request may have. Both are asked for before the first texts, and
 * again when the model was away. Texts go as a BYTES tensor, in JSON or (--embed-binary)
 * behind it; a server that answers a binary request with JSON is understood.
 */
#include "sink/vector/services_parts.h"
#include "sink/vector/triton_answer.h"

#include "base/json_in.h"
#include "base/mem.h"

#include <ctype.h>
#include <endian.h>
#include <errno.h>
#include <stdio.h>

#define MAX_ANSWER ((size_t)64 << 20)
#define MAX_WORDS  512
#define LENGTH	   "Inference-Header-Content-Length"

struct triton {
	struct embedder e; /* first */
	char *model;	   /* "triton:NAME" */
	char *path;	   /* "/v2/models/NAME[/versions/V]" */
	char *input, *output;
	char *extra[TRITON_MAX_EXTRA]; /* "name", NUL, "value" */
	const char *values[TRITON_MAX_EXTRA];
	struct triton_names names;
	bool binary;
	struct service *s;

	bool known; /* `is` holds the model's metadata */
	struct triton_model is;
	uint32_t want;

	/* Under way. */
	struct buf texts; /* n of them, each behind its length, as a BYTES tensor has them */
	uint32_t n;
	void (*done)(void *ctx, const struct vector_end *end, const float *vectors, uint32_t dim);
	void (*healthy)(void *ctx, const struct vector_end *end);
	void *ctx;
};

static int ask(struct triton *t, struct service_request req, const char *behind,
	       void (*done)(void *ctx, const struct service_answer *a))
{
	char path[512];
	int n = snprintf(path, sizeof(path), "%s%s", t->path, behind);

	req.path = str_make(path, MIN((size_t)n, sizeof(path) - 1));
	req.done = done;
	req.ctx = t;
	return service_ask(t->s, &req);
}

static void finish(struct triton *t, enum vector_outcome how, struct str words)
{
	buf_done(&t->texts);
	t->done(t->ctx, &(struct vector_end){.how = how, .text = words}, NULL, 0);
}

static void finish_failed(struct triton *t, const struct service_answer *a)
{
	buf_done(&t->texts);
	t->done(t->ctx, &a->end, NULL, 0);
}

/* --- inference ----------------------------------------------------------- */

static uint32_t text_length(struct str tensor, size_t at)
{
	uint32_t n;

	memcpy(&n, tensor.p + at, sizeof(n));
	return le32toh(n);
}

static void put_shape(struct json_out *j, const struct triton_input *in, uint32_t n)
{
	json_open(j, "shape", '[');
	json_u64(j, NULL, n);
	if (in->pairs)
		json_u64(j, NULL, 1);
	json_close(j, '[');
}

static void put_texts(struct triton *t, struct json_out *j)
{
	struct str tensor = buf_str(&t->texts);

	json_open(j, NULL, '{');
	json_text(j, "name", str_of(t->input));
	json_text(j, "datatype", STR("BYTES"));
	put_shape(j, &t->is.text, t->n);
	if (t->binary) {
		json_open(j, "parameters", '{');
		json_u64(j, "binary_data_size", tensor.n);
		json_close(j, '{');
	} else {
		json_open(j, "data", '[');
		for (size_t at = 0; at < tensor.n; at += 4 + text_length(tensor, at))
			json_text(j, NULL, str_make(tensor.p + at + 4, text_length(tensor, at)));
		json_close(j, '[');
	}
	json_close(j, '{');
}

static void put_extra(struct triton *t, struct json_out *j, uint32_t i)
{
	const struct triton_input *in = &t->is.extra[i];

	json_open(j, NULL, '{');
	json_text(j, "name", str_of(t->extra[i]));
	json_text(j, "datatype", str_of(in->datatype));
	put_shape(j, in, t->n);
	json_open(j, "data", '[');
	for (uint32_t k = 0; k < t->n; k++) {
		if (in->type == TRITON_TEXT)
			json_text(j, NULL, str_of(t->values[i]));
		else
			json_raw(j, NULL, str_of(t->values[i]));
	}
	json_close(j, '[');
	json_close(j, '{');
}

static void put_request(struct triton *t, struct json_out *j)
{
	json_open(j, NULL, '{');
	json_open(j, "inputs", '[');
	put_texts(t, j);
	for (uint32_t i = 0; i < t->names.n_extra; i++)
		put_extra(t, j, i);
	json_close(j, '[');
	json_open(j, "outputs", '[');
	json_open(j, NULL, '{');
	json_text(j, "name", str_of(t->output));
	json_open(j, "parameters", '{');
	json_bool(j, "binary_data", t->binary);
	json_close(j, '{');
	json_close(j, '{');
	json_close(j, '[');
	json_close(j, '{');
}

/* Triton answers 400 for a model that was unloaded meanwhile. */
static bool model_gone(const struct service_answer *a)
{
	struct str s = a->end.text;

	return a->end.how == VECTOR_GONE ||
	       (a->status == 400 && s.n && memmem(s.p, s.n, "unknown model", 13));
}

static enum vector_outcome read_answer(struct triton *t, const struct service_answer *a,
				       struct vectors *v, struct buf *words)
{
	struct str json, tensors = {0};
	_json_ json_t *root = NULL;

	if (!t->binary)
		return triton_read_vectors(a->json, tensors, t->n, t->want, &t->names, v, words);
	if (triton_split(a->body, a->header, &json, &tensors))
		root = json_in_parse(json, 0);
	if (!root) {
		(void)buf_printf(words, "answered %d with what is no JSON", a->status);
		return VECTOR_RETRY;
	}
	return triton_read_vectors(root, tensors, t->n, t->want, &t->names, v, words);
}

static void on_vectors(void *ctx, const struct service_answer *a)
{
	_buf_ struct buf words = {.max = MAX_WORDS};
	struct triton *t = ctx;
	_vectors_ struct vectors v = {0};
	struct vector_end end = a->end;

	if (end.how != VECTOR_OK) {
		t->known = t->known && !model_gone(a);
		end.how = model_gone(a) ? VECTOR_GONE : end.how;
		buf_done(&t->texts);
		t->done(t->ctx, &end, NULL, 0);
		return;
	}
	(void)buf_printf(&words, "embed: ");
	end.how = read_answer(t, a, &v, &words);
	if (end.how == VECTOR_OK)
		t->want = t->e.dim = v.dim;
	else
		end.text = buf_str(&words);
	buf_done(&t->texts);
	t->done(t->ctx, &end, v.v, v.dim);
}

static int infer(struct triton *t)
{
	struct json_out j = {.out = service_body(t->s)};
	char length[24];
	struct http_field field = {STR(LENGTH), {0}};
	struct service_request req = {.what = "embed", .method = "POST", .body = true};

	put_request(t, &j);
	req.json = !t->binary;
	if (t->binary) {
		(void)snprintf(length, sizeof(length), "%zu", buf_str(j.out).n);
		field.value = str_of(length);
		req.fields = &field;
		req.n_fields = 1;
		req.type = "application/octet-stream";
		req.header = LENGTH;
		if (j.r == 0)
			j.r = buf_append_str(j.out, buf_str(&t->texts));
	}
	return j.r < 0 ? j.r : ask(t, req, "/infer", on_vectors);
}

/* On a later turn: what cannot be sent is an end. */
static void infer_later(struct triton *t)
{
	int r;

	if (t->n > t->e.max_batch) {
		finish(t, VECTOR_SPLIT, STR("embed: the model takes fewer texts a request"));
		return;
	}
	r = infer(t);
	if (r == -EMSGSIZE)
		finish(t, VECTOR_SPLIT, STR("embed: the texts are too long for one request"));
	else if (r < 0)
		finish(t, VECTOR_RETRY, str_of(strerror(-r)));
}

/* --- the model ----------------------------------------------------------- */

/* Only Triton has it; whatever comes, the texts are next. */
static void on_config(void *ctx, const struct service_answer *a)
{
	struct triton *t = ctx;
	uint32_t most = triton_read_batch(a->json);

	if (most)
		t->e.max_batch = MIN(t->e.max_batch, most);
	t->known = true;
	infer_later(t);
}

static bool value_fits(const struct triton_input *in, const char *value)
{
	_json_ json_t *j = NULL;

	if (in->type == TRITON_TEXT)
		return true;
	j = json_loads(value, JSON_DECODE_ANY, NULL);
	return in->type == TRITON_BOOL ? json_is_boolean(j) : json_is_number(j);
}

static enum vector_outcome check_values(struct triton *t, struct buf *words)
{
	for (uint32_t i = 0; i < t->names.n_extra; i++) {
		if (value_fits(&t->is.extra[i], t->values[i]))
			continue;
		(void)buf_printf(words, "input \"%s\" is %s, which \"%s\" is not (--embed-extra)",
				 t->extra[i], t->is.extra[i].datatype, t->values[i]);
		return VECTOR_REFUSED;
	}
	return VECTOR_OK;
}

static void on_model(void *ctx, const struct service_answer *a)
{
	_buf_ struct buf words = {.max = MAX_WORDS};
	struct triton *t = ctx;
	enum vector_outcome how = a->end.how;
	struct service_request req = {
		.what = "model's configuration", .method = "GET", .json = true};
	int r;

	if (how != VECTOR_OK) { /* no text is at fault: nothing is to be halved */
		struct service_answer gone = *a;

		gone.end.how = how == VECTOR_SPLIT ? VECTOR_GONE : how;
		finish_failed(t, &gone);
		return;
	}
	(void)buf_printf(&words, "model: ");
	how = triton_read_model(a->json, &t->names, &t->is, &words);
	if (how == VECTOR_OK)
		how = check_values(t, &words);
	if (how == VECTOR_OK && t->is.dim)
		how = vectors_dim(t->is.dim, t->want, t->names.model, &words);
	if (how != VECTOR_OK) {
		finish(t, how, buf_str(&words));
		return;
	}
	if (t->is.text.one)
		t->e.max_batch = 1;
	r = ask(t, req, "/config", on_config);
	if (r < 0)
		finish(t, VECTOR_RETRY, str_of(strerror(-r)));
}

/* --- operations ---------------------------------------------------------- */

static int keep_texts(struct triton *t, const struct str *texts, uint32_t n)
{
	int r = 0;

	buf_reset(&t->texts);
	for (uint32_t i = 0; r == 0 && i < n; i++) {
		uint32_t length = htole32((uint32_t)texts[i].n);

		r = buf_append(&t->texts, &length, sizeof(length));
		if (r == 0)
			r = buf_append_str(&t->texts, texts[i]);
	}
	t->n = n;
	return r;
}

static int embed(struct embedder *e, const struct str *texts, uint32_t n,
		 void (*done)(void *ctx, const struct vector_end *end, const float *vectors,
			      uint32_t dim),
		 void *ctx)
{
	struct triton *t = (struct triton *)e;
	struct service_request req = {.what = "model", .method = "GET", .json = true};
	int r;

	if (service_busy(t->s))
		return -EBUSY;
	if (n > e->max_batch)
		return -EMSGSIZE;
	r = keep_texts(t, texts, n);
	if (r < 0)
		return r;
	t->done = done;
	t->ctx = ctx;
	return t->known ? infer(t) : ask(t, req, "", on_model);
}

/* 4xx with an empty body while the model is being loaded. */
static void on_health(void *ctx, const struct service_answer *a)
{
	struct triton *t = ctx;
	struct vector_end end = a->end;

	if (end.how == VECTOR_SPLIT || end.how == VECTOR_GONE)
		end.how = VECTOR_RETRY;
	t->healthy(t->ctx, &end);
}

static int health(struct embedder *e, void (*done)(void *ctx, const struct vector_end *end),
		  void *ctx)
{
	struct triton *t = (struct triton *)e;
	struct service_request req = {.what = "model's readiness", .method = "GET"};

	if (service_busy(t->s))
		return -EBUSY;
	t->healthy = done;
	t->ctx = ctx;
	return ask(t, req, "/ready", on_health);
}

static void cancel(struct embedder *e)
{
	struct triton *t = (struct triton *)e;

	service_cancel(t->s);
	buf_done(&t->texts);
}

static void triton_free(struct embedder *e)
{
	struct triton *t = (struct triton *)e;

	service_free(&t->s);
	buf_done(&t->texts);
	free(t->model);
	free(t->path);
	free(t->input);
	free(t->output);
	for (uint32_t i = 0; i < TRITON_MAX_EXTRA; i++)
		free(t->extra[i]);
	free(t);
}

static const struct embedder_ops ops = {
	.embed = embed, .health = health, .cancel = cancel, .free = triton_free};

/* --- making -------------------------------------------------------------- */

static bool name_ok(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!isalnum((unsigned char)s.p[i]) && !(s.p[i] && strchr("._-", s.p[i])))
			return false;
	return s.n > 0;
}

static int set_model(struct triton *t, struct str model, struct buf *ret_error)
{
	struct str version = model, name;
	bool has_version = str_split(&version, '/', &name);
	int r;

	if (!name_ok(name) || (has_version && !name_ok(version))) {
		(void)buf_printf(ret_error,
				 "--embed-model %.*s: expected the model's NAME or "
				 "NAME/VERSION",
				 STR_ARG(model));
		return -EINVAL;
	}
	r = asprintf(&t->path, "/v2/models/%.*s%s%.*s", STR_ARG(name),
		     has_version ? "/versions/" : "", STR_ARG(version));
	if (r < 0)
		t->path = NULL;
	if (r >= 0 && asprintf(&t->model, "triton:%.*s", STR_ARG(model)) < 0) {
		t->model = NULL;
		r = -1;
	}
	return r < 0 ? -ENOMEM : 0;
}

static bool value_ok(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < ' ')
			return false;
	return true;
}

static int set_extra(struct triton *t, const struct str *extra, uint32_t n, struct buf *ret_error)
{
	if (n > TRITON_MAX_EXTRA) {
		(void)buf_printf(ret_error, "--embed-extra: at most %d inputs", TRITON_MAX_EXTRA);
		return -EINVAL;
	}
	for (uint32_t i = 0; i < n; i++) {
		char *equals;

		t->extra[i] = str_dup(extra[i]);
		if (!t->extra[i])
			return -ENOMEM;
		equals = strchr(t->extra[i], '=');
		if (!equals || equals == t->extra[i] || !value_ok(equals)) {
			(void)buf_printf(ret_error,
					 "--embed-extra %.*s: expected NAME=VALUE, such "
					 "as mode=embed",
					 STR_ARG(extra[i]));
			return -EINVAL;
		}
		*equals = '\0';
		t->values[i] = equals + 1;
		t->names.extra[i] = t->extra[i];
	}
	t->names.n_extra = n;
	return 0;
}

static int init(struct triton *t, const struct embedder_opts *o, struct str url,
		struct buf *ret_error)
{
	struct service_opts so = {
		.base = o->base,
		.http = o->http,
		.url = url,
		.access = o->access,
		.slow_first = true,
		.max_request = EMBED_MAX_BODY,
		.max_answer = MAX_ANSWER,
	};
	int r = set_model(t, o->model, ret_error);

	if (r == 0)
		r = set_extra(t, o->extra, o->n_extra, ret_error);
	if (r < 0)
		return r;
	t->input = str_dup(o->input.n ? o->input : STR("text_input"));
	t->output = str_dup(o->output.n ? o->output : STR("embedding"));
	if (!t->input || !t->output)
		return -ENOMEM;
	t->names.model = strchr(t->model, ':') + 1;
	t->names.input = t->input;
	t->names.output = t->output;
	return service_new(&so, &t->s, ret_error);
}

int embed_triton_new(const struct embedder_opts *o, struct str rest, struct embedder **ret,
		     struct buf *ret_error)
{
	struct triton *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	buf_init(&t->texts, EMBED_MAX_BODY);
	t->binary = o->binary;
	t->want = o->dim;
	r = init(t, o, rest, ret_error);
	t->e = (struct embedder){
		.ops = &ops,
		.model = t->model,
		.dim = o->dim,
		.max_batch = services_batch(o->batch, EMBED_BATCH, EMBED_MAX_BATCH),
	};
	if (r < 0)
		triton_free(&t->e);
	else
		*ret = &t->e;
	return r;
}
