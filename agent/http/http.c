/*
 * The loop under libcurl: sockets and timers of the multi interface become
 * libevent events; transfers are started, paused and dropped between its calls.
 *
 * Callbacks of libcurl (on_header, on_body, on_connected, on_socket, on_timer)
 * never call libcurl, with the one exception it documents (curl_multi_assign).
 * What they want done waits in `todo` for the next turn.
 */
#include "http/http.h"

#include "http/xfer.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

struct http_socket {
	struct event ev;
	short what; /* EV_READ, EV_WRITE as added; 0: not added */
	LIST_ENTRY(http_socket) all;
};

struct http {
	struct event_base *base;
	CURLM *multi;
	struct event timer; /* libcurl's */
	struct event turn;  /* works `todo` off */
	LIST_HEAD(, http_xfer) xfers;
	LIST_HEAD(, http_socket) sockets;
	TAILQ_HEAD(todo, http_xfer) todo;
	char *user_agent;
	nsec_t connect_timeout;
	size_t max_head;
	unsigned max_transfers;
	struct http_counters counters;
};

void http_count_connect(struct http *h)
{
	h->counters.connects++;
}

/* --- one transfer -------------------------------------------------------- */

static void later(struct http_xfer *x)
{
	if (x->in_todo)
		return;
	x->in_todo = true;
	TAILQ_INSERT_TAIL(&x->h->todo, x, todo);
	event_active(&x->h->turn, EV_TIMEOUT, 0);
}

/* When the next limit passes. */
static nsec_t xfer_due(const struct http_xfer *x)
{
	nsec_t due = x->total ? x->started + x->total : NSEC_NEVER;

	if (x->stage == HTTP_STAGE_CONNECT)
		return MIN(due, x->started + x->connect);
	if (x->paused)
		return due;
	if (x->stage == HTTP_STAGE_WAIT && x->first_byte)
		return MIN(due, MAX(x->sent, x->seen) + x->first_byte);
	if (x->stage == HTTP_STAGE_BODY && x->idle)
		return MIN(due, x->seen + x->idle);
	return due;
}

/* Bytes only move the deadline away: the timer notices when it fires, not before. */
static void xfer_arm(struct http_xfer *x, nsec_t now)
{
	nsec_t due = xfer_due(x);
	struct timeval tv = clock_timeval(due > now ? due - now + NSEC_PER_USEC : 0);

	if (due == NSEC_NEVER)
		(void)event_del(&x->timer);
	else
		(void)event_add(&x->timer, &tv);
}

static void slist_wipe(struct curl_slist *l)
{
	for (struct curl_slist *s = l; s; s = s->next)
		explicit_bzero(s->data, strlen(s->data)); /* tokens */
	curl_slist_free_all(l);
}

/* libcurl lets go: no callback of its comes any more. */
static void xfer_detach(struct http_xfer *x)
{
	if (x->easy && x->stage != HTTP_STAGE_NEW)
		(void)curl_multi_remove_handle(x->h->multi, x->easy);
	curl_easy_cleanup(x->easy);
	x->easy = NULL;
	(void)event_del(&x->timer);
	x->stage = HTTP_STAGE_ENDING;
}

static void xfer_free(struct http_xfer *x)
{
	if (!x)
		return;
	xfer_detach(x);
	if (x->in_todo)
		TAILQ_REMOVE(&x->h->todo, x, todo);
	LIST_REMOVE(x, all);
	x->h->counters.open--;
	slist_wipe(x->headers);
	curl_slist_free_all(x->connect_to);
	http_head_done(&x->head);
	http_certs_unref(&x->certs);
	free(x->where);
	free(x);
}

/* Only between libcurl's calls. */
static void xfer_end(struct http_xfer *x, enum http_result how)
{
	xfer_detach(x);
	if (!x->cancelled && x->ops->end)
		x->ops->end(x->ctx, x, how, x->text);
	xfer_free(x);
}

/* --- libcurl's callbacks about a transfer -------------------------------- */

/* The connection stands, TLS included; the request goes out next. */
static int on_connected(void *ctx, char *ip, char *local_ip, int port, int local_port)
{
	struct http_xfer *x = ctx;
	nsec_t now = clock_mono();

	(void)ip;
	(void)local_ip;
	(void)port;
	(void)local_port;
	if (x->cancelled)
		return CURL_PREREQFUNC_ABORT;
	x->stage = HTTP_STAGE_WAIT;
	x->sent = now;
	xfer_arm(x, now);
	return CURL_PREREQFUNC_OK;
}

