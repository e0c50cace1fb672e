#include "reducer/ingest.h"

#include "base/buf.h"
#include "proto/batch.h"
#include "reducer/ingest_state.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define ERROR_MAX 256
#define OLDEST	  9 /* minor version: below 0.9.0 the reducer closes */

int ingest_new(const struct ingest_opts *o, nsec_t now, struct ingest **ret)
{
	struct ingest *in = calloc(1, sizeof(*in));
	int r;

	if (!in)
		return -ENOMEM;
	*in = (struct ingest){.o = *o, .last_data = now};
	r = wire_reader_new(false, &in->reader);
	if (r < 0) {
		free(in);
		return r;
	}
	spans_init(in);
	*ret = in;
	return 0;
}

void ingest_free(struct ingest **inp)
{
	struct ingest *in = *inp;

	if (!in)
		return;
	spans_done(in);
	(void)reducer_table_drop_all(in->o.table, in->o.number);
	if (in->host && *in->host && in->epoch)
		reducer_table_set_epoch(in->o.table, str_of(in->host), in->epoch);
	wire_reader_free(&in->reader);
	free(in->host);
	free(in);
	*inp = NULL;
}

static void tell(struct ingest *in, const struct ingest_effect *e)
{
	if (in->o.hook)
		in->o.hook(in->o.arg, e);
}

