/*
 * What whois.c and its helpers share.
 */
#pragma once

#include "base/json_out.h"
#include "flow/flows.h"
#include "inventory/inventory.h"
#include "match/end.h"
#include "serve/whois.h"

/* What one look found: the sentence is put at the end. */
struct finding {
	const char *what;
	pod_id pod;	     /* 0: none */
	uint32_t peer;	     /* a thing of the collector's feed; 0: none */
	cgroup_ix cgroup;    /* 0: none */
	uint32_t pid;	     /* 0: none */
	struct flow_end end; /* names, when has_end */
	bool has_end;
	struct end_text text; /* what they may point to */
	char container_id[CONTAINER_ID_MAX + 1];
	char how[1024];
};

/* The time that the feed is asked for instead of w->at: it hears of "now" a little later. */
nsec_t whois_peers_at(const struct whois *w);
/* Fills f->peer and f->how, when the feed told of what f->end names. */
void whois_peer_address(const struct whois *w, const struct addr *ip, nsec_t at, struct finding *f);
/* The same of a pod by its name. */
void whois_peer_pod(const struct whois *w, struct str ns, struct str name, struct finding *f);
void whois_put_peer(struct json_out *j, const struct whois *w, const struct finding *f);
/* A pod's owners, addresses and containers. */
void whois_put_pod(struct json_out *j, const struct whois *w, pod_id id,
		   const struct inv_pod_view *p);
/* All members of what was found, without the braces. */
void whois_put(struct json_out *j, const struct whois *w, const struct finding *f);
#define CGROUP_PATH_MAX 4096
/* The cgroup at the end of a path, as a process' or a user's view of the tree has it. 0: none, or
 * (ret_many) more than one. */
cgroup_ix whois_by_path(const struct flows *flows, struct str path, bool *ret_many);
/* The path of a process' cgroup, from PROC/PID/cgroup: 0, -ENOENT. */
int whois_proc_cgroup(const char *proc_root, uint32_t pid, char ret[CGROUP_PATH_MAX]);
