/*
 * kindred top: asks the running agent for its figures of traffic again and again, and
 * shows what came between: on a terminal as a screen with keys, else as tables.
 */
#include "cli/cmd_top.h"

#include "base/mem.h"
#include "cli/ask.h"
#include "cli/cmd_help.h"
#include "cli/options_read.h"
#include "cli/output.h"
#include "cli/screen.h"
#include "cli/top_view.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define METRICS_MAX (64UL << 20)
#define SCREEN_MAX  (4UL << 20)
#define LOOK_MS	    100 /* so long a signal may go unnoticed */

struct top_config {
	int sort, output;
	nsec_t interval;
	const char *filter;
	uint32_t count;
	struct ask_where where;
};

#define FIELD(member) .flags = OPTION_FLAG_ONLY, OPTION_FIELD(struct top_config, member)

/* clang-format off */
static const struct option_desc descs[] = {
	{.group = "What",
	 .flag = "--sort", .type = OPTION_ENUM, .choices = top_sort_names, .def = "traffic", FIELD(sort),
	 .help = "What comes first. Keys change it: t, c, f, r."},
	{.flag = "--filter", .type = OPTION_STRING, .arg = "TEXT", .def_words = "none", FIELD(filter),
	 .help = "Only pairs with this text in \"NAMESPACE/WORKLOAD -> NAMESPACE/WORKLOAD\"; case does "
		 "not matter. Key: /."},
	{.group = "How",
	 .flag = "--interval", .type = OPTION_DURATION, .arg = "TIME", .def = "5s",
	 .min = 100 * NSEC_PER_MSEC, .max = 3600 * NSEC_PER_SEC, FIELD(interval),
	 .help = "How often it asks. The agent reads counters of open flows every --flow-refresh (5s): "
		 "a shorter time shows them unevenly."},
	{.flag = "--count", .type = OPTION_INT, .arg = "N", .def_words = "without end; 1 where no terminal is",
	 .min = 1, .max = 1000000000, FIELD(count),
	 .help = "Prints so many tables, one an interval, without a screen of its own."},
	{.flag = "--output", .letter = "-o", .type = OPTION_ENUM, .choices = output_names, .def = "table",
	 FIELD(output), .help = OUTPUT_HELP ", an object a line. JSON has no screen of its own."},
	ASK_OPTIONS(struct top_config, where),
};
/* clang-format on */

const struct option_table cmd_top_options = {
	.command = "kindred top",
	.about = "Shows the traffic between workloads as it happens, a line a pair of client and "
		 "server: bytes, connections, failures and retransmits a second, and the "
		 "round-trip time. The first screen has the figures since the agent began.",
	.after = "Exit code 0 also after q and signals; 1: the agent sees no flows; 2: the "
		 "question is not understood; 3: no agent answers.",
	.v = descs,
	.n = ARRAY_SIZE(descs),
};

struct top {
	struct top_config *c;
	struct top_sample samples[2]; /* the newer one is samples[newest] */
	unsigned newest, taken;
	struct top_view view;
	struct buf error;
};

/* ---- asking ---------------------------------------------------------------------------------- */

static int read_page(struct top *t, struct buf *page)
{
	_ask_ struct ask a = {.fd = -1};
	int r = ask_open(&t->c->where, "/metrics", false, &a, &t->error);

	if (r == 0 && a.status != 200) {
		(void)buf_printf(&t->error, "the agent answers with %d", a.status);
		return -EPROTO;
	}
	return r ?: ask_all(&a, page);
}

/* 0, or -errno with a sentence in t->error; then what was there stays. */
static int take(struct top *t)
{
	struct top_sample s = {.page = {.max = METRICS_MAX}};
	int r;

	buf_reset(&t->error);
	r = read_page(t, &s.page);
	s.at = clock_mono();
	r = r ?: top_sample_read(&s, clock_wall());
	if (r < 0) {
		if (!t->error.n)
			(void)buf_append_str(&t->error, str_of(strerror(-r)));
		top_sample_done(&s);
	} else {
		t->newest ^= t->taken > 0;
		t->taken++;
		top_sample_done(&t->samples[t->newest]);
		t->samples[t->newest] = s;
	}
	t->view.now = &t->samples[t->newest];
	t->view.before = t->taken > 1 ? &t->samples[!t->newest] : NULL;
	t->view.error = buf_str(&t->error);
	return r;
}

