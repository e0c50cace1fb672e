#!/bin/bash
# The recorded cluster, played through: the edges that the agent tells are those that edges.py finds.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/script.sh
command -v python3 >/dev/null || skip 'no python3'

work=$(mktemp -d)
pids=()
finish() {
	for p in "${pids[@]}"; do kill "$p" 2>/dev/null; done
	rm -rf "$work"
}
trap finish EXIT

wait_for() { # SECONDS COMMAND...
	local end=$((SECONDS + $1))
	shift
	while ! "$@"; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.2
	done
}

"$o/kube-replay" tests/fixtures/recorded --objects tests/fixtures/objects --speed 0 \
	--port-file "$work/port" >"$work/replay.log" 2>&1 &
pids+=($!)
wait_for 60 test -s "$work/port" || {
	cat "$work/replay.log"
	exit 1
}
"$o/kindred" agent --api-server "http://127.0.0.1:$(cat "$work/port")" --scope cluster --flows off \
	--exclude-namespaces kube-node-lease --whole secrets,configmaps \
	--intake-host 127.0.0.1 --intake-port 1 --start-jitter 0s \
	--graph "jsonl:$work/graph" --events "jsonl:$work/events" >"$work/agent.log" 2>&1 &
agent=$!
pids+=("$agent")

# Whether all watches have been told the whole recording.
delivered() {
	python3 -c 'import json, sys, urllib.request as web
sys.exit(not json.load(web.urlopen(sys.argv[1], timeout=20))["delivered"])' \
		"http://127.0.0.1:$(cat "$work/port")/replay/state"
}

# Quiet for three seconds after all kinds are there and all was told: the end of the recording.
quiet() {
	local before
	grep -qs 'resources: .*: synced' "$work/agent.log" && delivered || return 1
	before=$(cat "$work/graph" "$work/events" | wc -c)
	sleep 3
	[ "$before" -gt 0 ] && [ "$before" = "$(cat "$work/graph" "$work/events" | wc -c)" ]
}
wait_for 180 quiet || {
	tail -n 20 "$work/agent.log"
	echo "0 passed, 1 failed, 0 skipped"
	exit 1
}
kill "$agent"
wait "$agent"
if python3 tests/graph/edges.py "$work/events" "$work/graph"; then
	echo "1 passed, 0 failed, 0 skipped"
else
	tail -n 5 "$work/agent.log"
	echo "0 passed, 1 failed, 0 skipped"
	exit 1
fi
