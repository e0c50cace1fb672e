/*
 * The text of a document from the inside:
 *
 *   document_text.c      the modes; what all kinds have in common; which kind has what
 *   document_pod.c       pods and everything with a pod template
 *   document_kinds.c     the other kinds that every cluster has
 *   document_custom.c    kinds that nobody knows: their scalar leaves
 *   document_words.c     synonyms of kinds, long forms of short words in names
 */
#pragma once

#include "sink/vector/document.h"
#include "sink/vector/prose.h"

/* 0 or -ENOMEM. */
int document_text(const struct doc_opts *o, const struct tree *object,
		  const struct doc_owner *owners, uint32_t n_owners, struct arena *a,
		  struct str *ret);

/* The members of an object sorted by key; the caller frees the array. 0 or -ENOMEM. */
int document_sorted(const struct tree *object, const struct tree ***ret, uint32_t *ret_n);
/* The pod spec of a pod, a template, or a CronJob's template; NULL. */
const struct tree *document_pod_spec(const struct tree *object);
/* status.phase, but for pods whose containers wait: why. */
struct str document_phase(const struct tree *object);

void document_pod(struct prose *t, const struct tree *object);
/* Names of environment variables: many, and of little worth. */
void document_variables(struct prose *t, const struct tree *object);
void document_status(struct prose *t, const struct tree *object);
/* What a known kind says of itself; false when the kind is not known. */
bool document_kind(struct prose *t, struct str group, struct str kind, const struct tree *object);
void document_custom(struct prose *t, const struct tree *object);
/* "storage request disk"; "" when there are none. */
struct str document_synonyms(struct str group, struct str kind);
/* "database" for each "db" among the words of the names that were remembered; each once. */
void document_long_forms(struct prose *t);
/* k=v of each member, sorted; noisy keys are left out. */
void document_pairs(struct prose *t, const struct tree *object);
