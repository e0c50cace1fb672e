/* Conditions of readiness; see agent_ready.h. */
#include "cli/agent_ready.h"

#include "base/mem.h"
#include "cli/agent_parts.h"
#include "cli/vector_words.h"
#include "serve/ready.h"

#include <stdio.h>

#define NAME_MAX_ 300 /* bytes of a condition's name, cut */

static unsigned long long seconds(nsec_t now, nsec_t at)
{
	return now > at ? (now - at) / NSEC_PER_SEC : 0;
}

/* ---- watches --------------------------------------------------------------------------------- */

/* Servers send bookmarks each minute, and a watch without them is dropped after --watch-silence: it
 * is stale when one that was made anew is silent, too. Of a server that sends none, the end of the
 * watch is all that is known to come. */
static nsec_t stale_after(const struct agent_config *c, const struct reflector_status *s)
{
	return s->bookmarks ? 2 * c->watch_silence : c->watch_timeout_max + c->watch_silence;
}

/* Without Services and Nodes flows have fewer names; nobody waits for them. */
static bool is_needed(const struct core_watch *w)
{
	return w->kind != KIND_SERVICE && w->kind != KIND_NODE;
}

static void put_watch(const struct agent *a, const struct core_watch *w, nsec_t now,
		      struct ready *r)
{
	const struct reflector_status s = reflector_status(w->reflector);
	const bool failing = s.health == REFLECTOR_FAILING || s.health == REFLECTOR_FORBIDDEN;
	const bool may = !is_needed(w);
	char name[NAME_MAX_];

	(void)snprintf(name, sizeof(name), "watch %.*s", STR_ARG(w->path));
	if (!s.ever_synced)
		ready_put(r, name, may, "no complete list yet%s%s", s.text[0] ? ": " : "", s.text);
	else if (failing && now - s.since > a->cfg->ready_grace)
		ready_put(r, name, may, "%s for %llu s: %s", reflector_health_name(s.health),
			  seconds(now, s.since), s.text);
	else if (now - s.heard > stale_after(a->cfg, &s))
		ready_put(r, name, may, "nothing was heard for %llu s", seconds(now, s.heard));
	else
		ready_put(r, name, true, "%s, heard from %llu s ago",
			  reflector_health_name(s.health), seconds(now, s.heard));
}

/* ---- the reducer ----------------------------------------------------------------------------- */

static void put_reducer(const struct agent *a, nsec_t now, struct ready *r)
{
	struct conn_status s;

	conn_status(a->conn, &s);
	if (s.state == CONN_UP)
		ready_put(r, "reducer", true, "connected to %s for %llu s", s.peer,
			  seconds(now, s.since));
	else if (!s.connects)
		ready_put(r, "reducer", false, "not connected yet%s%s", s.error[0] ? ": " : "",
			  s.error);
	else
		ready_put(r, "reducer", s.down_at && now - s.down_at <= a->cfg->ready_grace,
			  "no connection for %llu s: %s", s.down_at ? seconds(now, s.down_at) : 0,
			  s.error);
}

/* ---- who leads ------------------------------------------------------------------------------- */

/* Who stands by is ready to take over; the Lease that cannot be read is not. */
static void put_leader(const struct agent *a, struct ready *r)
{
	_buf_ struct buf words = {.max = 1024};
	const char *error;
	nsec_t since;

	if (!a->lead.elector)
		return;
	error = elector_error(a->lead.elector, &since);
	(void)agent_lead_words(a, &words);
	if (error[0] && clock_boot() - since > a->cfg->ready_grace)
		ready_put(r, "lease", false, "%.*s; it fails for %llu s: %s",
			  STR_ARG(buf_str(&words)), seconds(clock_boot(), since), error);
	else
		ready_put(r, "lease", true, "%.*s", STR_ARG(buf_str(&words)));
}

/* ---- the whole ------------------------------------------------------------------------------- */

void agent_ready(const struct agent *a, struct ready *r)
{
	const nsec_t now = clock_mono();

	for (uint32_t i = 0; i < core_n_watches(a->core); i++)
		put_watch(a, core_watch(a->core, i), now, r);
	put_leader(a, r);
	if (a->lead.leads)
		put_reducer(a, now, r);
	if (a->peers)
		agent_peers_ready(a->peers, r);
	agent_resources_ready(a->resources, now, a->cfg->ready_grace, r);
	agent_otlp_ready(a->otlp, now, a->cfg->ready_grace, r);
	agent_sinks_ready(a->sinks, now, a->cfg->ready_grace, r);
}
