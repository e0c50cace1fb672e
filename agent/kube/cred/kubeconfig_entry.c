/* What the cluster and the user of a context say; see kubeconfig_parts.h. */
#include "kube/cred/kubeconfig_parts.h"

#include "base/mem.h"
#include "base/server_url.h"
#include "http/token.h"
#include "kube/cred/pem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- certificates -------------------------------------------------------------- */

/* "certificate-authority-data" beats "certificate-authority". */
static int pem_read(const char *path, const struct yaml_map *m, const char *key,
		    const char *data_key, struct kubeconfig_pem *p)
{
	_free_ char *text = NULL;
	int r = yaml_map_text(m, data_key, &text);

	if (r < 0)
		return r;
	if (!text) {
		r = yaml_map_text(m, key, &p->file);
		return r < 0 ? r : kubeconfig_resolve(path, &p->file);
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

/* --- cluster -------------------------------------------------------------- */

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
	const char *why;
	int r = yaml_map_text(m, "server", &k->server);

	if (r < 0)
		return r;
	if (!k->server)
		return yaml_fail(m, NULL, "server", "is missing; expected https://HOST:PORT");
	why = server_url_wrong(str_of(k->server));
	if (why)
		return yaml_fail(m, NULL, "server", "%s", why);
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

int cluster_read(const char *path, const struct yaml_map *m, struct kubeconfig *k)
{
	int r = server_read(m, k);

	if (r < 0)
		return r;
	r = yaml_map_bool(m, "insecure-skip-tls-verify", &k->insecure);
	if (r < 0)
		return r;
	r = pem_read(path, m, "certificate-authority", "certificate-authority-data", &k->ca);
	if (r < 0)
		return r;
	if (k->insecure && (k->ca.data || k->ca.file))
		return yaml_fail(m, NULL, "insecure-skip-tls-verify",
				 "contradicts certificate-authority; remove one of the two");
	if (pem_wrong(k, true))
		return yaml_fail(m, NULL, "certificate-authority-data", "%s", pem_wrong(k, true));
	return 0;
}

/* --- user ---------------------------------------------------------------- */

/* Ways to log in that would be passed over in silence otherwise. */
static int refuse(const struct yaml_map *m)
{
	static const char basic[] = "basic auth is not supported (Kubernetes removed it in 1.19); "
				    "use a token, a client certificate or an exec plugin";
	static const char provider[] = "auth-provider is not supported (client-go removed it in "
				       "1.26); use an exec plugin";
	static const char as[] =
		"impersonation is not supported; give the user itself the permissions";
	const struct {
		const char *key, *why;
	} refused[] = {
		{"username", basic}, {"password", basic}, {"auth-provider", provider},
		{"as", as},	     {"as-uid", as},	  {"as-groups", as},
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

/* A token in place, without the blanks around it. The file wins, as in client-go. */
static int token_read(const char *path, const struct yaml_map *m, struct kubeconfig *k)
{
	char *token = NULL;
	int r = yaml_map_text(m, "tokenFile", &k->token_file);

	if (r == 0)
		r = kubeconfig_resolve(path, &k->token_file);
	if (r == 0)
		r = yaml_map_text(m, "token", &token);
	if (r < 0 || !token)
		return r;
	struct str t = str_trim(str_of(token));
	const char *why = t.n || !k->token_file ? token_wrong(t) : NULL;

	if (why) {
		r = yaml_fail(m, NULL, "token", "%s", why);
	} else if (!k->token_file) {
		k->token = str_dup(t);
		r = k->token ? 0 : -ENOMEM;
	}
	explicit_bzero(token, strlen(token));
	free(token);
	return r;
}

static int user_certificate(const char *path, const struct yaml_map *m, struct kubeconfig *k)
{
	bool cert, key;
	int r = pem_read(path, m, "client-certificate", "client-certificate-data", &k->cert);

	if (r < 0)
		return r;
	r = pem_read(path, m, "client-key", "client-key-data", &k->key);
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

int user_read(const char *path, const struct yaml_map *m, struct kubeconfig *k)
{
	struct yaml_map exec;
	int r = refuse(m);

	if (r < 0)
		return r;
	r = user_certificate(path, m, k);
	if (r < 0)
		return r;
	r = token_read(path, m, k);
	if (r < 0)
		return r;
	r = yaml_map_map(m, "exec", &exec);
	if (r < 0 || !exec.node)
		return r;
	k->has_exec = !k->token && !k->token_file; /* a token needs no plugin, as in client-go */
	return exec_read(path, &exec, &k->exec);
}
