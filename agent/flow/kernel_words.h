/*
 * What libbpf says while something is tried: kept, so that a failure has a short
 * and true reason; written to the log at debug level. Process-wide, like libbpf's
 * own callback; one thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Forgets what was said before; installs the callback the first time. */
void kernel_words_begin(void);
/* Why it failed with `r` (-errno): the verifier's last word, else what libbpf's last warning says
 * about the error, else the error's text. Returns `out`. */
const char *kernel_words(int r, char *out, size_t size);
/* Why there are no conntrack events, by -errno of asking for them; `net_admin`: CAP_NET_ADMIN is
 * there. Returns `out`. */
const char *kernel_words_conntrack(int r, bool net_admin, char *out, size_t size);
