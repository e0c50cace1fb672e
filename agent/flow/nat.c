/*
 * Translations that conntrack tells of, as intervals of time. Between `from` and
 * `asked` there is one at a time; the kernel replaces it when the ports come again.
 *
 *        after ......... at          gone          made in (after, at]: read at `at`, and nothing
 *   -------|--- made ----|------------|----        was there to read at `after`. Over by `gone`.
 *
 * Which of them a flow has is decided in nat_decide.c. Those that are over stay for
 * LINGER, because flows are told of later than translations. Within max_nat and
 * MAX_A_KEY; who may have lost one to a bound is marked `cut`.
 */
#include "flow/nat.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define LINGER	(10 * NSEC_PER_SEC)
#define MAX_DUE 65536 /* flows that wait until conntrack has been read; over it: in doubt */

struct nat_rec *nat_at(const struct flows *f, uint32_t id)
{
	return pool_at(&f->nats, id);
}

bool nat_same_end(const struct flows_endpoint *a, const struct flows_endpoint *b)
{
	return a->port == b->port && addr_eq(&a->ip, &b->ip);
}

static uint32_t key_hash(const struct flows *f, const struct nat_key *k)
{
	return table_tuple_hash(f, k->proto, &k->a.ip, k->a.port, &k->b.ip, k->b.port);
}

static const struct index *index_of(const struct flows *f, const struct nat_key *k)
{
	return k->reply ? &f->by_reply : &f->by_nat;
}

struct nat_key nat_key_of(const struct nat_rec *n, bool reply)
{
	return (struct nat_key){.proto = n->proto,
				.reply = reply,
				.a = reply ? n->backend : n->from,
				.b = reply ? n->seen_as : n->asked};
}

static bool has_key(const struct nat_rec *n, const struct nat_key *k)
{
	return n->proto == k->proto && nat_same_end(k->reply ? &n->backend : &n->from, &k->a) &&
	       nat_same_end(k->reply ? &n->seen_as : &n->asked, &k->b);
}

uint32_t nat_collect(const struct flows *f, const struct nat_key *k, uint32_t ret[NAT_MAX_A_KEY])
{
	uint32_t at, n = 0, h = key_hash(f, k);
	const struct index *x = index_of(f, k);

	for (uint32_t id = index_first(x, h, &at); id; id = index_next(x, h, &at)) {
		uint32_t i = n;

		if (!has_key(nat_at(f, id), k))
			continue;
		if (n == NAT_MAX_A_KEY)
			return NAT_MAX_A_KEY + 1;
		for (; i && nat_at(f, ret[i - 1])->seq > nat_at(f, id)->seq; i--)
			ret[i] = ret[i - 1];
		ret[i] = id;
		n++;
	}
	return n;
}

/* ---- lists ----------------------------------------------------------------------------------- */

static void unlink_from(struct flows *f, struct id_list *l, uint32_t id)
{
	const struct id_link at = nat_at(f, id)->link;

	if (at.prev)
		nat_at(f, at.prev)->link.next = at.next;
	else
		l->head = at.next;
	if (at.next)
		nat_at(f, at.next)->link.prev = at.prev;
	else
		l->tail = at.prev;
	l->n--;
}

static void link_to(struct flows *f, struct id_list *l, uint32_t id)
{
	nat_at(f, id)->link = (struct id_link){.prev = l->tail};
	if (l->tail)
		nat_at(f, l->tail)->link.next = id;
	else
		l->head = id;
	l->tail = id;
	l->n++;
}

/* The next one of that key must not be taken for the one that is forgotten. */
static void mark_cut(struct flows *f, uint32_t id, bool reply)
{
	const struct nat_key k = nat_key_of(nat_at(f, id), reply);
	uint32_t at, h = key_hash(f, &k), best = 0;
	const struct index *x = index_of(f, &k);

	for (uint32_t o = index_first(x, h, &at); o; o = index_next(x, h, &at))
		if (o != id && has_key(nat_at(f, o), &k) &&
		    nat_at(f, o)->seq > nat_at(f, id)->seq &&
		    (!best || nat_at(f, o)->seq < nat_at(f, best)->seq))
			best = o;
	if (best)
		nat_at(f, best)->cut[reply] = true;
}

static void forget(struct flows *f, uint32_t id)
{
	const struct nat_rec *n = nat_at(f, id);

	for (int reply = 0; reply < 2; reply++) {
		const struct nat_key k = nat_key_of(n, reply);

		mark_cut(f, id, reply);
		index_del(reply ? &f->by_reply : &f->by_nat, key_hash(f, &k), id);
	}
	unlink_from(f, n->gone ? &f->nat_gone : &f->nat_log, id);
	pool_release(&f->nats, id);
}

static void over(struct flows *f, uint32_t id, nsec_t at)
{
	struct nat_rec *n = nat_at(f, id);

	if (n->gone)
		return;
	unlink_from(f, &f->nat_log, id);
	n->gone = MAX(at, (nsec_t)1); /* 0 says "lives" */
	link_to(f, &f->nat_gone, id);
}

/* Room for one more: what is over goes first, so that who lives never leaves one behind that was
 * before it. */
static void make_room(struct flows *f)
{
	if (f->nat_log.n + f->nat_gone.n < f->opts.max_nat)
		return;
	f->stats.nats_forgotten++;
	forget(f, f->nat_gone.n ? f->nat_gone.head : f->nat_log.head);
}

static void make_room_for(struct flows *f, const struct nat_key *k)
{
	uint32_t ids[NAT_MAX_A_KEY], n = nat_collect(f, k, ids);

	if (n < NAT_MAX_A_KEY)
		return;
	f->stats.nats_forgotten++;
	forget(f, ids[0]);
}

