/*
 * What the next request of a reflector says: path, parameters and Accept, by what
 * comes next and by what is known of the server.
 */
#include "kube/reflector_parts.h"

#include "kube/target.h"

static int add_selectors(struct reflector *r)
{
	int e = 0;

	if (r->field_selector)
		e = target_param(&r->target, "fieldSelector", str_of(r->field_selector));
	if (e == 0 && r->label_selector)
		e = target_param(&r->target, "labelSelector", str_of(r->label_selector));
	return e;
}

static int add_page(struct reflector *r)
{
	int e = 0;

	/* After tokens expired twice the list is too slow for pages: everything in one answer. */
	if (!r->o.whole_lists && r->expired_tokens < MAX_EXPIRED_TOKENS)
		e = buf_printf(&r->target, "?limit=%u", r->o.page_size);
	if (e == 0 && r->cont)
		e = target_param(&r->target, "continue", str_of(r->cont));
	else if (e == 0 && r->o.list_from_cache && !r->ever_synced && !r->counters.gone)
		e = target_param(&r->target, "resourceVersion", STR("0"));
	return e;
}

static int add_watch(struct reflector *r, uint32_t seconds)
{
	int e = buf_printf(&r->target, "?watch=1&allowWatchBookmarks=true&timeoutSeconds=%u",
			   seconds);

	if (e == 0 && r->t.kind == TRANSFER_STREAM)
		return buf_printf(&r->target,
				  "&sendInitialEvents=true"
				  "&resourceVersionMatch=NotOlderThan&resourceVersion=");
	if (e == 0)
		e = target_param(&r->target, "resourceVersion", str_make(r->rv.p, r->rv.n));
	return e;
}

static bool may_stream(const struct reflector *r)
{
	return !r->o.no_streaming && !r->streaming_off && !r->pages_once && !r->cont &&
	       !(r->o.no_streaming_shared && *r->o.no_streaming_shared);
}

static enum transfer_kind next_kind(const struct reflector *r)
{
	if (!r->list_wanted)
		return TRANSFER_WATCH;
	return may_stream(r) ? TRANSFER_STREAM : TRANSFER_PAGE;
}

static void begin(struct reflector *r, uint32_t seconds)
{
	enum transfer_kind kind = next_kind(r);

	r->t = (struct transfer){
		.kind = kind,
		.start_at = r->now,
		.heard = r->now,
		.decoded_at = r->now,
		.settle_at = NSEC_NEVER,
		.limit_at = kind == TRANSFER_PAGE
				    ? NSEC_NEVER
				    : r->now + seconds * NSEC_PER_SEC + WATCH_OVERTIME,
	};
	if (kind == TRANSFER_WATCH || r->cont)
		return;
	r->list_rv.n = 0;
	r->stuck = 0;
	if (r->ever_synced)
		r->counters.relists++;
}

int request_make(struct reflector *r, struct reflector_request *ret)
{
	uint32_t span = r->o.watch_max_s - r->o.watch_min_s;
	uint32_t seconds = r->o.watch_min_s + (uint32_t)rng_below(&r->rng, span + 1ULL);

	begin(r, seconds);
	buf_reset(&r->target);
	bool page = r->t.kind == TRANSFER_PAGE;
	int e = buf_append_str(&r->target, str_of(r->path));
	if (e == 0)
		e = page ? add_page(r) : add_watch(r, seconds);
	if (e == 0)
		e = add_selectors(r);
	if (e == 0)
		e = buf_append(&r->target, "", 1);
	if (e < 0)
		return e;
	*ret = (struct reflector_request){
		.target = buf_str(&r->target).p,
		.accept = accept_header((struct accept_form){
			.metadata_only = r->o.metadata_only && !r->plain_only,
			.list = page,
			.protobuf = !r->o.no_protobuf && !r->o.raw && !r->json_only,
		}),
		.watch = !page,
	};
	return 0;
}
