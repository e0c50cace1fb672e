/*
 * The walk over an object: every value once, with what its name and its place say;
 * texts that are JSON are walked as well. What changes is masked in place.
 */
#include "tree/redact.h"

#include "base/mem.h"
#include "tree/redact_parts.h"

#include <errno.h>
#include <stdlib.h>

#define OPTIONS_MAX  ((size_t)1 << 20) /* bytes of all option texts */
#define MAX_EMBEDDED 6	/* JSON within texts within JSON; what is deeper goes as a whole */
#define LEAST_KEY    20 /* bytes; a shorter key can hold no secret */
#define LEAST_TEXT   6

struct walk {
	struct redact *r;
	struct arena *a;
	uint32_t embedded;
	bool secret; /* of a kind that holds secrets: every `data` does */
	bool changed;
};

const struct str redact_drop_prefixes[] = {
	STR("kubectl.kubernetes.io/"),
	STR("meta.helm.sh/"),
	STR("helm.sh/"),
	STR("deployment.kubernetes.io/"),
	STR("control-plane.alpha.kubernetes.io/"),
	STR("kubernetes.io/"),
	{0},
};

const char *redact_found_name(enum redact_found f)
{
	static const char *const names[_REDACT_FOUND_MAX] = {
		[REDACT_SECRET_VALUE] = "secret_value",
		[REDACT_CONFIG_VALUE] = "config_value",
		[REDACT_ENV_VALUE] = "env_value",
		[REDACT_NAMED_VALUE] = "named_value",
		[REDACT_URL_USERINFO] = "url_userinfo",
		[REDACT_AUTHORIZATION] = "authorization",
		[REDACT_PEM] = "pem",
		[REDACT_JWT] = "jwt",
		[REDACT_PROVIDER_KEY] = "provider_key",
		[REDACT_FLAG] = "flag",
		[REDACT_ENTROPY] = "entropy",
	};

	return f < _REDACT_FOUND_MAX ? names[f] : "?";
}

/* ---- options ---- */

static int take_prefixes(struct redact *r, const struct redact_opts *o)
{
	const struct str *from = o->drop_prefixes ? o->drop_prefixes : redact_drop_prefixes;
	uint32_t n = o->drop_prefixes ? o->n_drop_prefixes : ARRAY_SIZE(redact_drop_prefixes) - 1;
	int e = 0;

	if (!n)
		return 0;
	r->prefixes = calloc(n, sizeof(*r->prefixes));
	if (!r->prefixes)
		return -ENOMEM;
	for (; r->n_prefixes < n && e == 0; r->n_prefixes++)
		e = arena_dup(&r->own, from[r->n_prefixes], &r->prefixes[r->n_prefixes]);
	return e;
}

static int take_paths(struct redact *r, const struct redact_opts *o, struct buf *ret_error)
{
	int e = 0;

	if (!o->n_drop)
		return 0;
	r->drop = calloc(o->n_drop, sizeof(*r->drop));
	if (!r->drop)
		return -ENOMEM;
	for (; r->n_drop < o->n_drop && e == 0; r->n_drop += e == 0)
		e = path_new(o->drop[r->n_drop], &r->drop[r->n_drop], ret_error);
	return e;
}

int redact_new(const struct redact_opts *o, struct redact **ret, struct buf *ret_error)
{
	struct redact *r = calloc(1, sizeof(*r));
	int e;

	if (!r)
		return -ENOMEM;
	arena_init(&r->own, OPTIONS_MAX);
	r->config_map_values = o->config_map_values;
	r->env_values = o->env_values;
	e = take_prefixes(r, o);
	if (e == 0)
		e = take_paths(r, o, ret_error);
	if (e < 0)
		redact_free(&r);
	else
		*ret = r;
	return e;
}

void redact_free(struct redact **r)
{
	if (!*r)
		return;
	for (uint32_t i = 0; i < (*r)->n_drop; i++)
		path_free(&(*r)->drop[i]);
	free((*r)->drop);
	free((*r)->prefixes);
	arena_done(&(*r)->own);
	free(*r);
	*r = NULL;
}

uint64_t redact_count(const struct redact *r, enum redact_found f)
{
	return r->counts[f];
}

/* ---- texts ---- */

