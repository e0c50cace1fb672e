/* Keeping a session connected; see conn.h. */
#include "sink/reducer/conn.h"

#include "base/backoff.h"
#include "base/log.h"
#include "base/mem.h"
#include "sink/reducer/dial.h"
#include "sink/reducer/hostinfo.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/util.h>
#include <openssl/ssl.h>

#define OUT_LOW	   (CONN_OUT_MAX / 2) /* below it more is asked of the session */
#define IN_MAX	   16384	      /* bytes from the reducer that are looked at in one turn */
#define STOP_CHECK (5 * NSEC_PER_MSEC)

struct conn {
	struct event_base *base;
	struct session *session;
	char *name; /* "host:port", for people */
	nsec_t stall_warn, stall_max, remind;

	enum conn_state state;
	nsec_t since;
	nsec_t down_at,
		warned_at; /* no connection since, 0: there is one; the last warning of it */
	struct dial *dial;
	struct backoff backoff;
	struct rng rng;
	struct bufferevent *bev; /* CONN_UP, CONN_STOPPING */
	struct event *idle;	 /* lowest priority: the session may run */
	struct event *late;	 /* the same when the loop is never idle */
	struct event *timer;	 /* what the state waits for */
	bool woken;		 /* `idle` and `late` are set */
	nsec_t progress;	 /* the reducer took bytes, or there were none to take */
	bool stalled;		 /* that it takes none was said */
	nsec_t usage_at;
	struct hostinfo_usage usage;

	nsec_t stop_at;
	void (*stopped)(void *ctx);
	void *stopped_ctx;

	char peer[DIAL_MAX_TEXT], error[DIAL_MAX_TEXT];
	uint64_t connects, failures, losses, stalls;
	nsec_t behind;	   /* up: when the first of what waits came up; 0: nothing waits */
	struct hist sends; /* such waits, ended by the socket */
};

static void on_read(struct bufferevent *bev, void *ctx);
static void on_written(struct bufferevent *bev, void *ctx);
static void on_stream(struct bufferevent *bev, short what, void *ctx);

static void set_state(struct conn *c, enum conn_state s)
{
	c->state = s;
	c->since = clock_mono();
}

static void arm(struct event *ev, nsec_t delay)
{
	const struct timeval tv = clock_timeval(delay);

	(void)evtimer_add(ev, &tv);
}

/* Rounded up, so that the deadline has passed when the timer fires. */
static void arm_at(struct event *ev, nsec_t at, nsec_t now)
{
	if (at == NSEC_NEVER)
		(void)evtimer_del(ev);
	else
		arm(ev, at > now ? at - now + NSEC_PER_USEC : 0);
}

void conn_wake(struct conn *c)
{
	if (c->woken || (c->state != CONN_UP && c->state != CONN_STOPPING))
		return;
	c->woken = true;
	if (!c->behind)
		c->behind = clock_mono();
	event_active(c->idle, 0, 0);
	arm(c->late, CONN_LATE);
}

/* ---- losing ---------------------------------------------------------------------------------- */

static void drop_stream(struct conn *c)
{
	if (c->bev)
		bufferevent_free(c->bev);
	c->bev = NULL;
	c->behind = 0;
	c->peer[0] = '\0';
	session_disconnected(c->session);
}

/* "no connection for 12 s; ", once that is more than this moment. */
static void down_text(struct conn *c, nsec_t now, char *ret, size_t n)
{
	ret[0] = '\0';
	if (!c->down_at)
		c->down_at = now;
	else
		(void)snprintf(ret, n, "no connection for %.0f s; ",
			       (double)(now - c->down_at) / 1e9);
}

/* The reason is a warning when it is a new one, and again now and then while it stays. */
static void pause_after(struct conn *c, bool lost, const char *reason)
{
	const nsec_t now = clock_mono(), delay = backoff_next(&c->backoff, &c->rng, now, 0);
	const bool warn = lost || strcmp(c->error, reason) != 0 || now - c->warned_at >= c->remind;
	char down[64];

	down_text(c, now, down, sizeof(down));
	log_write(warn ? LOG_WARN : LOG_DEBUG, "reducer %s: %s%s; %snext try in %.1f s", c->name,
		  lost ? "connection lost: " : "", reason, down, (double)delay / 1e9);
	if (warn)
		c->warned_at = now;
	(void)snprintf(c->error, sizeof(c->error), "%s", reason);
	set_state(c, CONN_PAUSED);
	arm(c->timer, delay);
}

