/*
 * The server from the inside: web.c has clients and answers, web_listen.c listeners.
 */
#pragma once

#include "serve/web.h"

#include <event2/listener.h>

struct listener {
	struct web *web;
	struct evconnlistener *ev;
	struct web_listener o;
	uint32_t clients;
};

enum client_phase {
	SHAKING, /* the TLS handshake */
	READING,
	WAITING, /* put off */
	STREAMING,
	ENDING,	   /* all was said, not all was sent */
	LINGERING, /* all was sent: what the client still sends is read, else its kernel would
		      throw the answer away (RFC 9112 section 9.6) */
};

struct web_client {
	struct web *web;
	struct listener *listener;
	struct web_client *next, **at;
	struct bufferevent *bev;
	struct event *timer; /* deadlines of handshake and head, then wake-ups of a stream */
	struct event *last;  /* deadline of the answer */
	nsec_t moved;	     /* when this phase began, or the client last took what was said */
	enum client_phase phase;
	bool head, idle, eof;
	bool unread;			  /* more than the head may come */
	bool broken;			  /* a chunk had no memory: the framing is lost */
	size_t lingered;		  /* bytes */
	const struct web_stream_ops *ops; /* NULL: no stream */
	void (*gone)(void *ctx);	  /* WAITING: whom to tell */
	void *ctx;
};

struct web {
	struct web_opts o;
	struct listener listeners[WEB_MAX_LISTENERS];
	uint32_t n_listeners;
	struct event *accept_again;
	struct web_client *clients;
	struct web_stats stats;
};

/* web.c: takes the socket over. Without memory it is closed. */
void web_client_new(struct listener *l, int fd);
void web_client_free(struct web_client *c);
