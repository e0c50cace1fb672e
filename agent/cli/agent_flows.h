/*
 * The flow side of a running agent, wired: the kernel's programs feed the flow
 * table, core/attribute names it, sinks and questions read it. No decision about
 * data is made here.
 */
#pragma once

#include "config/agent_options.h"
#include "core/core.h"
#include "flow/flows.h"
#include "match/end.h"

struct agent_flows;
struct event_base;
struct jsonl;
struct probe;

#define AGENT_FLOWS_OFF_MAX 512

struct agent_flows_opts {
	const struct agent_config *cfg; /* borrowed */
	struct event_base *base;
	bool standby; /* the output is opened, to see that it can be, and closed until it leads */
	void (*changed)(void *ctx); /* for the sinks that are not owned here */
	void *ctx;
};

/* Loads the programs and drops capabilities. 0 with *ret NULL: flows are off, `ret_off` says why.
 * Negative: --flows on, and they do not load (logged), or no memory. */
int agent_flows_new(const struct agent_flows_opts *o, struct agent_flows **ret,
		    char ret_off[AGENT_FLOWS_OFF_MAX]);
/* After core_free: the session follows the table. */
void agent_flows_free(struct agent_flows **f);
/* Before core_free: lets go of the inventory. NULL-safe. */
void agent_flows_leave(struct agent_flows *f);
/* The table that the session tells of. */
struct flows *agent_flows_table(struct agent_flows *f);
const struct probe *agent_flows_probe(const struct agent_flows *f);
/* NULL: not asked for, or this agent does not lead. */
const struct jsonl *agent_flows_jsonl(const struct agent_flows *f);
/* This agent leads: the output begins with the flows there are. 0 or -errno, logged. */
int agent_flows_lead(struct agent_flows *f);
/* It leads no more: nothing further is written. */
void agent_flows_drop(struct agent_flows *f);
/* The configuration has changed: limits, times and, where this agent `leads`, the output. */
void agent_flows_tune(struct agent_flows *f, bool leads);
/* Names come from the core's inventory from here on. Once, before the start; what `scope` points to
 * is borrowed. 0, or negative and logged. */
int agent_flows_join(struct agent_flows *f, struct core *core, const struct end_scope *scope);
/* The scope in use: what changes while the agent runs is changed there. */
struct end_scope *agent_flows_scope(struct agent_flows *f);
/* One line: tier, cgroups, and each feature that is off with the reason. */
void agent_flows_describe(const struct agent_flows *f, struct buf *out);
void agent_flows_start(struct agent_flows *f);
/* The inventory has changed: flows may wait for it. Cheap. */
void agent_flows_wake(struct agent_flows *f);
/* SIGHUP: the output file is opened again. */
void agent_flows_reopen(struct agent_flows *f);
/* What the kernel holds is read and given to the sinks; nothing is read any more. */
void agent_flows_stop(struct agent_flows *f);
