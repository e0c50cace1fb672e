#include "kernel.h"

#include <bpf/bpf_helpers.h>
