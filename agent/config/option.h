/*
 * The option engine. A command writes its options down once, as a table; from
 * that table come the parsing of flags, environment and a YAML file, --help,
 * --print-config and the README's table. What the values mean is left to others.
 *
 * Precedence: flag, environment, file, default. Only the value that wins is
 * converted, so a bad value that is overridden does no harm. An environment
 * variable that is set but empty counts as not set.
 *
 * Texts, lists and endpoints in the target struct belong to `struct options`
 * and live until options_free.
 */
#pragma once

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What an option holds, and the C type of its field. */
enum option_type {
	OPTION_BOOL,	 /* bool */
	OPTION_INT,	 /* uint16_t, uint32_t, unsigned or uint64_t */
	OPTION_NUMBER,	 /* double; digits and one point */
	OPTION_DURATION, /* nsec_t; 500ms, 10s, 1.5s, 1m30s, 1h: always with a unit */
	OPTION_SIZE,	 /* size_t, bytes; 64KiB, 4MiB, 1GB: always with a unit */
	OPTION_STRING,	 /* const char *, NULL when not set */
	OPTION_ENUM,	 /* int or enum: index into `choices`, -1 when not set */
	OPTION_LIST,	 /* struct option_list; commas, or a YAML sequence, or the flag repeated */
	OPTION_ENDPOINT, /* struct option_endpoint; HOST:PORT, [V6]:PORT, :PORT */
	_OPTION_TYPE_MAX,
};

struct option_list {
	const char *const *v;
	size_t n;
};

struct option_endpoint {
	const char
		*host; /* "" when only the port was given; IPv6 without its brackets; NULL: none */
	uint16_t port;
	bool off; /* OPTION_OFF: the value is "off" */
};

#define OPTION_SECRET	   (1u << 0) /* the value is never printed, in errors neither */
#define OPTION_IGNORED	   (1u << 1) /* accepted with a warning that says `why` */
#define OPTION_FLAG_ONLY   (1u << 2) /* neither environment nor file */
#define OPTION_CONFIG_FILE (1u << 3) /* names the YAML file; not read from it */
#define OPTION_OFF	   (1u << 4) /* an endpoint that may be "off" */
#define OPTION_HUSH	   (1u << 5) /* a bad value is not repeated: it may be, or hold, a secret */
#define OPTION_LIVE	   (1u << 6) /* may change while the command runs */

#define OPTION_ENV_MAX 3

struct option_desc {
	const char *group;		 /* heading; NULL: the one before goes on */
	const char *flag;		 /* "--intake-port"; in the file: intake-port */
	const char *letter;		 /* "-p", a second name; NULL: none */
	const char *env[OPTION_ENV_MAX]; /* the first that is set wins; none: KINDRED_INTAKE_PORT */
	const char
		*env_unit; /* put behind a bare number in the environment: "ms"; NULL: nothing is */
	enum option_type type;
	unsigned flags;
	const char *arg;	      /* what stands behind the flag in --help: "FILE" */
	const char *def;	      /* as a user would write it; NULL: not set */
	const char *def_words;	      /* shown instead of `def` */
	const char *const *choices;   /* OPTION_ENUM; NULL-terminated */
	unsigned long long min;	      /* ints, numbers; nanoseconds; bytes */
	unsigned long long max;	      /* the same; of a list: most items, never 0 */
	bool (*ok)(struct str value); /* more checks on a text, or on every item of a list */
	const char *expect;	      /* what `ok` wants, after "must be" */
	size_t offset, size;	      /* OPTION_FIELD */
	const char *help;
	const char *why; /* OPTION_IGNORED: why it has no effect; else added to errors */
};

#define OPTION_FIELD(type, member) \
	.offset = offsetof(type, member), .size = sizeof(((type *)NULL)->member)

struct option_table {
	const char *command; /* "kindred agent" */
	const char *args;    /* what follows the options in the usage line, or NULL */
	const char *about;   /* a sentence or two for --help */
	const char *after;   /* printed at the end of --help, or NULL */
	const struct option_desc *v;
	size_t n;
	size_t args_max; /* most words that are no options */
};

struct options;

/* `t` and `target` are borrowed. Writes nothing to `target` yet. 0 or -ENOMEM. */
int options_new(const struct option_table *t, void *target, struct options **ret);
void options_free(struct options **o);
#define _options_ _cleanup_(options_free)

/*
 * Reads argv (argv[0] is skipped), `env` ("NAME=value", NULL-terminated) and
 * the file, and fills the target. -EINVAL: options_errors names each fault with
 * option, source, value and what is accepted; -ENOMEM. After -h or --help
 * nothing is checked and the target is unset. Once per object.
 */
int options_load(struct options *o, int argc, char *const *argv, char *const *env);
/*
 * What options_load would have given if the file said `text`: flags and environment
 * are those of `o`, which was loaded. `again` is a new one of the same table with a
 * target of its own; errors call the text `name`. As options_load.
 */
int options_load_again(const struct options *o, const char *name, struct str text,
		       struct options *again);
/* Lines that begin with "config error: ", one for each fault up to a bound. Borrowed. */
struct str options_errors(const struct options *o);
/* What the command itself finds wrong with its values: told as the others. 0 or -ENOMEM. */
int options_fault(struct options *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* After these: -EINVAL when there were any. */
int options_checked(struct options *o);
/* The text of the file that `o` was loaded with, as it is now: 0; -ENOENT also when there was none;
 * -EMSGSIZE (over 1 MiB), -ENOMEM, or another -errno. */
int options_read_file(const struct options *o, struct buf *ret);
/* Its name, or NULL. */
const char *options_file(const struct options *o);
/* Puts the values of all live options (OPTION_LIVE) into `target`; their texts stay in `from`. */
void options_adopt(const struct options *from, void *target);
/* The first option from place *at on whose value differs in the two, which are of the same table;
 * NULL: none. *at goes behind it. */
const struct option_desc *options_next_change(const struct options *a, const struct options *b,
					      size_t *at);
bool options_help_wanted(const struct options *o);
/* The words that are no options. */
struct option_list options_args(const struct options *o);
/* One line per warning, each ending with a newline; may be empty. */
struct str options_warnings(const struct options *o);
/* Every option as YAML that --config takes, each with a comment that names its source. */
int options_print(const struct options *o, struct buf *ret);

/* --help, wrapped at 100 columns. */
int option_table_help(const struct option_table *t, struct buf *ret);
/* The same as a part of a manual page, in man(7)'s macros: from a subsection's heading on. */
int option_table_man(const struct option_table *t, struct buf *ret);
/* Text for a manual page: nothing in it is taken for a macro. */
int option_man_text(struct buf *b, struct str s);
/* The README's table. */
int option_table_markdown(const struct option_table *t, struct buf *ret);

/* Converters, for use without a table. 0, -EBADMSG (no such thing) or -ERANGE (too large). */
int option_parse_duration(struct str s, uint64_t *ret_ns);
int option_parse_size(struct str s, uint64_t *ret_bytes);
/* Host and port as views into `s`. */
int option_parse_endpoint(struct str s, struct str *ret_host, uint16_t *ret_port);
/* "500ms", "1m30s"; "4MiB". What the parsers read back. */
int option_format_duration(struct buf *b, uint64_t ns);
int option_format_size(struct buf *b, uint64_t bytes);
