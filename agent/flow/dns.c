#include "flow/dns.h"

#include <errno.h>
#include <string.h>

/* RFC 1035 */
#define HEADER	 12
#define WIRE_MAX 255 /* bytes of a name, lengths and the root included; section 2.3.4 */
#define LABELS	 128 /* a name cannot have more; pointers followed are bounded by it, too */
enum { TYPE_A = 1, TYPE_AAAA = 28, CLASS_IN = 1 };

/* A place in the message. Everything that reads answers -ENODATA where the bytes end. */
struct reader {
	const uint8_t *p;
	size_t n, at;
};

static int skip(struct reader *r, size_t n)
{
	if (n > r->n - r->at)
		return -ENODATA;
	r->at += n;
	return 0;
}

static int read_u16(struct reader *r, uint16_t *ret)
{
	if (r->n - r->at < 2)
		return -ENODATA;
	*ret = (uint16_t)(r->p[r->at] << 8 | r->p[r->at + 1]);
	r->at += 2;
	return 0;
}

static bool is_escaped(uint8_t c)
{
	return c == '"' || c == '.' || c == ';' || c == '\\' || c == '(' || c == ')' || c == '@' ||
	       c == '$';
}

/* One byte of a label as text; at most 4. */
static size_t text_of(uint8_t c, char out[4])
{
	if (c >= 'A' && c <= 'Z')
		c = (uint8_t)(c - 'A' + 'a');
	if (c <= ' ' || c >= 0x7f) {
		out[0] = '\\';
		out[1] = (char)('0' + c / 100);
		out[2] = (char)('0' + c / 10 % 10);
		out[3] = (char)('0' + c % 10);
		return 4;
	}
	if (is_escaped(c)) {
		out[0] = '\\';
		out[1] = (char)c;
		return 2;
	}
	out[0] = (char)c;
	return 1;
}

static void put(struct dns_message *m, const char *text, size_t n)
{
	if (m->name_cut || n > sizeof(m->name) - m->name_n) {
		m->name_cut = true;
		return;
	}
	memcpy(m->name + m->name_n, text, n);
	m->name_n = (uint8_t)(m->name_n + n);
}

static void put_label(struct dns_message *m, const uint8_t *p, size_t n)
{
	char text[4];

	if (m->name_n)
		put(m, ".", 1);
	for (size_t i = 0; i < n; i++)
		put(m, text, text_of(p[i], text));
}

/* The name at r->at, behind which it then stands. Into `m` when that is given, else it is only
 * passed over, and pointers are not followed. */
static int read_name(struct reader *r, struct dns_message *m)
{
	struct reader w = *r;
	size_t wire = 1, end = 0; /* `end`: behind the first pointer */

	for (unsigned int steps = 0; steps < 2 * LABELS; steps++) {
		uint8_t n;

		if (w.at >= w.n)
			return -ENODATA;
		n = w.p[w.at++];
		if ((n & 0xc0) == 0xc0) {
			if (w.at >= w.n)
				return -ENODATA;
			end = end ? end : w.at + 1;
			w.at = (size_t)(n & 0x3f) << 8 | w.p[w.at];
			if (m)
				continue;
			n = 0;
		}
		if (n & 0xc0)
			return -EBADMSG; /* reserved label types, section 4.1.4 */
		if (n == 0) {
			r->at = end ? end : w.at;
			return 0;
		}
		wire += n + 1U;
		if (wire > WIRE_MAX)
			return -EBADMSG;
		if (n > w.n - w.at)
			return -ENODATA;
		if (m)
			put_label(m, w.p + w.at, n);
		w.at += n;
	}
	return -EBADMSG; /* pointers in a ring */
}

static int read_question(struct reader *r, struct dns_message *m)
{
	int e = read_name(r, m);

	if (e == 0)
		e = read_u16(r, &m->qtype);
	if (e == 0)
		e = read_u16(r, &m->qclass);
	m->question = e == 0;
	if (!m->question) {
		m->name_n = 0;
		m->name_cut = false;
		m->qtype = 0;
	}
	return e;
}

static void put_address(struct dns_message *m, const uint8_t *p, size_t n)
{
	struct addr *a;

	if (m->n_addrs == FLOWS_DNS_ADDRS) {
		m->addrs_left_out++;
		return;
	}
	a = &m->addrs[m->n_addrs++];
	*a = (struct addr){.b = {[10] = 0xff, [11] = 0xff}};
	memcpy(a->b + 16 - n, p, n);
}

static int read_answer(struct reader *r, struct dns_message *m)
{
	uint16_t type = 0, class = 0, n = 0;
	const uint8_t *data;
	int e = read_name(r, NULL);

	if (e == 0)
		e = read_u16(r, &type);
	if (e == 0)
		e = read_u16(r, &class);
	if (e == 0)
		e = skip(r, 4); /* TTL */
	if (e == 0)
		e = read_u16(r, &n);
	if (e < 0)
		return e;
	data = r->p + r->at;
	e = skip(r, n);
	if (e == 0 && class == CLASS_IN &&
	    ((type == TYPE_A && n == 4) || (type == TYPE_AAAA && n == 16)))
		put_address(m, data, n);
	return e;
}

static int read_sections(struct reader *r, struct dns_message *m)
{
	uint16_t questions = 0, answers = 0;
	int e;

	(void)read_u16(r, &questions);
	(void)read_u16(r, &answers);
	(void)skip(r, 4);
	for (unsigned int i = 0; i < questions; i++) {
		e = i == 0 ? read_question(r, m) : read_name(r, NULL);
		if (e == 0 && i > 0)
			e = skip(r, 4);
		if (e < 0)
			return e;
	}
	for (unsigned int i = 0; i < answers; i++) {
		e = read_answer(r, m);
		if (e < 0)
			return e;
	}
	return 0;
}

int dns_parse(struct str bytes, struct dns_message *ret)
{
	struct reader r = {.p = (const uint8_t *)bytes.p, .n = bytes.n};
	struct dns_message m = {0};
	uint16_t flags;
	int e;

	if (bytes.n < HEADER)
		return -EBADMSG;
	(void)read_u16(&r, &m.id);
	(void)read_u16(&r, &flags);
	m.response = flags >> 15;
	m.opcode = flags >> 11 & 15;
	m.rcode = flags & 15;
	e = read_sections(&r, &m);
	if (e == -ENODATA)
		m.cut = true;
	else if (e < 0)
		return e;
	*ret = m;
	return 0;
}
