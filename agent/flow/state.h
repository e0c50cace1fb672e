/*
 * The flow table from the inside, for the files that make it up.
 *
 *   flows.c    the whole: making, freeing, records in, views, figures
 *   table.c    flows: pool, indexes, bounds, their end
 *   tombs.c    keys of flows that have ended
 *   tcp.c      TCP: what the kernel's records and map say of a socket
 *   found.c    TCP sockets that were open before
 *   udp.c      UDP conversations and drops;  udp_join.c  those of two entries
 *   twins.c    the same connection seen from both ends
 *   nat.c      translations that conntrack tells of;  nat_decide.c  whose they are
 *   spaces.c   who has sockets in which network namespace
 *   ends.c     names, kept once for all flows that share them
 *   pending.c  who needs a name now, and who waits for it
 *   log.c      the change log and its cursors
 *   cgroups.c  the cgroup tree;  cgroup_says.c  what its directories are
 *   procs.c    processes that have sockets
 *   names.c    DNS transactions
 *   ledger.c   figures
 *
 * Nothing here is visible outside; flows.h is the contract. One thread.
 */
#pragma once

#include "base/hash.h"
#include "base/index.h"
#include "base/intern.h"
#include "base/pool.h"
#include "flow/flows.h"
#include "flow_abi.h"

struct dns_match;

/* ---- lists of flows -------------------------------------------------------------------------- */

/*
 * A flow is in at most one list of each of four sorts:
 *   LINK_LIFE   live (not ended, or not reported yet), or ended
 *   LINK_LOG    released: the change log
 *   LINK_QUEUE  enum flow_queue
 *   LINK_WAIT   those that wait at one cgroup, or that were woken
 */
enum flow_link { LINK_LIFE, LINK_LOG, LINK_QUEUE, LINK_WAIT, _LINK_MAX };

struct id_list {
	uint32_t head, tail, n;
};
struct id_link {
	uint32_t prev, next;
};

enum flow_queue {
	QUEUE_NONE,
	QUEUE_FRESH,   /* never named */
	QUEUE_AGAIN,   /* due now, once more */
	QUEUE_PENDING, /* wait for a pod, the longest at the head */
	QUEUE_PARTLY,  /* the pod is known; wait for the container, the longest at the head */
	QUEUE_SETTLE,  /* released; the remote end gets another look at `due` */
	_QUEUE_MAX,
};

enum flow_flag {
	FLOW_F_USED = 1 << 0,
	FLOW_F_RELEASED = 1 << 1,
	FLOW_F_REPORTED = 1 << 2, /* ended and released: cursors may see the end */
	FLOW_F_PRE_EXISTING = 1 << 3,
	FLOW_F_FOUND = 1 << 4, /* from sock_diag or /proc; the kernel's programs have not named it
				*/
	FLOW_F_SYN_TIMEOUT = 1 << 5,
	FLOW_F_FULL = 1 << 6,	    /* due at once: the queue of those that wait is full */
	FLOW_F_NAT = 1 << 7,	    /* translated by conntrack: indexed by what was asked, too */
	FLOW_F_WAITING = 1 << 8,    /* in the list of cgroup `wait_at` */
	FLOW_F_WOKEN = 1 << 9,	    /* in the list `woken` */
	FLOW_F_LATE = 1 << 10,	    /* has waited long enough: no directory is waited for */
	FLOW_F_NO_CGROUP = 1 << 11, /* counted in pre_existing_unknown */
	FLOW_F_DOUBT = 1 << 12,	    /* several translations, or other ends, are possible */
};

struct flow_rec {
	uint64_t serial;
	uint64_t sk; /* TCP. UDP: datagrams dropped that records told of, not the map */
	nsec_t start, updated, ended;
	nsec_t up;	       /* TCP, of who connects: established; 0: not known exactly */
	nsec_t due;	       /* PENDING: when it has waited long enough; SETTLE: when to look */
	uint64_t cgroup_id[2]; /* v2, v1; as the kernel said */
	struct flow_counters counters;
	struct addr laddr, raddr;
	uint16_t lport, rport;
	uint32_t netns, pid;
	uint32_t cgroup[2]; /* nodes of the tree, held; 0: none, or no room for one */
	uint32_t wait_at;
	uint32_t asked; /* id in `askeds`; 0: not translated */
	uint32_t mask;	/* the same; 0: not masqueraded. FLOW_IN: who the remote end is; else what
			 * the other end sees of this one */
	uint32_t twin;
	uint32_t local, remote; /* ids of ends */
	uint32_t join;		/* UDP: id in `joins`; 0: one entry of the map counts it */
	struct id_link link[_LINK_MAX];
	uint32_t poll; /* number of the last poll that showed it, or in which it was made */
	uint16_t flags;
	uint8_t proto, dir, state, reason, queue;
	uint8_t done;	/* one bit a cursor: needs the ended flow no more */
	uint8_t missed; /* polls in a row without an entry */
};

