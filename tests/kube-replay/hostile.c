/*
 * Objects no honest cluster has, for the bad-object faults.
 */
#include "server.h"

const struct hostile *hostile_get(struct server *s, const struct fault *f, enum kind k,
				  struct str node)
{
	(void)s;
	(void)f;
	(void)k;
	(void)node;
	return NULL;
}

void hostile_free(struct server *s)
{
	(void)s;
}
