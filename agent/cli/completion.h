/*
 * Completion for shells, made from the option tables. Pure text; no I/O.
 */
#pragma once

#include "base/buf.h"

#include <stddef.h>

struct command;

/* 0, -EMSGSIZE or -ENOMEM. */
int completion_bash(const struct command *commands, size_t n, struct buf *out);
int completion_zsh(const struct command *commands, size_t n, struct buf *out);
