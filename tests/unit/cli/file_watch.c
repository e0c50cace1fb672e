/*
 * Files as they change in life: written in place, replaced by a rename, swapped by kubelet's
 * links, behind a link to another folder, in a folder that goes and comes again.
 */
#include "cli/file_watch.h"

#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/torture.h"

#define PATIENCE (20 * NSEC_PER_SEC)

struct place {
	char folder[64], file[128];
	struct event_base *base;
	struct file_watch *w;
	unsigned looks, seen;
};

static void on_look(void *ctx)
{
	((struct place *)ctx)->looks++;
}

static void put(const char *folder, const char *name, const char *text)
{
	char path[256];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void turn(struct place *p, int ms)
{
	const struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	(void)event_base_loopexit(p->base, &tv);
	(void)event_base_dispatch(p->base);
}

/* So many looks come after those that were seen, however busy the machine is, and then no more. */
static void expect_looks(struct place *p, unsigned n)
{
	const nsec_t until = clock_mono() + PATIENCE;

	while (p->looks < p->seen + n && clock_mono() < until)
		turn(p, 10);
	turn(p, (int)(2 * FILE_WATCH_SETTLE / NSEC_PER_MSEC));
	assert_int_equal(p->looks - p->seen, n);
	p->seen = p->looks;
}

static void wait_look(struct place *p)
{
	const nsec_t until = clock_mono() + PATIENCE;

	while (p->looks == p->seen) {
		assert_true(clock_mono() < until);
		turn(p, 10);
	}
	p->seen = p->looks;
}

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	(void)snprintf(p->folder, sizeof(p->folder), "/tmp/kindred-file-watch-XXXXXX");
	assert_non_null(mkdtemp(p->folder));
	(void)snprintf(p->file, sizeof(p->file), "%s/config.yaml", p->folder);
	p->base = event_base_new();
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;
	char command[128];

	file_watch_free(&p->w);
	event_base_free(p->base);
	(void)snprintf(command, sizeof(command), "rm -rf %s", p->folder);
	assert_int_equal(system(command), 0);
	free(p);
	return 0;
}

static void watch(struct place *p, nsec_t poll)
{
	const struct file_watch_opts o = {
		.base = p->base, .path = p->file, .poll = poll, .look = on_look, .ctx = p};

	assert_int_equal(file_watch_new(&o, &p->w), 0);
	expect_looks(p, 0);
}

static void in_place_and_renamed(void **state)
{
	struct place *p = *state;
	char other[160];

	put(p->folder, "config.yaml", "a");
	watch(p, 0);
	put(p->folder, "config.yaml", "b");
	expect_looks(p, 1);
	put(p->folder, "neighbour", "x"); /* is none of its business */
	expect_looks(p, 0);
	(void)snprintf(other, sizeof(other), "%s/new", p->folder);
	put(p->folder, "new", "c");
	assert_int_equal(rename(other, p->file), 0);
	expect_looks(p, 1);
}

/* Many changes at once are one look, and changes without end are looked at all the same. */
static void a_storm(void **state)
{
	struct place *p = *state;
	nsec_t begin;

	put(p->folder, "config.yaml", "a");
	watch(p, 0);
	for (int i = 0; i < 500; i++)
		put(p->folder, "config.yaml", "b");
	expect_looks(p, 1);
	begin = clock_mono();
	for (int i = 0; i < 20; i++) {
		put(p->folder, "config.yaml", "c");
		turn(p, 50);
	}
	assert_in_range(p->looks - p->seen, 2, 1 + (clock_mono() - begin) / FILE_WATCH_SETTLE);
}

/* As kubelet mounts a ConfigMap: config.yaml -> ..data/config.yaml, ..data -> ..FOLDER, and a new
 * folder's link is renamed over the old one. */
static void swapped_by_kubelet(void **state)
{
	struct place *p = *state;
	char one[128], two[128], data[128], fresh[128];

	(void)snprintf(one, sizeof(one), "%s/..2024_01", p->folder);
	(void)snprintf(two, sizeof(two), "%s/..2024_02", p->folder);
	(void)snprintf(data, sizeof(data), "%s/..data", p->folder);
	(void)snprintf(fresh, sizeof(fresh), "%s/..data_tmp", p->folder);
	assert_int_equal(mkdir(one, 0755), 0);
	put(one, "config.yaml", "a");
	assert_int_equal(symlink("..2024_01", data), 0);
	assert_int_equal(symlink("..data/config.yaml", p->file), 0);
	watch(p, 0);
	assert_int_equal(mkdir(two, 0755), 0);
	put(two, "config.yaml", "b");
	assert_int_equal(symlink("..2024_02", fresh), 0);
	expect_looks(p, 0); /* not before it is complete */
	assert_int_equal(rename(fresh, data), 0);
	expect_looks(p, 1);
}

/* What inotify on the folder cannot see, the slow look does. */
static void behind_a_link(void **state)
{
	struct place *p = *state;
	char there[128];

	(void)snprintf(there, sizeof(there), "%s/there", p->folder);
	assert_int_equal(mkdir(there, 0755), 0);
	put(there, "real", "a");
	assert_int_equal(symlink("there/real", p->file), 0);
	watch(p, 300 * NSEC_PER_MSEC);
	put(there, "real", "bcd");
	wait_look(p);
	turn(p, 700);
	assert_int_equal(p->looks, 1);
}

static void a_folder_that_comes_again(void **state)
{
	struct place *p = *state;
	char below[100];

	(void)snprintf(below, sizeof(below), "%s/below", p->folder);
	(void)snprintf(p->file, sizeof(p->file), "%s/config.yaml", below);
	assert_int_equal(mkdir(below, 0755), 0);
	put(below, "config.yaml", "a");
	watch(p, 200 * NSEC_PER_MSEC);
	assert_int_equal(unlink(p->file), 0);
	assert_int_equal(rmdir(below), 0);
	wait_look(p);
	assert_int_equal(mkdir(below, 0755), 0);
	turn(p, 600); /* it is watched again */
	p->seen = p->looks;
	put(below, "config.yaml", "b");
	wait_look(p);
}

static int make_once(void *ctx)
{
	struct place *p = ctx;
	const struct file_watch_opts o = {
		.base = p->base, .path = p->file, .look = on_look, .ctx = p};
	int r = file_watch_new(&o, &p->w);

	if (r == 0)
		file_watch_free(&p->w);
	return r;
}

static void torture(void **state)
{
	assert_int_equal(torture_run(make_once, *state), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {TEST(in_place_and_renamed),	    TEST(a_storm),
					   TEST(swapped_by_kubelet),	    TEST(behind_a_link),
					   TEST(a_folder_that_comes_again), TEST(torture)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
