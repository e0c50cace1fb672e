/*
 * One watch: a cursor over its kind's events. It sends what has happened, as
 * long as the connection takes it, and turns changes at the edge of its
 * selection into ADDED and DELETED as the API server does.
 */
#include "server.h"

#include "read.h"

#include <stdio.h>
#include <stdlib.h>

#define BACKLOG_MAX	(1U << 20) /* bytes waiting for the client before events wait, too */
#define TIMEOUT_DEFAULT 1800	   /* seconds; doubled at random, as --min-request-timeout does */

struct watch {
	struct conn *c;
	size_t cursor;
	uint64_t last_rv; /* highest told */
	bool bookmarks;
	long events_left; /* until a clean end; below 0: no end */
	bool duplicate;	  /* each event twice */
	bool ending;	  /* its time is up: ends when all that has happened is told */
	struct event *deadline, *minute;
	struct buf frame;
};

size_t watch_cursor(const struct watch *w)
{
	return w->cursor;
}

void watch_free(struct watch *w)
{
	if (!w)
		return;
	if (w->deadline)
		event_free(w->deadline);
	if (w->minute)
		event_free(w->minute);
	buf_done(&w->frame);
	free(w);
}

static struct kind_store *kind_of(const struct watch *w)
{
	return kind_data(&w->c->srv->store, w->c->req.kind);
}

/* Go writes the length prefix of a protobuf frame apart from the frame. */
static void send_frame(struct watch *w)
{
	struct str f = buf_str(&w->frame);

	if (w->c->req.enc.pb) {
		resp_write(w->c, f.p, 4);
		f = str_from(f, 4);
	}
	resp_write(w->c, f.p, f.n);
	buf_reset(&w->frame);
}

static void send_version(struct watch *w, enum event_type type, const struct version *v,
			 uint64_t rv)
{
	event_body(&w->frame, w->c->req.kind, event_name[type], v, w->c->req.enc, rv);
	send_frame(w);
}

static void send_bookmark(struct watch *w, uint64_t rv, bool initial_end)
{
	bookmark_body(&w->frame, w->c->req.kind, kind_of(w), w->c->req.enc, rv, initial_end);
	send_frame(w);
	w->last_rv = MAX(w->last_rv, rv);
}

/* What this event is for the selection; false: nothing. */
static bool seen_as(const struct watch *w, const struct event *e, enum event_type *ret_type,
		    const struct version **ret_version, uint64_t *ret_rv)
{
	const struct kind_store *ks = kind_of(w);
	const struct selector *sel = &w->c->req.sel;
	const struct version *v = &ks->versions[e->version];
	bool was = e->prev != NO_VERSION && selector_match(sel, &ks->versions[e->prev]);
	bool is = e->type != EVENT_DELETED && selector_match(sel, v);

	*ret_rv = 0;
	*ret_version = v;
	if (!was && !is)
		return false;
	if (is) {
		*ret_type = was ? EVENT_MODIFIED : EVENT_ADDED;
		return true;
	}
	*ret_type = EVENT_DELETED;
	if (e->type != EVENT_DELETED) {
		*ret_version = &ks->versions[e->prev];
		*ret_rv = e->rv;
	}
	return true;
}

static void send_event(struct watch *w, const struct event *e)
{
	const struct version *v;
	enum event_type type;
	uint64_t rv;

	if (e->type == EVENT_BOOKMARK) {
		if (w->bookmarks && e->rv >= w->last_rv)
			send_bookmark(w, e->rv, false);
		return;
	}
	if (!seen_as(w, e, &type, &v, &rv))
		return;
	send_version(w, type, v, rv);
	if (w->duplicate)
		send_version(w, type, v, rv);
	w->last_rv = e->rv;
	if (w->events_left > 0)
		w->events_left--;
}

static void end(struct watch *w)
{
	if (w->bookmarks && recorded_rv(kind_of(w)) > w->last_rv)
		send_bookmark(w, recorded_rv(kind_of(w)), false);
	resp_end(w->c);
}

void watch_more(struct watch *w)
{
	struct kind_store *ks = kind_of(w);
	bool any = false;

	while (w->cursor < ks->pos && w->events_left && !w->c->ended &&
	       conn_backlog(w->c) < BACKLOG_MAX) {
		send_event(w, &ks->events[w->cursor++]);
		any = true;
	}
	if (any)
		resp_flush(w->c);
	if (w->c->dead || w->c->ended)
		return;
	if (!w->events_left)
		resp_end(w->c);
	else if (w->ending && w->cursor >= ks->pos)
		end(w);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct watch *w = arg;

	(void)fd;
	(void)what;
	if (w->c->dead || w->c->ended || w->c->stalled)
		return;
	w->ending = true;
	watch_more(w);
}

/* The recorded bookmarks end with the recording; watches go on. */
static void on_minute(evutil_socket_t fd, short what, void *arg)
{
	struct watch *w = arg;
	const struct kind_store *ks = kind_of(w);

	(void)fd;
	(void)what;
	if (w->c->dead || w->c->ended || w->c->stalled)
		return;
	if (ks->pos == ks->n_events && w->cursor >= ks->pos) {
		send_bookmark(w, MAX(recorded_rv(ks), w->last_rv), false);
		resp_flush(w->c);
	}
}

