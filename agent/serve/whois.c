#include "serve/whois.h"

#include "base/mem.h"
#include "flow_abi.h"
#include "serve/filter.h"
#include "serve/history.h"
#include "serve/whois_parts.h"
#include "sink/jsonl/line.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define MAX_TRIED 8

/* A look found nothing: why, in words. */
struct tried {
	char text[512];
};
/* 0: found. -ENOENT: not there, and why. -ENOTSUP: q is no such thing. -ENOTUNIQ: several. */
typedef int look(const struct whois *w, struct str q, struct finding *f, struct tried *t);

static const struct inventory *inventory_of(const struct whois *w)
{
	return w->scope ? w->scope->inventory : NULL;
}

/* ---- times ----------------------------------------------------------------------------------- */

/* The fraction and the zone of RFC 3339 section 5.6. */
static int parse_zone(const char *p, nsec_t *fraction, int64_t *zone)
{
	int hours, minutes, n = 0;
	nsec_t unit = NSEC_PER_SEC;

	if (*p == '.')
		for (p++; *p >= '0' && *p <= '9'; p++)
			*fraction += (nsec_t)(*p - '0') * (unit /= 10);
	if (strcmp(p, "Z") == 0 || strcmp(p, "z") == 0)
		return 0;
	if ((*p != '+' && *p != '-') || sscanf(p + 1, "%2d:%2d%n", &hours, &minutes, &n) != 2 ||
	    p[1 + n])
		return -EINVAL;
	*zone = (*p == '-' ? -1 : 1) * (hours * 3600LL + minutes * 60LL);
	return 0;
}

int whois_time(struct str s, nsec_t wall_now, nsec_t *ret)
{
	char text[64];
	nsec_t fraction = 0, ago;
	int64_t zone = 0, t;
	struct tm tm = {0};
	const char *rest;

	if (str_starts(s, STR("-"))) {
		if (query_duration(str_from(s, 1), &ago) < 0 || ago > wall_now)
			return -EINVAL;
		*ret = wall_now - ago;
		return 0;
	}
	if (!s.n || s.n >= sizeof(text))
		return -EINVAL;
	(void)snprintf(text, sizeof(text), "%.*s", STR_ARG(s));
	rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	if (!rest || parse_zone(rest, &fraction, &zone) < 0)
		return -EINVAL;
	t = (int64_t)timegm(&tm) - zone;
	if (t < 0 || t > INT32_MAX * 4LL) /* beyond 2242 nanoseconds do not fit for long */
		return -EINVAL;
	*ret = (nsec_t)t * NSEC_PER_SEC + fraction;
	return 0;
}

int whois_parse(struct whois *w, struct str query, struct buf *ret_error)
{
	char name[FILTER_TEXT_MAX], value[FILTER_TEXT_MAX];
	nsec_t wall = w->now + (nsec_t)w->offset, at = wall;
	int r;

	w->q[0] = '\0';
	while ((r = query_next(&query, name, value)) > 0) {
		if (strcmp(name, "q") == 0) {
			(void)snprintf(w->q, sizeof(w->q), "%s", value);
		} else if (strcmp(name, "at") != 0) {
			return buf_printf(ret_error, "there is no \"%s\" here", name), -EINVAL;
		} else if (whois_time(str_of(value), wall, &at) < 0) {
			return buf_printf(ret_error,
					  "at must be a time such as 2026-11-21T09:30:00Z or -5m, "
					  "not \"%s\"",
					  value),
			       -EINVAL;
		}
	}
	if (r < 0 || !w->q[0]) {
		(void)buf_printf(ret_error, r < 0 ? "the query is malformed, or too long"
						  : "what is asked for is missing: q=THING");
		return -EINVAL;
	}
	/* Before the machine was started nobody was anybody. */
	w->at = at > (nsec_t)w->offset ? at - (nsec_t)w->offset : 0;
	return 0;
}

/* ---- addresses ------------------------------------------------------------------------------- */

