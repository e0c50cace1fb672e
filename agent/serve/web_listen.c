/* Listeners of the server; see web.h. */
#include "serve/web_parts.h"

#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>

#define ACCEPT_PAUSE 1 /* seconds, when accepting fails: no file descriptors */

/* In one breath, as far as the socket takes it: no state is kept for such a client. */
static void turn_away(struct listener *l, int fd)
{
	static const char text[] =
		"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
		"Retry-After: 1\r\nContent-Length: 30\r\nConnection: close\r\n\r\n"
		"{\"error\":\"too many clients\"}\r\n";
	char ignored[WEB_HEAD_MAX];

	l->web->stats.refused++;
	if (!l->o.tls) {
		(void)!recv(fd, ignored, sizeof(ignored), MSG_DONTWAIT);
		(void)!send(fd, text, sizeof(text) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	}
	(void)close(fd);
}

/* Whether the client is what its connection waits for. */
static bool is_waited_for(const struct web_client *c)
{
	switch (c->phase) {
	case SHAKING:
	case READING:
	case ENDING:
	case LINGERING:
		return true;
	case STREAMING:
		return web_stream_waiting(c) > WEB_LOW_WATER;
	case WAITING:
		break;
	}
	return false;
}

/* The one that has been waited for longest, and for WEB_PATIENCE at least; NULL: there is none. */
static struct web_client *slowest(const struct listener *l)
{
	nsec_t most = clock_mono() - WEB_PATIENCE;
	struct web_client *found = NULL;

	for (struct web_client *c = l->web->clients; c; c = c->next)
		if (c->listener == l && c->moved <= most && is_waited_for(c)) {
			most = c->moved;
			found = c;
		}
	return found;
}

/* Whether there is a place now. */
static bool make_place(struct listener *l)
{
	struct web_client *slow;

	if (l->clients < l->o.max_clients)
		return true;
	slow = slowest(l);
	if (!slow)
		return false;
	l->web->stats.displaced++;
	web_client_free(slow);
	return true;
}

static void on_accept(struct evconnlistener *ev, evutil_socket_t fd, struct sockaddr *sa, int len,
		      void *ctx)
{
	struct listener *l = ctx;

	(void)ev;
	(void)sa;
	(void)len;
	if (make_place(l))
		web_client_new(l, fd);
	else
		turn_away(l, fd);
}

static void on_accept_error(struct evconnlistener *ev, void *ctx)
{
	struct listener *l = ctx;
	const struct timeval tv = {.tv_sec = ACCEPT_PAUSE};

	(void)evconnlistener_disable(ev);
	(void)evtimer_add(l->web->accept_again, &tv);
}

static void on_accept_again(evutil_socket_t fd, short what, void *ctx)
{
	struct web *h = ctx;

	(void)fd;
	(void)what;
	for (uint32_t i = 0; i < h->n_listeners; i++)
		(void)evconnlistener_enable(h->listeners[i].ev);
}

int web_listen(struct web *h, const struct web_listener *o)
{
	struct listener *l = &h->listeners[h->n_listeners];

	assert(h->n_listeners < WEB_MAX_LISTENERS);
	*l = (struct listener){.web = h, .o = *o};
	if (!l->o.max_clients)
		l->o.max_clients = WEB_MAX_CLIENTS;
	l->ev = evconnlistener_new(h->o.base, on_accept, l,
				   LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, o->fd);
	if (!l->ev) {
		(void)close(o->fd);
		return -ENOMEM;
	}
	evconnlistener_set_error_cb(l->ev, on_accept_error);
	h->n_listeners++;
	return 0;
}

int web_new(const struct web_opts *o, struct web **ret)
{
	struct web *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	(void)signal(SIGPIPE, SIG_IGN); /* libevent writes without MSG_NOSIGNAL */
	h->o = *o;
	if (!h->o.answer_time)
		h->o.answer_time = WEB_ANSWER_TIME;
	h->accept_again = evtimer_new(o->base, on_accept_again, h);
	if (!h->accept_again) {
		free(h);
		return -ENOMEM;
	}
	*ret = h;
	return 0;
}

void web_free(struct web **ph)
{
	struct web *h = *ph;

	*ph = NULL;
	if (!h)
		return;
	while (h->clients)
		web_client_free(h->clients);
	for (uint32_t i = 0; i < h->n_listeners; i++)
		evconnlistener_free(h->listeners[i].ev);
	event_free(h->accept_again);
	free(h);
}

void web_stats(const struct web *h, struct web_stats *ret)
{
	*ret = h->stats;
}
