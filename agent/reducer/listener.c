#include "reducer/listener.h"

#include "base/clock.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <event2/util.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE	65536 /* one read a turn, as the reducer does */
#define BACKLOG		128
#define SLOW_STEP	(100 * NSEC_PER_MSEC) /* a slow reader takes its share this often */
#define ACCEPT_REST_SEC 1		      /* pause when no descriptor is left */

struct conn {
	struct listener *l;
	struct conn *next, **prev; /* in l->conns */
	uint32_t number;
	int fd; /* -1 after a reset, while the pods wait for the sweep */
	struct event *readable, *slow, *idle;
	struct ingest *ingest;
};

struct listener {
	struct event_base *base;
	struct evconnlistener *ev;
	struct event *rest;
	struct listener_opts o;
	struct conn *conns;
	uint32_t last_number, n_open;
	uint16_t port;
	char bytes[READ_SIZE];
};

static void event_free_null(struct event **ev)
{
	if (*ev)
		event_free(*ev);
	*ev = NULL;
}

/* Closes the socket; the ingest may stay. */
static void conn_close(struct conn *c)
{
	event_free_null(&c->readable);
	event_free_null(&c->slow);
	if (c->fd < 0)
		return;
	(void)close(c->fd);
	c->fd = -1;
	c->l->n_open--;
}

static void conn_free(struct conn *c)
{
	conn_close(c);
	event_free_null(&c->idle);
	ingest_free(&c->ingest);
	if (c->prev)
		*c->prev = c->next;
	if (c->next)
		c->next->prev = c->prev;
	free(c);
}

static void conn_end(struct conn *c)
{
	const struct listener_hooks *h = &c->l->o.hooks;
	const uint32_t number = c->number;

	conn_free(c);
	h->disconnect(h->arg, number, false);
}

/* The reducer does not see a reset until its idle sweep. */
static void conn_reset(struct conn *c)
{
	const struct listener_hooks *h = &c->l->o.hooks;

	conn_close(c);
	h->disconnect(h->arg, c->number, true);
}

static void arm_idle(struct conn *c)
{
	const nsec_t now = clock_mono(), at = ingest_deadline(c->ingest);
	struct timeval tv = clock_timeval(at > now ? at - now : NSEC_PER_MSEC);

	(void)event_add(c->idle, &tv);
}

static void on_idle(evutil_socket_t fd, short what, void *arg)
{
	const nsec_t now = clock_mono();
	struct conn *c = arg;
	const struct listener_hooks *h = &c->l->o.hooks;
	const uint32_t number = c->number;

	(void)fd;
	(void)what;
	if (c->fd < 0 && now >= ingest_deadline(c->ingest)) {
		conn_free(c);
		h->swept(h->arg, number);
	} else if (c->fd >= 0 && ingest_tick(c->ingest, now) < 0) {
		conn_end(c);
	} else {
		arm_idle(c);
	}
}

