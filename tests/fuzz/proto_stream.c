/*
 * Any bytes as an agent's stream: read whole and in pieces, by a reader of both
 * kinds, with the same messages and the same fault; and through the reference
 * reducer, which must survive them and end with nothing held. The first byte
 * decides the pieces.
 */
#include "tests/fuzz/fuzz.h"

#include "proto/reader.h"
#include "reducer/ingest.h"

#include "base/hash.h"
#include "base/mem.h"
#include "proto/print.h"

#include <errno.h>
#include <stdlib.h>

#define MAX_JSON (2U << 20)

struct outcome {
	uint64_t digest; /* of all messages, printed */
	uint64_t events;
	int result;
	struct wire_error error;
};

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void add(struct outcome *o, const struct wire_event *e)
{
	const struct hash_seed seed = {{o->digest, o->events++}};
	struct buf out;

	if (e->type != WIRE_EVENT_MESSAGE)
		return;
	buf_init(&out, MAX_JSON);
	check(wire_print_json(&e->msg, &out) == 0);
	o->digest = hash_bytes(&seed, buf_str(&out).p, out.n);
	buf_done(&out);
}

static struct outcome read_all(struct str s, size_t piece, bool plain_too)
{
	struct outcome o = {.result = -EAGAIN};
	struct wire_reader *r = NULL;
	struct wire_event e;
	struct str part;

	check(wire_reader_new(plain_too, &r) == 0);
	while (o.result == -EAGAIN && s.n) {
		part = str_make(s.p, MIN(piece, s.n));
		s = str_from(s, part.n);
		while ((o.result = wire_reader_next(r, &part, &e)) == 0)
			add(&o, &e);
	}
	if (o.result == -EAGAIN)
		o.result = wire_reader_end(r);
	if (o.result < 0)
		o.error = wire_reader_error(r);
	wire_reader_free(&r);
	return o;
}

static void reduce(struct str s, size_t piece)
{
	struct reducer_table *t = NULL;
	struct ingest *in = NULL;
	struct str part;
	int r = 0;

	check(reducer_table_new(&(struct reducer_table_opts){0}, &t) == 0);
	check(ingest_new(&(struct ingest_opts){.table = t, .number = 1}, 0, &in) == 0);
	while (r == 0 && s.n) {
		part = str_make(s.p, MIN(piece, s.n));
		s = str_from(s, part.n);
		r = ingest_push(in, part, 1);
	}
	ingest_eof(in);
	ingest_free(&in);
	check(reducer_table_pods(t) == 0 && reducer_table_containers(t) == 0);
	reducer_table_free(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str s;
	size_t piece;

	if (!size)
		return 0;
	piece = (size_t)data[0] + 1;
	s = str_make(data + 1, size - 1);
	for (int plain = 0; plain < 2; plain++) {
		const struct outcome a = read_all(s, s.n + 1, plain), b = read_all(s, piece, plain);

		check(a.result == b.result && a.digest == b.digest && a.events == b.events);
		check(a.result == 0 ||
		      (a.error.at == b.error.at && a.error.place == b.error.place));
	}
	reduce(s, piece);
	return 0;
}
