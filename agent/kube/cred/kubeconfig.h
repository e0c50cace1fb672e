/*
 * kubeconfig files: from YAML to the one cluster and user that a context names.
 * Several files are merged as kubectl does: of what is named twice, the first
 * file's counts. Certificates and tokens in files are named here, not read.
 *
 * What is refused, in words: basic auth, auth-provider, impersonation, plugins
 * that need a terminal. What is not known is ignored, as kubectl does.
 */
#pragma once

#include "base/buf.h"
#include "base/str.h"
#include "kube/cred/exec_cred.h"

#include <stdbool.h>

#define KUBECONFIG_MAX_FILE    (1024 * 1024) /* bytes; a larger file is refused */
#define KUBECONFIG_MAX_FILES   16	     /* in one list; more are refused */
#define KUBECONFIG_MAX_DEPTH   64	     /* of YAML nesting; deeper is refused */
#define KUBECONFIG_MAX_ALIASES 256	     /* anchors, and aliases; more are refused */

/* A PEM text, given in place or by a file. At most one of the two is set. */
struct kubeconfig_pem {
	char *data; /* decoded, NUL behind */
	size_t n;
	char *file; /* absolute, or relative to the working folder as the kubeconfig's path is */
};
static inline struct str kubeconfig_pem_str(const struct kubeconfig_pem *p)
{
	return str_make(p->data, p->n);
}

struct kubeconfig {
	char *context, *cluster, *user; /* names; user may be NULL */
	char *server;			/* URL without a slash at its end */
	char *server_name;		/* tls-server-name, or NULL */
	char *proxy;			/* proxy-url, or NULL */
	bool insecure;
	struct kubeconfig_pem ca, cert, key;
	char *token;	  /* in place; NULL when there is a token_file */
	char *token_file; /* or NULL */
	bool has_exec;	  /* and neither token nor token_file */
	struct exec_config exec;
};

/*
 * `paths` is one path or several with ':' between; of several, those that do
 * not exist are passed over. `context` NULL or "": current-context. 0, -ENOMEM,
 * -ENOENT (no such file), -EINVAL; ret_error gets one line with file, line, key
 * and what was expected, never a secret.
 */
int kubeconfig_load(const char *paths, const char *context, struct kubeconfig **ret,
		    struct buf *ret_error);
/* Wipes secrets. NULL-safe, sets *k = NULL. */
void kubeconfig_free(struct kubeconfig **k);
