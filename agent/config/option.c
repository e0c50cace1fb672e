/*
 * Flags and environment, and which of all sources wins.
 */
#include "config/option.h"
#include "config/option_slots.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>

#define WARNINGS_MAX 16384 /* bytes; what is over it is not told */
#define ENV_PREFIX   "KINDRED_"
#define ENV_NAME_MIN 6 /* letters behind it: shorter names resemble anything */

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
	option_faults_init(o);
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
	buf_done(&(*o)->errors);
	buf_done(&(*o)->line);
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

static struct option_slot *find_letter(struct options *o, struct str letter)
{
	for (size_t i = 0; i < o->table->n; i++)
		if (o->table->v[i].letter && str_eq(str_of(o->table->v[i].letter), letter))
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

struct str options_errors(const struct options *o)
{
	return buf_str(&o->errors);
}

static int usage_fault(struct options *o, const char *what, struct str word)
{
	struct buf *words = option_fault(o);
	int r = buf_printf(words, "%s ", what);

	return option_fault_end(o, r < 0 ? r : option_quote(words, word));
}

/* Moves *i over what looks like its value. */
static int unknown_flag(struct options *o, struct str flag, bool has_value, int argc,
			char *const *argv, int *i)
{
	struct buf *words = option_fault(o);
	int r = buf_append_str(words, STR("unknown option "));

	if (!has_value && *i + 1 < argc && argv[*i + 1][0] != '-')
		++*i;
	if (r == 0)
		r = option_quote(words, flag);
	if (r == 0 && str_starts(flag, STR("--")))
		r = option_suggest(o, str_from(flag, 2), "--", words);
	return option_fault_end(o, r);
}

/* One word of argv that begins with a dash. Moves *i over the value when it is the next word. */
static int take_flag(struct options *o, int argc, char *const *argv, int *i)
{
	struct str value = str_of(argv[*i]), flag;
	bool has_value = str_split(&value, '=', &flag);
	struct option_slot *s = str_starts(flag, STR("--")) ? option_slot_find(o, str_from(flag, 2))
							    : find_letter(o, flag);

	if (!s)
		return unknown_flag(o, flag, has_value, argc, argv, i);
	if (!has_value && s->desc->type == OPTION_BOOL) {
		value = STR("true");
	} else if (!has_value) {
		if (*i + 1 >= argc || str_starts(str_of(argv[*i + 1]), STR("--")))
			return options_fault(o,
					     "%s: needs a value (%s=VALUE when it begins with --)",
					     s->desc->flag, s->desc->flag);
		value = str_of(argv[++*i]);
	}
	if (s->desc->type == OPTION_LIST)
		return option_slot_add(s, value, ORIGIN_FLAG);
	return option_slot_set(s, value, ORIGIN_FLAG);
}

static int take_argument(struct options *o, const char *word)
{
	if (o->n_args >= o->table->args_max)
		return usage_fault(o, "unexpected argument", str_of(word));
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

static int load_flags(struct options *o, int argc, char *const *argv)
{
	bool only_args = false;
	int r = 0;

	for (int i = 1; i < argc && r == 0; i++) {
		if (only_args || argv[i][0] != '-' || strcmp(argv[i], "-") == 0)
			r = take_argument(o, argv[i]);
		else if (strcmp(argv[i], "--") == 0)
			only_args = true;
		else
			r = take_flag(o, argc, argv, &i);
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

static int set_from_env(struct option_slot *s, struct str value)
{
	_buf_ struct buf with_unit = {.max = 256};
	unsigned long long number;
	int r;

	if (!s->desc->env_unit || str_to_u64(value, &number) < 0)
		return option_slot_set(s, value, ORIGIN_ENV);
	r = buf_printf(&with_unit, "%.*s%s", STR_ARG(value), s->desc->env_unit);
	return r < 0 ? r : option_slot_set(s, buf_str(&with_unit), ORIGIN_ENV);
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
		return set_from_env(s, value);
	}
	return 0;
}

/* Kubernetes sets KINDRED_SERVICE_HOST and its like where a Service is called so: what resembles no
 * option is none of our business. */
static int warn_unknown_env(struct options *o, struct str name)
{
	const struct str given = str_from(name, sizeof(ENV_PREFIX) - 1);
	char key[OPTION_NAME_MAX], room[OPTION_NAME_MAX];
	struct option_slot *s;
	const char *nearest;
	size_t n = 0;

	for (; n < given.n && n + 1 < sizeof(key); n++)
		key[n] = given.p[n] == '_' ? '-' : (char)tolower((unsigned char)given.p[n]);
	key[n] = '\0';
	nearest = option_nearest(o, str_of(key));
	s = nearest ? option_slot_find(o, str_of(nearest)) : NULL;
	if (n < ENV_NAME_MIN || n < given.n || !s || !option_env_name(s->desc, 0, room))
		return 0;
	return buf_printf(&o->warnings,
			  "environment %.*s: no option has it, it is ignored (did "
			  "you mean %s?)\n",
			  STR_ARG(name), option_env_name(s->desc, 0, room));
}

static bool is_known_env(const struct options *o, struct str name)
{
	char room[OPTION_NAME_MAX];
	const char *known;

	for (size_t i = 0; i < o->table->n; i++)
		for (size_t k = 0; (known = option_env_name(&o->table->v[i], k, room)); k++)
			if (str_eq(name, str_of(known)))
				return true;
	return false;
}

/* Of the command with a file, whose options all have variables: others know but some of them. */
static int look_at_env(struct options *o, char *const *env)
{
	struct str rest, name;
	int r = 0;

	for (; env && *env && r == 0; env++) {
		rest = str_of(*env);
		(void)str_split(&rest, '=', &name);
		if (str_starts(name, STR(ENV_PREFIX)) && rest.n && !is_known_env(o, name))
			r = warn_unknown_env(o, name);
	}
	return r == -EMSGSIZE ? 0 : r;
}

static int load_file(struct options *o, char *const *env)
{
	for (size_t i = 0; i < o->table->n; i++) {
		int r;

		if (!(o->slots[i].desc->flags & OPTION_CONFIG_FILE))
			continue;
		r = look_at_env(o, env);
		if (r < 0 || !o->slots[i].text)
			return r;
		o->file = str_dup(str_of(o->slots[i].text));
		return o->file ? option_file_load(o) : -ENOMEM;
	}
	return 0;
}

static int warn_ignored(struct options *o, const struct option_slot *s)
{
	int r;

	if (!(s->desc->flags & OPTION_IGNORED) || s->origin == ORIGIN_DEFAULT)
		return 0;
	r = option_slot_describe(o, s, &o->warnings);
	if (r == 0)
		r = buf_printf(&o->warnings, ": has no effect; %s\n", s->desc->why);
	return r == -EMSGSIZE ? 0 : r;
}

static int settle(struct options *o, struct option_slot *s)
{
	int r = 0;

	if (!s->text && s->desc->def)
		r = option_slot_set(s, str_of(s->desc->def), ORIGIN_DEFAULT);
	if (r == 0)
		r = option_slot_convert(o, s);
	return r < 0 ? r : warn_ignored(o, s);
}

int options_settle(struct options *o)
{
	int r = 0;

	for (size_t i = 0; i < o->table->n && r == 0; i++)
		r = settle(o, &o->slots[i]);
	return r < 0 ? r : options_checked(o);
}

int options_load(struct options *o, int argc, char *const *argv, char *const *env)
{
	int r;

	o->help = wants_help(argc, argv);
	if (o->help)
		return 0;
	o->args = calloc(o->table->args_max + 1, sizeof(*o->args));
	if (!o->args)
		return -ENOMEM;
	r = load_flags(o, argc, argv);
	for (size_t i = 0; i < o->table->n && r == 0; i++)
		r = load_env(&o->slots[i], env);
	if (r == 0)
		r = load_file(o, env);
	return r < 0 ? r : options_settle(o);
}
