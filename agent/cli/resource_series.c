#include "cli/resource_series.h"

#include "base/mem.h"
#include "sink/metrics/prom.h"

struct figures { /* of one kind */
	struct collect_kind k;
	struct collect_traffic t;
	struct store_stats s;
	nsec_t now;
};
/* What is counted of one kind, in one or more series. */
typedef void (*put_kind)(struct prom *p, const char *name, struct str kind_label,
			 const struct figures *f);

static void put_one(struct prom *p, const char *name, struct str kind, const char *label,
		    const char *value, uint64_t v)
{
	_buf_ struct buf b = {.max = 2048};
	struct prom l = {.out = &b};

	(void)buf_append_str(&b, kind);
	if (label)
		prom_label(&l, label, str_of(value));
	prom_u64(p, name, buf_str(&b), v);
}

static void put_objects(struct prom *p, const char *name, struct str kind, const struct figures *f)
{
	if (f->k.store)
		put_one(p, name, kind, NULL, NULL, f->s.objects);
}

static void put_changes(struct prom *p, const char *name, struct str kind, const struct figures *f)
{
	if (!f->k.store)
		return;
	put_one(p, name, kind, "change", "created", f->s.created);
	put_one(p, name, kind, "change", "modified", f->s.modified);
	put_one(p, name, kind, "change", "deleted", f->s.deleted);
	put_one(p, name, kind, "change", "none", f->s.unchanged);
}

static void put_state(struct prom *p, const char *name, struct str kind, const struct figures *f)
{
	for (enum collect_state i = 0; i < _COLLECT_STATE_MAX; i++)
		put_one(p, name, kind, "state", collect_state_name(i), f->k.state == i);
}

static void put_watches(struct prom *p, const char *name, struct str kind, const struct figures *f)
{
	put_one(p, name, kind, NULL, NULL, f->k.watches);
}

static void put_skipped(struct prom *p, const char *name, struct str kind, const struct figures *f)
{
	put_one(p, name, kind, NULL, NULL, f->k.skipped);
}

static void put_bad(struct prom *p, const char *name, struct str kind, const struct figures *f)
{
	for (unsigned i = 0; i < _COLLECT_BAD_MAX; i++)
		if (f->k.bad[i])
			put_one(p, name, kind, "reason", collect_bad_name(i), f->k.bad[i]);
}

static void put_events(struct prom *p, const char *name, struct str kind, const struct figures *f)
{
	put_one(p, name, kind, NULL, NULL, f->k.objects);
}

static void put_bytes(struct prom *p, const char *name, struct str kind, const struct figures *f)
{
	put_one(p, name, kind, NULL, NULL, f->t.bytes);
}

static void put_restarts(struct prom *p, const char *name, struct str kind, const struct figures *f)
{
	put_one(p, name, kind, NULL, NULL, f->t.restarts);
}

static void put_errors(struct prom *p, const char *name, struct str kind, const struct figures *f)
{
	put_one(p, name, kind, NULL, NULL, f->t.errors);
}

static void put_lag(struct prom *p, const char *name, struct str kind, const struct figures *f)
{
	if (f->t.heard)
		prom_seconds(p, name, kind, f->now > f->t.heard ? f->now - f->t.heard : 0,
			     NSEC_PER_SEC);
}

