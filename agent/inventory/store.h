/*
 * The inventory from the inside, for the files of this room alone.
 *
 *   store.c    the whole: making, freeing, uids and names as keys, figures
 *   body.c     the variable part of a pod: containers, addresses, name
 *   pods.c     pods and their indexes
 *   claims.c   who may have had an address, and static pods
 *   owners.c   owners, the tree of references, who is touched by a change
 *   changes.c  the change log, cursors, dead pods
 *   places.c   Services and Nodes by address
 *   sources.c  generations of lists and their sweep
 */
#pragma once

#include "base/hash.h"
#include "base/index.h"
#include "base/intern.h"
#include "base/pool.h"
#include "inventory/inventory.h"
#include "inventory/places.h"

/* A uid as a key: 16 bytes, or for UID_OTHER the id of its interned text in the first four. */
struct uid_key {
	struct uid uid;
	enum uid_form form;
};

#define INVENTORY_MAX_SCHEMES 8 /* ids of further runtimes are kept as text */

enum id_form { ID_NONE, ID_HEX64, ID_TEXT };

struct container_rec {
	uint8_t id[32]; /* ID_HEX64: the digest; ID_TEXT: the interned text in the first four */
	pool_id name, image;
	uint8_t scheme; /* ID_HEX64: 1-based index into the inventory's schemes ("containerd") */
	uint8_t id_form : 2, type : 2, state : 2;
	uint8_t marks; /* one bit a cursor */
};

struct addr_rec { /* an address the pod has */
	struct addr ip;
	nsec_t from;
};
struct former_rec { /* one that it had */
	struct addr ip;
	nsec_t from, to;
	nsec_t heard; /* it surely had it until then: see inv_claim */
};

/* The variable part of a pod, one allocation:
 * addrs[n_addrs], former[n_former], containers[n_containers], name[name_len], hash[hash_len]. */
struct pod_body {
	uint32_t bytes;
	uint16_t n_containers, name_len;
	uint16_t n_addrs, n_former;
	uint16_t hash_len; /* a static pod's config hash; 0 for all others */
	_Alignas(8) char data[];
};

enum pod_flag {
	POD_HOST_NETWORK = 1 << 0,
	POD_DEAD = 1 << 1,
	POD_WAS_ANNOUNCEABLE = 1 << 2,
	POD_LISTED = 1 << 3, /* a list told of an address: it may be older than any delay */
};

struct pod_rec {
	struct uid uid;
	pool_id ns, node;
	owner_id owner;
	pod_id sib_prev, sib_next; /* among the pods of the owner */
	pod_id log_prev, log_next;
	union {
		struct {
			uint16_t source, gen; /* of a live pod */
		};
		uint32_t dead; /* of a dead one: its dead_rec */
	};
	uint8_t uid_form, phase, flags;
	uint8_t done;	  /* one bit a cursor: needs the dead pod no more */
	uint32_t running; /* Unix seconds: one of its containers ran at the end of this second; 0 */
	struct pod_body *body;
};

/* What only dead pods have. */
struct dead_rec {
	pod_id pod;
	uint32_t prev, next;
	nsec_t died;
	nsec_t heard; /* it surely lived until then */
};

struct owner_rec {
	struct uid uid;
	pool_id api_version, kind_text, ns;
	owner_id parent, first_owner; /* first_owner: head of the owners below */
	pod_id first_pod;	      /* head of the pods below */
	owner_id sib_prev, sib_next;
	uint16_t source, gen, name_len;
	uint8_t uid_form, kind, state;
	char *name;
};

struct source {
	uint16_t gen;
	bool listing; /* between list_begin and list_end */
	nsec_t heard; /* the last event outside of a list: since then nothing is sure until a list
		       * tells it */
};

struct inv_cursor {
	const struct inv_cursor_ops *ops;
	void *ctx;
	pod_id pos; /* the pod passed last; 0: before the first */
	place_id place_pos;
	uint8_t bit;
};

struct inventory {
	struct inventory_opts opts;
	struct hash_seed seed;
	struct intern strings;
	struct pool pods, owners, graves;
	struct index by_uid, by_name, by_container, by_address, by_static, owner_by_uid;
	struct places places;
	struct id_list log;  /* of pods, the one that changed last at the end */
	struct id_list dead; /* of dead_recs, oldest first */
	struct inv_cursor *cursors[INVENTORY_MAX_CURSORS];
	uint8_t cursor_mask;
	struct source *sources;
	uint16_t n_sources;
	nsec_t listed_at;			/* when a list ended last */
	uint64_t edition;			/* see inventory_edition */
	pool_id schemes[INVENTORY_MAX_SCHEMES]; /* runtimes that container ids name; held for good
						 */
	size_t body_bytes, name_bytes;
	uint32_t n_containers;
	struct inventory_stats stats; /* the counters; gauges are filled on request */
};

