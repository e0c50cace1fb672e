/*
 * A reducer for tests: reads what a session put on the wire with liblz4 and the
 * decoder of proto/, keeps one line a message, and holds the stream to the rules
 * of the protocol: version_info plain and first, then complete LZ4 frames of
 * whole messages of at most 16 KiB, no container before its pod, no delete of a
 * pod that is not there, epochs that rise.
 */
#pragma once

#include "base/buf.h"
#include "base/index.h"
#include "proto/wire.h"

#include <errno.h>
#include <lz4frame.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PEER_PODS 16384

struct peer_pod {
	char uid[64], owner[64];
	unsigned int containers;
};

struct peer {
	LZ4F_dctx *lz4;
	struct buf in, raw, lines;
	size_t frame;		     /* decompressed bytes of the frame under way */
	bool hello, resynced, quiet; /* quiet: keep no lines */
	uint64_t epoch;		     /* lives over connections */
	uint64_t frames, messages, news, containers, deletes, heartbeats;
	struct peer_pod *pods;
	unsigned int n_pods;
	struct index by_uid; /* place in pods + 1 */
};

static inline void peer_init(struct peer *p)
{
	*p = (struct peer){.pods = calloc(PEER_PODS, sizeof(struct peer_pod))};
	assert_non_null(p->pods);
	assert_false(LZ4F_isError(LZ4F_createDecompressionContext(&p->lz4, LZ4F_VERSION)));
	buf_init(&p->in, 64 << 20);
	buf_init(&p->raw, 1 << 20);
	buf_init(&p->lines, 64 << 20);
}

static inline void peer_done(struct peer *p)
{
	(void)LZ4F_freeDecompressionContext(p->lz4);
	buf_done(&p->in);
	buf_done(&p->raw);
	buf_done(&p->lines);
	index_done(&p->by_uid);
	free(p->pods);
}

static inline void peer_no_pods(struct peer *p)
{
	p->n_pods = 0;
	index_done(&p->by_uid);
	index_init(&p->by_uid);
}

/* A new connection: the pods of the old one are gone. */
static inline void peer_reset(struct peer *p)
{
	LZ4F_resetDecompressionContext(p->lz4);
	buf_reset(&p->in);
	buf_reset(&p->raw);
	p->hello = p->resynced = false;
	p->frame = 0;
	peer_no_pods(p);
}

static inline uint32_t peer_hash(struct str uid)
{
	uint32_t h = 2166136261U; /* FNV-1a */

	for (size_t i = 0; i < uid.n; i++)
		h = (h ^ (unsigned char)uid.p[i]) * 16777619U;
	return h;
}

static inline struct peer_pod *peer_pod(struct peer *p, struct str uid)
{
	const uint32_t h = peer_hash(uid);
	uint32_t at;

	for (uint32_t i = index_first(&p->by_uid, h, &at); i; i = index_next(&p->by_uid, h, &at))
		if (str_eq(str_of(p->pods[i - 1].uid), uid))
			return &p->pods[i - 1];
	return NULL;
}

static inline struct peer_pod *peer_add(struct peer *p, struct str uid)
{
	struct peer_pod *pod = &p->pods[p->n_pods++];

	assert_true(p->n_pods <= PEER_PODS);
	*pod = (struct peer_pod){0};
	(void)snprintf(pod->uid, sizeof(pod->uid), "%.*s", STR_ARG(uid));
	assert_int_equal(index_put(&p->by_uid, peer_hash(uid), p->n_pods), 0);
	return pod;
}

/* The last pod takes the place of the one that goes. */
static inline void peer_remove(struct peer *p, struct peer_pod *pod)
{
	const uint32_t at = (uint32_t)(pod - p->pods) + 1, last = p->n_pods--;
	const uint32_t h = peer_hash(str_of(p->pods[last - 1].uid));

	index_del(&p->by_uid, peer_hash(str_of(pod->uid)), at);
	if (at == last)
		return;
	index_del(&p->by_uid, h, last);
	assert_int_equal(index_put(&p->by_uid, h, at), 0);
	*pod = p->pods[last - 1];
}

__attribute__((format(printf, 2, 3))) static inline void peer_line(struct peer *p, const char *fmt,
								   ...)
{
	char text[32768];
	va_list ap;

	if (p->quiet)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	assert_int_equal(buf_append_str(&p->lines, str_of(text)), 0);
	assert_int_equal(buf_append(&p->lines, "\n", 1), 0);
}

static inline void peer_new(struct peer *p, const struct wire_pod_new_with_name *m)
{
	struct peer_pod *pod = peer_pod(p, m->uid);

	assert_true(m->owner_name.n > 0);
	if (!pod)
		pod = peer_add(p, m->uid);
	(void)snprintf(pod->owner, sizeof(pod->owner), "%.*s", STR_ARG(m->owner_name));
	p->news++;
	peer_line(p, "new %.*s %.*s/%.*s owner=%u:%.*s:%.*s ip=%08x host=%u version=%.*s",
		  STR_ARG(m->uid), STR_ARG(m->ns), STR_ARG(m->pod_name), m->owner_kind,
		  STR_ARG(m->owner_name), STR_ARG(m->owner_uid), m->ip, m->is_host_network,
		  STR_ARG(m->version));
}

