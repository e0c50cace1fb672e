/*
 * The DNS reader against libc's resolver library (a decoder that is not ours), on
 * messages made by hand and on damaged ones; the matching of answers.
 */
#include "flow/dns_match.h"

#include "base/mem.h"
#include "base/rng.h"
#include "tests/lib/torture.h"

#include <arpa/nameser.h>
#include <ctype.h>
#include <errno.h>
#include <resolv.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* ---- messages -------------------------------------------------------------------------------- */

struct message {
	const char *what;
	const char *bytes;
	size_t n;
};
#define MESSAGE(what, lit)                 \
	{                                  \
		what, lit, sizeof(lit) - 1 \
	}

/* RFC 1035 section 4.1: header; question; records with compressed names. */
#define QUESTION "\3Www\7eXample\3com\0\0\1\0\1"
static const struct message messages[] = {
	MESSAGE("query", "\x12\x34\1\0\0\1\0\0\0\0\0\0" QUESTION),
	MESSAGE("query with EDNS (RFC 6891)", "\x12\x34\1\x20\0\1\0\0\0\0\0\1" QUESTION
					      "\0\0\x29\4\xd0\0\0\0\0\0\x0c\0\x0a\0\10ABCDEFGH"),
	MESSAGE("one address",
		"\x12\x34\x81\x80\0\1\0\1\0\0\0\0" QUESTION "\xc0\x0c\0\1\0\1\0\0\1\x2c\0\4"
		"\xc0\0\2\1"),
	MESSAGE("CNAME, then two addresses, then authority",
		"\x12\x34\x81\x80\0\1\0\3\0\1\0\0" QUESTION "\xc0\x0c\0\5\0\1\0\0\1\x2c\0\7"
		"\4edge\xc0\x10"
		"\xc0\x2d\0\1\0\1\0\0\0\x3c\0\4\xc6\x33\x64\7"
		"\xc0\x2d\0\x1c\0\1\0\0\0\x3c\0\x10\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\x35"
		"\xc0\x10\0\2\0\1\0\0\1\0\0\5\2ns\xc0\x10"),
	MESSAGE("NXDOMAIN", "\0\7\x81\x83\0\1\0\0\0\1\0\0\4nope\7cluster\5local\0\0\x1c\0\1"
			    "\xc0\x11\0\6\0\1\0\0\0\x1e\0\x1c\1n\xc0\x11\1h\xc0\x11\0\0\0\1\0\0\0\2"
			    "\0\0\0\3\0\0\0\4\0\0\0\5"),
	MESSAGE("odd bytes in a name", "\0\1\1\0\0\1\0\0\0\0\0\0\5a.B\\\"\4\0\x20\xff\x7f\3($@\0\0"
				       "\xff\0\xff"),
	MESSAGE("root", "\0\1\1\0\0\1\0\0\0\0\0\0\0\0\2\0\1"),
	MESSAGE("no question", "\0\1\x80\1\0\0\0\0\0\0\0\0"),
	MESSAGE("another class, and a length that is not an address's",
		"\0\1\x81\x80\0\1\0\2\0\0\0\0\1a\0\0\1\0\1"
		"\xc0\x0c\0\1\0\3\0\0\0\1\0\4\1\2\3\4\xc0\x0c\0\1\0\1\0\0\0\1\0\5\1\2\3\4\5"),
};

static struct str text(const struct message *m)
{
	return str_make(m->bytes, m->n);
}

/* ---- the other decoder ----------------------------------------------------------------------- */

static void lower(char *z)
{
	for (; *z; z++)
		*z = (char)tolower((unsigned char)*z);
}

