/* From the inventory to records; see publish_parts.h. */
#include "sink/peers/publish_parts.h"

#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>

void told_list_done(struct told_list *l)
{
	free(l->v);
	*l = (struct told_list){0};
}

static struct told *told_at(struct told_list *l, uint32_t id)
{
	const uint32_t more = MAX(id + 1, l->n + l->n / 4 + 64);

	if (id >= l->n && mem_reach(&l->v, &l->n, sizeof(*l->v), more) < 0)
		return NULL;
	return &l->v[id];
}

/* ---- names ----------------------------------------------------------------------------------- */

static int tell_name(struct publish *p, name_ix ix)
{
	const struct nametab_name n = nametab_at(&p->names, ix);
	const struct peerfeed_record rec = {.type = PEERFEED_NAME,
					    .id = n.id,
					    .ns = nametab_id(&p->names, n.ns),
					    .kind = nametab_id(&p->names, n.kind),
					    .text = n.text};

	return publish_put(p, &rec);
}

static int get_name(struct publish *p, name_ix ns, name_ix kind, struct str text, name_ix *ret)
{
	bool fresh;
	int r;

	*ret = 0;
	if (!kind && str_empty(text))
		return 0;
	r = nametab_get(&p->names, ns, kind, text, ret, &fresh);
	return r < 0 || !fresh ? r : tell_name(p, *ret);
}

static int get_workload(struct publish *p, pod_id id, name_ix ns, name_ix *ret)
{
	const owner_id owner = match_owner_now(p->o.inventory, p->o.policy, id);
	struct str kind_text, text;
	name_ix kind;
	int r;

	*ret = 0;
	if (!owner)
		return 0;
	inventory_owner_names(p->o.inventory, owner, &kind_text, &text);
	r = get_name(p, 0, 0, kind_text, &kind);
	if (r == 0 && kind)
		r = get_name(p, ns, kind, text, ret);
	nametab_put(&p->names, kind); /* the workload has its own */
	return r;
}

static void put_names(struct publish *p, struct told *t)
{
	nametab_put(&p->names, t->workload);
	nametab_put(&p->names, t->ns);
	nametab_put(&p->names, t->node);
	t->workload = t->ns = t->node = 0;
}

/* ---- is it news? ----------------------------------------------------------------------------- */

/* Of all but the ends and `running`, in the feed's own bytes. */
static uint64_t hash_what(struct publish *p, struct peerfeed_record *rec)
{
	struct peerfeed_base base = {.ms = 1ULL << 43, .wall = UINT32_MAX};
	const uint32_t running = rec->running, n = rec->n_claims;
	nsec_t to[PEERFEED_CLAIMS_MAX];
	uint64_t h;

	for (uint32_t i = 0; i < n; i++) {
		to[i] = rec->claims[i].to;
		rec->claims[i].to = NSEC_NEVER;
	}
	rec->running = 0;
	buf_reset(&p->scratch);
	h = peerfeed_put(&p->scratch, &base, rec) < 0
		    ? 0
		    : hash_bytes(&p->seed, buf_str(&p->scratch).p, p->scratch.n);
	rec->running = running;
	for (uint32_t i = 0; i < n; i++)
		rec->claims[i].to = to[i];
	return h;
}

/* Of the ends; 0: none has ended. *ret_one: all have, at the same time. */
static uint64_t hash_over(const struct publish *p, const struct peerfeed_record *rec, bool *ret_one)
{
	nsec_t ends[2 * PEERFEED_CLAIMS_MAX];
	bool any = false;

	*ret_one = rec->n_claims > 0;
	for (uint32_t i = 0; i < rec->n_claims; i++) {
		ends[2 * i] = rec->claims[i].to;
		ends[2 * i + 1] = rec->claims[i].heard;
		any |= rec->claims[i].to != NSEC_NEVER;
		*ret_one &= rec->claims[i].to != NSEC_NEVER &&
			    rec->claims[i].to == rec->claims[0].to &&
			    rec->claims[i].heard == rec->claims[0].heard;
	}
	return any ? hash_bytes(&p->seed, ends, rec->n_claims * 2 * sizeof(*ends)) | 1 : 0;
}

