/*
 * kindred decode: what an agent sent to its reducer, read from a capture of the
 * TCP stream (or of an uncompressed copy of it) and printed as one JSON line a
 * message.
 */
#include "cli/cmd_decode.h"

#include "base/buf.h"
#include "base/mem.h"
#include "cli/cmd_help.h"
#include "cli/options_read.h"
#include "cli/progress.h"
#include "proto/print.h"
#include "proto/reader.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define READ_SIZE 65536
#define MAX_LINE  (1U << 20) /* the longest message has 64 KiB, a byte of it at most 6 as JSON */

static const char *const outputs[] = {"json", NULL};

struct decode_config {
	int output;
};

static const struct option_desc descs[] = {
	{.group = "How",
	 .flag = "--output",
	 .letter = "-o",
	 .type = OPTION_ENUM,
	 .choices = outputs,
	 .arg = "json",
	 .def = "json",
	 .flags = OPTION_FLAG_ONLY,
	 OPTION_FIELD(struct decode_config, output),
	 .help = "There is nothing else: an object a line."},
};

const struct option_table cmd_decode_options = {
	.command = "kindred decode",
	.args = "[FILE]",
	.about = "Prints a captured agent-to-reducer stream (FILE or standard input) as JSON, one "
		 "message a line. The stream is the bytes of the TCP connection: version_info "
		 "plain, "
		 "then LZ4 frames. An uncompressed copy of it is understood, too.",
	.after = "Exit code 1: the stream is malformed or could not be read; standard error names "
		 "the "
		 "byte.",
	.v = descs,
	.n = ARRAY_SIZE(descs),
	.args_max = 1,
};

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
	const bool seen = isatty(STDOUT_FILENO); /* then the lines are progress enough */
	struct progress progress;
	uint64_t read = 0;
	size_t n;
	int r = 0;

	if (!bytes)
		return -ENOMEM;
	progress_begin(&progress);
	while (r == 0 && (n = fread(bytes, 1, READ_SIZE, d->in)) > 0) {
		r = decode_bytes(d, str_make(bytes, n));
		read += n;
		if (!seen)
			progress_tell(&progress, "decoding", read);
	}
	progress_end(&progress);
	if (r == 0 && ferror(d->in))
		return -errno;
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

int cmd_decode(int argc, char **argv)
{
	_options_ struct options *options = NULL;
	_cleanup_(decoder_done) struct decoder d = {.line = {.max = MAX_LINE}};
	struct decode_config c = {0};
	int r = options_read(&cmd_decode_options, &c, argc, argv, &options);
	struct option_list args;

	if (r != OPTIONS_RUN)
		return r;
	args = options_args(options);
	if (open_input(&d, args.n ? args.v[0] : "-") < 0)
		return EXIT_FAILED;
	if (d.in == stdin)
		d.name = "standard input";
	return decode(&d) < 0 ? EXIT_FAILED : EXIT_OK;
}
