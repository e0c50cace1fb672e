/*
 * Replays files and folders through a harness, for compilers without libFuzzer.
 */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define INPUT_MAX (16u << 20) /* bytes of one input; longer ones are cut */

static unsigned replayed;

static int replay_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *p = malloc(INPUT_MAX), *exact;
	size_t n = f && p ? fread(p, 1, INPUT_MAX, f) : 0;

	if (f)
		(void)fclose(f);
	exact = malloc(n ? n : 1); /* of this size: reading over it is seen */
	if (!f || !p || !exact) {
		(void)fprintf(stderr, "%s: cannot be read\n", path);
		free(p);
		free(exact);
		return 1;
	}
	for (size_t i = 0; i < n; i++)
		exact[i] = p[i];
	free(p);
	(void)LLVMFuzzerTestOneInput(exact, n);
	free(exact);
	replayed++;
	return 0;
}

static int replay(const char *path)
{
	char below[PATH_MAX];
	struct stat st;
	struct dirent *e;
	DIR *dir;
	int r = 0;

	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		return replay_file(path);
	dir = opendir(path);
	if (!dir)
		return 1;
	while ((e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		(void)snprintf(below, sizeof(below), "%s/%s", path, e->d_name);
		r |= replay(below);
	}
	(void)closedir(dir);
	return r;
}

int main(int argc, char **argv)
{
	int r = 0;

	for (int i = 1; i < argc; i++)
		r |= replay(argv[i]);
	(void)printf("%u inputs replayed\n", replayed);
	return r || !replayed;
}
