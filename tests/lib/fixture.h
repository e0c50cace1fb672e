/*
 * Recorded bodies: tests/fixtures/recorded/NAME.body.gz, or NAME.http (a whole
 * answer with its head).
 */
#pragma once

#include "base/buf.h"

/* Most bytes of one fixture. */
#define FIXTURE_MAX ((size_t)64 << 20)

/* The body of a recording, unpacked: 0, -ENOENT, -EBADMSG or -ENOMEM. `ret` is initialised here.
 * The folder is $KINDRED_FIXTURES, else tests/fixtures below the working directory or one of the
 * folders above it. */
int fixture_read(const char *name, struct buf *ret);
/* Any file below that folder as it is, gzip undone. */
int fixture_read_file(const char *path, struct buf *ret);
