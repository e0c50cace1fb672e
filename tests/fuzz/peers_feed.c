/*
 * Any bytes as a collector's feed. The first byte says how they are taken:
 *
 *   even   a stream, whole and in cuts: a subscription must come to the same end
 *   odd    the records of one payload, which no frame has to be packed for: what can be
 *          read is applied, and encodes back to the same
 */
#include "tests/fuzz/fuzz.h"

#include "peers/peers.h"

#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_BYTES (1U << 20)

static void check(bool ok)
{
	if (!ok)
		abort();
}

/* ---- streams --------------------------------------------------------------------------------- */

static struct peers *subscribe(nsec_t now)
{
	const struct peers_opts o = {.max_bytes = MAX_BYTES, .seed = 1, .now = now - PEERS_FIRST};
	struct peers *p = NULL;
	nsec_t deadline;

	check(peers_new(&o, &p) == 0);
	check(peers_poll(p, now, &deadline) == PEERS_RESOLVE);
	peers_resolved(p, now, 1, NULL);
	check(peers_poll(p, now, &deadline) == PEERS_START);
	check(peers_response(p, now, 200) == 0);
	return p;
}

static int play(struct peers *p, nsec_t now, const uint8_t *data, size_t size, size_t cut)
{
	int r = 0;

	for (size_t at = 0; r == 0 && at < size; at += MIN(cut, size - at))
		r = peers_data(p, now, data + at, MIN(cut, size - at));
	return r;
}

static void look_at_all(const struct peers *p)
{
	const struct replica *r = peers_replica(p);

	for (uint32_t id = replica_next(r, 0); id; id = replica_next(r, id)) {
		struct replica_thing t;
		struct inv_claim c[4];
		struct addr ip = {.b = {[10] = 0xff, [11] = 0xff, [12] = 10}};

		check(replica_thing(r, id, &t));
		check(strlen(t.name) < sizeof(t.name));
		(void)peers_claims(p, &ip, t.kind, c, 4);
	}
}

static void stream(const uint8_t *data, size_t size, size_t cut)
{
	const nsec_t now = 5000 * NSEC_PER_SEC;
	struct peers *whole = subscribe(now), *cuts = subscribe(now);
	struct peers_status a, b;
	int r = play(whole, now, data, size, size);

	check(r == play(cuts, now, data, size, cut));
	peers_status(whole, &a);
	peers_status(cuts, &b);
	check(a.state == b.state && a.position == b.position && a.known == b.known);
	check(a.replica.pods == b.replica.pods && a.replica.names == b.replica.names);
	check(a.replica.bytes == b.replica.bytes && a.records == b.records);
	look_at_all(whole);
	peers_free(&whole);
	peers_free(&cuts);
}

/* ---- records --------------------------------------------------------------------------------- */

static void again(const struct peerfeed_record *rec)
{
	static struct peerfeed_record back;
	struct peerfeed_base put = {.ms = 1ULL << 44, .wall = UINT32_MAX}, take = put;
	_buf_ struct buf b = {.max = 65536};
	struct str in;

	check(peerfeed_put(&b, &put, rec) == 0);
	in = buf_str(&b);
	check(peerfeed_take(&in, &take, &back) == 1 && in.n == 0);
	check(back.type == rec->type && back.n_claims == rec->n_claims && back.to == rec->to);
	check(back.running == rec->running && str_eq(back.text, rec->text));
}

static void records(struct str payload)
{
	static struct peerfeed_record rec;
	struct peerfeed_base base;
	struct replica *r = NULL;

	check(replica_new(MAX_BYTES, &r) == 0);
	if (peerfeed_take_base(&payload, &base) == 0)
		while (peerfeed_take(&payload, &base, &rec) > 0) {
			again(&rec);
			if (replica_apply(r, &rec) < 0)
				break;
		}
	replica_free(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	if (data[0] & 1)
		records(str_make(data + 1, size - 1));
	else
		stream(data + 1, size - 1, 1 + data[0] / 2);
	return 0;
}
