/*
 * Names of images, taken apart as container runtimes do (the grammar of
 * distribution/reference).
 */
#include "sink/graph/edges.h"

struct image_name image_parse(struct str text)
{
	struct image_name n = {.registry = STR("docker.io"), .repository = text};
	struct str head, rest = text;
	size_t colon;

	if (str_split(&rest, '@', &head))
		n.digest = rest;
	rest = head;
	if (str_split(&rest, '/', &head) &&
	    (memchr(head.p, '.', head.n) || memchr(head.p, ':', head.n) ||
	     str_eq(head, STR("localhost")))) {
		n.registry = head;
		n.repository = rest;
	} else {
		rest = text;
		(void)str_split(&rest, '@', &n.repository);
	}
	/* The last colon begins a tag: a port's is gone with the registry. */
	for (colon = n.repository.n; colon > 0 && n.repository.p[colon - 1] != ':';)
		colon--;
	if (colon) {
		n.tag = str_from(n.repository, colon);
		n.repository.n = colon - 1;
	} else if (!n.digest.n) {
		n.tag = STR("latest");
	}
	return n;
}
