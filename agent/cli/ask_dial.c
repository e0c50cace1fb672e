#include "cli/ask_dial.h"

#include "base/mem.h"

#include <errno.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#define LOOK_MS 200 /* so often a wait is shown */

int ask_refuse(struct buf *error, int r, const struct ask_where *w, const char *what)
{
	(void)buf_printf(error, "%s %s: %s; %s%s%s", what, w->server ?: w->socket, strerror(-r),
			 w->server
				 ? "is `kindred agent` running there, and is that its --listen?"
				 : "is `kindred agent` running on this node, and may you open its "
				   "socket? --socket names another",
			 w->hint ? "; " : "", w->hint ?: "");
	return r;
}

/* ---- where ----------------------------------------------------------------------------------- */

static int parse_host(struct str rest, bool tls, struct ask_server *ret)
{
	struct str host, port = tls ? STR("443") : STR("80");

	if (str_starts(rest, STR("["))) {
		rest = str_from(rest, 1);
		if (!str_split(&rest, ']', &host) || (rest.n && rest.p[0] != ':'))
			return -EINVAL;
		rest = str_from(rest, rest.n > 0);
	} else {
		(void)str_split(&rest, ':', &host);
	}
	port = rest.n ? rest : port;
	if (!host.n || host.n >= sizeof(ret->host) || port.n >= sizeof(ret->port))
		return -EINVAL;
	(void)snprintf(ret->host, sizeof(ret->host), "%.*s", STR_ARG(host));
	(void)snprintf(ret->port, sizeof(ret->port), "%.*s", STR_ARG(port));
	return 0;
}

int ask_server_parse(const char *url, struct ask_server *ret, struct buf *ret_error)
{
	struct str rest = str_of(url), host;
	struct ask_server s = {.tls = str_starts(rest, STR("https://"))};
	const char *slash;

	if (!s.tls && !str_starts(rest, STR("http://")))
		goto bad;
	rest = str_from(rest, s.tls ? 8 : 7);
	slash = rest.n ? memchr(rest.p, '/', rest.n) : NULL;
	host = str_make(rest.p, slash ? (size_t)(slash - rest.p) : rest.n);
	s.prefix = str_from(rest, host.n);
	while (str_ends(s.prefix, STR("/")))
		s.prefix.n--;
	if (!host.n || memchr(host.p, '@', host.n) || parse_host(host, s.tls, &s) < 0)
		goto bad;
	*ret = s;
	return 0;
bad:
	(void)buf_append_str(ret_error,
			     STR("--server must be http://HOST:PORT or https://HOST:PORT"));
	return -EINVAL;
}

static int set_patience(int fd)
{
	const struct timeval patience = {.tv_sec = ASK_PATIENCE_S};

	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0)
		return -errno;
	return 0;
}

/* ---- connecting ------------------------------------------------------------------------------ */

static int dial(int family, const struct sockaddr *where, socklen_t n, int *ret)
{
	_close_ int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int r = fd < 0 ? -errno : set_patience(fd);

	if (r < 0)
		return r;
	if (connect(fd, where, n) < 0)
		return errno == EINPROGRESS ? -ETIMEDOUT : -errno;
	*ret = TAKE_FD(fd);
	return 0;
}

static int dial_socket(const struct ask_where *w, struct ask *a, struct buf *error)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	const size_t n = strlen(w->socket);
	int r = n < sizeof(sun.sun_path) ? 0 : -ENAMETOOLONG;

	if (r == 0)
		memcpy(sun.sun_path, w->socket, n);
	r = r < 0 ? r : dial(AF_UNIX, (const struct sockaddr *)&sun, sizeof(sun), &a->fd);
	return r < 0 ? ask_refuse(error, r, w, "no agent answers at") : 0;
}

static int dial_server(const struct ask_where *w, const struct ask_server *s, struct ask *a,
		       struct buf *error)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *all = NULL;
	int e = getaddrinfo(s->host, s->port, &hints, &all), r = -EHOSTUNREACH;

	if (e) {
		(void)buf_printf(error, "--server %s: %s", w->server, gai_strerror(e));
		return -EHOSTUNREACH;
	}
	for (const struct addrinfo *i = all; i && r < 0; i = i->ai_next)
		r = dial(i->ai_family, i->ai_addr, i->ai_addrlen, &a->fd);
	freeaddrinfo(all);
	return r < 0 ? ask_refuse(error, r, w, "no agent answers at") : 0;
}

/* ---- TLS ------------------------------------------------------------------------------------- */

static int tls_fault(const struct ask_where *w, const SSL *ssl, struct buf *error)
{
	const long bad = ssl ? SSL_get_verify_result(ssl) : X509_V_OK;
	const char *why = ERR_reason_error_string(ERR_get_error());

	(void)buf_printf(error, "no TLS with %s: %s%s", w->server,
			 bad != X509_V_OK ? X509_verify_cert_error_string(bad)
			 : why		  ? why
					  : "the connection ended",
			 bad != X509_V_OK && !w->ca_file ? "; --ca-file names who has signed it"
							 : "");
	return -EPROTO;
}

