/*
 * One agent's connection as the reference reducer sees it: bytes in, effects
 * out. It does what the reducer does with a stream and, where a careful agent
 * must not rely on the reducer's tolerance, says so.
 *
 * Pure: no I/O, no clock of its own, no globals; so it is also the reducer of
 * the deterministic simulation. Connections share one table.
 */
#pragma once

#include "reducer/table.h"

#include "base/clock.h"
#include "base/str.h"
#include "proto/wire.h"

#include <stdbool.h>
#include <stdint.h>

/* The reducer gives a connection up after this long without a byte. */
#define INGEST_IDLE (30 * NSEC_PER_SEC)

enum ingest_effect_type {
	INGEST_CONNECT,	  /* msg: connect */
	INGEST_RESYNC,	  /* all pods of the connection are gone; `epoch` */
	INGEST_POD,	  /* `pod` is new or changed */
	INGEST_CONTAINER, /* msg: pod_container; the pod may not be there, then an ERROR follows */
	INGEST_DELETE,	  /* msg: pod_delete */
	INGEST_MESSAGE,	  /* every other message */
	INGEST_ERROR,	  /* `error`; see `fatal` */
	_INGEST_EFFECT_MAX,
};

struct ingest_effect {
	enum ingest_effect_type type;
	const struct wire_msg *msg; /* what caused it; NULL when bytes, not a message, did */
	uint64_t epoch;
	const struct reducer_pod *pod;
	const char *error; /* one line */
	bool fatal;	   /* the reducer closes the connection now; else it goes on, but the agent
			    * did what it should not */
};

/* Everything in the effect is borrowed for the call. The hook must not call the ingest. */
typedef void (*ingest_hook)(void *arg, const struct ingest_effect *e);

struct ingest_opts {
	struct reducer_table *table; /* borrowed; outlives the connection */
	uint32_t number;	     /* names the connection; unique among those alive */
	ingest_hook hook;	     /* may be NULL */
	void *arg;
};

struct ingest;

/* 0 or -ENOMEM. */
int ingest_new(const struct ingest_opts *o, nsec_t now, struct ingest **ret);
/* Gives up the connection's pods, like any end of a connection. */
void ingest_free(struct ingest **in);

/* Bytes from the agent, in any cut. 0; -EBADMSG: the error was told, close the connection;
 * -ENOMEM. */
int ingest_push(struct ingest *in, struct str bytes, nsec_t now);
/* The agent has closed in order (FIN): tells when that was inside a message. */
void ingest_eof(struct ingest *in);
/* When ingest_tick has something to say. */
nsec_t ingest_deadline(const struct ingest *in);
/* 0, or -ETIMEDOUT once the connection was silent for INGEST_IDLE: told, close it. */
int ingest_tick(struct ingest *in, nsec_t now);

/* From the connect message; empty before it. */
struct str ingest_host(const struct ingest *in);
uint8_t ingest_collector(const struct ingest *in);
/* Of the last pod_resync; 0 before the first one. */
uint64_t ingest_epoch(const struct ingest *in);
uint64_t ingest_messages(const struct ingest *in);
