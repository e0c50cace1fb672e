/*
 * Lists of a reflector: pages with their tokens, streaming lists with their end
 * marker, and starting over when the server has forgotten.
 */
#include "kube/reflector_parts.h"

#include "base/mem.h"

#include <errno.h>
#include <stdio.h>

/* So many streaming lists in a row that do not complete: pages from then on. */
#define MAX_STREAM_FAILURES 2

int rv_set(struct rv *rv, struct str s)
{
	if (str_empty(s))
		return -EBADMSG;
	if (s.n > sizeof(rv->p))
		return -EMSGSIZE;
	memcpy(rv->p, s.p, s.n);
	rv->n = s.n;
	return 0;
}

void list_forget(struct reflector *r)
{
	free(r->cont);
	free(r->next_cont);
	r->cont = r->next_cont = NULL;
	r->list_rv.n = 0;
}

static void complete(struct reflector *r)
{
	r->rv = r->list_rv;
	list_forget(r);
	r->list_wanted = false;
	r->pages_once = false;
	r->expired_tokens = r->protobuf_errors = r->stuck = 0;
	r->ever_synced = r->just_listed = true;
	r->heard = r->now;
	r->counters.lists++;
	r->o.ops->list_end(r->o.ctx);
	reflector_tell(r, REFLECTOR_SYNCED, "");
}

/* ---- pages ---- */

static int page_token(struct reflector *r, struct str cont)
{
	if (cont.n > REFLECTOR_MAX_CONTINUE)
		return -EMSGSIZE;
	/* A server that answers with the token it was given would be asked for ever. */
	if (r->cont && str_eq(str_of(r->cont), cont))
		return -ELOOP;
	free(r->next_cont);
	r->next_cont = str_empty(cont) ? NULL : str_dup(cont);
	return r->next_cont || str_empty(cont) ? 0 : -ENOMEM;
}

int list_meta(struct reflector *r, const struct list_meta *m)
{
	/* All pages are of the first one's version. */
	int e = r->list_rv.n == 0 && rv_set(&r->list_rv, m->resource_version) < 0
			? -EBADMSG
			: page_token(r, m->cont);

	if (e < 0)
		r->t.stop = STOP_BAD_RV;
	else
		r->t.list_meta_seen = true;
	return e;
}

void list_page_done(struct reflector *r)
{
	transfer_close(r);
	free(r->cont);
	r->cont = TAKE_PTR(r->next_cont);
	r->counters.pages++;
	r->protobuf_errors = 0;
	r->not_before = r->now;
	backoff_good(&r->backoff, r->now);
	if (!r->cont)
		complete(r);
	else
		reflector_tell(r, REFLECTOR_SYNCING, "");
}

/* ---- streaming lists ---- */

void list_stream_failed(struct reflector *r)
{
	r->pages_once = true;
	if (++r->stream_failures >= MAX_STREAM_FAILURES)
		r->streaming_off = true;
}

int list_marker(struct reflector *r, const struct object *o)
{
	if (!o->meta.initial_events_end) {
		/* A server that knows streaming lists sends none before the end marker. */
		r->t.stop = STOP_NO_MARKER;
		return -ECANCELED;
	}
	r->server_bookmarks = true;
	if (rv_set(&r->list_rv, o->meta.resource_version) < 0) {
		r->t.stop = STOP_BAD_RV;
		return -EBADMSG;
	}
	r->t.kind = TRANSFER_WATCH;
	r->stream_failures = 0;
	backoff_good(&r->backoff, r->now);
	complete(r);
	return 0;
}

/* ---- starting over ---- */

void list_expired(struct reflector *r)
{
	bool page = r->t.kind == TRANSFER_PAGE;
	bool worked = r->t.kind == TRANSFER_WATCH && !r->just_listed;
	char text[REFLECTOR_MAX_TEXT];

	r->counters.gone++;
	if (page && r->cont)
		r->expired_tokens++;
	else if (r->t.kind == TRANSFER_STREAM)
		list_stream_failed(r);
	if (page)
		r->counters.restarts++;
	transfer_close(r);
	list_forget(r);
	r->list_wanted = true;
	/* A resume point that worked before and is too old now is no failure: only spread out. */
	r->not_before = r->now + (worked ? rng_below(&r->rng, r->backoff.base + 1)
					 : backoff_next(&r->backoff, &r->rng, r->now, 0));
	(void)snprintf(text, sizeof(text), "%s: %s is too old for the server (410), listing anew",
		       r->what, page ? "the list's page token" : "the resume point");
	reflector_tell(r, REFLECTOR_SYNCING, text);
}
