/*
 * Inside of the option engine: one slot per line of the table holds the raw
 * text that won so far and where it came from.
 */
#pragma once

#include "config/option.h"

enum option_origin { ORIGIN_DEFAULT, ORIGIN_FILE, ORIGIN_ENV, ORIGIN_FLAG };

struct option_slot {
	const struct option_desc *desc;
	char *text; /* NULL: not set */
	enum option_origin origin;
	char env[64];	    /* ORIGIN_ENV: the variable's name */
	unsigned file_line; /* where the file names it, 0: nowhere */
	char *parts;	    /* what a list or an endpoint points into */
	const char **items; /* of a list */
};

struct options {
	const struct option_table *table;
	char *target;
	struct option_slot *slots;
	char *file; /* name of the YAML file, or NULL */
	const char **args;
	size_t n_args;
	bool help;
	struct buf warnings;
};

#define OPTION_NAME_MAX 64 /* bytes of a flag without its dashes, NUL included */

/* By the flag's name without dashes; NULL: no such option. */
struct option_slot *option_slot_find(struct options *o, struct str name);
/* Replaces the text with a copy. 0 or -ENOMEM. */
int option_slot_set(struct option_slot *s, struct str text, enum option_origin origin);
/* Adds to a list's text after a comma. */
int option_slot_add(struct option_slot *s, struct str text, enum option_origin origin);
/* ` (did you mean "x"?)` when a name is near enough, else nothing. */
int option_suggest(const struct options *o, struct str name, const char *dashes, struct buf *ret);
/* The name of the nth environment variable, or NULL. `room` is used for a derived one. */
const char *option_env_name(const struct option_desc *d, size_t nth, char room[OPTION_NAME_MAX]);
/* `--flag: "value" (from ...)`. */
int option_slot_describe(const struct options *o, const struct option_slot *s, struct buf *ret);
/* Where a value came from: "environment NAME", "FILE:LINE". */
int option_origin_print(const struct options *o, const struct option_slot *s, struct buf *ret);

/* Converts the slot's text into the target. -EINVAL with a line in ret_error; -ENOMEM. */
int option_slot_convert(struct options *o, struct option_slot *s, struct buf *ret_error);
/* Reads o->file into the slots that neither flag nor environment has set. */
int option_file_load(struct options *o, struct buf *ret_error);
