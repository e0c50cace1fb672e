/*
 * Loads on loopback for the bench of flows: each runs a server in a process of its
 * own and returns how long the client took, and what CPU time both took. Both go before
 * all else on their CPU (SCHED_FIFO) where that is permitted.
 */
#pragma once

#include "base/clock.h"

#include <stdint.h>

struct traffic_took {
	nsec_t wall, cpu; /* cpu: of client and server, in user space and in the kernel */
};

/* Both ends of every load from now on run on this CPU; -1: where they like. */
void traffic_pin(int cpu);
/* `n` times one after the other: connect, 64 bytes there, 64 bytes back, close by both ends. */
struct traffic_took traffic_connections(uint32_t n);
/* One TCP connection that carries `bytes`. */
struct traffic_took traffic_tcp(uint64_t bytes);
/* `n` datagrams of 1,200 bytes on a connected socket; all are taken, within a window. */
struct traffic_took traffic_udp(uint32_t n);
/* One datagram to each of `n` ports of 127.0.0.2, so that as many conversations are known. */
void traffic_udp_fan(uint32_t n);
