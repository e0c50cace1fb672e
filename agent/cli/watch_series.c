#include "cli/watch_series.h"

#include "base/mem.h"
#include "sink/metrics/prom.h"

#include <stdio.h>

/* All watches of one kind, added up. */
struct figures {
	bool there;
	uint32_t states[_REFLECTOR_HEALTH_MAX];
	uint64_t events, bytes, bookmarks, lists, restarts, errors;
	uint64_t bad[_DECODE_BAD_MAX];
	nsec_t heard; /* of the one that was silent for longest; 0: never */
};

/* Kinds that the core may watch; other figures have no name and no watches. */
static const char *const kind_names[_KIND_MAX] = {
	[KIND_POD] = "pods",	   [KIND_REPLICASET] = "replicasets.apps",
	[KIND_JOB] = "jobs.batch", [KIND_SERVICE] = "services",
	[KIND_NODE] = "nodes",
};

static void add(struct figures *f, const struct reflector *r)
{
	const struct reflector_counters *n = reflector_counters(r);
	const struct reflector_status s = reflector_status(r);

	f->heard = f->there ? MIN(f->heard, s.heard) : s.heard;
	f->there = true;
	f->states[s.health]++;
	f->events += n->events;
	f->bytes += n->bytes;
	f->bookmarks += n->bookmarks;
	f->lists += n->lists;
	f->restarts += n->relists + n->restarts;
	f->errors += n->errors;
	for (int i = 0; i < _DECODE_BAD_MAX; i++)
		f->bad[i] += n->bad[i];
}

static const struct {
	const char *name, *help;
	size_t offset; /* of a uint64_t in struct figures */
} counters[] = {
	{"kindred_watch_events_total", "Items of lists and events, by kind.",
	 offsetof(struct figures, events)},
	{"kindred_watch_bytes_total", "Bytes of lists and watches, by kind.",
	 offsetof(struct figures, bytes)},
	{"kindred_watch_bookmarks_total", "Bookmarks, by kind.",
	 offsetof(struct figures, bookmarks)},
	{"kindred_watch_lists_total", "Complete lists, by kind.", offsetof(struct figures, lists)},
	{"kindred_watch_restarts_total",
	 "Lists begun anew, on request or because they had to be, by kind.",
	 offsetof(struct figures, restarts)},
	{"kindred_watch_errors_total", "Requests that failed, by kind.",
	 offsetof(struct figures, errors)},
};

static void put_counters(struct prom *p, const struct figures f[_KIND_MAX])
{
	for (size_t i = 0; i < ARRAY_SIZE(counters); i++) {
		prom_family(p, counters[i].name, "counter", counters[i].help);
		for (int k = 0; k < _KIND_MAX; k++)
			if (f[k].there)
				prom_named(p, counters[i].name, "kind", kind_names[k],
					   *(const uint64_t *)((const char *)&f[k] +
							       counters[i].offset));
	}
}

static void put_two(struct prom *p, const char *name, int kind, const char *label,
		    const char *value, uint64_t v)
{
	char labels[128];

	(void)snprintf(labels, sizeof(labels), "kind=\"%s\",%s=\"%s\"", kind_names[kind], label,
		       value);
	prom_u64(p, name, str_of(labels), v);
}

static void put_states(struct prom *p, const struct figures f[_KIND_MAX])
{
	prom_family(p, "kindred_watches", "gauge",
		    "Watches of what the reducer is told, by kind and state.");
	for (int k = 0; k < _KIND_MAX; k++)
		for (int s = 0; f[k].there && s < _REFLECTOR_HEALTH_MAX; s++)
			put_two(p, "kindred_watches", k, "state",
				reflector_health_name((enum reflector_health)s), f[k].states[s]);
	prom_family(p, "kindred_watch_bad_objects_total", "counter",
		    "Objects that were left out or cut, by kind and reason.");
	for (int k = 0; k < _KIND_MAX; k++)
		for (int i = 0; f[k].there && i < _DECODE_BAD_MAX; i++)
			put_two(p, "kindred_watch_bad_objects_total", k, "reason",
				decode_bad_name((enum decode_bad)i), f[k].bad[i]);
}

static void put_lag(struct prom *p, const struct figures f[_KIND_MAX])
{
	const nsec_t now = clock_mono();
	char labels[64];

	prom_family(
		p, "kindred_watch_lag_seconds", "gauge",
		"Since the kind's watch that was silent for longest was heard from: an event, a "
		"bookmark, a complete list.");
	for (int k = 0; k < _KIND_MAX; k++) {
		if (!f[k].heard)
			continue;
		(void)snprintf(labels, sizeof(labels), "kind=\"%s\"", kind_names[k]);
		prom_seconds(p, "kindred_watch_lag_seconds", str_of(labels),
			     now > f[k].heard ? now - f[k].heard : 0, NSEC_PER_SEC);
	}
}

static void put_owners(struct prom *p, const struct owners *o)
{
	static const char name[] = "kindred_owner_reads_total";
	const struct owners_counters *n = owners_counters(o);

	prom_family(p, name, "counter", "Owners that were read one by one, by result.");
	prom_named(p, name, "result", "read", n->read);
	prom_named(p, name, "result", "refreshed", n->refreshed);
	prom_named(p, name, "result", "gone", n->gone);
	prom_named(p, name, "result", "forbidden", n->forbidden);
	prom_named(p, name, "result", "error", n->errors);
	prom_one(p, "kindred_owners_queued", "gauge", "Owners that wait to be read.",
		 owners_queued(o));
	prom_one(p, "kindred_owners_refused_total", "counter",
		 "Owners that were not read: there were too many.", n->refused);
}

static void put_requests(struct prom *p, const struct budget *b)
{
	prom_one(p, "kindred_api_requests_total", "counter", "Requests to the API server.",
		 b->taken);
	prom_one(p, "kindred_api_requests_delayed_total", "counter",
		 "Times a request had to wait for --api-qps, or a pause.", b->delayed);
	prom_one(p, "kindred_api_pauses_total", "counter",
		 "Times all requests paused: the server was not there, or asked for fewer.",
		 b->pauses);
}

int watch_series(struct core *core, const struct budget *budget, struct buf *out)
{
	struct figures f[_KIND_MAX] = {0};
	struct prom p = {.out = out};

	for (uint32_t i = 0; i < core_n_watches(core); i++) {
		const struct core_watch *w = core_watch(core, i);

		if (kind_names[w->kind])
			add(&f[w->kind], w->reflector);
	}
	put_states(&p, f);
	put_counters(&p, f);
	put_lag(&p, f);
	put_owners(&p, core_owners(core));
	put_requests(&p, budget);
	return p.r;
}
