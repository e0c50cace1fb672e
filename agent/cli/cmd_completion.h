/*
 * What is made from the tables of all commands: completion for shells, and the manual page.
 */
#pragma once

#include "config/option.h"

#include <stddef.h>

struct command;

/* `kindred completion bash|zsh` and `kindred man`; argv[0] is the command's name. The exit code. */
int cmd_completion(const struct command *commands, size_t n, int argc, char **argv);
int cmd_man(const struct command *commands, size_t n, int argc, char **argv);
extern const struct option_table cmd_completion_options, cmd_man_options;
