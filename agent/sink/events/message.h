/*
 * One message of the event stream. Pure.
 */
#pragma once

#include "sink/relay.h"

#define MESSAGE_MAX ((size_t)8 << 20) /* bytes; an object with a longer one is left out */

/* Appends the message without a newline. 0, -EMSGSIZE or -ENOMEM. */
int message_put(struct buf *b, struct str cluster, const struct relay_item *item);
