/* Constants in an object's .rodata, found by name in its BTF and set before the load. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct bpf_object;

struct knob {
	const char *name;
	uint64_t value;
};
/* A knob that the object has not is left out. 0, -ENOMEM or libbpf's -errno. */
int knobs_set(struct bpf_object *obj, const struct knob *knobs, size_t n);
