/* ExecCredential documents: what a plugin prints, and what it is told. */
#include "kube/cred/exec_cred.h"

#include "base/json_in.h"
#include "kube/cred/exec_parts.h"
#include "kube/cred/pem.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EXPIRY_MAX 0x1ffffffffLL /* seconds since 1970, the year 2242; later is never */

static void secret_free(char **p)
{
	if (*p)
		explicit_bzero(*p, strlen(*p));
	free(*p);
	*p = NULL;
}

void exec_answer_done(struct exec_answer *a)
{
	secret_free(&a->token);
	secret_free(&a->cert);
	secret_free(&a->key);
}

__attribute__((format(printf, 2, 3))) static int bad(struct buf *e, const char *fmt, ...)
{
	char why[256];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	(void)buf_printf(e, "%s", why);
	return -EBADMSG;
}

/* A text of `status`; absent, null and "" leave *ret NULL. */
static int take_text(json_t *status, const char *key, char **ret, struct buf *e)
{
	json_t *v = json_object_get(status, key);
	struct str s;

	if (!v || json_is_null(v))
		return 0;
	if (!json_is_string(v))
		return bad(e, "status.%s is no text", key);
	s = str_make(json_string_value(v), json_string_length(v));
	if (s.n && memchr(s.p, '\0', s.n))
		return bad(e, "status.%s holds a NUL", key);
	if (!s.n)
		return 0;
	*ret = str_dup(s);
	return *ret ? 0 : -ENOMEM;
}

static int check_token(const char *token, struct buf *e)
{
	for (const char *c = token; c && *c; c++)
		if (*c <= ' ' || *c > '~')
			return bad(e, "status.token holds a blank, line break or other byte that "
				      "no token has");
	return 0;
}

/* RFC 3339 as Go writes it: 2026-01-02T15:04:05Z, .123Z, +01:00. */
static int parse_time(const char *s, nsec_t *ret_wall)
{
	struct tm tm = {0};
	const char *p = strptime(s, "%Y-%m-%dT%H:%M:%S", &tm);
	long offset = 0;
	time_t t;

	if (p && *p == '.')
		p += 1 + strspn(p + 1, "0123456789");
	if (p && (*p == '+' || *p == '-')) {
		int sign = *p == '-' ? 1 : -1, hours, minutes;
		char end;

		if (sscanf(p + 1, "%2d:%2d%c", &hours, &minutes, &end) != 2)
			return -EBADMSG;
		offset = sign * (hours * 3600L + minutes * 60L);
	} else if (!p || strcmp(p, "Z") != 0) {
		return -EBADMSG;
	}
	t = timegm(&tm) + offset;
	if (t < 0)
		return -EBADMSG;
	*ret_wall = t > EXPIRY_MAX ? NSEC_NEVER : (nsec_t)t * NSEC_PER_SEC;
	return 0;
}

static int take_expiry(json_t *status, nsec_t wall, nsec_t mono, nsec_t *ret, struct buf *e)
{
	_free_ char *text = NULL;
	nsec_t at;
	int r = take_text(status, "expirationTimestamp", &text, e);

	if (r < 0)
		return r;
	*ret = NSEC_NEVER;
	if (!text)
		return 0;
	if (parse_time(text, &at) < 0)
		return bad(e,
			   "status.expirationTimestamp \"%.40s\" is no time like "
			   "2030-01-02T15:04:05Z",
			   text);
	if (at <= wall) {
		(void)bad(e, "the credential had expired already, at %.40s", text);
		return -ESTALE;
	}
	if (at != NSEC_NEVER)
		*ret = mono + (at - wall);
	return 0;
}

static int take_status(json_t *status, nsec_t wall, nsec_t mono, struct exec_answer *a,
		       struct buf *e)
{
	const char *why;
	int r = take_text(status, "token", &a->token, e);