/* ---- tables one after the other -------------------------------------------------------------- */

static int print_once(struct top *t, bool first)
{
	const struct sheet_look look = sheet_look(t->c->output == OUTPUT_WIDE);
	_buf_ struct buf out = {.max = METRICS_MAX};
	int r = t->c->output == OUTPUT_JSON ? top_view_json(&t->view, &out)
					    : top_view_table(&t->view, &look, &out);

	if (r == 0 && !first && t->c->output != OUTPUT_JSON)
		(void)putchar('\n');
	if (r == 0)
		printf("%.*s", STR_ARG(buf_str(&out)));
	return r == 0 && fflush(stdout) != 0 ? -EIO : r;
}

static int print_all(struct top *t, uint32_t count)
{
	int r = print_once(t, true);

	for (uint32_t i = 1; i < count && r == 0; i++) {
		(void)poll(NULL, 0, (int)(t->c->interval / NSEC_PER_MSEC));
		r = take(t);
		r = r ?: print_once(t, false);
	}
	if (r == 0)
		return EXIT_OK;
	fprintf(stderr, "kindred top: %.*s\n",
		STR_ARG(t->error.n ? buf_str(&t->error) : str_of(strerror(-r))));
	return EXIT_FAILED;
}

/* ---- the screen ------------------------------------------------------------------------------ */

static int draw(struct top *t)
{
	const struct sheet_look look = {.width = term_width(), .colours = term_colours()};
	_buf_ struct buf out = {.max = SCREEN_MAX};
	int r = top_view_screen(&t->view, &look, screen_rows(), &out);

	if (r == 0)
		screen_show(buf_str(&out));
	return r;
}

static int turn(struct top *t, nsec_t *due)
{
	int key = screen_key(LOOK_MS), r = 0;
	bool changed = key != KEY_NONE;

	if (changed)
		top_view_key(&t->view, key, screen_rows());
	if (clock_mono() >= *due && !t->view.quit) {
		*due = clock_mono() + t->c->interval;
		if (!t->view.paused) {
			(void)take(t); /* the screen says what failed, and it is tried again */
			changed = true;
		}
	}
	if (changed && !t->view.quit)
		r = draw(t);
	return r;
}

static int show_screen(struct top *t)
{
	nsec_t due = clock_mono() + t->c->interval;
	int r = screen_begin();

	t->c->where.stop = &screen_stop;
	if (r == 0)
		r = draw(t);
	while (r == 0 && !t->view.quit)
		r = turn(t, &due);
	screen_end();
	if (r < 0)
		fprintf(stderr, "kindred top: %s\n", strerror(-r));
	return r < 0 ? EXIT_FAILED : EXIT_OK;
}

static int run(struct top *t)
{
	int r = take(t);

	if (r < 0) {
		fprintf(stderr, "kindred top: %.*s\n", STR_ARG(buf_str(&t->error)));
		return r == -EINVAL ? EXIT_USAGE : r == -EPROTO ? EXIT_FAILED : EXIT_ABSENT;
	}
	if (!t->view.now->flows) {
		fprintf(stderr,
			"kindred top: the agent sees no flows: its log, and `kindred status`, say "
			"why\n");
		return EXIT_FAILED;
	}
	if (!t->c->count && t->c->output != OUTPUT_JSON && screen_possible())
		return show_screen(t);
	return print_all(t, MAX(t->c->count, 1U));
}

int cmd_top(int argc, char **argv)
{
	_options_ struct options *options = NULL;
	struct top_config c = {0};
	struct top t = {.c = &c, .error = {.max = 4096}};
	int r = options_read(&cmd_top_options, &c, argc, argv, &options);

	if (r != OPTIONS_RUN)
		return r;
	t.view.where = c.where.server ?: c.where.socket;
	t.view.sort = (enum top_sort)c.sort;
	(void)snprintf(t.view.filter, sizeof(t.view.filter), "%s", c.filter ?: "");
	r = run(&t);
	top_sample_done(&t.samples[0]);
	top_sample_done(&t.samples[1]);
	buf_done(&t.error);
	return r;
}
