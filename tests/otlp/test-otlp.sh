#!/bin/bash
# Flows of a real kernel to a strict collector, by the whole agent (main.py).
#
#   O=DIR tests/otlp/test-otlp.sh
#
# OpenTelemetry's own package reads what is sent, too, where it is installed or PyPI can be reached; it is
# kept in the build folder. KEEP=1 keeps the folder with logs.
set -u
cd "$(dirname "$0")/../.." || exit 1
o=${O:-build}
case $o in /*) ;; *) o=$PWD/$o ;; esac

skip() {
	echo "skipped: $1 (cannot run here)"
	echo '0 passed, 0 failed, 1 skipped'
	exit 77
}

# The package's version that the golden bytes were made with. Once for all who ask: it is moved into place.
package() {
	local to=$o/opentelemetry
	python3 -c 'import opentelemetry.proto' 2>/dev/null && return
	if [ ! -d "$to" ]; then
		timeout 60 python3 -m pip install -q --disable-pip-version-check --retries 0 --timeout 5 --no-compile \
			--target "$to.$$" opentelemetry-proto==1.45.2 >/dev/null 2>&1 && mv -T "$to.$$" "$to" 2>/dev/null
		rm -rf "$to.$$"
	fi
	[ -d "$to" ] || return
	export OTLP_PACKAGE=$to
}

for tool in python3 unshare setpriv nsenter ip nft; do
	command -v "$tool" >/dev/null || skip "no $tool"
done
[ "$(id -u)" = 0 ] || skip 'no CAP_BPF'
# Bits 39, 38 and 12: CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN.
caps=$((0x$(awk '/^CapEff/ { print $2 }' /proc/self/status)))
[ $((caps >> 39 & caps >> 38 & caps >> 12 & 1)) = 1 ] || skip 'no CAP_BPF'
unshare --net --mount --propagation private true 2>/dev/null || skip 'no namespaces'
[ -x "$o/actor" ] && [ -x "$o/kindred" ] || { echo "test-otlp: build $o first" >&2; exit 1; }
export PYTHONDONTWRITEBYTECODE=1
package
exec unshare --net --mount --propagation private python3 tests/otlp/main.py "$o"
