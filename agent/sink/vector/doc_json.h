/*
 * Documents as databases hold them: one flat object of the document's fields, null
 * when empty, and of where it comes from:
 *
 *   cluster namespace name kind ... content_id   the fields (doc_field_name)
 *   text_hash, meta_hash   lower hex; what is compared with the ledger
 *   content_hash           SHA-256 of both: one value that changes with anything
 *   template, model        of text and vector; another one is a mismatch
 *   source                 "kindred"
 *
 * The same keys every time: databases that merge would keep what is left out. Pure.
 */
#pragma once

#include "base/json_out.h"
#include "sink/vector/backend.h"

#include <jansson.h>

struct doc_origin {
	struct str model, template_;
};

/* The members of that object; the braces are the caller's. */
void doc_json_put(struct json_out *j, const struct document *d, const struct doc_origin *o);

/* What a listed object says of itself: kind, namespace and hashes; views into `o` and `hashes`.
 * False when it is not one of ours, or of another cluster than `cluster` (empty: of none). */
bool doc_json_known(const json_t *o, struct str cluster, uint8_t hashes[2][DOC_HASH_SIZE],
		    struct backend_known *ret);

/* One object of a search's list, as docs_hit_json writes it for the embedded store. */
void doc_json_hit(struct json_out *j, struct str id, double score, struct str text,
		  const json_t *o);

/* Whether model or template of `o` is another than what is wanted: then words with both sides. */
bool doc_json_other(const json_t *o, const struct doc_origin *want, struct buf *words);
