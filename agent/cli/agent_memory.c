#include "cli/agent_memory.h"

#include "base/json_out.h"
#include "base/mem.h"
#include "cli/agent_parts.h"
#include "cli/process_series.h"
#include "sink/metrics/prom.h"
#include "sink/sqlite/db.h"

#include <malloc.h>

static size_t kube_bytes(struct agent *a)
{
	size_t n = client_bytes(a->client);

	for (uint32_t i = 0; i < core_n_watches(a->core); i++)
		n += reflector_bytes(core_watch(a->core, i)->reflector);
	return n;
}

static size_t store_bytes(const struct store *st)
{
	struct store_stats s;

	store_stats(st, &s);
	return s.record_bytes + s.body_bytes;
}

static size_t flow_bytes(const struct agent *a)
{
	struct flows_stats s;

	flows_stats(agent_flows_table(a->flows), &s);
	return s.bytes;
}

static void each_part(struct agent *a, void (*put)(void *ctx, const char *part, size_t bytes),
		      void *ctx)
{
	put(ctx, "kube", kube_bytes(a));
	put(ctx, "inventory", inventory_bytes(core_inventory(a->core)));
	put(ctx, "sink/reducer", session_bytes(core_session(a->core)));
	if (a->flows)
		put(ctx, "flow", flow_bytes(a));
	if (a->otlp)
		put(ctx, "sink/otlp", agent_otlp_bytes(a->otlp));
	if (a->peers)
		put(ctx, "peers", agent_peers_bytes(a->peers));
	if (a->publish)
		put(ctx, "sink/peers", agent_publish_bytes(a->publish));
	if (a->resources) {
		put(ctx, "core", agent_resources_bytes(a->resources));
		put(ctx, "store", store_bytes(agent_resources_store(a->resources)));
		agent_sinks_memory(a->sinks, put, ctx);
		put(ctx, "sink/sqlite", db_bytes());
	}
	serve_memory(a->serve, put, ctx);
}

/* ---- as series and as JSON ------------------------------------------------------------------- */

static void put_series(void *ctx, const char *part, size_t bytes)
{
	prom_named(ctx, "kindred_memory_bytes", "part", part, bytes);
}

void agent_memory_series(struct agent *a, struct prom *p)
{
	prom_family(p, "kindred_memory_bytes", "gauge", "Memory held, by part.");
	each_part(a, put_series, p);
}

struct list {
	struct json_out *j;
	size_t sum;
};

static void put_json(void *ctx, const char *part, size_t bytes)
{
	struct list *l = ctx;

	l->sum += bytes;
	json_open(l->j, NULL, '{');
	json_text(l->j, "part", str_of(part));
	json_u64(l->j, "bytes", bytes);
	json_close(l->j, '{');
}

void agent_memory_json(struct agent *a, struct json_out *j)
{
	const struct mallinfo2 heap = mallinfo2();
	struct list l = {.j = j};
	struct process_memory m;

	process_memory(&m);
	json_open(j, "parts", '[');
	each_part(a, put_json, &l);
	json_close(j, '[');
	json_u64(j, "sum_bytes", l.sum);
	json_open(j, "heap", '{');
	json_u64(j, "used_bytes", heap.uordblks + heap.hblkhd);
	json_u64(j, "free_bytes", heap.fordblks);
	json_close(j, '{');
	json_open(j, "process", '{');
	json_u64(j, "resident_bytes", m.rss);
	json_u64(j, "anonymous_bytes", m.anon);
	json_u64(j, "swapped_bytes", m.swap);
	json_close(j, '{');
}
