/*
 * The text of a document. What is said, and in which order, is the template
 * (DOC_TEMPLATE): whoever changes it changes the template's name, for everything is
 * embedded anew by it.
 */
#include "sink/vector/document_text.h"

#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>

/* Labels that say nothing of the object, or change with every rollout. */
static bool noisy_key(struct str key)
{
	static const char *const noisy[] = {
		"pod-template-hash",
		"controller-revision-hash",
		"pod-template-generation",
		"statefulset.kubernetes.io/pod-name",
		"apps.kubernetes.io/pod-index",
		"helm.sh/chart",
		"app.kubernetes.io/managed-by",
		"heritage",
		"chart",
		"controller-uid",
		"batch.kubernetes.io/controller-uid",
		"kubernetes.io/metadata.name",
	};

	for (size_t i = 0; i < ARRAY_SIZE(noisy); i++)
		if (str_eq(key, str_of(noisy[i])))
			return true;
	return str_starts(key, STR("checksum/"));
}

static struct str short_key(struct str key)
{
	struct str rest = key, prefix;

	return str_split(&rest, '/', &prefix) && str_starts(prefix, STR("app.kubernetes.io")) ? rest
											      : key;
}

void document_pairs(struct prose *t, const struct tree *object)
{
	_free_ const struct tree **pairs = NULL;
	uint32_t n;

	if (document_sorted(object, &pairs, &n) < 0) {
		t->r = -ENOMEM;
		return;
	}
	for (uint32_t i = 0; i < n; i++)
		if (!noisy_key(pairs[i]->key))
			PROSE_ITEM(t, short_key(pairs[i]->key), prose_value(pairs[i]->text));
}

static bool tells(struct str key)
{
	return str_ends(key, STR("description")) || str_ends(key, STR("summary")) ||
	       str_ends(key, STR("/purpose")) || str_ends(key, STR("/owner")) ||
	       str_ends(key, STR("/team")) || str_eq(key, STR("purpose")) ||
	       str_eq(key, STR("owner")) || str_eq(key, STR("team"));
}

/* Annotations that people write for people. */
static void put_descriptions(struct prose *t, const struct tree *object)
{
	_free_ const struct tree **notes = NULL;
	uint32_t n;

	if (document_sorted(tree_at(object, "metadata.annotations"), &notes, &n) < 0) {
		t->r = -ENOMEM;
		return;
	}
	for (uint32_t i = 0; i < n; i++)
		if (tells(notes[i]->key))
			PROSE_ITEM(t,
				   str_make(notes[i]->text.p, MIN(notes[i]->text.n, (size_t)300)));
}

static void put_owners(struct prose *t, const struct doc_owner *owners, uint32_t n)
{
	prose_part(t, "owned by");
	for (uint32_t i = n; i-- > 0;)
		PROSE_ITEM(t, owners[i].kind, owners[i].name);
}

struct names {
	struct str group, kind, ns, name, api_version;
};

static void put_head(struct prose *t, const struct doc_opts *o, const struct names *n)
{
	prose_part(t, "");
	PROSE_ITEM(t, n->kind, n->name);
	prose_part(t, "namespace");
	PROSE_ITEM(t, n->ns.n ? n->ns : STR("_cluster"));
	prose_part(t, "apiVersion");
	PROSE_ITEM(t, n->api_version);
	prose_part(t, "cluster");
	PROSE_ITEM(t, o->cluster);
}

static struct names names_of(const struct tree *object)
{
	struct names n = {.kind = tree_text_at(object, "kind"),
			  .ns = tree_text_at(object, "metadata.namespace"),
			  .name = tree_text_at(object, "metadata.name"),
			  .api_version = tree_text_at(object, "apiVersion")};
	struct str rest = n.api_version;

	if (!str_split(&rest, '/', &n.group))
		n.group = (struct str){0};
	return n;
}

static void put_rich(struct prose *t, const struct doc_opts *o, const struct tree *object,
		     const struct doc_owner *owners, uint32_t n_owners)
{
	const struct names n = names_of(object);

	(void)prose_name(t, n.name);
	(void)prose_name(t, n.ns);
	put_head(t, o, &n);
	put_owners(t, owners, n_owners);
	prose_part(t, "labels");
	document_pairs(t, tree_at(object, "metadata.labels"));
	prose_part(t, "");
	put_descriptions(t, object);
	if (document_pod_spec(object))
		document_pod(t, object);
	if (!document_kind(t, n.group, n.kind, object) && !document_pod_spec(object))
		document_custom(t, object);
	if (o->status)
		document_status(t, object);
	prose_part(t, "");
	PROSE_ITEM(t, document_synonyms(n.group, n.kind));
	document_long_forms(t);
	if (document_pod_spec(object))
		document_variables(t, object);
}

/* S2's text, as its receiver makes it. */
static void put_metadata(struct prose *t, const struct tree *object)
{
	const struct names n = names_of(object);
	struct str ns = n.ns.n ? n.ns : STR("_cluster");

	prose_part(t, "");
	PROSE_ITEM(t, n.kind, n.name);
	prose_part(t, "namespace:");
	PROSE_ITEM(t, ns);
	prose_part(t, "apiVersion:");
	PROSE_ITEM(t, n.api_version);
	prose_part(t, "labels:");
	tree_each(l, tree_at(object, "metadata.labels"))
	{
		_buf_ struct buf pair = {.max = 1024};

		if (buf_printf(&pair, "%.*s=%.*s", STR_ARG(l->key), STR_ARG(l->text)) == 0)
			PROSE_ITEM(t, buf_str(&pair));
	}
	prose_part(t, "");
	tree_each(note, tree_at(object, "metadata.annotations")) PROSE_ITEM(t, note->text);
}

static int json_text_of(const struct tree *object, struct arena *a, struct str *ret)
{
	_buf_ struct buf b = {.max = 8UL << 20};
	struct str s;
	int r = tree_write_canonical(&b, object);

	if (r < 0)
		return r;
	s = buf_str(&b);
	s.n = MIN(s.n, (size_t)DOC_JSON_MAX);
	while (s.n && s.n < b.n && ((unsigned char)s.p[s.n] & 0xc0) == 0x80)
		s.n--; /* not within a character */
	return arena_dup(a, s, ret);
}

int document_text(const struct doc_opts *o, const struct tree *object,
		  const struct doc_owner *owners, uint32_t n_owners, struct arena *a,
		  struct str *ret)
{
	_prose_ struct prose t;

	prose_init(&t);
	if (o->mode == DOC_JSON)
		return json_text_of(object, a, ret);
	if (o->mode == DOC_METADATA)
		put_metadata(&t, object);
	else
		put_rich(&t, o, object, owners, n_owners);
	return t.r < 0 ? t.r : arena_dup(a, prose_cut(&t, DOC_TEXT_MAX), ret);
}
