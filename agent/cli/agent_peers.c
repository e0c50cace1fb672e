#include "cli/agent_peers.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "config/agent_options.h"
#include "http/http.h"
#include "http/lookup.h"
#include "kube/cred/cred.h"
#include "kube/redact.h"
#include "peers/peers.h"
#include "serve/ready.h"
#include "sink/metrics/prom.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>

#define PATIENCE     (30 * NSEC_PER_SEC) /* without a feed, before it is said */
#define URL_MAX	     2048
#define REASON_BYTES 512

struct agent_peers {
	struct agent_peers_opts o;
	struct peers *peers;
	struct http *http;
	struct kube_cred *cred; /* URL, token and authorities: files that may change */
	struct lookup *lookup;
	struct lookup_addr addrs[PEERS_MAX_ADDRS];
	struct http_xfer *xfer; /* under way; NULL: none */
	struct event *timer;
	bool started;
	nsec_t without; /* since when there is no feed; 0: there is */
	bool told, complained;
};

static void turn(struct agent_peers *p);

/* ---- what is said ---------------------------------------------------------------------------- */

/* What a server said to the request: it may have repeated the token. */
static const char *reason(const struct peers_status *s, char text[REASON_BYTES])
{
	redact_text(text, REASON_BYTES, str_of(s->error));
	return text;
}

static void say_synced(struct agent_peers *p, const struct peers_status *s)
{
	log_info("peers: the feed of %s at %s: %u pods, %u Services, %u Nodes", s->from,
		 p->o.cfg->peers, s->replica.pods, s->replica.services, s->replica.nodes);
}

static void say_without(struct agent_peers *p, const struct peers_status *s)
{
	char text[REASON_BYTES];

	if (s->state == PEERS_FULL)
		log_warn(
			"peers: the cluster does not fit into --peers-max (%zu bytes); remote ends "
			"are unknown",
			p->o.cfg->peers_max);
	else
		log_warn("peers: no feed from %s for %llu s: %s; remote ends are unknown until it "
			 "is "
			 "back",
			 p->o.cfg->peers,
			 (unsigned long long)((clock_mono() - p->without) / NSEC_PER_SEC),
			 s->error[0] ? reason(s, text) : "not all of it has come");
}

/* A line when it is there, and one when it is missed. */
static void note(struct agent_peers *p, nsec_t now)
{
	struct peers_status s;

	peers_status(p->peers, &s);
	if (s.state == PEERS_SYNCED) {
		if (p->complained || !p->told)
			say_synced(p, &s);
		p->told = true;
		p->without = 0;
		p->complained = false;
		return;
	}
	if (!p->without)
		p->without = now;
	if (p->complained || (now - p->without < PATIENCE && s.state != PEERS_FULL))
		return;
	say_without(p, &s);
	p->complained = true;
}

/* ---- a request ------------------------------------------------------------------------------- */

static int on_response(void *ctx, struct http_xfer *x, int status)
{
	struct agent_peers *p = ctx;

	(void)x;
	if (status == 401)
		kube_cred_refused(p->cred, clock_mono());
	return peers_response(p->peers, clock_mono(), status);
}

static int on_data(void *ctx, struct http_xfer *x, const void *bytes, size_t n)
{
	struct agent_peers *p = ctx;

	(void)x;
	if (peers_data(p->peers, clock_mono(), bytes, n) < 0)
		http_cancel(&p->xfer);
	p->o.heard(p->o.ctx);
	turn(p); /* the silence begins anew */
	return 0;
}

static void on_end(void *ctx, struct http_xfer *x, enum http_result how, const char *text)
{
	struct agent_peers *p = ctx;

	(void)x;
	p->xfer = NULL;
	peers_end(p->peers, clock_mono(), how == HTTP_DONE ? "the collector has hung up" : text);
	turn(p);
}

static const struct http_ops http_ops = {.response = on_response, .data = on_data, .end = on_end};

static int begin(struct agent_peers *p, const struct kube_access *access)
{
	_buf_ struct buf url = {.max = URL_MAX};
	char address[LOOKUP_TEXT_MAX];
	struct http_request req = {.headers = access->headers,
				   .n_headers = access->n_headers,
				   .tls = access->tls,
				   .proxy = "", /* within the cluster */
				   .connect_timeout = PEERS_PATIENCE,
				   .fresh_connection = true,
				   .ops = &http_ops,
				   .ctx = p};
	int r = buf_printf(&url, "%s", access->url);

	if (r == 0)
		r = peers_target(p->peers, &url);
	if (r == 0)
		r = buf_append(&url, "", 1);
	if (r < 0)
		return r;
	req.url = url.p;
	req.connect_to = lookup_print(&p->addrs[peers_address(p->peers)], true, address);
	return http_start(p->http, &req, &p->xfer);
}