struct asked_rec {
	struct addr ip;
	uint16_t port;
};

/* The key of a flow that has ended, so that late and repeated records are known as such; or of a
 * socket that is none yet. */
enum tomb_of { TOMB_ENDED, TOMB_EVICTED, TOMB_EVICTED_UDP, TOMB_OPENING };
struct tomb {
	uint64_t key;
	struct id_link link;
	uint32_t poll; /* number of the poll in which it was asked for last */
	uint8_t of;    /* enum tomb_of */
};

/* ---- the rest -------------------------------------------------------------------------------- */

#define ENDS_RECENT 1024

struct end_rec { /* names of one end; shared */
	pool_id ns, pod, container, workload, workload_kind, pod_uid;
	uint32_t refs;
	uint8_t known_by, why;
	uint64_t serial;      /* never comes again */
	uint64_t who;	      /* spaces_who of the pod */
	struct flow_end view; /* the texts, as they are kept */
};

enum node_flag {
	NODE_USED = 1 << 0,
	NODE_AWAITED = 1 << 1, /* somebody named its id; itself was not told of yet */
	NODE_GONE = 1 << 2,
	NODE_LINGERS = 1 << 3,	/* in the list of those gone */
	NODE_GIVEN_UP = 1 << 4, /* who waited here waited in vain: nobody does until it is woken */
};

struct cg_node {
	uint64_t id;
	nsec_t gone_at;
	uint32_t parent, first_child;
	struct id_link sibs, gone;
	uint32_t says;	       /* the node that says what this is: itself, one above, 0 */
	uint32_t refs;	       /* flows, processes, children */
	pool_id name, pod_uid; /* pod_uid: only where says is itself */
	struct id_list waiters;
	uint8_t what, id_off; /* of itself; container id: at this place of the name */
	uint8_t flags;
};

struct proc_rec {
	uint32_t pid, cgroup, moves;
	nsec_t gone_at;	   /* 0: runs */
	struct id_link in; /* of those gone, or of those fresh */
	uint8_t used, comm_n, fresh;
	char comm[ABI_COMM_MAX];
};

struct nat_rec {
	struct flows_endpoint from, asked, backend, seen_as;
	struct id_link link; /* of those that live, or of those that are over */
	uint64_t seq;	     /* in the order in which they were made */
	nsec_t after, at;    /* made then */
	nsec_t gone;	     /* over by then; 0: lives */
	bool cut[2];	     /* one before it, of its (original, reply) key, was forgotten */
	uint8_t proto;
};

struct nat_due {
	flow_id id;
	uint64_t serial;
};

struct drop_rec { /* drops at a local end, of no known conversation */
	uint64_t cgroup, dropped, in_map;
	struct addr laddr;
	struct id_link link;
	uint16_t lport;
};

/* What one entry of the map `udp` counted last. */
struct udp_part {
	nsec_t first;
	uint64_t sent, received, sent_packets, received_packets, dropped, dropped_bytes;
	bool live; /* it is in the map */
};
/* A conversation that translation in its own network namespace splits in the kernel: under what was
 * asked (what is received), and under the backend (what is sent). */
enum udp_part_of { PART_ASKED, PART_BACKEND, _PART_MAX };
struct join_rec {
	struct flows_endpoint backend;
	struct udp_part part[_PART_MAX], past; /* past: of entries that were deleted */
};

struct dns_rec {
	struct flow_dns dns; /* without its name, which is `name` */
	uint64_t flow_serial, cgroup_id;
	pool_id name;
};