static struct event *add_timer(struct watch *w, event_callback_fn fn, short flags, double seconds)
{
	struct event *ev = event_new(w->c->srv->base, -1, flags, fn, w);
	struct timeval tv = {.tv_sec = (time_t)seconds};

	tv.tv_usec = (suseconds_t)((seconds - (double)tv.tv_sec) * 1e6);
	event_add(ev, &tv);
	return ev;
}

static void set_timers(struct watch *w, const struct fault *end_after)
{
	const char *text = api_param(&w->c->req, "timeoutSeconds");
	double s = text ? strtod(text, NULL) : 0;

	if (s <= 0)
		s = TIMEOUT_DEFAULT + (double)rng_below(&w->c->srv->faults.rng, TIMEOUT_DEFAULT);
	if (end_after)
		s = end_after->arg ? strtod(end_after->arg, NULL) : (double)end_after->num;
	w->deadline = add_timer(w, on_deadline, 0, s);
	if (w->bookmarks)
		w->minute = add_timer(w, on_minute, EV_PERSIST, w->c->srv->o.bookmark_s);
}

static const struct fault *hit(struct conn *c, enum fault_id id)
{
	return faults_hit(&c->srv->faults, id, VERB_WATCH, c->req.kind, clock_mono());
}

static void send_hostile(struct watch *w)
{
	for (enum fault_id id = FAULT_OVERSIZED; id <= FAULT_OWNER_CYCLE; id++) {
		const struct fault *f = hit(w->c, id);
		const struct hostile *h =
			f ? hostile_get(w->c->srv, f, w->c->req.kind, &w->c->req.sel) : NULL;

		for (size_t i = 0; h && i < h->n; i++)
			send_version(w, EVENT_ADDED, &h->v[i],
				     MAX(w->last_rv, kind_of(w)->base_rv));
	}
}

static void send_state(struct watch *w, bool mark)
{
	const struct kind_store *ks = kind_of(w);

	for (size_t i = 0; i < ks->n_objects; i++) {
		const struct version *v;

		if (ks->cur[i] == NO_VERSION)
			continue;
		v = &ks->versions[ks->cur[i]];
		if (selector_match(&w->c->req.sel, v))
			send_version(w, EVENT_ADDED, v, 0);
	}
	w->last_rv = recorded_rv(ks);
	send_hostile(w);
	if (mark && !hit(w->c, FAULT_NO_END_MARKER))
		send_bookmark(w, recorded_rv(ks), true);
}

/* A frame no client should believe; for JSON, brackets that do not match. */
static void send_bad_frame(struct watch *w)
{
	static const struct {
		enum fault_id id;
		struct str bytes;
	} bad[] = {
		{FAULT_NEGATIVE_LENGTH, {"\xff\xff\xff\xff\x0a\x05", 6}},
		{FAULT_HUGE_LENGTH, {"\x7f\xff\xff\xff\x0a\x05", 6}},
		{FAULT_WRONG_MAGIC,
		 {"\0\0\0\x11\x0a\x05"
		  "ADDED"
		  "\x12\x08\x0a\x06k8s\1\0\0",
		  21}},
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (!hit(w->c, bad[i].id))
			continue;
		if (w->c->req.enc.pb)
			resp_write(w->c, bad[i].bytes.p, bad[i].bytes.n);
		else
			resp_write(w->c, "{\"type\":\"ADDED\",\"object\":]}\n", 28);
	}
}

void watch_new(struct conn *c)
{
	struct watch *w = must_calloc(1, sizeof(*w));
	const char *rv = api_param(&c->req, "resourceVersion");
	const char *marks = api_param(&c->req, "allowWatchBookmarks");
	const char *initial = api_param(&c->req, "sendInitialEvents");
	bool streaming =
		initial && !strcmp(initial, "true") && !hit(c, FAULT_IGNORE_STREAMING_LIST);
	bool from_now = !rv || !*rv || !strcmp(rv, "0");
	const struct fault *end_events;

	w->c = c;
	c->watch = w;
	buf_init(&w->frame, READ_MAX);
	w->bookmarks = marks && (!strcmp(marks, "true") || !strcmp(marks, "1"));
	end_events = hit(c, FAULT_END_EVENTS);
	w->events_left = end_events ? end_events->num : -1;
	w->duplicate = hit(c, FAULT_DUPLICATE) != NULL;
	set_timers(w, hit(c, FAULT_END_AFTER));
	api_start(c, true);
	if (streaming || from_now) {
		w->cursor = kind_of(w)->pos;
		/* Since 1.36 the mark ends the initial events of plain watches, too. */
		send_state(w,
			   w->bookmarks && (streaming || (!initial && c->srv->store.minor >= 36)));
	} else {
		w->last_rv = strtoull(rv, NULL, 10);
		w->cursor = recorded_find(kind_of(w), w->last_rv);
		send_hostile(w);
	}
	w->bookmarks = w->bookmarks && !hit(c, FAULT_NO_BOOKMARKS);
	send_bad_frame(w);
	resp_flush(c);
	if (!c->dead && !c->ended)
		watch_more(w);
	timeline_watch(c->srv, c->req.kind);
}
