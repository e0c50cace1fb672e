#include "cli/agent_lead.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "cli/agent_parts.h"
#include "sink/metrics/prom.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define NAMESPACE_FILE KUBE_SERVICE_ACCOUNT "/namespace"
#define NAME_MAX_BYTES 254
#define RELEASE_GRACE  (500 * NSEC_PER_MSEC)
/* Besides the lease's duration: pods that died longer ago were told of by the leader of then. */
#define PASS_AFTER (60 * NSEC_PER_SEC)

/* ---- beginning and ending -------------------------------------------------------------------- */

static void tell_serve(struct agent *a, struct str words)
{
	if (a->serve)
		serve_set_sinks(a->serve, agent_streams_graph(agent_sinks_streams(a->sinks)),
				a->flows ? agent_flows_jsonl(a->flows) : NULL, words);
}

static void begin(void *ctx)
{
	struct agent *a = ctx;
	int r;

	a->lead.leads = true;
	if (a->lead.node_known) /* first: it is under way while files are opened */
		conn_start(a->conn);
	r = agent_sinks_lead(a->sinks);
	if (r == 0 && a->flows)
		r = agent_flows_lead(a->flows);
	if (r == 0)
		r = agent_otlp_lead(a->otlp);
	if (r < 0) { /* logged; another one may do better */
		agent_fail(a);
		return;
	}
	tell_serve(a, (struct str){0});
}

/* The reducer's connection first: of all it is the one with most under way. */
static void end(void *ctx)
{
	struct agent *a = ctx;

	if (!a->lead.leads)
		return;
	a->lead.leads = false;
	conn_drop(a->conn);
	if (a->serve)
		serve_set_sinks(a->serve, NULL, NULL, STR("this agent leads no more"));
	if (a->flows)
		agent_flows_drop(a->flows);
	agent_otlp_drop(a->otlp);
	agent_sinks_drop(a->sinks);
}

void agent_lead_start(struct agent *a)
{
	if (a->lead.elector)
		elector_start(a->lead.elector, a->client);
	else
		begin(a);
}

void agent_lead_node_known(struct agent *a)
{
	a->lead.node_known = true;
	if (a->lead.leads)
		conn_start(a->conn);
}

static void on_released(void *ctx)
{
	struct agent *a = ctx;

	a->lead.released(a);
}

void agent_lead_release(struct agent *a, void (*done)(void *ctx))
{
	if (a->lead.released)
		return;
	a->lead.leads = false; /* all of it is over already */
	a->lead.released = done;
	if (a->lead.elector)
		elector_release(a->lead.elector, RELEASE_GRACE, on_released, a);
	else
		done(a);
}

/* ---- asked ----------------------------------------------------------------------------------- */

bool agent_lead_may_write(void *ctx)
{
	const struct agent *a = ctx;

	return !a->lead.elector || elector_leads(a->lead.elector);
}

int agent_lead_words(const struct agent *a, struct buf *out)
{
	const char *holder;

	if (a->lead.leads)
		return buf_append_str(out, STR("this agent leads"));
	holder = elector_status(a->lead.elector).holder;
	return holder[0] ? buf_printf(out, "this agent stands by: %s leads", holder)
			 : buf_append_str(out, STR("this agent stands by: nobody leads"));
}

void agent_lead_tick(struct agent *a, nsec_t now)
{
	const nsec_t age = a->cfg->lease_duration + PASS_AFTER;

	if (!a->lead.leads && now > age)
		session_pass_dead(core_session(a->core), now - age);
}

/* ---- whether, where and as whom -------------------------------------------------------------- */

/* The pod's own namespace, as its service account says; "" when there is none. */
static void read_namespace(char ret[NAME_MAX_BYTES])
{
	_close_ int fd = open(NAMESPACE_FILE, O_RDONLY | O_CLOEXEC);
	const ssize_t n = fd < 0 ? 0 : read(fd, ret, NAME_MAX_BYTES - 1);

	ret[n > 0 ? n : 0] = '\0';
	ret[strcspn(ret, "\r\n")] = '\0';
}

static int make_elector(struct agent *a, const char *ns, struct buf *error)
{
	const struct agent_config *c = a->cfg;
	char host[HOSTINFO_NAME_MAX];
	struct elector_opts o = {.base = a->base,
				 .ns = ns,
				 .name = c->lease_name,
				 .identity = c->pod_name,
				 .duration = c->lease_duration,
				 .renew = c->lease_renew_deadline,
				 .retry = c->lease_retry,
				 .seed = rng_entropy(),
				 .started = begin,
				 .stopped = end,
				 .ctx = a};
	int r;

	if (!o.identity) {
		hostinfo_name(host);
		o.identity = host;
	}
	r = elector_new(&o, &a->lead.elector);
	if (r == -EINVAL)
		(void)buf_printf(error, "--pod-name: this cannot be a holder of a Lease");
	return r;
}

int agent_lead_new(struct agent *a, struct buf *error)
{
	const struct agent_config *c = a->cfg;
	const bool must = c->leader_election == AGENT_ELECTION_ON;
	char of_pod[NAME_MAX_BYTES];
	const char *ns = c->lease_namespace;

	if (c->leader_election == AGENT_ELECTION_OFF)
		return 0;
	if (!ns) {
		read_namespace(of_pod);
		ns = of_pod;
	}
	if (must && !ns[0]) {
		(void)buf_printf(error,
				 "--leader-election on: --lease-namespace (environment "
				 "POD_NAMESPACE) is missing, and there is no " NAMESPACE_FILE);
		return -EINVAL;
	}
	return !ns[0] ? 0 : make_elector(a, ns, error);
}

void agent_lead_free(struct agent *a)
{
	elector_free(&a->lead.elector);
}

/* ---- metrics --------------------------------------------------------------------------------- */

static void put(struct prom *p, const char *name, const char *type, const char *help, uint64_t v)
{
	prom_family(p, name, type, help);
	prom_u64(p, name, (struct str){0}, v);
}

int agent_lead_series(const struct agent *a, struct buf *out)
{
	const struct elector *e = a->lead.elector;
	const struct lease_status s = e ? elector_status(e) : (struct lease_status){.holder = ""};
	_buf_ struct buf labels = {.max = 4096};
	struct prom p = {.out = out}, l = {.out = &labels};

	put(&p, "kindred_leader", "gauge",
	    "1 while this agent writes to its sinks: it leads, or there is no election.",
	    a->lead.leads);
	prom_family(&p, "kindred_lease_holder", "gauge", "Always 1; the label says who leads.");
	prom_label(&l, "holder", str_of(s.holder));
	if (s.holder[0])
		prom_u64(&p, "kindred_lease_holder", buf_str(&labels), 1);
	put(&p, "kindred_lease_transitions", "gauge",
	    "How often the lease went to another holder, as it says itself.", s.transitions);
	put(&p, "kindred_lease_acquired_total", "counter", "Times this agent began to lead.",
	    s.acquired);
	put(&p, "kindred_lease_lost_total", "counter",
	    "Of them, those that ended because the lease was not renewed in time, or taken.",
	    s.lost);
	put(&p, "kindred_lease_renewals_total", "counter", "Writes of the lease that were taken.",
	    s.renewals);
	put(&p, "kindred_lease_failures_total", "counter",
	    "Requests about the lease that came to nothing.", s.failures);
	return l.r < 0 ? l.r : p.r;
}
