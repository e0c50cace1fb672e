#!/bin/bash
# The page in a real browser (README.md): Debian's chromium, led by playwright-core and looked at by
# axe-core, both from npm, kept in the build folder.
#
#   O=DIR tests/page/test-page.sh
#
# SCREENSHOTS=DIR writes the README's pictures. KINDRED_PAGE_TOOLS names a folder that has both packages.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/script.sh
tools=${KINDRED_PAGE_TOOLS:-$o/page-tools}

# Renamed when whole: an installation that was cut short is never taken for one.
install_tools() {
	[ ! -d "$tools/node_modules/axe-core" ] || return 0
	command -v npm >/dev/null || skip 'no npm to install playwright-core and axe-core with'
	local new why
	new=$(mktemp -d "$o/page-tools.XXXXXX") || exit 1
	(cd "$new" && npm install --prefer-offline --no-audit --no-fund --ignore-scripts --silent \
		playwright-core@1.65.1 axe-core@4.14.1) >"$new/log" 2>&1 && mv -T "$new" "$tools" 2>/dev/null
	why=$(tail -n 1 "$new/log" 2>/dev/null)
	rm -rf "$new"
	[ -d "$tools" ] || skip "playwright-core and axe-core cannot be had: $why"
}

[ -x "$o/kube-replay" ] && [ -x "$o/kindred" ] && [ -x "$o/actor" ] || { echo "test-page: build $o first" >&2; exit 1; }
command -v node >/dev/null || skip 'no node to lead a browser with'
chromium=$(command -v chromium || command -v chromium-browser) || skip 'no chromium'
install_tools

work=$(mktemp -d)
pids=
. tests/lib/run-traffic.sh
stop() {
	trap - EXIT INT TERM HUP
	for p in $pids; do kill "$p" 2>/dev/null; done
	for p in $pids; do wait "$p" 2>/dev/null; done
	traffic_stop
	rm -rf "$work"
}
trap stop EXIT
trap 'stop; exit 1' INT TERM HUP

# Waits until the file has text.
until_there() {
	local n=0
	until [ -s "$1" ]; do
		n=$((n + 1))
		[ "$n" -lt 300 ] || { echo "FAILED: $2 does not start"; tail "$work"/*.log; exit 1; }
		sleep 0.1
	done
}

"$o/kube-replay" tests/fixtures/recorded --objects tests/fixtures/objects --listen 127.0.0.1:0 \
	--port-file "$work/replay" >"$work/replay.log" 2>&1 &
pids=$!
until_there "$work/replay" kube-replay

# agent NAME OPTION...: its address goes to NAME.url
agent() {
	local name=$1
	shift
	"$o/kindred" agent --scope cluster --api-server "http://127.0.0.1:$(cat "$work/replay")" \
		--start-jitter 0s --intake-port 9 --probe-listen off --listen 127.0.0.1:0 \
		--socket "$work/$name.sock" "$@" >"$work/$name.log" 2>&1 &
	pids="$! $pids"
	for _ in $(seq 300); do
		sed -n 's/.*data at \([0-9.:]*\).*/http:\/\/\1/p' "$work/$name.log" >"$work/$name.url" 2>/dev/null
		[ ! -s "$work/$name.url" ] || return 0
		sleep 0.1
	done
	echo "FAILED: the agent does not start"
	cat "$work/$name.log"
	exit 1
}

echo sesame-1234567890 >"$work/token"
chmod 600 "$work/token"
agent recorded --vector "sqlite:$work/k.db"
[ -n "${SAN:-}" ] || agent closed --flows off --listen-token-file "$work/token"
if traffic_possible >"$work/why"; then
	traffic_start >"$work/traffic.log" 2>&1
else
	echo "no traffic between pods is made here: $(cat "$work/why")"
fi
gzip -dc tests/fixtures/recorded/truth-ever.tsv.gz >"$work/truth.tsv"

NODE_PATH=$tools/node_modules CHROMIUM=$chromium WORK=$work SAN=${SAN:-} \
	timeout -k 5 240 node tests/page/main.js
r=$?
[ "$r" = 0 ] || tail -n 20 "$work"/*.log
exit "$r"
