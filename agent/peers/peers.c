/* The life of a subscription; see peers.h. */
#include "peers/peers_parts.h"

#include "base/mem.h"
#include "base/uid.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *peers_state_name(enum peers_state s)
{
	static const char *const names[_PEERS_STATE_MAX] = {
		[PEERS_SEEKING] = "seeking", [PEERS_QUEUED] = "queued",
		[PEERS_SYNCING] = "syncing", [PEERS_SYNCED] = "synced",
		[PEERS_FULL] = "too_small",
	};
	return s < _PEERS_STATE_MAX ? names[s] : "?";
}

int peers_new(const struct peers_opts *o, struct peers **ret)
{
	struct peers *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->opts = *o;
	r = replica_new(o->max_bytes, &p->replica);
	if (r < 0) {
		free(p);
		return r;
	}
	frame_reader_init(&p->reader);
	rng_seed(&p->rng, o->seed);
	backoff_init(&p->backoff);
	p->backoff.base = PEERS_BACKOFF;
	p->backoff.cap = PEERS_BACKOFF_MAX;
	p->lost = o->now;
	p->due = o->now + rng_below(&p->rng, PEERS_FIRST);
	*ret = p;
	return 0;
}

void peers_free(struct peers **pp)
{
	struct peers *p = *pp;

	if (!p)
		return;
	frame_reader_done(&p->reader);
	replica_free(&p->replica);
	free(p);
	*pp = NULL;
}

/* ---- whom to ask, and when ------------------------------------------------------------------- */

static void pause_for(struct peers *p, nsec_t now, nsec_t time)
{
	p->phase = PHASE_PAUSE;
	p->due = now + time;
}

/* No stream came of this address. */
static void next_address(struct peers *p, nsec_t now)
{
	p->counts.failures++;
	p->phase = PHASE_READY;
	if (++p->next >= p->n_addrs)
		pause_for(p, now, backoff_next(&p->backoff, &p->rng, now, 0));
}

static void ask(struct peers *p)
{
	frame_reader_reset(&p->reader);
	p->greeted = false;
	p->phase = PHASE_READY;
}

/* The same address at once: it is well. */
static void renew(struct peers *p, nsec_t now)
{
	p->lost = now;
	ask(p);
}

/* All agents of a cluster lose their streams together when the collector goes. */
static void lose(struct peers *p, nsec_t now)
{
	p->counts.losses++;
	pause_for(p, now, rng_below(&p->rng, PEERS_SPREAD));
}

static void finish(struct peers *p, nsec_t now, int r)
{
	const bool streamed = p->phase == PHASE_STREAM && p->greeted;

	if (streamed)
		p->lost = now;
	if (r == -EMSGSIZE || r == -ENOMEM || r == -EBADMSG)
		stream_forget(p);
	p->full = r == -EMSGSIZE;
	if (p->full)
		pause_for(p, now, PEERS_FULL_PAUSE / 2 + rng_below(&p->rng, PEERS_FULL_PAUSE / 2));
	else if (r == -EBADMSG || r == -ENOMEM || r == -EPROTO) /* the next one may be as bad */
		pause_for(p, now, PEERS_BACKOFF + backoff_next(&p->backoff, &p->rng, now, 0));
	else if (r == -ESTALE)
		pause_for(p, now, rng_below(&p->rng, PEERS_BACKOFF));
	else if (streamed)
		lose(p, now);
	else
		next_address(p, now);
}

static bool under_way(const struct peers *p)
{
	return p->phase == PHASE_ASKED || p->phase == PHASE_REFUSED || p->phase == PHASE_STREAM;
}

static void time_over(struct peers *p, nsec_t now)
{
	(void)snprintf(p->error, sizeof(p->error), "silent for too long");
	p->abort = true;
	finish(p, now, -ETIMEDOUT);
}

enum peers_action peers_poll(struct peers *p, nsec_t now, nsec_t *ret_deadline)
{
	if (under_way(p) && now >= p->due)
		time_over(p, now);
	if (p->phase == PHASE_STREAM && now >= p->renew) {
		p->abort = true;
		renew(p, now);
	}
	*ret_deadline = p->phase == PHASE_STREAM ? MIN(p->due, p->renew) : p->due;
	if (p->abort) {
		p->abort = false;
		*ret_deadline = now;
		return PEERS_ABORT;
	}
	if (p->phase == PHASE_PAUSE && now >= p->due) {
		p->phase = PHASE_LOOKUP;
		*ret_deadline = NSEC_NEVER;
		return PEERS_RESOLVE;
	}
	if (p->phase == PHASE_LOOKUP)
		*ret_deadline = NSEC_NEVER;
	if (p->phase != PHASE_READY)
		return PEERS_NONE;
	p->phase = PHASE_ASKED;
	p->asked = now;
	p->due = *ret_deadline = now + PEERS_PATIENCE;
	return PEERS_START;
}

