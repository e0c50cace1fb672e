#include "tests/lib/truth.h"

#include "base/buf.h"
#include "base/mem.h"
#include "tests/lib/fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

/* Columns of truth-pods that are looked at; the first line names them all. */
enum column {
	COL_UID,
	COL_NAMESPACE,
	COL_NAME,
	COL_NODE = 8,
	COL_OWNER_KIND = 10,
	COL_OWNER_NAME,
	COL_OWNER_UID,
	COL_DIRECT_KIND,
	COL_DIRECT_NAME,
	COL_OWNERS = 17,
	_COL_MAX,
};

static int read_fixture(const char *set, const char *file, struct buf *ret)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "recorded/%s%s%s", set, *set ? "/" : "", file);
	return fixture_read_file(path, ret);
}

/* --- a pod as the API gives it --- */

static const char *text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static bool is_ipv4(const char *s)
{
	struct in_addr a;

	return inet_pton(AF_INET, s, &a) == 1;
}

/* The first IPv4 address of podIPs, else podIP if it is one. */
static const char *first_ipv4(const json_t *status)
{
	const json_t *ip;
	size_t i;

	json_array_foreach(json_object_get(status, "podIPs"), i, ip)
	{
		if (is_ipv4(text(ip, "ip")))
			return text(ip, "ip");
	}
	return is_ipv4(text(status, "podIP")) ? text(status, "podIP") : "";
}

static bool announced(const json_t *status)
{
	const char *phase = text(status, "phase");

	return strcmp(phase, "Succeeded") != 0 && strcmp(phase, "Failed") != 0 &&
	       (*text(status, "podIP") || json_array_size(json_object_get(status, "podIPs")));
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* 'a:1','b:2': the images of the main containers, sorted bytewise. */
static json_t *version_of(const json_t *status)
{
	const json_t *list = json_object_get(status, "containerStatuses"), *c;
	_free_ const char **images = calloc(json_array_size(list) + 1, sizeof(char *));
	_buf_ struct buf joined = {.max = 1 << 20};
	size_t i, n = 0;

	if (!images)
		return NULL;
	json_array_foreach(list, i, c)
	{
		if (*text(c, "image"))
			images[n++] = text(c, "image");
	}
	qsort(images, n, sizeof(*images), by_text);
	for (i = 0; i < n; i++)
		if (buf_printf(&joined, "%s'%s'", i ? "," : "", images[i]) < 0)
			return NULL;
	return json_stringn(joined.n ? buf_str(&joined).p : "", joined.n);
}

static const char *const status_lists[] = {"containerStatuses", "initContainerStatuses",
					   "ephemeralContainerStatuses"};

static json_t *containers_of(const json_t *status)
{
	json_t *all = json_object();
	const json_t *c;
	size_t i;

	for (size_t l = 0; l < ARRAY_SIZE(status_lists); l++)
		json_array_foreach(json_object_get(status, status_lists[l]), i, c)
		{
			if (*text(c, "containerID"))
				(void)json_object_set_new(all, text(c, "containerID"),
							  json_pack("{s:s,s:s}", "name",
								    text(c, "name"), "image",
								    text(c, "image")));
		}
	return all;
}

static json_t *pod_of(const json_t *item)
{
	const json_t *meta = json_object_get(item, "metadata"),
		     *status = json_object_get(item, "status");
	const bool host =
		json_is_true(json_object_get(json_object_get(item, "spec"), "hostNetwork"));

	return json_pack("{s:s,s:s,s:s,s:o,s:b,s:o}", "ns", text(meta, "namespace"), "pod",
			 text(meta, "name"), "ip", first_ipv4(status), "version",
			 version_of(status), "host_network", host, "containers",
			 containers_of(status));
}

/* --- the table of owners --- */

static int split_line(struct str line, char *cells[_COL_MAX])
{
	int n = 0;

	for (bool more = true; more && n < _COL_MAX; n++) {
		struct str cell;

		more = str_split(&line, '\t', &cell);
		cells[n] = str_dup(cell);
		if (!cells[n])
			return -ENOMEM;
	}
	return n == _COL_MAX ? 0 : -EBADMSG;
}

/* Kinds that have a number of their own on the wire, with their API group. */
static const struct {
	const char *kind, *group;
} known[] = {
	{"ReplicaSet", "apps/"}, {"Deployment", "apps/"}, {"Job", "batch/"}, {"CronJob", "batch/"}};

/* The pod's own controller: its reference, the caller's to free; NULL: none. */
static json_t *controller(char *const *cells)
{
	json_t *list = json_loads(cells[COL_OWNERS], 0, NULL), *o, *found = NULL;
	size_t i;

	json_array_foreach(list, i, o)
	{
		if (!found && json_is_true(json_object_get(o, "controller")))
			found = json_incref(o);
	}
	json_decref(list);
	return found;
}

/* Of the pod's own controller the table holds the API version; those above it are real ones. */
static const char *wire_kind(const char *kind, const json_t *direct)
{
	const bool is_direct = strcmp(kind, text(direct, "kind")) == 0;

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strcmp(kind, known[i].kind) == 0 &&
		    (!is_direct || strncmp(text(direct, "apiVersion"), known[i].group,
					   strlen(known[i].group)) == 0))
			return known[i].kind;
	return "Other";
}

