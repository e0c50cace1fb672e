/*
 * What this build is and which libraries it runs with.
 */
#pragma once

struct option_table;

extern const struct option_table cmd_version_options;

/* `kindred version`; argv[0] is the command's name. Returns the exit code. */
int cmd_version(int argc, char **argv);
