/* What comes in, frame by frame; see peers_parts.h. */
#include "peers/peers_parts.h"

#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void stream_forget(struct peers *p)
{
	replica_clear(p->replica);
	p->edition++;
	p->whole = false;
	p->position = p->right_from = 0;
	p->known = 0;
}

static int fault(struct peers *p, int r, const char *text)
{
	(void)snprintf(p->error, sizeof(p->error), "%s", text);
	if (r != -ENOMEM && r != -EMSGSIZE && r != -EPROTO)
		p->counts.faults++;
	return r;
}

/* ---- records --------------------------------------------------------------------------------- */

static int take_records(struct peers *p, struct str payload)
{
	struct peerfeed_record rec;
	struct peerfeed_base base;
	int r;

	if (peerfeed_take_base(&payload, &base) < 0)
		return fault(p, -EBADMSG, "a frame cannot be read");
	while ((r = peerfeed_take(&payload, &base, &rec)) > 0) {
		r = replica_apply(p->replica, &rec);
		p->counts.records++;
		if (r == -EMSGSIZE)
			return fault(p, r, "the cluster does not fit into --peers-max");
		if (r == -ENOMEM)
			return fault(p, r, "out of memory");
		if (r < 0)
			break;
	}
	return r < 0 ? fault(p, -EBADMSG, "a record contradicts those before") : 0;
}

/* ---- frames ---------------------------------------------------------------------------------- */

/* It took long to be let in, or a clock stood still: only asking anew helps. */
static void note_doubt(struct peers *p, nsec_t now)
{
	const nsec_t soon = now + PEERS_SPREAD + rng_below(&p->rng, PEERS_SPREAD);

	if (peers_doubt(p) > PEERS_DOUBT_MAX / 2 && p->renew > now + 2 * PEERS_SPREAD)
		p->renew = soon;
}

static int on_hello(struct peers *p, nsec_t now, struct str payload)
{
	struct peerfeed_hello h;
	const int r = peerfeed_take_hello(&payload, &h);

	if (r == -EPROTO)
		return fault(p, r, "the collector speaks another version of the feed");
	if (r < 0 || p->greeted)
		return fault(p, -EBADMSG, "the stream begins wrongly");
	if (h.resumed && (!p->whole || memcmp(h.feed, p->feed, sizeof(h.feed)) != 0 ||
			  h.position != p->position))
		return fault(p, -EBADMSG, "another feed was resumed");
	p->greeted = true;
	p->snapshots = 0;
	p->patience = 4 * h.beat + PEERS_PATIENCE;
	(void)snprintf(p->from, sizeof(p->from), "%.*s", STR_ARG(h.name));
	two_clocks_begin(&p->clocks, h.resumed, p->asked, now, h.now);
	p->heard = now;
	p->hello = h.now;
	note_doubt(p, now);
	p->counts.connects++;
	p->counts.resumes += h.resumed;
	if (!h.resumed) {
		stream_forget(p);
		memcpy(p->feed, h.feed, sizeof(p->feed));
	}
	return 0;
}

/* What was said before this stream began says nothing of the clocks. */
static int heard(struct peers *p, nsec_t now, nsec_t theirs)
{
	if (theirs < p->hello)
		return 0;
	if (!two_clocks_heard(&p->clocks, now, theirs))
		return fault(p, -ESTALE, "a clock stood still");
	p->heard = now;
	note_doubt(p, now);
	return 0;
}

static int on_snapshot(struct peers *p, struct str payload)
{
	struct peerfeed_snapshot s;
	int r;

	if (peerfeed_take_snapshot(&payload, &s) < 0 || p->whole || s.index != p->snapshots ||
	    s.first != (p->snapshots == 0))
		return fault(p, -EBADMSG, "the whole has a gap");
	p->snapshots++;
	if (s.first)
		p->position = s.position;
	r = take_records(p, payload);
	if (r < 0 || !s.last)
		return r;
	p->whole = true;
	p->right_from = s.right_from;
	p->counts.wholes++;
	return 0;
}

static int on_mark(struct peers *p, nsec_t now, enum frame_kind kind, struct str payload)
{
	const bool changes = kind == FRAME_CHANGES;
	struct peerfeed_mark m;
	int r;

	if (peerfeed_take_mark(&payload, &m) < 0 || !p->whole ||
	    m.position != p->position + (changes ? 1 : 0))
		return fault(p, -EBADMSG, "the feed has a gap");
	r = heard(p, now, m.now);
	if (r == 0 && changes)
		r = take_records(p, payload);
	if (r < 0)
		return r;
	p->position = m.position;
	/* Nor can it be placed by their bounds. */
	if (is_synced(p) && m.known >= p->hello)
		p->known = two_clocks_earliest(&p->clocks, now, m.known);
	return 0;
}

static int on_wait(struct peers *p, nsec_t now, struct str payload)
{
	nsec_t theirs;

	if (peerfeed_take_wait(&payload, &theirs) < 0)
		return fault(p, -EBADMSG, "a frame cannot be read");
	return heard(p, now, theirs);
}

static int on_end(struct peers *p, struct str payload)
{
	(void)snprintf(p->error, sizeof(p->error), "%.*s", STR_ARG(payload));
	return -ESHUTDOWN;
}

static int on_frame(struct peers *p, nsec_t now, const struct frame *f)
{
	if (f->kind == FRAME_HELLO)
		return on_hello(p, now, f->payload);
	if (!p->greeted && f->kind != FRAME_END) /* it may have lost the lease meanwhile */
		return fault(p, -EBADMSG, "the stream begins wrongly");
	switch (f->kind) {
	case FRAME_SNAPSHOT:
		return on_snapshot(p, f->payload);
	case FRAME_CHANGES:
	case FRAME_BEAT:
		return on_mark(p, now, f->kind, f->payload);
	case FRAME_WAIT:
		return on_wait(p, now, f->payload);
	case FRAME_END:
		return on_end(p, f->payload);
	case FRAME_HELLO:
		break;
	}
	return -EBADMSG;
}

int stream_data(struct peers *p, nsec_t now, struct str bytes)
{
	struct frame f;
	int r;

	while ((r = frame_take(&p->reader, &bytes, &f)) > 0) {
		p->counts.frames++;
		p->edition++;
		r = on_frame(p, now, &f);
		if (r < 0)
			return r;
		p->due = now + p->patience;
	}
	return r < 0 ? fault(p, r, "this is no feed") : 0;
}
