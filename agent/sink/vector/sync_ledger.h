/*
 * The sync's ledger as rows of a SQLite file, written by its worker.
 */
#pragma once

#include "sink/vector/sync.h"

struct sync_book;
struct worker;

/* `worker` must outlive it, the texts are copied: the database's name, and its collection when that
 * is in the worker's file, too (else NULL). 0 or -ENOMEM. */
int sync_book_new(struct worker *worker, const char *backend, const char *home,
		  struct sync_book **ret);
/* What is still on its way is dropped. After the sync was freed. */
void sync_book_free(struct sync_book **b);
struct sync_ledger sync_book_ledger(struct sync_book *b);
