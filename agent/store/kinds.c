/*
 * Kinds: what a resource of the API is called, which of its fields are an index,
 * and how it is found by the names people use.
 */
#include "store/inside.h"

#include <errno.h>
#include <stdlib.h>

#define MAX_TEXT 512 /* bytes of a group, version, kind or plural name; API names have 253 */

struct kind_rec *kind_live(const struct store *s, store_kind k)
{
	if (!k || k > s->n_kinds || !s->kinds[k] || s->kinds[k]->removed)
		return NULL;
	return s->kinds[k];
}

void kind_free(struct store *s, store_kind k)
{
	struct kind_rec *kind = s->kinds[k];

	for (uint32_t i = 0; i < kind->n_paths; i++)
		path_free(&kind->paths[i]);
	index_done(&kind->by_keys);
	free(kind->dict);
	free(kind->text);
	free(kind);
	s->kinds[k] = NULL;
	while (s->n_kinds && !s->kinds[s->n_kinds])
		s->n_kinds--;
}

void kind_release(struct store *s, store_kind k)
{
	if (!s->kinds[k]->removed || s->kinds[k]->recs)
		return;
	stats_add(&s->gone, &s->kinds[k]->stats);
	kind_free(s, k);
}

/* ---- adding ---------------------------------------------------------------------------------- */

static struct str put_text(char **at, struct str s)
{
	struct str ret = str_make(*at, s.n);

	if (s.n)
		memcpy(*at, s.p, s.n);
	*at += s.n;
	return ret;
}

/* One allocation: "GROUP/VERSION", which both are parts of, then kind and plural. */
static int copy_texts(struct kind_rec *kind, const struct store_kind_opts *o)
{
	size_t slash = str_empty(o->group) ? 0 : 1;
	char *at;

	if (o->group.n > MAX_TEXT || o->version.n > MAX_TEXT || o->kind.n > MAX_TEXT ||
	    o->plural.n > MAX_TEXT)
		return -EMSGSIZE;
	kind->text = at = malloc(o->group.n + slash + o->version.n + o->kind.n + o->plural.n + 1);
	if (!at)
		return -ENOMEM;
	kind->group = put_text(&at, o->group);
	(void)put_text(&at, str_make("/", slash));
	kind->version = put_text(&at, o->version);
	kind->api_version = str_make(kind->text, o->group.n + slash + o->version.n);
	kind->kind = put_text(&at, o->kind);
	kind->plural = put_text(&at, o->plural);
	return 0;
}

static int add_indexes(struct kind_rec *kind, const struct store_kind_opts *o,
		       struct buf *ret_error)
{
	if (o->n_indexes > STORE_MAX_INDEXES) {
		(void)buf_printf(ret_error, "an index has at most %d expressions",
				 STORE_MAX_INDEXES);
		return -EINVAL;
	}
	for (uint32_t i = 0; i < o->n_indexes; i++) {
		int r = path_new(o->indexes[i], &kind->paths[i], ret_error);

		if (r < 0)
			return r;
		kind->n_paths++;
	}
	return 0;
}

static bool is_there(const struct store *s, const struct store_kind_opts *o)
{
	for (store_kind k = store_kind_next(s, 0); k; k = store_kind_next(s, k))
		if (str_eq(s->kinds[k]->plural, o->plural) &&
		    str_eq(s->kinds[k]->group, o->group) &&
		    str_eq(s->kinds[k]->version, o->version))
			return true;
	return false;
}

int store_kind_add(struct store *s, const struct store_kind_opts *o, store_kind *ret,
		   struct buf *ret_error)
{
	struct kind_rec *kind;
	store_kind k = 1;
	int r;

	while (k <= STORE_MAX_KINDS && s->kinds[k])
		k++;
	if (k > STORE_MAX_KINDS)
		return -EMSGSIZE;
	if (is_there(s, o)) {
		(void)buf_printf(ret_error, "%.*s.%.*s %.*s is there already", STR_ARG(o->plural),
				 STR_ARG(o->group), STR_ARG(o->version));
		return -EINVAL;
	}
	kind = calloc(1, sizeof(*kind));
	if (!kind)
		return -ENOMEM;
	kind->namespaced = o->namespaced;
	kind->metadata_only = o->metadata_only;
	kind->keep = o->keep;
	s->kinds[k] = kind;
	s->n_kinds = MAX(s->n_kinds, k);
	r = copy_texts(kind, o);
	if (r == 0)
		r = add_indexes(kind, o, ret_error);
	if (r < 0) {
		kind_free(s, k);
		return r;
	}
	*ret = k;
	return 0;
}

void store_kind_remove(struct store *s, store_kind k, nsec_t now)
{
	struct kind_rec *kind = kind_live(s, k);

	if (!kind)
		return;
	for (uint16_t i = 1; i <= s->n_sources; i++)
		if (s->sources[i - 1].kind == k)
			source_end(s, i, now);
	kind->removed = true;
	kind_release(s, k);
	store_wake(s);
}

/* ---- reading --------------------------------------------------------------------------------- */

static enum store_sync sync_of(const struct kind_rec *kind)
{
	if (kind->n_sources && kind->n_synced == kind->n_sources)
		return STORE_SYNCED;
	return kind->n_begun ? STORE_LISTING : STORE_NEVER;
}

bool store_kind_get(const struct store *s, store_kind k, struct store_kind_view *ret)
{
	const struct kind_rec *kind;

	if (!k || k > s->n_kinds || !s->kinds[k])
		return false;
	kind = s->kinds[k];
	*ret = (struct store_kind_view){
		.group = kind->group,
		.version = kind->version,
		.kind = kind->kind,
		.plural = kind->plural,
		.api_version = kind->api_version,
		.namespaced = kind->namespaced,
		.metadata_only = kind->metadata_only,
		.sync = sync_of(kind),
		.synced_at = kind->synced_at,
		.objects = kind->stats.objects,
	};
	return true;
}

/* "plural.group" or "plural.version.group". */
static bool is_full_name(const struct kind_rec *kind, struct str name)
{
	struct str head;

	if (!str_split(&name, '.', &head) || !str_ieq(head, kind->plural))
		return false;
	if (str_eq(name, kind->group))
		return true;
	return str_split(&name, '.', &head) && str_eq(head, kind->version) &&
	       str_eq(name, kind->group);
}

store_kind store_kind_find(const struct store *s, struct str name)
{
	for (store_kind k = store_kind_next(s, 0); k; k = store_kind_next(s, k)) {
		const struct kind_rec *kind = s->kinds[k];

		if (str_ieq(name, kind->plural) || str_ieq(name, kind->kind) ||
		    is_full_name(kind, name))
			return k;
	}
	return 0;
}

store_kind store_kind_next(const struct store *s, store_kind k)
{
	while (k < s->n_kinds)
		if (kind_live(s, ++k))
			return k;
	return 0;
}
