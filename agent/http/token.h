/* What every bearer token is, wherever it came from. */
#pragma once

#include "base/str.h"

/* NULL, or why it cannot be one: "is empty". Blanks around it do not count; a token inside a
 * header must hold none, nor anything else that is no visible ASCII. */
const char *token_wrong(struct str s);