void peers_resolved(struct peers *p, nsec_t now, uint32_t n, const char *text)
{
	p->n_addrs = MIN(n, (uint32_t)PEERS_MAX_ADDRS);
	p->next = 0;
	for (uint32_t i = 0; i < p->n_addrs; i++) { /* shuffled: Fisher and Yates, inside out */
		const uint32_t k = (uint32_t)rng_below(&p->rng, i + 1);

		p->order[i] = p->order[k];
		p->order[k] = (uint8_t)i;
	}
	if (p->n_addrs) {
		ask(p);
		return;
	}
	(void)snprintf(p->error, sizeof(p->error), "%s", text ? text : "the host has no address");
	p->counts.failures++;
	pause_for(p, now, backoff_next(&p->backoff, &p->rng, now, 0));
}

uint32_t peers_address(const struct peers *p)
{
	return p->order[p->next < p->n_addrs ? p->next : 0];
}

static void print_feed(const struct peers *p, char out[2 * PEERFEED_ID + 1])
{
	*uid_print_hex(p->feed, PEERFEED_ID, out) = '\0';
}

int peers_target(const struct peers *p, struct buf *out)
{
	char feed[2 * PEERFEED_ID + 1];

	if (!p->whole)
		return buf_printf(out, PEERS_PATH);
	print_feed(p, feed);
	return buf_printf(out, PEERS_PATH "?feed=%s&from=%llu", feed,
			  (unsigned long long)p->position);
}

/* ---- what the shell reports ------------------------------------------------------------------ */

int peers_response(struct peers *p, nsec_t now, int status)
{
	if (p->phase != PHASE_ASKED)
		return -ECANCELED;
	p->due = now + PEERS_PATIENCE;
	p->phase = status == 200 ? PHASE_STREAM : PHASE_REFUSED;
	p->error[0] = '\0';
	p->renew = now + PEERS_RENEW_MIN + rng_below(&p->rng, PEERS_RENEW_MAX - PEERS_RENEW_MIN);
	if (status == 503)
		p->counts.standbys++;
	if (status != 200)
		(void)snprintf(p->error, sizeof(p->error), "HTTP %d: ", status);
	return 0;
}

/* What a server says to people; cut, and without what would break a line of log. */
static void note_words(struct peers *p, struct str bytes)
{
	size_t n = strlen(p->error);

	for (size_t i = 0; i < bytes.n && n + 1 < sizeof(p->error); i++)
		p->error[n++] = (unsigned char)bytes.p[i] < ' ' ? ' ' : bytes.p[i];
	p->error[n] = '\0';
}

int peers_data(struct peers *p, nsec_t now, const void *bytes, size_t n)
{
	int r;

	if (p->phase == PHASE_REFUSED) {
		note_words(p, str_make(bytes, n));
		return 0;
	}
	if (p->phase != PHASE_STREAM)
		return -ECANCELED;
	p->counts.bytes += n;
	r = stream_data(p, now, str_make(bytes, n));
	if (is_synced(p))
		backoff_good(&p->backoff, now);
	if (r < 0)
		finish(p, now, r);
	return r;
}

void peers_end(struct peers *p, nsec_t now, const char *text)
{
	if (!under_way(p))
		return;
	if (p->phase != PHASE_REFUSED)
		(void)snprintf(p->error, sizeof(p->error), "%s",
			       text && *text ? text : "the connection has ended");
	finish(p, now, -ECONNRESET);
}

static enum peers_state state_of(const struct peers *p)
{
	if (p->full)
		return PEERS_FULL;
	if (p->phase != PHASE_STREAM || !p->greeted)
		return PEERS_SEEKING;
	if (is_synced(p))
		return PEERS_SYNCED;
	return p->snapshots || p->whole ? PEERS_SYNCING : PEERS_QUEUED;
}

void peers_status(const struct peers *p, struct peers_status *ret)
{
	*ret = p->counts;
	ret->state = state_of(p);
	ret->ever_synced = is_synced(p);
	ret->from = p->from;
	ret->error = p->error;
	print_feed(p, ret->feed);
	ret->position = p->position;
	ret->known = peers_known(p);
	ret->doubt = p->clocks.set ? peers_doubt(p) : 0;
	replica_stats(p->replica, &ret->replica);
}
