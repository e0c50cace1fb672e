#include "reducer/report.h"

#include "base/mem.h"
#include "proto/print.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum owner_kind { /* of the wire */
		  OWNER_REPLICASET = 0,
		  OWNER_DEPLOYMENT = 1,
		  OWNER_JOB = 2,
		  OWNER_CRONJOB = 3,
		  OWNER_NONE = 254,
};

static const char *owner_kind_name(uint8_t kind)
{
	switch (kind) {
	case OWNER_REPLICASET:
		return "ReplicaSet";
	case OWNER_DEPLOYMENT:
		return "Deployment";
	case OWNER_JOB:
		return "Job";
	case OWNER_CRONJOB:
		return "CronJob";
	case OWNER_NONE:
		return "NoOwner";
	default:
		return "Other";
	}
}

static int begin(const char *event, uint32_t conn, struct buf *out)
{
	return buf_printf(out, "{\"event\":\"%s\",\"conn\":%" PRIu32, event, conn);
}

static int member(const char *name, struct str value, struct buf *out)
{
	int r = buf_printf(out, ",\"%s\":", name);

	return r < 0 ? r : wire_print_text(value, out);
}

static int members(const char *const *names, const struct str *values, size_t n, struct buf *out)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = member(names[i], values[i], out);
	return r;
}

static int connect_line(uint32_t conn, const struct wire_msg *m, struct buf *out)
{
	struct wire_connect c;
	int r;

	(void)wire_get_connect(m, &c);
	r = begin("connect", conn, out);
	return r < 0 ? r : member("host", c.hostname, out);
}

static int resync_line(uint32_t conn, uint64_t epoch, struct buf *out)
{
	int r = begin("resync", conn, out);

	return r < 0 ? r : buf_printf(out, ",\"epoch\":%" PRIu64, epoch);
}

static int pod_line(uint32_t conn, const struct reducer_pod *p, struct buf *out)
{
	static const char *const names[] = {"uid",	  "ns",		"pod",	     "ip",
					    "owner_kind", "owner_name", "owner_uid", "version"};
	char ip[16];
	int r;

	wire_ip4n_text(p->ip, ip);
	r = begin("pod", conn, out);
	if (r == 0)
		r = members(names,
			    (struct str[]){p->uid, p->ns, p->name, str_of(ip),
					   str_of(owner_kind_name(p->owner_kind)), p->owner_name,
					   p->owner_uid, p->version},
			    ARRAY_SIZE(names), out);
	return r < 0 ? r
		     : buf_printf(out, ",\"host_network\":%s", p->host_network ? "true" : "false");
}

static int container_line(uint32_t conn, const struct wire_msg *m, struct buf *out)
{
	static const char *const names[] = {"uid", "id", "name", "image"};
	struct wire_pod_container c;
	int r;

	(void)wire_get_pod_container(m, &c);
	r = begin("container", conn, out);
	return r < 0 ? r
		     : members(names,
			       (struct str[]){c.uid, c.container_id, c.container_name,
					      c.container_image},
			       ARRAY_SIZE(names), out);
}

static int delete_line(uint32_t conn, const struct wire_msg *m, struct buf *out)
{
	struct wire_pod_delete d;
	int r;

	(void)wire_get_pod_delete(m, &d);
	r = begin("delete", conn, out);
	return r < 0 ? r : member("uid", d.uid, out);
}

static int message_line(uint32_t conn, const struct wire_msg *m, struct buf *out)
{
	int r = begin("message", conn, out);

	if (r == 0)
		r = buf_append_str(out, STR(","));
	return r < 0 ? r : wire_print_members(m, out);
}

static int error_line(uint32_t conn, const char *error, struct buf *out)
{
	int r = begin("error", conn, out);

	return r < 0 ? r : member("error", str_of(error), out);
}

static int line_of(uint32_t conn, const struct ingest_effect *e, struct buf *out)
{
	switch (e->type) {
	case INGEST_CONNECT:
		return connect_line(conn, e->msg, out);
	case INGEST_RESYNC:
		return resync_line(conn, e->epoch, out);
	case INGEST_POD:
		return pod_line(conn, e->pod, out);
	case INGEST_CONTAINER:
		return container_line(conn, e->msg, out);
	case INGEST_DELETE:
		return delete_line(conn, e->msg, out);
	case INGEST_MESSAGE:
		return message_line(conn, e->msg, out);
	case INGEST_ERROR:
		return error_line(conn, e->error, out);
	case _INGEST_EFFECT_MAX:
		break;
	}
	return -EINVAL;
}

static int finish(struct buf *out, size_t before, int r)
{
	if (r == 0)
		r = buf_append_str(out, STR("}\n"));
	if (r < 0)
		out->n = before;
	return r;
}

int report_effect(uint32_t conn, const struct ingest_effect *e, struct buf *out)
{
	const size_t before = out->n;

	return finish(out, before, line_of(conn, e, out));
}

int report_disconnect(uint32_t conn, struct buf *out)
{
	const size_t before = out->n;

	return finish(out, before, begin("disconnect", conn, out));
}

/* --- the table --- */