static void stop_done(struct conn *c)
{
	drop_stream(c);
	arm(c->timer, 0);
}

static void lost(struct conn *c, const char *reason)
{
	c->losses++;
	if (c->state == CONN_STOPPING) {
		stop_done(c);
		return;
	}
	drop_stream(c);
	pause_after(c, true, reason);
}

/* ---- the session ----------------------------------------------------------------------------- */

static size_t pending(const struct conn *c)
{
	return evbuffer_get_length(bufferevent_get_output(c->bev));
}

/* Session to socket, as far as there is room between them. */
static int move_out(struct conn *c, nsec_t now)
{
	const size_t held = pending(c);
	struct str out = session_output(c->session);

	out.n = MIN(out.n, CONN_OUT_MAX - held);
	if (!out.n)
		return 0;
	if (bufferevent_write(c->bev, out.p, out.n) < 0)
		return -ENOMEM;
	if (!held)
		c->progress = now;
	session_sent(c->session, out.n);
	return 0;
}

static void arm_timer(struct conn *c, nsec_t now)
{
	nsec_t at = session_deadline(c->session);

	if (c->state == CONN_STOPPING)
		at = MIN(at, c->stop_at);
	else
		at = MIN(at, c->usage_at);
	if (pending(c))
		at = MIN(at, c->progress + (c->stalled ? c->stall_max : c->stall_warn));
	arm_at(c->timer, at, now);
}

/* Stopping ends when all was told and taken. FIN follows what the kernel still holds. */
static void finish_stop(struct conn *c)
{
	SSL *ssl = bufferevent_openssl_get_ssl(c->bev);
	const evutil_socket_t fd = bufferevent_getfd(c->bev);

	if (ssl)
		(void)SSL_shutdown(ssl);
	if (fd >= 0)
		(void)shutdown(fd, SHUT_WR);
	stop_done(c);
}

static void pump(struct conn *c)
{
	const nsec_t now = clock_mono();
	int r;

	r = session_run(c->session, now, clock_wall());
	if (move_out(c, now) < 0) {
		lost(c, "out of memory");
		return;
	}
	if (r == 1) /* after -EAGAIN it goes on when the socket has taken bytes */
		conn_wake(c);
	else if (c->state == CONN_STOPPING && !pending(c) && session_at_rest(c->session)) {
		finish_stop(c);
		return;
	}
	if (r == 0 && !pending(c)) /* there was nothing to tell */
		c->behind = 0;
	arm_timer(c, now);
}

static void on_idle(evutil_socket_t fd, short what, void *ctx)
{
	struct conn *c = ctx;

	(void)fd;
	(void)what;
	c->woken = false;
	(void)event_del(c->idle);
	(void)event_del(c->late);
	if (c->bev)
		pump(c);
}

static void on_read(struct bufferevent *bev, void *ctx)
{
	struct evbuffer *in = bufferevent_get_input(bev);
	const size_t n = evbuffer_get_length(in);
	struct conn *c = ctx;

	(void)evbuffer_drain(in, n);
	session_received(c->session, n);
}

static void on_written(struct bufferevent *bev, void *ctx)
{
	struct conn *c = ctx;

	(void)bev;
	conn_wake(c);
}

static void on_stream(struct bufferevent *bev, short what, void *ctx)
{
	const int e = EVUTIL_SOCKET_ERROR();
	struct conn *c = ctx;

	(void)bev;
	if (what & BEV_EVENT_EOF)
		lost(c, "closed by the reducer");
	else if (what & BEV_EVENT_ERROR)
		lost(c, e ? evutil_socket_error_to_string(e) : "TLS failed");
}

/* All that waited has gone; what came up meanwhile waits from now on. */
static void note_sent(struct conn *c, nsec_t now)
{
	if (!c->behind || session_output(c->session).n)
		return;
	hist_add(&c->sends, now - c->behind);
	c->behind = c->woken ? now : 0;
}

/* Every byte the socket takes is a sign of life. */
static void on_drained(struct evbuffer *out, const struct evbuffer_cb_info *info, void *ctx)
{
	struct conn *c = ctx;

	(void)out;
	if (!info->n_deleted)
		return;
	c->progress = clock_mono();
	if (c->stalled)
		log_info("reducer %s: takes bytes again", c->name);
	c->stalled = false;
	if (info->orig_size + info->n_added == info->n_deleted)
		note_sent(c, c->progress);
}

