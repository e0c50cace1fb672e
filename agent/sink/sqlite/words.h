/*
 * Words: of a document, those that full text search would not find by itself; of a
 * question, the expression that FTS5 is asked. Pure.
 *
 * FTS5's tokenizer cuts at everything that is neither letter nor digit, folds case
 * and stems (porter): "payments-db" is two words beside each other, found by either
 * and by both. It does not cut "PersistentVolumeClaim": its parts are stored as
 * further words.
 */
#pragma once

#include "base/buf.h"

#include <stdint.h>

#define WORDS_MAX	1024 /* bytes of a document's further words; what is over is left out */
#define WORDS_TERMS	32   /* of a question; what is over is left out */
#define WORDS_MATCH_MAX 8192 /* bytes of an expression */

/* Parts of the camel-case words in kind and text, each word once, joined by blanks. */
void words_of_document(struct str kind, struct str text, struct buf *out);

/*
 * "who mounts payments-db" becomes
 *     "mounts" OR "payments" OR "db" OR "payments db"
 * Any word may match; words that say nothing (who, the, of) are left out unless there
 * are no others. 0; -ENOENT: not a single word; -EMSGSIZE; -ENOMEM.
 */
int words_match(struct str question, struct buf *out);

/* Words of questions that are left out: who, the, of. */
bool words_say_nothing(struct str w);
/* The next word: a run of letters, digits and bytes of other scripts. False at the end. */
bool words_next(struct str *s, struct str *ret);
