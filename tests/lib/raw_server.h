/*
 * A listener on 127.0.0.1 whose answers a test writes byte by byte: one thread a
 * connection, blocking, plain or TLS.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <openssl/ssl.h>

struct raw_server;

struct raw_conn {
	struct raw_server *server;
	int fd;
	SSL *ssl;  /* NULL: plain */
	int index; /* of the connection, from 0 */
	void *arg;
};

/* Serves one connection; it is closed when this returns. */
typedef void raw_serve(struct raw_conn *c);

/* `tls` may be NULL; borrowed. */
struct raw_server *raw_server_start(raw_serve *serve, void *arg, SSL_CTX *tls);
/* Ends all connections and waits for their threads. */
void raw_server_stop(struct raw_server **s);
int raw_server_port(const struct raw_server *s);
/* Connections accepted so far. */
int raw_server_accepted(struct raw_server *s);

/* Reads up to the empty line; bytes read with a NUL behind, or -1. */
int raw_read_head(struct raw_conn *c, char *p, size_t cap);
bool raw_read(struct raw_conn *c, void *p, size_t n);
bool raw_send(struct raw_conn *c, const void *p, size_t n);
bool raw_say(struct raw_conn *c, const char *text);
/* Sends nothing until the client hangs up or the server is stopped. */
void raw_hang(struct raw_conn *c);
/* The close becomes a reset. */
void raw_reset(struct raw_conn *c);
void raw_sleep_ms(int ms);
