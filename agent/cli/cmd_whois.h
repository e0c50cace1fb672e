/*
 * What a thing is, as a running agent knows it.
 */
#pragma once

#include "config/option.h"

/* `kindred whois`; argv[0] is the command's name. Returns the exit code. */
int cmd_whois(int argc, char **argv);
extern const struct option_table cmd_whois_options;
