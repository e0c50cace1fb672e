/*
 * One service behind a URL, asked one request at a time: its token (read again when
 * the file changes), its TLS, limits in time and bytes, and its answers sorted into
 * what is to be done (enum vector_outcome) with words for people. Embedders and
 * databases are made of such requests.
 *
 * Every request ends by its callback, on a later turn of the loop, unless it was
 * cancelled. The callback may ask again, and may free the service. Redirects are not
 * followed: they end in VECTOR_REFUSED, and so do tokens that cannot be read.
 */
#pragma once

#include "base/json_out.h"
#include "http/http.h"
#include "sink/vector/embedder.h"
#include "sink/vector/services.h"

#include <jansson.h>

#define SERVICE_TIMEOUT	      (30 * NSEC_PER_SEC)
#define SERVICE_FIRST_TIMEOUT (120 * NSEC_PER_SEC) /* a model may have to be loaded */
#define SERVICE_MAX_HEADERS   20		   /* of a request, besides the service's own */

struct service;

struct service_opts { /* copied */
	struct event_base *base;
	struct http *http;
	struct str url; /* http(s)://HOST[:PORT][/PREFIX], nothing else */
	struct service_access access;
	bool slow_first;    /* SERVICE_FIRST_TIMEOUT until the first good answer */
	size_t max_request; /* bytes of a body */
	size_t max_answer;  /* a longer one ends the request in VECTOR_SPLIT */
};

struct service_answer { /* borrowed until the callback returns */
	struct vector_end end;
	int status;	   /* 0: there was no answer */
	struct str body;   /* of a 2xx: whole; else its beginning */
	json_t *json;	   /* of a 2xx when request.json was set; else NULL */
	struct str header; /* request.header's value */
};

struct service_request {
	const char *what;   /* "upsert": how texts about it begin; static */
	const char *method; /* static */
	struct str path;    /* behind the URL: "/collections"; may be empty */
	const char *type;   /* of the body in service_body; NULL: application/json */
	bool body;	    /* send what stands in service_body */
	bool json;	    /* a 2xx that is no JSON ends in VECTOR_RETRY */
	const char *header; /* of the answer, wanted by the callback; static; NULL: none */
	/* Finds the words in the body of a refusal; NULL: service_error_text. Static. */
	struct str (*words)(struct str body);
	const struct http_field *fields; /* besides credentials and the body's type */
	size_t n_fields;
	void (*done)(void *ctx, const struct service_answer *a);
	void *ctx;
};

/* 0, -EINVAL with a sentence (URL, files), -ENOMEM. */
int service_new(const struct service_opts *o, struct service **ret, struct buf *ret_error);
/* Cancels. NULL-safe, sets *s = NULL. */
void service_free(struct service **s);

/* Empties and lends the buffer of the next request's body; its maximum is max_request. */
struct buf *service_body(struct service *s);
/* 0, -EBUSY (one is under way), -ENOMEM. */
int service_ask(struct service *s, const struct service_request *req);
/* Drops what is under way; nothing is called back. */
void service_cancel(struct service *s);
bool service_busy(const struct service *s);
/* Appends what the service said, cleaned of its credentials, cut at SERVICE_TEXT_MAX bytes. */
void service_quote(const struct service *s, struct str text, struct buf *ret);
/* Without a slash at its end, without credentials. */
const char *service_url(const struct service *s);
