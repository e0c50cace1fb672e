/*
 * The OpenTelemetry collector's sink in a running agent: made of options, and what is
 * told of it.
 */
#pragma once

#include "base/buf.h"
#include "base/str.h"
#include "config/agent_options.h"

#include <stddef.h>

struct agent_otlp;
struct event_base;
struct flows;
struct json_out;
struct prom;
struct ready;

struct agent_otlp_opts { /* what it points to must outlive it */
	const struct agent_config *cfg;
	struct event_base *base;
	struct flows *flows; /* NULL: flows are off, and nothing is told, which is logged */
	struct str host;     /* this agent's name, for the resource */
	bool standby;	     /* it is made, to see that it can be, and let go of until it leads */
};

/* 0 with NULL when none is wanted; or -errno, logged. */
int agent_otlp_new(const struct agent_otlp_opts *o, struct agent_otlp **ret);
/* Before the flow table is freed. NULL-safe, sets *o = NULL. */
void agent_otlp_free(struct agent_otlp **o);

/* All take NULL. */
/* This agent leads: it begins with the flows there are. 0 or -errno, logged. */
int agent_otlp_lead(struct agent_otlp *o);
/* It leads no more: nothing further is told. */
void agent_otlp_drop(struct agent_otlp *o);
/* Flows have changed. */
void agent_otlp_changed(struct agent_otlp *o);
/* The configuration has changed. */
void agent_otlp_tune(struct agent_otlp *o);
/* What there is is told, for as long as that takes but not over a bound; then `done`, on a later
 * turn or at once. */
void agent_otlp_stop(struct agent_otlp *o, void (*done)(void *ctx), void *ctx);
/* After agent_otlp_stop: its `done` is called soon, unless it was. */
void agent_otlp_hurry(struct agent_otlp *o);
void agent_otlp_put(const struct agent_otlp *o, struct json_out *j);
void agent_otlp_series(const struct agent_otlp *o, struct prom *p);
void agent_otlp_figures(const struct agent_otlp *o);
size_t agent_otlp_bytes(const struct agent_otlp *o);
/* A condition of readiness for each signal. */
void agent_otlp_ready(const struct agent_otlp *o, nsec_t now, nsec_t grace, struct ready *r);