static void say_owner(const struct whois *w, const struct addr *ip, struct finding *f)
{
	char from[TIME_TEXT_MAX], to[TIME_TEXT_MAX];
	struct inv_pod_view p;

	if (!inventory_pod(inventory_of(w), f->pod, &p))
		return;
	for (uint32_t i = 0; i < p.n_addrs; i++) {
		const struct inv_addr a = inventory_pod_addr(inventory_of(w), f->pod, i);
		bool ended = a.to != NSEC_NEVER;

		if (!addr_eq(&a.ip, ip) || w->at < a.from || w->at >= a.to)
			continue;
		(void)snprintf(f->how, sizeof(f->how),
			       "pod %.*s/%.*s had this address from %s%s%s, as the API server told",
			       STR_ARG(p.ns), STR_ARG(p.name),
			       time_text(a.from + (nsec_t)w->offset, from), ended ? " to " : " on",
			       ended ? time_text(a.to + (nsec_t)w->offset, to) : "");
	}
}

static const char *why_not(enum unknown_reason why)
{
	if (why == UNKNOWN_NOT_ON_NODE)
		return "no pod of this node had it at that time, and this agent knows no others";
	if (why == UNKNOWN_PEERS_UNSYNCED || why == UNKNOWN_PEERS_STALE)
		return "no pod of this node had it at that time, and the collector has not told of "
		       "others at that time";
	return "nobody known had it at that time";
}

static int look_address(const struct whois *w, struct str q, struct finding *f, struct tried *t)
{
	const nsec_t at = whois_peers_at(w);
	struct addr ip;

	if (addr_parse(q, &ip) < 0)
		return -ENOTSUP;
	f->what = "address";
	(void)snprintf(t->text, sizeof(t->text), "an address: there are no pods here to look in");
	if (!inventory_of(w))
		return -ENOENT;
	end_remote(w->scope, &ip, at, END_OVERDUE | END_LATE, &f->text, &f->end);
	f->has_end = true;
	f->pod = inventory_by_address(inventory_of(w), &ip, w->at);
	(void)snprintf(f->how, sizeof(f->how), "%s",
		       f->end.known_by == KNOWN_HOST ? "it is an address of this node"
						     : "the address was this one's at that time");
	if (f->pod)
		say_owner(w, &ip, f);
	whois_peer_address(w, &ip, at, f);
	if (f->end.known_by != KNOWN_NOT || f->pod)
		return 0;
	(void)snprintf(t->text, sizeof(t->text), "an address: %s (%s)", why_not(f->end.why),
		       unknown_reason_name(f->end.why));
	return -ENOENT;
}

/* ---- cgroups, processes, containers ---------------------------------------------------------- */

/* Names what a cgroup is. */
static void name_cgroup(const struct whois *w, cgroup_ix ix, struct finding *f)
{
	const struct inventory *v = inventory_of(w);
	struct flow_cgroup c;

	f->cgroup = ix;
	if (!v || !flows_cgroup_at(w->flows, ix, &c))
		return;
	end_local(w->scope, &c.ref, true, &f->text, &f->end);
	f->has_end = true;
	f->pod = str_empty(c.ref.container_id) ? 0 : inventory_by_container(v, c.ref.container_id);
	if (!f->pod && !str_empty(c.ref.pod_uid))
		f->pod = inventory_by_uid(v, c.ref.pod_uid);
}

static const char *cgroup_words(const struct whois *w, cgroup_ix ix)
{
	struct flow_cgroup c;

	if (!flows_cgroup_at(w->flows, ix, &c))
		return "nothing known";
	switch (c.ref.what) {
	case CGROUP_CONTAINER:
		return "a container's, as its name says";
	case CGROUP_POD:
		return "a pod's own, as its name says";
	case CGROUP_SERVICE:
		return "a service of the host's, as its name says";
	case CGROUP_OTHER:
	case _CGROUP_WHAT_MAX:
		break;
	}
	return "neither a pod's nor a service's";
}

