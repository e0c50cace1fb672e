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

#define FILE_MAX_BYTES	(1024 * 1024) /* a larger file is refused */
#define READ_STEP	4096
#define FILE_MAX_DEPTH	4   /* nested mappings; deeper is refused */
#define FILE_MAX_FAULTS 100 /* keys that are wrong; then the rest is not read */

struct reader {
	struct options *o;
	yaml_parser_t parser;
	yaml_event_t event; /* the current one */
	bool has_event;
	char prefix[OPTION_NAME_MAX]; /* "intake-" inside of `intake:` */
	int depth;
};

/* The file is told of and left: what follows cannot be understood. */
#define STOP (-EBADMSG)

static unsigned line_of(const struct reader *f)
{
	return (unsigned)f->event.start_mark.line + 1;
}

/* `FILE:LINE: what`. STOP or -ENOMEM. */
static int stop_at(struct reader *f, unsigned line, const char *what)
{
	int r = options_fault(f->o, "%s:%u: %s", f->o->file, line, what);

	return r < 0 ? r : STOP;
}

static int stop(struct reader *f, const char *what)
{
	return stop_at(f, line_of(f), what);
}

static int parse_failed(struct reader *f)
{
	const char *problem = f->parser.problem ? f->parser.problem : "cannot be read as YAML";

	if (f->parser.error == YAML_MEMORY_ERROR)
		return -ENOMEM;
	return stop_at(f, (unsigned)f->parser.problem_mark.line + 1, problem);
}

/* Begins the words of a fault about a key: `FILE:LINE: "key"`. */
static struct buf *key_fault(struct reader *f, unsigned line, struct str key, int *r)
{
	struct buf *words = option_fault(f->o);

	*r = buf_printf(words, "%s:%u: ", f->o->file, line);
	if (*r == 0)
		*r = option_quote(words, key);
	return words;
}

static int fault(struct reader *f, unsigned line, struct str key, const char *what)
{
	int r;
	struct buf *words = key_fault(f, line, key, &r);

	if (r == 0)
		r = buf_printf(words, ": %s", what);
	return option_fault_end(f->o, r);
}