static void same_addresses(ns_msg *h, const struct dns_message *m)
{
	uint32_t n = 0;

	for (int i = 0; i < ns_msg_count(*h, ns_s_an); i++) {
		struct addr a = {.b = {[10] = 0xff, [11] = 0xff}};
		size_t len;
		ns_rr rr;

		if (ns_parserr(h, ns_s_an, i, &rr) < 0)
			return; /* cut, or a name it does not like */
		len = ns_rr_rdlen(rr);
		if (ns_rr_class(rr) != ns_c_in || !((ns_rr_type(rr) == ns_t_a && len == 4) ||
						    (ns_rr_type(rr) == ns_t_aaaa && len == 16)))
			continue;
		memcpy(a.b + 16 - len, ns_rr_rdata(rr), len);
		if (n < FLOWS_DNS_ADDRS)
			assert_memory_equal(&m->addrs[n], &a, sizeof(a));
		n++;
		assert_true(m->n_addrs + m->addrs_left_out >= n);
	}
	assert_int_equal(m->n_addrs + m->addrs_left_out, n);
}

/* What it reads, we read the same. Returns false when it refused the message as a whole. */
static bool same_as_libresolv(struct str bytes, const struct dns_message *m)
{
	char name[NS_MAXDNAME];
	ns_msg h;
	ns_rr q;

	if (ns_initparse((const u_char *)bytes.p, (int)bytes.n, &h) < 0)
		return false;
	assert_int_equal(ns_msg_id(h), m->id);
	assert_int_equal(ns_msg_getflag(h, ns_f_qr), m->response);
	assert_int_equal(ns_msg_getflag(h, ns_f_opcode), m->opcode);
	assert_int_equal(ns_msg_getflag(h, ns_f_rcode), m->rcode);
	if (ns_msg_count(h, ns_s_qd) > 0) {
		if (ns_parserr(&h, ns_s_qd, 0, &q) < 0)
			return false; /* it passes over the question, we end there */
		(void)snprintf(name, sizeof(name), "%s", ns_rr_name(q));
		lower(name);
		assert_true(m->question);
		assert_int_equal(ns_rr_type(q), m->qtype);
		assert_int_equal(ns_rr_class(q), m->qclass);
		assert_true(strcmp(name, ".") == 0 ? m->name_n == 0
						   : strncmp(name, m->name, m->name_n) == 0 &&
							     (m->name_cut || name[m->name_n] == 0));
	}
	assert_false(m->cut);
	same_addresses(&h, m);
	return true;
}

static void assert_sane(const struct dns_message *m)
{
	assert_true(m->n_addrs <= FLOWS_DNS_ADDRS);
	for (size_t i = 0; i < m->name_n; i++)
		assert_true(m->name[i] > ' ' && m->name[i] < 0x7f &&
			    !(m->name[i] >= 'A' && m->name[i] <= 'Z'));
	assert_true(m->question || (!m->name_n && !m->qtype));
}

/* ---- reading --------------------------------------------------------------------------------- */

static void whole_messages(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(messages); i++) {
		struct dns_message m;

		assert_int_equal(dns_parse(text(&messages[i]), &m), 0);
		assert_sane(&m);
		if (!same_as_libresolv(text(&messages[i]), &m))
			fail_msg("%s: the oracle refuses it", messages[i].what);
	}
}

static void what_is_in_them(void **state)
{
	struct dns_message m;
	char ip[ADDR_TEXT_MAX];

	(void)state;
	assert_int_equal(dns_parse(text(&messages[3]), &m), 0);
	assert_true(str_eq(dns_name(&m), STR("www.example.com")));
	assert_int_equal(m.n_addrs, 2);
	assert_string_equal(addr_print(&m.addrs[0], ip), "198.51.100.7");
	assert_string_equal(addr_print(&m.addrs[1], ip), "2001:db8::35");
	assert_int_equal(dns_parse(text(&messages[4]), &m), 0);
	assert_int_equal(m.rcode, 3);
	assert_int_equal(m.qtype, 28);
	assert_int_equal(dns_parse(text(&messages[5]), &m), 0);
	assert_true(str_eq(dns_name(&m), STR("a\\.b\\\\\\\".\\000\\032\\255\\127.\\(\\$\\@")));
}

/* Each from an allocation of its own size: reading over the end is seen by ASan. */
static int parse_copy(const char *p, size_t n, struct dns_message *ret)
{
	char *copy = malloc(n ? n : 1);
	int r;

	memcpy(copy, p, n);
	r = dns_parse(str_make(copy, n), ret);
	free(copy);
	return r;
}

