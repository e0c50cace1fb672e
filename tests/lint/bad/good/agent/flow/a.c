#include <bpf/libbpf.h>
#include <libmnl/libmnl.h>
#include <linux/netlink.h>
#include <sys/capability.h>

#include "bpf/tcp.skel.h"
#include "flow_abi.h"
