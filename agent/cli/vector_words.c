/* Words and figures about the vector databases; see vector_words.h. */
#include "cli/vector_words.h"

#include "base/json_out.h"
#include "base/log.h"
#include "base/mem.h"
#include "serve/ready.h"
#include "sink/metrics/prom.h"

#include <stdio.h>
#include <string.h>

#define ASIDE_MAX 20 /* documents set aside that an answer names */

static uint64_t seconds(nsec_t t)
{
	return t / NSEC_PER_SEC;
}

/* ---- for those who ask ----------------------------------------------------------------------- */

struct asides {
	struct json_out *j;
	uint32_t n;
};

static void put_aside(void *ctx, struct str id, struct str reason)
{
	struct asides *a = ctx;

	if (a->n++ >= ASIDE_MAX)
		return;
	json_open(a->j, NULL, '{');
	json_text(a->j, "id", id);
	json_text(a->j, "reason", reason);
	json_close(a->j, '{');
}

static void put_counts(struct json_out *j, const struct sync_status *s)
{
	const struct {
		const char *name;
		uint64_t value;
	} counts[] = {
		{"upserts", s->upserts},     {"payloads", s->payloads},
		{"deletes", s->deletes},     {"unchanged", s->unchanged},
		{"embedded", s->embedded},   {"requests", s->requests},
		{"retries", s->retries},     {"splits", s->splits},
		{"set_aside", s->set_aside}, {"refused_full", s->refused_full},
		{"bytes", s->bytes},	     {"ledger_failures", s->ledger_failures},
	};

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
		json_u64(j, counts[i].name, counts[i].value);
}

static void put_sink(struct sync *sync, struct json_out *j)
{
	struct asides asides = {.j = j};
	nsec_t now = clock_mono();
	struct sync_status s;

	sync_status(sync, now, &s);
	json_open(j, NULL, '{');
	json_text(j, "name", str_of(sync_backend(sync)->name));
	json_text(j, "type", STR("vector"));
	json_text(j, "health", str_of(sync_health_name(s.health)));
	json_some(j, "reason", str_of(s.words));
	json_u64(j, "since_seconds", seconds(now - s.since));
	json_bool(j, "complete", s.complete);
	json_u64(j, "documents", s.documents);
	json_u64(j, "waiting", s.waiting);
	json_u64(j, "ready", s.ready);
	json_u64(j, "lag_changes", s.lag);
	json_u64(j, "oldest_seconds", seconds(s.oldest));
	json_u64(j, "quarantined", s.quarantined);
	json_open(j, "quarantine", '[');
	sync_quarantine(sync, put_aside, &asides);
	json_close(j, '[');
	put_counts(j, &s);
	json_close(j, '{');
}

void vector_put_sinks(struct agent_vector *v, struct json_out *j)
{
	for (unsigned i = 0; i < agent_vector_n(v); i++)
		put_sink(agent_vector_sync(v, i), j);
}

/* ---- series ---------------------------------------------------------------------------------- */

static const struct {
	const char *name, *type, *help;
} families[] = {
	{"kindred_vector_documents", "gauge", "Documents that the database is known to hold."},
	{"kindred_vector_waiting", "gauge", "Documents that are to be written or deleted."},
	{"kindred_vector_quarantined", "gauge",
	 "Documents set aside: embedder or database refuse them."},
	{"kindred_vector_lag_changes", "gauge", "Changes of resources not looked at yet."},
	{"kindred_vector_oldest_seconds", "gauge", "How long the oldest change has waited."},
	{"kindred_vector_healthy", "gauge", "1 while embedder and database take what is sent."},
	{"kindred_vector_complete", "gauge",
	 "1 when everything was compared: what has no object is deleted."},
	{"kindred_vector_upserts_total", "counter", "Documents written with their vectors."},
	{"kindred_vector_payloads_total", "counter", "Documents whose metadata alone was written."},
	{"kindred_vector_deletes_total", "counter", "Documents deleted."},
	{"kindred_vector_unchanged_total", "counter",
	 "Changes of objects that changed nothing of their document."},
	{"kindred_vector_embedded_total", "counter", "Texts embedded."},
	{"kindred_vector_requests_total", "counter", "Requests to the database."},
	{"kindred_vector_retries_total", "counter", "Requests that are made again after a pause."},
	{"kindred_vector_splits_total", "counter", "Batches that were refused and halved."},
	{"kindred_vector_bytes", "gauge", "Memory of the records of documents."},
};