static size_t give_up(struct http_xfer *x, int r)
{
	x->abort_code = r;
	return 0; /* not the number of bytes offered: libcurl ends the transfer */
}

static size_t on_header(char *p, size_t size, size_t n, void *ctx)
{
	struct http_xfer *x = ctx;
	size_t total = size * n;
	int r;

	if (x->cancelled)
		return 0;
	r = http_head_line(&x->head, str_make(p, total));
	if (r < 0)
		return give_up(x, r);
	x->seen = clock_mono();
	if (r == 0)
		return total;
	x->stage = HTTP_STAGE_BODY;
	xfer_arm(x, x->seen);
	r = x->ops->response ? x->ops->response(x->ctx, x, x->head.status) : 0;
	return r < 0 ? give_up(x, r) : total;
}

static size_t on_body(char *p, size_t size, size_t n, void *ctx)
{
	struct http_xfer *x = ctx;
	size_t total = size * n;
	int r;

	if (x->cancelled)
		return 0;
	if (x->paused) {
		x->paused_in = true;
		return CURL_WRITEFUNC_PAUSE; /* libcurl keeps these bytes */
	}
	if (!total)
		return 0;
	x->seen = clock_mono();
	x->bytes += total;
	x->h->counters.bytes += total;
	r = x->ops->data ? x->ops->data(x->ctx, x, p, total) : 0;
	return r < 0 ? give_up(x, r) : total;
}

/* --- the multi interface ------------------------------------------------- */

static void drain(struct http *h)
{
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(h->multi, &left))) {
		CURLcode code = m->data.result; /* m dies with the handle's removal */
		struct http_xfer *x = NULL;
		char *private = NULL;

		if (m->msg != CURLMSG_DONE)
			continue;
		(void)curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &private);
		x = (struct http_xfer *)(void *)private;
		if (x && !x->cancelled) /* else its turn comes in `todo` */
			xfer_end(x, http_outcome(x, code));
	}
}

static void on_ready(evutil_socket_t fd, short what, void *ctx)
{
	struct http *h = ctx;
	int flags = ((what & EV_READ) ? CURL_CSELECT_IN : 0) |
		    ((what & EV_WRITE) ? CURL_CSELECT_OUT : 0);
	int running;

	(void)curl_multi_socket_action(h->multi, fd, flags, &running);
	drain(h);
}