struct space_rec {    /* a network namespace */
	uint64_t who; /* spaces_who */
	nsec_t seen,
		other;	/* when a flow of `who` began last, and one of somebody else; 0: never */
	uint32_t netns; /* 0: free */
};

struct flow_cursor {
	flow_id pos; /* passed last; 0: before the first */
	uint64_t dropped;
	uint8_t bit;
};

struct flows {
	struct flows_opts opts;
	struct hash_seed seed;
	struct intern strings;

	struct pool flows, askeds, tombs, ends;
	struct index by_sk, by_tuple, by_local, by_tomb, by_end;
	struct id_list live, ended, log, woken, queue[_QUEUE_MAX];
	struct id_list tombs_ended, tombs_evicted, openings;
	uint64_t next_serial;
	uint32_t poll; /* number of polls begun */
	struct flow_cursor *cursors[FLOWS_MAX_CURSORS];
	uint8_t cursor_mask;

	struct pool nodes;
	struct index by_cgroup, by_container, by_pod;
	struct id_list gone_nodes;
	uint64_t cgroups_changes;
	bool follows_v1; /* directories of a v1 hierarchy were told of */

	struct pool procs;
	struct index by_pid;
	struct id_list gone_procs, fresh_procs;
	uint64_t procs_changes;

	struct pool nats, drops, joins;
	struct index by_nat, by_reply, by_drop;
	struct id_list nat_log, nat_gone, drop_log;
	uint64_t nat_seq;
	nsec_t nat_read;		   /* what was made until then was told of */
	nsec_t nat_lost_from, nat_lost_to; /* events of then are missing; 0: none */
	struct {
		struct nat_due *a;
		uint32_t n, cap;
	} nat_due; /* flows that wait for nat_read */

	struct space_rec *spaces;

	struct dns_match *dns;
	struct dns_rec *dns_log; /* a ring of opts.max_dns, by serial */
	uint64_t dns_serial;	 /* of the newest */

	uint64_t ends_serial;
	uint32_t ends_recent[ENDS_RECENT]; /* held: most come again */

	uint64_t tcp_made, tcp_reported;  /* flows made here; ended and released */
	uint64_t ends_lost, evicted_lost; /* sockets of the kernel's count whose end it lost:
					   * noticed here; after they were evicted */
	uint64_t found_alone;		  /* flows found that the kernel has not counted (yet) */
	uint32_t n_found;		  /* flows that carry FLOW_F_FOUND */
	struct flows_stats stats;	  /* the counters; gauges are filled on request */
};

static inline struct flow_rec *flow_rec(const struct flows *f, flow_id id)
{
	return pool_at(&f->flows, id);
}
static inline struct cg_node *node_at(const struct flows *f, cgroup_ix ix)
{
	return pool_at(&f->nodes, ix);
}

/* What an end is known by: 0 of a flow never named is KNOWN_NOT, UNKNOWN_NONE. */
static inline const struct end_rec *end_at(const struct flows *f, uint32_t id)
{
	static const struct end_rec none;

	return id ? pool_at(&f->ends, id) : &none;
}

static inline bool is_loopback(const struct addr *a)
{
	static const struct addr six = {{[15] = 1}};

	return addr_is_v4(a) ? a->b[12] == 127 : addr_eq(a, &six);
}

/* flows.c */
uint64_t state_hash(const struct flows *f, const void *p, size_t n);

/* table.c */
struct flow_new { /* what a flow is made of */
	enum flow_proto proto;
	enum flow_dir dir;
	const struct abi_tuple *tuple;
	uint64_t sk;
	nsec_t start;
	uint64_t cgroup_id[2];
	uint32_t pid;
	const struct flows_endpoint *asked; /* NULL: not translated */
	uint16_t flags;
};
/* Makes room, makes it, puts it into every index and into the queue of new ones. 0 or -ENOMEM. */
int table_add(struct flows *f, nsec_t now, const struct flow_new *n, flow_id *ret);
/* It has ended. What is not released yet is reported when it is. */
void table_end(struct flows *f, flow_id id, nsec_t at, enum flow_state s, enum flow_reason why);
/* Ended and released: to the cursors, within max_ended. */
void table_report(struct flows *f, flow_id id);
/* Frees a reported flow. */
void table_free(struct flows *f, flow_id id);
/* The live flow of that socket. */
flow_id table_sock(const struct flows *f, uint64_t sk, nsec_t start);
/* The live flow at that kernel address that started last. */
flow_id table_sock_last(const struct flows *f, uint64_t sk);
int table_set_sock(struct flows *f, flow_id id, uint64_t sk, nsec_t start);
/* The backend of a translation; *ret_changed tells whether that is news. 0 or -ENOMEM. */
int table_translate(struct flows *f, flow_id id, const struct flows_endpoint *asked,
		    const struct flows_endpoint *backend, bool by_nat);
