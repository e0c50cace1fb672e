/* The programs of tcp for kernels without bpf_rdonly_cast; see sock_view.h. */
#define NO_DIRECT
#include "tcp.bpf.c"
