/* The meaning of kubeconfig files; see kubeconfig.h. */
#include "kube/cred/kubeconfig.h"

#include "base/mem.h"
#include "kube/cred/pem.h"
#include "kube/cred/server_url.h"
#include "kube/cred/watched_file.h"
#include "kube/cred/yaml_tree.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_NAMES_TOLD 20 /* contexts listed in an error */

struct source {
	struct watched_file file;
	struct yaml_tree tree;
	struct yaml_map top;
};

struct merged {
	struct source v[KUBECONFIG_MAX_FILES];
	size_t n;
	struct buf *error;
};

static void text_wipe(char **p)
{
	if (*p)
		explicit_bzero(*p, strlen(*p));
	free(*p);
	*p = NULL;
}

static void merged_done(struct merged *m)
{
	for (size_t i = 0; i < m->n; i++) {
		yaml_tree_done(&m->v[i].tree);
		watched_file_done(&m->v[i].file);
	}
}

/* --- files --------------------------------------------------------------- */

static int check_head(const struct yaml_map *top)
{
	_free_ char *kind = NULL;
	_free_ char *version = NULL;
	int r = yaml_map_text(top, "kind", &kind);

	if (r < 0)
		return r;
	if (kind && strcmp(kind, "Config") != 0)
		return yaml_fail(top, NULL, "kind", "expected Config, not \"%.60s\"", kind);
	r = yaml_map_text(top, "apiVersion", &version);
	if (r < 0)
		return r;
	if (version && strcmp(version, "v1") != 0)
		return yaml_fail(top, NULL, "apiVersion", "expected v1, not \"%.60s\"", version);
	return 0;
}

static int source_parse(struct source *s, struct buf *error)
{
	static const struct yaml_limits limits = {.depth = KUBECONFIG_MAX_DEPTH,
						  .aliases = KUBECONFIG_MAX_ALIASES};
	int r = yaml_tree_load(&s->tree, s->file.path, watched_file_str(&s->file), &limits, error);

	if (r < 0)
		return r;
	r = yaml_tree_top(&s->tree, error, &s->top);
	return r < 0 ? r : check_head(&s->top);
}

/* One more file; with `optional` one that is not there is passed over. */
static int merged_add(struct merged *m, struct str path, bool optional)
{
	_free_ char *z = str_dup(path);
	_buf_ struct buf why;
	struct source *s;
	int r;

	buf_init(&why, 4096);
	if (!z)
		return -ENOMEM;
	if (m->n == KUBECONFIG_MAX_FILES) {
		(void)buf_printf(m->error, "kubeconfig: more than %d files are listed",
				 KUBECONFIG_MAX_FILES);
		return -EINVAL;
	}
	s = &m->v[m->n];
	r = watched_file_init(&s->file, z);
	if (r < 0)
		return r;
	m->n++;
	r = watched_file_read(&s->file, "kubeconfig", &why);
	if (r == -ENOENT && optional) {
		watched_file_done(&s->file);
		m->n--;
		return 0;
	}
	if (r < 0) {
		(void)buf_append_str(m->error, buf_str(&why));
		return r;
	}
	return source_parse(s, m->error);
}

static int merged_load(struct merged *m, const char *paths)
{
	struct str rest = str_of(paths), one;
	bool several = strchr(paths, ':') != NULL;

	while (rest.n) {
		(void)str_split(&rest, ':', &one);
		int r = one.n ? merged_add(m, one, several) : 0;

		if (r < 0)
			return r;
	}
	if (m->n)
		return 0;
	(void)buf_printf(m->error, "kubeconfig %s: none of these files exists", paths);
	return -ENOENT;
}

/* --- named entries ------------------------------------------------------- */

struct entry_kind {
	const char *list, *one; /* "clusters", "cluster" */
};
static const struct entry_kind contexts = {"contexts", "context"};
static const struct entry_kind clusters = {"clusters", "cluster"};
static const struct entry_kind users = {"users", "user"};

