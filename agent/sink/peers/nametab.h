/*
 * Names that the feed's records use, each told once: namespaces, nodes, kinds, and
 * workloads (namespace, kind and name). A name's id never comes again in a feed; one
 * that nobody uses any more is idle until it is dropped.
 */
#pragma once

#include "base/hash.h"
#include "base/index.h"
#include "base/pool.h"
#include "peers/peerfeed.h"

#include <stdbool.h>
#include <stdint.h>

typedef pool_id name_ix; /* 0: none */

struct nametab {
	struct pool pool;
	struct index index;
	struct hash_seed seed;
	name_ix *idle;
	uint32_t n_idle, cap_idle;
	uint32_t last_id;
	size_t text_bytes;
};

struct nametab_name {
	uint32_t id; /* the feed's */
	name_ix ns, kind;
	struct str text;
	uint32_t mark; /* the user's: which whole has it */
};

void nametab_init(struct nametab *t);
void nametab_done(struct nametab *t);
/* Finds or adds it and takes a reference. `ns` and `kind` 0: a plain text. *ret_new: it is to be
 * told. 0, -ENOMEM, or -EMSGSIZE (it is too long, or the ids are used up). */
int nametab_get(struct nametab *t, name_ix ns, name_ix kind, struct str text, name_ix *ret,
		bool *ret_new);
void nametab_put(struct nametab *t, name_ix ix);
/* Borrowed until the next call. */
struct nametab_name nametab_at(const struct nametab *t, name_ix ix);
void nametab_set_mark(struct nametab *t, name_ix ix, uint32_t mark);
uint32_t nametab_id(const struct nametab *t, name_ix ix);
/* Walks all: start with 0, ends with 0. */
name_ix nametab_next(const struct nametab *t, name_ix ix);
/* Frees one that is idle: its id; 0: none is. */
uint32_t nametab_drop(struct nametab *t);
size_t nametab_bytes(const struct nametab *t);
