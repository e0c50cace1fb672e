/*
 * Flags and environment, precedence, and the words an error uses for a value.
 */
#include "config/option.h"
#include "config/option_slots.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>

#define WARNINGS_MAX 8192 /* bytes; there is one line per ignored option */

int options_new(const struct option_table *t, void *target, struct options **ret)
{
	struct options *o = calloc(1, sizeof(*o));

	if (!o)
		return -ENOMEM;
	o->slots = calloc(t->n, sizeof(*o->slots));
	if (!o->slots) {
		free(o);
		return -ENOMEM;
	}
	for (size_t i = 0; i < t->n; i++)
		o->slots[i].desc = &t->v[i];
	o->table = t;
	o->target = target;
	buf_init(&o->warnings, WARNINGS_MAX);
	*ret = o;
	return 0;
}

void options_free(struct options **o)
{
	if (!*o)
		return;
	for (size_t i = 0; i < (*o)->table->n; i++) {
		free((*o)->slots[i].text);
		free((*o)->slots[i].parts);
		free((*o)->slots[i].items);
	}
	free((*o)->slots);
	free((*o)->file);
	free((*o)->args);
	buf_done(&(*o)->warnings);
	free(*o);
	*o = NULL;
}

struct option_slot *option_slot_find(struct options *o, struct str name)
{
	for (size_t i = 0; i < o->table->n; i++)
		if (str_eq(str_of(o->table->v[i].flag + 2), name))
			return &o->slots[i];
	return NULL;
}

int option_slot_set(struct option_slot *s, struct str text, enum option_origin origin)
{
	char *copy = str_dup(text);

	if (!copy)
		return -ENOMEM;
	free(s->text);
	s->text = copy;
	s->origin = origin;
	return 0;
}

int option_slot_add(struct option_slot *s, struct str text, enum option_origin origin)
{
	_free_ char *joined = NULL;

	if (!s->text || s->origin != origin)
		return option_slot_set(s, text, origin);
	if (asprintf(&joined, "%s,%.*s", s->text, STR_ARG(text)) < 0) {
		joined = NULL; /* asprintf leaves it undefined */
		return -ENOMEM;
	}
	free(s->text);
	s->text = TAKE_PTR(joined);
	return 0;
}

const char *option_env_name(const struct option_desc *d, size_t nth, char room[OPTION_NAME_MAX])
{
	size_t n;

	if (d->flags & OPTION_FLAG_ONLY)
		return NULL;
	if (d->env[0])
		return nth < OPTION_ENV_MAX ? d->env[nth] : NULL;
	if (nth > 0)
		return NULL;
	n = (size_t)snprintf(room, OPTION_NAME_MAX, "KINDRED_%s", d->flag + 2);
	assert(n < OPTION_NAME_MAX);
	for (size_t i = 0; i < n; i++)
		room[i] = room[i] == '-' ? '_' : (char)toupper((unsigned char)room[i]);
	return room;
}

/* Levenshtein distance of two short names. */
static size_t distance(struct str a, struct str b)
{
	size_t row[OPTION_NAME_MAX + 1];

	if (a.n >= OPTION_NAME_MAX || b.n >= OPTION_NAME_MAX)
		return OPTION_NAME_MAX;
	for (size_t j = 0; j <= b.n; j++)
		row[j] = j;
	for (size_t i = 1; i <= a.n; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= b.n; j++) {
			size_t change = diagonal + (a.p[i - 1] != b.p[j - 1]);
			size_t shift = MIN(row[j], row[j - 1]) + 1;

			diagonal = row[j];
			row[j] = MIN(change, shift);
		}
	}
	return row[b.n];
}

int option_suggest(const struct options *o, struct str name, const char *dashes, struct buf *ret)
{
	size_t best = MAX(name.n / 3, (size_t)2) + 1;
	const char *nearest = NULL;

	for (size_t i = 0; i < o->table->n; i++) {
		const char *known = o->table->v[i].flag + 2;
		size_t d = distance(name, str_of(known));

		if (d < best && d < strlen(known)) {
			best = d;
			nearest = known;
		}
	}
	return nearest ? buf_printf(ret, " (did you mean %s%s?)", dashes, nearest) : 0;
}

int option_origin_print(const struct options *o, const struct option_slot *s, struct buf *ret)
{
	switch (s->origin) {
	case ORIGIN_FLAG:
		return buf_printf(ret, "the command line");
	case ORIGIN_ENV:
		return buf_printf(ret, "environment %s", s->env);
	case ORIGIN_FILE:
		return buf_printf(ret, "%s:%u", o->file, s->file_line);
	case ORIGIN_DEFAULT:
		break;
	}
	return buf_printf(ret, "default");
}

int option_slot_describe(const struct options *o, const struct option_slot *s, struct buf *ret)
{
	int r;

	if (!s->text)
		return buf_printf(ret, "%s: not set", s->desc->flag);
	if (s->desc->flags & OPTION_SECRET)
		r = buf_printf(ret, "%s: (hidden) (from ", s->desc->flag);
	else
		r = buf_printf(ret, "%s: \"%.*s\"%s (from ", s->desc->flag, 200, s->text,
			       strlen(s->text) > 200 ? "..." : "");
	if (r == 0)
		r = option_origin_print(o, s, ret);
	return r < 0 ? r : buf_printf(ret, ")");
}

bool options_help_wanted(const struct options *o)
{
	return o->help;
}

struct option_list options_args(const struct options *o)
{
	return (struct option_list){.v = o->args, .n = o->n_args};
}

