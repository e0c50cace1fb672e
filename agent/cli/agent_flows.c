#include "cli/agent_flows.h"

#include "base/log.h"
#include "base/mem.h"
#include "core/attribute.h"
#include "flow/caps.h"
#include "flow/probe.h"
#include "sink/jsonl/jsonl.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>

#define TICK_MIN   (20 * NSEC_PER_MSEC)
#define TICK_MAX   (10 * NSEC_PER_SEC)
#define ENDED_MIN  1024U /* ended flows that a slow sink may leave, whatever --flow-max is */
#define DRAIN_RUNS 10000 /* slices of naming at a stop: a bound, not an aim */

struct agent_flows {
	struct agent_flows_opts o;
	struct flows *flows;
	struct probe *probe;
	struct attribute *attribute;
	struct jsonl *jsonl; /* NULL: not asked for */
	struct event *work, *tick;
};

/* ---- the loop -------------------------------------------------------------------------------- */

static void on_changed(void *ctx)
{
	struct agent_flows *f = ctx;

	event_active(f->work, EV_TIMEOUT, 0);
}

/* One slice of everything that follows the table. True: there is more to do. */
static bool run_slice(struct agent_flows *f, nsec_t now)
{
	const bool more = attribute_run(f->attribute, now) == 1;

	if (f->jsonl)
		jsonl_changed(f->jsonl);
	return more;
}

static void arm(struct agent_flows *f, nsec_t now, nsec_t next)
{
	const nsec_t t = MIN(MAX(next > now ? next - now : 0, TICK_MIN), (nsec_t)TICK_MAX);
	const struct timeval tv = clock_timeval(t);

	(void)evtimer_add(f->tick, &tv);
}

static void on_work(evutil_socket_t fd, short what, void *ctx)
{
	struct agent_flows *f = ctx;
	const nsec_t now = clock_mono();

	(void)fd;
	(void)what;
	if (run_slice(f, now))
		event_active(f->work, EV_TIMEOUT, 0);
	arm(f, now, flows_tick(f->flows, now));
	f->o.changed(f->o.ctx);
}

/* ---- making ---------------------------------------------------------------------------------- */

static struct flows_opts table_options(const struct agent_config *c)
{
	return (struct flows_opts){.max_flows = c->flow_max,
				   .max_pending = c->flow_pending_max,
				   .max_known = 2 * c->flow_sockets + c->flow_udp_max,
				   .max_ended = MAX(c->flow_max / 4, ENDED_MIN),
				   .pending_timeout = c->flow_pending,
				   .udp_idle = c->udp_idle,
				   .dns_timeout = c->dns_timeout,
				   .remote_wait = c->peers ? ATTRIBUTE_PEERS_WAIT : 0};
}

static int make_table(struct agent_flows *f)
{
	const struct flows_opts o = table_options(f->o.cfg);

	return flows_new(&o, &f->flows);
}

/* NULL: none. */
static const char *output_path(const struct agent_config *c)
{
	const char *out = c->flows_out;

	return out && strncmp(out, "jsonl:", 6) == 0 ? out + 6 : out;
}

static int make_output(struct agent_flows *f)
{
	const char *out = f->o.cfg->flows_out;
	const struct jsonl_opts o = {
		.base = f->o.base, .flows = f->flows, .path = output_path(f->o.cfg)};
	int r;

	if (!out || f->jsonl)
		return 0;
	r = jsonl_new(&o, &f->jsonl);
	return r < 0 ? log_err(r, "--flows-out %s", out) : 0;
}

int agent_flows_lead(struct agent_flows *f)
{
	return make_output(f);
}

/* A file that cannot be opened is logged, and the rest goes on. */
static void tune_output(struct agent_flows *f)
{
	const char *path = output_path(f->o.cfg);

	if (!path)
		jsonl_free(&f->jsonl);
	else if (f->jsonl)
		(void)jsonl_redirect(f->jsonl, path);
	else
		(void)make_output(f);
}

void agent_flows_tune(struct agent_flows *f, bool leads)
{
	const struct flows_opts o = table_options(f->o.cfg);

	flows_tune(f->flows, &o);
	probe_tune(f->probe, f->o.cfg->flow_refresh);
	if (leads)
		tune_output(f);
	event_active(f->work, EV_TIMEOUT, 0);
}

void agent_flows_drop(struct agent_flows *f)
{
	if (f->jsonl)
		jsonl_drop(f->jsonl);
	jsonl_free(&f->jsonl);
}