static const struct {
	const char *name, *type, *help;
	put_kind put;
} of_kinds[] = {
	{"kindred_resource_objects", "gauge", "Objects in the store, by kind.", put_objects},
	{"kindred_resource_changes_total", "counter",
	 "Objects as they came, by kind and by what has changed in them.", put_changes},
	{"kindred_resource_state", "gauge",
	 "1 for the state that the kind's watches are in: syncing, synced, failing, forbidden.",
	 put_state},
	{"kindred_resource_watches", "gauge", "Watches, by kind.", put_watches},
	{"kindred_resource_skipped_total", "counter",
	 "Objects that are not kept by choice: excluded namespaces, other labels, tokens.",
	 put_skipped},
	{"kindred_resource_bad_total", "counter",
	 "Objects that could not be kept, by kind and reason.", put_bad},
	{"kindred_resource_events_total", "counter", "Items of lists and events, by kind.",
	 put_events},
	{"kindred_resource_bytes_total", "counter", "Bytes of lists and watches, by kind.",
	 put_bytes},
	{"kindred_resource_restarts_total", "counter",
	 "Lists begun anew, on request or because they had to be, by kind.", put_restarts},
	{"kindred_resource_errors_total", "counter", "Requests that failed, by kind.", put_errors},
	{"kindred_resource_lag_seconds", "gauge",
	 "Since the kind's watch that was silent for longest was heard from: an event, a bookmark, "
	 "a complete list.",
	 put_lag},
};

static void put_kinds(struct prom *p, const struct collect *c, const struct store *s)
{
	const nsec_t now = clock_mono();

	for (size_t f = 0; f < ARRAY_SIZE(of_kinds); f++) {
		prom_family(p, of_kinds[f].name, of_kinds[f].type, of_kinds[f].help);
		for (uint32_t i = 0; i < collect_n_kinds(c); i++) {
			struct figures figures = {
				.k = collect_kind(c, i), .t = collect_traffic(c, i), .now = now};
			_buf_ struct buf b = {.max = 1024};
			struct prom l = {.out = &b};

			prom_label(&l, "kind", figures.k.name);
			(void)store_kind_stats(s, figures.k.store, &figures.s);
			of_kinds[f].put(p, of_kinds[f].name, buf_str(&b), &figures);
		}
	}
}

static void put_redactions(struct prom *p, const struct redact *r)
{
	static const char name[] = "kindred_redactions_total";

	prom_family(p, name, "counter", "Values taken out of objects, by what they looked like.");
	for (enum redact_found f = 0; f < _REDACT_FOUND_MAX; f++)
		put_one(p, name, (struct str){0}, "detector", redact_found_name(f),
			redact_count(r, f));
}

int resource_series(const struct collect *c, const struct store *s, const struct redact *r,
		    struct buf *out)
{
	const struct collect_counters n = collect_counters(c);
	struct prom p = {.out = out};
	struct store_stats stats;

	store_stats(s, &stats);
	const struct {
		const char *name, *type, *help;
		uint64_t v;
	} all[] = {
		{"kindred_resource_kinds", "gauge", "Kinds of resources that are watched.",
		 collect_n_kinds(c)},
		{"kindred_resource_namespaces", "gauge",
		 "Namespaces that are watched each by itself.", n.namespaces},
		{"kindred_discovery_rounds_total", "counter",
		 "Times the server was asked which resources it has.", n.rounds},
		{"kindred_discovery_failures_total", "counter",
		 "Of them, those in which something could not be learned.", n.failed_rounds},
		{"kindred_resource_left_out_total", "counter",
		 "Kinds, namespaces and watches over a maximum.", n.left_out},
		{"kindred_store_record_bytes", "gauge", "Bytes of records, names and indexes.",
		 stats.record_bytes},
		{"kindred_store_body_bytes", "gauge", "Bytes of objects, compressed.",
		 stats.body_bytes},
		{"kindred_store_tombstones", "gauge",
		 "Deleted objects that a sink is still to hear of.", stats.dead},
		{"kindred_store_refused_total", "counter", "Objects over a maximum of the store.",
		 stats.refused},
		{"kindred_store_fetches_total", "counter",
		 "Objects that were read again from the API server.", stats.fetches},
		{"kindred_store_fetch_failures_total", "counter", "Of them, those that failed.",
		 stats.fetches_failed},
		{"kindred_store_evicted_total", "counter",
		 "Objects that --store-max took out of memory.", stats.evicted},
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		prom_one(&p, all[i].name, all[i].type, all[i].help, all[i].v);
	put_kinds(&p, c, s);
	put_redactions(&p, r);
	return p.r;
}
