#include "tests/lib/told.h"

#include "base/buf.h"
#include "base/mem.h"

#include <errno.h>
#include <string.h>

#define MAX_PRINTED 5
#define MAX_CONN    24

int told_init(struct told *t, const char *file)
{
	*t = (struct told){.conns = json_object(),
			   .kinds = json_object(),
			   .messages = json_object(),
			   .epochs_rise = true};
	if (snprintf(t->file, sizeof(t->file), "%s", file) >= (int)sizeof(t->file))
		return -ENAMETOOLONG;
	return t->conns && t->kinds && t->messages ? 0 : -ENOMEM;
}

void told_done(struct told *t)
{
	json_decref(t->conns);
	json_decref(t->kinds);
	json_decref(t->messages);
	t->conns = t->kinds = t->messages = NULL;
}

/* --- events --- */

static const char *text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static void take_pod(struct told *t, json_t *table, json_t *e)
{
	const char *uid = text(e, "uid");
	json_t *containers =
		json_incref(json_object_get(json_object_get(table, uid), "containers"));
	json_t *kinds = json_object_get(t->kinds, uid);

	if (!kinds) {
		kinds = json_object();
		(void)json_object_set_new(t->kinds, uid, kinds);
	}
	(void)json_object_set(kinds, text(e, "owner_kind"), json_true());
	(void)json_object_set_new(e, "containers", containers ? containers : json_object());
	(void)json_object_set(table, uid, e);
	(void)json_object_del(e, "event");
	(void)json_object_del(e, "conn");
	(void)json_object_del(e, "uid"); /* last: the key above is its text */
	t->pods++;
}

/* A container of a pod nobody holds has no effect. */
static void take_container(json_t *table, const json_t *e)
{
	json_t *pod = json_object_get(table, text(e, "uid"));

	if (pod)
		(void)json_object_set_new(
			json_object_get(pod, "containers"), text(e, "id"),
			json_pack("{s:s,s:s}", "name", text(e, "name"), "image", text(e, "image")));
}

static void take_resync(struct told *t, json_t *table, const json_t *e)
{
	const uint64_t epoch = (uint64_t)json_integer_value(json_object_get(e, "epoch"));

	if (t->resyncs++ && epoch <= t->epoch)
		t->epochs_rise = false;
	t->epoch = epoch;
	(void)json_object_clear(table);
}

static void take_message(struct told *t, const json_t *e)
{
	const char *name = text(e, "name");

	(void)json_object_set_new(
		t->messages, name,
		json_integer(json_integer_value(json_object_get(t->messages, name)) + 1));
}

static void take_error(struct told *t, const json_t *e)
{
	if (!t->errors++)
		(void)snprintf(t->error, sizeof(t->error), "%s", text(e, "error"));
}

static json_t *table_of(struct told *t, const char *conn)
{
	json_t *table = json_object_get(t->conns, conn);

	if (!table) {
		table = json_object();
		(void)json_object_set_new(t->conns, conn, table);
	}
	return table;
}

static void take_event(struct told *t, json_t *e)
{
	const char *event = text(e, "event");
	char conn[MAX_CONN];
	json_t *table;

	(void)snprintf(conn, sizeof(conn), "%lld",
		       (long long)json_integer_value(json_object_get(e, "conn")));
	table = table_of(t, conn);
	if (strcmp(event, "pod") == 0)
		take_pod(t, table, e);
	else if (strcmp(event, "container") == 0)
		take_container(table, e);
	else if (strcmp(event, "delete") == 0)
		t->deletes += json_object_del(table, text(e, "uid")) == 0;
	else if (strcmp(event, "resync") == 0)
		take_resync(t, table, e);
	else if (strcmp(event, "error") == 0)
		take_error(t, e);
	else if (strcmp(event, "connect") == 0)
		t->connects++;
	else if (strcmp(event, "disconnect") == 0) {
		t->disconnects++;
		(void)json_object_del(t->conns, conn);
	} else if (strcmp(event, "message") == 0)
		take_message(t, e);
	else
		t->malformed++;
}

/* --- messages of `kindred decode`, as the events the reducer would make of them --- */

static const char *kind_name(json_int_t kind)
{
	static const char *const names[] = {"ReplicaSet", "Deployment", "Job", "CronJob"};

	if (kind == 254)
		return "NoOwner";
	return kind >= 0 && kind < (json_int_t)ARRAY_SIZE(names) ? names[kind] : "Other";
}

static json_t *pod_event(const json_t *f)
{
	const json_int_t n = json_integer_value(json_object_get(f, "ip"));
	char ip[32] = "";

	if (n)
		(void)snprintf(ip, sizeof(ip), "%d.%d.%d.%d", (int)(n >> 24 & 255),
			       (int)(n >> 16 & 255), (int)(n >> 8 & 255), (int)(n & 255));
	return json_pack("{s:s,s:i,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:b}", "event", "pod", "conn", 1,
			 "uid", text(f, "uid"), "ns", text(f, "ns"), "pod", text(f, "pod_name"),
			 "ip", ip, "owner_kind",
			 kind_name(json_integer_value(json_object_get(f, "owner_kind"))),
			 "owner_name", text(f, "owner_name"), "owner_uid", text(f, "owner_uid"),
			 "version", text(f, "version"), "host_network",
			 json_integer_value(json_object_get(f, "is_host_network")) != 0);
}

