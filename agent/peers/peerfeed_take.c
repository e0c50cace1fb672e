/* From bytes; see peerfeed.h. Whatever comes, nothing is read beyond it. */
#include "peers/peerfeed_parts.h"

#include "base/mem.h"

#include <errno.h>
#include <string.h>

/* So that no sum of times runs over: 2^44 ms are 557 years. */
#define MS_MAX (1ULL << 44)

static int take_u8(struct str *s, uint8_t *ret)
{
	if (!s->n)
		return -EBADMSG;
	*ret = (uint8_t)s->p[0];
	*s = str_from(*s, 1);
	return 0;
}

static int take_bytes(struct str *s, void *out, size_t n)
{
	if (s->n < n)
		return -EBADMSG;
	memcpy(out, s->p, n);
	*s = str_from(*s, n);
	return 0;
}

static int take_u64(struct str *s, uint64_t *ret)
{
	uint8_t bytes[8];
	uint64_t v = 0;

	if (take_bytes(s, bytes, sizeof(bytes)) < 0)
		return -EBADMSG;
	for (size_t i = 0; i < sizeof(bytes); i++)
		v |= (uint64_t)bytes[i] << (8 * i);
	*ret = v;
	return 0;
}

/* A clock's time. */
static int take_now(struct str *s, nsec_t *ret)
{
	if (take_u64(s, ret) < 0 || *ret / NSEC_PER_MSEC >= MS_MAX)
		return -EBADMSG;
	return 0;
}

static int take_text(struct str *s, struct str *ret)
{
	uint64_t n;

	if (varint_take(s, &n) < 0 || n > PEERFEED_TEXT_MAX || n > s->n)
		return -EBADMSG;
	*ret = str_make(s->p, n);
	*s = str_from(*s, n);
	return 0;
}

static int take_upto(struct str *s, uint64_t max, uint64_t *ret)
{
	return varint_take(s, ret) < 0 || *ret > max ? -EBADMSG : 0;
}

static int take_name_id(struct str *s, uint32_t *ret)
{
	uint64_t v;

	if (take_upto(s, UINT32_MAX, &v) < 0)
		return -EBADMSG;
	*ret = (uint32_t)v;
	return 0;
}

/* ---- heads ----------------------------------------------------------------------------------- */

int peerfeed_take_hello(struct str *payload, struct peerfeed_hello *ret)
{
	uint8_t version, flags;
	uint64_t beat;

	if (take_u8(payload, &version) < 0)
		return -EBADMSG;
	if (version != PEERFEED_VERSION)
		return -EPROTO;
	if (take_bytes(payload, ret->feed, sizeof(ret->feed)) < 0 ||
	    take_now(payload, &ret->now) < 0 || take_u8(payload, &flags) < 0 || flags > 1 ||
	    varint_take(payload, &ret->position) < 0 || take_upto(payload, UINT32_MAX, &beat) < 0 ||
	    take_text(payload, &ret->name) < 0)
		return -EBADMSG;
	ret->resumed = flags;
	ret->beat = beat * NSEC_PER_MSEC;
	return 0;
}

int peerfeed_take_snapshot(struct str *payload, struct peerfeed_snapshot *ret)
{
	uint8_t flags;

	*ret = (struct peerfeed_snapshot){0};
	if (take_u8(payload, &flags) < 0 || flags & ~(SNAPSHOT_FIRST | SNAPSHOT_LAST) ||
	    take_name_id(payload, &ret->index) < 0)
		return -EBADMSG;
	ret->first = flags & SNAPSHOT_FIRST;
	ret->last = flags & SNAPSHOT_LAST;
	if ((ret->first && varint_take(payload, &ret->position) < 0) ||
	    (ret->last && varint_take(payload, &ret->right_from) < 0))
		return -EBADMSG;
	return 0;
}

