/* From a struct http_request to libcurl's options; see xfer.h. */
#include "http/xfer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define HTTP_READ_SIZE 131072L /* bytes libcurl reads at once; lists are large */

struct url_parts {
	char *scheme, *host, *port; /* libcurl's; host with brackets when it is IPv6 */
};

static void url_parts_done(struct url_parts *u)
{
	curl_free(u->scheme);
	curl_free(u->host);
	curl_free(u->port);
}

static int url_parse(const char *url, CURLU *u, struct url_parts *ret)
{
	if (curl_url_set(u, CURLUPART_URL, url, 0) ||
	    curl_url_get(u, CURLUPART_SCHEME, &ret->scheme, 0) ||
	    curl_url_get(u, CURLUPART_HOST, &ret->host, 0) ||
	    curl_url_get(u, CURLUPART_PORT, &ret->port, CURLU_DEFAULT_PORT))
		return -EINVAL;
	if (strcmp(ret->scheme, "http") != 0 && strcmp(ret->scheme, "https") != 0)
		return -EINVAL;
	return 0;
}

static void url_text_done(char **text)
{
	curl_free(*text);
}

static bool field_ok(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '\r' || s.p[i] == '\n' || s.p[i] == '\0')
			return false;
	return true;
}

static int list_add(struct curl_slist **list, const char *line)
{
	struct curl_slist *longer = curl_slist_append(*list, line);

	if (!longer)
		return -ENOMEM;
	*list = longer;
	return 0;
}

static int header_add(struct http_xfer *x, struct str name, struct str value)
{
	_free_ char *line = NULL;
	int r;

	if (!name.n || !field_ok(name) || !field_ok(value) || memchr(name.p, ':', name.n))
		return -EINVAL;
	/* libcurl sends a header without a value only when it ends with a semicolon. */
	if (asprintf(&line, value.n ? "%.*s: %.*s" : "%.*s;%.*s", STR_ARG(name), STR_ARG(value)) <
	    0)
		return -ENOMEM;
	r = list_add(&x->headers, line);
	explicit_bzero(line, strlen(line)); /* may be a token */
	return r;
}

static int headers_set(struct http_xfer *x, const struct http_request *req)
{
	int r;

	for (size_t i = 0; i < req->n_headers; i++) {
		r = header_add(x, req->headers[i].name, req->headers[i].value);
		if (r < 0)
			return r;
	}
	if (!req->body.n)
		return 0;
	if (req->content_type) {
		r = header_add(x, STR("Content-Type"), str_of(req->content_type));
		if (r < 0)
			return r;
	}
	return list_add(&x->headers, "Expect:"); /* no 100-continue round trip */
}

/*
 * Another name for the certificate than for the connection: the URL gets the
 * name (libcurl then checks it and sends it as SNI), the connection goes to the
 * real host, and so does the Host header.
 */
static int server_name_set(struct http_xfer *x, CURLU *u, const struct url_parts *p,
			   const char *name)
{
	_free_ char *to = NULL, *host = NULL;
	const char *port = p->port;
	int r;

	if (curl_url_set(u, CURLUPART_HOST, name, 0))
		return -EINVAL;
	if (asprintf(&to, "%s:%s:%s:%s", name, port, p->host, port) < 0)
		return -ENOMEM;
	r = list_add(&x->connect_to, to);
	if (r < 0)
		return r;
	if (asprintf(&host, "Host: %s%s%s", p->host, strcmp(port, "443") ? ":" : "",
		     strcmp(port, "443") ? port : "") < 0)
		return -ENOMEM;
	return list_add(&x->headers, host);
}

static int connect_to_set(struct http_xfer *x, const struct url_parts *p, const char *address)
{
	_free_ char *to = NULL;

	if (asprintf(&to, "%s:%s:%s:%s", p->host, p->port, address, p->port) < 0)
		return -ENOMEM;
	return list_add(&x->connect_to, to);
}

static bool method_ok(const char *m)
{
	for (const char *c = m; *c; c++)
		if (*c < 'A' || *c > 'Z')
			return false;
	return *m != '\0';
}

static CURLcode blob_set(CURL *c, CURLoption option, struct str pem)
{
	/* Copied, so the cast drops a const that libcurl honours. */
	struct curl_blob b = {
		.data = (void *)(uintptr_t)pem.p, .len = pem.n, .flags = CURL_BLOB_COPY};

	return curl_easy_setopt(c, option, &b);
}

/* One by one: the macro of curl_easy_setopt checks each value's type. */
#define SET(x, option, value)                                               \
	do {                                                                \
		if (curl_easy_setopt((x)->easy, option, value) != CURLE_OK) \
			return -ENOMEM;                                     \
	} while (0)

static CURLcode on_ssl_ctx(CURL *easy, void *ssl_ctx, void *ctx)
{
	struct http_xfer *x = ctx;

	(void)easy;
	http_certs_unref(&x->certs); /* of an attempt before */
	x->certs = http_certs_watch(ssl_ctx);
	return x->certs ? CURLE_OK : CURLE_OUT_OF_MEMORY;
}

