/* Answers of KServe v2; see triton_answer.h. */
#include "sink/vector/triton_answer.h"

#include "base/json_in.h"
#include "base/mem.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define MAX_DEPTH 4 /* of nested data */

static json_t *named(json_t *list, const char *name)
{
	for (size_t i = 0; i < json_array_size(list); i++)
		if (str_eq(json_in_member(json_array_get(list, i), "name"), str_of(name)))
			return json_array_get(list, i);
	return NULL;
}

/* --- the model ----------------------------------------------------------- */

static void missing(json_t *list, const char *what, const char *name, const char *model,
		    const char *option, struct buf *words)
{
	(void)buf_printf(words, "model %s has no %s \"%s\"; it has", model, what, name);
	for (size_t i = 0; i < json_array_size(list) && i < 16; i++)
		(void)buf_printf(words, "%s %.*s", i ? "," : "",
				 STR_ARG(json_in_member(json_array_get(list, i), "name")));
	(void)buf_printf(words, " (%s)", option);
}

static enum triton_type type_of(struct str datatype)
{
	if (str_eq(datatype, STR("BYTES")))
		return TRITON_TEXT;
	return str_eq(datatype, STR("BOOL")) ? TRITON_BOOL : TRITON_NUMBER;
}

static bool read_input(json_t *in, struct triton_input *ret)
{
	json_t *shape = json_object_get(in, "shape");
	struct str datatype = json_in_member(in, "datatype");
	size_t rank = json_array_size(shape);

	if (!datatype.n || datatype.n >= sizeof(ret->datatype) || rank < 1 || rank > 2)
		return false;
	*ret = (struct triton_input){
		.pairs = rank == 2,
		.one = json_integer_value(json_array_get(shape, 0)) == 1,
		.type = type_of(datatype),
	};
	(void)snprintf(ret->datatype, sizeof(ret->datatype), "%.*s", STR_ARG(datatype));
	return true;
}

static enum vector_outcome read_one(json_t *inputs, const char *name, const char *model,
				    const char *option, struct triton_input *ret, struct buf *words)
{
	json_t *in = named(inputs, name);

	if (!in) {
		missing(inputs, "input", name, model, option, words);
		return VECTOR_REFUSED;
	}
	if (read_input(in, ret))
		return VECTOR_OK;
	(void)buf_printf(words, "model %s: input \"%s\" is neither of shape [n] nor of [n,1]",
			 model, name);
	return VECTOR_REFUSED;
}

static enum vector_outcome read_output(json_t *root, const struct triton_names *names,
				       uint32_t *ret_dim, struct buf *words)
{
	json_t *outputs = json_object_get(root, "outputs"), *out = named(outputs, names->output);
	json_t *shape = json_object_get(out, "shape");
	struct str datatype = json_in_member(out, "datatype");
	size_t rank = json_array_size(shape);
	json_int_t last = rank ? json_integer_value(json_array_get(shape, rank - 1)) : 0;

	if (!out) {
		missing(outputs, "output", names->output, names->model, "--embed-output", words);
		return VECTOR_REFUSED;
	}
	if (!str_eq(datatype, STR("FP32"))) {
		(void)buf_printf(words, "model %s: output \"%s\" is %.*s, FP32 is needed",
				 names->model, names->output, STR_ARG(datatype));
		return VECTOR_REFUSED;
	}
	*ret_dim = rank > 1 && last > 0 && last <= EMBED_MAX_DIM ? (uint32_t)last : 0;
	return VECTOR_OK;
}

enum vector_outcome triton_read_model(json_t *root, const struct triton_names *names,
				      struct triton_model *ret, struct buf *words)
{
	json_t *inputs = json_object_get(root, "inputs");
	struct triton_model m = {0};
	enum vector_outcome how;

	if (!json_is_array(inputs) || !json_is_array(json_object_get(root, "outputs"))) {
		(void)buf_printf(words, "the answer has no inputs and outputs");
		return VECTOR_RETRY;
	}
	how = read_one(inputs, names->input, names->model, "--embed-input", &m.text, words);
	if (how == VECTOR_OK && m.text.type != TRITON_TEXT) {
		(void)buf_printf(words, "model %s: input \"%s\" is %s, BYTES is needed",
				 names->model, names->input, m.text.datatype);
		how = VECTOR_REFUSED;
	}
	for (uint32_t i = 0; how == VECTOR_OK && i < names->n_extra; i++)
		how = read_one(inputs, names->extra[i], names->model, "--embed-extra", &m.extra[i],
			       words);
	if (how == VECTOR_OK)
		how = read_output(root, names, &m.dim, words);
	if (how == VECTOR_OK)
		*ret = m;
	return how;
}

