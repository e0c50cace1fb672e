/*
 * How commands print what an agent answers.
 */
#pragma once

#include "base/buf.h"
#include "cli/sheet.h"

/* --output of the commands that print tables. */
enum output { OUTPUT_TABLE, OUTPUT_WIDE, OUTPUT_JSON };
extern const char *const output_names[];
#define OUTPUT_HELP "A table that fits the terminal, the same with everything in it, or JSON"

/* The table, sorted as it stands, on standard output. `r`: whether it could be made. The exit code;
 * what went wrong is said with the command's name. */
int output_table(const char *command, const struct sheet *t, enum output o, int r);
