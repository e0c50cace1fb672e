/*
 * Flows to an OpenTelemetry collector by OTLP/HTTP (protobuf): metrics (points.h) to
 * URL/v1/metrics, log records (record.h) to URL/v1/logs.
 *
 *   bounded    metrics: totals, and one request; logs: one batch. What a collector that
 *              is away does not take stays in the flow table within its bound
 *              (flows_opts.max_ended), and is counted beyond it
 *   once       a request is told again only where nothing says that it was taken:
 *              no answer, 429, 502, 503, 504. Where the answer to one that was taken is lost
 *              on the way, the collector has it twice: metrics are cumulative, and
 *              log.record.uid is the same
 *   counted    records are numbered without a gap: told + lost, by cause + waiting
 */
#pragma once

#include "base/clock.h"
#include "sink/otlp/answer.h"
#include "sink/otlp/envelope.h"
#include "sink/otlp/post.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;
struct flows;
struct http;
struct otlp;

struct otlp_tuning {	     /* what may change */
	nsec_t interval;     /* between two rounds of metrics */
	uint32_t max_series; /* metrics_opts.max_series */
	unsigned events;     /* a bit for each enum line_event that is told */
	bool gzip;
};

struct otlp_opts { /* what it points to must outlive it */
	struct event_base *base;
	struct http *http;
	struct flows *flows;
	const char *url;	   /* http(s)://HOST[:PORT][/PREFIX] */
	bool points, records;	   /* which of the two are told */
	size_t batch;		   /* bytes of a request before compression, about */
	nsec_t delay;		   /* of a record in a batch that is not full [1 s] */
	struct otlp_source source; /* `instance` is made here */
	struct service_access access;
	const char *headers_file; /* NULL: none */
	struct otlp_tuning tuning;
	uint64_t seed;
	void (*stopped)(void *ctx); /* what otlp_stop began is over */
	void *ctx;
};

/* 0; -EINVAL with a sentence (URL, files); -EMSGSIZE (no place for another cursor); -ENOMEM. */
int otlp_new(const struct otlp_opts *o, struct otlp **ret, struct buf *ret_error);
/* Nothing more is told. NULL-safe, sets *s = NULL. */
void otlp_free(struct otlp **s);
/* The flows have changed: it is looked at in a later turn of the loop. */
void otlp_changed(struct otlp *s);
void otlp_tune(struct otlp *s, const struct otlp_tuning *t);
/* What there is is told, with one try for each request and for `patience` at most; then `stopped`,
 * on a later turn. Nothing is told any more. */
void otlp_stop(struct otlp *s, nsec_t patience);

/* Why points or records did not reach the collector. */
enum otlp_lost {
	OTLP_LOST_REJECTED,    /* a partial success */
	OTLP_LOST_REFUSED,     /* OTLP_REFUSED */
	OTLP_LOST_UNCONFIRMED, /* OTLP_UNCONFIRMED: maybe */
	OTLP_LOST_TOO_LONG,    /* a record over RECORD_MAX */
	OTLP_LOST_SLOW,	       /* flows that ended, and were given up before they were looked at */
	OTLP_LOST_STOPPED,     /* nobody took them before the stop */
	_OTLP_LOST_MAX,
};
const char *otlp_lost_name(enum otlp_lost l);

enum otlp_signal { OTLP_POINTS, OTLP_RECORDS, _OTLP_SIGNAL_MAX };
/* "metrics", "logs": the last part of the path, too. */
const char *otlp_signal_name(enum otlp_signal s);

struct otlp_stats {
	uint64_t sent; /* points or records that the collector took */
	uint64_t lost[_OTLP_LOST_MAX];
	uint64_t waiting; /* records of the batch */
	nsec_t oldest;	  /* of them; 0: none */
	struct post_status post;
	size_t bytes; /* held */
};
/* False: that signal is not told. */
bool otlp_stats(const struct otlp *s, enum otlp_signal signal, struct otlp_stats *ret);

/* For the two of them: `n` were in a request that ended so. */
void otlp_count(enum otlp_end how, uint64_t n, uint64_t rejected, uint64_t *sent,
		uint64_t lost[_OTLP_LOST_MAX]);
