#include "cli/cmd_agent.h"

#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/agent_run.h"
#include "cli/cmd_help.h"
#include "config/agent_options.h"

#define TEXT_MAX (256 * 1024)

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

int cmd_agent(int argc, char **argv)
{
	struct agent_config config = {0};
	_options_ struct options *options = NULL;
	_buf_ struct buf error = {.max = TEXT_MAX};
	int r = options_new(&agent_option_table, &config, &options);

	if (r == 0)
		r = agent_config_load(options, argc, argv, environ, &config, &error);
	if (r < 0) {
		fprintf(stderr, "%.*s\n",
			STR_ARG(error.n ? buf_str(&error) : STR("out of memory")));
		return EXIT_USAGE;
	}
	if (options_help_wanted(options))
		return print_text(print_help, &agent_option_table);
	fprintf(stderr, "%.*s", STR_ARG(options_warnings(options)));
	if (config.print_config)
		return print_text(print_options, options);
	if (config.check_config)
		return EXIT_OK;
	log_setup((enum log_level)config.log_level, config.log_format == 1);
	return agent_run(&config);
}
