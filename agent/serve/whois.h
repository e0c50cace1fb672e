/*
 * "What is this, and how is that known?": one thing the kernel or the API server names,
 * answered as a JSON object.
 *
 *   q    an address; ADDRESS:PORT or [ADDRESS]:PORT of a flow; a process id; a cgroup's id
 *        or path; a container id, or at least 12 hex digits of one; NAMESPACE/POD, a pod's
 *        name or uid. "address:", "flow:", "pid:", "cgroup:", "container:", "pod:" before it
 *        say which is meant
 *   at   RFC 3339, or -5m: addresses and flows of that time; default now
 *
 * The answer: query, at, what ("address", "flow", "process", "cgroup", "container", "pod"),
 * namespace, pod, pod_uid, container, container_id, workload, workload_kind, owners (nearest
 * first), addresses with from and to, node, known_by, how (a sentence); what is not known is
 * absent. Not found: error, and tried: a sentence each.
 */
#pragma once

#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"

#include <stdint.h>

struct end_scope;
struct flows;
struct history;

#define WHOIS_TEXT_MAX	 512
#define WHOIS_PREFIX_MIN 12 /* hex digits of a container id, as docker ps shows */
#define WHOIS_MAX_FLOWS	 16

struct whois {
	const struct flows *flows;     /* may be NULL */
	const struct end_scope *scope; /* may be NULL */
	const struct history *history; /* may be NULL */
	const char *proc_root;
	nsec_t now;	/* monotonic */
	int64_t offset; /* wall clock - monotonic */
	/* from whois_parse */
	char q[WHOIS_TEXT_MAX];
	nsec_t at; /* monotonic */
};

/* Takes q and at out of a URL's query. 0; -EINVAL with a line in ret_error. */
int whois_parse(struct whois *w, struct str query, struct buf *ret_error);
/* 0; -ENOENT (`out` says what was tried), -ENOTUNIQ (`out` says which); -EMSGSIZE, -ENOMEM. */
int whois_answer(const struct whois *w, struct buf *out);
/* "2026-11-21T09:30:00Z", "2026-11-21T10:30:00.5+01:00" or "-5m" (before `now`): wall clock. 0 or
 * -EINVAL. */
int whois_time(struct str s, nsec_t wall_now, nsec_t *ret);
