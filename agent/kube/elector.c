#include "kube/elector.h"

#include "base/log.h"
#include "base/mem.h"
#include "kube/lease_object.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define MAX_BODY (256 * 1024) /* bytes of a Lease; managedFields make it some KB */
#define MAX_PATH 640
#define LOOK	 NSEC_PER_SEC /* a leader looks at the clock so often: the machine may have slept */
#define REMIND	 (60 * NSEC_PER_SEC) /* between two words about requests that fail */

struct elector {
	struct elector_opts o;
	char *ns, *name, *identity;
	struct lease *lease;
	struct client *client; /* NULL: not started */
	struct event *timer;
	struct json_t *object; /* the Lease as it was last read or written; NULL: none */
	uint64_t id;	       /* of the request under way */
	char error[256];
	nsec_t warned_at; /* 0: never, or all is well since */
	nsec_t failing_since;
	/* Until when this agent leads; 0: it does not. Read by other threads. */
	_Atomic nsec_t until;

	void (*released)(void *ctx); /* NULL: not stopping */
	void *released_ctx;
	nsec_t release_by;
};

static void run(struct elector *e);

/* ---- what the machine says ------------------------------------------------------------------- */

static void publish(struct elector *e)
{
	const struct lease_status s = lease_status(e->lease, clock_boot());

	atomic_store(&e->until, s.leads ? s.until : 0);
}

static void on_started(void *ctx)
{
	struct elector *e = ctx;

	publish(e);
	log_info("lease %s/%s: this agent, %s, leads", e->ns, e->name, e->identity);
	if (e->o.started)
		e->o.started(e->o.ctx);
}

static void on_stopped(void *ctx)
{
	struct elector *e = ctx;

	atomic_store(&e->until, 0);
	log_write(e->released ? LOG_INFO : LOG_WARN, "lease %s/%s: this agent leads no more%s%s",
		  e->ns, e->name, e->error[0] ? ": " : "", e->error);
	if (e->o.stopped)
		e->o.stopped(e->o.ctx);
}

static void on_new_leader(void *ctx, const char *holder)
{
	struct elector *e = ctx;

	if (strcmp(holder, e->identity) != 0)
		log_info("lease %s/%s: %s leads", e->ns, e->name, holder);
	if (e->o.new_leader)
		e->o.new_leader(e->o.ctx, holder);
}

static const struct lease_ops ops = {
	.started = on_started, .stopped = on_stopped, .new_leader = on_new_leader};

/* ---- requests -------------------------------------------------------------------------------- */

/* Of a failure that goes on, one line a minute. */
static void complain(struct elector *e, const struct client_answer *a)
{
	const nsec_t now = clock_boot();

	(void)snprintf(e->error, sizeof(e->error), "%s%s", a->text,
		       a->status == 403 ? " (grant get, create and update on leases)" : "");
	if (!e->warned_at)
		e->failing_since = now;
	if (e->warned_at && now - e->warned_at < REMIND)
		return;
	e->warned_at = now;
	log_warn("lease %s/%s: %s", e->ns, e->name, e->error);
}

static void all_is_well(struct elector *e)
{
	if (e->error[0])
		log_info("lease %s/%s: works again", e->ns, e->name);
	e->error[0] = '\0';
	e->warned_at = 0;
}

/* The record, when there is one; else with why not in the answer. */
static bool read_record(struct elector *e, struct client_answer *a, struct lease_record *ret)
{
	struct json_t *object;
	int r;

	if (a->status != 200 && a->status != 201)
		return false;
	r = lease_object_read(a->body, ret, &object);
	if (r == 0) {
		json_decref(e->object);
		e->object = object;
		return true;
	}
	a->status = 0;
	a->text = r == -ENOMEM ? "out of memory" : "the answer is no Lease that is understood";
	return false;
}

static void take_answer(struct elector *e, const struct client_answer *answer)
{
	struct client_answer a = *answer;
	struct lease_record record;
	const bool has = read_record(e, &a, &record);

	if (has || a.status == 404 || a.status == 409)
		all_is_well(e);
	else
		complain(e, &a);
	lease_answer(e->lease, clock_boot(),
		     &(struct lease_answer){.id = e->id,
					    .status = a.status,
					    .record = has ? &record : NULL,
					    .retry_after = a.retry_after});
}

static void on_answer(void *ctx, const struct client_answer *a)
{
	take_answer(ctx, a);
	run(ctx);
}

