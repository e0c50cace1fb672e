/*
 * The manual page kindred(8), made from the option tables. Pure text; no I/O.
 */
#pragma once

#include "base/buf.h"

#include <stddef.h>

struct command;

/* 0, -EMSGSIZE or -ENOMEM. */
int man_page(const struct command *commands, size_t n, struct buf *out);
