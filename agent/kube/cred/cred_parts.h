/*
 * Credentials from the inside:
 *
 *   cred.c         what is asked for, by turns of time; making
 *   cred_source.c  where the API server is: options, kubeconfig, service account
 *   cred_files.c   tokens and certificates in files, read again when they change
 *   cred_plugin.c  runs of a credential plugin, before its answer expires
 */
#pragma once

#include "http/watched_file.h"
#include "kube/cred/cred.h"
#include "kube/cred/exec_cred.h"
#include "kube/cred/kubeconfig.h"

#define CRED_ERROR_MAX 1024 /* bytes of an error text, cut */

struct kube_cred {
	struct kube_cred_opts o; /* base, timeout, ready, ctx; its texts are gone */
	char *url;
	char source[512];
	struct kubeconfig *config; /* NULL: none is used */
	/* Paths NULL where there is no file. */
	struct watched_file token, ca, cert, key;
	char *authorization; /* "Bearer ...", or NULL */
	struct http_field header;
	struct http_tls tls;
	struct str cert_pem, key_pem; /* of files or kubeconfig; a plugin's come before them */
	nsec_t looked, refused;

	struct exec_cred *run; /* under way, or NULL */
	bool waiting;	       /* somebody was told PENDING */
	bool have_answer;
	struct exec_answer answer;
	nsec_t renew_at, retry_at;
	nsec_t pause;

	char error[CRED_ERROR_MAX];
	char logged[CRED_ERROR_MAX]; /* the last complaint, so that it is made once */
};

/* cred.c */
/* Takes the heap text over; NULL: none. The one before is wiped. */
void cred_authorize(struct kube_cred *c, char *value);
/* "Bearer TOKEN": 0 or -ENOMEM. */
int cred_bearer(struct kube_cred *c, struct str token);

/* cred_source.c */
int cred_resolve(struct kube_cred *c, const struct kube_cred_opts *o, struct buf *e);

/* cred_files.c */
/* Paths may be NULL or empty. 0 or -ENOMEM. */
int cred_name_files(struct kube_cred *c, const char *token, const char *ca, const char *cert,
		    const char *key);
/* Reads them all: 0, or a negative errno with a line in `e`. */
int cred_load(struct kube_cred *c, struct buf *e);
/* Reads those that have changed, or all. What cannot be used is told and the old stays. */
void cred_look(struct kube_cred *c, bool all);

/* cred_plugin.c */
enum kube_cred_state cred_plugin_get(struct kube_cred *c, nsec_t now);