void ingest_complain(struct ingest *in, const struct wire_msg *m, bool fatal, const char *fmt, ...)
{
	char line[ERROR_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	in->closed |= fatal;
	tell(in, &(struct ingest_effect){
			 .type = INGEST_ERROR, .msg = m, .error = line, .fatal = fatal});
}

static int on_version(struct ingest *in, const struct wire_msg *m)
{
	struct wire_version_info v;

	(void)wire_get_version_info(m, &v);
	if (v.major == 0 && v.minor < OLDEST)
		return fail(in, m, "version %u.%u.%u is below 0.9.0", v.major, v.minor, v.patch);
	tell(in, &(struct ingest_effect){.type = INGEST_MESSAGE, .msg = m});
	return 0;
}

static int on_connect(struct ingest *in, const struct wire_msg *m)
{
	struct wire_connect c;

	(void)wire_get_connect(m, &c);
	if (in->connected)
		return fail(in, m, "second connect");
	in->host = str_dup(c.hostname);
	if (!in->host)
		return -ENOMEM;
	in->collector = c.collector_type;
	in->connected = true;
	tell(in, &(struct ingest_effect){.type = INGEST_CONNECT, .msg = m});
	return 0;
}

/* Epochs rise on a connection and over all connections of a host that followed one another. */
static void check_epoch(struct ingest *in, const struct wire_msg *m, uint64_t epoch)
{
	uint64_t before = in->epoch;

	if (!before && *in->host)
		before = reducer_table_epoch(in->o.table, str_of(in->host));
	if (epoch <= before)
		warn(in, m, "pod_resync with epoch %" PRIu64 " after %" PRIu64, epoch, before);
}

static int on_resync(struct ingest *in, const struct wire_msg *m)
{
	struct wire_pod_resync p;

	(void)wire_get_pod_resync(m, &p);
	check_epoch(in, m, p.resync_count);
	in->epoch = p.resync_count;
	(void)reducer_table_drop_all(in->o.table, in->o.number);
	tell(in, &(struct ingest_effect){.type = INGEST_RESYNC, .msg = m, .epoch = in->epoch});
	return 0;
}

static int put_pod(struct ingest *in, const struct wire_msg *m, const struct reducer_pod *p)
{
	int r;

	if (str_empty(p->uid))
		warn(in, m, "%s without a uid", m->desc->name);
	if (str_empty(p->owner_name))
		warn(in, m, "%s %.*s without an owner_name: no flow will find it", m->desc->name,
		     SHOWN(p->uid));
	r = reducer_table_put(in->o.table, in->o.number, p);
	if (r == -ENOSPC) {
		warn(in, m, "pod %.*s dropped: the table is full", SHOWN(p->uid));
		return 0;
	}
	if (r < 0)
		return r;
	tell(in, &(struct ingest_effect){.type = INGEST_POD,
					 .msg = m,
					 .pod = reducer_table_find(in->o.table, p->uid)});
	return 0;
}

static int on_pod(struct ingest *in, const struct wire_msg *m)
{
	struct wire_pod_new_with_name p;

	(void)wire_get_pod_new_with_name(m, &p);
	return put_pod(in, m,
		       &(struct reducer_pod){.uid = p.uid,
					     .ns = p.ns,
					     .name = p.pod_name,
					     .owner_name = p.owner_name,
					     .owner_uid = p.owner_uid,
					     .version = p.version,
					     .ip = p.ip,
					     .owner_kind = p.owner_kind,
					     .host_network = p.is_host_network != 0});
}

static int on_pod_legacy(struct ingest *in, const struct wire_msg *m)
{
	struct wire_pod_new_legacy p;

	(void)wire_get_pod_new_legacy(m, &p);
	return put_pod(in, m,
		       &(struct reducer_pod){.uid = p.uid,
					     .ns = p.ns,
					     .owner_name = p.owner_name,
					     .owner_uid = p.owner_uid,
					     .ip = p.ip,
					     .owner_kind = p.owner_kind,
					     .host_network = p.is_host_network != 0});
}

static int on_pod_legacy2(struct ingest *in, const struct wire_msg *m)
{
	struct wire_pod_new_legacy2 p;

	(void)wire_get_pod_new_legacy2(m, &p);
	return put_pod(in, m,
		       &(struct reducer_pod){.uid = p.uid,
					     .ns = p.ns,
					     .owner_name = p.owner_name,
					     .owner_uid = p.owner_uid,
					     .version = p.version,
					     .ip = p.ip,
					     .owner_kind = p.owner_kind,
					     .host_network = p.is_host_network != 0});
}

static bool holds(const struct ingest *in, struct str uid)
{
	const struct reducer_pod *p = reducer_table_find(in->o.table, uid);

	return p && reducer_pod_held_by(p, in->o.number);
}

static int on_container(struct ingest *in, const struct wire_msg *m)
{
	struct wire_pod_container c;
	int r;

	(void)wire_get_pod_container(m, &c);
	tell(in, &(struct ingest_effect){.type = INGEST_CONTAINER, .msg = m});
	if (str_empty(c.container_id))
		warn(in, m, "pod_container of %.*s without a container_id", SHOWN(c.uid));
	if (!holds(in, c.uid))
		warn(in, m, "pod_container of %.*s, which was not announced before", SHOWN(c.uid));
	r = reducer_table_add_container(in->o.table, c.uid,
					&(struct reducer_container){.id = c.container_id,
								    .name = c.container_name,
								    .image = c.container_image});
	if (r == -ENOSPC)
		warn(in, m, "container of pod %.*s dropped: the table is full", SHOWN(c.uid));
	return r == -ENOMEM ? r : 0;
}

static int on_delete(struct ingest *in, const struct wire_msg *m)
{
	struct wire_pod_delete d;

	(void)wire_get_pod_delete(m, &d);
	tell(in, &(struct ingest_effect){.type = INGEST_DELETE, .msg = m});
	if (reducer_table_drop(in->o.table, in->o.number, d.uid) < 0)
		warn(in, m, "pod_delete of %.*s, which was not announced", SHOWN(d.uid));
	return 0;
}

static bool before_connect(uint16_t id)
{
	return id == WIRE_version_info || id == WIRE_connect || id == WIRE_health_check ||
	       id == WIRE_api_key;
}

/* What is told of flows; the rest changes nothing here. */
static int on_flow(struct ingest *in, const struct wire_msg *m)
{
	int r = ingest_tcp(in, m);

	if (r == 1)
		r = ingest_udp(in, m);
	if (r == 1)
		r = ingest_proc(in, m);
	return r == 1 ? 0 : r;
}

static int dispatch(struct ingest *in, const struct wire_msg *m)
{
	switch (m->desc->id) {
	case WIRE_version_info:
		return on_version(in, m);
	case WIRE_connect:
		return on_connect(in, m);
	case WIRE_pod_resync:
		return on_resync(in, m);
	case WIRE_pod_new_with_name:
		return on_pod(in, m);
	case WIRE_pod_new_legacy:
		return on_pod_legacy(in, m);
	case WIRE_pod_new_legacy2:
		return on_pod_legacy2(in, m);
	case WIRE_pod_container:
		return on_container(in, m);
	case WIRE_pod_delete:
		return on_delete(in, m);
	default:
		tell(in, &(struct ingest_effect){.type = INGEST_MESSAGE, .msg = m});
		return on_flow(in, m);
	}
}

static int on_message(struct ingest *in, const struct wire_event *e)
{
	const struct wire_msg *m = &e->msg;

	if (!in->messages++ && m->desc->id != WIRE_version_info)
		warn(in, m, "first message is %s, not version_info", m->desc->name);
	if (m->dirty)
		warn(in, m, "padding of %s at byte %" PRIu64 " of the messages is not zero",
		     m->desc->name, e->at);
	if (!in->connected && !before_connect(m->desc->id))
		return fail(in, m, "%s before connect", m->desc->name);
	return dispatch(in, m);
}

static int on_event(struct ingest *in, const struct wire_event *e)
{
	switch (e->type) {
	case WIRE_EVENT_MESSAGE:
		return on_message(in, e);
	case WIRE_EVENT_FRAME_LARGE:
		warn(in, NULL, "LZ4 frame with more than %d bytes of messages", WIRE_BATCH_MAX);
		return 0;
	case WIRE_EVENT_FRAME_END:
		if (e->cut_bytes)
			warn(in, NULL, "LZ4 frame ends %zu bytes into a message", e->cut_bytes);
		return 0;
	}
	return 0;
}

static int malformed(struct ingest *in)
{
	const struct wire_error e = wire_reader_error(in->reader);

	return fail(in, NULL, "%s at byte %" PRIu64 " of the %s", e.reason, e.at,
		    e.place == WIRE_IN_STREAM ? "stream" : "decompressed messages");
}

int ingest_push(struct ingest *in, struct str bytes, nsec_t now)
{
	struct wire_event e;
	int r = 0;

	if (in->closed)
		return -EBADMSG;
	if (bytes.n)
		in->last_data = now;
	traffic_tick(reducer_table_traffic(in->o.table), now);
	while (r == 0) {
		r = wire_reader_next(in->reader, &bytes, &e);
		if (r == -EAGAIN)
			return 0;
		if (r == -EBADMSG)
			return malformed(in);
		if (r == 0)
			r = on_event(in, &e);
	}
	return r;
}

void ingest_eof(struct ingest *in)
{
	struct wire_error e;

	if (in->closed || wire_reader_end(in->reader) == 0)
		return;
	e = wire_reader_error(in->reader);
	warn(in, NULL, "%s at byte %" PRIu64, e.reason, e.at);
}

nsec_t ingest_deadline(const struct ingest *in)
{
	return in->last_data + INGEST_IDLE;
}

int ingest_tick(struct ingest *in, nsec_t now)
{
	if (in->closed)
		return -EBADMSG;
	if (now < ingest_deadline(in))
		return 0;
	(void)fail(in, NULL, "nothing was sent for 30 seconds");
	return -ETIMEDOUT;
}

struct str ingest_host(const struct ingest *in)
{
	return str_of(in->host);
}

uint8_t ingest_collector(const struct ingest *in)
{
	return in->collector;
}

uint64_t ingest_epoch(const struct ingest *in)
{
	return in->epoch;
}

uint64_t ingest_messages(const struct ingest *in)
{
	return in->messages;
}