static int look_pid(const struct whois *w, struct str q, struct finding *f, struct tried *t)
{
	char path[CGROUP_PATH_MAX];
	unsigned long long pid;
	struct flow_proc p;
	cgroup_ix ix = 0;
	bool many;

	if (str_to_u64(q, &pid) < 0 || !pid || pid > INT32_MAX || !w->flows)
		return -ENOTSUP;
	f->what = "process";
	f->pid = (uint32_t)pid;
	if (flows_proc(w->flows, f->pid, &p) && p.cgroup) {
		ix = p.cgroup;
		(void)snprintf(f->how, sizeof(f->how),
			       "process %u opened sockets, and its cgroup is %s", f->pid,
			       cgroup_words(w, ix));
	} else if (whois_proc_cgroup(w->proc_root, f->pid, path) == 0) {
		ix = whois_by_path(w->flows, str_of(path), &many);
		(void)snprintf(f->how, sizeof(f->how),
			       "process %u runs in cgroup %.512s, which is %s", f->pid, path,
			       ix ? cgroup_words(w, ix) : "not known here");
	}
	(void)snprintf(t->text, sizeof(t->text),
		       "a process: none of that number has sockets, or runs where %s shows it",
		       w->proc_root);
	if (ix)
		name_cgroup(w, ix, f);
	return f->how[0] ? 0 : -ENOENT;
}

static int look_cgroup(const struct whois *w, struct str q, struct finding *f, struct tried *t)
{
	unsigned long long id = 0;
	bool number = str_to_u64(q, &id) == 0, many = false;
	cgroup_ix ix;

	if (!w->flows || (!number && !str_starts(q, STR("/"))))
		return -ENOTSUP;
	f->what = "cgroup";
	ix = number ? flows_cgroup_by_id(w->flows, id) : whois_by_path(w->flows, q, &many);
	if (!ix && number)
		ix = flows_cgroup_by_id(w->flows, id | ABI_CGROUP_V1);
	(void)snprintf(t->text, sizeof(t->text),
		       many	? "a cgroup: several have this path's end"
		       : number ? "a cgroup: none has this id"
				: "a cgroup: none has this path");
	if (!ix)
		return many ? -ENOTUNIQ : -ENOENT;
	name_cgroup(w, ix, f);
	(void)snprintf(f->how, sizeof(f->how), "the cgroup is %s", cgroup_words(w, ix));
	return 0;
}

/* ---- container ids --------------------------------------------------------------------------- */

struct found_id { /* of one container whose id begins as asked */
	char id[CONTAINER_ID_MAX + 1];
	bool many;
};

static struct str bare_id(struct str id)
{
	for (size_t i = 0; i + 3 <= id.n; i++)
		if (memcmp(id.p + i, "://", 3) == 0)
			return str_from(id, i + 3);
	return id;
}

static void take_id(struct found_id *f, struct str id, struct str prefix)
{
	id = bare_id(id);
	if (!str_starts(id, prefix) || id.n > CONTAINER_ID_MAX)
		return;
	if (f->id[0] && !str_eq(str_of(f->id), id))
		f->many = true;
	(void)snprintf(f->id, sizeof(f->id), "%.*s", STR_ARG(id));
}

/* Every container of every pod, and every cgroup: what a person asks now and then. */
static void find_id(const struct whois *w, struct str prefix, struct found_id *f)
{
	const struct inventory *v = inventory_of(w);
	struct inv_container_view c;
	struct inv_pod_view p;
	struct flow_cgroup g;

	for (pod_id id = 1; v && id <= inventory_pod_ids(v); id++)
		for (uint32_t i = 0; inventory_pod(v, id, &p) && i < p.n_containers; i++) {
			inventory_pod_container(v, id, i, &c);
			take_id(f, str_of(c.id), prefix);
		}
	for (cgroup_ix ix = w->flows ? flows_cgroup_next(w->flows, 0) : 0; ix;
	     ix = flows_cgroup_next(w->flows, ix))
		if (flows_cgroup_at(w->flows, ix, &g))
			take_id(f, g.ref.container_id, prefix);
}

static bool is_hex(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!strchr("0123456789abcdef", s.p[i]))
			return false;
	return true;
}

