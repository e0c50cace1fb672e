#include "cli/agent_node.h"

#include "base/log.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>

#define WAIT	   (3 * NSEC_PER_SEC) /* the reducer hears of us without the Node after this */
#define RETRY_BASE (2 * NSEC_PER_SEC)
#define RETRY_CAP  (300 * NSEC_PER_SEC)
#define COMPLAIN_AFTER                                                            \
	(10 * NSEC_PER_SEC) /* a server that has just started refuses for a while \
			     */

static void arm(struct agent_node *n, nsec_t wait)
{
	const struct timeval tv = clock_timeval(wait);

	(void)evtimer_add(n->timer, &tv);
}

static void say_ready(struct agent_node *n)
{
	void (*ready)(void *) = n->ready;

	n->ready = NULL;
	if (ready)
		ready(n->ctx);
}

static void complain(struct agent_node *n, int r, const char *text)
{
	nsec_t now = clock_mono();

	if (!n->first_failure)
		n->first_failure = now;
	if (n->told || now - n->first_failure < COMPLAIN_AFTER)
		return;
	n->told = true;
	log_warn("node %s: %s; zone and instance type stay unknown until it can be read%s", n->name,
		 text, r == -EACCES ? ": grant get on nodes" : "");
}

static void on_answer(void *ctx, int r, const struct object *o, const char *text)
{
	struct agent_node *n = ctx;

	n->asking = false;
	if (r == 0) {
		(void)session_set_node(n->session, &o->node);
		if (n->inventory) /* without its addresses flows have a name less */
			(void)inventory_apply_place(n->inventory, 0, clock_mono(), KIND_NODE, o);
		if (n->told)
			log_info("node %s: read", n->name);
		(void)evtimer_del(n->timer);
		n->late(n->ctx);
	} else {
		complain(n, r, text);
		arm(n, RETRY_BASE / 2 + backoff_next(&n->backoff, &n->rng, clock_mono(), 0));
	}
	say_ready(n);
}

static void ask(struct agent_node *n)
{
	char target[320];

	(void)snprintf(target, sizeof(target), "/api/v1/nodes/%s", n->name);
	n->asking = client_get(n->client, target, SHAPE_NODE, on_answer, n) == 0;
	arm(n, n->asking && n->ready ? WAIT : RETRY_CAP);
}

/* The wait for the first answer is over, or it is time to ask again. */
static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
	struct agent_node *n = ctx;

	(void)fd;
	(void)what;
	say_ready(n);
	if (!n->asking)
		ask(n);
}

int agent_node_start(struct agent_node *n, struct event_base *base)
{
	if (!n->name) {
		say_ready(n);
		return 0;
	}
	n->timer = evtimer_new(base, on_timer, n);
	if (!n->timer)
		return -ENOMEM;
	backoff_init(&n->backoff);
	n->backoff.base = RETRY_BASE;
	n->backoff.cap = RETRY_CAP;
	rng_seed(&n->rng, rng_entropy());
	ask(n);
	return 0;
}

void agent_node_done(struct agent_node *n)
{
	if (n->timer)
		event_free(n->timer);
	n->timer = NULL;
}