static void on_timeout(evutil_socket_t fd, short what, void *ctx)
{
	struct http *h = ctx;
	int running;

	(void)fd;
	(void)what;
	(void)curl_multi_socket_action(h->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	drain(h);
}

static int on_timer(CURLM *multi, long timeout_ms, void *ctx)
{
	struct http *h = ctx;
	struct timeval tv = clock_timeval((nsec_t)MAX(timeout_ms, 0L) * NSEC_PER_MSEC);

	(void)multi;
	return timeout_ms < 0 ? event_del(&h->timer) : event_add(&h->timer, &tv);
}

static void socket_drop(struct http_socket *s)
{
	if (s->what)
		(void)event_del(&s->ev);
	LIST_REMOVE(s, all);
	free(s);
}

static int socket_watch(struct http *h, curl_socket_t fd, short what, struct http_socket *s)
{
	if (!s) {
		s = calloc(1, sizeof(*s));
		if (!s)
			return -1;
		LIST_INSERT_HEAD(&h->sockets, s, all);
		(void)curl_multi_assign(h->multi, fd, s);
	}
	if (s->what == what)
		return 0;
	if (s->what)
		(void)event_del(&s->ev);
	s->what = what;
	(void)event_assign(&s->ev, h->base, fd, (short)(what | EV_PERSIST), on_ready, h);
	return what ? event_add(&s->ev, NULL) : 0;
}

/* REMOVE may name a socket that was never announced. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *socket)
{
	struct http *h = ctx;
	struct http_socket *s = socket;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (s) {
			socket_drop(s);
			(void)curl_multi_assign(h->multi, fd, NULL);
		}
		return 0;
	}
	return socket_watch(h, fd,
			    (short)(((what & CURL_POLL_IN) ? EV_READ : 0) |
				    ((what & CURL_POLL_OUT) ? EV_WRITE : 0)),
			    s);
}

/* --- what waits for the next turn ---------------------------------------- */

static void on_limit(evutil_socket_t fd, short what, void *ctx)
{
	struct http_xfer *x = ctx;
	nsec_t now = clock_mono();

	(void)fd;
	(void)what;
	if (x->cancelled)
		return;
	if (xfer_due(x) > now)
		xfer_arm(x, now);
	else
		xfer_end(x, http_outcome_late(x, now));
}

static void xfer_begin(struct http_xfer *x)
{
	x->started = clock_mono();
	x->seen = x->started;
	x->stage = HTTP_STAGE_CONNECT;
	xfer_arm(x, x->started);
	if (curl_multi_add_handle(x->h->multi, x->easy) != CURLM_OK) {
		x->stage = HTTP_STAGE_NEW;
		x->abort_code = -ENOMEM;
		xfer_end(x, http_outcome(x, CURLE_OUT_OF_MEMORY));
	}
}

/* Before the head is complete on_body sees to a pause: libcurl would forget it while it connects,
 * and hand kept lines of the head over in one piece. */
static void xfer_apply_pause(struct http_xfer *x)
{
	CURLcode code;

	if (x->paused == x->paused_in || x->stage < HTTP_STAGE_BODY)
		return;
	x->paused_in = x->paused;
	if (!x->paused) {
		x->seen = clock_mono();
		xfer_arm(x, x->seen);
	}
	/* Ending a pause delivers what libcurl had kept, through on_body. */
	code = curl_easy_pause(x->easy, x->paused ? CURLPAUSE_RECV : CURLPAUSE_CONT);
	if (code != CURLE_OK && !x->cancelled)
		xfer_end(x, http_outcome(x, code));
}

static void on_turn(evutil_socket_t fd, short what, void *ctx)
{
	struct http *h = ctx;
	struct http_xfer *x, *last = TAILQ_LAST(&h->todo, todo);

	(void)fd;
	(void)what;
	/* What is added meanwhile has its own turn. */
	for (bool more = last != NULL; more;) {
		x = TAILQ_FIRST(&h->todo);
		if (!x)
			break;
		more = x != last;
		TAILQ_REMOVE(&h->todo, x, todo);
		x->in_todo = false;
		if (x->cancelled)
			xfer_free(x);
		else if (x->stage == HTTP_STAGE_NEW)
			xfer_begin(x);
		else
			xfer_apply_pause(x);
	}
	drain(h);
}

/* --- public -------------------------------------------------------------- */

static int multi_setup(struct http *h, const struct http_opts *o)
{
	long idle = o->max_idle ? (long)o->max_idle : HTTP_MAX_IDLE;

	h->multi = curl_multi_init();
	if (!h->multi)
		return -ENOMEM;
	if (curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, on_socket) ||
	    curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h) ||
	    curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, on_timer) ||
	    curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h) ||
	    curl_multi_setopt(h->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING) ||
	    curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, idle))
		return -ENOMEM;
	return 0;
}

static void ignore_sigpipe(void)
{
	struct sigaction old;

	if (sigaction(SIGPIPE, NULL, &old) == 0 && old.sa_handler == SIG_DFL)
		(void)signal(SIGPIPE, SIG_IGN);
}

int http_new(const struct http_opts *o, struct http **ret)
{
	struct http *h;
	int r;

	if (!o->base)
		return -EINVAL;
	h = calloc(1, sizeof(*h));
	if (!h)
		return -ENOMEM;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		free(h);
		return -ENOMEM;
	}
	h->base = o->base;
	h->connect_timeout = o->connect_timeout ? o->connect_timeout : HTTP_CONNECT_TIMEOUT;
	h->max_head = o->max_head ? o->max_head : HTTP_MAX_HEAD;
	h->max_transfers = o->max_transfers ? o->max_transfers : HTTP_MAX_TRANSFERS;
	LIST_INIT(&h->xfers);
	LIST_INIT(&h->sockets);
	TAILQ_INIT(&h->todo);
	(void)evtimer_assign(&h->timer, h->base, on_timeout, h);
	(void)event_assign(&h->turn, h->base, -1, EV_PERSIST, on_turn, h);
	ignore_sigpipe();
	if (o->user_agent)
		h->user_agent = str_dup(str_of(o->user_agent));
	r = o->user_agent && !h->user_agent ? -ENOMEM : multi_setup(h, o);
	if (r < 0) {
		http_free(&h);
		return r;
	}
	*ret = h;
	return 0;
}

