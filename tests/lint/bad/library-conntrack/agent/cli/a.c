#include <linux/netfilter/nfnetlink_conntrack.h>