static void name_container(const struct whois *w, struct finding *f)
{
	const struct inventory *v = inventory_of(w);
	const struct cgroup_ref ref = {.what = CGROUP_CONTAINER,
				       .container_id = str_of(f->container_id)};

	f->cgroup = w->flows ? flows_cgroup_by_container(w->flows, ref.container_id) : 0;
	if (f->cgroup)
		name_cgroup(w, f->cgroup, f);
	if (!v)
		return;
	f->pod = inventory_by_container(v, ref.container_id);
	end_local(w->scope, &ref, true, &f->text, &f->end);
	f->has_end = true;
}

static int look_container(const struct whois *w, struct str q, struct finding *f, struct tried *t)
{
	struct found_id found = {0};
	struct str id = bare_id(q);

	if (id.n < WHOIS_PREFIX_MIN || !is_hex(id))
		return -ENOTSUP;
	f->what = "container";
	find_id(w, id, &found);
	(void)snprintf(t->text, sizeof(t->text), "a container: %s",
		       found.many ? "several ids begin like this" : "no id begins like this");
	if (found.many || !found.id[0])
		return found.many ? -ENOTUNIQ : -ENOENT;
	memcpy(f->container_id, found.id, sizeof(f->container_id));
	name_container(w, f);
	(void)snprintf(f->how, sizeof(f->how), "%s%s",
		       f->pod ? "the API server told of this container of the pod"
			      : "a cgroup is named after it, and no pod that is known claims it",
		       f->pod && f->cgroup ? ", and its cgroup is here" : "");
	return 0;
}

/* ---- pods ------------------------------------------------------------------------------------ */

/* A name without its namespace, when it is the only one. */
static pod_id by_name_alone(const struct inventory *v, struct str name, bool *ret_many)
{
	pod_id found = 0;
	struct inv_pod_view p;

	for (pod_id id = 1; id <= inventory_pod_ids(v); id++) {
		if (!inventory_pod(v, id, &p) || p.dead || !str_eq(p.name, name))
			continue;
		*ret_many = *ret_many || found;
		found = id;
	}
	return found;
}

static int look_pod(const struct whois *w, struct str q, struct finding *f, struct tried *t)
{
	const struct inventory *v = inventory_of(w);
	struct str ns, name = q;
	bool many = false, slash = str_split(&name, '/', &ns);
	pod_id id;

	if (!v || str_starts(q, STR("/")))
		return -ENOTSUP;
	f->what = "pod";
	id = slash ? inventory_by_name(v, ns, name) : inventory_by_uid(v, q);
	(void)snprintf(f->how, sizeof(f->how), "the API server told of the pod");
	if (!id && !slash)
		id = by_name_alone(v, q, &many);
	(void)snprintf(t->text, sizeof(t->text), "a pod: %s",
		       many    ? "several namespaces have one of this name"
		       : slash ? "there is none of that name in that namespace"
			       : "there is none of that name or uid");
	f->pod = id;
	if (!id && slash)
		whois_peer_pod(w, ns, name, f);
	return many ? -ENOTUNIQ : id || f->peer ? 0 : -ENOENT;
}

/* ---- flows ----------------------------------------------------------------------------------- */

struct flow_question {
	struct addr ip;
	uint16_t port;
	nsec_t at;
	uint32_t found;
};

