/*
 * Answers of a KServe v2 server (Triton and others), read: a model's metadata, and
 * the output tensor of an inference as JSON or as binary behind it. Pure.
 */
#pragma once

#include "sink/vector/vectors.h"

#include <stdbool.h>

#define TRITON_MAX_EXTRA 8 /* constant further inputs */

enum triton_type { TRITON_TEXT, TRITON_NUMBER, TRITON_BOOL };

struct triton_input {
	bool pairs; /* shape [n,1]; else [n] */
	bool one;   /* of size 1 for good: one text a request */
	enum triton_type type;
	char datatype[16]; /* "BYTES" */
};

struct triton_model {
	struct triton_input text;
	struct triton_input extra[TRITON_MAX_EXTRA];
	uint32_t dim; /* of the output's last dimension; 0: it varies */
};

struct triton_names {
	const char *model, *input, *output;
	const char *extra[TRITON_MAX_EXTRA]; /* names alone */
	uint32_t n_extra;
};

/* GET /v2/models/M. VECTOR_REFUSED with words when an input or output is not there or of another
 * type than is needed; VECTOR_RETRY: no such answer. */
enum vector_outcome triton_read_model(json_t *root, const struct triton_names *names,
				      struct triton_model *ret, struct buf *words);
/* GET /v2/models/M/config: texts a request; 0: not told. */
uint32_t triton_read_batch(const json_t *root);

/* POST /v2/models/M/infer. `tensors` are the bytes behind the JSON, empty when there are none.
 * Outcomes as of vectors_read; VECTOR_SPLIT also for another number of vectors. */
enum vector_outcome triton_read_vectors(json_t *root, struct str tensors, uint32_t n, uint32_t want,
					const struct triton_names *names, struct vectors *ret,
					struct buf *words);
/* Splits a binary answer by its Inference-Header-Content-Length; false: it is not right. Without
 * the header all of it is JSON. */
bool triton_split(struct str body, struct str header, struct str *ret_json,
		  struct str *ret_tensors);