static int tls_context(const struct ask_where *w, SSL_CTX **ret)
{
	SSL_CTX *c = SSL_CTX_new(TLS_client_method());

	if (!c)
		return -ENOMEM;
	SSL_CTX_set_verify(c, SSL_VERIFY_PEER, NULL);
	if (w->ca_file ? SSL_CTX_load_verify_file(c, w->ca_file) != 1
		       : SSL_CTX_set_default_verify_paths(c) != 1) {
		SSL_CTX_free(c);
		return -EINVAL;
	}
	*ret = c;
	return 0;
}

/* The name that the certificate must have, which may be an address. */
static bool tls_name(SSL *ssl, const char *host)
{
	X509_VERIFY_PARAM *p = SSL_get0_param(ssl);

	if (X509_VERIFY_PARAM_set1_ip_asc(p, host) == 1)
		return true;
	return X509_VERIFY_PARAM_set1_host(p, host, 0) == 1 &&
	       SSL_set_tlsext_host_name(ssl, host) == 1;
}

static int begin_tls(const struct ask_where *w, const struct ask_server *s, struct ask *a,
		     struct buf *error)
{
	SSL_CTX *c = NULL;
	int r = tls_context(w, &c);

	if (r < 0) {
		(void)buf_printf(error, "--ca-file %s: cannot be used", w->ca_file ?: "");
		return r;
	}
	a->tls = SSL_new(c);
	SSL_CTX_free(c);
	if (!a->tls)
		return -ENOMEM;
	if (!tls_name(a->tls, s->host) || SSL_set_fd(a->tls, a->fd) != 1 ||
	    SSL_connect(a->tls) != 1)
		return tls_fault(w, a->tls, error);
	return 0;
}

int ask_dial(const struct ask_where *w, struct ask *a, struct buf *ret_error)
{
	struct ask_server s;
	int r;

	if (!w->server)
		return dial_socket(w, a, ret_error);
	r = ask_server_parse(w->server, &s, ret_error);
	if (r == 0)
		r = dial_server(w, &s, a, ret_error);
	return r == 0 && s.tls ? begin_tls(w, &s, a, ret_error) : r;
}

void ask_endless(struct ask *a)
{
	const struct timeval never = {0};

	a->endless = true;
	(void)setsockopt(a->fd, SOL_SOCKET, SO_RCVTIMEO, &never, sizeof(never));
}

void ask_hang_up(struct ask *a)
{
	SSL_free(a->tls);
	a->tls = NULL;
	if (a->fd >= 0)
		(void)close(a->fd);
	a->fd = -1;
}

/* ---- bytes ----------------------------------------------------------------------------------- */

int ask_send(struct ask *a, struct str s)
{
	while (s.n) {
		ssize_t n = a->tls ? SSL_write(a->tls, s.p, (int)s.n)
				   : send(a->fd, s.p, s.n, MSG_NOSIGNAL);

		if (a->tls && n <= 0)
			return -EPIPE;
		if (n < 0 && errno != EINTR)
			return -errno;
		s = str_from(s, n < 0 ? 0 : (size_t)n);
	}
	return 0;
}

static void show_wait(struct ask *a)
{
	if (!a->endless && !a->stop)
		progress_tell(&a->progress, "waiting for the agent", a->got);
}

static int wait_readable(struct ask *a)
{
	struct pollfd p = {.fd = a->fd, .events = POLLIN};
	const nsec_t begun = clock_mono();
	int n;

	if (a->tls && SSL_pending(a->tls) > 0)
		return 0;
	while ((n = poll(&p, 1, LOOK_MS)) <= 0) {
		if (n < 0 && errno != EINTR)
			return -errno;
		if (a->stop && *a->stop)
			return -EINTR;
		if (a->endless)
			continue;
		if (clock_mono() - begun > ASK_PATIENCE_S * NSEC_PER_SEC)
			return -ETIMEDOUT;
		show_wait(a);
	}
	return 0;
}

static int receive(struct ask *a, char *room, size_t n)
{
	ssize_t got;

	if (a->tls) {
		got = SSL_read(a->tls, room, (int)n);
		if (got > 0)
			return (int)got;
		return SSL_get_error(a->tls, (int)got) == SSL_ERROR_ZERO_RETURN ? 0 : -ECONNRESET;
	}
	do
		got = recv(a->fd, room, n, 0);
	while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : (int)got;
}

int ask_receive(struct ask *a, char *room, size_t n)
{
	int r = wait_readable(a);

	if (r == 0)
		r = receive(a, room, n);
	if (r > 0) {
		a->got += (uint64_t)r;
		show_wait(a);
	}
	return r;
}
