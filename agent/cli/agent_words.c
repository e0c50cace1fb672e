#include "cli/agent_words.h"

#include "base/buf.h"
#include "base/log.h"
#include "kube/redact.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define WINDOW	   (60 * NSEC_PER_SEC)
#define WINDOW_MAX 20 /* lines about single objects in it; the others are counted */

/* True when one more line about a single object may be said. */
static bool may_say(struct agent_words *w)
{
	nsec_t now = clock_mono();

	if (now - w->window >= WINDOW) {
		if (w->suppressed)
			log_warn("%u more objects were left out or cut", w->suppressed);
		w->window = now;
		w->said = w->suppressed = 0;
	}
	if (w->said >= WINDOW_MAX) {
		w->suppressed++;
		return false;
	}
	w->said++;
	return true;
}

static void say(struct agent_words *w, const struct core_watch *watch, struct str name,
		const char *what, const char *why)
{
	struct str path = watch ? watch->path : STR("owner");
	char text[256];

	if (!may_say(w))
		return;
	redact_text(text, sizeof(text), name);
	log_warn("%.*s: object %s%s%s %s: %s", STR_ARG(path), *text ? "'" : "",
		 *text ? text : "without a name", *text ? "'" : "", what, why);
}

void words_bad_object(struct agent_words *w, const struct core_watch *watch, enum decode_bad why,
		      struct str name)
{
	say(w, watch, name, why == BAD_TOO_MANY ? "cut" : "left out", decode_bad_name(why));
}

void words_object_refused(struct agent_words *w, const struct core_watch *watch, int r,
			  struct str name)
{
	say(w, watch, name, "not kept",
	    r == -EMSGSIZE ? "a text in it is too long, or the inventory is full"
			   : "its uid, or an owner's, is none");
}

void words_resource(struct agent_words *w, const struct collect_kind *k, enum collect_state before)
{
	switch (k->state) {
	case COLLECT_FAILING:
	case COLLECT_FORBIDDEN:
		if (may_say(w))
			log_warn("resources: %.*s is %s, the others go on: %s", STR_ARG(k->name),
				 collect_state_name(k->state), k->text);
		return;
	case COLLECT_SYNCED:
		if (before == COLLECT_FAILING || before == COLLECT_FORBIDDEN)
			log_info("resources: %.*s works again", STR_ARG(k->name));
		break;
	case COLLECT_SYNCING:
	case _COLLECT_STATE_MAX:
		break;
	}
}

void words_bad_resource(struct agent_words *w, const struct collect_kind *k, unsigned why,
			struct str name)
{
	char text[256];

	if (!may_say(w))
		return;
	redact_text(text, sizeof(text), name);
	log_warn("resources: %.*s: object '%s' left out: %s", STR_ARG(k->name), text,
		 collect_bad_name(why));
}

void words_owner_refused(struct agent_words *w, const char *text)
{
	nsec_t now = clock_mono();

	if (w->owner_at && now - w->owner_at < WINDOW) {
		log_debug("owner: %s", text);
		return;
	}
	w->owner_at = now;
	log_warn("an owner cannot be read, pods are told with the owner they name: %s", text);
}

static void watch_figures(struct core *c, struct buf *b)
{
	uint64_t events = 0, lists = 0, errors = 0, bytes = 0, bad = 0;

	for (uint32_t i = 0; i < core_n_watches(c); i++) {
		const struct reflector_counters *r =
			reflector_counters(core_watch(c, i)->reflector);

		events += r->events;
		lists += r->lists;
		errors += r->errors;
		bytes += r->bytes;
		for (int k = 0; k < _DECODE_BAD_MAX; k++)
			bad += r->bad[k];
	}
	(void)buf_printf(b,
			 "read: %" PRIu64 " objects, %" PRIu64 " lists, %" PRIu64 " bytes, %" PRIu64
			 " failed tries, %" PRIu64 " objects left out or cut, %" PRIu64 " not kept",
			 events, lists, bytes, errors, bad, core_counters(c)->refused_objects);
}

void words_figures(struct core *c)
{
	_buf_ struct buf b = {.max = 4096};
	struct inventory_stats v;
	struct session_counters s;

	inventory_stats(core_inventory(c), &v);
	session_counters(core_session(c), &s);
	watch_figures(c, &b);
	(void)buf_printf(&b,
			 "; held: %u pods, %u owners, %zu bytes; told: %" PRIu64 " pods, %" PRIu64
			 " containers, %" PRIu64 " deletes, %" PRIu64 " epochs, %" PRIu64
			 " bytes; waiting: %u, timed out %" PRIu64 ", over the maximum %" PRIu64
			 "; cut %" PRIu64 ", container ids left out %" PRIu64
			 ", dead pods dropped %" PRIu64,
			 v.pods, v.owners, v.bytes, s.pods_new, s.containers, s.deletes, s.epochs,
			 s.wire_bytes, s.waiting, s.timeouts, s.overflows, s.cut, v.long_ids,
			 v.dropped_dead);
	log_info("%.*s", STR_ARG(buf_str(&b)));
}

static uint64_t sum(const uint64_t *v, int from, int to)
{
	uint64_t n = 0;

	for (int i = from; i < to; i++)
		n += v[i];
	return n;
}

void words_flows(const struct flows *f)
{
	struct flows_stats s;

	flows_stats(f, &s);
	log_info("flows: TCP started %" PRIu64 " = reported %" PRIu64 " + open %" PRIu64
		 " + dropped %" PRIu64 " + unaccounted %" PRId64 "; open before the agent %" PRIu64
		 "; UDP started %" PRIu64 ", ended %" PRIu64 "; DNS %" PRIu64 ", timed out %" PRIu64
		 "; local ends without a name %" PRIu64 ", remote %" PRIu64
		 "; waiting %u, over the maximum %" PRIu64 "; evicted %" PRIu64,
		 s.started, s.reported, s.open, sum(s.dropped, 0, _FLOW_DROP_MAX), s.unaccounted,
		 s.pre_existing, s.udp_started, s.udp_ended, s.dns_transactions, s.dns_timeouts,
		 sum(s.unknown_local, 1, _UNKNOWN_REASON_MAX),
		 sum(s.unknown_remote, 1, _UNKNOWN_REASON_MAX), s.pending, s.pending_full,
		 s.evicted);
}

void words_jsonl(const struct jsonl *j)
{
	struct jsonl_stats s;

	jsonl_stats(j, &s);
	log_info("flows: lines written %" PRIu64 ", %" PRIu64 " bytes; lost: too long %" PRIu64
		 ", cut %" PRIu64 ", not taken before the stop %" PRIu64
		 "; ended flows that the output was too slow for %" PRIu64,
		 s.lines, s.bytes, s.too_long, s.cut, s.left, s.dropped);
}
