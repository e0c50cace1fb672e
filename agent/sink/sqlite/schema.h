/*
 * The tables of a file, and how older ones become today's. Their meaning: README.md
 * beside this file.
 *
 * PRAGMA user_version counts the steps that a file has gone through; a new table or
 * column is a new step at the end of the list, those before never change.
 */
#pragma once

#include "base/buf.h"

#include <stdbool.h>

struct sqlite3;

/* Whether it is ours and not newer than this program: 0, -EBADMSG (another program's), -ENOTSUP, or
 * db.h's. An empty one is all right `to_write`; a reader wants all steps. */
int schema_check(struct sqlite3 *db, bool to_write, struct buf *error);
/* Makes or upgrades, all or nothing; of two processes one does it. */
int schema_upgrade(struct sqlite3 *db, struct buf *error);