int peerfeed_take_mark(struct str *payload, struct peerfeed_mark *ret)
{
	uint64_t behind;

	if (varint_take(payload, &ret->position) < 0 || take_now(payload, &ret->now) < 0 ||
	    take_upto(payload, MS_MAX, &behind) < 0)
		return -EBADMSG;
	ret->known = ret->now - MIN(behind * NSEC_PER_MSEC, ret->now);
	return 0;
}

int peerfeed_take_wait(struct str *payload, nsec_t *ret_now)
{
	return take_now(payload, ret_now);
}

int peerfeed_take_base(struct str *payload, struct peerfeed_base *ret)
{
	*ret = (struct peerfeed_base){0};
	if (take_upto(payload, MS_MAX, &ret->ms) < 0 ||
	    take_upto(payload, UINT32_MAX, &ret->wall) < 0)
		return -EBADMSG;
	return 0;
}

/* ---- records --------------------------------------------------------------------------------- */

static int take_age(struct str *s, const struct peerfeed_base *base, nsec_t *ret)
{
	uint64_t age;

	if (take_upto(s, base->ms, &age) < 0)
		return -EBADMSG;
	*ret = (base->ms - age) * NSEC_PER_MSEC;
	return 0;
}

static int take_id(struct str *s, const struct peerfeed_base *base, uint32_t *ret)
{
	uint64_t v;
	int64_t id;

	if (take_upto(s, 1ULL << 34, &v) < 0)
		return -EBADMSG;
	id = base->last + varint_unzigzag(v);
	if (id < 0 || id > UINT32_MAX)
		return -EBADMSG;
	*ret = (uint32_t)id;
	return 0;
}

static int take_end(struct str *s, const struct peerfeed_base *base, nsec_t *ret_to,
		    nsec_t *ret_heard)
{
	uint64_t before;

	if (take_age(s, base, ret_to) < 0 || take_upto(s, *ret_to / NSEC_PER_MSEC, &before) < 0)
		return -EBADMSG;
	*ret_heard = *ret_to - before * NSEC_PER_MSEC;
	return 0;
}

static int take_addr(struct str *s, bool v6, struct addr *ret)
{
	static const struct addr v4 = {.b = {[10] = 0xff, [11] = 0xff}};

	*ret = v4;
	return take_bytes(s, ret->b + (v6 ? 0 : 12), v6 ? 16 : 4);
}

static int take_claim(struct str *s, const struct peerfeed_base *base, struct peerfeed_claim *ret)
{
	uint8_t flags;

	if (take_u8(s, &flags) < 0 || flags & ~(CLAIM_V6 | CLAIM_OVER) ||
	    take_addr(s, flags & CLAIM_V6, &ret->ip) < 0 || take_age(s, base, &ret->from) < 0)
		return -EBADMSG;
	ret->to = ret->heard = NSEC_NEVER;
	if (!(flags & CLAIM_OVER))
		return 0;
	return take_end(s, base, &ret->to, &ret->heard) < 0 || ret->to < ret->from ? -EBADMSG : 0;
}

/* Those that last come first. */
static int take_claims(struct str *s, const struct peerfeed_base *base, bool told,
		       struct peerfeed_record *ret)
{
	uint64_t n = 1;
	bool over = false;

	if (told && take_upto(s, PEERFEED_CLAIMS_MAX, &n) < 0)
		return -EBADMSG;
	if (!n)
		return -EBADMSG;
	for (uint64_t i = 0; i < n; i++) {
		struct peerfeed_claim *c = &ret->claims[i];

		if (take_claim(s, base, c) < 0 || (over && c->to == NSEC_NEVER))
			return -EBADMSG;
		over = c->to != NSEC_NEVER;
	}
	ret->n_claims = (uint32_t)n;
	return 0;
}

static int take_pod(struct str *s, const struct peerfeed_base *base, uint8_t tag,
		    struct peerfeed_record *ret)
{
	uint64_t age = 0;

