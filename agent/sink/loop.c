#include "sink/loop.h"

#include "base/mem.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>

#define LONGEST (60 * NSEC_PER_SEC) /* between two looks */

struct sink_loop {
	struct event *timer;
	nsec_t (*run)(void *ctx, nsec_t now, nsec_t wall);
	void *ctx;
};

static void arm(struct sink_loop *l, nsec_t wait)
{
	const struct timeval t = clock_timeval(wait);

	(void)evtimer_add(l->timer, &t);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
	struct sink_loop *l = ctx;
	nsec_t now = clock_mono(), next = l->run(l->ctx, now, clock_wall());

	(void)fd;
	(void)what;
	/* It may have been woken from within. */
	if (!evtimer_pending(l->timer, NULL))
		arm(l, next <= now ? 0 : MIN(next - now, LONGEST));
}

int sink_loop_new(struct event_base *base, nsec_t (*run)(void *ctx, nsec_t now, nsec_t wall),
		  void *ctx, struct sink_loop **ret)
{
	struct sink_loop *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->run = run;
	l->ctx = ctx;
	l->timer = evtimer_new(base, on_timer, l);
	if (!l->timer) {
		free(l);
		return -ENOMEM;
	}
	*ret = l;
	return 0;
}

void sink_loop_free(struct sink_loop **l)
{
	if (!*l)
		return;
	event_free((*l)->timer);
	free(*l);
	*l = NULL;
}

void sink_loop_wake(struct sink_loop *l)
{
	arm(l, 0);
}