static int parse_endpoint(struct str q, struct flow_question *ret)
{
	const char *colon = q.n ? memrchr(q.p, ':', q.n) : NULL;
	struct str host = str_make(q.p, colon ? (size_t)(colon - q.p) : 0);
	unsigned long long port;

	if (!colon || str_to_u64(str_from(q, host.n + 1), &port) < 0 || port > UINT16_MAX)
		return -EINVAL;
	if (host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
		host = str_make(host.p + 1, host.n - 2);
	ret->port = (uint16_t)port;
	return addr_parse(host, &ret->ip);
}

static void put_flow(struct json_out *j, const struct whois *w, struct flow_question *q,
		     const struct flow_view *v)
{
	bool local = v->lport == q->port && addr_eq(&v->laddr, &q->ip);
	bool remote = v->rport == q->port && addr_eq(&v->raddr, &q->ip);
	bool asked = v->translated && v->asked.port == q->port && addr_eq(&v->asked.ip, &q->ip);

	if ((!local && !remote && !asked) || q->found == WHOIS_MAX_FLOWS || v->start > q->at ||
	    (v->ended && v->ended < q->at) || j->r < 0)
		return;
	if (j->comma)
		j->r = buf_append_str(j->out, STR(","));
	if (j->r == 0)
		j->r = line_flow(v, line_event_of(v), w->offset, j->out);
	if (j->r == 0)
		j->out->n--; /* its newline */
	j->comma = true;
	q->found++;
}

/* All flows with this end at that time, instead of one thing. 0 or -ENOENT. */
static int put_flows(struct json_out *j, const struct whois *w, struct str text, struct tried *t)
{
	struct flow_question q = {.at = w->at};
	struct flow_view v;
	uint64_t number = 0;

	if (!w->flows || parse_endpoint(text, &q) < 0)
		return -ENOTSUP;
	json_text(j, "what", STR("flow"));
	json_open(j, "flows", '[');
	for (flow_id id = flows_next(w->flows, 0); id; id = flows_next(w->flows, id))
		if (flows_at(w->flows, id, &v) && v.state == FLOW_OPEN)
			put_flow(j, w, &q, &v);
	while (w->history && history_next(w->history, number, &number, &v))
		put_flow(j, w, &q, &v);
	json_close(j, '[');
	json_text(j, "how", STR("the kernel told of these flows with that end"));
	(void)snprintf(t->text, sizeof(t->text), "a flow: none had that end at that time");
	return q.found ? 0 : -ENOENT;
}

/* ---- the answer ------------------------------------------------------------------------------ */

static const struct {
	const char *prefix;
	look *look; /* NULL: flows */
} looks[] = {{"address:", look_address},
	     {"flow:", NULL},
	     {"pid:", look_pid},
	     {"cgroup:", look_cgroup},
	     {"container:", look_container},
	     {"pod:", look_pod}};
_Static_assert(ARRAY_SIZE(looks) <= MAX_TRIED, "a sentence for each");

static void begin(struct json_out *j, const struct whois *w)
{
	json_open(j, NULL, '{');
	json_text(j, "query", str_of(w->q));
	json_time(j, "at", w->at + (nsec_t)w->offset);
}

static int try_one(const struct whois *w, size_t i, struct str q, struct buf *out, struct tried *t)
{
	struct json_out j = {.out = out};
	struct finding f = {0};
	size_t before = out->n;
	int r;

	begin(&j, w);
	r = looks[i].look ? looks[i].look(w, q, &f, t) : put_flows(&j, w, q, t);
	if (r == 0 && looks[i].look)
		whois_put(&j, w, &f);
	json_close(&j, '{');
	if (r < 0)
		out->n = before;
	return r < 0 ? r : j.r;
}

static int put_tried(const struct whois *w, const struct tried *tried, size_t n, int r,
		     struct buf *out)
{
	struct json_out j = {.out = out};

	begin(&j, w);
	json_text(&j, "error",
		  r == -ENOTUNIQ ? STR("this may be several things")
				 : STR("nothing like this is known"));
	json_open(&j, "tried", '[');
	for (size_t i = 0; i < n; i++)
		json_text(&j, NULL, str_of(tried[i].text));
	json_close(&j, '[');
	json_close(&j, '{');
	return j.r < 0 ? j.r : r;
}

int whois_answer(const struct whois *w, struct buf *out)
{
	struct tried tried[MAX_TRIED];
	struct str q = str_of(w->q);
	size_t n = 0, only = SIZE_MAX;
	int last = -ENOENT;

	for (size_t i = 0; i < ARRAY_SIZE(looks); i++)
		if (str_starts(q, str_of(looks[i].prefix)))
			only = i;
	if (only != SIZE_MAX)
		q = str_from(q, strlen(looks[only].prefix));
	for (size_t i = 0; i < ARRAY_SIZE(looks); i++) {
		int r = only == SIZE_MAX || only == i ? try_one(w, i, q, out, &tried[n]) : -ENOTSUP;

		if (r == -ENOENT || r == -ENOTUNIQ)
			n++;
		else if (r != -ENOTSUP)
			return r;
		if (r == -ENOTUNIQ)
			last = r;
	}
	return put_tried(w, tried, n, last, out);
}