/* In the order of the families. */
static void figures_of(const struct sync_status *s, uint64_t ret[])
{
	const uint64_t v[] = {
		s->documents,	    s->waiting + s->ready,
		s->quarantined,	    s->lag,
		seconds(s->oldest), s->health == SYNC_OK,
		s->complete,	    s->upserts,
		s->payloads,	    s->deletes,
		s->unchanged,	    s->embedded,
		s->requests,	    s->retries,
		s->splits,	    s->bytes,
	};

	memcpy(ret, v, sizeof(v));
}

static void put_family(struct agent_vector *v, struct prom *p, size_t f)
{
	uint64_t figures[ARRAY_SIZE(families)];
	nsec_t now = clock_mono();
	struct sync_status s;

	prom_family(p, families[f].name, families[f].type, families[f].help);
	for (unsigned i = 0; i < agent_vector_n(v); i++) {
		struct sync *sync = agent_vector_sync(v, i);
		_buf_ struct buf labels = {.max = 2048};
		struct prom l = {.out = &labels};

		sync_status(sync, now, &s);
		prom_label(&l, "database", str_of(sync_backend(sync)->name));
		figures_of(&s, figures);
		prom_u64(p, families[f].name, buf_str(&labels), figures[f]);
	}
}

int vector_series(struct agent_vector *v, struct buf *out)
{
	struct prom p = {.out = out};

	for (size_t f = 0; f < ARRAY_SIZE(families); f++)
		put_family(v, &p, f);
	return p.r;
}

void vector_figures(struct agent_vector *v)
{
	struct sync_status s;

	for (unsigned i = 0; i < agent_vector_n(v); i++) {
		struct sync *sync = agent_vector_sync(v, i);

		sync_status(sync, clock_mono(), &s);
		log_info("%s: %s; %u documents, %u waiting, %u set aside; written %llu, metadata "
			 "alone %llu, deleted %llu, unchanged %llu; embedded %llu, requests %llu, "
			 "tried again %llu",
			 sync_backend(sync)->name, sync_health_name(s.health), s.documents,
			 s.waiting + s.ready, s.quarantined, (unsigned long long)s.upserts,
			 (unsigned long long)s.payloads, (unsigned long long)s.deletes,
			 (unsigned long long)s.unchanged, (unsigned long long)s.embedded,
			 (unsigned long long)s.requests, (unsigned long long)s.retries);
	}
}

size_t vector_bytes(struct agent_vector *v)
{
	struct sync_status s;
	size_t n = 0;

	for (unsigned i = 0; i < agent_vector_n(v); i++) {
		sync_status(agent_vector_sync(v, i), clock_mono(), &s);
		n += s.bytes;
	}
	return n;
}

/* ---- readiness ------------------------------------------------------------------------------- */

/* One that is filled for the first time is not ready; what a database refuses is not waited for. */
static bool is_ready(const struct sync_status *s, nsec_t now, nsec_t grace)
{
	return s->health == SYNC_OK || (s->health == SYNC_FAILING && now - s->since <= grace);
}

void vector_ready(struct agent_vector *v, nsec_t now, nsec_t grace, struct ready *r)
{
	for (unsigned i = 0; i < agent_vector_n(v); i++) {
		struct sync *sync = agent_vector_sync(v, i);
		struct sync_status s;
		char name[256];

		sync_status(sync, now, &s);
		(void)snprintf(name, sizeof(name), "vector %u, %.*s", i + 1,
			       (int)strcspn(sync_backend(sync)->name, ":"),
			       sync_backend(sync)->name);
		ready_put(r, name, is_ready(&s, now, grace), "%s for %llu s%s%s",
			  sync_health_name(s.health), (unsigned long long)seconds(now - s.since),
			  s.words[0] ? ": " : "", s.words);
	}
}