/* The other side of a masquerade (flow_rec.mask). 0 or -ENOMEM. */
int table_set_mask(struct flows *f, flow_id id, const struct flows_endpoint *mask);
uint32_t table_tuple_hash(const struct flows *f, enum flow_proto proto, const struct addr *laddr,
			  uint16_t lport, const struct addr *raddr, uint16_t rport);
/* The address that the flow's own program uses. */
struct flows_endpoint table_asked(const struct flows *f, const struct flow_rec *r);
/* A change that cursors are to see; nothing while the flow is not released. */
void table_changed(struct flows *f, flow_id id);
void table_done(struct flows *f);
void list_append(struct flows *f, struct id_list *l, enum flow_link k, flow_id id);
void list_remove(struct flows *f, struct id_list *l, enum flow_link k, flow_id id);

/* tombs.c */
/* It was here, and ended. */
bool table_was(struct flows *f, uint64_t sk, nsec_t start);
void table_entomb(struct flows *f, uint64_t sk, nsec_t start, enum tomb_of of);
/* The same of a live flow's socket. */
void table_entomb_live(struct flows *f, uint64_t sk, nsec_t start, enum tomb_of of);
/* A socket of the map that cannot be told of yet, and is open; it is told of, or has ended. */
void table_opening(struct flows *f, uint64_t sk, nsec_t start);
void table_opened(struct flows *f, uint64_t sk, nsec_t start);
/* Two polls in a row showed no entry of an evicted flow: its end will not be told. One showed none
 * of a socket that was opening: it is not. */
void tombs_poll_end(struct flows *f);
/* The entry of an evicted flow is gone from the kernel. */
void table_unentomb(struct flows *f, uint64_t sk, nsec_t start);

/* tcp.c */
int tcp_record(struct flows *f, nsec_t now, const struct abi_tcp *t);
void tcp_bad_record(struct flows *f, struct str record);

/* found.c */
/* The flow found before that this is, which is no longer one found; 0: none. */
flow_id found_join(struct flows *f, const struct abi_sock *s);

#define MISSED_POLLS 2 /* in a row: between two the ring was read to its end */

/* udp.c */
void udp_drop(struct flows *f, const struct abi_udp_key *k, uint64_t drops);
void udp_entomb(struct flows *f, flow_id id);
/* Of a flow that is freed. */
void udp_join_free(struct flows *f, struct flow_rec *r);
void udp_done(struct flows *f);
flow_id udp_find(const struct flows *f, const struct abi_udp_key *k);
int udp_start(struct flows *f, nsec_t now, const struct abi_udp_key *k, const struct abi_udp *u,
	      flow_id *ret);
/* The tomb of an entry of the map. */
uint64_t udp_key_sk(const struct flows *f, const struct abi_udp_key *k);
/* Its counters are these now. */
void udp_count(struct flows *f, flow_id id, const struct abi_udp *u);

/* udp_join.c */
/* The conversation that an entry under a backend's address belongs to, made where needed. 0 with
 * *ret 0: it is one of its own. -ENOMEM. */
int udp_join(struct flows *f, nsec_t now, const struct abi_udp_key *k, const struct abi_udp *u,
	     flow_id *ret);
/* One of a joined conversation's two entries, as flows_udp. */
bool udp_join_told(struct flows *f, nsec_t now, flow_id id, enum udp_part_of which,
		   const struct abi_udp *u);
/* It is evicted: what its entries say from now on is known. False: it has one entry only. */
bool udp_join_entomb(struct flows *f, flow_id id);

/* twins.c */
void twins_find(struct flows *f, flow_id id);
void twins_part(struct flows *f, flow_id id);