static int build(const struct search *s, struct arena *a, struct str *ret)
{
	static const struct str mask = REDACT_MASK;
	size_t n = s->s.n + s->n * mask.n, at = 0, done = 0;
	char *p;

	if (s->all) {
		*ret = mask;
		return 0;
	}
	p = arena_alloc(a, n);
	if (!p)
		return -ENOMEM;
	for (uint32_t i = 0; i < s->n; i++) {
		memcpy(p + at, s->s.p + done, s->spans[i].from - done);
		at += s->spans[i].from - done;
		memcpy(p + at, mask.p, mask.n);
		at += mask.n;
		done = s->spans[i].to;
	}
	if (done < s->s.n)
		memcpy(p + at, s->s.p + done, s->s.n - done);
	*ret = str_make(p, at + s->s.n - done);
	return 0;
}

/* 1 when the text is another now, 0 or -ENOMEM. */
static int search_text(struct redact *r, struct arena *a, struct str text, struct str *ret)
{
	struct search s;
	int e;

	s.s = text;
	s.n = 0;
	s.all = false;
	s.next_at = 0;
	s.counts = r->counts;
	text_search(&s);
	if (!s.n && !s.all)
		return 0;
	e = build(&s, a, ret);
	return e < 0 ? e : 1;
}

int redact_string(struct redact *r, struct arena *a, struct str text, struct str *ret)
{
	int e = text.n < LEAST_TEXT ? 0 : search_text(r, a, text, ret);

	if (e == 0)
		*ret = text;
	return MIN(e, 0);
}

static void mask(struct walk *w, struct tree *t, enum redact_found what)
{
	if (t->type == TREE_STRING && str_eq(t->text, REDACT_MASK))
		return;
	tree_become_text(t, REDACT_MASK);
	w->r->counts[what]++;
	w->changed = true;
}

static int walk_value(struct walk *w, struct tree *t);

/* A text that is JSON: as an object, so that names in it count. */
static int walk_embedded(struct walk *w, struct tree *t)
{
	struct walk inner = {
		.r = w->r, .a = w->a, .embedded = w->embedded + 1, .secret = w->secret};
	_buf_ struct buf b;
	struct tree *root;
	int r;

	buf_init(&b, w->a->max);
	r = tree_parse(w->a, t->text, &root);
	if (r < 0)
		return r == -ENOMEM ? r : 0;
	r = walk_value(&inner, root);
	if (r < 0 || !inner.changed)
		return r;
	r = tree_write(&b, root);
	if (r == 0)
		r = arena_dup(w->a, buf_str(&b), &t->text);
	w->changed = true;
	return r < 0 ? -ENOMEM : 0;
}

/* A manifest in YAML that holds values: it is not parsed here, so all of it goes. */
static bool holds_yaml_secret(struct str s)
{
	return s.n > 24 && memchr(s.p, '\n', s.n) &&
	       memmem(s.p, s.n, "kind: Secret", sizeof("kind: Secret") - 1) &&
	       (memmem(s.p, s.n, "data:", 5) || memmem(s.p, s.n, "Data:", 5));
}

static int walk_text(struct walk *w, struct tree *t)
{
	int r = 0;

	if (t->text.n < LEAST_TEXT)
		return 0;
	if (holds_yaml_secret(t->text)) {
		mask(w, t, REDACT_SECRET_VALUE);
		return 0;
	}
	if (t->text.p[0] == '{' || t->text.p[0] == '[') {
		if (w->embedded == MAX_EMBEDDED && memchr(t->text.p, '"', t->text.n))
			mask(w, t, REDACT_SECRET_VALUE);
		else if (w->embedded < MAX_EMBEDDED)
			r = walk_embedded(w, t);
	}
	if (r == 0)
		r = search_text(w->r, w->a, t->text, &t->text);
	w->changed = w->changed || r > 0;
	return MIN(r, 0);
}

/* ---- places ---- */

static bool is_scalar(const struct tree *t)
{
	return t->type == TREE_STRING || t->type == TREE_NUMBER;
}

/* A value whose name speaks of it. */
static bool must_mask(struct str name, const struct tree *value)
{
	enum name_says says = is_scalar(value) ? name_says(name) : NAME_HARMLESS;

	if (says == NAME_HARMLESS || value_is_reference(value->text))
		return false;
	return says == NAME_SECRET || (value->type == TREE_STRING && !value_is_name(value->text) &&
				       !value_is_path(value->text));
}

static void mask_all(struct walk *w, struct tree *object, enum redact_found what)
{
	if (object->type == TREE_STRING)
		mask(w, object, what);
	for (struct tree *m = object->first; m && object->type == TREE_OBJECT; m = m->next)
		mask(w, m, what);
}

