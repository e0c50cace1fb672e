/*
 * What a test asks of kube-replay itself, beside the API and free of faults:
 *
 *   GET  /replay/state                 JSON: time, requests, watches, faults
 *   POST /replay/fault?add=SPEC        one more; ?set=SPEC replaces all; ?clear=1
 *   POST /replay/token?value=T         the bearer token asked for from now on; empty: none
 *   POST /replay/advance?ms=N          recorded time goes on to N; ?end to the end
 *   POST /replay/compact?rv=N          what is older gets 410; ?now: all before the present
 *   POST /replay/drop?how=close|reset  ends every other connection
 *   POST /replay/object                the body, a List or one object, is written to the server
 *   DELETE /replay/object?apiVersion=V&kind=K&namespace=NS&name=N
 */
#include "server.h"

#include "read.h"

#include <errno.h>
#include <event2/bufferevent.h>
#include <jansson.h>
#include <stdio.h>

static json_t *requests_json(const struct server *s)
{
	json_t *all = json_object();

	for (size_t i = 0; i < s->n_counters; i++) {
		const struct counter *k = &s->counters[i];
		json_t *one = json_object_get(all, k->key);
		char status[16];

		if (!one) {
			one = json_object();
			json_object_set_new(all, k->key, one);
		}
		snprintf(status, sizeof(status), "%d", k->status);
		json_object_set_new(one, status, json_integer((json_int_t)k->n));
	}
	return all;
}

static json_t *watches_json(struct server *s, bool *ret_delivered)
{
	json_t *all = json_array();
	const struct conn *c;

	TAILQ_FOREACH(c, &s->conns, link)
	{
		size_t left;

		if (!c->watch || c->dead || c->ended)
			continue;
		left = kind_data(&s->store, c->req.kind)->n_events;
		left -= MIN(left, watch_cursor(c->watch));
		*ret_delivered = *ret_delivered && left == 0 && conn_backlog(c) == 0;
		json_array_append_new(all, json_pack("{s:s, s:s, s:b, s:b, s:I, s:I}", "resource",
						     kind_info[c->req.kind].plural, "target",
						     c->req.target, "protobuf", c->req.enc.pb,
						     "metadata", c->req.enc.meta, "events_left",
						     (json_int_t)left, "bytes_waiting",
						     (json_int_t)conn_backlog(c)));
	}
	return all;
}

static json_t *faults_json(const struct server *s)
{
	json_t *all = json_array();

	for (size_t i = 0; i < s->faults.n; i++)
		json_array_append_new(all, json_pack("{s:s, s:I}", "fault", s->faults.v[i].text,
						     "plays", (json_int_t)s->faults.v[i].plays));
	return all;
}

static json_t *versions_json(const struct server *s)
{
	json_t *all = json_object();

	for (enum kind k = 0; k < kind_end; k++) {
		char name[320];
		size_t n = 0;

		if (kind_info[k].gone || kind_info[k].of != k)
			continue;
		kind_full_name(k, name, sizeof(name));
		for (size_t i = 0; i < s->store.kinds[k].n_objects; i++)
			n += s->store.kinds[k].cur[i] != NO_VERSION;
		json_object_set_new(all, k < KIND_RECORDED ? kind_info[k].plural : name,
				    json_pack("{s:I, s:I, s:I, s:I}", "resourceVersion",
					      (json_int_t)recorded_rv(&s->store.kinds[k]),
					      "objects", (json_int_t)n, "events_happened",
					      (json_int_t)s->store.kinds[k].pos, "events_recorded",
					      (json_int_t)s->store.kinds[k].n_events));
	}
	return all;
}

static void answer(struct conn *c, int status, const char *type, const char *text)
{
	resp_start(c, status, type, NULL);
	resp_write(c, text, strlen(text));
	resp_end(c);
}

static void state(struct conn *c)
{
	struct server *s = c->srv;
	bool delivered = timeline_finished(s);
	json_t *watches = watches_json(s, &delivered);
	json_t *all = json_pack("{s:f, s:b, s:b, s:I, s:o, s:o, s:o, s:o, s:o, s:I}", "virtual_ms",
				s->virtual_ms, "finished", timeline_finished(s), "delivered",
				delivered, "connections", (json_int_t)s->n_conns - 1, "resources",
				versions_json(s), "requests", requests_json(s), "watches", watches,
				"faults", faults_json(s), "leases", leases_json(s), "now_ms",
				(json_int_t)(clock_mono() / NSEC_PER_MSEC));
	char *text = json_dumps(all, JSON_INDENT(1));

	answer(c, 200, "application/json", text ? text : "{}");
	free(text);
	json_decref(all);
}

