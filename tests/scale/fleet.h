/*
 * Agents in virtual time: each with the core, the owner reader, the budget and the
 * session that the program has, driven as its shell drives them. What goes out to the
 * reducer is taken at once and counted.
 */
#pragma once

#include "core/core.h"
#include "tests/scale/server.h"

#define FLEET_WATCHES 3

struct fleet;

struct fleet_agent {
	struct fleet *fleet;
	uint32_t index;
	struct core *core; /* NULL: not running */
	struct budget budget;
	struct ask watches[FLEET_WATCHES], reads[OWNERS_MAX_PARALLEL];
	nsec_t due, started;
	bool leads;	/* the reducer is told */
	uint32_t known; /* of its pods: those whose workload is known */
	nsec_t synced,
		complete;   /* when the first list and the last workload were there; 0: not yet */
	nsec_t first_epoch; /* when bytes for the reducer went out first since it leads */
	uint64_t bytes_in, bytes_out;
	char node[32];
};

struct fleet_opts {
	uint32_t agents;
	bool cluster; /* each watches all of it; else a node each */
	uint32_t pods, owners;
	nsec_t start_jitter;
	struct apf_opts level;
	uint32_t list_width;
	uint64_t seed;
	/* A pod's workload became known, so long after its agent was started; may be NULL. */
	void (*known)(void *ctx, nsec_t after);
	void *ctx;
};

struct fleet *fleet_new(const struct fleet_opts *o);
void fleet_free(struct fleet **f);

void fleet_start(struct fleet *f, uint32_t index, bool leads);
void fleet_kill(struct fleet *f, uint32_t index);
/* Tells the reducer, or (false) stops it at once. */
void fleet_lead(struct fleet *f, uint32_t index, bool leads);
struct fleet_agent *fleet_agent(struct fleet *f, uint32_t index);
struct server *fleet_server(struct fleet *f);
nsec_t fleet_now(const struct fleet *f);

/* Runs until `until`, or (earlier) until `enough` says so. An event of others (fleet_event) is told
 * by `other`. Both may be NULL. */
void fleet_run(struct fleet *f, nsec_t until, bool (*enough)(void *ctx),
	       void (*other)(void *ctx, uint32_t id), void *ctx);
void fleet_event(struct fleet *f, nsec_t at, uint32_t id);
