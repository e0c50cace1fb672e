/*
 * The YAML file: a mapping from option names to values. Nested mappings are
 * joined by '-', so `intake: {host: x}` says the same as `intake-host: x`.
 * Anchors, aliases, explicit tags and further documents are refused: a
 * configuration needs none of them, and an alias bomb is made of them.
 */
#include "config/option.h"
#include "config/option_slots.h"

#include <errno.h>
#include <stdio.h>
#include <yaml.h>

#define FILE_MAX_BYTES (1024 * 1024) /* a larger file is refused */
#define READ_STEP      4096
#define FILE_MAX_DEPTH 4 /* nested mappings; deeper is refused */

struct reader {
	struct options *o;
	yaml_parser_t parser;
	yaml_event_t event; /* the current one */
	bool has_event;
	char prefix[OPTION_NAME_MAX]; /* "intake-" inside of `intake:` */
	int depth;
	struct buf *error;
};

static int fail_at(struct reader *f, unsigned line, const char *what, struct str name)
{
	int r;

	if (str_empty(name))
		r = buf_printf(f->error, "config error: %s:%u: %s", f->o->file, line, what);
	else
		r = buf_printf(f->error, "config error: %s:%u: \"%.*s%.*s\": %s", f->o->file, line,
			       OPTION_NAME_MAX, f->prefix, (int)MIN(name.n, (size_t)200), name.p,
			       what);
	return r < 0 ? r : -EINVAL;
}

static unsigned line_of(const struct reader *f)
{
	return (unsigned)f->event.start_mark.line + 1;
}

static int fail(struct reader *f, const char *what)
{
	return fail_at(f, line_of(f), what, (struct str){0});
}

static int parse_failed(struct reader *f)
{
	const char *problem = f->parser.problem ? f->parser.problem : "cannot be read as YAML";

	if (f->parser.error == YAML_MEMORY_ERROR)
		return -ENOMEM;
	return fail_at(f, (unsigned)f->parser.problem_mark.line + 1, problem, (struct str){0});
}

static int next(struct reader *f)
{
	if (f->has_event)
		yaml_event_delete(&f->event);
	f->has_event = yaml_parser_parse(&f->parser, &f->event);
	if (!f->has_event)
		return parse_failed(f);
	if (f->event.type == YAML_ALIAS_EVENT)
		return fail(f, "aliases are not accepted");
	if ((f->event.type == YAML_SCALAR_EVENT &&
	     (f->event.data.scalar.anchor || f->event.data.scalar.tag)) ||
	    (f->event.type == YAML_MAPPING_START_EVENT &&
	     (f->event.data.mapping_start.anchor || f->event.data.mapping_start.tag)) ||
	    (f->event.type == YAML_SEQUENCE_START_EVENT &&
	     (f->event.data.sequence_start.anchor || f->event.data.sequence_start.tag)))
		return fail(f, "anchors and tags are not accepted");
	return 0;
}

static struct str scalar(const struct reader *f)
{
	return str_make(f->event.data.scalar.value, f->event.data.scalar.length);
}

/* `key:`, `key: ~` and `key: null` set nothing: templates leave them behind. */
static bool is_null(const struct reader *f)
{
	struct str s = scalar(f);

	return f->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	       (str_empty(s) || str_eq(s, STR("~")) || str_eq(s, STR("null")));
}

/* Environment and flags keep what they have set. */
static int set_value(struct reader *f, struct option_slot *s, bool add)
{
	struct str text = scalar(f);

	if (memchr(text.p, '\0', text.n))
		return fail(f, "a NUL byte is not accepted");
	if (s->text && s->origin != ORIGIN_FILE)
		return 0;
	return add ? option_slot_add(s, text, ORIGIN_FILE) : option_slot_set(s, text, ORIGIN_FILE);
}

static int read_sequence(struct reader *f, struct option_slot *s)
{
	int r = next(f);

	while (r == 0 && f->event.type == YAML_SCALAR_EVENT) {
		r = set_value(f, s, true);
		if (r == 0)
			r = next(f);
	}
	if (r == 0 && f->event.type != YAML_SEQUENCE_END_EVENT)
		return fail(f, "an item must be a single value");
	return r;
}

static int not_in_file(struct reader *f, const struct option_desc *d, unsigned line, struct str key)
{
	char room[OPTION_NAME_MAX], what[128];
	const char *env = option_env_name(d, 0, room);

	(void)snprintf(what, sizeof(what), "can only be given on the command line%s%s",
		       env ? " or in " : "", env ? env : "");
	return fail_at(f, line, what, key);
}

static int read_option(struct reader *f, struct option_slot *s, unsigned line, struct str key)
{
	if (s->file_line) {
		char what[64];

		(void)snprintf(what, sizeof(what), "given twice, first in line %u", s->file_line);
		return fail_at(f, line, what, key);
	}
	if (s->desc->flags & (OPTION_FLAG_ONLY | OPTION_CONFIG_FILE))
		return not_in_file(f, s->desc, line, key);
	s->file_line = line;
	if (f->event.type == YAML_SCALAR_EVENT)
		return is_null(f) ? 0 : set_value(f, s, false);
	if (f->event.type == YAML_SEQUENCE_START_EVENT && s->desc->type == OPTION_LIST)
		return read_sequence(f, s);
	return fail_at(f, line,
		       s->desc->type == OPTION_LIST ? "must be a value or a sequence of values"
						    : "must be a single value",
		       key);
}

