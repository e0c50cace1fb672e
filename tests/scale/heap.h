/* Events in virtual time, earliest first. */
#pragma once

#include "base/clock.h"

#include <stdbool.h>
#include <stdint.h>

enum event_kind { EVENT_AGENT, EVENT_SERVER, EVENT_OTHER };

struct sim_event {
	nsec_t at;
	uint64_t order; /* events of one moment come as they were put */
	enum event_kind kind;
	uint32_t id;
};

struct heap {
	struct sim_event *v;
	uint32_t n, cap;
	uint64_t order;
};

void heap_put(struct heap *h, nsec_t at, enum event_kind kind, uint32_t id);
/* The earliest one without taking it; NULL: none. */
const struct sim_event *heap_first(const struct heap *h);
struct sim_event heap_take(struct heap *h);
void heap_done(struct heap *h);