static void start(struct agent_peers *p)
{
	struct kube_access access;
	int r = -EACCES;

	if (kube_cred_get(p->cred, clock_mono(), &access) == KUBE_CRED_READY)
		r = begin(p, &access);
	if (r < 0)
		peers_end(p->peers, clock_mono(),
			  r == -EACCES ? kube_cred_error(p->cred) : "out of memory");
}

/* ---- the loop -------------------------------------------------------------------------------- */

static void on_lookup(void *ctx, const struct lookup_addr *v, unsigned int n, const char *text)
{
	struct agent_peers *p = ctx;

	n = MIN(n, (unsigned int)PEERS_MAX_ADDRS);
	memcpy(p->addrs, v, n * sizeof(*v));
	peers_resolved(p->peers, clock_mono(), n, text);
	turn(p);
}

static void arm(struct agent_peers *p, nsec_t now, nsec_t deadline)
{
	const nsec_t limit = p->without && !p->complained ? p->without + PATIENCE : NSEC_NEVER;
	const nsec_t next = MIN(deadline, limit);
	const nsec_t in = next > now ? next - now : 0;
	const struct timeval tv = clock_timeval(in + NSEC_PER_USEC); /* rounded up */

	if (next == NSEC_NEVER)
		(void)evtimer_del(p->timer);
	else
		(void)evtimer_add(p->timer, &tv);
}

static void turn(struct agent_peers *p)
{
	nsec_t now = clock_mono(), deadline;
	enum peers_action a;

	while ((a = peers_poll(p->peers, now, &deadline)) != PEERS_NONE) {
		if (a == PEERS_ABORT)
			http_cancel(&p->xfer);
		else if (a == PEERS_START)
			start(p);
		else
			lookup_start(p->lookup);
		now = clock_mono();
	}
	note(p, now);
	arm(p, now, deadline);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	turn(ctx);
}

/* ---- making ---------------------------------------------------------------------------------- */

/* Host and port out of the URL, which the option's check has let through. */
static int split_url(const char *url, char host[256], uint16_t *ret_port)
{
	struct str s = str_of(url), place, end;
	unsigned long long port = str_starts(s, STR("https://")) ? 443 : 80;
	struct str text = {0};

	s = str_from(s, str_starts(s, STR("https://")) ? 8 : 7);
	(void)str_split(&s, '/', &place);
	if (str_starts(place, STR("["))) {
		place = str_from(place, 1);
		(void)str_split(&place, ']', &end);
		text = str_from(place, 1);
	} else {
		(void)str_split(&place, ':', &end);
		text = place;
	}
	if (!end.n || end.n > 255 ||
	    (text.n && (str_to_u64(text, &port) < 0 || !port || port > UINT16_MAX)))
		return -EINVAL;
	(void)snprintf(host, 256, "%.*s", STR_ARG(end));
	*ret_port = (uint16_t)port;
	return 0;
}

static int make_parts(struct agent_peers *p, struct buf *ret_error)
{
	const struct agent_config *c = p->o.cfg;
	const struct peers_opts peers = {
		.max_bytes = c->peers_max, .seed = rng_entropy(), .now = clock_mono()};
	const struct http_opts http = {
		.base = p->o.base, .user_agent = p->o.user_agent, .max_transfers = 2};
	const struct kube_cred_opts cred = {.base = p->o.base,
					    .api_server = c->peers,
					    .token_file = c->peers_token_file,
					    .ca_file = c->peers_ca_file};
	struct lookup_opts lookup = {
		.base = p->o.base, .timeout = PEERS_PATIENCE, .done = on_lookup, .ctx = p};
	char host[256];
	int r;

	if (split_url(c->peers, host, &lookup.port) < 0) {
		(void)buf_printf(ret_error, "--peers: \"%s\" has no host and port", c->peers);
		return -EINVAL;
	}
	lookup.host = host;
	r = peers_new(&peers, &p->peers);
	if (r == 0)
		r = http_new(&http, &p->http);
	if (r == 0)
		r = lookup_new(&lookup, &p->lookup);
	return r < 0 ? r : kube_cred_new(&cred, &p->cred, ret_error);
}

int agent_peers_new(const struct agent_peers_opts *o, struct agent_peers **ret,
		    struct buf *ret_error)
{
	struct agent_peers *p;
	int r;

