#include "cli/loop_lag.h"

#include <errno.h>
#include <event2/event.h>

static void arm(struct loop_lag *l)
{
	const struct timeval tv = {.tv_usec = LOOP_LAG_EVERY / NSEC_PER_USEC};

	l->due = clock_mono() + LOOP_LAG_EVERY;
	(void)evtimer_add(l->timer, &tv);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
	struct loop_lag *l = ctx;
	const nsec_t now = clock_mono();

	(void)fd;
	(void)what;
	hist_add(&l->lag, now > l->due ? now - l->due : 0);
	arm(l);
}

int loop_lag_start(struct loop_lag *l, struct event_base *base)
{
	hist_init(&l->lag, hist_wide, HIST_WIDE);
	l->timer = evtimer_new(base, on_timer, l);
	if (!l->timer)
		return -ENOMEM;
	arm(l);
	return 0;
}

void loop_lag_done(struct loop_lag *l)
{
	if (l->timer)
		event_free(l->timer);
	l->timer = NULL;
}