uint32_t triton_read_batch(const json_t *root)
{
	json_int_t n = json_integer_value(json_object_get(root, "max_batch_size"));

	return n > 0 && n <= EMBED_MAX_BATCH ? (uint32_t)n : 0;
}

/* --- vectors ------------------------------------------------------------- */

bool triton_split(struct str body, struct str header, struct str *ret_json, struct str *ret_tensors)
{
	unsigned long long n = body.n;

	if (header.n && (str_to_u64(header, &n) < 0 || n > body.n))
		return false;
	*ret_json = str_make(body.p, (size_t)n);
	*ret_tensors = str_from(body, (size_t)n);
	return true;
}

/* Bytes of the outputs before this one come first. */
static bool find_tensor(json_t *outputs, const json_t *out, struct str tensors, struct str *ret)
{
	size_t at = 0;

	for (size_t i = 0; i < json_array_size(outputs); i++) {
		json_t *one = json_array_get(outputs, i);
		json_t *size = json_in_at(one, "parameters", "binary_data_size");
		json_int_t n = json_integer_value(size);

		if (n < 0 || (size_t)n > tensors.n - at)
			return false;
		if (one == out) {
			*ret = str_make(str_from(tensors, at).p, (size_t)n);
			return json_is_integer(size);
		}
		at += (size_t)n;
	}
	return false;
}

/* Numbers of flat or nested lists, in order; how many there are, SIZE_MAX when something else is
 * among them. `ret` NULL: they are only counted. */
static size_t flatten(const json_t *j, float *ret, int depth)
{
	size_t n = 0;

	if (!json_is_array(j) || depth > MAX_DEPTH)
		return SIZE_MAX;
	for (size_t i = 0; i < json_array_size(j); i++) {
		const json_t *one = json_array_get(j, i);
		size_t more = 1;

		if (!json_is_number(one))
			more = flatten(one, ret ? ret + n : NULL, depth + 1);
		else if (ret)
			ret[n] = vector_number(one);
		if (more == SIZE_MAX)
			return SIZE_MAX;
		n += more;
	}
	return n;
}

/* The vectors' dimension by the number of values and the shape; 0: they do not agree. */
static size_t dimension(const json_t *out, size_t values, uint32_t n)
{
	json_t *shape = json_object_get(out, "shape");
	size_t rank = json_array_size(shape), dim;
	json_int_t last = rank ? json_integer_value(json_array_get(shape, rank - 1)) : 0;

	assert(n > 0);
	dim = values / n;
	if (values % n || (rank && last != (json_int_t)dim))
		return 0;
	return rank < 2 || json_integer_value(json_array_get(shape, 0)) == (json_int_t)n ? dim : 0;
}

enum vector_outcome triton_read_vectors(json_t *root, struct str tensors, uint32_t n, uint32_t want,
					const struct triton_names *names, struct vectors *ret,
					struct buf *words)
{
	json_t *outputs = json_object_get(root, "outputs"), *out = named(outputs, names->output);
	json_t *data = json_object_get(out, "data");
	struct str tensor = {0};
	struct vectors v = {0};
	enum vector_outcome how;
	size_t values, dim;

	if (!out || (!data && !find_tensor(outputs, out, tensors, &tensor))) {
		(void)buf_printf(words, "the answer has no output \"%s\" with data", names->output);
		return VECTOR_RETRY;
	}
	values = data ? flatten(data, NULL, 0) : tensor.n / sizeof(float);
	if (values == SIZE_MAX || tensor.n % sizeof(float)) {
		(void)buf_printf(words, "output \"%s\" holds something else than numbers",
				 names->output);
		return VECTOR_SPLIT;
	}
	dim = dimension(out, values, n);
	if (!dim || !values) {
		(void)buf_printf(words,
				 "output \"%s\" has %zu numbers for %u texts, which its shape "
				 "does not explain",
				 names->output, values, n);
		return n > 1 ? VECTOR_SPLIT : VECTOR_RETRY;
	}
	how = vectors_dim(dim, want, names->model, words);
	if (how != VECTOR_OK)
		return how;
	v = (struct vectors){.v = malloc(values * sizeof(*v.v)), .dim = (uint32_t)dim};
	if (!v.v)
		return VECTOR_RETRY;
	if (data)
		(void)flatten(data, v.v, 0);
	else
		vector_unpack(tensor.p, (uint32_t)values, v.v);
	how = vectors_check(&v, n, words);
	if (how == VECTOR_OK)
		*ret = v;
	else
		free(v.v);
	return how;
}