	if (!o->cfg->peers)
		return 0;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->o = *o;
	p->without = clock_mono();
	p->timer = evtimer_new(o->base, on_timer, p);
	r = p->timer ? make_parts(p, ret_error) : -ENOMEM;
	if (r < 0) {
		agent_peers_free(&p);
		return r;
	}
	*ret = p;
	return 0;
}

void agent_peers_free(struct agent_peers **pp)
{
	struct agent_peers *p = *pp;

	if (!p)
		return;
	agent_peers_stop(p);
	http_free(&p->http);
	lookup_free(&p->lookup);
	kube_cred_free(&p->cred);
	peers_free(&p->peers);
	if (p->timer)
		event_free(p->timer);
	free(p);
	*pp = NULL;
}

void agent_peers_start(struct agent_peers *p)
{
	if (!p)
		return;
	p->started = true;
	turn(p);
}

void agent_peers_stop(struct agent_peers *p)
{
	if (!p || !p->started)
		return;
	p->started = false;
	http_cancel(&p->xfer);
	lookup_cancel(p->lookup);
	(void)evtimer_del(p->timer);
}

const struct peers *agent_peers_known(const struct agent_peers *p)
{
	return p ? p->peers : NULL;
}

/* ---- figures --------------------------------------------------------------------------------- */

size_t agent_peers_bytes(const struct agent_peers *p)
{
	struct peers_status s;

	peers_status(p->peers, &s);
	return sizeof(*p) + s.replica.bytes;
}

void agent_peers_ready(const struct agent_peers *p, struct ready *r)
{
	const nsec_t now = clock_mono();
	char text[REASON_BYTES];
	struct peers_status s;

	peers_status(p->peers, &s);
	if (s.state == PEERS_SYNCED && s.known)
		ready_put(r, "peers", true, "the feed of %s, heard until %llu ms ago", s.from,
			  (unsigned long long)((now - MIN(s.known, now)) / NSEC_PER_MSEC));
	else
		ready_put(r, "peers", true, "%s%s%s", peers_state_name(s.state),
			  s.error[0] ? ": " : "", reason(&s, text));
}

static void put_gauges(const struct peers_status *s, nsec_t now, struct prom *out)
{
	static const char state[] = "kindred_peers_state", things[] = "kindred_peers_things";

	prom_family(out, state, "gauge", "1 for the state that the collector's feed is in.");
	for (int i = 0; i < _PEERS_STATE_MAX; i++)
		prom_named(out, state, "state", peers_state_name((enum peers_state)i),
			   s->state == (enum peers_state)i);
	prom_family(out, things, "gauge", "What the feed has told of, lingering ones included.");
	prom_named(out, things, "kind", "pod", s->replica.pods);
	prom_named(out, things, "kind", "service", s->replica.services);
	prom_named(out, things, "kind", "node", s->replica.nodes);
	prom_one(out, "kindred_peers_bytes", "gauge", "Memory of what it has told.",
		 s->replica.bytes);
	prom_family(out, "kindred_peers_lag_seconds", "gauge",
		    "How long ago the time is until which everything was heard.");
	prom_seconds(out, "kindred_peers_lag_seconds", (struct str){0},
		     s->known ? (now - MIN(s->known, now)) / NSEC_PER_USEC : 0, 1000000);
	prom_family(out, "kindred_peers_doubt_seconds", "gauge",
		    "By how much the collector's clock may stand otherwise than is reckoned.");
	prom_seconds(out, "kindred_peers_doubt_seconds", (struct str){0}, s->doubt / NSEC_PER_USEC,
		     1000000);
}

void agent_peers_series(const struct agent_peers *p, struct prom *out)
{
	struct peers_status s;

	peers_status(p->peers, &s);
	put_gauges(&s, clock_mono(), out);
	const struct {
		const char *name, *help;
		uint64_t v;
	} all[] = {
		{"kindred_peers_connects_total", "Streams of the feed that began.", s.connects},
		{"kindred_peers_resumes_total", "Of them, those that went on with the last one.",
		 s.resumes},
		{"kindred_peers_wholes_total", "Times the whole was taken.", s.wholes},
		{"kindred_peers_losses_total", "Streams that broke.", s.losses},
		{"kindred_peers_failures_total", "Requests that no stream came of.", s.failures},
		{"kindred_peers_standbys_total",
		 "Of them, those to a collector that does not lead.", s.standbys},
		{"kindred_peers_faults_total", "Streams with a gap or a contradiction.", s.faults},
		{"kindred_peers_received_bytes_total", "Bytes of the feed.", s.bytes},
		{"kindred_peers_records_total", "Changes that it told of.", s.records},
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		prom_one(out, all[i].name, "counter", all[i].help, all[i].v);
}