/* The entry's inner mapping when its name is `name`; ret->node stays NULL when it is not. */
static int entry_match(const struct yaml_map *top, yaml_node_t *item, const struct entry_kind *kind,
		       const char *name, bool *ret_match, struct yaml_map *ret)
{
	_free_ char *is = NULL;
	struct yaml_map entry;
	int r = yaml_node_map(top, item, kind->list, &entry);

	if (r < 0)
		return r;
	r = yaml_map_text(&entry, "name", &is);
	if (r < 0)
		return r;
	if (!is)
		return yaml_fail(top, item, kind->list, "an entry has no name");
	*ret_match = strcmp(is, name) == 0;
	if (!*ret_match)
		return 0;
	entry.kind = kind->one;
	entry.name = name;
	return yaml_map_map(&entry, kind->one, ret);
}

static int find_in(struct source *s, const struct entry_kind *kind, const char *name,
		   bool *ret_found, struct yaml_map *ret)
{
	yaml_node_t *seq;
	int r = yaml_map_seq(&s->top, kind->list, &seq);

	*ret_found = false;
	for (size_t i = 0; r == 0 && i < yaml_seq_len(seq); i++) {
		yaml_node_t *item = yaml_seq_at(&s->top, seq, i);
		struct yaml_map m;
		bool match;

		r = entry_match(&s->top, item, kind, name, &match, &m);
		if (r < 0 || !match)
			continue;
		if (*ret_found)
			return yaml_fail(&s->top, item, kind->list, "\"%s\" is given twice", name);
		*ret_found = true;
		*ret = m;
	}
	return r;
}

/* The first file that has it decides. ret_source is NULL when none has. */
static int find(struct merged *m, const struct entry_kind *kind, const char *name,
		struct source **ret_source, struct yaml_map *ret)
{
	*ret_source = NULL;
	for (size_t i = 0; i < m->n; i++) {
		bool found;
		int r = find_in(&m->v[i], kind, name, &found, ret);

		if (r < 0)
			return r;
		if (found) {
			*ret_source = &m->v[i];
			return 0;
		}
	}
	return 0;
}

/* --- values -------------------------------------------------------------- */

/* Relative to the folder of the file that says so, as kubectl does. Takes `path` over. */
static int resolve(const struct source *s, char **path)
{
	const char *slash = strrchr(s->file.path, '/');
	char *full;

	if (!*path || **path == '/' || !slash)
		return 0;
	if (asprintf(&full, "%.*s/%s", (int)(slash - s->file.path), s->file.path, *path) < 0)
		return -ENOMEM;
	free(*path);
	*path = full;
	return 0;
}

/* "certificate-authority-data" beats "certificate-authority". */
static int pem_read(const struct source *s, const struct yaml_map *m, const char *key,
		    const char *data_key, struct kubeconfig_pem *p)
{
	_free_ char *text = NULL;
	int r = yaml_map_text(m, data_key, &text);

	if (r < 0)
		return r;
	if (!text) {
		r = yaml_map_text(m, key, &p->file);
		return r < 0 ? r : resolve(s, &p->file);
	}
	r = base64_decode(str_of(text), &p->data, &p->n);
	explicit_bzero(text, strlen(text));
	if (r == -EBADMSG)
		return yaml_fail(m, NULL, data_key, "expected base64");
	return r;
}

static const char *pem_wrong(const struct kubeconfig *k, bool ca)
{
	if (ca)
		return k->ca.data ? pem_check_authorities(str_make(k->ca.data, k->ca.n)) : NULL;
	if (!k->cert.data || !k->key.data)
		return NULL;
	return pem_check_client(str_make(k->cert.data, k->cert.n), str_make(k->key.data, k->key.n));
}

static bool url_ok(const char *url, const char *const *schemes)
{
	for (; *schemes; schemes++) {
		size_t n = strlen(*schemes);

		if (strncasecmp(url, *schemes, n) == 0 && url[n] && url[n] != '/' &&
		    !strpbrk(url, " \t\r\n"))
			return true;
	}
	return false;
}

static int server_read(const struct yaml_map *m, struct kubeconfig *k)
{
	static const char *const proxies[] = {"http://", "https://", "socks5://", "socks5h://",
					      NULL};
	int r = yaml_map_text(m, "server", &k->server);

	if (r < 0)
		return r;
	if (!k->server)
		return yaml_fail(m, NULL, "server", "is missing; expected https://HOST:PORT");
	if (server_url_wrong(k->server))
		return yaml_fail(m, NULL, "server", "%s", server_url_wrong(k->server));
	server_url_trim(k->server);
	r = yaml_map_text(m, "tls-server-name", &k->server_name);
	if (r < 0)
		return r;
	r = yaml_map_text(m, "proxy-url", &k->proxy);
	if (r < 0)
		return r;
	/* Not quoted: it may hold a password. */
	if (k->proxy && !url_ok(k->proxy, proxies))
		return yaml_fail(m, NULL, "proxy-url",
				 "expected http://, https:// or socks5:// and HOST:PORT");
	return 0;
}

