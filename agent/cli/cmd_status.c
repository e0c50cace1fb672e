/*
 * kindred status: asks the running agent whether its conditions hold, and what its figures
 * are.
 */
#include "cli/cmd_status.h"

#include "base/json_in.h"
#include "base/mem.h"
#include "cli/ask.h"
#include "cli/cmd_help.h"
#include "cli/options_read.h"
#include "cli/output.h"
#include "cli/pages.h"
#include "cli/status_print.h"

#include <stdio.h>
#include <string.h>

#define READY_MAX   (4UL << 20)
#define METRICS_MAX (64UL << 20)
#define TEXT_MAX    (8UL << 20)

struct status_config {
	struct ask_where where;
	int output;
};

#define FIELD(member) .flags = OPTION_FLAG_ONLY, OPTION_FIELD(struct status_config, member)

/* clang-format off */
static const struct option_desc descs[] = {
	{.group = "How",
	 .flag = "--output", .letter = "-o", .type = OPTION_ENUM, .choices = output_names, .def = "table",
	 FIELD(output), .help = OUTPUT_HELP "."},
	ASK_OPTIONS(struct status_config, where),
};
/* clang-format on */

const struct option_table cmd_status_options = {
	.command = "kindred status",
	.about = "Says on one screen whether the running agent works: its conditions (those of "
		 "/readyz), for each that fails what to do, and what in its figures is worth a "
		 "look.",
	.after = "Exit code 0: it works; 1: a condition fails; 3: no agent answers.",
	.v = descs,
	.n = ARRAY_SIZE(descs),
};

/* What fails is answered with 503, and is the answer, too. */
static int ask_ready(const struct ask_where *w, json_t **ret)
{
	_buf_ struct buf body = {.max = READY_MAX};
	_ask_ struct ask a = {.fd = -1};
	int code = ask_begin("kindred status", w, STR("/readyz?output=json"), false, &a), r;

	if (code != EXIT_OK)
		return code;
	if (a.status != 200 && a.status != 503) {
		ask_complain("kindred status", &a);
		return EXIT_FAILED;
	}
	r = ask_all(&a, &body);
	*ret = r == 0 ? json_in_parse(buf_str(&body), 0) : NULL;
	if (!*ret)
		fprintf(stderr, "kindred status: what answers at %s is no agent, or a broken one\n",
			w->server ?: w->socket);
	return *ret ? EXIT_OK : EXIT_FAILED;
}

static int print(const struct status_config *c, const struct status *s)
{
	const struct sheet_look look = sheet_look(c->output == OUTPUT_WIDE);
	_buf_ struct buf out = {.max = TEXT_MAX};
	int r = c->output == OUTPUT_JSON ? status_json(s, &out) : status_text(s, &look, &out);

	if (r < 0) {
		fprintf(stderr, "kindred status: the answer cannot be read: %s\n", strerror(-r));
		return EXIT_FAILED;
	}
	printf("%.*s", STR_ARG(buf_str(&out)));
	return status_is_ready(s) ? EXIT_OK : EXIT_FAILED;
}

static int on_workload(void *ctx, const json_t *w)
{
	struct status *s = ctx;

	s->workloads++;
	s->pods += (uint64_t)json_integer_value(json_object_get(w, "pods"));
	return 0;
}

static int count_pods(const struct status_config *c, struct status *s)
{
	return pages_read(&(struct pages){.command = "kindred status",
					  .where = &c->where,
					  .target = STR("/api/v1/workloads"),
					  .member = "workloads",
					  .each = on_workload,
					  .ctx = s});
}

static int show(const struct status_config *c)
{
	_buf_ struct buf metrics = {.max = METRICS_MAX};
	struct status s = {.where = c->where.server ?: c->where.socket, .now = clock_wall()};
	_json_ json_t *ready = NULL;
	int code = ask_ready(&c->where, &ready);

	if (code == EXIT_OK)
		code = ask_body("kindred status", &c->where, STR("/metrics"), &metrics);
	if (code == EXIT_OK)
		code = count_pods(c, &s);
	s.ready = ready;
	s.metrics = buf_str(&metrics);
	return code == EXIT_OK ? print(c, &s) : code;
}

int cmd_status(int argc, char **argv)
{
	_options_ struct options *options = NULL;
	struct status_config c = {0};
	int r = options_read(&cmd_status_options, &c, argc, argv, &options);

	return r == OPTIONS_RUN ? show(&c) : r;
}
