#include "cli/cmd_agent.h"

#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/agent_check.h"
#include "cli/agent_run.h"
#include "cli/cmd_access.h"
#include "cli/cmd_help.h"
#include "config/access.h"
#include "config/agent_options.h"

#define LOG_LINES 100		     /* a minute, of one place in the program */
#define TEXT_MAX  ((size_t)16 << 20) /* rules for a thousand namespaces */

static int print_text(int (*print)(const void *, struct buf *), const void *what)
{
	_buf_ struct buf text = {.max = TEXT_MAX};

	if (print(what, &text) < 0)
		return EXIT_FAILED;
	printf("%.*s", STR_ARG(buf_str(&text)));
	return EXIT_OK;
}

static int print_help(const void *table, struct buf *text)
{
	return option_table_help(table, text);
}

static int print_options(const void *options, struct buf *text)
{
	return options_print(options, text);
}

static int print_access(const void *config, struct buf *text)
{
	_access_ struct access a = {0};
	int r = access_needed(config, &a);

	return r < 0 ? r : access_print(&a, "kindred", (struct str){0}, text);
}

static int refuse(const struct options *o)
{
	struct str errors = o ? options_errors(o) : (struct str){0};

	fprintf(stderr, "%.*s", STR_ARG(errors.n ? errors : STR("out of memory\n")));
	return EXIT_USAGE;
}

static int check(struct options *o, const struct agent_config *c)
{
	const unsigned all = AGENT_CHECK_FILES | AGENT_CHECK_NAMES;

	return agent_check(o, c, c->offline ? 0 : all) < 0 ? refuse(o) : EXIT_OK;
}

int cmd_agent(int argc, char **argv)
{
	struct agent_config config = {0};
	_options_ struct options *options = NULL;
	int r = options_new(&agent_option_table, &config, &options);

	if (r == 0)
		r = agent_config_load(options, argc, argv, environ, &config);
	if (r < 0)
		return refuse(options);
	if (options_help_wanted(options))
		return print_text(print_help, &agent_option_table);
	fprintf(stderr, "%.*s", STR_ARG(options_warnings(options)));
	if (config.print_config)
		return print_text(print_options, options);
	if (config.print_access)
		return print_text(print_access, &config);
	if (config.check_access)
		return cmd_access(&config);
	if (config.check_config)
		return check(options, &config);
	log_setup((enum log_level)config.log_level, config.log_format == AGENT_LOG_JSON);
	log_bound(LOG_LINES);
	r = agent_run(&config, options);
	log_bound(0);
	return r;
}