static int next(struct reader *f)
{
	if (f->has_event)
		yaml_event_delete(&f->event);
	f->has_event = yaml_parser_parse(&f->parser, &f->event);
	if (!f->has_event)
		return parse_failed(f);
	if (f->event.type == YAML_ALIAS_EVENT)
		return stop(f, "aliases are not accepted");
	if ((f->event.type == YAML_SCALAR_EVENT &&
	     (f->event.data.scalar.anchor || f->event.data.scalar.tag)) ||
	    (f->event.type == YAML_MAPPING_START_EVENT &&
	     (f->event.data.mapping_start.anchor || f->event.data.mapping_start.tag)) ||
	    (f->event.type == YAML_SEQUENCE_START_EVENT &&
	     (f->event.data.sequence_start.anchor || f->event.data.sequence_start.tag)))
		return stop(f, "anchors and tags are not accepted");
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
static bool is_ours(const struct option_slot *s)
{
	return !s->text || s->origin == ORIGIN_FILE;
}

/* Goes from the start of a value to its end, whatever it is. */
static int skip(struct reader *f)
{
	int depth = 0, r = 0;

	for (;;) {
		const yaml_event_type_t t = f->event.type;

		if (t == YAML_MAPPING_START_EVENT || t == YAML_SEQUENCE_START_EVENT)
			depth++;
		else if (t == YAML_MAPPING_END_EVENT || t == YAML_SEQUENCE_END_EVENT)
			depth--;
		if (depth <= 0)
			return r;
		r = next(f);
		if (r < 0)
			return r;
	}
}

static int set_value(struct reader *f, struct option_slot *s, bool add)
{
	struct str text = scalar(f);

	if (memchr(text.p, '\0', text.n)) {
		s->bad = true;
		return fault(f, line_of(f), str_of(s->desc->flag + 2),
			     "a NUL byte is not accepted");
	}
	if (!is_ours(s))
		return 0;
	return add ? option_slot_add(s, text, ORIGIN_FILE) : option_slot_set(s, text, ORIGIN_FILE);
}

/* `FILE:LINE: "key": what; must be ...` */
static int wrong_type(struct reader *f, const struct option_desc *d, unsigned line, struct str key,
		      const char *what)
{
	int r;
	struct buf *words = key_fault(f, line, key, &r);

	if (r == 0)
		r = buf_printf(words, ": %s; must be ", what);
	if (r == 0)
		r = option_print_expected(d, words);
	return option_fault_end(f->o, r);
}

static const char *type_of(const struct reader *f)
{
	return f->event.type == YAML_MAPPING_START_EVENT ? "is a mapping" : "is a list";
}

/* Each item is told of with its own line; what is cut at commas later is looked at then. */
static int read_item(struct reader *f, struct option_slot *s, struct str key)
{
	struct str text = str_trim(scalar(f));
	int r;

	if (!is_ours(s) || memchr(text.p, ',', text.n) || option_item_ok(s->desc, text))
		return set_value(f, s, true);
	s->bad = true;
	_buf_ struct buf what = {.max = 2 * OPTION_TEXT_MAX};
	r = buf_append_str(&what, STR("item "));
	if (r == 0)
		r = s->desc->flags & (OPTION_SECRET | OPTION_HUSH)
			    ? buf_append_str(&what, STR("(hidden)"))
			    : option_quote(&what, text);
	if (r == 0)
		r = buf_append(&what, "", 1);
	return r < 0 ? r : wrong_type(f, s->desc, line_of(f), key, buf_str(&what).p);
}

static int read_sequence(struct reader *f, struct option_slot *s, struct str key)
{
	int r = next(f);

	while (r == 0 && f->event.type != YAML_SEQUENCE_END_EVENT) {
		if (f->event.type == YAML_SCALAR_EVENT) {
			r = read_item(f, s, key);
		} else {
			s->bad = true;
			r = wrong_type(f, s->desc, line_of(f), key,
				       f->event.type == YAML_MAPPING_START_EVENT
					       ? "an item is a mapping"
					       : "an item is a list");
			if (r == 0)
				r = skip(f);
		}
		if (r == 0)
			r = next(f);
	}
	return r;
}

static int not_in_file(struct reader *f, const struct option_desc *d, unsigned line, struct str key)
{
	char room[OPTION_NAME_MAX], what[128];
	const char *env = option_env_name(d, 0, room);

	(void)snprintf(what, sizeof(what), "can only be given on the command line%s%s",
		       env ? " or in " : "", env ? env : "");
	return fault(f, line, key, what);
}

/* Told, and its value passed over. */
static int refuse_option(struct reader *f, const struct option_slot *s, unsigned line,
			 struct str key)
{
	char what[64];
	int r;

	if (s->file_line) {
		(void)snprintf(what, sizeof(what), "given twice, first in line %u", s->file_line);
		r = fault(f, line, key, what);
	} else {
		r = not_in_file(f, s->desc, line, key);
	}
	return r < 0 ? r : skip(f);
}

static int read_option(struct reader *f, struct option_slot *s, unsigned line, struct str key)
{
	int r;

	if (s->file_line || s->desc->flags & (OPTION_FLAG_ONLY | OPTION_CONFIG_FILE))
		return refuse_option(f, s, line, key);
	s->file_line = line;
	if (f->event.type == YAML_SCALAR_EVENT)
		return is_null(f) ? 0 : set_value(f, s, false);
	if (f->event.type == YAML_SEQUENCE_START_EVENT && s->desc->type == OPTION_LIST)
		return read_sequence(f, s, key);
	r = wrong_type(f, s->desc, line, key, type_of(f));
	return r < 0 ? r : skip(f);
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

/* At the key; goes to the end of its value. */
static int unknown_key(struct reader *f, struct str name)
{
	int r;
	struct buf *words = key_fault(f, line_of(f), name, &r);

	if (r == 0)
		r = buf_append_str(words, STR(": unknown key"));
	if (r == 0)
		r = option_suggest(f->o, name, "", words);
	r = option_fault_end(f->o, r);
	if (r == 0)
		r = next(f);
	return r < 0 ? r : skip(f);
}

static int read_mapping(struct reader *f);

static int read_nested(struct reader *f, struct str name)
{
	size_t before = strlen(f->prefix);
	int r;

	if (f->depth >= FILE_MAX_DEPTH || name.n + 2 > sizeof(f->prefix))
		return stop(f, "nested too deeply");
	memcpy(f->prefix, name.p, name.n);
	memcpy(f->prefix + name.n, "-", 2);
	f->depth++;
	r = read_mapping(f);
	f->depth--;
	f->prefix[before] = '\0';
	return r;
}

/* The value of `name`, an option, the beginning of several, or (rarely) both. */
static int read_named(struct reader *f, struct option_slot *s, unsigned line, struct str name)
{
	const bool prefix = is_prefix(f->o, name);
	int r;

	if (s && (f->event.type != YAML_MAPPING_START_EVENT || !prefix))
		return read_option(f, s, line, name);
	if (f->event.type == YAML_MAPPING_START_EVENT)
		return read_nested(f, name);
	if (f->event.type == YAML_SCALAR_EVENT && is_null(f))
		return 0;
	r = fault(f, line, name, "must be a mapping");
	return r < 0 ? r : skip(f);
}

static int read_pair(struct reader *f)
{
	char room[2 * OPTION_NAME_MAX];
	unsigned line = line_of(f);
	struct option_slot *s;
	struct str name;
	int r;

	if (f->event.type != YAML_SCALAR_EVENT)
		return stop(f, "a key must be a plain name");
	if (scalar(f).n >= OPTION_NAME_MAX || memchr(scalar(f).p, '\0', scalar(f).n))
		return unknown_key(f, scalar(f));
	(void)snprintf(room, sizeof(room), "%s%.*s", f->prefix, STR_ARG(scalar(f)));
	name = str_of(room);
	s = option_slot_find(f->o, name);
	if (!s && !is_prefix(f->o, name))
		return unknown_key(f, name);
	r = next(f);
	return r < 0 ? r : read_named(f, s, line, name);
}

/* Called at the mapping's start; ends at its end. */
static int read_mapping(struct reader *f)
{
	int r = next(f);

	while (r == 0 && f->event.type != YAML_MAPPING_END_EVENT) {
		r = read_pair(f);
		if (r == 0 && f->o->faults > FILE_MAX_FAULTS)
			r = STOP; /* this is no configuration of ours */
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
		return stop(f, "must be a mapping from option names to values");
	if (r == 0)
		r = next(f); /* document end */
	if (r == 0)
		r = next(f);
	if (r == 0 && f->event.type != YAML_STREAM_END_EVENT)
		return stop(f, "must be one document");
	return r;
}

static int read_all(FILE *in, struct buf *ret)
{
	int r = 0;

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
	return r;
}

int option_file_read(const char *path, struct buf *ret)
{
	FILE *in = fopen(path, "re");
	int r;

	if (!in)
		return -errno;
	ret->max = FILE_MAX_BYTES + READ_STEP; /* one step is always free */
	r = read_all(in, ret);
	(void)fclose(in);
	return r;
}

static int unreadable(struct options *o, int code)
{
	struct buf *words = option_fault(o);
	int r = 0;

	if (code == -ENOMEM)
		return code;
	for (size_t i = 0; i < o->table->n && r == 0; i++)
		if (o->table->v[i].flags & OPTION_CONFIG_FILE)
			r = option_slot_describe(o, &o->slots[i], words);
	if (r == 0)
		r = buf_printf(words, ": %s",
			       code == -EMSGSIZE ? "larger than 1MiB" : strerror(-code));
	return option_fault_end(o, r);
}

int option_file_load(struct options *o)
{
	_buf_ struct buf text = {0};
	int r = option_file_read(o->file, &text);

	return r < 0 ? unreadable(o, r) : option_file_parse(o, buf_str(&text));
}

int option_file_parse(struct options *o, struct str text)
{
	struct reader f = {.o = o};
	int r;

	if (!text.n)
		return 0; /* an empty file sets nothing, and libyaml takes no NULL */
	if (!yaml_parser_initialize(&f.parser))
		return -ENOMEM;
	yaml_parser_set_input_string(&f.parser, (const unsigned char *)text.p, text.n);
	r = read_stream(&f);
	if (f.has_event)
		yaml_event_delete(&f.event);
	yaml_parser_delete(&f.parser);
	return r == STOP ? 0 : r; /* a fault is told */
}
