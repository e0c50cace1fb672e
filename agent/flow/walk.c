/* The walk; see walk.h. A stack of open directories, so that nothing recurses. */
#include "flow/walk.h"

#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>

struct level {
	DIR *dir;
	uint64_t id;
};
struct walker {
	struct level levels[WALK_MAX_DEPTH];
	unsigned int n;
	uint32_t max_dirs;
	walk_fn fn;
	void *ctx;
	int stop; /* what fn ended it with */
	struct walk_figures figures;
};

static void walker_done(struct walker *w)
{
	while (w->n)
		(void)closedir(w->levels[--w->n].dir);
}

/* Tells of a directory and, when there may be something below it, goes in. */
static int enter(struct walker *w, int at, const char *path, struct str name)
{
	/* The root may be given by a link. */
	const int nofollow = w->n ? O_NOFOLLOW : 0;
	_close_ int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | nofollow);
	struct stat st;
	DIR *dir;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	const struct walk_dir d = {
		.id = st.st_ino,
		.parent = w->n ? w->levels[w->n - 1].id : 0,
		.name = name,
		.depth = w->n,
		.fd = fd,
	};
	w->figures.dirs++;
	r = w->fn(w->ctx, &d);
	if (r < 0)
		return w->stop = r;
	/* Two links: its own name and ".", so no directory below it names it "..". */
	if (r == WALK_SKIP || st.st_nlink == 2)
		return 0;
	if (w->n == WALK_MAX_DEPTH) {
		w->figures.left_out++;
		return 0;
	}
	dir = fdopendir(fd);
	if (!dir)
		return -ENOMEM;
	(void)TAKE_FD(fd);
	w->levels[w->n++] = (struct level){.dir = dir, .id = st.st_ino};
	return 0;
}

/* Whether a code is about this directory alone. */
static bool harmless(int r)
{
	return r == -ENOENT || r == -ENODEV || r == -ENOTDIR || r == -ELOOP;
}

static bool is_dots(const char *name)
{
	return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

static int step(struct walker *w)
{
	const struct level *top = &w->levels[w->n - 1];
	const struct dirent *e = readdir(top->dir);
	int r;

	if (!e) {
		(void)closedir(w->levels[--w->n].dir);
		return 0;
	}
	if ((e->d_type != DT_DIR && e->d_type != DT_UNKNOWN) || is_dots(e->d_name))
		return 0;
	if (w->figures.dirs >= w->max_dirs) {
		w->figures.left_out++;
		return 0;
	}
	r = enter(w, dirfd(top->dir), e->d_name, str_of(e->d_name));
	if (w->stop)
		return r;
	if (r == -EACCES || r == -EPERM) {
		w->figures.left_out++;
		return 0;
	}
	return harmless(r) ? 0 : r;
}

int walk(const char *path, uint32_t max_dirs, walk_fn fn, void *ctx, struct walk_figures *ret)
{
	_cleanup_(walker_done) struct walker w = {.max_dirs = max_dirs, .fn = fn, .ctx = ctx};
	int r = enter(&w, AT_FDCWD, path, (struct str){0});

	while (r >= 0 && w.n)
		r = step(&w);
	if (r < 0)
		return r;
	*ret = w.figures;
	return 0;
}
