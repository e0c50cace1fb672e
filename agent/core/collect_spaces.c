/* Namespaces as they come and go, and which of them count; see collect_parts.h. */
#include "core/collect_parts.h"

#include "base/mem.h"

static bool in_list(const struct collect_names *n, struct str name)
{
	for (uint32_t i = 0; i < n->n; i++)
		if (str_eq(n->v[i], name))
			return true;
	return false;
}

/* Where it stands, or should. */
static uint32_t place_of(const struct collect *c, struct str name, bool *ret_found)
{
	uint32_t from = 0, to = c->n_namespaces;

	while (from < to) {
		const uint32_t at = from + (to - from) / 2;
		const int r = str_cmp(str_of(c->namespaces[at].name), name);

		if (r == 0) {
			*ret_found = true;
			return at;
		}
		if (r < 0)
			from = at + 1;
		else
			to = at;
	}
	*ret_found = false;
	return from;
}

bool collect_ns_wanted(const struct collect *c, struct str ns)
{
	uint32_t at;
	bool found;

	if (!ns.n)
		return true;
	if (c->o.namespaces.n)
		return in_list(&c->o.namespaces, ns);
	if (in_list(&c->o.excluded_namespaces, ns))
		return false;
	if (!c->namespace_selector)
		return true;
	at = place_of(c, ns, &found);
	return found && c->namespaces[at].allowed;
}

static void ns_changed(struct collect *c)
{
	c->plan_due = true;
	/* With '*' the core's watches are heard whatever the namespace, from its first object on.
	 */
	c->taps_stale |= c->namespace_selector != NULL;
	collect_due(c);
}

static void drop_namespace(struct collect *c, uint32_t at)
{
	if (c->namespaces[at].allowed)
		ns_changed(c);
	free(c->namespaces[at].name);
	c->n_namespaces--;
	memmove(&c->namespaces[at], &c->namespaces[at + 1],
		(c->n_namespaces - at) * sizeof(c->namespaces[0]));
}

static bool insert_namespace(struct collect *c, uint32_t at, struct str name)
{
	char *copy;

	if (c->n_namespaces == COLLECT_MAX_NAMESPACES)
		return false;
	if ((c->n_namespaces & (c->n_namespaces - 1)) == 0) {
		struct cnamespace *v =
			realloc(c->namespaces,
				(c->n_namespaces ? 2 * (size_t)c->n_namespaces : 1) * sizeof(*v));

		if (!v)
			return false;
		c->namespaces = v;
	}
	copy = str_dup(name);
	if (!copy)
		return false;
	memmove(&c->namespaces[at + 1], &c->namespaces[at],
		(c->n_namespaces - at) * sizeof(c->namespaces[0]));
	c->namespaces[at] = (struct cnamespace){.name = copy};
	c->n_namespaces++;
	return true;
}

void spaces_apply(struct collect *c, struct str name, const struct tree *labels, bool deleted)
{
	bool found, allowed;
	uint32_t at = place_of(c, name, &found);

	if (deleted) {
		if (found)
			drop_namespace(c, at);
		return;
	}
	if (!found && !insert_namespace(c, at, name)) {
		c->counters.left_out++;
		return;
	}
	allowed = !in_list(&c->o.excluded_namespaces, name) &&
		  selector_match(c->namespace_selector, labels);
	if (c->namespaces[at].allowed != allowed)
		ns_changed(c);
	c->namespaces[at].allowed = allowed;
	c->namespaces[at].generation = c->generation;
}

void spaces_list_begin(struct collect *c)
{
	c->generation++;
}

void spaces_list_end(struct collect *c)
{
	for (uint32_t i = c->n_namespaces; i-- > 0;)
		if (c->namespaces[i].generation != c->generation)
			drop_namespace(c, i);
	c->namespaces_listed = true;
	c->plan_due = true;
	collect_due(c);
}