static void every_truncation_gives_what_is_there(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(messages); i++) {
		struct dns_message whole, m;

		assert_int_equal(dns_parse(text(&messages[i]), &whole), 0);
		for (size_t n = 0; n < messages[i].n; n++) {
			int r = parse_copy(messages[i].bytes, n, &m);

			assert_int_equal(r, n < 12 ? -EBADMSG : 0);
			if (r < 0)
				continue;
			assert_sane(&m);
			assert_true(m.cut || m.n_addrs == whole.n_addrs);
			assert_true(m.n_addrs <= whole.n_addrs);
			assert_memory_equal(m.addrs, whole.addrs, m.n_addrs * sizeof(m.addrs[0]));
			if (m.question)
				assert_true(str_eq(dns_name(&m), dns_name(&whole)));
		}
	}
}

static void bad_names_are_refused(void **state)
{
	static const struct message bad[] = {
		MESSAGE("pointer to itself", "\0\1\0\0\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1"),
		MESSAGE("two in a ring", "\0\1\0\0\0\1\0\0\0\0\0\0\xc0\x0e\xc0\x0c\0\1\0\1"),
		MESSAGE("a label and back", "\0\1\0\0\0\1\0\0\0\0\0\0\1a\xc0\x0c\0\1\0\1"),
		MESSAGE("reserved label type", "\0\1\0\0\0\1\0\0\0\0\0\0\x41x\0\0\1\0\1"),
		MESSAGE("reserved label type in an answer",
			"\0\1\x80\0\0\0\0\1\0\0\0\0\x81x\0\0\1\0\1\0\0\0\0\0\4\1\2\3\4"),
	};
	char name[12 + 300] = "\0\1\0\0\0\1\0\0\0\0\0";
	struct dns_message m;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (dns_parse(text(&bad[i]), &m) != -EBADMSG)
			fail_msg("%s: taken", bad[i].what);
	/* 255 bytes are the most a name has: 127 labels of one byte and the root. */
	for (unsigned int i = 0; i < 128; i++) {
		name[12 + 2 * i] = 1;
		name[13 + 2 * i] = 'x';
	}
	name[12 + 254] = 0;
	memcpy(name + 12 + 255, "\0\1\0\1", 4);
	assert_int_equal(dns_parse(str_make(name, 12 + 259), &m), 0);
	assert_int_equal(m.name_n, 253);
	name[12 + 254] = 1;
	assert_int_equal(dns_parse(str_make(name, sizeof(name)), &m), -EBADMSG);
}

static void a_long_text_is_cut_at_a_character(void **state)
{
	char q[12 + 64 * 3 + 5] = "\0\1\0\0\0\1\0\0\0\0\0";
	struct dns_message m;

	(void)state;
	for (unsigned int i = 0; i < 3; i++) {
		q[12 + i * 64] = 63;
		memset(q + 13 + i * 64, 1, 63);
	}
	assert_int_equal(dns_parse(str_make(q, sizeof(q)), &m), 0);
	assert_true(m.name_cut);
	assert_int_equal(m.name_n, 63 * 4 + 1);
	assert_true(str_ends(dns_name(&m), STR("\\001.")));
}

static void many_addresses_are_counted(void **state)
{
	char q[12 + 40 * 15] = "\0\1\x80\0\0\0\0\x28\0\0\0";
	struct dns_message m;

	(void)state;
	for (unsigned int i = 0; i < 40; i++) {
		memcpy(q + 12 + i * 15, "\0\0\1\0\1\0\0\0\0\0\4\x0a\0\0", 14);
		q[12 + i * 15 + 14] = (char)i;
	}
	assert_int_equal(dns_parse(str_make(q, sizeof(q)), &m), 0);
	assert_int_equal(m.n_addrs, FLOWS_DNS_ADDRS);
	assert_int_equal(m.addrs_left_out, 40 - FLOWS_DNS_ADDRS);
	assert_int_equal(m.addrs[15].b[15], 15);
}