static int fault_command(struct conn *c)
{
	const char *add = api_param(&c->req, "add"), *set = api_param(&c->req, "set");
	struct faults *f = &c->srv->faults;

	if (set || api_param(&c->req, "clear"))
		faults_clear(f);
	if (add || set)
		return faults_add(f, str_of(add ? add : set), clock_mono());
	return 0;
}

static int token_command(struct conn *c)
{
	const char *value = api_param(&c->req, "value");

	free(c->srv->token);
	c->srv->token = value && *value ? str_dup(str_of(value)) : NULL;
	return 0;
}

static int advance_command(struct conn *c)
{
	const char *ms = api_param(&c->req, "ms");

	timeline_to(c->srv, ms ? strtod(ms, NULL) : 1e18);
	return 0;
}

static int compact_command(struct conn *c)
{
	const char *rv = api_param(&c->req, "rv");

	c->srv->compacted = rv ? strtoull(rv, NULL, 10) : 0;
	for (enum kind k = 0; !rv && k < kind_end; k++)
		c->srv->compacted = MAX(c->srv->compacted, recorded_rv(&c->srv->store.kinds[k]));
	return 0;
}

static int drop_command(struct conn *c)
{
	const char *how = api_param(&c->req, "how");
	struct conn *other;

	TAILQ_FOREACH(other, &c->srv->conns, link)
	{
		if (other == c)
			continue;
		if (how && strcmp(how, "reset") == 0)
			conn_reset(other);
		else
			conn_kill(other);
	}
	return 0;
}

static int write_object(struct conn *c, char *why, size_t n)
{
	json_error_t error;
	json_t *o = json_loadb(c->req.body.p ? c->req.body.p : "", c->req.body.n, 0, &error);
	int r;

	if (!o) {
		snprintf(why, n, "line %d: %s", error.line, error.text);
		return -EBADMSG;
	}
	r = objects_apply(c->srv, o, why, n);
	json_decref(o);
	return r;
}

static struct str param(struct conn *c, const char *key)
{
	const char *value = api_param(&c->req, key);

	return str_of(value ? value : "");
}

static int object_command(struct conn *c, char *why, size_t n)
{
	if (strcmp(c->req.method, "DELETE") == 0)
		return objects_delete(c->srv, param(c, "apiVersion").p, param(c, "kind").p,
				      param(c, "namespace"), param(c, "name"), why, n);
	return write_object(c, why, n);
}

static void object_answer(struct conn *c)
{
	char why[800] = "";
	_buf_ struct buf b;
	int r = object_command(c, why, sizeof(why));

	buf_init(&b, 4096);
	if (r == 0)
		put_f(&b, "{\"resourceVersion\":\"%llu\"}\n", (unsigned long long)c->srv->rv);
	else
		put_f(&b, "%s\n", *why ? why : strerror(-r));
	put(&b, "", 1);
	answer(c,
	       r == 0	      ? 200
	       : r == -ENOENT ? 404
	       : r == -EBUSY  ? 409
			      : 400,
	       r == 0 ? "application/json" : "text/plain", b.p);
}

static const struct {
	const char *path;
	int (*fn)(struct conn *c);
} commands[] = {
	{"/replay/fault", fault_command},     {"/replay/token", token_command},
	{"/replay/advance", advance_command}, {"/replay/compact", compact_command},
	{"/replay/drop", drop_command},	      {"/replay/reviewer", reviews_command},
};

void control_handle(struct conn *c)
{
	if (strcmp(c->req.path, "/replay/state") == 0) {
		state(c);
		return;
	}
	if (strcmp(c->req.path, "/replay/object") == 0) {
		object_answer(c);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (strcmp(c->req.path, commands[i].path) != 0)
			continue;
		if (commands[i].fn(c) < 0)
			answer(c, 400, "text/plain", "not understood\n");
		else
			answer(c, 200, "text/plain", "ok\n");
		return;
	}
	answer(c, 404, "text/plain", "no such command\n");
}
