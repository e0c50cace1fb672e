/*
 * Field selectors, for what the API server picks nothing by: an object is kept while
 * one of its fields has a value. It leaves when the field changes, and comes back.
 *
 *     ingresses=.spec.ingressClassName=public
 *     pods=.status.conditions[?(@.type=="Ready")].status=True
 *
 * A resource (collect_name_is), a JSONPath expression and a text. Pure.
 */
#pragma once

#include "base/buf.h"
#include "tree/tree.h"

struct field_selector;

/* 0; -EINVAL with a sentence in ret_error; -ENOMEM. */
int field_selector_new(struct str text, struct field_selector **ret, struct buf *ret_error);
void field_selector_free(struct field_selector **s);
bool field_selector_is_of(const struct field_selector *s, struct str group, struct str plural);
/* The expression's first value is this text, number or boolean. What is missing is nothing. */
bool field_selector_match(const struct field_selector *s, const struct tree *object);