/* Columns are as wide as their widest value, within these. */
#define GAP 2
enum column { COL_NS, COL_WORKLOAD, COL_POD, COL_IP, COL_CONTAINERS, COL_IMAGES, _COL_MAX };
static const struct {
	const char *title;
	int max;
} columns[_COL_MAX] = {
	[COL_NS] = {"NAMESPACE", 24},
	[COL_WORKLOAD] = {"WORKLOAD", 48},
	[COL_POD] = {"POD", 56},
	[COL_IP] = {"ADDRESS", 16},
	[COL_CONTAINERS] = {"CONTAINERS", 10},
	[COL_IMAGES] = {"IMAGES", 64},
};

struct cells {
	char text[_COL_MAX][160];
};

/* Cuts with "~" and keeps control bytes from the terminal. */
static void cell(char *dst, int max, struct str s)
{
	const size_t n = MIN(s.n, (size_t)max);

	for (size_t i = 0; i < n; i++)
		dst[i] = (unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f ? '?' : s.p[i];
	if (n && n < s.n)
		dst[n - 1] = '~';
	dst[n] = '\0';
}

static void cells_of(const struct reducer_pod *p, struct cells *c)
{
	char text[512], ip[16];

	wire_ip4n_text(p->ip, ip);
	(void)snprintf(text, sizeof(text), "%s/%.*s", owner_kind_name(p->owner_kind),
		       STR_ARG(p->owner_name));
	cell(c->text[COL_NS], columns[COL_NS].max, p->ns);
	cell(c->text[COL_WORKLOAD], columns[COL_WORKLOAD].max, str_of(text));
	cell(c->text[COL_POD], columns[COL_POD].max, p->name);
	cell(c->text[COL_IP], columns[COL_IP].max, str_of(*ip ? ip : "-"));
	(void)snprintf(c->text[COL_CONTAINERS], sizeof(c->text[0]), "%" PRIu32, p->n_containers);
	cell(c->text[COL_IMAGES], columns[COL_IMAGES].max, p->version);
}

static int by_workload(const struct reducer_pod *a, const struct reducer_pod *b)
{
	int r = str_cmp(a->ns, b->ns);

	if (!r)
		r = (a->owner_kind > b->owner_kind) - (a->owner_kind < b->owner_kind);
	return r ? r : str_cmp(a->owner_name, b->owner_name);
}

static int by_row(const void *a, const void *b)
{
	const struct reducer_pod *x = *(const struct reducer_pod *const *)a;
	const struct reducer_pod *y = *(const struct reducer_pod *const *)b;
	int r = by_workload(x, y);

	if (!r)
		r = str_cmp(x->name, y->name);
	return r ? r : str_cmp(x->uid, y->uid);
}

static int print_row(const int *widths, const struct cells *c, struct buf *out)
{
	int r = 0;

	for (int i = 0; r == 0 && i < _COL_MAX - 1; i++)
		r = buf_printf(out, "%-*s", widths[i] + GAP, c->text[i]);
	return r < 0 ? r : buf_printf(out, "%s\n", c->text[_COL_MAX - 1]);
}

static void widen(int *widths, const struct cells *c)
{
	for (int i = 0; i < _COL_MAX; i++)
		widths[i] = MAX(widths[i], (int)strlen(c->text[i]));
}

static int print_rows(const struct reducer_pod *const *rows, size_t n, struct buf *out)
{
	int widths[_COL_MAX] = {0}, r;
	struct cells c;

	for (int i = 0; i < _COL_MAX; i++)
		cell(c.text[i], columns[i].max, str_of(columns[i].title));
	widen(widths, &c);
	for (size_t i = 0; i < n; i++) {
		struct cells row;

		cells_of(rows[i], &row);
		widen(widths, &row);
	}
	r = print_row(widths, &c, out);
	for (size_t i = 0; r == 0 && i < n; i++) {
		cells_of(rows[i], &c);
		if (i && by_workload(rows[i - 1], rows[i]) == 0)
			c.text[COL_NS][0] = c.text[COL_WORKLOAD][0] = '\0';
		r = print_row(widths, &c, out);
	}
	return r;
}

static size_t count_workloads(const struct reducer_pod *const *rows, size_t n)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		count += i == 0 || by_workload(rows[i - 1], rows[i]) != 0;
	return count;
}

int report_table(const struct reducer_table *t, size_t max_rows, struct buf *out)
{
	const size_t n = reducer_table_pods(t);
	size_t shown = max_rows && max_rows < n ? max_rows : n, filled = 0;
	_free_ const struct reducer_pod **rows = calloc(n + 1, sizeof(struct reducer_pod *));
	uint32_t at = 0;
	int r;

	if (!rows)
		return -ENOMEM;
	while (filled < n && (rows[filled] = reducer_table_next(t, &at)))
		filled++;
	qsort(rows, filled, sizeof(struct reducer_pod *), by_row);
	r = print_rows(rows, shown, out);
	if (r == 0 && shown < n)
		r = buf_printf(out, "... and %zu more\n", n - shown);
	if (r == 0)
		r = buf_printf(out, "%zu workloads, %zu pods, %" PRIu32 " containers\n",
			       count_workloads(rows, filled), n, reducer_table_containers(t));
	return r;
}