/* `data` of what is a Secret or ConfigMap, itself or within another object. */
static bool mask_data(struct walk *w, struct tree *m, struct str kind)
{
	bool data = str_eq(m->key, STR("data"));
	bool secret = w->secret || str_eq(kind, STR("Secret"));

	if (str_eq(m->key, STR("stringData")) ||
	    (secret && (data || str_eq(m->key, STR("encryptedData"))))) {
		mask_all(w, m, REDACT_SECRET_VALUE);
		return m->type == TREE_OBJECT;
	}
	if (!str_eq(kind, STR("ConfigMap")))
		return false;
	if ((data && !w->r->config_map_values) || str_eq(m->key, STR("binaryData"))) {
		mask_all(w, m, REDACT_CONFIG_VALUE);
		return true;
	}
	return false;
}

static bool is_env_name(struct str name)
{
	for (size_t i = 0; i < name.n; i++)
		if (!(name.p[i] >= 'A' && name.p[i] <= 'Z') && name.p[i] != '_' &&
		    !(i && name.p[i] >= '0' && name.p[i] <= '9'))
			return false;
	return name.n > 0;
}

/* "env", "extraEnv", "envVars", "environment". */
static bool holds_env(struct str key)
{
	return str_eq(key, STR("env")) || str_ends(key, STR("Env")) || str_ends(key, STR("_env")) ||
	       str_ends(key, STR("EnvVars")) || str_ends(key, STR("envVars")) ||
	       str_eq(key, STR("environment")) || str_eq(key, STR("environmentVariables"));
}

static void mask_env_value(struct walk *w, struct str name, struct tree *value)
{
	if (is_scalar(value) && value->text.n && (!w->r->env_values || name_is_sensitive(name)))
		mask(w, value, REDACT_ENV_VALUE);
}

static struct tree *member(struct tree *object, struct str key)
{
	for (struct tree *m = object->type == TREE_OBJECT ? object->first : NULL; m; m = m->next)
		if (str_eq(m->key, key))
			return m;
	return NULL;
}

/* A list of {name, value}, or an object of NAME: value. */
static void mask_env(struct walk *w, struct tree *env)
{
	for (struct tree *e = env->first; e; e = e->next) {
		struct tree *name = member(e, STR("name")), *value = member(e, STR("value"));

		if (env->type == TREE_ARRAY && value)
			mask_env_value(w, tree_text(name), value);
		if (env->type == TREE_OBJECT && is_env_name(e->key))
			mask_env_value(w, e->key, e);
	}
}

/* {name: "db.password", value: "..."} anywhere. Returns what kind the object says it is of. */
static struct str look_around(struct walk *w, struct tree *object)
{
	struct tree *value = NULL;
	struct str name = {0}, kind = {0};

	for (struct tree *m = object->first; m; m = m->next) {
		if (m->key.n < 4 || m->key.n > 5 || !is_scalar(m))
			continue;
		if (str_eq(m->key, STR("kind")))
			kind = m->text;
		else if (str_eq(m->key, STR("name")))
			name = m->text;
		else if (str_eq(m->key, STR("value")))
			value = m;
	}
	if (value && name.n && must_mask(name, value))
		mask(w, value, REDACT_NAMED_VALUE);
	return kind;
}

static int walk_key(struct walk *w, struct tree *m)
{
	int r = m->key.n < LEAST_KEY ? 0 : search_text(w->r, w->a, m->key, &m->key);

	w->changed = w->changed || r > 0;
	return MIN(r, 0);
}

static int walk_member(struct walk *w, struct tree *m, struct str kind)
{
	int r = walk_key(w, m);

	if (r < 0 || mask_data(w, m, kind))
		return r;
	if (must_mask(m->key, m)) {
		mask(w, m, REDACT_NAMED_VALUE);
		return 0;
	}
	if (m->first && holds_env(m->key))
		mask_env(w, m);
	return walk_value(w, m);
}

static int walk_object(struct walk *w, struct tree *t)
{
	static const struct str applied = STR("kubectl.kubernetes.io/last-applied-configuration");
	struct str kind = look_around(w, t);
	int r = 0;

	for (struct tree *m = t->first, *next; m && r == 0; m = next) {
		next = m->next;
		if (m->key.n != applied.n || !str_eq(m->key, applied)) {
			r = walk_member(w, m, kind);
			continue;
		}
		tree_remove(t, m);
		w->changed = true;
	}
	return r;
}

