/*
 * Prometheus' text format, as /metrics answers, read line by line. Pure.
 */
#pragma once

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

struct prom_sample {		 /* views into the page */
	struct str name, labels; /* labels: what stands between the braces */
	double value;
};

/* The next sample, taken off the page; comments and what is none are passed over. */
bool prom_read(struct str *page, struct prom_sample *ret);
/* The value of a label, with its escapes; NULL pointer: there is none. */
struct str prom_sample_label(struct str labels, const char *name);
/* What a label says, without escapes, cut to the room. */
void prom_sample_text(struct str labels, const char *name, char *ret, size_t room);

/* The sum of all samples of that name whose labels hold `with` (""; `kind="pod"`). */
double prom_sum(struct str page, const char *name, const char *with);