static void damaged_messages_agree_with_the_oracle(void **state)
{
	unsigned int agreed = 0, taken = 0;
	struct rng g;

	(void)state;
	rng_seed(&g, 1035);
	for (unsigned int i = 0; i < 300000; i++) {
		const struct message *m = &messages[rng_below(&g, ARRAY_SIZE(messages))];
		size_t n = m->n - (rng_below(&g, 4) ? 0 : rng_below(&g, m->n));
		struct dns_message got;
		char bytes[256];

		memcpy(bytes, m->bytes, n);
		for (uint64_t k = rng_below(&g, 5); k > 0; k--)
			bytes[rng_below(&g, n)] = (char)rng_next(&g);
		if (n == 0 || parse_copy(bytes, n, &got) < 0)
			continue;
		taken++;
		assert_sane(&got);
		agreed += same_as_libresolv(str_make(bytes, n), &got);
	}
	assert_true(taken > 100000 && agreed > 50000);
}

static void random_bytes(void **state)
{
	struct rng g;

	(void)state;
	rng_seed(&g, 4343);
	for (unsigned int i = 0; i < 200000; i++) {
		char bytes[64];
		struct dns_message m;
		size_t n = rng_below(&g, sizeof(bytes));

		for (size_t k = 0; k < n; k++)
			bytes[k] = (char)(rng_below(&g, 3) ? rng_next(&g) : rng_below(&g, 4));
		if (parse_copy(bytes, n, &m) == 0)
			assert_sane(&m);
	}
}

/* ---- matching -------------------------------------------------------------------------------- */

#define SEC NSEC_PER_SEC
#define T0  (1000 * SEC)

/* One end of a query between port 40000 of cgroup 7 and port 53 of cgroup 8. */
static struct abi_dns packet(bool egress, bool server, nsec_t at, const struct message *m,
			     uint16_t id)
{
	struct abi_dns d = {.head.time = at, .egress = egress};

	d.key.cgroup = server ? 8 : 7;
	d.key.lport = server ? 53 : 40000;
	d.key.rport = server ? 40000 : 53;
	d.key.laddr[15] = server ? 2 : 1;
	d.key.raddr[15] = server ? 1 : 2;
	d.len = d.captured = (uint16_t)m->n;
	memcpy(d.data, m->bytes, m->n);
	d.data[0] = (uint8_t)(id >> 8);
	d.data[1] = (uint8_t)id;
	return d;
}

static struct dns_match *make(uint32_t max)
{
	struct dns_match *m;

	assert_int_equal(dns_match_new(max, 5 * SEC, &m), 0);
	return m;
}

static int hear(struct dns_match *m, struct abi_dns d, struct dns_transaction *t)
{
	return dns_match_packet(m, d.head.time, &d, t);
}

static const struct message *const query = &messages[0], *const reply = &messages[2],
				   *const nxdomain = &messages[4], *const refusal = &messages[7];

static void both_ends_are_transactions(void **state)
{
	struct dns_match *m = make(10);
	struct dns_transaction t;

	(void)state;
	assert_int_equal(hear(m, packet(true, false, T0, query, 5), &t), 0);
	assert_int_equal(hear(m, packet(false, true, T0 + 1000, query, 5), &t), 0);
	assert_int_equal(hear(m, packet(true, true, T0 + 4000, reply, 5), &t), 1);
	assert_true(t.server && !t.timeout && t.latency == 3000 && t.at == T0 + 1000);
	assert_int_equal(t.key.cgroup, 8);
	assert_int_equal(hear(m, packet(false, false, T0 + 5000, reply, 5), &t), 1);
	assert_true(!t.server && t.latency == 5000 && t.at == T0);
	assert_int_equal(t.key.cgroup, 7);
	assert_int_equal(t.qtype, 1);
	assert_int_equal(t.n_addrs, 1);
	assert_int_equal(t.rcode, 0);
	assert_true(str_eq(str_make(t.name, t.name_n), STR("www.example.com")));
	assert_true(dns_match_deadline(m) == NSEC_NEVER);
	dns_match_free(&m);
}

