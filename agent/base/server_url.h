/* The URL of a server: scheme, host, port, and a path prefix (some proxies have one). */
#pragma once

#include "base/str.h"

/* NULL when it can be used, else what is wrong, in words. Static texts: the URL may hold a password
 * and is not quoted. */
const char *server_url_wrong(struct str url);
/* Cuts slashes at the end, in place. */
void server_url_trim(char *url);