static void check_stall(struct conn *c, nsec_t now)
{
	if (!pending(c))
		return;
	if (now - c->progress >= c->stall_max) {
		c->stalls++;
		lost(c, "it takes no bytes");
	} else if (!c->stalled && now - c->progress >= c->stall_warn) {
		c->stalled = true;
		log_warn("reducer %s: has taken no bytes for %.0f s", c->name,
			 (double)(now - c->progress) / 1e9);
	}
}

/* ---- coming up ------------------------------------------------------------------------------- */

static void up(struct conn *c, struct bufferevent *bev, const char *peer)
{
	const nsec_t now = clock_mono();

	c->bev = bev;
	c->connects++;
	c->error[0] = '\0';
	c->down_at = 0;
	c->progress = now;
	c->stalled = false;
	c->usage_at = now + CONN_USAGE_EVERY;
	(void)snprintf(c->peer, sizeof(c->peer), "%s", peer);
	bufferevent_setcb(bev, on_read, on_written, on_stream, c);
	bufferevent_setwatermark(bev, EV_WRITE, OUT_LOW, 0);
	bufferevent_setwatermark(bev, EV_READ, 0, IN_MAX);
	(void)evbuffer_add_cb(bufferevent_get_output(bev), on_drained, c);
	(void)bufferevent_enable(bev, EV_READ | EV_WRITE);
	backoff_good(&c->backoff, now);
	set_state(c, CONN_UP);
	log_info("reducer %s: connected to %s", c->name, peer);
	session_connected(c->session, now, clock_wall());
	conn_wake(c);
}

static void on_dialed(void *ctx, struct bufferevent *bev, const char *text)
{
	struct conn *c = ctx;

	if (bev) {
		up(c, bev, text);
		return;
	}
	c->failures++;
	pause_after(c, false, text);
}

static void on_up_timer(struct conn *c)
{
	const nsec_t now = clock_mono();
	struct session_usage u;

	if (now >= c->usage_at) {
		hostinfo_usage(&c->usage, now, &u);
		session_usage(c->session, &u);
		c->usage_at = now + CONN_USAGE_EVERY;
	}
	check_stall(c, now);
	if (!c->bev)
		return;
	conn_wake(c);
	arm_timer(c, now);
}

/* Until the reducer has all or the time is over; then until the resolver is done, too. */
static void on_stop_timer(struct conn *c)
{
	const nsec_t now = clock_mono();

	if (c->bev && now < c->stop_at) {
		conn_wake(c);
		arm_timer(c, now);
	} else if (c->bev) {
		log_info("reducer %s: stopped with bytes it did not take", c->name);
		finish_stop(c);
	} else if (dial_busy(c->dial) && now < c->stop_at) {
		arm(c->timer, STOP_CHECK);
	} else {
		set_state(c, CONN_IDLE);
		c->stopped(c->stopped_ctx);
	}
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
	struct conn *c = ctx;

	(void)fd;
	(void)what;
	switch (c->state) {
	case CONN_PAUSED:
		conn_start(c);
		break;
	case CONN_UP:
		on_up_timer(c);
		break;
	case CONN_STOPPING:
		on_stop_timer(c);
		break;
	case CONN_IDLE:
	case CONN_DIALING:
	case _CONN_STATE_MAX:
		break;
	}
}

/* ---- the whole ------------------------------------------------------------------------------- */

static int init_dial(struct conn *c, const struct conn_opts *o)
{
	const struct dial_opts d = {
		.base = o->base,
		.host = o->host,
		.port = o->port,
		.timeout = o->connect_timeout ? o->connect_timeout : CONN_CONNECT_TIMEOUT,
		.tls = o->tls,
		.ca_file = o->ca_file,
		.seed = rng_next(&c->rng),
		.done = on_dialed,
		.ctx = c,
	};
	char reason[DIAL_MAX_TEXT] = "";
	int r;

	r = dial_new(&d, &c->dial, reason);
	if (r == -EINVAL)
		log_error("reducer %s: %s", c->name, reason);
	return r;
}

