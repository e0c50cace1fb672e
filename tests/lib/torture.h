/*
 * Runs a function with its 1st, 2nd, 3rd ... allocation failing, until it runs
 * through with none failing. Each round comes twice: one allocation fails, and
 * that one and all later ones fail. What is left of malloc, calloc and realloc
 * is the linker's --wrap; memory that libc takes for itself is not seen.
 */
#pragma once

#define TORTURE_MAX_ROUNDS 3000 /* allocations; TORTURE_MAX in the environment replaces it */

/*
 * `fn` returns 0 or a negative errno code and leaves nothing behind either way.
 * Returns 0; what fn returned when nothing failed, if that was not 0; -EPROTO
 * when it answered a failed allocation with neither 0 nor -ENOMEM (the round is
 * printed); -E2BIG when it allocates nothing.
 */
int torture_run(int (*fn)(void *ctx), void *ctx);
