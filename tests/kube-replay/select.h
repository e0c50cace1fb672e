/*
 * Which objects a request asks for: a namespace, a name, field selectors (a=b, a==b,
 * a!=b, joined by commas) and label selectors (these, and a in (b,c), a notin (b,c),
 * a, !a).
 */
#pragma once

#include "store.h"

#define SELECT_MAX 8 /* requirements of one request; more is a 400 */

struct requirement {
	bool label;	       /* else a field */
	bool not ;	       /* what it says must not be so */
	bool exists;	       /* the label, of whatever value */
	struct str key, value; /* value: may be several, joined by commas */
};

struct selector {
	struct str ns; /* empty: all */
	struct requirement req[SELECT_MAX];
	size_t n;
};

/*
 * Adds the requirements of one query parameter; the views stay into `text`. 0, -EINVAL when the
 * text or a field name is not understood (known: metadata.name, metadata.namespace,
 * spec.nodeName, status.phase).
 */
int selector_add(struct selector *s, struct str text, bool label);
/* Does it choose by anything but the namespace? Then no remainingItemCount is told. */
bool selector_filters(const struct selector *s);
bool selector_match(const struct selector *s, const struct version *v);