static void an_answer_fits_its_question_only(void **state)
{
	struct dns_match *m = make(10);
	struct dns_match_figures f;
	struct dns_transaction t;
	struct abi_dns d;

	(void)state;
	assert_int_equal(hear(m, packet(true, false, T0, query, 5), &t), 0);
	assert_int_equal(hear(m, packet(false, false, T0 + 1, reply, 6), &t), 0);    /* id */
	assert_int_equal(hear(m, packet(false, false, T0 + 1, nxdomain, 5), &t), 0); /* name */
	d = packet(false, false, T0 + 1, reply, 5);
	d.key.lport++;
	assert_int_equal(hear(m, d, &t), 0); /* port */
	d = packet(false, false, T0 + 1, reply, 5);
	d.key.cgroup++;
	assert_int_equal(hear(m, d, &t), 0); /* cgroup */
	d = packet(false, false, T0 + 1, reply, 5);
	d.key.rport = 5353;
	assert_int_equal(hear(m, d, &t), 0); /* not DNS's port */
	dns_match_figures(m, &f);
	assert_true(f.unasked == 4 && f.unlike == 1 && f.open == 1);
	/* The answer of another server (or behind a translation) is one. */
	d = packet(false, false, T0 + 1, reply, 5);
	d.key.raddr[15] = d.key.laddr[15] = 99;
	assert_int_equal(hear(m, d, &t), 1);
	assert_int_equal(t.key.raddr[15], 99);
	/* One that repeats no question has its id alone. */
	assert_int_equal(hear(m, packet(true, false, T0, query, 9), &t), 0);
	assert_int_equal(hear(m, packet(false, false, T0 + 1, refusal, 9), &t), 1);
	assert_int_equal(t.rcode, 1);
	assert_true(str_eq(str_make(t.name, t.name_n), STR("www.example.com")));
	dns_match_free(&m);
}

static void a_repeated_query_keeps_its_time(void **state)
{
	struct dns_match *m = make(10);
	struct dns_match_figures f;
	struct dns_transaction t;

	(void)state;
	assert_int_equal(hear(m, packet(true, false, T0, query, 5), &t), 0);
	assert_int_equal(hear(m, packet(true, false, T0 + 2 * SEC, query, 5), &t), 0);
	assert_int_equal(hear(m, packet(false, false, T0 + 3 * SEC, reply, 5), &t), 1);
	assert_true(t.latency == 3 * SEC);
	assert_int_equal(hear(m, packet(false, false, T0 + 3 * SEC, reply, 5), &t), 0);
	dns_match_figures(m, &f);
	assert_true(f.queries == 1 && f.repeated == 1 && f.answered == 1 && f.unasked == 1);
	dns_match_free(&m);
}

static void a_time_out_is_told_once(void **state)
{
	struct dns_match *m = make(10);
	struct dns_match_figures f;
	struct dns_transaction t;

	(void)state;
	assert_int_equal(hear(m, packet(true, false, T0, query, 5), &t), 0);
	assert_int_equal(hear(m, packet(true, false, T0 + SEC, query, 6), &t), 0);
	assert_int_equal(dns_match_expire(m, T0 + 5 * SEC, &t), 0);
	/* In time, though read late; and too late. */
	assert_int_equal(hear(m, packet(false, false, T0 + 6 * SEC - 1, reply, 6), &t), 1);
	assert_int_equal(hear(m, packet(false, false, T0 + 6 * SEC, reply, 5), &t), 0);
	/* Asked anew after its time: another transaction. */
	assert_int_equal(hear(m, packet(true, false, T0 + 6 * SEC, query, 5), &t), 0);
	assert_int_equal(hear(m, packet(false, false, T0 + 7 * SEC, reply, 5), &t), 1);
	assert_true(t.latency == SEC);
	assert_int_equal(dns_match_expire(m, dns_match_deadline(m), &t), 1);
	assert_true(t.timeout && t.at == T0 && t.latency == 5 * SEC && t.n_addrs == 0);
	assert_int_equal(dns_match_expire(m, NSEC_NEVER - 1, &t), 0);
	dns_match_figures(m, &f);
	assert_true(f.timeouts == 1 && f.open == 0 && f.unasked == 1);
	dns_match_free(&m);
}