struct str options_warnings(const struct options *o)
{
	return buf_str(&o->warnings);
}

static int usage_error(struct buf *ret_error, const char *what, struct str word)
{
	int r = buf_printf(ret_error, "config error: %s \"%.*s\"", what, STR_ARG(word));

	return r < 0 ? r : -EINVAL;
}

static int unknown_flag(const struct options *o, struct str flag, struct buf *ret_error)
{
	int r = usage_error(ret_error, "unknown option", flag);
	int r2 = str_starts(flag, STR("--")) ? option_suggest(o, str_from(flag, 2), "--", ret_error)
					     : 0;

	return r2 < 0 ? r2 : r;
}

static int missing_value(const struct option_slot *s, struct buf *ret_error)
{
	int r = buf_printf(ret_error,
			   "config error: %s: needs a value (%s=VALUE when it begins "
			   "with --)",
			   s->desc->flag, s->desc->flag);

	return r < 0 ? r : -EINVAL;
}

/* One word of argv that begins with a dash. Moves *i over the value when it is the next word. */
static int take_flag(struct options *o, int argc, char *const *argv, int *i, struct buf *ret_error)
{
	struct str value = str_of(argv[*i]), flag;
	bool has_value = str_split(&value, '=', &flag);
	struct option_slot *s = NULL;

	if (str_starts(flag, STR("--")))
		s = option_slot_find(o, str_from(flag, 2));
	if (!s)
		return unknown_flag(o, flag, ret_error);
	if (!has_value && s->desc->type == OPTION_BOOL) {
		value = STR("true");
	} else if (!has_value) {
		if (*i + 1 >= argc || str_starts(str_of(argv[*i + 1]), STR("--")))
			return missing_value(s, ret_error);
		value = str_of(argv[++*i]);
	}
	if (s->desc->type == OPTION_LIST)
		return option_slot_add(s, value, ORIGIN_FLAG);
	return option_slot_set(s, value, ORIGIN_FLAG);
}

static int take_argument(struct options *o, const char *word, struct buf *ret_error)
{
	if (o->n_args >= o->table->args_max)
		return usage_error(ret_error, "unexpected argument", str_of(word));
	o->args[o->n_args++] = word;
	return 0;
}

static bool wants_help(int argc, char *const *argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0)
			return true;
	return false;
}

static int load_flags(struct options *o, int argc, char *const *argv, struct buf *ret_error)
{
	bool only_args = false;
	int r = 0;

	for (int i = 1; i < argc && r == 0; i++) {
		if (only_args || argv[i][0] != '-' || strcmp(argv[i], "-") == 0)
			r = take_argument(o, argv[i], ret_error);
		else if (strcmp(argv[i], "--") == 0)
			only_args = true;
		else
			r = take_flag(o, argc, argv, &i, ret_error);
	}
	return r;
}

/* The value of a variable, empty when it is not set. */
static struct str env_get(char *const *env, const char *name)
{
	size_t n = strlen(name);

	for (; env && *env; env++)
		if (strncmp(*env, name, n) == 0 && (*env)[n] == '=')
			return str_of(*env + n + 1);
	return (struct str){0};
}

static int load_env(struct option_slot *s, char *const *env)
{
	char room[OPTION_NAME_MAX];
	const char *name;

	if (s->text)
		return 0;
	for (size_t i = 0; (name = option_env_name(s->desc, i, room)); i++) {
		struct str value = env_get(env, name);

		if (str_empty(value))
			continue;
		(void)snprintf(s->env, sizeof(s->env), "%s", name);
		return option_slot_set(s, value, ORIGIN_ENV);
	}
	return 0;
}

static int load_file(struct options *o, struct buf *ret_error)
{
	for (size_t i = 0; i < o->table->n; i++) {
		if (!(o->slots[i].desc->flags & OPTION_CONFIG_FILE) || !o->slots[i].text)
			continue;
		o->file = str_dup(str_of(o->slots[i].text));
		return o->file ? option_file_load(o, ret_error) : -ENOMEM;
	}
	return 0;
}

static int warn_ignored(struct options *o, const struct option_slot *s)
{
	int r;

	if (!(s->desc->flags & OPTION_IGNORED) || s->origin == ORIGIN_DEFAULT)
		return 0;
	r = option_slot_describe(o, s, &o->warnings);
	return r < 0 ? r : buf_printf(&o->warnings, ": has no effect; %s\n", s->desc->why);
}

static int settle(struct options *o, struct option_slot *s, struct buf *ret_error)
{
	int r = 0;

	if (!s->text && s->desc->def)
		r = option_slot_set(s, str_of(s->desc->def), ORIGIN_DEFAULT);
	if (r == 0)
		r = option_slot_convert(o, s, ret_error);
	return r < 0 ? r : warn_ignored(o, s);
}

int options_load(struct options *o, int argc, char *const *argv, char *const *env,
		 struct buf *ret_error)
{
	int r;

	o->help = wants_help(argc, argv);
	if (o->help)
		return 0;
	o->args = calloc(o->table->args_max + 1, sizeof(*o->args));
	if (!o->args)
		return -ENOMEM;
	r = load_flags(o, argc, argv, ret_error);
	for (size_t i = 0; i < o->table->n && r == 0; i++)
		r = load_env(&o->slots[i], env);
	if (r == 0)
		r = load_file(o, ret_error);
	for (size_t i = 0; i < o->table->n && r == 0; i++)
		r = settle(o, &o->slots[i], ret_error);
	return r;
}