static bool is_prefix(const struct options *o, struct str prefix)
{
	for (size_t i = 0; i < o->table->n; i++) {
		struct str name = str_of(o->table->v[i].flag + 2);

		if (str_starts(name, prefix) && name.n > prefix.n && name.p[prefix.n] == '-')
			return true;
	}
	return false;
}

static int unknown_key(struct reader *f, unsigned line, struct str key, struct str name)
{
	int r = fail_at(f, line, "unknown key", key);
	int r2 = option_suggest(f->o, name, "", f->error);

	return r2 < 0 ? r2 : r;
}

static int read_mapping(struct reader *f);

static int read_nested(struct reader *f, struct str name)
{
	size_t before = strlen(f->prefix);
	int r;

	if (f->depth >= FILE_MAX_DEPTH || name.n + 2 > sizeof(f->prefix))
		return fail(f, "nested too deeply");
	memcpy(f->prefix, name.p, name.n);
	memcpy(f->prefix + name.n, "-", 2);
	f->depth++;
	r = read_mapping(f);
	f->depth--;
	f->prefix[before] = '\0';
	return r;
}

static int read_pair(struct reader *f)
{
	char room[2 * OPTION_NAME_MAX];
	unsigned line = line_of(f);
	struct option_slot *s;
	struct str key, name;
	_free_ char *copy = NULL;
	int r;

	if (f->event.type != YAML_SCALAR_EVENT)
		return fail(f, "a key must be a plain name");
	copy = str_dup(scalar(f));
	if (!copy)
		return -ENOMEM;
	key = str_of(copy);
	if (key.n >= OPTION_NAME_MAX)
		return unknown_key(f, line, key, key);
	(void)snprintf(room, sizeof(room), "%s%s", f->prefix, copy);
	name = str_of(room);
	s = option_slot_find(f->o, name);
	if (!s && !is_prefix(f->o, name))
		return unknown_key(f, line, key, name);
	r = next(f);
	if (r < 0)
		return r;
	if (s && (f->event.type != YAML_MAPPING_START_EVENT || !is_prefix(f->o, name)))
		return read_option(f, s, line, key);
	if (f->event.type == YAML_MAPPING_START_EVENT)
		return read_nested(f, name);
	if (f->event.type == YAML_SCALAR_EVENT && is_null(f))
		return 0;
	return fail_at(f, line, "must be a mapping", key);
}

/* Called at the mapping's start; ends at its end. */
static int read_mapping(struct reader *f)
{
	int r = next(f);

	while (r == 0 && f->event.type != YAML_MAPPING_END_EVENT) {
		r = read_pair(f);
		if (r == 0)
			r = next(f);
	}
	return r;
}

static int read_stream(struct reader *f)
{
	int r = next(f); /* stream start */

	if (r == 0)
		r = next(f);
	if (r < 0 || f->event.type == YAML_STREAM_END_EVENT)
		return r; /* an empty file sets nothing */
	r = next(f);
	if (r < 0)
		return r;
	if (f->event.type == YAML_MAPPING_START_EVENT)
		r = read_mapping(f);
	else if (f->event.type != YAML_SCALAR_EVENT || !is_null(f))
		return fail(f, "must be a mapping from option names to values");
	if (r == 0)
		r = next(f); /* document end */
	if (r == 0)
		r = next(f);
	if (r == 0 && f->event.type != YAML_STREAM_END_EVENT)
		return fail(f, "must be one document");
	return r;
}

/* The whole file, if it leaves one READ_STEP of the buffer's maximum free: 0, -EMSGSIZE, -ENOMEM or
 * an errno of open and read. */
static int read_all(const char *path, struct buf *ret)
{
	FILE *in = fopen(path, "re");
	int r = 0;

	if (!in)
		return -errno;
	while (r == 0) {
		size_t n;

		r = buf_reserve(ret, READ_STEP);
		if (r < 0)
			break;
		n = fread(buf_tail(ret), 1, READ_STEP, in);
		buf_commit(ret, n);
		if (ferror(in))
			r = errno ? -errno : -EIO;
		else if (n == 0)
			break;
	}
	(void)fclose(in);
	return r;
}

static int unreadable(struct options *o, int code, struct buf *ret_error)
{
	int r = 0;

	if (code == -ENOMEM)
		return code;
	r = buf_printf(ret_error, "config error: ");
	for (size_t i = 0; i < o->table->n && r == 0; i++)
		if (o->table->v[i].flags & OPTION_CONFIG_FILE)
			r = option_slot_describe(o, &o->slots[i], ret_error);
	if (r == 0)
		r = buf_printf(ret_error, ": %s",
			       code == -EMSGSIZE ? "larger than 1MiB" : strerror(-code));
	return r < 0 ? r : -EINVAL;
}

int option_file_load(struct options *o, struct buf *ret_error)
{
	struct reader f = {.o = o, .error = ret_error};
	_buf_ struct buf text = {.max = FILE_MAX_BYTES + READ_STEP};
	int r = read_all(o->file, &text);

	if (r < 0)
		return unreadable(o, r, ret_error);
	if (!text.n)
		return 0; /* an empty file sets nothing, and libyaml takes no NULL */
	if (!yaml_parser_initialize(&f.parser))
		return -ENOMEM;
	yaml_parser_set_input_string(&f.parser, (const unsigned char *)buf_str(&text).p, text.n);
	r = read_stream(&f);
	if (f.has_event)
		yaml_event_delete(&f.event);
	yaml_parser_delete(&f.parser);
	return r;
}
