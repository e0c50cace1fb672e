/*
 * The embedders and databases there are, by the words of --embed and --vector.
 */
#pragma once

#include "base/buf.h"
#include "sink/vector/backend.h"
#include "sink/vector/embedder.h"

struct event_base;
struct http;
struct worker;

struct service_access {		/* borrowed until the service is freed */
	const char *token_file; /* read again when it changes; NULL: none */
	const char *header;	/* the token's header; NULL: "Authorization", as "Bearer TOKEN";
				 * "api-key": the token alone */
	const char *ca_file;	/* PEM; NULL: the system's */
	bool insecure;
	nsec_t timeout; /* of one request; 0: 30 s, the first of an embedder 120 s */
};

struct embedder_opts {
	struct event_base *base;
	struct http *http; /* shared; NULL: only the hash can be had */
	struct str spec;   /* "hash", "hash:1024", "triton:URL", "openai:URL" */
	struct str model;  /* --embed-model; empty: hash and openai have a default */
	uint32_t dim;	   /* what is demanded; 0: as answered */
	uint32_t batch;	   /* 0: 32 */
	/* triton */
	struct str input, output; /* tensors; empty: "text_input", "embedding" */
	const struct str *extra;  /* "mode=embed": constant further inputs */
	uint32_t n_extra;
	bool binary; /* binary tensors instead of JSON */
	struct service_access access;
};
/* 0; -EINVAL with a sentence; -ENOMEM. */
int embedder_new(const struct embedder_opts *o, struct embedder **ret, struct buf *ret_error);

struct backend_opts {
	struct event_base *base;
	struct http *http;
	struct worker *worker; /* sqlite: the file's */
	struct str spec;       /* "sqlite:FILE", "qdrant:URL", "chroma:URL", "http:URL" */
	struct str collection; /* "kindred" */
	struct str model, template_;
	struct str cluster; /* --cluster-name: only documents of this cluster are listed */
	uint32_t dim;
	uint32_t batch; /* 0: 100 */
	size_t cache;	/* sqlite: bytes of the int8 matrix */
	struct service_access access;
};
int backend_new(const struct backend_opts *o, struct backend **ret, struct buf *ret_error);