static int tell_ended(struct publish *p, const struct peerfeed_record *rec)
{
	const struct peerfeed_record ended = {.type = PEERFEED_ENDED,
					      .id = rec->id,
					      .to = rec->claims[0].to,
					      .heard = rec->claims[0].heard};

	return publish_put(p, &ended);
}

/* `rec` against what was told: what is new of it is told. */
static int tell_news(struct publish *p, struct peerfeed_record *rec, struct told *t)
{
	const uint64_t what = hash_what(p, rec);
	bool one;
	const uint64_t over = hash_over(p, rec, &one);
	int r = 0;

	if (t->is && t->what == what && t->over == over && (t->running || !rec->running))
		return 0;
	/* Whatever ran at that time had the address: a later `running` says less. */
	if (t->is && t->what == what && !t->over && over && one && (t->running || !rec->running))
		r = tell_ended(p, rec);
	else
		r = publish_put(p, rec);
	if (r < 0)
		return r;
	t->is = true;
	t->what = what;
	t->over = over;
	t->running |= rec->running != 0;
	return 0;
}

/* ---- pods ------------------------------------------------------------------------------------ */

/* Worth telling only where it says more than that the address was told of. */
static uint32_t running_of(const struct publish *p, const struct inv_claim *c)
{
	const nsec_t by = (c->running + 2ULL) * NSEC_PER_SEC + p->now;

	return c->running && c->running <= p->wall / NSEC_PER_SEC && by < c->from + p->wall
		       ? c->running
		       : 0;
}

static bool fill_pod_claims(struct publish *p, pod_id id)
{
	struct peerfeed_record *rec = &p->rec;
	struct inv_claim c;
	struct addr ip;

	rec->n_claims = 0;
	for (uint32_t i = 0; inventory_pod_claim(p->o.inventory, id, i, &ip, &c); i++) {
		if (rec->n_claims == PEERFEED_CLAIMS_MAX)
			return false;
		rec->claims[rec->n_claims++] = (struct peerfeed_claim){
			.ip = ip, .from = c.from, .to = c.to, .heard = c.heard};
		rec->listed = c.listed;
		if (i == 0)
			rec->running = running_of(p, &c);
	}
	return true;
}

static uint8_t shared_with(struct str name, struct str workload)
{
	const size_t max = MIN(MIN(name.n, workload.n), (size_t)UINT8_MAX);
	size_t n = 0;

	while (n < max && name.p[n] == workload.p[n])
		n++;
	return (uint8_t)n;
}

/* Fills p->rec of the pod as it is, with these names. False: it cannot be told. */
static bool fill_pod(struct publish *p, pod_id id, const struct told *names)
{
	struct peerfeed_record *rec = &p->rec;
	struct inv_pod_view pod;

	(void)inventory_pod(p->o.inventory, id, &pod);
	rec->type = PEERFEED_POD;
	rec->id = ENTRY_OF_POD(id);
	rec->workload = nametab_id(&p->names, names->workload);
	rec->ns = nametab_id(&p->names, names->ns);
	rec->node = nametab_id(&p->names, names->node);
	rec->kind = rec->running = 0;
	rec->shared = names->workload
			      ? shared_with(pod.name, nametab_at(&p->names, names->workload).text)
			      : 0;
	rec->text = str_from(pod.name, rec->shared);
	return fill_pod_claims(p, id) && pod.name.n <= PEERFEED_TEXT_MAX;
}

void tell_again_pod(struct publish *p, pod_id id, const struct told *t)
{
	(void)fill_pod(p, id, t);
}

static int pod_names(struct publish *p, pod_id id, const struct inv_pod_view *pod, struct told *ret)
{
	int r = get_name(p, 0, 0, pod->ns, &ret->ns);

	if (r == 0)
		r = get_workload(p, id, ret->ns, &ret->workload);
	if (r == 0 && ret->workload) { /* which has the namespace */
		nametab_put(&p->names, ret->ns);
		ret->ns = 0;
	}
	return r < 0 ? r : get_name(p, 0, 0, pod->node, &ret->node);
}

