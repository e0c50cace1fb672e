#include "cli/agent_publish.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "cli/agent_parts.h"
#include "serve/peers_api.h"
#include "sink/metrics/prom.h"
#include "sink/peers/publish.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define FILES_BESIDES 256 /* that the process needs for all else */

struct agent_publish {
	struct agent *agent;
	struct publish *publish;
	struct event *run;
	nsec_t fresh; /* all that was told until then is in the inventory */
};

/* A watch that is not well may miss what happens: nothing after that moment is claimed to be known.
 */
static bool is_fresh(struct core *core)
{
	for (uint32_t i = 0; i < core_n_watches(core); i++) {
		const struct core_watch *w = core_watch(core, i);

		if (w->kind == KIND_POD &&
		    reflector_status(w->reflector).health != REFLECTOR_SYNCED)
			return false;
	}
	return true;
}

static void on_run(evutil_socket_t fd, short what, void *ctx)
{
	struct agent_publish *p = ctx;
	const nsec_t now = clock_mono();
	struct timeval tv;
	nsec_t next;

	(void)fd;
	(void)what;
	if (!core_synced(p->agent->core)) /* nobody is told before */
		return;
	if (is_fresh(p->agent->core))
		p->fresh = now;
	next = publish_run(p->publish, now, p->fresh, clock_wall());
	tv = clock_timeval(next > now ? next - now : 0);
	(void)evtimer_add(p->run, &tv);
}

static void on_due(void *ctx)
{
	event_active(((struct agent_publish *)ctx)->run, EV_TIMEOUT, 0);
}

/* A subscriber is a socket. */
static void allow_files(uint32_t subscribers)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) < 0)
		return;
	l.rlim_cur = l.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &l);
	if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < (rlim_t)subscribers + FILES_BESIDES)
		log_warn("--peers-clients %u: the limit of open files is %llu, which lets fewer in",
			 subscribers, (unsigned long long)l.rlim_cur);
}

static int make(struct agent_publish *p)
{
	struct agent *a = p->agent;
	struct publish_opts o = {.inventory = core_inventory(a->core),
				 .policy = &a->policy,
				 .wake = serve_peers_wake,
				 .due = on_due,
				 .ctx = p};
	char host[HOSTINFO_NAME_MAX];

	hostinfo_name(host);
	o.name = str_of(a->cfg->pod_name ? a->cfg->pod_name : host);
	for (size_t i = 0; i < sizeof(o.feed); i += sizeof(uint64_t)) {
		const uint64_t random = rng_entropy();

		memcpy(o.feed + i, &random, sizeof(random));
	}
	p->run = evtimer_new(a->base, on_run, p);
	return p->run ? publish_new(&o, &p->publish) : -ENOMEM;
}

int agent_publish_new(struct agent *a, struct agent_publish **ret)
{
	struct agent_publish *p;
	int r;

	if (!a->cfg->serve_peers)
		return 0;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->agent = a;
	r = make(p);
	if (r < 0) {
		agent_publish_free(&p);
		return log_err(r, "--serve-peers");
	}
	allow_files(a->cfg->peers_clients);
	*ret = p;
	return 0;
}

void agent_publish_free(struct agent_publish **pp)
{
	struct agent_publish *p = *pp;

	if (!p)
		return;
	publish_free(&p->publish);
	if (p->run)
		event_free(p->run);
	free(p);
	*pp = NULL;
}

void agent_publish_wake(struct agent_publish *p)
{
	if (p)
		event_active(p->run, EV_TIMEOUT, 0);
}

struct publish *agent_publish_feed(const struct agent_publish *p)
{
	return p ? p->publish : NULL;
}

bool agent_publish_ready(const struct agent *a, struct buf *words)
{
	if (!a->lead.leads) {
		(void)agent_lead_words(a, words);
		return false;
	}
	if (core_synced(a->core))
		return true;
	(void)buf_append_str(words, STR("the cluster's pods are not all known yet"));
	return false;
}

size_t agent_publish_bytes(const struct agent_publish *p)
{
	struct publish_stats s;

	publish_stats(p->publish, &s);
	return sizeof(*p) + s.bytes;
}

void agent_publish_series(const struct agent_publish *p, struct prom *out)
{
	struct publish_stats s;

	publish_stats(p->publish, &s);
	const struct {
		const char *name, *type, *help;
		uint64_t v;
	} all[] = {
		{"kindred_feed_subscribers", "gauge", "Agents of nodes that follow the feed.",
		 s.subscribers},
		{"kindred_feed_queued", "gauge", "Of them, those in line for the whole.", s.queued},
		{"kindred_feed_frames_total", "counter", "Frames of changes made.", s.position},
		{"kindred_feed_records_total", "counter", "Changes told in them.", s.records},
		{"kindred_feed_bytes_total", "counter", "Bytes of those frames, each made once.",
		 s.frame_bytes},
		{"kindred_feed_whole_bytes", "gauge", "Bytes of the whole, as it was made last.",
		 s.whole_bytes},
		{"kindred_feed_wholes_built_total", "counter", "Times the whole was made.",
		 s.built},
		{"kindred_feed_resumed_total", "counter",
		 "Subscribers that went on where they had ended.", s.resumed},
		{"kindred_feed_begun_total", "counter", "Subscribers that began with the whole.",
		 s.whole},
		{"kindred_feed_overtaken_total", "counter",
		 "Subscribers that fell behind the changes that are kept.", s.overtaken},
		{"kindred_feed_left_out_total", "counter",
		 "Things with too long a name or too many addresses to be told.", s.left_out},
		{"kindred_feed_restarts_total", "counter",
		 "Feeds that were begun anew because memory was short.", s.restarts},
		{"kindred_feed_held_bytes", "gauge", "Memory of the feed.", s.bytes},
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		prom_one(out, all[i].name, all[i].type, all[i].help, all[i].v);
}
