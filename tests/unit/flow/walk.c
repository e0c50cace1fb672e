/* The walk over a tree that the test makes and over the real one, and the layouts that are told
 * from such trees. */
#include "flow/walk.h"

#include "base/mem.h"
#include "flow/layout.h"
#include "tests/lib/torture.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#define MAX_DIRS 512

struct seen {
	struct {
		uint64_t id, parent;
		char name[NAME_MAX + 1];
		unsigned int depth;
	} dirs[MAX_DIRS];
	unsigned int n;
	const char *skip; /* below this one */
	int end;	  /* returned at the third */
};

static int on_dir(void *ctx, const struct walk_dir *d)
{
	struct seen *s = ctx;

	assert_true(s->n < MAX_DIRS);
	s->dirs[s->n].id = d->id;
	s->dirs[s->n].parent = d->parent;
	s->dirs[s->n].depth = d->depth;
	(void)snprintf(s->dirs[s->n].name, sizeof(s->dirs[0].name), "%.*s", STR_ARG(d->name));
	s->n++;
	if (s->end && s->n == 3)
		return s->end;
	return s->skip && str_eq(d->name, str_of(s->skip)) ? WALK_SKIP : 0;
}

static int rm(const char *path, const struct stat *st, int type, struct FTW *f)
{
	(void)st;
	(void)type;
	(void)f;
	return remove(path);
}

static char root[PATH_MAX];

