/*
 * Between nat.c, which keeps translations, and nat_decide.c, which says whose they
 * are. Not for others.
 */
#pragma once

#include "flow/state.h"

#define NAT_MAX_A_KEY 256U

/* (from, asked), by which a client's flow is found, or (backend, seen_as), a server's. */
struct nat_key {
	struct flows_endpoint a, b;
	enum flow_proto proto;
	bool reply;
};

struct nat_rec *nat_at(const struct flows *f, uint32_t id);
bool nat_same_end(const struct flows_endpoint *a, const struct flows_endpoint *b);
struct nat_key nat_key_of(const struct nat_rec *n, bool reply);
/* Translations of a key in the order in which they were made; more than NAT_MAX_A_KEY: too many. */
uint32_t nat_collect(const struct flows *f, const struct nat_key *k, uint32_t ret[NAT_MAX_A_KEY]);
/* The flow is decided when conntrack has been read up to it. */
void nat_wait(struct flows *f, flow_id id);
/* Everything that can be the flow's translation has been told of. */
bool nat_is_read(const struct flows *f, const struct flow_rec *r);
void nat_decide(struct flows *f, flow_id id);
/* Flows that a new translation may be of. */
void nat_tell(struct flows *f, uint32_t nat);
void nat_doubt(struct flows *f, flow_id id, bool doubt);
