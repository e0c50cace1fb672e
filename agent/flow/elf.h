/* The compiled objects of bpf/, as they lie in this program. */
#pragma once

#include <stddef.h>

struct elf {
	const void *p; /* NULL: no such object was built in */
	size_t n;
};
/* By the name of its source, "tcp". Never freed. */
struct elf elf_find(const char *name);
