/*
 * kindred decode: what an agent sent to its reducer, read from a capture of the
 * TCP stream (or of an uncompressed copy of it) and printed as one JSON line a
 * message.
 */
#include "cli/cmd_decode.h"

#include "base/buf.h"
#include "base/mem.h"
#include "proto/print.h"
#include "proto/reader.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define READ_SIZE 65536
#define MAX_LINE  (1U << 20) /* the longest message has 64 KiB, a byte of it at most 6 as JSON */

static const char help[] =
	"usage: kindred decode [FILE]\n"
	"\n"
	"Prints a captured agent-to-reducer stream (FILE or standard input) as JSON, one\n"
	"message a line. The stream is the bytes of the TCP connection: version_info\n"
	"plain, then LZ4 frames; an uncompressed copy of it is understood, too.\n"
	"\n"
	"  -h, --help          this text\n"
	"\n"
	"Exit codes: 0 all was read, 1 malformed stream or read error (standard error names\n"
	"the byte), 2 wrong options.\n";

struct decoder {
	const char *name; /* of the input, for errors */
	FILE *in;
	struct wire_reader *reader;
	struct buf line;
};

static int complain(const struct decoder *d)
{
	const struct wire_error e = wire_reader_error(d->reader);

	fprintf(stderr, "kindred decode: %s: %s at byte %" PRIu64 " of the %s\n", d->name, e.reason,
		e.at,
		e.place == WIRE_IN_STREAM
			? "stream"
			: "decompressed messages (the first, plain one included)");
	return -EBADMSG;
}

static int print_message(struct decoder *d, const struct wire_msg *m)
{
	struct str s;
	int r;

	buf_reset(&d->line);
	r = wire_print_json(m, &d->line);
	if (r == 0)
		r = buf_append_str(&d->line, STR("\n"));
	if (r < 0)
		return r;
	s = buf_str(&d->line);
	return fwrite(s.p, 1, s.n, stdout) == s.n ? 0 : -EIO;
}

static int decode_bytes(struct decoder *d, struct str bytes)
{
	struct wire_event e;
	int r;

	while ((r = wire_reader_next(d->reader, &bytes, &e)) == 0) {
		if (e.type == WIRE_EVENT_MESSAGE)
			r = print_message(d, &e.msg);
		if (r < 0)
			return r;
	}
	return r == -EAGAIN ? 0 : r;
}

static int decode_all(struct decoder *d)
{
	_free_ char *bytes = malloc(READ_SIZE);
	size_t n;
	int r = 0;

	if (!bytes)
		return -ENOMEM;
	while (r == 0 && (n = fread(bytes, 1, READ_SIZE, d->in)) > 0)
		r = decode_bytes(d, str_make(bytes, n));
	if (r == 0 && ferror(d->in))
		return -EIO;
	return r == 0 ? wire_reader_end(d->reader) : r;
}

static int decode(struct decoder *d)
{
	int r = wire_reader_new(true, &d->reader);

	if (r == 0)
		r = decode_all(d);
	if (fflush(stdout) != 0 && r == 0) /* what came before a fault is printed first */
		r = -EIO;
	if (r == -EBADMSG)
		return complain(d);
	if (r < 0)
		fprintf(stderr, "kindred decode: %s: %s\n", d->name, strerror(-r));
	return r;
}

static void decoder_done(struct decoder *d)
{
	if (d->in && d->in != stdin)
		(void)fclose(d->in);
	wire_reader_free(&d->reader);
	buf_done(&d->line);
}

static int open_input(struct decoder *d, const char *path)
{
	d->name = path;
	d->in = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	if (d->in)
		return 0;
	fprintf(stderr, "kindred decode: %s: %s\n", path, strerror(errno));
	return -EIO;
}

/* 0, -EINVAL, or 1 after --help. */
static int parse_options(int argc, char **argv)
{
	static const struct option table[] = {{"help", no_argument, NULL, 'h'}, {0}};
	int c;

	optind = 1;
	while ((c = getopt_long(argc, argv, "h", table, NULL)) != -1) {
		if (c != 'h')
			return -EINVAL; /* getopt has said why */
		(void)fputs(help, stdout);
		return 1;
	}
	if (argc - optind <= 1)
		return 0;
	fprintf(stderr, "kindred decode: unexpected argument %s\n", argv[optind + 1]);
	return -EINVAL;
}

int cmd_decode(int argc, char **argv)
{
	_cleanup_(decoder_done) struct decoder d = {0};
	int r = parse_options(argc, argv);

	if (r)
		return r < 0 ? 2 : 0;
	buf_init(&d.line, MAX_LINE);
	if (open_input(&d, optind < argc ? argv[optind] : "-") < 0)
		return 1;
	if (d.in == stdin)
		d.name = "standard input";
	return decode(&d) < 0 ? 1 : 0;
}