static inline void peer_container(struct peer *p, const struct wire_pod_container *m)
{
	struct peer_pod *pod = peer_pod(p, m->uid);

	assert_non_null(pod);
	assert_true(m->container_id.n > 0);
	if (pod)
		pod->containers++;
	p->containers++;
	peer_line(p, "container %.*s %.*s %.*s %.*s", STR_ARG(m->uid), STR_ARG(m->container_id),
		  STR_ARG(m->container_name), STR_ARG(m->container_image));
}

static inline void peer_delete(struct peer *p, const struct wire_pod_delete *m)
{
	struct peer_pod *pod = peer_pod(p, m->uid);

	assert_non_null(pod);
	if (pod)
		peer_remove(p, pod);
	p->deletes++;
	peer_line(p, "delete %.*s", STR_ARG(m->uid));
}

static inline void peer_resync(struct peer *p, const struct wire_pod_resync *m)
{
	assert_true(m->resync_count > p->epoch);
	p->epoch = m->resync_count;
	p->resynced = true;
	peer_no_pods(p);
	peer_line(p, "resync %llu", (unsigned long long)m->resync_count);
}

/* Every other message: its name and fields. */
static inline void peer_other(struct peer *p, const struct wire_msg *m)
{
	char text[4096];
	int n = snprintf(text, sizeof(text), "%s", m->desc->name);

	for (unsigned int i = 0; i < m->desc->n_fields && n < (int)sizeof(text); i++) {
		const struct wire_field *f = &m->desc->fields[i];

		if (f->type == WIRE_BYTES)
			continue;
		if (f->type == WIRE_STR)
			n += snprintf(text + n, sizeof(text) - (size_t)n, " %.*s",
				      STR_ARG(m->v[i].s));
		else if (f->type == WIRE_IP6)
			n += snprintf(text + n, sizeof(text) - (size_t)n, " %02x%02x",
				      (unsigned char)m->v[i].s.p[0], (unsigned char)m->v[i].s.p[1]);
		else
			n += snprintf(text + n, sizeof(text) - (size_t)n, " %llu",
				      (unsigned long long)m->v[i].u);
	}
	p->heartbeats += m->desc->id == WIRE_heartbeat;
	peer_line(p, "%s", text);
}

static inline void peer_message(struct peer *p, const struct wire_msg *m)
{
	struct wire_pod_new_with_name pod;
	struct wire_pod_container container;
	struct wire_pod_delete del;
	struct wire_pod_resync resync;

	assert_false(m->dirty);
	assert_true(m->size <= 16384);
	p->messages++;
	if (wire_get_pod_resync(m, &resync)) {
		peer_resync(p, &resync);
		return;
	}
	if (wire_get_pod_new_with_name(m, &pod)) {
		assert_true(p->resynced);
		peer_new(p, &pod);
	} else if (wire_get_pod_container(m, &container)) {
		peer_container(p, &container);
	} else if (wire_get_pod_delete(m, &del)) {
		peer_delete(p, &del);
	} else {
		peer_other(p, m);
	}
}

/* Takes every whole message off `b`. */
static inline void peer_parse(struct peer *p, struct buf *b, bool one)
{
	struct wire_msg m;
	int r;

	while ((r = wire_decode(buf_str(b), &m, NULL)) == 0) {
		peer_message(p, &m);
		buf_consume(b, m.size);
		if (one) {
			assert_int_equal(m.desc->id, WIRE_version_info);
			p->hello = true;
			return;
		}
		assert_int_not_equal(m.desc->id, WIRE_version_info);
	}
	assert_int_equal(r, -EAGAIN);
}

static inline void peer_inflate(struct peer *p)
{
	char out[65536];

	while (p->in.n) {
		size_t n = sizeof(out), used = p->in.n;
		const size_t r = LZ4F_decompress(p->lz4, out, &n, buf_str(&p->in).p, &used, NULL);

		assert_false(LZ4F_isError(r));
		buf_consume(&p->in, used);
		p->frame += n;
		assert_int_equal(buf_append(&p->raw, out, n), 0);
		if (r == 0) { /* the frame is complete */
			assert_true(p->frame <= 16384);
			p->frame = 0;
			p->frames++;
			peer_parse(p, &p->raw, false);
			assert_int_equal(p->raw.n, 0);
		}
		if (!n && !used)
			return;
	}
}

/* Bytes from the wire, in any cut. */
static inline void peer_feed(struct peer *p, struct str bytes)
{
	assert_int_equal(buf_append_str(&p->in, bytes), 0);
	if (!p->hello)
		peer_parse(p, &p->in, true);
	if (p->hello)
		peer_inflate(p);
}

/* The lines since the last call, NUL-terminated; borrowed until the next feed. */
static inline const char *peer_lines(struct peer *p)
{
	assert_int_equal(buf_append(&p->lines, "", 1), 0);
	p->lines.n--;
	return buf_tail(&p->lines) - p->lines.n;
}

static inline void peer_forget(struct peer *p)
{
	buf_reset(&p->lines);
}