	ret->listed = tag & TAG_LISTED;
	if (take_id(s, base, &ret->id) < 0 ||
	    take_name_id(s, tag & TAG_WORKLOAD ? &ret->workload : &ret->ns) < 0 ||
	    take_name_id(s, &ret->node) < 0)
		return -EBADMSG;
	if ((tag & TAG_WORKLOAD && !ret->workload) ||
	    (tag & TAG_RUNNING && take_upto(s, base->wall, &age) < 0) ||
	    (tag & TAG_WORKLOAD && take_u8(s, &ret->shared) < 0) || take_text(s, &ret->text) < 0)
		return -EBADMSG;
	if (tag & TAG_RUNNING)
		ret->running = (uint32_t)(base->wall - age);
	return take_claims(s, base, tag & TAG_CLAIMS, ret);
}

static int take_place(struct str *s, const struct peerfeed_base *base, uint8_t tag,
		      struct peerfeed_record *ret)
{
	ret->listed = tag & TAG_LISTED;
	ret->is_node = tag & TAG_NODE;
	if (take_id(s, base, &ret->id) < 0 || take_name_id(s, &ret->ns) < 0 ||
	    take_text(s, &ret->text) < 0)
		return -EBADMSG;
	return take_claims(s, base, tag & TAG_CLAIMS, ret);
}

static int take_name(struct str *s, uint8_t tag, struct peerfeed_record *ret)
{
	if (take_name_id(s, &ret->id) < 0 || !ret->id)
		return -EBADMSG;
	if (tag & TAG_WORKLOAD &&
	    (take_name_id(s, &ret->ns) < 0 || take_name_id(s, &ret->kind) < 0 || !ret->kind))
		return -EBADMSG;
	return take_text(s, &ret->text);
}

/* Which of the tag's upper bits each type may have. */
static bool is_tag(uint8_t tag)
{
	static const uint8_t extra[_PEERFEED_TYPE_MAX] = {
		[PEERFEED_NAME] = TAG_WORKLOAD,
		[PEERFEED_POD] = TAG_LISTED | TAG_RUNNING | TAG_WORKLOAD | TAG_CLAIMS,
		[PEERFEED_PLACE] = TAG_LISTED | TAG_NODE | TAG_CLAIMS,
	};
	const uint8_t type = tag & TAG_TYPE;

	return type && type < _PEERFEED_TYPE_MAX && !(tag & ~TAG_TYPE & ~extra[type]);
}

static int take_record(struct str *s, const struct peerfeed_base *base, uint8_t tag,
		       struct peerfeed_record *ret)
{
	switch (ret->type) {
	case PEERFEED_NAME:
		return take_name(s, tag, ret);
	case PEERFEED_DROP:
		return take_name_id(s, &ret->id);
	case PEERFEED_POD:
		return take_pod(s, base, tag, ret);
	case PEERFEED_PLACE:
		return take_place(s, base, tag, ret);
	case PEERFEED_ENDED:
		if (take_id(s, base, &ret->id) < 0)
			return -EBADMSG;
		return take_end(s, base, &ret->to, &ret->heard);
	case PEERFEED_FORGET:
		return take_id(s, base, &ret->id);
	case PEERFEED_LISTED:
		return take_age(s, base, &ret->to);
	case _PEERFEED_TYPE_MAX:
		break;
	}
	return -EBADMSG;
}

int peerfeed_take(struct str *payload, struct peerfeed_base *base, struct peerfeed_record *ret)
{
	uint8_t tag;

	if (!payload->n)
		return 0;
	(void)take_u8(payload, &tag);
	if (!is_tag(tag))
		return -EBADMSG;
	ret->type = tag & TAG_TYPE;
	ret->id = ret->ns = ret->kind = ret->workload = ret->node = ret->running = 0;
	ret->n_claims = ret->shared = 0;
	ret->is_node = ret->listed = false;
	ret->text = (struct str){0};
	ret->to = ret->heard = 0;
	if (take_record(payload, base, tag, ret) < 0)
		return -EBADMSG;
	if (peerfeed_has_entry(ret->type))
		base->last = ret->id;
	return 1;
}
