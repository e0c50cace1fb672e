/*
 * What a service says when it refuses, as one short line for people: found in the
 * many shapes that services have for it, on one line, printable, and without
 * credentials, which some servers repeat in their answers. Pure.
 */
#pragma once

#include "base/buf.h"
#include "base/str.h"
#include "sink/vector/embedder.h"

#define SERVICE_TEXT_MAX 300   /* bytes of the line, cut at a character */
#define SERVICE_BODY_MAX 65536 /* bytes of a body that are looked at */

/*
 * error.message, else error when it is a text ("error: message" when there are both), else message,
 * else detail, else (Qdrant)
 * status.error, else the first SERVICE_TEXT_MAX bytes of a body of any kind; passed through
 * service_clean. 0, -ENOMEM or -EMSGSIZE (of ret).
 */
int service_error_text(struct str body, struct str secret, struct buf *ret);

/*
 * Appends `text` with blanks folded, without what is not printable, and with "[redacted]" for: the
 * secret itself, what follows "Bearer", "Basic" and "api-key" or a like name, the user of a URL,
 * and words that begin as keys of known services do. 0, -ENOMEM or -EMSGSIZE.
 */
int service_clean(struct str text, struct str secret, struct buf *ret);

/* What a status means for the request; see enum vector_outcome. */
enum vector_outcome service_outcome(int status);
