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
	bool bad;	    /* its fault is told: it is not converted */
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
	struct buf errors; /* lines */
	struct buf line;   /* of the fault that is being told */
	unsigned faults;   /* not answered for by options_checked yet */
};

#define OPTION_NAME_MAX 64   /* bytes of a flag without its dashes, NUL included */
#define OPTION_TEXT_MAX 4096 /* bytes of a text, or of an item of a list */

/* By the flag's name without dashes; NULL: no such option. */
struct option_slot *option_slot_find(struct options *o, struct str name);
/* Replaces the text with a copy. 0 or -ENOMEM. */
int option_slot_set(struct option_slot *s, struct str text, enum option_origin origin);
/* Adds to a list's text after a comma. */
int option_slot_add(struct option_slot *s, struct str text, enum option_origin origin);
/* The name of the nth environment variable, or NULL. `room` is used for a derived one. */
const char *option_env_name(const struct option_desc *d, size_t nth, char room[OPTION_NAME_MAX]);

/* option_fault.c */
void option_faults_init(struct options *o);
/* A fault is told in three steps: where its words go, the words, the end. */
struct buf *option_fault(struct options *o);
/* `r`: whether the words could be written. 0: the load goes on to find others; -ENOMEM. */
int option_fault_end(struct options *o, int r);
/* In double quotes, on one line, the beginning of a long one. */
int option_quote(struct buf *b, struct str s);
/* The option that is meant by a wrong name; NULL: none is near enough. */
const char *option_nearest(const struct options *o, struct str name);
/* ` (did you mean --x?)` when one is near enough, else nothing. */
int option_suggest(const struct options *o, struct str name, const char *dashes, struct buf *ret);
/* The same among the words of an OPTION_ENUM. */
int option_suggest_choice(const struct option_desc *d, struct str word, struct buf *ret);
/* A place and its value: `FILE:LINE: "key": "value"`, `--flag: "value" (from ...)`. */
int option_slot_describe(const struct options *o, const struct option_slot *s, struct buf *ret);
/* Where a value came from: "environment NAME", "FILE:LINE". */
int option_origin_print(const struct options *o, const struct option_slot *s, struct buf *ret);

/* All below: 0, also when there was a fault, which is told; -ENOMEM. */
/* Converts the slot's text into the target. */
int option_slot_convert(struct options *o, struct option_slot *s);
/* One item of a list, before it is added: false when it is none. */
bool option_item_ok(const struct option_desc *d, struct str item);
/* What stands after "must be". */
int option_print_expected(const struct option_desc *d, struct buf *b);
/* "1 to 65535", "1s to 10m", "at most 8": the range in a word; nothing where there is none. */
int option_print_range(const struct option_desc *d, struct buf *b);
/* "-o, --output table|wide|json" */
int option_print_flag(const struct option_desc *d, struct buf *b);
/* What the option is for, what it accepts, its default and its variables, on one line. */
int option_print_notes(const struct option_desc *d, struct buf *b);
/* The whole file, if it is one of at most 1 MiB: 0, -EMSGSIZE, -ENOMEM, or an errno of open and
 * read.
 */
int option_file_read(const char *path, struct buf *ret);
/* Reads o->file into the slots that neither flag nor environment has set. */
int option_file_load(struct options *o);
/* The same for a text that is there already; o->file is what errors call it. */
int option_file_parse(struct options *o, struct str text);
/* Defaults where nothing was set, conversions, warnings of what has no effect. -EINVAL: there were
 * faults until now. */
int options_settle(struct options *o);