static void send_bytes(const struct conn *c)
{
	static const char noise[] = "\0\1\2\3 the reducer never says anything \xff\xfe";

	(void)send(c->fd, noise, sizeof(noise), MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Reads once, at most `max` bytes. The connection may be gone afterwards. */
static void conn_read(struct conn *c, size_t max)
{
	const struct listener_faults *f = &c->l->o.faults;
	ssize_t n = recv(c->fd, c->l->bytes, MIN(max, (size_t)READ_SIZE), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		conn_reset(c);
		return;
	}
	if (n == 0) {
		ingest_eof(c->ingest);
		conn_end(c);
		return;
	}
	if (ingest_push(c->ingest, str_make(c->l->bytes, (size_t)n), clock_mono()) < 0 ||
	    (f->close_after && ingest_messages(c->ingest) >= f->close_after)) {
		conn_end(c);
		return;
	}
	if (f->send_bytes)
		send_bytes(c);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	conn_read(arg, READ_SIZE);
}

static void on_slow(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;
	const uint64_t share = c->l->o.faults.slow * SLOW_STEP / NSEC_PER_SEC;

	(void)fd;
	(void)what;
	conn_read(c, share ? share : 1);
}

static void on_effect(void *arg, const struct ingest_effect *e)
{
	const struct conn *c = arg;
	const struct listener_hooks *h = &c->l->o.hooks;

	h->effect(h->arg, c->number, e);
}

static int conn_watch(struct conn *c)
{
	struct event_base *base = c->l->base;
	const struct timeval step = clock_timeval(SLOW_STEP);

	c->idle = evtimer_new(base, on_idle, c);
	if (!c->idle)
		return -ENOMEM;
	if (c->l->o.faults.hang)
		return 0; /* not even the idle sweep */
	arm_idle(c);
	if (c->l->o.faults.slow) {
		c->slow = event_new(base, -1, EV_PERSIST, on_slow, c);
		return c->slow && event_add(c->slow, &step) == 0 ? 0 : -ENOMEM;
	}
	c->readable = event_new(base, c->fd, EV_READ | EV_PERSIST, on_readable, c);
	return c->readable && event_add(c->readable, NULL) == 0 ? 0 : -ENOMEM;
}

static int conn_new(struct listener *l, int fd)
{
	struct conn *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->l = l;
	c->fd = -1;
	c->number = ++l->last_number;
	r = ingest_new(
		&(struct ingest_opts){
			.table = l->o.table, .number = c->number, .hook = on_effect, .arg = c},
		clock_mono(), &c->ingest);
	if (r == 0) {
		c->fd = fd;
		l->n_open++;
		r = conn_watch(c);
	}
	if (r < 0) {
		if (c->fd >= 0)
			l->n_open--;
		c->fd = -1; /* stays the caller's */
		conn_free(c);
		return r;
	}
	c->next = l->conns;
	c->prev = &l->conns;
	if (c->next)
		c->next->prev = &c->next;
	l->conns = c;
	if (l->o.faults.send_bytes)
		send_bytes(c);
	return 0;
}

static void on_accept(struct evconnlistener *ev, evutil_socket_t fd, struct sockaddr *addr, int len,
		      void *arg)
{
	struct listener *l = arg;

	(void)ev;
	(void)addr;
	(void)len;
	if (l->n_open >= LISTENER_MAX_CONNECTIONS || conn_new(l, fd) < 0)
		(void)close(fd);
}

static void on_rested(evutil_socket_t fd, short what, void *arg)
{
	struct listener *l = arg;

	(void)fd;
	(void)what;
	(void)evconnlistener_enable(l->ev);
}

/* Out of descriptors: the pending connection would wake the loop for ever. */
static void on_accept_error(struct evconnlistener *ev, void *arg)
{
	const struct timeval pause = {.tv_sec = ACCEPT_REST_SEC};
	struct listener *l = arg;

	(void)evconnlistener_disable(ev);
	(void)event_add(l->rest, &pause);
}

static uint16_t port_of(int fd)
{
	struct sockaddr_storage a = {0};
	socklen_t len = sizeof(a);

	if (getsockname(fd, (struct sockaddr *)&a, &len) < 0)
		return 0;
	if (a.ss_family == AF_INET6)
		return ntohs(((struct sockaddr_in6 *)&a)->sin6_port);
	return ntohs(((struct sockaddr_in *)&a)->sin_port);
}

int listener_new(struct event_base *base, const struct listener_opts *o, struct listener **ret)
{
	struct listener *l = calloc(1, sizeof(*l));
	int err;

	if (!l)
		return -ENOMEM;
	l->base = base;
	l->o = *o;
	l->rest = evtimer_new(base, on_rested, l);
	if (!l->rest) {
		listener_free(&l);
		return -ENOMEM;
	}
	l->ev = evconnlistener_new_bind(base, on_accept, l,
					LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC |
						LEV_OPT_REUSEABLE,
					BACKLOG, o->addr, (int)o->addr_len);
	if (!l->ev) {
		err = errno ? errno : EIO;
		listener_free(&l);
		return -err;
	}
	evconnlistener_set_error_cb(l->ev, on_accept_error);
	l->port = port_of(evconnlistener_get_fd(l->ev));
	*ret = l;
	return 0;
}

void listener_free(struct listener **lp)
{
	struct listener *l = *lp;

	if (!l)
		return;
	while (l->conns)
		conn_free(l->conns);
	if (l->ev)
		evconnlistener_free(l->ev);
	event_free_null(&l->rest);
	free(l);
	*lp = NULL;
}

uint16_t listener_port(const struct listener *l)
{
	return l->port;
}

uint32_t listener_connections(const struct listener *l)
{
	return l->n_open;
}
