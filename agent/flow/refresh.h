/*
 * Counters of open sockets as they are now, read by the program `refresh` of bpf/ on
 * request. It costs nothing while nobody asks.
 */
#pragma once

#include "flow_abi.h"

#include <stddef.h>
#include <stdint.h>

struct refresh;

/* Whether the program runs here and now (Linux 5.10; CAP_BPF below 5.19): 0 or -errno. */
int refresh_try(int prog);

/* `prog` and `map` (`fresh`) are borrowed. 0, -ENOMEM, or -errno of mapping. */
int refresh_new(int prog, int map, struct refresh **ret);
void refresh_free(struct refresh **r);

/*
 * Brings `n` values of the map `socks` up to date where they are: counters, state, `updated`; what
 * is not open stays as it is. `keys`: their addresses. About 0.3 microseconds a socket. Returns how
 * many were brought up to date, or -errno of the first run that failed.
 */
int refresh_run(struct refresh *r, const uint64_t *keys, struct abi_sock *socks, size_t n);
