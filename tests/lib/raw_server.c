/* A listener whose answers a test writes; see raw_server.h. */
#include "tests/lib/raw_server.h"

#include <assert.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_CONNS 64

struct raw_server {
	int fd, port;
	raw_serve *serve;
	void *arg;
	SSL_CTX *tls;
	pthread_t acceptor;
	pthread_mutex_t lock;
	struct slot {
		struct raw_conn conn;
		pthread_t thread;
	} slots[MAX_CONNS];
	int n;
	bool stopping;
};

/* A close with unread bytes would be a reset, and the alert be lost. */
static void linger(int fd)
{
	char b[256];

	(void)shutdown(fd, SHUT_WR);
	while (recv(fd, b, sizeof(b), 0) > 0)
		;
}

static void *conn_main(void *p)
{
	struct raw_conn *c = p;
	bool good = true;

	if (c->server->tls) {
		c->ssl = SSL_new(c->server->tls);
		(void)SSL_set_fd(c->ssl, c->fd);
		good = SSL_accept(c->ssl) == 1;
	}
	if (good)
		c->server->serve(c);
	if (c->ssl && good)
		(void)SSL_shutdown(c->ssl);
	if (!good)
		linger(c->fd);
	SSL_free(c->ssl);
	(void)pthread_mutex_lock(&c->server->lock);
	(void)close(c->fd);
	c->fd = -1;
	(void)pthread_mutex_unlock(&c->server->lock);
	return NULL;
}

static void *accept_main(void *p)
{
	struct raw_server *s = p;

	for (;;) {
		int fd = accept(s->fd, NULL, NULL);

		if (fd < 0)
			return NULL;
		(void)pthread_mutex_lock(&s->lock);
		if (s->stopping || s->n == MAX_CONNS) {
			(void)close(fd);
		} else {
			struct slot *slot = &s->slots[s->n];

			slot->conn = (struct raw_conn){
				.server = s, .fd = fd, .index = s->n, .arg = s->arg};
			s->n++;
			(void)pthread_create(&slot->thread, NULL, conn_main, &slot->conn);
		}
		(void)pthread_mutex_unlock(&s->lock);
	}
}

struct raw_server *raw_server_start(raw_serve *serve, void *arg, SSL_CTX *tls)
{
	struct raw_server *s = calloc(1, sizeof(*s));
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);

	assert(s);
	*s = (struct raw_server){.serve = serve, .arg = arg, .tls = tls};
	(void)pthread_mutex_init(&s->lock, NULL);
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(s->fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(s->fd, 32) < 0 ||
	    getsockname(s->fd, (struct sockaddr *)&a, &n) < 0)
		abort();
	s->port = ntohs(a.sin_port);
	(void)pthread_create(&s->acceptor, NULL, accept_main, s);
	return s;
}

void raw_server_stop(struct raw_server **sp)
{
	struct raw_server *s = *sp;

	if (!s)
		return;
	*sp = NULL;
	(void)pthread_mutex_lock(&s->lock);
	s->stopping = true;
	(void)shutdown(s->fd, SHUT_RDWR);
	for (int i = 0; i < s->n; i++)
		if (s->slots[i].conn.fd >= 0)
			(void)shutdown(s->slots[i].conn.fd, SHUT_RDWR);
	(void)pthread_mutex_unlock(&s->lock);
	(void)pthread_join(s->acceptor, NULL);
	for (int i = 0; i < s->n; i++)
		(void)pthread_join(s->slots[i].thread, NULL);
	(void)close(s->fd);
	(void)pthread_mutex_destroy(&s->lock);
	free(s);
}

int raw_server_port(const struct raw_server *s)
{
	return s->port;
}

int raw_server_accepted(struct raw_server *s)
{
	int n;

	(void)pthread_mutex_lock(&s->lock);
	n = s->n;
	(void)pthread_mutex_unlock(&s->lock);
	return n;
}

static ssize_t conn_read(struct raw_conn *c, void *p, size_t n)
{
	return c->ssl ? SSL_read(c->ssl, p, (int)n) : recv(c->fd, p, n, 0);
}

int raw_read_head(struct raw_conn *c, char *p, size_t cap)
{
	size_t n = 0;

	while (n + 1 < cap) {
		if (conn_read(c, p + n, 1) != 1)
			return -1;
		p[++n] = '\0';
		if (n >= 4 && memcmp(p + n - 4, "\r\n\r\n", 4) == 0)
			return (int)n;
	}
	return -1;
}

bool raw_read(struct raw_conn *c, void *p, size_t n)
{
	for (size_t got = 0; got < n;) {
		ssize_t r = conn_read(c, (char *)p + got, n - got);

		if (r <= 0)
			return false;
		got += (size_t)r;
	}
	return true;
}

bool raw_send(struct raw_conn *c, const void *p, size_t n)
{
	for (size_t sent = 0; sent < n;) {
		const char *at = (const char *)p + sent;
		ssize_t r = c->ssl ? SSL_write(c->ssl, at, (int)(n - sent))
				   : send(c->fd, at, n - sent, MSG_NOSIGNAL);

		if (r <= 0)
			return false;
		sent += (size_t)r;
	}
	return true;
}

bool raw_say(struct raw_conn *c, const char *text)
{
	return raw_send(c, text, strlen(text));
}

void raw_hang(struct raw_conn *c)
{
	char b[256];

	while (conn_read(c, b, sizeof(b)) > 0)
		;
}

void raw_reset(struct raw_conn *c)
{
	struct linger l = {.l_onoff = 1};

	(void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
}

void raw_sleep_ms(int ms)
{
	struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

	(void)nanosleep(&t, NULL);
}
