/* To bytes; see peerfeed.h. */
#include "peers/peerfeed_parts.h"

#include "base/mem.h"

#include <errno.h>
#include <string.h>

static int put_u8(struct buf *b, uint8_t v)
{
	return buf_append(b, &v, 1);
}

static int put_u64(struct buf *b, uint64_t v)
{
	uint8_t bytes[8];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(v >> (8 * i));
	return buf_append(b, bytes, sizeof(bytes));
}

static int put_text(struct buf *b, struct str s)
{
	int r = s.n > PEERFEED_TEXT_MAX ? -EINVAL : varint_put(b, s.n);

	return r < 0 ? r : buf_append_str(b, s);
}

/* ---- heads ----------------------------------------------------------------------------------- */

int peerfeed_put_hello(struct buf *b, const struct peerfeed_hello *h)
{
	int r = put_u8(b, PEERFEED_VERSION);

	if (r == 0)
		r = buf_append(b, h->feed, sizeof(h->feed));
	if (r == 0)
		r = put_u64(b, h->now);
	if (r == 0)
		r = put_u8(b, h->resumed);
	if (r == 0)
		r = varint_put(b, h->position);
	if (r == 0)
		r = varint_put(b, h->beat / NSEC_PER_MSEC);
	return r < 0 ? r : put_text(b, h->name);
}

int peerfeed_put_snapshot(struct buf *b, const struct peerfeed_snapshot *s)
{
	int r = put_u8(b,
		       (uint8_t)((s->first ? SNAPSHOT_FIRST : 0) | (s->last ? SNAPSHOT_LAST : 0)));

	if (r == 0)
		r = varint_put(b, s->index);
	if (r == 0 && s->first)
		r = varint_put(b, s->position);
	return r < 0 || !s->last ? r : varint_put(b, s->right_from);
}

int peerfeed_put_mark(struct buf *b, const struct peerfeed_mark *m)
{
	int r = varint_put(b, m->position);

	if (r == 0)
		r = put_u64(b, m->now);
	return r < 0 ? r : varint_put(b, peerfeed_ms(m->now - MIN(m->known, m->now)));
}

int peerfeed_put_wait(struct buf *b, nsec_t now)
{
	return put_u64(b, now);
}

int peerfeed_put_base(struct buf *b, nsec_t now, nsec_t wall, struct peerfeed_base *ret)
{
	const struct peerfeed_base base = {.ms = peerfeed_ms(now), .wall = wall / NSEC_PER_SEC};
	int r = varint_put(b, base.ms);

	if (r == 0)
		r = varint_put(b, base.wall);
	if (r == 0)
		*ret = base;
	return r;
}

/* ---- records --------------------------------------------------------------------------------- */

static int put_age(struct buf *b, const struct peerfeed_base *base, nsec_t t)
{
	const uint64_t ms = peerfeed_ms(t);

	return ms > base->ms ? -EINVAL : varint_put(b, base->ms - ms);
}

static int put_id(struct buf *b, const struct peerfeed_base *base, uint32_t id)
{
	return varint_put(b, varint_zigzag((int64_t)id - base->last));
}

static int put_end(struct buf *b, const struct peerfeed_base *base, nsec_t to, nsec_t heard)
{
	const int r = put_age(b, base, to);

	return r < 0 ? r : varint_put(b, peerfeed_ms(to) - peerfeed_ms(MIN(heard, to)));
}

static int put_claim(struct buf *b, const struct peerfeed_base *base,
		     const struct peerfeed_claim *c)
{
	const bool v4 = addr_is_v4(&c->ip), over = c->to != NSEC_NEVER;
	int r = put_u8(b, (uint8_t)((v4 ? 0 : CLAIM_V6) | (over ? CLAIM_OVER : 0)));

	if (r == 0)
		r = buf_append(b, c->ip.b + (v4 ? 12 : 0), v4 ? 4 : 16);
	if (r == 0)
		r = put_age(b, base, c->from);
	return r < 0 || !over ? r : put_end(b, base, c->to, c->heard);
}

static int put_claims(struct buf *b, const struct peerfeed_base *base,
		      const struct peerfeed_record *r)
{
	int e = r->n_claims == 1 ? 0 : varint_put(b, r->n_claims);

	for (uint32_t i = 0; e == 0 && i < r->n_claims; i++)
		e = put_claim(b, base, &r->claims[i]);
	return e;
}

static int put_pod(struct buf *b, const struct peerfeed_base *base, const struct peerfeed_record *r)
{
	int e = put_id(b, base, r->id);

	if (e == 0)
		e = varint_put(b, r->workload ? r->workload : r->ns);
	if (e == 0)
		e = varint_put(b, r->node);
	if (e == 0 && r->running)
		e = varint_put(b, base->wall - r->running);
	if (e == 0 && r->workload)
		e = put_u8(b, r->shared);
	if (e == 0)
		e = put_text(b, r->text);
	return e < 0 ? e : put_claims(b, base, r);
}

static int put_place(struct buf *b, const struct peerfeed_base *base,
		     const struct peerfeed_record *r)
{
	int e = put_id(b, base, r->id);

	if (e == 0)
		e = varint_put(b, r->ns);
	if (e == 0)
		e = put_text(b, r->text);
	return e < 0 ? e : put_claims(b, base, r);
}

static int put_name(struct buf *b, const struct peerfeed_record *r)
{
	int e = varint_put(b, r->id);

	if (e == 0 && r->kind)
		e = varint_put(b, r->ns);
	if (e == 0 && r->kind)
		e = varint_put(b, r->kind);
	return e < 0 ? e : put_text(b, r->text);
}

static uint8_t tag_of(const struct peerfeed_record *r)
{
	uint8_t tag = (uint8_t)r->type;

	if (r->type == PEERFEED_NAME)
		return tag | (r->kind ? TAG_WORKLOAD : 0);
	if (r->type == PEERFEED_PLACE)
		tag |= r->is_node ? TAG_NODE : 0;
	else if (r->type == PEERFEED_POD)
		tag |= (uint8_t)((r->workload ? TAG_WORKLOAD : 0) | (r->running ? TAG_RUNNING : 0));
	else
		return tag;
	return tag | (r->listed ? TAG_LISTED : 0) | (r->n_claims == 1 ? 0 : TAG_CLAIMS);
}

static int put_record(struct buf *b, const struct peerfeed_base *base,
		      const struct peerfeed_record *r)
{
	int e = put_u8(b, tag_of(r));

	if (e < 0)
		return e;
	switch (r->type) {
	case PEERFEED_NAME:
		return put_name(b, r);
	case PEERFEED_DROP:
		return varint_put(b, r->id);
	case PEERFEED_POD:
		return put_pod(b, base, r);
	case PEERFEED_PLACE:
		return put_place(b, base, r);
	case PEERFEED_ENDED:
		e = put_id(b, base, r->id);
		return e < 0 ? e : put_end(b, base, r->to, r->heard);
	case PEERFEED_FORGET:
		return put_id(b, base, r->id);
	case PEERFEED_LISTED:
		return put_age(b, base, r->to);
	case _PEERFEED_TYPE_MAX:
		break;
	}
	return -EINVAL;
}

int peerfeed_put(struct buf *b, struct peerfeed_base *base, const struct peerfeed_record *r)
{
	const size_t before = b->n;
	int e = r->n_claims > PEERFEED_CLAIMS_MAX || r->running > base->wall
			? -EINVAL
			: put_record(b, base, r);

	if (e < 0)
		b->n = before; /* nothing of it */
	else if (peerfeed_has_entry(r->type))
		base->last = r->id;
	return e;
}
