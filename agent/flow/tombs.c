/*
 * Tombs: the keys of flows that have ended, so that a record which is late, or comes
 * twice, makes no second flow of one that was told of. Bounded, the oldest goes;
 * those of evicted flows apart, because the kernel still has their entries.
 *
 * And the keys of sockets that are no flow yet: a connect has no local port when its
 * SYN is told. The polls see them, and they count as open until they are told of.
 */
#include "flow/state.h"

static uint64_t sock_key(const struct flows *f, uint64_t sk, nsec_t start)
{
	return hash_numbers(&f->seed, sk, start);
}

static struct tomb *tomb_at(const struct flows *f, uint32_t id)
{
	return pool_at(&f->tombs, id);
}

static struct id_list *tomb_list(struct flows *f, enum tomb_of of)
{
	switch (of) {
	case TOMB_ENDED:
		return &f->tombs_ended;
	case TOMB_OPENING:
		return &f->openings;
	case TOMB_EVICTED:
	case TOMB_EVICTED_UDP:
	default:
		return &f->tombs_evicted;
	}
}

static void tomb_unlink(struct flows *f, uint32_t id)
{
	struct tomb *t = tomb_at(f, id);
	struct id_list *l = tomb_list(f, t->of);

	if (t->link.prev)
		tomb_at(f, t->link.prev)->link.next = t->link.next;
	else
		l->head = t->link.next;
	if (t->link.next)
		tomb_at(f, t->link.next)->link.prev = t->link.prev;
	else
		l->tail = t->link.prev;
	l->n--;
}

static void tomb_append(struct flows *f, uint32_t id)
{
	struct tomb *t = tomb_at(f, id);
	struct id_list *l = tomb_list(f, t->of);

	t->link = (struct id_link){.prev = l->tail};
	if (l->tail)
		tomb_at(f, l->tail)->link.next = id;
	else
		l->head = id;
	l->tail = id;
	l->n++;
}

static void tomb_leave(struct flows *f, uint32_t id)
{
	tomb_unlink(f, id);
	index_del(&f->by_tomb, (uint32_t)tomb_at(f, id)->key, id);
}

static void tomb_free(struct flows *f, uint32_t id)
{
	tomb_leave(f, id);
	pool_release(&f->tombs, id);
}

static uint32_t tomb_find(const struct flows *f, uint64_t key)
{
	uint32_t at, h = (uint32_t)key;

	for (uint32_t id = index_first(&f->by_tomb, h, &at); id;
	     id = index_next(&f->by_tomb, h, &at))
		if (tomb_at(f, id)->key == key)
			return id;
	return 0;
}

/* Who is still asked for is remembered longest. */
static void tomb_touch(struct flows *f, uint32_t id)
{
	tomb_unlink(f, id);
	tomb_append(f, id);
	tomb_at(f, id)->poll = f->poll;
}

bool table_was(struct flows *f, uint64_t sk, nsec_t start)
{
	uint32_t id = tomb_find(f, sock_key(f, sk, start));

	if (!id || tomb_at(f, id)->of == TOMB_OPENING)
		return false;
	tomb_touch(f, id);
	return true;
}

/* Without memory it is not remembered: the worst is a flow told twice. */
static void tomb_add(struct flows *f, uint64_t key, enum tomb_of of)
{
	struct id_list *l = tomb_list(f, of);
	uint32_t id;

	if (l->n >= (of == TOMB_ENDED ? f->opts.max_tombs : f->opts.max_known)) {
		id = l->head;
		tomb_leave(f, id);
	} else {
		id = pool_alloc(&f->tombs);
	}
	if (!id)
		return;
	*tomb_at(f, id) = (struct tomb){.key = key, .poll = f->poll, .of = (uint8_t)of};
	if (index_put(&f->by_tomb, (uint32_t)key, id) < 0) {
		pool_release(&f->tombs, id);
		return;
	}
	tomb_append(f, id);
}

/* What is alive has none. */
void table_entomb_live(struct flows *f, uint64_t sk, nsec_t start, enum tomb_of of)
{
	table_opened(f, sk, start);
	tomb_add(f, sock_key(f, sk, start), of);
}

void table_entomb(struct flows *f, uint64_t sk, nsec_t start, enum tomb_of of)
{
	const uint64_t key = sock_key(f, sk, start);

	if (!sk)
		return;
	table_opened(f, sk, start);
	if (!tomb_find(f, key))
		tomb_add(f, key, of);
}

void table_unentomb(struct flows *f, uint64_t sk, nsec_t start)
{
	uint32_t id = tomb_find(f, sock_key(f, sk, start));

	if (id && tomb_at(f, id)->of == TOMB_EVICTED) {
		tomb_free(f, id);
		table_entomb(f, sk, start, TOMB_ENDED);
	}
}

void table_opening(struct flows *f, uint64_t sk, nsec_t start)
{
	const uint64_t key = sock_key(f, sk, start);
	const uint32_t id = tomb_find(f, key);

	if (id)
		tomb_touch(f, id);
	else
		tomb_add(f, key, TOMB_OPENING);
}

void table_opened(struct flows *f, uint64_t sk, nsec_t start)
{
	const uint32_t id = f->openings.n ? tomb_find(f, sock_key(f, sk, start)) : 0;

	if (id && tomb_at(f, id)->of == TOMB_OPENING)
		tomb_free(f, id);
}

/* In both lists by when they were asked for last, the longest ago at the head. */
void tombs_poll_end(struct flows *f)
{
	uint32_t id;

	while ((id = f->tombs_evicted.head) && f->poll - tomb_at(f, id)->poll >= MISSED_POLLS) {
		f->evicted_lost += tomb_at(f, id)->of == TOMB_EVICTED;
		tomb_free(f, id);
	}
	while ((id = f->openings.head) && tomb_at(f, id)->poll != f->poll)
		tomb_free(f, id);
}
