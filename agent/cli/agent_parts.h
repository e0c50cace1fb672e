/*
 * The parts of a running agent, for agent_run.c (life and loop) and agent_make.c
 * (from options to parts) alone.
 */
#pragma once

#include "base/buf.h"
#include "base/recent_low.h"
#include "cli/agent_flows.h"
#include "cli/agent_lead.h"
#include "cli/agent_node.h"
#include "cli/agent_otlp.h"
#include "cli/agent_peers.h"
#include "cli/agent_publish.h"
#include "cli/agent_resources.h"
#include "cli/agent_sinks.h"
#include "cli/agent_taps.h"
#include "cli/agent_words.h"
#include "cli/config_watch.h"
#include "cli/file_watch.h"
#include "cli/loop_lag.h"
#include "cli/reload.h"
#include "config/agent_options.h"
#include "core/core.h"
#include "kube/budget.h"
#include "kube/client.h"
#include "kube/review.h"
#include "serve/serve.h"
#include "sink/reducer/conn.h"
#include "sink/reducer/hostinfo.h"

#define AGENT_MAX_NAMES 1024

struct agent {
	const struct agent_config *cfg; /* its live options change while the agent runs */
	struct event_base *base;
	struct budget budget;
	struct agent_flows *flows;	   /* NULL: off */
	struct agent_otlp *otlp;	   /* NULL: none, or flows are off */
	struct agent_resources *resources; /* the same */
	struct agent_sinks *sinks;	   /* of resources; the same */
	struct config_watch *config_watch; /* the same */
	struct agent_peers *peers;	   /* the feed of other nodes' ends; NULL: none */
	struct agent_publish *publish;	   /* the same, for others; NULL: off */
	struct file_watch *file_watch;	   /* of the configuration file; the same */
	struct reload *reload;
	struct serve *serve;
	struct match_policy policy;
	struct end_scope scope; /* of names for flows and questions */
	struct recent_low wall; /* wall clock - monotonic */
	struct core *core;
	struct client *client;
	struct review *review; /* of scrapers; NULL: everybody may */
	struct conn *conn;
	struct agent_lead lead;
	struct taps taps;
	struct agent_node node;
	struct agent_words words;
	struct loop_lag lag;
	struct event *signals[3], *tick, *figures;
	struct str namespaces[AGENT_MAX_NAMES], follow[AGENT_MAX_NAMES];
	struct addr addrs[SESSION_MAX_ADDRS];
	uint32_t n_addrs;
	struct session_label labels[5];
	char hostname[HOSTINFO_NAME_MAX];
	char flows_off[AGENT_FLOWS_OFF_MAX]; /* why; "": they are on */
	bool woken;
	bool failed; /* it stops because it cannot go on */
	bool stopping;
	unsigned speaking; /* kinds of sinks that have yet to say their last words */
};

/* agent_run.c */
extern const struct core_ops agent_core_ops;
nsec_t agent_clock(void *ctx);
/* It cannot go on: it stops as by a signal, with EXIT_FAILED. */
void agent_fail(struct agent *a);
/* Flows have changed: their sinks may have something to do. */
void agent_on_flows(void *ctx);

/* agent_start.c: what runs, to the log. */
void agent_say_start(const struct agent *a, const struct options *o);

/* agent_make.c, in the order in which they are called. 0, or negative and mostly logged. */
void agent_fill_policy(struct agent *a, struct match_policy *p);
int agent_make_flows(struct agent *a);
int agent_make_core(struct agent *a, struct buf *error);
int agent_join_flows(struct agent *a);
int agent_make_peers(struct agent *a, struct buf *error);
int agent_make_conn(struct agent *a);
int agent_make_sinks(struct agent *a);
int agent_make_otlp(struct agent *a);
int agent_make_serve(struct agent *a);
int agent_make_client(struct agent *a, struct buf *error);
/* What all watches share. */
void agent_fill_watch(const struct agent *a, struct reflector_opts *o);

/* agent_apply.c */
int agent_make_reload(struct agent *a, struct agent_config *running, const struct options *start);
/* The ConfigMap has another text. */
void agent_on_config(void *ctx, const char *name, struct str text);
void agent_on_config_gone(void *ctx);
/* What names depend on and changes while the agent runs. */
void agent_refresh_scope(struct agent *a);