/* "--password", "hunter2": a flag and its value as words of their own. */
static bool is_flag_value(const struct tree *flag, const struct tree *t)
{
	struct str value = t->text, user;
	unsigned long long id;

	if (!flag || flag->type != TREE_STRING || t->type != TREE_STRING || !value.n ||
	    value.p[0] == '-' || value_is_reference(value))
		return false;
	if (str_eq(flag->text, STR("-u")) || str_eq(flag->text, STR("--user")))
		return str_split(&value, ':', &user) && value.n && str_to_u64(user, &id) < 0 &&
		       !str_starts(value, STR("//"));
	return text_is_flag(flag->text) &&
	       (name_says(flag->text) == NAME_SECRET || !value_is_path(value));
}

static int walk_array(struct walk *w, struct tree *t)
{
	const struct tree *before = NULL;
	int r = 0;

	for (struct tree *e = t->first; e && r == 0; before = e, e = e->next) {
		if (is_flag_value(before, e))
			mask(w, e, REDACT_FLAG);
		else
			r = walk_value(w, e);
	}
	return r;
}

static int walk_value(struct walk *w, struct tree *t)
{
	switch ((enum tree_type)t->type) {
	case TREE_STRING:
		return walk_text(w, t);
	case TREE_ARRAY:
		return walk_array(w, t);
	case TREE_OBJECT:
		return walk_object(w, t);
	case TREE_NULL:
	case TREE_FALSE:
	case TREE_TRUE:
	case TREE_NUMBER:
	case _TREE_TYPE_MAX:
		break;
	}
	return 0;
}

/* ---- objects ---- */

/* In front, where the API server has it in what it does not leave it out of. */
static int put_first(struct arena *a, struct tree *object, struct str key, struct str value)
{
	struct tree *m = member(object, key);
	int r = 0;

	if (!value.n || (m && str_eq(tree_text(m), value)))
		return 0;
	r = arena_dup(a, value, &value);
	if (r == 0 && !m) {
		m = arena_alloc(a, sizeof(*m));
		if (!m)
			return -ENOMEM;
		*m = (struct tree){.key = key, .next = object->first};
		object->first = m;
		if (!object->last)
			object->last = m;
		object->n++;
	}
	if (r < 0)
		return r;
	tree_become_text(m, value);
	return 0;
}

static bool dropped_annotation(const struct redact *r, struct str key)
{
	for (uint32_t i = 0; i < r->n_prefixes; i++)
		if (str_starts(key, r->prefixes[i]))
			return true;
	return false;
}

static void drop_annotations(const struct redact *r, struct tree *meta)
{
	struct tree *annotations = member(meta, STR("annotations"));

	if (!annotations || annotations->type != TREE_OBJECT || !annotations->n)
		return;
	for (struct tree *m = annotations->first, *next; m; m = next) {
		next = m->next;
		if (dropped_annotation(r, m->key))
			tree_remove(annotations, m);
	}
	if (!annotations->n)
		tree_remove(meta, annotations);
}

static void drop_fields(const struct redact *r, struct tree *t)
{
	static const struct str noise[] = {STR("managedFields"), STR("selfLink")};
	struct tree *meta = member(t, STR("metadata"));

	for (size_t i = 0; meta && i < ARRAY_SIZE(noise); i++) {
		struct tree *m = member(meta, noise[i]);

		if (m)
			tree_remove(meta, m);
	}
	if (meta)
		drop_annotations(r, meta);
	for (uint32_t i = 0; i < r->n_drop; i++)
		(void)path_remove(r->drop[i], t);
}

int redact_object(struct redact *r, struct arena *a, struct tree *t, struct str api_version,
		  struct str kind, enum redact_verdict *ret)
{
	struct walk w = {.r = r, .a = a};
	int e;

	if (t->type != TREE_OBJECT) {
		*ret = REDACT_SKIP;
		return 0;
	}
	e = put_first(a, t, STR("apiVersion"), api_version);
	if (e == 0)
		e = put_first(a, t, STR("kind"), kind);
	if (e < 0)
		return e;
	kind = tree_text(member(t, STR("kind")));
	*ret = object_is_skipped(t, kind) ? REDACT_SKIP : REDACT_KEEP;
	drop_fields(r, t);
	w.secret = str_ends(kind, STR("Secret"));
	return walk_value(&w, t);
}
