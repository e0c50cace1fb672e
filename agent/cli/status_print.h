/*
 * What an agent says of itself, on one screen or as JSON. Pure text; no I/O.
 */
#pragma once

#include "base/buf.h"
#include "base/clock.h"
#include "cli/sheet.h"

#include <jansson.h>

struct status {
	const char *where;   /* the agent was asked */
	const json_t *ready; /* the answer of /readyz?output=json */
	struct str metrics;  /* the page of /metrics */
	uint64_t pods, workloads;
	nsec_t now; /* wall clock */
};

bool status_is_ready(const struct status *s);
/* 0, -EBADMSG (that is no answer of /readyz), -EMSGSIZE or -ENOMEM. */
int status_text(const struct status *s, const struct sheet_look *look, struct buf *out);
/* {"ready", "version", "commit", "uptime_seconds", "flows", "conditions": [{"name", "ok",
 * "message", "advice"}], "remarks": [{"what", "advice"}], "figures": {NAME: NUMBER}} */
int status_json(const struct status *s, struct buf *out);
