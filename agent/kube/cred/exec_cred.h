/*
 * Credential plugins: a program that prints an ExecCredential
 * (client.authentication.k8s.io/v1 or v1beta1, as client-go runs them). One
 * struct exec_cred is one run, on the loop, bounded in time and output.
 */
#pragma once

#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

struct event_base;
struct exec_cred;

#define EXEC_CRED_TIMEOUT    (30 * NSEC_PER_SEC)
#define EXEC_CRED_MAX_OUTPUT (1024 * 1024) /* bytes on standard output; more ends the run */

/* What the kubeconfig says about the plugin. Owned texts; see kubeconfig.h. */
struct exec_config {
	char *api_version; /* "client.authentication.k8s.io/v1" or ".../v1beta1" */
	char *command;	   /* a name for PATH, or a path that has been made absolute */
	char **args;	   /* NULL-terminated, without the command; may be NULL */
	char **env;	   /* "NAME=value", NULL-terminated; may be NULL */
	char *install_hint;
	bool cluster_info; /* provideClusterInfo */
};
void exec_config_done(struct exec_config *c);

/* The cluster as the plugin is told about it with provideClusterInfo. */
struct exec_cluster {
	const char *server, *server_name, *proxy; /* the last two may be NULL */
	struct str ca;				  /* PEM */
	bool insecure;
};

/* What a plugin gave. A token, or a certificate with its key, or all three; the rest NULL. */
struct exec_answer {
	char *token;
	char *cert, *key; /* PEM */
	nsec_t expires;	  /* monotonic; NSEC_NEVER when it did not say */
};
/* Wipes and frees. */
void exec_answer_done(struct exec_answer *a);

struct exec_cred_opts {
	struct event_base *base;
	const struct exec_config *config;   /* copied as far as needed: may go after the start */
	const struct exec_cluster *cluster; /* the same */
	nsec_t timeout;			    /* 0: EXEC_CRED_TIMEOUT */
	size_t max_output;		    /* 0: EXEC_CRED_MAX_OUTPUT */
	/* Once, on the loop, unless cancelled; the run is gone when it returns. r is 0 and *a is
	 * the user's to keep (and *a then to be zeroed), or r < 0 and `error` is a line for
	 * people. */
	void (*done)(void *ctx, int r, struct exec_answer *a, const char *error);
	void *ctx;
};

/* Starts the program. 0, or a negative errno with a line in ret_error (not found, not executable).
 */
int exec_cred_start(const struct exec_cred_opts *o, struct exec_cred **ret, struct buf *ret_error);
/* NULL-safe, sets *x = NULL. Kills what still runs; no callback comes. */
void exec_cred_cancel(struct exec_cred **x);

/*
 * Reads an ExecCredential. `wall` and `mono` are the present, in both clocks.
 * 0, -ENOMEM, -EBADMSG (with a line in ret_error that quotes no secret) or
 * -ESTALE (already expired; the same).
 */
int exec_answer_parse(struct str json, const char *api_version, nsec_t wall, nsec_t mono,
		      struct exec_answer *ret, struct buf *ret_error);