static int cluster_read(const struct source *s, const struct yaml_map *m, struct kubeconfig *k)
{
	int r = server_read(m, k);

	if (r < 0)
		return r;
	r = yaml_map_bool(m, "insecure-skip-tls-verify", &k->insecure);
	if (r < 0)
		return r;
	r = pem_read(s, m, "certificate-authority", "certificate-authority-data", &k->ca);
	if (r < 0)
		return r;
	if (k->insecure && (k->ca.data || k->ca.file))
		return yaml_fail(m, NULL, "insecure-skip-tls-verify",
				 "contradicts certificate-authority; remove one of the two");
	if (pem_wrong(k, true))
		return yaml_fail(m, NULL, "certificate-authority-data", "%s", pem_wrong(k, true));
	return 0;
}

/* Ways to log in that would be passed over in silence otherwise. */
static int refuse(const struct yaml_map *m)
{
	static const struct {
		const char *key, *why;
	} refused[] = {
		{"username", "basic auth is not supported (Kubernetes removed it in 1.19); use a "
			     "token, a client certificate or an exec plugin"},
		{"password", "basic auth is not supported (Kubernetes removed it in 1.19); use a "
			     "token, a client certificate or an exec plugin"},
		{"auth-provider", "auth-provider is not supported (client-go removed it in 1.26); "
				  "use an exec plugin"},
		{"as", "impersonation is not supported; give the user itself the permissions"},
		{"as-uid", "impersonation is not supported; give the user itself the permissions"},
		{"as-groups",
		 "impersonation is not supported; give the user itself the permissions"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		yaml_node_t *n;
		int r = yaml_map_node(m, refused[i].key, &n);

		if (r < 0)
			return r;
		if (n && !(n->type == YAML_SCALAR_NODE && !n->data.scalar.length))
			return yaml_fail(m, n, refused[i].key, "%s", refused[i].why);
	}
	return 0;
}

/* --- exec ---------------------------------------------------------------- */

static int exec_args(const struct yaml_map *m, struct exec_config *e)
{
	yaml_node_t *seq;
	int r = yaml_map_seq(m, "args", &seq);

	if (r < 0 || !seq)
		return r;
	e->args = calloc(yaml_seq_len(seq) + 1, sizeof(*e->args));
	if (!e->args)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < yaml_seq_len(seq); i++)
		r = yaml_node_text(m, yaml_seq_at(m, seq, i), "args", &e->args[i]);
	return r;
}

static int exec_env_one(const struct yaml_map *m, yaml_node_t *item, char **ret)
{
	_free_ char *name = NULL;
	_free_ char *value = NULL;
	struct yaml_map pair;
	int r = yaml_node_map(m, item, "env", &pair);

	if (r < 0)
		return r;
	r = yaml_map_text(&pair, "name", &name);
	if (r < 0)
		return r;
	r = yaml_map_text(&pair, "value", &value);
	if (r < 0)
		return r;
	if (!name || strchr(name, '='))
		return yaml_fail(m, item, "env", "expected entries with name and value");
	if (asprintf(ret, "%s=%s", name, value ? value : "") < 0) {
		*ret = NULL;
		return -ENOMEM;
	}
	return 0;
}

static int exec_env(const struct yaml_map *m, struct exec_config *e)
{
	yaml_node_t *seq;
	int r = yaml_map_seq(m, "env", &seq);

	if (r < 0 || !seq)
		return r;
	e->env = calloc(yaml_seq_len(seq) + 1, sizeof(*e->env));
	if (!e->env)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < yaml_seq_len(seq); i++)
		r = exec_env_one(m, yaml_seq_at(m, seq, i), &e->env[i]);
	return r;
}