	if (r == 0)
		r = check_token(a->token, e);
	if (r == 0)
		r = take_text(status, "clientCertificateData", &a->cert, e);
	if (r == 0)
		r = take_text(status, "clientKeyData", &a->key, e);
	if (r == 0)
		r = take_expiry(status, wall, mono, &a->expires, e);
	if (r < 0)
		return r;
	if (!a->cert != !a->key)
		return bad(e, "status has only one of clientCertificateData and clientKeyData");
	if (!a->token && !a->cert)
		return bad(e, "status has neither token nor clientCertificateData");
	why = a->cert ? pem_check_client(str_of(a->cert), str_of(a->key)) : NULL;
	return why ? bad(e, "status.clientCertificateData: %s", why) : 0;
}

static int check_head(json_t *doc, const char *api_version, struct buf *e)
{
	const char *kind = json_string_value(json_object_get(doc, "kind"));
	const char *version = json_string_value(json_object_get(doc, "apiVersion"));

	if (!kind || strcmp(kind, "ExecCredential") != 0)
		return bad(e, "kind is \"%.60s\", expected ExecCredential", kind ? kind : "");
	if (!version || strcmp(version, api_version) != 0)
		return bad(e, "apiVersion is \"%.60s\", expected %s as in the kubeconfig",
			   version ? version : "", api_version);
	return 0;
}

int exec_answer_parse(struct str json, const char *api_version, nsec_t wall, nsec_t mono,
		      struct exec_answer *ret, struct buf *ret_error)
{
	__attribute__((cleanup(exec_answer_done))) struct exec_answer a = {0};
	_json_ json_t *doc = NULL;
	json_error_t where;
	json_t *status;
	int r;

	if (str_empty(str_trim(json)))
		return bad(ret_error, "it printed nothing");
	doc = json_loadb(json.p, json.n, JSON_REJECT_DUPLICATES, &where);
	if (!doc) /* the text is not quoted: it may hold the token */
		return bad(ret_error, "its output is no JSON (line %d, column %d)", where.line,
			   where.column);
	r = check_head(doc, api_version, ret_error);
	if (r < 0)
		return r;
	status = json_object_get(doc, "status");
	if (!json_is_object(status))
		return bad(ret_error, "its output has no status");
	r = take_status(status, wall, mono, &a, ret_error);
	if (r < 0)
		return r;
	*ret = a;
	a = (struct exec_answer){0};
	return 0;
}

static int set_text(json_t *o, const char *key, const char *value)
{
	return value && *value ? json_object_set_new(o, key, json_string(value)) : 0;
}

static int set_cluster(json_t *spec, const struct exec_cluster *c)
{
	json_t *o = json_object();
	_free_ char *ca = c->ca.n ? base64_encode(c->ca) : NULL;

	if (json_object_set_new(spec, "cluster", o) < 0 || (c->ca.n && !ca))
		return -ENOMEM;
	if (set_text(o, "server", c->server) < 0 ||
	    set_text(o, "tls-server-name", c->server_name) < 0 ||
	    set_text(o, "proxy-url", c->proxy) < 0 ||
	    set_text(o, "certificate-authority-data", ca) < 0 ||
	    (c->insecure && json_object_set_new(o, "insecure-skip-tls-verify", json_true()) < 0))
		return -ENOMEM;
	return 0;
}

char *exec_info(const struct exec_config *c, const struct exec_cluster *cluster)
{
	_json_ json_t *doc = json_object();
	json_t *spec = json_object();

	if (json_object_set_new(doc, "spec", spec) < 0 ||
	    set_text(doc, "kind", "ExecCredential") < 0 ||
	    set_text(doc, "apiVersion", c->api_version) < 0 ||
	    json_object_set_new(spec, "interactive", json_false()) < 0)
		return NULL;
	if (c->cluster_info && cluster && set_cluster(spec, cluster) < 0)
		return NULL;
	return json_dumps(doc, JSON_COMPACT);
}
