/* Faults that no single option has; see agent_check.h. */
#include "cli/agent_check.h"

#include "base/mem.h"
#include "cli/agent_cred.h"
#include "cli/agent_resources.h"
#include "cli/agent_vector.h"
#include "http/http.h"
#include "http/token.h"
#include "http/watched_file.h"
#include "kube/cred/pem.h"
#include "serve/secret.h"
#include "serve/web_tls.h"
#include "sink/filter.h"
#include "sink/otlp/headers.h"

#include <errno.h>
#include <event2/event.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORDS_MAX 4096

struct check {
	struct options *o;
	const struct agent_config *c;
	unsigned what;
	struct event_base *base;
	struct http *http;
};

/* All below: 0 or -ENOMEM. `r` is what a part said, and `words` why; before them the option. */
static int tell(struct check *k, int r, const char *option, const struct buf *words)
{
	if (r == 0 || r == -ENOMEM)
		return r;
	if (words->n)
		return options_fault(k->o, "%s%s%.*s", option, *option ? ": " : "",
				     STR_ARG(buf_str(words)));
	return options_fault(k->o, "%s%s%s", option, *option ? ": " : "", strerror(-r));
}

/* ---- expressions ----------------------------------------------------------------------------- */

static int check_resources(struct check *k)
{
	const struct reflector_opts watch = {.seed = 1};
	const struct agent_resources_opts o = {.cfg = k->c, .base = k->base, .watch = &watch};
	_buf_ struct buf words = {.max = WORDS_MAX};
	struct agent_resources *made = NULL;
	int r = agent_resources_new(&o, &made, &words);

	agent_resources_free(&made);
	return tell(k, r, "", &words);
}

static int check_filter(struct check *k, const char *option, const char *text)
{
	_buf_ struct buf words = {.max = WORDS_MAX};
	struct sink_filter *f = calloc(1, sizeof(*f));
	int r = f ? sink_filter_init(f, str_of(text), &words) : -ENOMEM;

	if (r == 0)
		sink_filter_done(f);
	free(f);
	return tell(k, r, option, &words);
}

static int check_filters(struct check *k)
{
	int r = check_filter(k, "--vector-filter", k->c->vector_filter);

	if (r == 0)
		r = check_filter(k, "--graph-filter", k->c->graph_filter);
	return r < 0 ? r : check_filter(k, "--events-filter", k->c->events_filter);
}

static int check_vectors(struct check *k)
{
	_buf_ struct buf words = {.max = WORDS_MAX};
	const struct agent_vector_opts o = {.cfg = k->c, .base = k->base, .http = k->http};
	int r = agent_vector_check(&o, k->what & AGENT_CHECK_FILES, &words);

	return tell(k, r, "", &words);
}

/* ---- files that are read --------------------------------------------------------------------- */

static int check_credentials(struct check *k)
{
	_buf_ struct buf words = {.max = WORDS_MAX};
	struct kube_cred_opts o = agent_cred(k->c);
	struct kube_cred *cred = NULL;
	int r;

	o.base = k->base;
	r = kube_cred_new(&o, &cred, &words);
	kube_cred_free(&cred);
	return tell(k, r, "", &words);
}

/* A small file, and what `wrong` says of its content. */
static int check_file(struct check *k, const char *option, const char *path,
		      const char *(*wrong)(struct str text))
{
	__attribute__((cleanup(watched_file_done))) struct watched_file f = {0};
	_buf_ struct buf words = {.max = WORDS_MAX};
	const char *why;
	int r = path ? watched_file_init(&f, path) : 0;

	if (!path || r < 0)
		return r;
	r = watched_file_read(&f, "file", &words);
	if (r < 0)
		return tell(k, r, option, &words);
	why = wrong(watched_file_str(&f));
	return why ? options_fault(k->o, "%s: file %s: %s", option, path, why) : 0;
}

/* Whether a service is asked with the databases' token and authorities. */
static bool asks_services(const struct agent_config *c)
{
	if (c->rest_endpoint || c->capabilities)
		return true;
	for (size_t i = 0; i < c->vector.n; i++)
		if (strncmp(c->vector.v[i], "sqlite:", 7) != 0)
			return true;
	for (size_t i = 0; i < c->graph.n; i++)
		if (strncmp(c->graph.v[i], "neo4j:", 6) == 0)
			return true;
	for (size_t i = 0; i < c->events.n; i++)
		if (strncmp(c->events.v[i], "http:", 5) == 0)
			return true;
	return false;
}

static int check_sink_files(struct check *k)
{
	const struct agent_config *c = k->c;
	int r = c->intake_tls ? check_file(k, "--intake-ca-file", c->intake_ca_file,
					   pem_check_authorities)
			      : 0;

	if (r < 0 || !asks_services(c))
		return r;
	r = check_file(k, "--vector-token-file", c->vector_token_file, token_wrong);
	return r < 0 ? r
		     : check_file(k, "--vector-ca-file", c->vector_ca_file, pem_check_authorities);
}

static int check_peers_files(struct check *k)
{
	int r = check_file(k, "--peers-token-file", k->c->peers_token_file, token_wrong);

	return r < 0 ? r
		     : check_file(k, "--peers-ca-file", k->c->peers_ca_file, pem_check_authorities);
}

