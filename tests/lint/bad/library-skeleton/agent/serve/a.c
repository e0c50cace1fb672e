#include <bpf/skel_internal.h>
