/*
 * What was asked about permissions and what the answers were, for people: a row a
 * permission, and what is missing as RBAC rules. Pure text; no I/O.
 */
#pragma once

#include "config/access.h"
#include "kube/access_review.h"

struct access_row { /* one verb of one rule */
	struct access_rule rule;
	enum access_verb verb;
	bool allowed;
	/* Of rule.namespaces, those it is denied in; on the heap. With none it is denied everywhere
	 * that the rule names. */
	const char **denied_in;
	size_t n_denied;
	struct access_verdict verdict; /* the last one; its reason goes with a denial */
};

/* PERMISSION, FOR, ANSWER. 0, -EMSGSIZE or -ENOMEM. */
int access_table(const struct access_row *rows, size_t n, struct buf *out);
/* How many are denied. */
size_t access_denied(const struct access_row *rows, size_t n);
/* The rules of those, verbs of one place together. 0 or -ENOMEM. */
int access_missing(const struct access_row *rows, size_t n, struct access *ret);
