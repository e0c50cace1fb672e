#include "cli/short_flags.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

int short_flags(const struct short_flag *v, size_t n, int argc, char **argv,
		char *ret[SHORT_FLAGS_ARGS + 1])
{
	bool only_args = false;

	if (argc > SHORT_FLAGS_ARGS)
		return -E2BIG;
	for (int i = 0; i < argc; i++) {
		ret[i] = argv[i];
		only_args = only_args || strcmp(argv[i], "--") == 0;
		for (size_t k = 0; k < n && !only_args && i; k++)
			if (strcmp(argv[i], v[k].letter) == 0)
				ret[i] = (char *)(uintptr_t)v[k].flag; /* is only read */
	}
	ret[argc] = NULL;
	return argc;
}
