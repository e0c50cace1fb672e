/*
 * What is told of the vector databases: for people and programs that ask (/api/v1/sinks), as
 * Prometheus' series, and in the log.
 */
#pragma once

#include "base/buf.h"
#include "cli/agent_vector.h"

struct json_out;
struct ready;

/* One object for each database. Take NULL. */
void vector_put_sinks(struct agent_vector *v, struct json_out *j);
/* 0, -EMSGSIZE or -ENOMEM. The families are there even without databases. */
int vector_series(struct agent_vector *v, struct buf *out);
void vector_figures(struct agent_vector *v);
size_t vector_bytes(struct agent_vector *v);
/* A condition of readiness for each. */
void vector_ready(struct agent_vector *v, nsec_t now, nsec_t grace, struct ready *r);
