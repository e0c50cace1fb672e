#include "tests/lib/decode_log.h"

#include <assert.h>
#include <stdio.h>

static const char *const event_names[_EVENT_TYPE_MAX] = {"ADDED", "MODIFIED", "DELETED", "BOOKMARK",
							 "ERROR"};
static const char *const phase_names[_POD_PHASE_MAX] = {"?", "Pending", "Running", "Succeeded",
							"Failed"};

/* Text with its length, so that NUL and quotes cannot hide a difference. */
static void put(struct decode_log *l, const char *name, struct str s)
{
	int r;

	if (!s.n)
		return;
	r = buf_printf(&l->text, " %s=%zu:", name, s.n);
	assert(r == 0);
	r = buf_append_str(&l->text, s);
	assert(r == 0);
	(void)r;
}

static void put_int(struct decode_log *l, const char *name, long long v)
{
	int r = v ? buf_printf(&l->text, " %s=%lld", name, v) : 0;

	assert(r == 0);
	(void)r;
}

static void put_meta(struct decode_log *l, const struct meta *m)
{
	put(l, "name", m->name);
	put(l, "ns", m->ns);
	put(l, "uid", m->uid);
	put(l, "rv", m->resource_version);
	put(l, "hash", m->config_hash);
	put(l, "mirror", m->config_mirror);
	put_int(l, "created", m->created);
	put_int(l, "deleted", m->deleted);
	put_int(l, "initial_end", m->initial_events_end);
	for (uint32_t i = 0; i < m->n_labels; i++) {
		put(l, "label", m->labels[i].key);
		put(l, "is", m->labels[i].value);
	}
	for (uint32_t i = 0; i < m->n_owners; i++) {
		put(l, "owner", m->owners[i].kind);
		put(l, "version", m->owners[i].api_version);
		put(l, "name", m->owners[i].name);
		put(l, "uid", m->owners[i].uid);
		put_int(l, "controller", m->owners[i].controller);
	}
}

static void put_pod(struct decode_log *l, const struct pod *p)
{
	put(l, "node", p->node_name);
	put(l, "pod_ip", p->pod_ip);
	put(l, "host_ip", p->host_ip);
	for (uint32_t i = 0; i < p->n_ips; i++)
		put(l, "ip", p->ips[i]);
	put_int(l, "host_network", p->host_network);
	if (p->phase)
		put(l, "phase", str_of(phase_names[p->phase]));
	for (uint32_t i = 0; i < p->n_containers; i++) {
		const struct container *c = &p->containers[i];

		(void)buf_printf(&l->text, " container=%d/%d", c->type, c->state);
		put(l, "name", c->name);
		put(l, "id", c->id);
		put(l, "image", c->image);
		put(l, "image_id", c->image_id);
		put_int(l, "started", c->started);
	}
}

static void put_place(struct decode_log *l, const struct place *p)
{
	put(l, "cluster_ip", p->cluster_ip);
	for (uint32_t i = 0; i < p->n_ips; i++)
		put(l, "place", p->ips[i]);
	for (uint32_t i = 0; i < p->n_external_ips; i++)
		put(l, "external", p->external_ips[i]);
	for (uint32_t i = 0; i < p->n_ingress_ips; i++)
		put(l, "ingress", p->ingress_ips[i]);
}

int decode_log_object(struct decode_log *l, enum event_type type, const struct object *o)
{
	l->objects++;
	(void)buf_printf(&l->text, "%s", event_names[type]);
	put(l, "version", o->api_version);
	put(l, "kind", o->kind);
	put_meta(l, &o->meta);
	put_pod(l, &o->pod);
	put_place(l, &o->place);
	put(l, "provider", o->node.provider_id);
	put(l, "zone", o->node.zone);
	put(l, "type", o->node.instance_type);
	put(l, "raw", o->raw);
	return buf_append(&l->text, "\n", 1);
}

int decode_log_list(struct decode_log *l, const struct list_meta *m)
{
	l->lists++;
	(void)buf_printf(&l->text, "LIST");
	put(l, "rv", m->resource_version);
	put(l, "continue", m->cont);
	put_int(l, "remaining", m->remaining);
	return buf_append(&l->text, "\n", 1);
}

static int on_object(void *ctx, enum event_type type, const struct object *o)
{
	return decode_log_object(ctx, type, o);
}

static int on_list(void *ctx, const struct list_meta *m)
{
	return decode_log_list(ctx, m);
}

static int on_status(void *ctx, const struct api_status *s)
{
	struct decode_log *l = ctx;

	l->statuses++;
	(void)buf_printf(&l->text, "STATUS");
	put_int(l, "code", s->code);
	put(l, "reason", s->reason);
	put(l, "message", s->message);
	put(l, "continue", s->cont);
	put_int(l, "retry_after", s->retry_after);
	return buf_append(&l->text, "\n", 1);
}

static void on_bad(void *ctx, enum decode_bad why, struct str name)
{
	struct decode_log *l = ctx;

	l->bads++;
	(void)buf_printf(&l->text, "BAD %s", decode_bad_name(why));
	put(l, "name", name);
	(void)buf_append(&l->text, "\n", 1);
}

static const struct decode_ops log_ops = {
	.on_object = on_object,
	.on_list = on_list,
	.on_status = on_status,
	.on_bad = on_bad,
};

void decode_log_init(struct decode_log *l, enum decode_format f, enum decode_body b,
		     enum decode_shape s)
{
	*l = (struct decode_log){.opts = {.format = f, .body = b, .shape = s}};
	buf_init(&l->text, (size_t)256 << 20);
}

void decode_log_done(struct decode_log *l)
{
	buf_done(&l->text);
}

static size_t piece(enum decode_cut cut, size_t at, struct rng *g, size_t done, size_t left)
{
	size_t n = left;

	if (cut == CUT_BYTES)
		n = 1;
	else if (cut == CUT_RANDOM)
		n = 1 + rng_below(g, rng_below(g, 4) ? 64 : 8192);
	else if (cut == CUT_IN_TWO && done < at)
		n = at - done;
	return n < left ? n : left;
}

static int feed(struct decode *d, struct str s)
{
	char *copy = malloc(s.n); /* of exactly this size: a read over it is seen */
	int r;

	assert(copy);
	memcpy(copy, s.p, s.n);
	r = decode_feed(d, copy, s.n);
	memset(copy, 0xa5, s.n);
	free(copy);
	return r;
}

void decode_log_run(struct decode_log *l, struct str body, enum decode_cut cut, size_t at,
		    struct rng *g)
{
	struct decode *d = NULL;
	size_t done = 0, n;

	buf_reset(&l->text);
	l->objects = l->lists = l->statuses = l->bads = 0;
	l->most_bytes = 0;
	l->opts.ops = &log_ops;
	l->opts.ctx = l;
	l->result = decode_new(&l->opts, &d);
	while (l->result == 0 && done < body.n) {
		n = piece(cut, at, g, done, body.n - done);
		l->result = feed(d, str_make(body.p + done, n));
		done += n;
		if (decode_bytes(d) > l->most_bytes)
			l->most_bytes = decode_bytes(d);
	}
	if (l->result == 0)
		l->result = decode_finish(d);
	(void)snprintf(l->error, sizeof(l->error), "%s", d ? decode_error(d) : "");
	decode_free(&d);
}
