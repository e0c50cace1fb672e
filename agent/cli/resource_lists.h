/*
 * Lists of options for the collector. The option engine cuts lists at commas, which
 * JSONPath expressions may hold; here they are put together again.
 */
#pragma once

#include "config/option.h"
#include "core/collect.h"

/* What the lists are made of, freed together. */
struct lists {
	void **v;
	size_t n;
};
void lists_done(struct lists *l);

/* Views into the options. 0 or -ENOMEM. */
int lists_names(struct lists *l, const struct option_list *o, struct collect_names *ret);
/* Expressions: "spec.a['x,y'],spec.b" are two. */
int lists_paths(struct lists *l, const struct option_list *o, struct collect_names *ret);
/* "ingresses=.spec.a,.spec.b,pods=.spec.c" are two indexes. 0; -EINVAL with a sentence; -ENOMEM. */
int lists_indexes(struct lists *l, const struct option_list *o, const struct collect_index **ret,
		  uint32_t *ret_n, struct buf *ret_error);
