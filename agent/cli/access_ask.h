/*
 * Asks the API server for every permission that a configuration needs, on a loop of its
 * own, gently (--api-qps, --api-burst), and waits for the answers; how far it is shows on a
 * terminal (progress.h).
 */
#pragma once

#include "cli/access_rows.h"

#define ACCESS_MAX_QUESTIONS 20000 /* over it the check gives up */

struct access_asked { /* owns everything in it */
	struct access_rows rows;
	char *user;   /* who asked, as the server says; NULL: it does not say */
	char *source; /* where: "https://10.0.0.1:443 (service account)" */
	struct access needed;
	struct catalog *catalog;
};

/* `c` must outlive it. 0, or -errno with a sentence: no credentials, no server, no answer that is
 * one. */
int access_ask(const struct agent_config *c, struct access_asked *ret, struct buf *ret_error);
void access_asked_done(struct access_asked *a);