/* 0 without memory. */
static uint32_t add(struct flows *f, const struct flows_translation *t)
{
	const struct nat_rec n = {.from = t->from,
				  .asked = t->asked,
				  .backend = t->backend,
				  .seen_as = t->seen_as,
				  .after = t->after,
				  .at = t->at,
				  .seq = ++f->nat_seq,
				  .proto = (uint8_t)t->proto};
	const struct nat_key orig = nat_key_of(&n, false), reply = nat_key_of(&n, true);
	uint32_t id;

	make_room_for(f, &orig);
	make_room_for(f, &reply);
	make_room(f);
	if (index_reserve(&f->by_nat, 1) < 0 || index_reserve(&f->by_reply, 1) < 0)
		return 0;
	id = pool_alloc(&f->nats);
	if (!id)
		return 0;
	*nat_at(f, id) = n;
	(void)index_put(&f->by_nat, key_hash(f, &orig), id);
	(void)index_put(&f->by_reply, key_hash(f, &reply), id);
	link_to(f, &f->nat_log, id);
	return id;
}

/* ---- flows that wait until conntrack has been read ------------------------------------------- */

void nat_wait(struct flows *f, flow_id id)
{
	const uint32_t cap = f->nat_due.cap ? f->nat_due.cap * 2 : 64;
	struct nat_due *more;

	if (f->nat_due.n == f->nat_due.cap) {
		more = cap > MAX_DUE ? NULL : realloc(f->nat_due.a, cap * sizeof(*more));
		if (!more) {
			nat_doubt(f, id, true);
			return;
		}
		f->nat_due.a = more;
		f->nat_due.cap = cap;
	}
	f->nat_due.a[f->nat_due.n++] =
		(struct nat_due){.id = id, .serial = flow_rec(f, id)->serial};
}

void flows_nat_read(struct flows *f, nsec_t to)
{
	uint32_t n = f->nat_due.n, kept = 0;

	f->nat_read = MAX(f->nat_read, to);
	for (uint32_t i = 0; i < n; i++) {
		const struct nat_due d = f->nat_due.a[i];
		const struct flow_rec *r = flow_rec(f, d.id);

		if (!(r->flags & FLOW_F_USED) || r->serial != d.serial)
			continue;
		if (nat_is_read(f, r))
			nat_decide(f, d.id);
		else
			f->nat_due.a[kept++] = d;
	}
	/* Deciding makes nobody wait: the rest of the list is as it was. */
	f->nat_due.n = kept;
}

/* ---- what conntrack tells -------------------------------------------------------------------- */

static bool same_mapping(const struct nat_rec *n, const struct flows_translation *t)
{
	return nat_same_end(&n->backend, &t->backend) && nat_same_end(&n->seen_as, &t->seen_as);
}

/* A listing is read beside the events, which are in order and know better. */
static uint32_t taken(struct flows *f, const struct flows_translation *t)
{
	const struct nat_key k = {.proto = t->proto, .a = t->from, .b = t->asked};
	uint32_t ids[NAT_MAX_A_KEY], n = MIN(nat_collect(f, &k, ids), NAT_MAX_A_KEY), id;
	struct nat_rec *last = n ? nat_at(f, ids[n - 1]) : NULL;

	if (last && t->listed)
		return 0;
	if (last && !last->gone && same_mapping(last, t)) {
		if (t->gone)
			over(f, ids[n - 1], t->at);
		return 0;
	}
	if (last)
		over(f, ids[n - 1], t->at);
	id = add(f, t);
	if (!id) {
		f->stats.nats_forgotten++;
		flows_nat_lost(f, t->after, t->at);
		return 0;
	}
	if (t->gone) { /* made at any time before */
		nat_at(f, id)->after = 0;
		over(f, id, t->at);
	}
	return id;
}

void flows_translation(struct flows *f, const struct flows_translation *t)
{
	uint32_t id;

	if (nat_same_end(&t->asked, &t->backend) && nat_same_end(&t->from, &t->seen_as))
		return;
	id = taken(f, t);
	if (id)
		nat_tell(f, id);
}

void flows_nat_lost(struct flows *f, nsec_t after, nsec_t at)
{
	if (!f->nat_lost_to || f->nat_lost_to + LINGER < after)
		f->nat_lost_from = after;
	f->nat_lost_to = MAX(at, f->nat_lost_to);
}

void flows_nat(struct flows *f, nsec_t now, enum flow_proto proto,
	       const struct flows_endpoint *from, const struct flows_endpoint *asked,
	       const struct flows_endpoint *backend, bool gone)
{
	flows_translation(f, &(struct flows_translation){.proto = proto,
							 .from = *from,
							 .asked = *asked,
							 .backend = *backend,
							 .seen_as = *from,
							 .after = f->nat_read,
							 .at = now,
							 .gone = gone});
	flows_nat_read(f, now);
}

bool nat_leads(const struct flows *f, enum flow_proto proto, const struct flows_endpoint *from,
	       const struct flows_endpoint *asked, const struct flows_endpoint *backend)
{
	const struct nat_key k = {.proto = proto, .a = *from, .b = *asked};
	uint32_t ids[NAT_MAX_A_KEY], n = MIN(nat_collect(f, &k, ids), NAT_MAX_A_KEY);

	for (uint32_t i = 0; i < n; i++)
		if (nat_same_end(&nat_at(f, ids[i])->backend, backend))
			return true;
	return false;
}

void nat_tick(struct flows *f, nsec_t now)
{
	while (f->nat_gone.n && nat_at(f, f->nat_gone.head)->gone + LINGER <= now)
		forget(f, f->nat_gone.head);
}

void nat_done(struct flows *f)
{
	index_done(&f->by_nat);
	index_done(&f->by_reply);
	pool_done(&f->nats);
	free(f->nat_due.a);
}