static void put_owner(json_t *pod, const char *kind, const char *name, const char *uid)
{
	(void)json_object_set_new(pod, "owner_kind", json_string(kind));
	(void)json_object_set_new(pod, "owner_name", json_string(name));
	(void)json_object_set_new(pod, "owner_uid", json_string(uid));
}

static void set_owner(json_t *pod, const struct truth_select *s, char *const *cells)
{
	json_t *direct = controller(cells);

	if (strcmp(cells[COL_OWNER_KIND], "none") == 0)
		put_owner(pod, "NoOwner", cells[COL_NAME], "");
	else if (s && s->unread && strcmp(s->unread, cells[COL_DIRECT_KIND]) == 0)
		put_owner(pod, wire_kind(s->unread, direct), cells[COL_DIRECT_NAME],
			  text(direct, "uid"));
	else
		put_owner(pod, wire_kind(cells[COL_OWNER_KIND], direct), cells[COL_OWNER_NAME],
			  cells[COL_OWNER_UID]);
	json_decref(direct);
}

static bool selected(const struct truth_select *s, char *const *cells)
{
	if (s && s->node && strcmp(s->node, cells[COL_NODE]) != 0)
		return false;
	for (size_t i = 0; s && s->namespaces && s->namespaces[i]; i++)
		if (strcmp(s->namespaces[i], cells[COL_NAMESPACE]) == 0)
			return true;
	return !s || !s->namespaces;
}

static int take_line(struct str line, const struct truth_select *select, const json_t *finals,
		     struct truth *t)
{
	char *cells[_COL_MAX] = {0};
	int r = split_line(line, cells);
	const json_t *item = r == 0 ? json_object_get(finals, cells[COL_UID]) : NULL;

	if (r == 0 && !item)
		r = -EBADMSG;
	if (r == 0 && selected(select, cells) && announced(json_object_get(item, "status"))) {
		json_t *pod = pod_of(item);

		set_owner(pod, select, cells);
		(void)json_object_set_new(t->pods, cells[COL_UID], pod);
	}
	for (size_t i = 0; i < _COL_MAX; i++)
		free(cells[i]);
	return r;
}

/* The list's items by uid. */
static json_t *items_by_uid(struct str list)
{
	json_t *whole = json_loadb(list.p, list.n, 0, NULL), *by_uid = json_object(), *item;
	size_t i;

	json_array_foreach(json_object_get(whole, "items"), i, item)
	{
		(void)json_object_set(by_uid, text(json_object_get(item, "metadata"), "uid"), item);
	}
	json_decref(whole);
	return by_uid;
}

static int read_pods(const char *set, const struct truth_select *select, struct truth *t)
{
	_buf_ struct buf table = {0}, list = {0};
	int r = read_fixture(set, "truth-pods.tsv.gz", &table);
	struct str rest, line;
	json_t *finals;

	if (r == 0)
		r = read_fixture(set, "final-pods-json.body.gz", &list);
	if (r < 0)
		return r;
	finals = items_by_uid(buf_str(&list));
	rest = buf_str(&table);
	(void)str_split(&rest, '\n', &line); /* the names of the columns */
	while (r == 0 && str_split(&rest, '\n', &line))
		r = take_line(line, select, finals, t);
	json_decref(finals);
	return r;
}

/* --- containers of the past --- */

static void remember(struct truth *t, const json_t *item)
{
	const char *uid = text(json_object_get(item, "metadata"), "uid"), *id;
	json_t *now = containers_of(json_object_get(item, "status")), *known_ids, *c;

	known_ids = json_object_get(t->ever, uid);
	if (!known_ids) {
		known_ids = json_object();
		(void)json_object_set_new(t->ever, uid, known_ids);
	}
	json_object_foreach(now, id, c)
	{
		(void)json_object_set(known_ids, id, json_true());
	}
	json_decref(now);
}

static int read_ever(const char *set, struct truth *t)
{
	_buf_ struct buf list = {0}, watch = {0};
	int r = read_fixture(set, "base-pods-json.body.gz", &list);
	struct str rest, line;
	json_t *items, *item;
	const char *uid;

	if (r == 0)
		r = read_fixture(set, "watch-pods-json.body.gz", &watch);
	if (r < 0)
		return r;
	items = items_by_uid(buf_str(&list));
	json_object_foreach(items, uid, item)
	{
		remember(t, item);
	}
	json_decref(items);
	rest = buf_str(&watch);
	while (str_split(&rest, '\n', &line)) {
		json_t *event = json_loadb(line.p, line.n, 0, NULL);

		remember(t, json_object_get(event, "object"));
		json_decref(event);
	}
	return 0;
}

int truth_read(const char *set, const struct truth_select *select, struct truth *ret)
{
	struct truth t = {.pods = json_object(), .ever = json_object()};
	int r = t.pods && t.ever ? read_pods(set, select, &t) : -ENOMEM;

	if (r == 0)
		r = read_ever(set, &t);
	if (r < 0)
		truth_done(&t);
	else
		*ret = t;
	return r;
}

void truth_done(struct truth *t)
{
	json_decref(t->pods);
	json_decref(t->ever);
	*t = (struct truth){0};
}
