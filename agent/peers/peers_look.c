/* What was learned, on our clock; see peers_parts.h. */
#include "peers/peers_parts.h"

#include "base/mem.h"

const struct replica *peers_replica(const struct peers *p)
{
	return p->replica;
}

nsec_t peers_known(const struct peers *p)
{
	return is_synced(p) && peers_doubt(p) <= PEERS_DOUBT_MAX ? p->known : 0;
}

enum peers_knows peers_knows(const struct peers *p, nsec_t at, nsec_t settle)
{
	if (!is_synced(p))
		return PEERS_UNSYNCED;
	return peers_known(p) >= MAX(at, p->clocks.since) + settle ? PEERS_KNOWS : PEERS_STALE;
}

bool peers_awaited(const struct peers *p, nsec_t now)
{
	if (p->full)
		return false;
	return p->phase == PHASE_STREAM || now < p->lost + PEERS_AWAITED;
}

/* Marks tell of what was, so the bounds of the last one hold. */
nsec_t peers_ours(const struct peers *p, nsec_t theirs)
{
	return two_clocks_latest(&p->clocks, p->heard, theirs);
}

nsec_t peers_doubt(const struct peers *p)
{
	return two_clocks_doubt(&p->clocks, p->heard);
}

nsec_t peers_since(const struct peers *p)
{
	return p->clocks.since + peers_doubt(p);
}

uint64_t peers_edition(const struct peers *p)
{
	return p->edition;
}

nsec_t peers_listed_at(const struct peers *p)
{
	const nsec_t at = replica_listed_at(p->replica);

	return at ? peers_ours(p, at) : 0;
}

uint32_t peers_claims(const struct peers *p, const struct addr *ip, enum kind kind,
		      struct inv_claim *ret, uint32_t max)
{
	const uint32_t n = replica_claims(p->replica, ip, kind, ret, max);

	for (uint32_t i = 0; i < MIN(n, max); i++) {
		ret[i].from = peers_ours(p, ret[i].from);
		ret[i].to = peers_ours(p, ret[i].to);
		ret[i].heard = peers_ours(p, ret[i].heard);
	}
	return n;
}