static int check_otlp_files(struct check *k)
{
	const struct agent_config *c = k->c;
	int r = check_file(k, "--otlp-token-file", c->otlp_token_file, token_wrong);

	if (r == 0)
		r = check_file(k, "--otlp-headers-file", c->otlp_headers_file, headers_text_wrong);
	return r < 0 ? r : check_file(k, "--otlp-ca-file", c->otlp_ca_file, pem_check_authorities);
}

static int check_pair(struct check *k, const char *option, const char *cert, const char *key)
{
	const struct web_tls_opts o = {.cert_file = cert, .key_file = key};
	_buf_ struct buf words = {.max = WORDS_MAX};
	struct web_tls *tls = NULL;
	int r = cert ? web_tls_new(&o, &tls, &words) : 0;

	web_tls_free(&tls);
	return tell(k, r, option, &words);
}

static int check_listen_files(struct check *k)
{
	const struct agent_config *c = k->c;
	const struct secret_opts o = {.file = c->listen_token_file};
	_buf_ struct buf words = {.max = WORDS_MAX};
	struct secret *secret = NULL;
	int r = check_pair(k, "--tls-cert-file", c->tls_cert_file, c->tls_key_file);

	if (r == 0)
		r = check_pair(k, "--probe-tls-cert-file", c->probe_tls_cert_file,
			       c->probe_tls_key_file);
	if (r < 0 || !o.file)
		return r;
	r = secret_new(&o, &secret, &words);
	secret_free(&secret);
	return tell(k, r, "--listen-token-file", &words);
}

/* ---- files that are written ------------------------------------------------------------------ */

/* Whether a file can be opened for writing, or made where it is missing. */
static int check_output(struct check *k, const char *option, const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;
	_free_ char *folder = NULL;
	struct stat st;

	if (!path)
		return 0;
	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return options_fault(k->o, "%s: %s is a folder", option, path);
	if (access(path, W_OK) == 0)
		return 0;
	if (errno != ENOENT)
		return options_fault(k->o, "%s: %s: %s", option, path, strerror(errno));
	folder = slash ? str_dup(str_make(path, MAX((size_t)(slash - path), (size_t)1)))
		       : str_dup(STR("."));
	if (!folder)
		return -ENOMEM;
	if (access(folder, W_OK | X_OK) == 0)
		return 0;
	return options_fault(k->o, "%s: a file cannot be made in %s: %s", option, folder,
			     strerror(errno));
}

/* "jsonl:FILE"; other places are no files. */
static const char *jsonl_file(const char *spec)
{
	const char *path = spec && strncmp(spec, "jsonl:", 6) == 0 ? spec + 6 : NULL;

	return path && strcmp(path, "-") != 0 ? path : NULL;
}

static int check_outputs(struct check *k)
{
	const struct agent_config *c = k->c;
	int r = check_output(k, "--record", c->record);

	if (r == 0)
		r = check_output(k, "--record-uncompressed", c->record_plain);
	if (r == 0 && c->flows != AGENT_FLOWS_OFF)
		r = check_output(k, "--flows-out", jsonl_file(c->flows_out));
	for (size_t i = 0; r == 0 && i < c->graph.n; i++)
		r = check_output(k, "--graph", jsonl_file(c->graph.v[i]));
	for (size_t i = 0; r == 0 && i < c->events.n; i++)
		r = check_output(k, "--events", jsonl_file(c->events.v[i]));
	return r;
}

/* ---- addresses ------------------------------------------------------------------------------- */

static int check_address(struct check *k, const char *option, const struct option_endpoint *e)
{
	const struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM};
	struct addrinfo *list = NULL;
	int r;

	if (!e->host || !e->host[0])
		return 0;
	r = getaddrinfo(e->host, NULL, &hints, &list);
	if (r != 0)
		return options_fault(k->o, "%s: %s: %s", option, e->host, gai_strerror(r));
	freeaddrinfo(list);
	return 0;
}

static int check_addresses(struct check *k)
{
	int r = check_address(k, "--probe-listen", &k->c->probe_listen);

	if (r == 0)
		r = check_address(k, "--listen", &k->c->listen);
	return r < 0 ? r : check_address(k, "--resync-listen", &k->c->resync_listen);
}

/* ---- all ------------------------------------------------------------------------------------- */

static int check_all(struct check *k)
{
	static const struct {
		unsigned what; /* 0: always */
		int (*check)(struct check *k);
	} all[] = {{0, check_resources},
		   {0, check_filters},
		   {0, check_vectors},
		   {AGENT_CHECK_FILES, check_credentials},
		   {AGENT_CHECK_FILES, check_sink_files},
		   {AGENT_CHECK_FILES, check_peers_files},
		   {AGENT_CHECK_FILES, check_otlp_files},
		   {AGENT_CHECK_FILES, check_listen_files},
		   {AGENT_CHECK_FILES, check_outputs},
		   {AGENT_CHECK_NAMES, check_addresses}};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(all); i++)
		if (!all[i].what || k->what & all[i].what)
			r = all[i].check(k);
	return r;
}

int agent_check(struct options *o, const struct agent_config *c, unsigned what)
{
	struct check k = {.o = o, .c = c, .what = what, .base = event_base_new()};
	const struct http_opts http = {.base = k.base};
	int r = k.base ? http_new(&http, &k.http) : -ENOMEM;

	if (r == 0)
		r = check_all(&k);
	http_free(&k.http);
	if (k.base)
		event_base_free(k.base);
	return r < 0 ? r : options_checked(o);
}
