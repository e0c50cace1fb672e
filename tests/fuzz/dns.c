/*
 * Any bytes as a DNS message: the reader must stay inside them, and what it makes
 * of them must be printable; then as a sequence of datagrams, each two bytes of
 * length and direction before it, whose queries and answers must add up.
 */
#include "tests/fuzz/fuzz.h"

#include "flow/dns_match.h"

#include <stdlib.h>
#include <string.h>

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void parse(const uint8_t *data, size_t size)
{
	struct dns_message m;

	if (dns_parse(str_make(data, size), &m) < 0)
		return;
	check(m.n_addrs <= FLOWS_DNS_ADDRS);
	check(m.question || m.name_n == 0);
	for (size_t i = 0; i < m.name_n; i++)
		check(m.name[i] > ' ' && m.name[i] < 0x7f);
}

static void match(const uint8_t *data, size_t size)
{
	struct dns_match_figures f;
	struct dns_transaction t;
	struct dns_match *m;
	struct abi_dns d;
	uint64_t told = 0;
	nsec_t now = 0;

	if (dns_match_new(8, NSEC_PER_SEC, &m) < 0)
		return;
	while (size >= 2) {
		size_t n = data[0];

		memset(&d, 0, sizeof(d));
		d.egress = data[1] & 1;
		d.key.lport = data[1] & 2 ? 53 : 4000;
		d.key.rport = data[1] & 4 ? 53 : 4000;
		now += (nsec_t)(data[1] >> 3) * (NSEC_PER_SEC / 8);
		d.head.time = now;
		data += 2;
		size -= 2;
		n = n < size ? n : size;
		memcpy(d.data, data, n);
		d.captured = (uint16_t)n;
		data += n;
		size -= n;
		told += dns_match_packet(m, now, &d, &t) > 0;
		while (dns_match_expire(m, now, &t) > 0)
			told++;
	}
	dns_match_figures(m, &f);
	check(f.answered + f.timeouts == told);
	check(f.queries == told + f.lost + f.open && f.open <= 8);
	dns_match_free(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	parse(data, size);
	match(data, size);
	return 0;
}
