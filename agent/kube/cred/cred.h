/*
 * Where the API server is and how to be let in. Resolved once from options, in
 * this order: --api-server with its files; --kubeconfig; the pod's service
 * account; $HOME/.kube/config. Files are read again when they change (kubelet
 * swaps a symlink, so they are looked up by path), exec plugins run again before
 * their credential expires; both after a 401. Secrets are never logged.
 *
 * A shell: it reads files, runs plugins on the loop, and logs a file that went
 * bad (the bytes read before stay in use).
 */
#pragma once

#include "base/buf.h"
#include "base/clock.h"
#include "http/http.h"

#include <stdbool.h>

struct event_base;
struct kube_cred;

#define KUBE_SERVICE_ACCOUNT "/var/run/secrets/kubernetes.io/serviceaccount"

/* Texts are copied; NULL and "" mean not given. */
struct kube_cred_opts {
	struct event_base *base; /* for exec plugins; must outlive the kube_cred */
	const char *api_server;	 /* http:// or https:// URL */
	const char *token_file;	 /* these four go with api_server only */
	const char *ca_file;
	const char *client_cert;
	const char *client_key;
	const char *kubeconfig;	     /* a path, or several with ':' between */
	const char *context;	     /* in the kubeconfig; NULL: its current-context */
	const char *service_account; /* folder with token and ca.crt; NULL: KUBE_SERVICE_ACCOUNT */
	nsec_t exec_timeout;	     /* 0: 30 s */
	/* Called on the loop, never inside a call of the user's, when a PENDING answer of
	 * kube_cred_get is settled, well or not: ask again. May be NULL. */
	void (*ready)(void *ctx);
	void *ctx;
};

/* What a request needs. Borrowed until the next call with this kube_cred or the next turn of the
 * loop; http_start copies it. */
struct kube_access {
	const char *url; /* scheme, host, port, path prefix; no slash at the end */
	const struct http_field *headers;
	size_t n_headers; /* Authorization, or none */
	const struct http_tls *tls;
	const char *proxy; /* as http_request.proxy */
};

enum kube_cred_state {
	KUBE_CRED_READY,   /* ret is filled */
	KUBE_CRED_PENDING, /* a plugin runs; `ready` follows */
	KUBE_CRED_FAILED,  /* kube_cred_error says why; later calls try again */
};

/*
 * Reads all files. 0, -ENOMEM, -EINVAL (nothing found, contradicting options, a
 * bad file) or the errno of a file that cannot be read; every failure leaves one
 * line for people in ret_error.
 */
int kube_cred_new(const struct kube_cred_opts *o, struct kube_cred **ret, struct buf *ret_error);
/* Ends a plugin that runs. */
void kube_cred_free(struct kube_cred **c);

/* exec_timeout of the next runs; 0: the default. */
void kube_cred_tune(struct kube_cred *c, nsec_t exec_timeout);

/* Looks at the files at most once a second. `now` is monotonic. */
enum kube_cred_state kube_cred_get(struct kube_cred *c, nsec_t now, struct kube_access *ret);
/* The server answered 401: files are read and the plugin is run anew, whatever their age, unless
 * that was done within the last KUBE_CRED_REFUSED_MIN (many requests are refused together). */
void kube_cred_refused(struct kube_cred *c, nsec_t now);
#define KUBE_CRED_REFUSED_MIN (1 * NSEC_PER_SEC)

/* Why the last attempt failed; "" when it did not. Borrowed until the next call. */
const char *kube_cred_error(const struct kube_cred *c);
/* In words, for one line of log: "https://10.0.0.1:443 (service account)". Borrowed; no secrets. */
const char *kube_cred_source(const struct kube_cred *c);
