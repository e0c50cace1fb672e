/*
 * One object on its way into the store: its bytes become a tree, the tree passes
 * redaction, and what is left is kept. A bad object costs itself.
 */
#include "core/collect_parts.h"

#include "base/mem.h"
#include "kube/target.h"

#include <errno.h>

#define CRD_TRIES 5 /* rounds of discovery until a new definition is served */

void object_bad(struct ckind *k, unsigned why, struct str name)
{
	const struct collect *c = k->collect;

	k->pub.bad[why]++;
	if (c->o.ops->bad_object)
		c->o.ops->bad_object(c->o.ctx, &k->pub, why, name);
}

/* 0; -EBADMSG: there is none in these bytes; -ENOMEM. */
static int parse(struct collect *c, struct str raw, struct tree **ret)
{
	int r;

	arena_reset(&c->arena);
	r = tree_parse(&c->arena, raw, ret);
	/* Over the arena's maximum is the object's fault. */
	if (r == -EMSGSIZE || (r == -ENOMEM && c->arena.used > COLLECT_MAX_OBJECT / 2))
		return -EBADMSG;
	if (r == 0 && (*ret)->type != TREE_OBJECT)
		return -EBADMSG;
	return r;
}

/* Whatever the server sent: of these kinds nothing but metadata goes on. It also calls them
 * PartialObjectMetadata. */
static void leave_metadata(struct tree *t)
{
	struct tree *next;

	for (struct tree *m = t->first; m; m = next) {
		next = m->next;
		if (!str_eq(m->key, STR("metadata")))
			tree_remove(t, m);
	}
}

/* 1: goes on; 0: not to be kept; -ENOMEM. */
static int clean(struct ckind *k, struct tree *t)
{
	struct collect *c = k->collect;
	enum redact_verdict v;
	int r;

	if (k->pub.metadata_only)
		leave_metadata(t);
	r = redact_object(c->o.redact, &c->arena, t, str_of(k->api_version), str_of(k->kind), &v);
	if (r < 0)
		return r;
	return v == REDACT_KEEP;
}

/* A definition that has just come is served a moment later. */
static void crd(struct collect *c, enum event_type type, const struct object *o, nsec_t now)
{
	struct str group = o->meta.name, plural;

	(void)str_split(&group, '.', &plural);
	for (size_t i = 0; type == EVENT_ADDED && i < catalog_n(c->catalog); i++) {
		const struct catalog_entry e = catalog_entry(c->catalog, i);

		if (str_eq(e.plural, plural) && str_eq(e.group, group))
			return; /* a list names those that are known, too */
	}
	discover_wanted(c, now, type == EVENT_DELETED ? 1 : CRD_TRIES);
}

static void forget(const struct cwatch *w, const struct object *o, nsec_t now)
{
	if (w->source)
		store_delete(w->kind->collect->o.store, w->source, o->meta.ns, o->meta.name,
			     o->meta.uid, now);
}

/* Labels that the server was not asked to pick by. */
static bool picked(const struct cwatch *w, const struct tree *t)
{
	if (!w->kind->tapped && w->kind->role == ROLE_NONE)
		return true;
	return selector_match(w->kind->collect->resource_selector, tree_at(t, "metadata.labels"));
}

/* By fields the server is never asked. */
static bool has_fields(const struct ckind *k, const struct tree *t)
{
	const struct collect *c = k->collect;

	for (uint32_t i = 0; i < c->n_fields; i++)
		if (field_selector_is_of(c->fields[i], k->pub.group, k->pub.plural) &&
		    !field_selector_match(c->fields[i], t))
			return false;
	return true;
}

static int keep(struct cwatch *w, struct tree *t, const struct object *o, nsec_t now)
{
	struct ckind *k = w->kind;
	int r = picked(w, t) && has_fields(k, t) ? clean(k, t) : 0;

	if (r <= 0) {
		k->pub.skipped += r == 0;
		forget(w, o, now);
		return r;
	}
	r = store_apply(k->collect->o.store, w->source, now, t);
	if (r == -EINVAL || r == -EMSGSIZE)
		object_bad(k, r == -EINVAL ? COLLECT_BAD_OBJECT : COLLECT_BAD_FULL, o->meta.name);
	return r == -ENOMEM ? r : 0;
}

int object_take(struct cwatch *w, enum event_type type, const struct object *o, nsec_t now)
{
	struct ckind *k = w->kind;
	struct collect *c = k->collect;
	struct tree *t = NULL;
	int r;

	if (!w->ns[0] && !collect_ns_wanted(c, o->meta.ns)) {
		k->pub.skipped++;
		return 0;
	}
	if (k->role == ROLE_CRDS)
		crd(c, type, o, now);
	if (type == EVENT_DELETED) {
		if (k->role == ROLE_NAMESPACES)
			spaces_apply(c, o->meta.name, NULL, true);
		forget(w, o, now);
		return 0;
	}
	r = parse(c, o->raw, &t);
	if (r == -EBADMSG)
		object_bad(k, COLLECT_BAD_JSON, o->meta.name);
	if (r < 0)
		return r == -EBADMSG ? 0 : r;
	if (k->role == ROLE_NAMESPACES)
		spaces_apply(c, o->meta.name, tree_at(t, "metadata.labels"), false);
	return w->source ? keep(w, t, o, now) : 0;
}

/* ---- reading again --------------------------------------------------------------------------- */

static struct ckind *kind_of_object(const struct collect *c, store_id id, struct store_view *ret)
{
	if (!store_get(c->o.store, id, ret))
		return NULL;
	for (uint32_t i = 0; i < c->n_kinds; i++)
		if (c->kinds[i]->pub.store == ret->kind)
			return c->kinds[i];
	return NULL;
}

int collect_target(const struct collect *c, store_id id, struct buf *path, const char **ret_accept)
{
	struct store_view v;
	const struct ckind *k = kind_of_object(c, id, &v);
	int r;

	if (!k)
		return -ENOENT;
	r = buf_printf(path, "%s%s/%s", k->group[0] ? "/apis/" : "/api", k->group, k->version);
	if (r == 0 && v.ns.n)
		r = buf_append_str(path, STR("/namespaces/"));
	if (r == 0 && v.ns.n)
		r = target_escape(path, v.ns);
	if (r == 0)
		r = buf_printf(path, "/%s/", k->plural);
	if (r == 0)
		r = target_escape(path, v.name);
	if (r == 0)
		r = buf_append(path, "", 1);
	*ret_accept = accept_header((struct accept_form){.metadata_only = k->pub.metadata_only});
	return r;
}

static int refusal(int status)
{
	switch (status) {
	case 404:
		return -ENOENT;
	case 401:
	case 403:
		return -EACCES;
	default:
		return -EIO;
	}
}

void collect_fetched(struct collect *c, store_id id, nsec_t now, int status, struct str body)
{
	struct store_view v;
	struct ckind *k = kind_of_object(c, id, &v);
	struct tree *t = NULL;
	int r = status == 200 ? 0 : refusal(status);

	if (r == 0)
		r = k ? parse(c, body, &t) : -ENOENT;
	if (r == 0) {
		r = clean(k, t);
		r = r == 0 ? -ENOENT : MIN(r, 0);
	}
	store_fetched(c->o.store, id, now, r < 0 ? NULL : t, r);
}