static json_t *event_of(const json_t *message)
{
	const json_t *f = json_object_get(message, "fields");
	const char *name = text(message, "name");

	if (strcmp(name, "pod_new_with_name") == 0)
		return pod_event(f);
	if (strcmp(name, "pod_container") == 0)
		return json_pack("{s:s,s:i,s:s,s:s,s:s,s:s}", "event", "container", "conn", 1,
				 "uid", text(f, "uid"), "id", text(f, "container_id"), "name",
				 text(f, "container_name"), "image", text(f, "container_image"));
	if (strcmp(name, "pod_delete") == 0)
		return json_pack("{s:s,s:i,s:s}", "event", "delete", "conn", 1, "uid",
				 text(f, "uid"));
	if (strcmp(name, "pod_resync") == 0)
		return json_pack("{s:s,s:i,s:I}", "event", "resync", "conn", 1, "epoch",
				 json_integer_value(json_object_get(f, "resync_count")));
	return json_pack("{s:s,s:i,s:s}", "event", "message", "conn", 1, "name", name);
}

static void take_decoded(struct told *t, json_t *message)
{
	json_t *e = event_of(message);

	if (e)
		take_event(t, e);
	else
		t->malformed++;
	json_decref(e);
}

/* --- files --- */

static int read_lines(struct told *t, void (*take)(struct told *t, json_t *line))
{
	FILE *f = fopen(t->file, "re");
	_free_ char *line = NULL;
	size_t cap = 0;
	ssize_t n;

	if (!f)
		return errno == ENOENT ? 0 : -errno;
	if (fseek(f, t->at, SEEK_SET) < 0) {
		(void)fclose(f);
		return -EIO;
	}
	while ((n = getline(&line, &cap, f)) > 0 && line[n - 1] == '\n') {
		json_t *j = json_loadb(line, (size_t)n, JSON_ALLOW_NUL, NULL);

		t->at += n;
		if (j)
			take(t, j);
		else
			t->malformed++;
		json_decref(j);
	}
	(void)fclose(f);
	return 0;
}

int told_read(struct told *t)
{
	return read_lines(t, take_event);
}

int told_read_decoded(struct told *t)
{
	return read_lines(t, take_decoded);
}

json_t *told_table(const struct told *t)
{
	json_t *all = json_object(), *table;
	const char *conn;

	json_object_foreach(t->conns, conn, table)
	{
		(void)json_object_update(all, table);
	}
	return all;
}

/* --- against the truth --- */

static const char *const fields[] = {"ns",	   "pod",	"ip",	   "owner_kind",
				     "owner_name", "owner_uid", "version", "host_network"};

static void print_value(FILE *out, const char *what, const json_t *v)
{
	_free_ char *s = v ? json_dumps(v, JSON_ENCODE_ANY | JSON_SORT_KEYS) : NULL;

	fprintf(out, " %s %.400s", what, s ? s : "nothing");
}

static bool same_fields(const char *uid, const json_t *told, const json_t *want, FILE *out)
{
	bool same = true;

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		const json_t *a = json_object_get(told, fields[i]),
			     *b = json_object_get(want, fields[i]);

		if (!b || json_equal(a, b))
			continue;
		same = false;
		if (out) {
			fprintf(out, "  %s %s: %s:", uid, text(want, "pod"), fields[i]);
			print_value(out, "told", a);
			print_value(out, "truth", b);
			fputc('\n', out);
		}
	}
	return same;
}

static bool same_containers(const char *uid, const json_t *told, const json_t *want,
			    const json_t *ever, FILE *out)
{
	json_t *has = json_object_get(told, "containers"),
	       *must = json_object_get(want, "containers"), *v;
	bool same = true;
	const char *id;

	json_object_foreach(must, id, v)
	{
		if (json_equal(json_object_get(has, id), v))
			continue;
		same = false;
		if (out) {
			fprintf(out, "  %s %s: container %s:", uid, text(want, "pod"), id);
			print_value(out, "told", json_object_get(has, id));
			print_value(out, "truth", v);
			fputc('\n', out);
		}
	}
	json_object_foreach(has, id, v)
	{
		if (json_object_get(must, id) || json_object_get(ever, id))
			continue;
		same = false;
		if (out)
			fprintf(out, "  %s %s: container %s was never its own\n", uid,
				text(want, "pod"), id);
	}
	return same;
}

static bool same_pod(const char *uid, const json_t *told, const json_t *want, const json_t *ever,
		     FILE *out)
{
	bool fields_same;

	if (!told || !want) {
		if (out)
			fprintf(out, "  %s %s/%s: %s\n", uid, text(told ? told : want, "ns"),
				text(told ? told : want, "pod"),
				told ? "told, but must not be there" : "not told");
		return false;
	}
	fields_same = same_fields(uid, told, want, out);
	return same_containers(uid, told, want, ever, out) && fields_same;
}

size_t told_differences(const json_t *table, const struct truth *truth, const char *but_ns,
			FILE *out)
{
	size_t n = 0;
	const char *uid;
	json_t *pod;

	json_object_foreach(truth->pods, uid, pod)
	{
		n += !same_pod(uid, json_object_get(table, uid), pod,
			       json_object_get(truth->ever, uid), n < MAX_PRINTED ? out : NULL);
	}
	json_object_foreach((json_t *)(uintptr_t)table, uid, pod)
	{
		if (json_object_get(truth->pods, uid) ||
		    (but_ns && strcmp(text(pod, "ns"), but_ns) == 0))
			continue;
		n += !same_pod(uid, pod, NULL, NULL, n < MAX_PRINTED ? out : NULL);
	}
	return n;
}

const char *told_as(const struct told *t, const struct truth *truth, const char *kind,
		    const char *other)
{
	const char *uid;
	json_t *pod;

	json_object_foreach(truth->pods, uid, pod)
	{
		if (strcmp(text(pod, "owner_kind"), kind) == 0 &&
		    json_object_get(json_object_get(t->kinds, uid), other))
			return uid;
	}
	return NULL;
}
