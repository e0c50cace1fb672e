/*
 * What databases behind REST share: a service, the collection's names, and the one
 * operation that is under way with whom to tell of its end. Private to agent/sink/vector.
 */
#pragma once

#include "sink/vector/doc_json.h"
#include "sink/vector/services_parts.h"

#define REST_MAX_ANSWER (32u << 20)
#define REST_MAX_WORDS	1024

struct rest {
	struct backend b; /* first */
	struct service *s;
	char *name, *collection, *model, *template_, *cluster;
	struct doc_origin origin;

	backend_done done;
	void (*row)(void *ctx, const struct backend_known *k);
	void (*list_done)(void *ctx, const struct vector_end *end, bool more);
	void (*search_done)(void *ctx, const struct vector_end *end, struct str json);
	void *ctx;
};

/* `kind` is the spec's name. On failure rest_done is still to be called. */
int rest_init(struct rest *r, const struct backend_opts *o, const char *kind, struct str url,
	      size_t max_request, const struct backend_ops *ops, struct buf *ret_error);
void rest_done(struct rest *r);
/* Another name than KIND:URL/COLLECTION: 0 or -ENOMEM. */
int rest_name(struct rest *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void rest_cancel(struct backend *b);

/* Of an operation: -EBUSY, -EMSGSIZE (over max_batch), or 0 and its end is told to `done`. */
int rest_begin(struct rest *r, uint32_t n, backend_done done, void *ctx);
/* The same of one whose first request has a body: its JSON is begun, and open. */
int rest_compose(struct rest *r, uint32_t n, backend_done done, void *ctx, struct json_out *ret);
int rest_compose_list(struct rest *r, void (*row)(void *ctx, const struct backend_known *k),
		      void (*done)(void *ctx, const struct vector_end *end, bool more), void *ctx,
		      struct json_out *ret);
/* -EINVAL: without a vector. */
int rest_compose_search(struct rest *r, const struct backend_query *q,
			void (*done)(void *ctx, const struct vector_end *end, struct str json),
			void *ctx, struct json_out *ret);
/* Closes the JSON: 0, or what had no room. */
int rest_composed(struct json_out *j);
/* A JSON request with what stands in service_body, when `body`; `r` is the context of `done`. */
int rest_ask(struct rest *r, const char *what, const char *method, const char *path, bool body,
	     void (*done)(void *ctx, const struct service_answer *a));

/* The end of the operation; the caller may have freed the backend when these return. */
void rest_finish(struct rest *r, const struct vector_end *end);
void rest_finish_ok(struct rest *r);
/* A step that is not the first could not be asked for. */
void rest_finish_errno(struct rest *r, int e);
/* What a reader made of an answer; `what` stands before its words. */
void rest_finish_read(struct rest *r, enum vector_outcome how, const char *what,
		      const struct buf *words);
/* A callback of a request whose answer needs no reading. */
void rest_on_done(void *ctx, const struct service_answer *a);
/* The end of a search: `read` makes hits of the answer, or says why not. */
void rest_finish_search(struct rest *r, const struct service_answer *a,
			enum vector_outcome (*read)(json_t *answer, struct buf *hits,
						    struct buf *words));
