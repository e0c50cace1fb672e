/*
 * One Kubernetes object as a document for a vector database: a text that says in
 * few words what the object is and is connected with, a fixed set of flat metadata
 * fields, an id that stays the same as long as the object lives, and hashes that
 * tell whether anything of it has changed. Pure: a function of one object (already
 * redacted, see tree/redact.h), its owners and the options.
 *
 *   text       DOC_RICH      kind, names, owners, labels, and per kind what people ask for;
 *                            at most DOC_TEXT_MAX bytes, parts in a fixed order joined by " | "
 *              DOC_METADATA  "Kind name | namespace: x | apiVersion: y | labels: k=v, ... |
 *                            annotation values"
 *              DOC_JSON      canonical JSON of the object
 *   id         [CLUSTER/]NAMESPACE/APIVERSION/KIND/NAME, "_cluster" for the namespace of
 *              cluster-wide kinds; or (DOC_ID_CONTENT) the content id
 *   uuid       UUIDv5 of the id in the DNS namespace (RFC 9562 section 5.5), lower case
 *   content id lower hex SHA-256 of "UID:canonical JSON"
 *   text hash  SHA-256 of template, mode and text; equal hash: no embedding
 *   meta hash  SHA-256 of the fields but resource_version, and of the annotations; both equal:
 *              no write
 */
#pragma once

#include "base/arena.h"
#include "base/str.h"
#include "tree/tree.h"

#include <stdbool.h>
#include <stdint.h>

#define DOC_TEMPLATE  "t1" /* changes whenever the text of any object may change */
#define DOC_TEXT_MAX  2048 /* bytes, cut at a separator; DOC_JSON: DOC_JSON_MAX */
#define DOC_JSON_MAX  32768
#define DOC_HASH_SIZE 32

enum doc_mode { DOC_RICH, DOC_METADATA, DOC_JSON, _DOC_MODE_MAX };
enum doc_id { DOC_ID_PATH, DOC_ID_CONTENT };

enum doc_field { /* flat, all texts; empty means null */
		 DOC_CLUSTER,
		 DOC_NAMESPACE,
		 DOC_NAME,
		 DOC_KIND,
		 DOC_API_GROUP,
		 DOC_API_VERSION,
		 DOC_UID,
		 DOC_RESOURCE_VERSION,
		 DOC_CREATED_AT, /* RFC 3339, UTC seconds */
		 DOC_OWNER_KIND, /* the top of the chain */
		 DOC_OWNER_NAME,
		 DOC_NODE,
		 DOC_PHASE,
		 DOC_IMAGES, /* joined by commas */
		 DOC_LABELS, /* ",k=v,k=v," sorted */
		 DOC_CONTENT_ID,
		 _DOC_FIELD_MAX, /* content_hash, template, model and source are added by who writes
				  */
};
const char *doc_field_name(enum doc_field f); /* "api_group" */

struct doc_owner { /* one step up the chain, nearest first */
	struct str kind, name;
};

struct doc_opts {
	enum doc_mode mode;
	enum doc_id id;
	struct str cluster; /* may be empty */
	bool status;	    /* a status line in the text, too; else in the metadata alone */
};

struct document { /* texts live in the arena of document_make */
	struct str id;
	char uuid[37];
	struct str text;
	struct str fields[_DOC_FIELD_MAX];
	struct str annotations; /* a JSON object, those of noisy prefixes left out; "" when there
				 * are none. S2's receivers embed them: part of the meta hash */
	uint8_t text_hash[DOC_HASH_SIZE], meta_hash[DOC_HASH_SIZE];
};

/* 0, -EINVAL (no name or kind) or -ENOMEM. */
int document_make(const struct doc_opts *o, const struct tree *object,
		  const struct doc_owner *owners, uint32_t n_owners, struct arena *a,
		  struct document *ret);
/* The id alone, of an object that may be gone. */
int document_id(const struct doc_opts *o, struct str api_version, struct str kind, struct str ns,
		struct str name, struct arena *a, struct str *ret);
void document_uuid(struct str id, char ret[37]);