static int request(struct elector *e, enum lease_action action, const struct lease_record *record)
{
	_free_ char *text = NULL;
	char path[MAX_PATH];
	const bool creates = action == LEASE_CREATE;
	struct client_call call = {.method = action == LEASE_READ ? "GET"
					     : creates		  ? "POST"
								  : "PUT",
				   .target = path,
				   .max = MAX_BODY,
				   .timeout = e->o.renew ? e->o.renew : LEASE_RENEW,
				   .done = on_answer,
				   .ctx = e};
	int r = 0;

	(void)snprintf(path, sizeof(path), "/apis/coordination.k8s.io/v1/namespaces/%s/leases%s%s",
		       e->ns, creates ? "" : "/", creates ? "" : e->name);
	if (action != LEASE_READ)
		r = lease_object_write(creates ? NULL : e->object, e->ns, e->name, record, &text);
	call.body = str_of(text);
	return r < 0 ? r : client_send(e->client, &call);
}

/* ---- time ------------------------------------------------------------------------------------ */

/* When the machine is to be asked next. */
static nsec_t carry_out(struct elector *e)
{
	struct lease_request req;
	enum lease_action action;
	nsec_t deadline;

	while ((action = lease_poll(e->lease, clock_boot(), clock_wall(), &req, &deadline))) {
		int r;

		if (action == LEASE_ABORT) {
			client_drop(e->client, e);
			complain(e, &(struct client_answer){.text = "no answer in time"});
			continue;
		}
		e->id = req.id;
		r = request(e, action, req.record);
		if (r < 0)
			take_answer(e, &(struct client_answer){.text = strerror(-r)});
	}
	return deadline;
}

static void finish_release(struct elector *e)
{
	void (*released)(void *) = e->released;

	if (!lease_over(e->lease))
		log_warn("lease %s/%s: could not be given back in time; others wait until it runs "
			 "out",
			 e->ns, e->name);
	client_drop(e->client, e);
	(void)evtimer_del(e->timer);
	e->client = NULL;
	released(e->released_ctx);
}

static void arm(struct elector *e, nsec_t at)
{
	const nsec_t now = clock_boot();
	nsec_t wait = at > now ? at - now : 0;

	wait = MIN(wait, (nsec_t)LOOK) + NSEC_PER_USEC; /* rounded up */
	const struct timeval tv = clock_timeval(wait);

	(void)evtimer_add(e->timer, &tv);
}

static void run(struct elector *e)
{
	const nsec_t at = carry_out(e);

	publish(e);
	if (e->released && (lease_over(e->lease) || clock_boot() >= e->release_by))
		return finish_release(e);
	arm(e, e->released ? MIN(at, e->release_by) : at);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	run(ctx);
}

void elector_start(struct elector *e, struct client *client)
{
	e->client = client;
	event_active(e->timer, EV_TIMEOUT, 0);
}

void elector_release(struct elector *e, nsec_t grace, void (*done)(void *ctx), void *ctx)
{
	e->released = done;
	e->released_ctx = ctx;
	e->release_by = clock_boot() + grace;
	lease_release(e->lease, clock_boot());
	publish(e);
	event_active(e->timer, EV_TIMEOUT, 0);
}

/* ---- the rest -------------------------------------------------------------------------------- */

static int init(struct elector *e)
{
	const struct lease_opts o = {.identity = e->identity,
				     .duration = e->o.duration,
				     .renew = e->o.renew,
				     .retry = e->o.retry,
				     .seed = e->o.seed,
				     .ops = &ops,
				     .ctx = e};

	e->timer = evtimer_new(e->o.base, on_timer, e);
	if (!e->ns || !e->name || !e->identity || !e->timer)
		return -ENOMEM;
	(void)event_priority_set(e->timer, 0);
	return lease_new(&o, &e->lease);
}

int elector_new(const struct elector_opts *o, struct elector **ret)
{
	struct elector *e = calloc(1, sizeof(*e));
	int r;

	if (!e)
		return -ENOMEM;
	e->o = *o;
	e->ns = str_dup(str_of(o->ns));
	e->name = str_dup(str_of(o->name));
	e->identity = str_dup(str_of(o->identity));
	r = init(e);
	if (r < 0)
		elector_free(&e);
	else
		*ret = e;
	return r;
}

void elector_free(struct elector **ep)
{
	struct elector *e = *ep;

	if (!e)
		return;
	if (e->client)
		client_drop(e->client, e);
	if (e->timer)
		event_free(e->timer);
	json_decref(e->object);
	lease_free(&e->lease);
	free(e->ns);
	free(e->name);
	free(e->identity);
	free(e);
	*ep = NULL;
}

bool elector_leads(const struct elector *e)
{
	return clock_boot() < atomic_load(&e->until);
}

struct lease_status elector_status(const struct elector *e)
{
	return lease_status(e->lease, clock_boot());
}

const char *elector_error(const struct elector *e, nsec_t *ret_since)
{
	*ret_since = e->failing_since;
	return e->error;
}

int elector_describe(const struct elector *e, struct buf *out)
{
	return buf_printf(out, "%s/%s, as %s", e->ns, e->name, e->identity);
}