static int make_root(void **state)
{
	(void)state;
	(void)snprintf(root, sizeof(root), "/tmp/walk-XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static int drop_root(void **state)
{
	(void)state;
	return nftw(root, rm, 16, FTW_DEPTH | FTW_PHYS);
}

static void make_dir(const char *path)
{
	char full[2 * PATH_MAX], *slash;

	(void)snprintf(full, sizeof(full), "%s/%s/", root, path);
	for (slash = full + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		assert_true(mkdir(full, 0755) == 0 || errno == EEXIST);
		*slash = '/';
	}
}

static void make_file(const char *path)
{
	char full[2 * PATH_MAX];

	(void)snprintf(full, sizeof(full), "%s/%s", root, path);
	FILE *f = fopen(full, "we");

	assert_non_null(f);
	(void)fclose(f);
}

static int find(const struct seen *s, const char *name)
{
	for (unsigned int i = 0; i < s->n; i++)
		if (strcmp(s->dirs[i].name, name) == 0)
			return (int)i;
	return -1;
}

static uint64_t inode(const char *path)
{
	char full[2 * PATH_MAX];
	struct stat st;

	(void)snprintf(full, sizeof(full), "%s/%s", root, path);
	assert_int_equal(stat(full, &st), 0);
	return st.st_ino;
}

static void test_made(void **state)
{
	struct seen s = {0};
	struct walk_figures f;
	char link[2 * PATH_MAX];

	(void)state;
	make_dir("a/b/c");
	make_dir("a/.hidden");
	make_dir("d");
	make_file("a/cgroup.procs");
	make_file("file");
	(void)snprintf(link, sizeof(link), "%s/d/up", root);
	assert_int_equal(symlink("..", link), 0); /* a loop for who follows it */
	assert_int_equal(walk(root, MAX_DIRS, on_dir, &s, &f), 0);
	assert_int_equal(s.n, 6);
	assert_int_equal(f.dirs, 6);
	assert_int_equal(f.left_out, 0);
	assert_int_equal(s.dirs[0].parent, 0);
	assert_string_equal(s.dirs[0].name, "");
	assert_true(find(&s, "up") < 0);
	assert_int_equal(s.dirs[find(&s, "c")].id, inode("a/b/c"));
	assert_int_equal(s.dirs[find(&s, "c")].parent, inode("a/b"));
	assert_int_equal(s.dirs[find(&s, "c")].depth, 3);
	assert_int_equal(s.dirs[find(&s, ".hidden")].parent, inode("a"));
	assert_int_equal(s.dirs[find(&s, "d")].parent, inode(""));
	for (unsigned int i = 1; i < s.n; i++) { /* parents first */
		unsigned int j = 0;

		while (j < i && s.dirs[j].id != s.dirs[i].parent)
			j++;
		assert_true(j < i);
	}
}

static void test_bounds(void **state)
{
	struct seen s = {.skip = "a"};
	struct walk_figures f;
	char deep[4 * WALK_MAX_DEPTH] = "";

	(void)state;
	for (int i = 0; i < WALK_MAX_DEPTH + 5; i++)
		(void)snprintf(deep + strlen(deep), sizeof(deep) - strlen(deep), "x/");
	make_dir(deep);
	make_dir("a/b");
	assert_int_equal(walk(root, MAX_DIRS, on_dir, &s, &f), 0);
	assert_true(find(&s, "b") < 0);
	assert_int_equal(f.dirs, WALK_MAX_DEPTH + 2); /* root, x..., a */
	assert_int_equal(f.left_out, 1);
	s = (struct seen){0};
	assert_int_equal(walk(root, 4, on_dir, &s, &f), 0);
	assert_int_equal(s.n, 4);
	assert_true(f.left_out >= 1);
	s = (struct seen){.end = -ENOENT}; /* fn's own codes end it, whichever they are */
	assert_int_equal(walk(root, MAX_DIRS, on_dir, &s, &f), -ENOENT);
	assert_int_equal(s.n, 3);
	assert_int_equal(walk("/nowhere/at/all", MAX_DIRS, on_dir, &s, &f), -ENOENT);
}

/* Directories go away as soon as they are told of. */
static int on_dir_removed(void *ctx, const struct walk_dir *d)
{
	char path[2 * PATH_MAX];

	for (char c = 'a'; c <= 'j' && d->depth == 1; c++) {
		(void)snprintf(path, sizeof(path), "%s/%c/below", root, c);
		(void)rmdir(path);
		(void)snprintf(path, sizeof(path), "%s/%c", root, c);
		(void)rmdir(path);
	}
	return on_dir(ctx, d);
}

static void test_races(void **state)
{
	struct seen s = {0};
	struct walk_figures f;

	(void)state;
	for (char c = 'a'; c <= 'j'; c++)
		make_dir((char[]){c, '/', 'b', 'e', 'l', 'o', 'w', '\0'});
	assert_int_equal(walk(root, MAX_DIRS, on_dir_removed, &s, &f), 0);
	assert_int_equal(s.n, 2);
}

/* The real tree, compared with find(1). */
static void test_real(void **state)
{
	struct seen *s = calloc(1, sizeof(*s));
	struct walk_figures f;
	struct layout l;
	char command[PATH_MAX], name[NAME_MAX + 1];
	unsigned long id;
	unsigned int n = 0, missing = 0;

	(void)state;
	assert_non_null(s);
	if (layout_find("/sys/fs/cgroup", "/proc", &l) < 0) {
		free(s);
		print_message("skipped: no cgroups (cannot run here)\n");
		skip();
	}
	const char *path = *l.v1 ? l.v1 : l.v2;

	assert_int_equal(walk(path, MAX_DIRS, on_dir, s, &f), 0);
	(void)snprintf(command, sizeof(command), "find %s -mindepth 1 -type d -printf '%%i %%f\\n'",
		       path);
	FILE *p = popen(command, "re");

	assert_non_null(p);
	while (fscanf(p, "%lu %255s", &id, name) == 2) {
		const int at = find(s, name);

		n++;
		missing += at < 0;
	}
	(void)pclose(p);
	/* Others of this machine make and remove theirs meanwhile. */
	assert_true(missing <= 2 && n + 3 >= s->n);
	free(s);
}

static int walk_tortured(void *ctx)
{
	struct seen s = {0};
	struct walk_figures f;
	const int r = walk(root, MAX_DIRS, on_dir, &s, &f);

	(void)ctx;
	return r;
}

static void test_torture(void **state)
{
	(void)state;
	make_dir("a/b");
	make_dir("c");
	/* What libc allocates for a directory is not seen; then there is nothing to fail. */
	const int r = torture_run(walk_tortured, NULL);

	assert_true(r == 0 || r == -E2BIG);
}

/* ---- layouts --------------------------------------------------------------------------------- */

#define CID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static struct layout look(int want)
{
	struct layout l;

	assert_int_equal(layout_find(root, "/nowhere", &l), want);
	return l;
}

static void test_layout_v2(void **state)
{
	struct layout l = look(-ENOENT);

	(void)state;
	assert_string_equal(l.words, "none");
	make_file("cgroup.controllers");
	make_dir("system.slice/docker.service");
	l = look(0);
	assert_string_equal(l.words, "v2");
	assert_string_equal(l.v2, root);
	assert_true(l.follow_v2 && !l.follow_v1 && !l.pods_in_v2);
	make_dir("kubepods.slice");
	assert_true(look(0).pods_in_v2);
	/* A v1 hierarchy below a v2 root is a cgroup that somebody called so. */
	make_dir("memory");
	make_file("memory/tasks");
	assert_string_equal(look(0).words, "v2");
}

static void test_layout_v1(void **state)
{
	(void)state;
	make_dir("pids/system.slice");
	make_file("pids/tasks");
	assert_string_equal(look(0).words, "v1: pids");
	make_dir("memory/docker/" CID);
	make_file("memory/tasks");
	const struct layout l = look(0);

	assert_string_equal(l.words, "v1: memory");
	assert_true(l.follow_v1 && !l.follow_v2 && l.pods_in_v1);
}

static void test_layout_hybrid(void **state)
{
	struct layout l;

	(void)state;
	make_dir("unified/system.slice");
	make_file("unified/cgroup.controllers");
	make_dir("memory");
	make_file("memory/tasks");
	l = look(0);
	assert_string_equal(l.words, "hybrid: pods in v2 or v1 memory");
	assert_true(l.follow_v1 && l.follow_v2);
	make_dir("memory/kubepods/besteffort");
	l = look(0);
	assert_string_equal(l.words, "hybrid: pods in v1 memory");
	assert_true(l.follow_v1 && l.follow_v2);
	make_dir("unified/kubelet.slice/kubelet-kubepods.slice");
	assert_string_equal(look(0).words, "hybrid: pods in v2 and v1 memory");
	char v1[2 * PATH_MAX];

	(void)snprintf(v1, sizeof(v1), "%s/memory/kubepods", root);
	assert_int_equal(nftw(v1, rm, 16, FTW_DEPTH | FTW_PHYS), 0);
	l = look(0);
	assert_string_equal(l.words, "hybrid: pods in v2");
	assert_true(!l.follow_v1 && l.follow_v2);
}

/* Somewhere else than below the given root: mountinfo tells, in this process's own paths. */
static void test_layout_mounts(void **state)
{
	char line[4 * PATH_MAX], path[2 * PATH_MAX], proc[2 * PATH_MAX];
	struct layout l;

	(void)state;
	make_dir("proc/self");
	make_dir("else/v2");
	make_file("else/v2/cgroup.controllers");
	make_dir("else/memory");
	make_file("else/memory/tasks");
	make_dir("cgroup");
	(void)snprintf(path, sizeof(path), "%s/proc/self/mountinfo", root);
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	(void)snprintf(line, sizeof(line),
		       "25 1 0:22 / /nowhere rw shared:1 - cgroup2 cgroup2 rw\n"
		       "26 1 0:23 / %s/else/v2 rw - cgroup2 cgroup2 rw,nsdelegate\n"
		       "27 1 0:24 / %s/else/v2 rw - cgroup cgroup rw,cpu\n"
		       "28 1 0:25 / %s/else/memory rw,relatime shared:4 master:2 - cgroup x "
		       "rw,memory\n",
		       root, root, root);
	assert_true(fputs(line, f) >= 0);
	(void)fclose(f);
	(void)snprintf(path, sizeof(path), "%s/proc/cgroups", root);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_true(fputs("#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t3\t1\t1\n"
			  "memory\t7\t1\t1\n",
			  f) >= 0);
	(void)fclose(f);
	(void)snprintf(path, sizeof(path), "%s/cgroup", root);
	(void)snprintf(proc, sizeof(proc), "%s/proc", root);
	assert_int_equal(layout_find(path, proc, &l), 0);
	(void)snprintf(path, sizeof(path), "%s/else/v2", root);
	assert_string_equal(l.v2, path);
	(void)snprintf(path, sizeof(path), "%s/else/memory", root);
	assert_string_equal(l.v1, path);
	assert_int_equal(l.v1_hierarchy, 7);
}

#define ROOTED(f) cmocka_unit_test_setup_teardown(f, make_root, drop_root)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROOTED(test_made),	     ROOTED(test_bounds),	 ROOTED(test_races),
		cmocka_unit_test(test_real), ROOTED(test_torture),	 ROOTED(test_layout_v2),
		ROOTED(test_layout_v1),	     ROOTED(test_layout_hybrid), ROOTED(test_layout_mounts),
	};

	return cmocka_run_group_tests_name("flow/walk", tests, NULL, NULL);
}
