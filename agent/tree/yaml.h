/*
 * A tree as YAML in block style, as kubectl prints objects.
 */
#pragma once

#include "tree/tree.h"

/* Appends it, each line ending with a newline. A text that could be read as something else (a
 * number, true, null, a date) or has other than plain characters is quoted. 0, -EMSGSIZE or
 * -ENOMEM. */
int tree_write_yaml(struct buf *b, const struct tree *t);