void http_free(struct http **hp)
{
	struct http *h = *hp;

	if (!h)
		return;
	*hp = NULL;
	while (!LIST_EMPTY(&h->xfers))
		xfer_free(LIST_FIRST(&h->xfers));
	(void)curl_multi_cleanup(h->multi);
	while (!LIST_EMPTY(&h->sockets))
		socket_drop(LIST_FIRST(&h->sockets));
	(void)event_del(&h->timer);
	(void)event_del(&h->turn);
	free(h->user_agent);
	free(h);
	curl_global_cleanup();
}

static void callbacks_set(struct http_xfer *x)
{
	/* Setting a pointer cannot fail. */
	(void)curl_easy_setopt(x->easy, CURLOPT_PREREQFUNCTION, on_connected);
	(void)curl_easy_setopt(x->easy, CURLOPT_PREREQDATA, x);
	(void)curl_easy_setopt(x->easy, CURLOPT_HEADERFUNCTION, on_header);
	(void)curl_easy_setopt(x->easy, CURLOPT_HEADERDATA, x);
	(void)curl_easy_setopt(x->easy, CURLOPT_WRITEFUNCTION, on_body);
	(void)curl_easy_setopt(x->easy, CURLOPT_WRITEDATA, x);
}

int http_start(struct http *h, const struct http_request *req, struct http_xfer **ret)
{
	struct http_xfer *x;
	int r;

	if (h->counters.open >= h->max_transfers)
		return -EMSGSIZE;
	x = calloc(1, sizeof(*x));
	if (!x)
		return -ENOMEM;
	x->h = h;
	x->fd = -1;
	x->ops = req->ops;
	x->ctx = req->ctx;
	x->connect = req->connect_timeout ? req->connect_timeout : h->connect_timeout;
	x->first_byte = req->first_byte_timeout;
	x->idle = req->idle_timeout;
	x->total = req->total_timeout;
	http_head_init(&x->head, h->max_head);
	(void)evtimer_assign(&x->timer, h->base, on_limit, x);
	LIST_INSERT_HEAD(&h->xfers, x, all);
	h->counters.open++;
	x->easy = curl_easy_init();
	r = x->easy ? http_setup(x, req, h->user_agent) : -ENOMEM;
	if (r < 0) {
		xfer_free(x);
		return r;
	}
	callbacks_set(x);
	h->counters.requests++;
	later(x);
	*ret = x;
	return 0;
}

void http_cancel(struct http_xfer **xp)
{
	struct http_xfer *x = *xp;

	*xp = NULL;
	if (!x || x->cancelled)
		return;
	x->cancelled = true;
	if (x->stage == HTTP_STAGE_ENDING)
		return; /* from inside its own ops->end */
	x->h->counters.cancelled++;
	later(x);
}

void http_pause(struct http_xfer *x, bool paused)
{
	assert(!x->cancelled);
	if (x->paused == paused || x->stage == HTTP_STAGE_ENDING)
		return;
	x->paused = paused;
	later(x);
}

struct str http_header(const struct http_xfer *x, const char *name)
{
	return http_head_field(&x->head, str_of(name));
}

nsec_t http_retry_after(const struct http_xfer *x)
{
	struct str v = http_header(x, "retry-after");
	unsigned long long secs;
	char date[64];
	time_t at;

	if (str_to_u64(v, &secs) == 0)
		return MIN(secs, (unsigned long long)UINT32_MAX) * NSEC_PER_SEC;
	if (!v.n || v.n >= sizeof(date))
		return 0;
	memcpy(date, v.p, v.n);
	date[v.n] = '\0';
	at = curl_getdate(date, NULL); /* touches no handle: fine inside a callback */
	secs = clock_wall() / NSEC_PER_SEC;
	return at > 0 && (unsigned long long)at > secs
		       ? ((unsigned long long)at - secs) * NSEC_PER_SEC
		       : 0;
}

int http_status(const struct http_xfer *x)
{
	return x->head.complete ? x->head.status : 0;
}

const struct http_counters *http_counters(const struct http *h)
{
	return &h->counters;
}

size_t http_bytes(const struct http *h)
{
	return sizeof(*h) + h->counters.open * HTTP_XFER_BYTES;
}