static int init_events(struct conn *c)
{
	c->idle = event_new(c->base, -1, 0, on_idle, c);
	c->late = evtimer_new(c->base, on_idle, c);
	c->timer = evtimer_new(c->base, on_timer, c);
	if (!c->idle || !c->late || !c->timer)
		return -ENOMEM;
	(void)event_priority_set(c->idle, event_base_get_npriorities(c->base) - 1);
	return 0;
}

static int init_name(struct conn *c, const struct conn_opts *o)
{
	const bool is_v6 = strchr(o->host, ':');
	const int n = asprintf(&c->name, is_v6 ? "[%s]:%u" : "%s:%u", o->host, o->port);

	if (n < 0)
		c->name = NULL;
	return n < 0 ? -ENOMEM : 0;
}

static void set_backoff(struct conn *c, nsec_t min, nsec_t max)
{
	c->backoff.base = min ? min : BACKOFF_BASE;
	c->backoff.cap = max ? max : BACKOFF_CAP;
}

void conn_tune(struct conn *c, nsec_t connect_timeout, nsec_t backoff_min, nsec_t backoff_max)
{
	set_backoff(c, backoff_min, backoff_max);
	dial_tune(c->dial, connect_timeout ? connect_timeout : CONN_CONNECT_TIMEOUT);
}

int conn_new(const struct conn_opts *o, struct conn **ret)
{
	struct conn *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	(void)signal(SIGPIPE, SIG_IGN);
	c->base = o->base;
	c->session = o->session;
	c->stall_warn = o->stall_warn ? o->stall_warn : CONN_STALL_WARN;
	c->stall_max = o->stall_max ? o->stall_max : CONN_STALL_MAX;
	c->remind = o->remind ? o->remind : CONN_REMIND;
	hist_init(&c->sends, hist_wide, HIST_WIDE);
	rng_seed(&c->rng, o->seed);
	backoff_init(&c->backoff);
	set_backoff(c, o->backoff_min, o->backoff_max);
	r = init_name(c, o);
	if (r == 0)
		r = init_events(c);
	if (r == 0)
		r = init_dial(c, o);
	if (r < 0) {
		conn_free(&c);
		return r;
	}
	*ret = c;
	return 0;
}

void conn_free(struct conn **cp)
{
	struct conn *c = *cp;

	if (!c)
		return;
	if (c->bev) {
		bufferevent_free(c->bev);
		session_disconnected(c->session);
	}
	dial_free(&c->dial);
	if (c->idle)
		event_free(c->idle);
	if (c->late)
		event_free(c->late);
	if (c->timer)
		event_free(c->timer);
	free(c->name);
	free(c);
	*cp = NULL;
}

void conn_start(struct conn *c)
{
	if (c->state != CONN_IDLE && c->state != CONN_PAUSED)
		return;
	set_state(c, CONN_DIALING);
	dial_start(c->dial);
}

void conn_drop(struct conn *c)
{
	const struct linger at_once = {.l_onoff = 1};

	if (c->state == CONN_IDLE)
		return;
	if (c->bev)
		(void)setsockopt(bufferevent_getfd(c->bev), SOL_SOCKET, SO_LINGER, &at_once,
				 sizeof(at_once));
	if (c->state == CONN_STOPPING) {
		stop_done(c);
		return;
	}
	dial_cancel(c->dial);
	(void)evtimer_del(c->timer);
	drop_stream(c);
	c->down_at = 0;
	c->error[0] = '\0';
	set_state(c, CONN_IDLE);
}

void conn_stop(struct conn *c, nsec_t grace, void (*stopped)(void *ctx), void *ctx)
{
	if (c->state == CONN_STOPPING)
		return;
	c->stopped = stopped;
	c->stopped_ctx = ctx;
	c->stop_at = clock_mono() + (grace ? grace : CONN_STOP_GRACE);
	dial_cancel(c->dial);
	set_state(c, CONN_STOPPING);
	arm(c->timer, 0);
}

void conn_status(const struct conn *c, struct conn_status *ret)
{
	*ret = (struct conn_status){
		.state = c->state,
		.since = c->since,
		.down_at = c->down_at,
		.peer = c->peer,
		.error = c->error,
		.connects = c->connects,
		.failures = c->failures,
		.losses = c->losses,
		.stalls = c->stalls,
		.behind = c->bev ? c->behind : c->down_at,
		.sends = &c->sends,
	};
}
