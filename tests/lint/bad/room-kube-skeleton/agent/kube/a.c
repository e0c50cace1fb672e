#include "bpf/tcp.skel.h"