static int tls_set(struct http_xfer *x, const struct http_tls *tls)
{
	SET(x, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (tls->insecure) {
		SET(x, CURLOPT_SSL_VERIFYPEER, 0L);
		SET(x, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	SET(x, CURLOPT_SSL_CTX_FUNCTION, on_ssl_ctx);
	SET(x, CURLOPT_SSL_CTX_DATA, x);
	if (tls->ca.n && !tls->insecure) {
		if (blob_set(x->easy, CURLOPT_CAINFO_BLOB, tls->ca))
			return -ENOMEM;
		/* libcurl's built-in folder would be trusted as well. */
		SET(x, CURLOPT_CAPATH, NULL);
	}
	if (tls->cert.n && (blob_set(x->easy, CURLOPT_SSLCERT_BLOB, tls->cert) ||
			    blob_set(x->easy, CURLOPT_SSLKEY_BLOB, tls->key)))
		return -ENOMEM;
	return 0;
}

static int body_set(struct http_xfer *x, const struct http_request *req)
{
	SET(x, CURLOPT_HTTPGET, 1L);
	if (req->body.n) {
		SET(x, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)req->body.n);
		SET(x, CURLOPT_COPYPOSTFIELDS, req->body.p);
	}
	if (req->method)
		SET(x, CURLOPT_CUSTOMREQUEST, req->method);
	return 0;
}

/* Opened here so that no child process inherits it, and to know the address for messages. */
static curl_socket_t on_open(void *ctx, curlsocktype purpose, struct curl_sockaddr *a)
{
	struct http_xfer *x = ctx;
	char host[INET6_ADDRSTRLEN] = "?";
	unsigned port = 0;

	(void)purpose;
	if (a->family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)&a->addr;

		(void)inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
		port = ntohs(in->sin_port);
	} else if (a->family == AF_INET6) {
		const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)(const void *)&a->addr;

		(void)inet_ntop(AF_INET6, &in->sin6_addr, host, sizeof(host));
		port = ntohs(in->sin6_port);
	}
	(void)snprintf(x->address, sizeof(x->address), a->family == AF_INET6 ? "[%s]:%u" : "%s:%u",
		       host, port);
	http_count_connect(x->h);
	x->fd = socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
	return x->fd;
}

static int plain_set(struct http_xfer *x, const struct http_request *req)
{
	nsec_t connect_ms = (x->connect + x->connect / 4) / NSEC_PER_MSEC + 1;

	SET(x, CURLOPT_PRIVATE, x);
	SET(x, CURLOPT_ERRORBUFFER, x->curl_text);
	SET(x, CURLOPT_NOSIGNAL, 1L);
	SET(x, CURLOPT_QUICK_EXIT, 1L); /* a lookup that hangs must not hold up a cancel */
	SET(x, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(x, CURLOPT_PROTOCOLS_STR, "http,https");
	SET(x, CURLOPT_FOLLOWLOCATION, 0L);
	SET(x, CURLOPT_HTTP_CONTENT_DECODING, 0L);
	SET(x, CURLOPT_PATH_AS_IS, 1L);
	SET(x, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	SET(x, CURLOPT_BUFFERSIZE, HTTP_READ_SIZE);
	SET(x, CURLOPT_TCP_KEEPALIVE, 1L);
	SET(x, CURLOPT_FRESH_CONNECT, req->fresh_connection ? 1L : 0L);
	/* Ours rules and comes first; libcurl's divides its own among the host's addresses. */
	SET(x, CURLOPT_CONNECTTIMEOUT_MS, (long)MIN(connect_ms, (nsec_t)INT32_MAX));
	SET(x, CURLOPT_OPENSOCKETFUNCTION, on_open);
	SET(x, CURLOPT_OPENSOCKETDATA, x);
	if (req->proxy)
		SET(x, CURLOPT_PROXY, req->proxy);
	return 0;
}

static int url_set(struct http_xfer *x, const struct http_request *req, CURLU *u)
{
	__attribute__((cleanup(url_parts_done))) struct url_parts parts = {0};
	const struct http_tls *tls = req->tls;
	int r = url_parse(req->url, u, &parts);

	if (r < 0)
		return r;
	if (asprintf(&x->where, "%s:%s", parts.host, parts.port) < 0) {
		x->where = NULL;
		return -ENOMEM;
	}
	if (tls && tls->server_name && strcmp(parts.scheme, "https") == 0) {
		r = server_name_set(x, u, &parts, tls->server_name);
		if (r < 0)
			return r;
	}
	if (req->connect_to) {
		r = connect_to_set(x, &parts, req->connect_to);
		if (r < 0)
			return r;
	}
	/* Copied by libcurl as text: a CURLU would have to live on. */
	__attribute__((cleanup(url_text_done))) char *text = NULL;
	if (curl_url_get(u, CURLUPART_URL, &text, 0))
		return -ENOMEM;
	SET(x, CURLOPT_URL, text);
	return 0;
}

int http_setup(struct http_xfer *x, const struct http_request *req, const char *user_agent)
{
	static const struct http_tls system_tls;
	CURLU *u;
	int r;

	if (!req->url || !req->ops || (req->method && !method_ok(req->method)))
		return -EINVAL;
	r = plain_set(x, req);
	if (r < 0)
		return r;
	u = curl_url();
	if (!u)
		return -ENOMEM;
	r = url_set(x, req, u);
	curl_url_cleanup(u);
	if (r < 0)
		return r;
	r = headers_set(x, req);
	if (r < 0)
		return r;
	if (x->headers)
		SET(x, CURLOPT_HTTPHEADER, x->headers);
	if (x->connect_to)
		SET(x, CURLOPT_CONNECT_TO, x->connect_to);
	if (user_agent)
		SET(x, CURLOPT_USERAGENT, user_agent);
	r = tls_set(x, req->tls ? req->tls : &system_tls);
	return r < 0 ? r : body_set(x, req);
}
