#!/bin/bash
# Flows against real kernel events (main.py), in a network and a mount namespace of its own.
#
#   O=DIR tests/flows/test-flows.sh [full|trace|none|hybrid]...
#
# KEEP=1 keeps the folder with logs and flows, SEED=n repeats ids, FLOWS_SHORT=1 takes smaller
# numbers.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/script.sh

for tool in python3 unshare setpriv nsenter ip nft bpftool; do
	command -v "$tool" >/dev/null || skip "no $tool"
done
[ "$(id -u)" = 0 ] || skip 'no CAP_BPF'
# Bits 39, 38 and 12: CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN.
caps=$((0x$(awk '/^CapEff/ { print $2 }' /proc/self/status)))
[ $((caps >> 39 & caps >> 38 & caps >> 12 & 1)) = 1 ] || skip 'no CAP_BPF'
unshare --net --mount --propagation private true 2>/dev/null || skip 'no namespaces'
[ -x "$o/actor" ] && [ -x "$o/kindred" ] || { echo "test-flows: build $o first" >&2; exit 1; }
export PYTHONDONTWRITEBYTECODE=1
exec unshare --net --mount --propagation private python3 tests/flows/main.py "$o" "$@"
