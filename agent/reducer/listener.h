/*
 * The reference reducer's sockets: accepts agents on the event loop and feeds
 * their bytes to one ingest each. Never writes, as the reducer never does,
 * unless a fault is asked for.
 *
 * How connections end follows the reducer: FIN gives up the agent's pods at
 * once; after a reset they stay until the idle sweep.
 */
#pragma once

#include "reducer/ingest.h"

#include <stdbool.h>
#include <stdint.h>

struct event_base;
struct sockaddr;
struct listener;

/* Ways to misbehave, for tests of agents. */
struct listener_faults {
	uint32_t slow;	      /* read at most this many bytes a second; 0: as they come */
	uint64_t close_after; /* close a connection after this many messages; 0: never */
	bool hang;	      /* accept, never read */
	bool send_bytes;      /* send bytes to the agent, at once and after every read */
};

struct listener_hooks {
	/* As ingest_hook; `conn` counts from 1. */
	void (*effect)(void *arg, uint32_t conn, const struct ingest_effect *e);
	/* The connection is gone. `reset`: its pods stay until `swept`. */
	void (*disconnect)(void *arg, uint32_t conn, bool reset);
	/* Pods of a reset connection have gone. */
	void (*swept)(void *arg, uint32_t conn);
	void *arg;
};

struct listener_opts {
	const struct sockaddr *addr;
	unsigned addr_len;
	struct reducer_table *table; /* borrowed */
	struct listener_faults faults;
	struct listener_hooks hooks;
};

/* The reducer's pool of agents per shard; further ones are closed at once. */
#define LISTENER_MAX_CONNECTIONS 512

/* Listens. 0 or -errno (EADDRINUSE, EACCES, ...). */
int listener_new(struct event_base *base, const struct listener_opts *o, struct listener **ret);
/* Closes all connections; no hook is called. */
void listener_free(struct listener **l);
/* The port in use, also when 0 was asked for. */
uint16_t listener_port(const struct listener *l);
/* Connections that are open. */
uint32_t listener_connections(const struct listener *l);