static inline struct pod_rec *pod_at(const struct inventory *v, pod_id id)
{
	return pool_at(&v->pods, id);
}
static inline struct owner_rec *owner_at(const struct inventory *v, owner_id id)
{
	return pool_at(&v->owners, id);
}

/* store.c */
uint32_t store_hash(const struct inventory *v, const void *p, size_t n);
/* Of an address: SipHash takes 18 ns for these 16 bytes, half of a look-up; hash_numbers takes two,
 * and nobody chooses addresses freely. */
static inline uint32_t store_addr_hash(const struct inventory *v, const struct addr *ip)
{
	uint64_t half[2];

	memcpy(half, ip->b, sizeof(half));
	return (uint32_t)hash_numbers(&v->seed, half[0], half[1]);
}
/* The key of a uid that is held already; false when nobody can hold it. Takes no reference. */
bool store_uid_find(const struct inventory *v, struct str text, struct uid_key *ret);
/* The key of a uid to be held; takes a reference on interned text. */
int store_uid_get(struct inventory *v, struct str text, struct uid_key *ret);
void store_uid_put(struct inventory *v, const struct uid_key *k);
void store_uid_print(const struct inventory *v, enum uid_form form, const struct uid *u,
		     char out[UID_TEXT_MAX + 1]);
pool_id store_text_id(const uint8_t b[4]);

/* body.c */
/* A new body from the object; `old` (or NULL) gives marks and address times. Takes references on
 * interned strings. 0, -ENOMEM, -EMSGSIZE. */
/* `heard`: the addresses that are gone were surely the pod's until then. */
int body_new(struct inventory *v, const struct object *o, const struct pod_body *old, nsec_t now,
	     nsec_t heard, struct pod_body **ret);
void body_free(struct inventory *v, struct pod_body **b);
bool body_same(const struct pod_body *a, const struct pod_body *b);
struct container_rec *body_containers(const struct pod_body *b);
struct addr_rec *body_addrs(const struct pod_body *b);
struct former_rec *body_former(const struct pod_body *b);
struct str body_name(const struct pod_body *b);
/* A static pod's config hash; empty for all others. */
struct str body_hash(const struct pod_body *b);
uint32_t body_id_hash(const struct inventory *v, const struct container_rec *c);

/* pods.c */
void pods_free_one(struct inventory *v, pod_id id);
/* `heard`: until when it surely lived; `now` when its end was told by itself. */
void pods_kill(struct inventory *v, pod_id id, nsec_t now, nsec_t heard);
/* i < n_addrs + n_former of its body: those it has, then those it had. Death ends all. */
struct inv_addr pods_addr(const struct inventory *v, const struct pod_rec *p, uint32_t i);
/* Of two candidates the live one, else the one that died later. Either may be 0. */
pod_id pods_better(const struct inventory *v, pod_id a, pod_id b);

/* owners.c */
/* Finds or makes the owner that a reference names. */
int owners_refer(struct inventory *v, const struct owner_ref *ref, pool_id ns, owner_id *ret);
void owners_link_pod(struct inventory *v, owner_id owner, pod_id pod);
void owners_unlink_pod(struct inventory *v, pod_id pod);
/* Frees an owner that nothing needs, and those above it. */
void owners_release(struct inventory *v, owner_id id);
void owners_delete(struct inventory *v, owner_id id);
void owners_done(struct inventory *v);

/* changes.c */
void changes_touch(struct inventory *v, pod_id id);
void changes_remove(struct inventory *v, pod_id id);
/* Says so to every cursor. */
void changes_freed(struct inventory *v, pod_id id);
/* When the pod died; NSEC_NEVER while it lives. */
nsec_t dead_since(const struct inventory *v, const struct pod_rec *p);
/* Until when it surely lived; NSEC_NEVER while it lives. */
nsec_t dead_heard(const struct inventory *v, const struct pod_rec *p);
void dead_add(struct inventory *v, pod_id id, nsec_t now, nsec_t heard);
void dead_remove(struct inventory *v, pod_id id);
