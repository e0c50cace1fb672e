#include "base/mem.h"

#include <malloc.h>

#define MMAP_FROM (64 * 1024) /* bytes */

void mem_setup(void)
{
#ifdef M_MMAP_THRESHOLD
	(void)mallopt(M_MMAP_THRESHOLD, MMAP_FROM);
#endif
}