static int exec_version(const struct yaml_map *m, struct exec_config *e)
{
	int r = yaml_map_text(m, "apiVersion", &e->api_version);

	if (r < 0)
		return r;
	if (e->api_version && (!strcmp(e->api_version, "client.authentication.k8s.io/v1") ||
			       !strcmp(e->api_version, "client.authentication.k8s.io/v1beta1")))
		return 0;
	return yaml_fail(m, NULL, "exec.apiVersion",
			 "expected client.authentication.k8s.io/v1 or .../v1beta1, not \"%.80s\"",
			 e->api_version ? e->api_version : "");
}

static int exec_mode(const struct yaml_map *m)
{
	_free_ char *mode = NULL;
	int r = yaml_map_text(m, "interactiveMode", &mode);

	if (r < 0 || !mode || !strcmp(mode, "Never") || !strcmp(mode, "IfAvailable"))
		return r;
	if (!strcmp(mode, "Always"))
		return yaml_fail(m, NULL, "exec.interactiveMode",
				 "Always needs a terminal, which an agent does not have");
	return yaml_fail(m, NULL, "exec.interactiveMode",
			 "expected Never or IfAvailable, not \"%.60s\"", mode);
}

static int exec_read(const struct source *s, const struct yaml_map *m, struct exec_config *e)
{
	int r = exec_version(m, e);

	if (r < 0)
		return r;
	r = yaml_map_text(m, "command", &e->command);
	if (r < 0)
		return r;
	if (!e->command)
		return yaml_fail(m, NULL, "exec.command", "is missing");
	r = strchr(e->command, '/') ? resolve(s, &e->command) : 0;
	if (r < 0)
		return r;
	r = exec_mode(m);
	if (r < 0)
		return r;
	r = yaml_map_bool(m, "provideClusterInfo", &e->cluster_info);
	if (r < 0)
		return r;
	r = yaml_map_text(m, "installHint", &e->install_hint);
	if (r < 0)
		return r;
	r = exec_args(m, e);
	return r < 0 ? r : exec_env(m, e);
}

/* --- user ---------------------------------------------------------------- */

/* A token in place, without the blanks around it. */
static int token_read(const struct source *s, const struct yaml_map *m, struct kubeconfig *k)
{
	char *token = NULL;
	int r = yaml_map_text(m, "tokenFile", &k->token_file);

	if (r < 0)
		return r;
	r = resolve(s, &k->token_file);
	if (r < 0)
		return r;
	r = yaml_map_text(m, "token", &token);
	if (r < 0 || !token)
		return r;
	struct str t = str_trim(str_of(token));

	if (!k->token_file && !t.n)
		r = yaml_fail(m, NULL, "token", "is empty");
	for (size_t i = 0; r == 0 && i < t.n; i++)
		if (t.p[i] <= ' ' || t.p[i] > '~')
			r = yaml_fail(m, NULL, "token",
				      "holds a blank, line break or other byte "
				      "that no token has");
	if (r == 0 && !k->token_file) { /* the file wins, as in client-go */
		k->token = str_dup(t);
		r = k->token ? 0 : -ENOMEM;
	}
	text_wipe(&token);
	return r;
}

static int user_certificate(const struct source *s, const struct yaml_map *m, struct kubeconfig *k)
{
	bool cert, key;
	int r = pem_read(s, m, "client-certificate", "client-certificate-data", &k->cert);

	if (r < 0)
		return r;
	r = pem_read(s, m, "client-key", "client-key-data", &k->key);
	if (r < 0)
		return r;
	cert = k->cert.data || k->cert.file;
	key = k->key.data || k->key.file;
	if (cert != key)
		return yaml_fail(m, NULL, cert ? "client-key" : "client-certificate",
				 "is missing; certificate and key are needed together");
	if (pem_wrong(k, false))
		return yaml_fail(m, NULL, "client-certificate-data", "%s", pem_wrong(k, false));
	return 0;
}

static int user_read(const struct source *s, const struct yaml_map *m, struct kubeconfig *k)
{
	struct yaml_map exec;
	int r = refuse(m);

	if (r < 0)
		return r;
	r = user_certificate(s, m, k);
	if (r < 0)
		return r;
	r = token_read(s, m, k);
	if (r < 0)
		return r;
	r = yaml_map_map(m, "exec", &exec);
	if (r < 0 || !exec.node)
		return r;
	k->has_exec = !k->token && !k->token_file; /* a token needs no plugin, as in client-go */
	return exec_read(s, &exec, &k->exec);
}

/* --- context ------------------------------------------------------------- */

