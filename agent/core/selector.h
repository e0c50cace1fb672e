/*
 * Label selectors as the API server reads them, for what cannot be asked of it:
 * namespaces that are chosen by labels, objects of a watch that others need whole.
 *
 *     app=web,tier!=test,env in (prod,stage),zone notin (a),team,!legacy
 *
 * Terms are joined by "and". Pure.
 */
#pragma once

#include "base/buf.h"
#include "tree/tree.h"

#define SELECTOR_MAX_TERMS  32
#define SELECTOR_MAX_VALUES 64 /* of one term */

struct selector;

/* 0; -EINVAL with a sentence in ret_error; -ENOMEM. An empty text selects everything. */
int selector_new(struct str text, struct selector **ret, struct buf *ret_error);
void selector_free(struct selector **s);
/* `labels`: an object of texts, or NULL. A NULL selector selects everything. */
bool selector_match(const struct selector *s, const struct tree *labels);
