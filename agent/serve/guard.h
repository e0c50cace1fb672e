/*
 * Whether a request that came by an address may be answered. Pure.
 *
 * A browser on this machine, or on the way to it, sends requests for any page it shows.
 * What it says of itself gives it away: a Host that is a name of somebody else (DNS
 * rebinding makes such a name lead here), an Origin that is another site, and a POST as
 * every form can make it.
 */
#pragma once

#include "base/str.h"
#include "serve/request.h"

#include <stdbool.h>

/* 0; or 403 and why (static). `here`: the address is this machine's alone, so its Host must be,
 * too. */
int guard_browser(const struct web_request *r, bool here, const char **ret_words);
/* "localhost", 127.x.x.x or [::1], with a port or without. */
bool guard_is_here(struct str host);
/* The token behind "Bearer "; false: there is none. */
bool guard_bearer(struct str authorization, struct str *ret_token);
/* In a time that tells nothing of where they differ. */
bool guard_same(struct str a, struct str b);