static int make_events(struct agent_flows *f)
{
	f->work = event_new(f->o.base, -1, 0, on_work, f);
	f->tick = evtimer_new(f->o.base, on_work, f);
	return f->work && f->tick ? 0 : -ENOMEM;
}

static int make_probe(struct agent_flows *f)
{
	const struct agent_config *c = f->o.cfg;
	const struct probe_opts o = {.base = f->o.base,
				     .flows = f->flows,
				     .udp = c->udp == AGENT_UDP_ON,
				     .ring_bytes = c->flow_ring,
				     .max_socks = c->flow_sockets,
				     .max_udp = c->flow_udp_max,
				     .poll_every = c->flow_refresh,
				     .cgroup_root = c->cgroup_root,
				     .proc_root = c->proc_root,
				     .changed = on_changed,
				     .ctx = f};

	return probe_new(&o, &f->probe);
}

/* Flows that were not insisted on: the rest goes on without. */
static int without(struct agent_flows **fp, int r, char ret_off[AGENT_FLOWS_OFF_MAX])
{
	struct agent_flows *f = *fp;
	const char *why = f->probe ? probe_status(f->probe, PROBE_TCP).why : strerror(-r);

	if (f->o.cfg->flows == AGENT_FLOWS_ON) {
		log_error("--flows on: %s", why);
	} else {
		(void)snprintf(ret_off, AGENT_FLOWS_OFF_MAX, "%s", why);
		r = 0;
	}
	agent_flows_free(fp);
	return r;
}

int agent_flows_new(const struct agent_flows_opts *o, struct agent_flows **ret,
		    char ret_off[AGENT_FLOWS_OFF_MAX])
{
	struct agent_flows *f;
	int r;

	*ret = NULL;
	if (o->cfg->flows == AGENT_FLOWS_OFF) {
		(void)snprintf(ret_off, AGENT_FLOWS_OFF_MAX, "--flows off");
		return caps_keep(0); /* what flows would need nobody else does */
	}
	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	f->o = *o;
	r = make_table(f);
	if (r == 0)
		r = make_output(f);
	if (r == 0 && o->standby)
		agent_flows_drop(f);
	if (r == 0)
		r = make_events(f);
	if (r < 0) {
		agent_flows_free(&f);
		return r;
	}
	r = make_probe(f);
	if (r < 0)
		return without(&f, r, ret_off);
	*ret = f;
	return 0;
}

void agent_flows_free(struct agent_flows **fp)
{
	struct agent_flows *f = *fp;

	if (!f)
		return;
	probe_free(&f->probe);
	agent_flows_leave(f);
	jsonl_free(&f->jsonl);
	flows_free(&f->flows);
	if (f->work)
		event_free(f->work);
	if (f->tick)
		event_free(f->tick);
	free(f);
	*fp = NULL;
}

void agent_flows_leave(struct agent_flows *f)
{
	if (f)
		attribute_free(&f->attribute);
}

int agent_flows_join(struct agent_flows *f, struct core *core, const struct end_scope *scope)
{
	struct attribute_opts o = {
		.flows = f->flows, .inventory = core_inventory(core), .scope = *scope};
	int r;

	o.scope.host_netns = probe_host_netns(f->probe);
	r = attribute_new(&o, &f->attribute);
	return r < 0 ? log_err(r, "flows") : 0;
}

void agent_flows_describe(const struct agent_flows *f, struct buf *out)
{
	probe_describe(f->probe, out);
}

void agent_flows_start(struct agent_flows *f)
{
	probe_start(f->probe);
	event_active(f->work, EV_TIMEOUT, 0);
}

void agent_flows_wake(struct agent_flows *f)
{
	event_active(f->work, EV_TIMEOUT, 0);
}

void agent_flows_reopen(struct agent_flows *f)
{
	if (f->jsonl)
		jsonl_reopen(f->jsonl);
}

void agent_flows_stop(struct agent_flows *f)
{
	probe_drain(f->probe);
	for (int i = 0; i < DRAIN_RUNS && run_slice(f, clock_mono()); i++)
		;
	if (f->jsonl)
		jsonl_stop(f->jsonl);
	probe_free(&f->probe);
	(void)event_del(f->work);
	(void)event_del(f->tick);
}

/* ---- who reads it ---------------------------------------------------------------------------- */

struct flows *agent_flows_table(struct agent_flows *f)
{
	return f->flows;
}

const struct probe *agent_flows_probe(const struct agent_flows *f)
{
	return f->probe;
}

const struct jsonl *agent_flows_jsonl(const struct agent_flows *f)
{
	return f->jsonl;
}

struct end_scope *agent_flows_scope(struct agent_flows *f)
{
	return attribute_scope(f->attribute);
}
