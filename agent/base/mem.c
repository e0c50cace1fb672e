#include "base/mem.h"

#include <errno.h>
#include <malloc.h>
#include <string.h>

#define MMAP_FROM (64 * 1024) /* bytes */

void mem_setup(void)
{
#ifdef M_MMAP_THRESHOLD
	(void)mallopt(M_MMAP_THRESHOLD, MMAP_FROM);
#endif
}

int mem_reach(void *array, uint32_t *n, size_t size, uint32_t want)
{
	char *v;

	if (want <= *n)
		return 0;
	memcpy(&v, array, sizeof(v)); /* a pointer to what only the caller knows */
	v = realloc(v, want * size);
	if (!v)
		return -ENOMEM;
	memset(v + *n * size, 0, (want - *n) * size);
	memcpy(array, &v, sizeof(v));
	*n = want;
	return 0;
}