/* nat_decide.c */
/* Looks for the flow's translation, now or when conntrack has been read up to it. */
void nat_apply(struct flows *f, flow_id id);
/* A new flow: it may end the doubt of others. */
void nat_wake(struct flows *f, flow_id id);
/* nat.c */
void nat_tick(struct flows *f, nsec_t now);
/* conntrack told that who connects from `from` to `asked` talks to `backend`. */
bool nat_leads(const struct flows *f, enum flow_proto proto, const struct flows_endpoint *from,
	       const struct flows_endpoint *asked, const struct flows_endpoint *backend);
void nat_done(struct flows *f);

/* spaces.c */
int spaces_new(struct flows *f);
/* The local end of that flow was named. */
/* Of a pod's uid; 0: the host's services. */
uint64_t spaces_who(const struct flows *f, struct str uid);
void spaces_note(struct flows *f, const struct flow_rec *r);
void spaces_done(struct flows *f);
size_t spaces_bytes(void);

/* ends.c */
/* Finds or makes the names and takes a reference: 0, -ENOMEM, -EMSGSIZE. */
int ends_get(struct flows *f, const struct flow_end *e, uint32_t *ret);
void ends_put(struct flows *f, uint32_t id);

/* pending.c */
void pending_fresh(struct flows *f, flow_id id);
/* Its remote end may be named better now; nothing while it is not released. */
void pending_again(struct flows *f, flow_id id);
/* It has ended: true when it is to be reported at once. */
bool pending_ended(struct flows *f, flow_id id);
/* Out of every queue. */
void pending_leave(struct flows *f, flow_id id);
/* Released with what there is: a bound takes it. */
void pending_force(struct flows *f, flow_id id);
void pending_wake_node(struct flows *f, cgroup_ix ix);
/* When the next one has waited long enough; NSEC_NEVER. */
nsec_t pending_due(const struct flows *f);

/* log.c */
void log_touch(struct flows *f, flow_id id);
void log_remove(struct flows *f, flow_id id);
/* Tells cursors that were not done with it, then frees it. */
void log_drop(struct flows *f, flow_id id);
void log_tick(struct flows *f);
void log_done(struct flows *f);

/* cgroups.c */
cgroup_ix cgroups_find(const struct flows *f, uint64_t id);
/* A reference to the node of that id, made (awaited) where it is not known. 0 with *ret 0: no id,
 * or no room. -ENOMEM. */
int cgroups_hold(struct flows *f, uint64_t id, cgroup_ix *ret);
void cgroups_put(struct flows *f, cgroup_ix ix);
/* The one of the two that counts; 0 while one that may still be told of could count more, except
 * when `late`. */
cgroup_ix cgroups_choose(const struct flows *f, const uint32_t ix[2], bool late);
/* Where a flow of these waits for a pod, or to be told of the directory. */
cgroup_ix cgroups_waits_at(const struct flows *f, const uint32_t ix[2]);
bool cgroups_awaited(const struct flows *f, const uint32_t ix[2]);
void cgroups_gone(struct flows *f, nsec_t now, uint64_t id);
nsec_t cgroups_tick(struct flows *f, nsec_t now);
void cgroups_done(struct flows *f);

/* cgroup_says.c */
/* What the node and all below it are, after its parent or name became known. 0 or -ENOMEM. */
int says_settle(struct flows *f, cgroup_ix ix);
void says_forget(struct flows *f, cgroup_ix ix);
struct str says_container_id(const struct flows *f, const struct cg_node *n);
uint32_t says_container_hash(const struct flows *f, struct str id);
uint32_t says_pod_hash(pool_id uid);

/* procs.c */
/* A process that has a socket. `made`: 0 or the record's time. */
void procs_seen(struct flows *f, nsec_t at, uint32_t pid, const uint8_t comm[ABI_COMM_MAX],
		const uint64_t cgroup_id[2]);
void procs_exit(struct flows *f, nsec_t now, const struct abi_proc *p);
void procs_move(struct flows *f, nsec_t now, const struct abi_proc *p);
nsec_t procs_tick(struct flows *f, nsec_t now);
void procs_done(struct flows *f);

/* names.c */
int names_new(struct flows *f);
int names_packet(struct flows *f, nsec_t now, const struct abi_dns *d);
nsec_t names_tick(struct flows *f, nsec_t now);
void names_done(struct flows *f);
size_t names_bytes(const struct flows *f);
void names_figures(const struct flows *f, struct flows_stats *ret);