/* It has no address of its own, or cannot be told: whatever was told of it is taken back. */
static int leave_out(struct publish *p, struct told_list *l, uint32_t id, uint32_t entry,
		     bool counted)
{
	p->stats.left_out += counted;
	return tell_forget(p, l, id, entry);
}

/* Tells p->rec, and keeps its names: `names` gets those that were told before. */
static int keep(struct publish *p, struct told *t, struct told *names)
{
	const struct told was = *t;
	const int r = tell_news(p, &p->rec, t);

	if (r < 0)
		return r;
	t->workload = names->workload;
	t->ns = names->ns;
	t->node = names->node;
	*names = was;
	return 0;
}

int tell_pod(struct publish *p, pod_id id)
{
	struct told names = {0}, *t;
	struct inv_pod_view pod;
	int r;

	if (!inventory_pod(p->o.inventory, id, &pod) || pod.host_network || !pod.n_addrs)
		return leave_out(p, &p->pods, id, ENTRY_OF_POD(id), false);
	t = told_at(&p->pods, id);
	if (!t)
		return -ENOMEM;
	r = pod_names(p, id, &pod, &names);
	if (r == 0)
		r = fill_pod(p, id, &names) ? keep(p, t, &names) : -EMSGSIZE;
	put_names(p, &names);
	return r == 0 || r == -ENOMEM ? r : leave_out(p, &p->pods, id, ENTRY_OF_POD(id), true);
}

/* ---- places ---------------------------------------------------------------------------------- */

/* The address is the first thing in a place's claims that lasts; those that ended come behind. */
static bool fill_place_claims(struct publish *p, place_id id)
{
	struct peerfeed_record *rec = &p->rec;
	struct inv_claim c;
	struct addr ip;

	rec->n_claims = 0;
	for (uint32_t i = 0; inventory_place_claim(p->o.inventory, id, i, &ip, &c); i++) {
		if (rec->n_claims == PEERFEED_CLAIMS_MAX)
			return false;
		rec->claims[rec->n_claims++] = (struct peerfeed_claim){
			.ip = ip, .from = c.from, .to = c.to, .heard = c.heard};
		rec->listed = c.listed;
	}
	return true;
}

static bool fill_place(struct publish *p, place_id id, const struct told *names)
{
	struct peerfeed_record *rec = &p->rec;
	struct inv_place_view place;

	(void)inventory_place(p->o.inventory, id, &place);
	rec->type = PEERFEED_PLACE;
	rec->id = ENTRY_OF_PLACE(id);
	rec->workload = rec->node = rec->kind = rec->running = 0;
	rec->ns = nametab_id(&p->names, names->ns);
	rec->is_node = place.kind == KIND_NODE;
	rec->shared = 0;
	rec->text = place.name;
	return fill_place_claims(p, id) && rec->text.n <= PEERFEED_TEXT_MAX;
}

void tell_again_place(struct publish *p, place_id id, const struct told *t)
{
	(void)fill_place(p, id, t);
}

int tell_place(struct publish *p, place_id id)
{
	struct told names = {0}, *t;
	struct inv_place_view place;
	int r;

	if (!inventory_place(p->o.inventory, id, &place))
		return leave_out(p, &p->places, id, ENTRY_OF_PLACE(id), false);
	t = told_at(&p->places, id);
	if (!t)
		return -ENOMEM;
	p->rec.n_claims = 0;
	r = get_name(p, 0, 0, place.ns, &names.ns);
	if (r == 0)
		r = fill_place(p, id, &names) && p->rec.n_claims ? keep(p, t, &names) : -EMSGSIZE;
	put_names(p, &names);
	return r == 0 || r == -ENOMEM
		       ? r
		       : leave_out(p, &p->places, id, ENTRY_OF_PLACE(id), p->rec.n_claims);
}

/* ---- the end --------------------------------------------------------------------------------- */

int tell_forget(struct publish *p, struct told_list *l, uint32_t id, uint32_t entry)
{
	const struct peerfeed_record rec = {.type = PEERFEED_FORGET, .id = entry};
	int r;

	if (id >= l->n || !l->v[id].is)
		return 0;
	r = publish_put(p, &rec);
	if (r < 0)
		return r;
	put_names(p, &l->v[id]);
	l->v[id] = (struct told){0};
	return 0;
}