static int current_context(struct merged *m, const char *wanted, char **ret)
{
	if (wanted && *wanted) {
		*ret = str_dup(str_of(wanted));
		return *ret ? 0 : -ENOMEM;
	}
	for (size_t i = 0; i < m->n; i++) {
		int r = yaml_map_text(&m->v[i].top, "current-context", ret);

		if (r < 0 || *ret)
			return r;
	}
	return 0;
}

/* " There are: a, b." for an error. */
static void tell_names(struct merged *m, const struct entry_kind *kind)
{
	unsigned told = 0;

	for (size_t i = 0; i < m->n; i++) {
		yaml_node_t *seq;

		if (yaml_map_seq(&m->v[i].top, kind->list, &seq) < 0)
			return;
		for (size_t j = 0; j < yaml_seq_len(seq) && told < MAX_NAMES_TOLD; j++) {
			yaml_node_t *item = yaml_seq_at(&m->v[i].top, seq, j);
			_free_ char *name = NULL;
			struct yaml_map e;

			if (yaml_node_map(&m->v[i].top, item, kind->list, &e) < 0 ||
			    yaml_map_text(&e, "name", &name) < 0)
				return;
			if (name)
				(void)buf_printf(m->error, "%s%s",
						 told++ ? ", " : "; there are: ", name);
		}
	}
}

static int not_there(struct merged *m, const char *paths, const struct entry_kind *kind,
		     const char *name)
{
	(void)buf_printf(m->error, "kubeconfig %s: %s \"%s\" is not defined", paths, kind->one,
			 name);
	tell_names(m, kind);
	return -EINVAL;
}

static int context_read(struct merged *m, const char *paths, struct kubeconfig *k)
{
	struct source *s;
	struct yaml_map c;
	int r = find(m, &contexts, k->context, &s, &c);

	if (r < 0)
		return r;
	if (!s)
		return not_there(m, paths, &contexts, k->context);
	r = yaml_map_text(&c, "cluster", &k->cluster);
	if (r < 0)
		return r;
	if (!k->cluster)
		return yaml_fail(&c, NULL, "cluster", "is missing; expected a cluster's name");
	return yaml_map_text(&c, "user", &k->user);
}

static int resolve_all(struct merged *m, const char *paths, struct kubeconfig *k)
{
	struct source *s;
	struct yaml_map e;
	int r = context_read(m, paths, k);

	if (r < 0)
		return r;
	r = find(m, &clusters, k->cluster, &s, &e);
	if (r < 0)
		return r;
	if (!s)
		return not_there(m, paths, &clusters, k->cluster);
	r = cluster_read(s, &e, k);
	if (r < 0 || !k->user)
		return r;
	r = find(m, &users, k->user, &s, &e);
	if (r < 0)
		return r;
	return s ? user_read(s, &e, k) : not_there(m, paths, &users, k->user);
}

int kubeconfig_load(const char *paths, const char *context, struct kubeconfig **ret,
		    struct buf *ret_error)
{
	__attribute__((cleanup(merged_done))) struct merged m = {.error = ret_error};
	__attribute__((cleanup(kubeconfig_free))) struct kubeconfig *k = calloc(1, sizeof(*k));
	int r;

	if (!k)
		return -ENOMEM;
	r = merged_load(&m, paths);
	if (r < 0)
		return r;
	r = current_context(&m, context, &k->context);
	if (r < 0)
		return r;
	if (!k->context) {
		(void)buf_printf(ret_error,
				 "kubeconfig %s: no current-context; choose one with --context",
				 paths);
		tell_names(&m, &contexts);
		return -EINVAL;
	}
	r = resolve_all(&m, paths, k);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(k);
	return 0;
}

static void pem_done(struct kubeconfig_pem *p)
{
	if (p->data)
		explicit_bzero(p->data, p->n);
	free(p->data);
	free(p->file);
}

void kubeconfig_free(struct kubeconfig **kp)
{
	struct kubeconfig *k = *kp;

	if (!k)
		return;
	*kp = NULL;
	free(k->context);
	free(k->cluster);
	free(k->user);
	free(k->server);
	free(k->server_name);
	free(k->proxy);
	pem_done(&k->ca);
	pem_done(&k->cert);
	pem_done(&k->key);
	text_wipe(&k->token);
	free(k->token_file);
	exec_config_done(&k->exec);
	free(k);
}
