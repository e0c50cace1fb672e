/*
 * What is said of a watch's health: each change once, a failure that goes on at
 * most once a minute, and of many watches that fail together only some.
 */
#include "kube/client_parts.h"

#include "base/log.h"

#define LOG_SPACING (60 * NSEC_PER_SEC)
#define LOG_BURST   20

/* True when one more word about a failure may be said. */
static bool may_complain(struct client *c, struct line *l, nsec_t now)
{
	if (l->logged_at && now - l->logged_at < LOG_SPACING)
		return false;
	if (now - c->log_window >= LOG_SPACING) {
		if (c->log_suppressed)
			log_warn("%u more failures of watches were not told", c->log_suppressed);
		c->log_window = now;
		c->log_count = c->log_suppressed = 0;
	}
	if (c->log_count >= LOG_BURST) {
		c->log_suppressed++;
		return false;
	}
	c->log_count++;
	l->logged_at = now;
	return true;
}

static void log_failure(struct line *l, const char *text)
{
	if (!may_complain(l->client, l, clock_mono()))
		return;
	log_warn("%s", text);
	l->failure_told = true;
}

static void log_synced(struct line *l)
{
	if (!l->synced_before)
		log_info("%s: synced", l->name);
	else if (l->failure_told)
		log_info("%s: works again", l->name);
	l->synced_before = true;
	l->failure_told = false;
}

void line_log(struct line *l)
{
	struct reflector_status s = reflector_status(l->reflector);
	uint64_t errors = reflector_counters(l->reflector)->errors;
	bool news = s.health != l->health, failed = errors != l->errors;

	l->health = s.health;
	l->errors = errors;
	if (!l->name[0])
		return;
	switch (s.health) {
	case REFLECTOR_FAILING:
	case REFLECTOR_FORBIDDEN:
		if (failed)
			log_failure(l, s.text);
		return;
	case REFLECTOR_SYNCED:
		if (news)
			log_synced(l);
		return;
	case REFLECTOR_SYNCING:
		if (news && s.text[0])
			log_info("%s", s.text);
		return;
	case _REFLECTOR_HEALTH_MAX:
		break;
	}
}