static void over_the_maximum_the_oldest_goes(void **state)
{
	struct dns_match *m = make(100);
	struct dns_match_figures f;
	struct dns_transaction t;

	(void)state;
	for (uint16_t i = 0; i < 1000; i++)
		assert_int_equal(hear(m, packet(true, false, T0 + i, query, i), &t), 0);
	for (uint16_t i = 0; i < 1000; i++)
		assert_int_equal(hear(m, packet(false, false, T0 + 2000, reply, i), &t), i >= 900);
	dns_match_figures(m, &f);
	assert_true(f.lost == 900 && f.answered == 100 && f.open == 0);
	assert_true(dns_match_bytes(m) < (size_t)512 * 1024);
	dns_match_free(&m);
}

/* queries = answered + timeouts + lost + open, whatever comes; a plain model of one query per id.
 */
static void random_histories_balance(void **state)
{
	struct dns_match *m = make(64);
	struct dns_match_figures f;
	struct dns_transaction t;
	uint64_t answers = 0, outs = 0;
	nsec_t now = T0;
	struct rng g;

	(void)state;
	rng_seed(&g, 53);
	for (unsigned int i = 0; i < 200000; i++) {
		bool server = rng_below(&g, 2), response = rng_below(&g, 2);
		uint16_t id = (uint16_t)rng_below(&g, 100);

		now += rng_below(&g, SEC / 16);
		answers += (uint64_t)hear(
			m, packet(response == server, server, now, response ? reply : query, id),
			&t);
		while (dns_match_expire(m, now, &t) > 0) {
			assert_true(t.timeout && now >= t.at + 5 * SEC);
			outs++;
		}
		dns_match_figures(m, &f);
		assert_true(f.answered == answers && f.timeouts == outs && f.open <= 64);
		assert_true(f.queries == answers + outs + f.lost + f.open);
	}
	assert_true(answers > 10000 && outs > 1000);
	dns_match_free(&m);
}

static void what_is_not_dns_is_counted(void **state)
{
	static const struct message junk = MESSAGE("junk", "hello");
	struct dns_match *m = make(1);
	struct dns_match_figures f;
	struct dns_transaction t;

	(void)state;
	assert_int_equal(hear(m, packet(true, false, T0, &junk, 1), &t), -EBADMSG);
	dns_match_figures(m, &f);
	assert_true(f.bad == 1 && f.open == 0);
	dns_match_free(&m);
}

static int without_memory(void *ctx)
{
	struct dns_match *m = NULL;
	struct dns_transaction t;
	int r = dns_match_new(600, SEC, &m), one;

	(void)ctx;
	for (uint16_t i = 0; r == 0 && i < 600; i++) {
		one = hear(m, packet(true, false, T0, query, i), &t);
		if (one < 0)
			r = one;
		one = hear(m, packet(false, false, T0 + 1, reply, i), &t);
		assert_true(one == (r == 0));
		if (one == 0)
			break;
		/* stays, so that memory grows */
		one = hear(m, packet(true, true, T0, query, i), &t);
		(void)one;
		one = hear(m, packet(false, true, T0, query, i), &t);
		r = one < 0 ? one : r;
	}
	dns_match_free(&m);
	return r;
}

static void memory_may_run_short(void **state)
{
	(void)state;
	assert_int_equal(torture_run(without_memory, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_messages),
		cmocka_unit_test(what_is_in_them),
		cmocka_unit_test(every_truncation_gives_what_is_there),
		cmocka_unit_test(bad_names_are_refused),
		cmocka_unit_test(a_long_text_is_cut_at_a_character),
		cmocka_unit_test(many_addresses_are_counted),
		cmocka_unit_test(damaged_messages_agree_with_the_oracle),
		cmocka_unit_test(random_bytes),
		cmocka_unit_test(both_ends_are_transactions),
		cmocka_unit_test(an_answer_fits_its_question_only),
		cmocka_unit_test(a_repeated_query_keeps_its_time),
		cmocka_unit_test(a_time_out_is_told_once),
		cmocka_unit_test(over_the_maximum_the_oldest_goes),
		cmocka_unit_test(random_histories_balance),
		cmocka_unit_test(what_is_not_dns_is_counted),
		cmocka_unit_test(memory_may_run_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
