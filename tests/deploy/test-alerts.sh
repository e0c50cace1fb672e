#!/bin/bash
# The alert rules and the dashboard (alerts.py), held against the page of an agent that keeps every
# kind of sink.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/script.sh
work=$(mktemp -d)
pids=()
finish() {
	for p in "${pids[@]}"; do kill "$p" 2>/dev/null; done
	wait
	rm -rf "$work"
}
trap finish EXIT

python3 -c 'import yaml' 2>/dev/null || skip 'no python3 with yaml'
promtool=$(sh tests/deploy/promtool.sh)
case $? in
0) ;;
77) skip "$promtool" ;;
*) echo "$promtool"; exit 1 ;;
esac

wait_for() { # SECONDS COMMAND...
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.2
	done
}

"$o/kube-replay" tests/fixtures/recorded --objects tests/fixtures/objects --listen 127.0.0.1:0 --speed 0 \
	--port-file "$work/port" >"$work/replay.log" 2>&1 &
pids+=($!)
wait_for 30 test -s "$work/port" || { cat "$work/replay.log"; exit 1; }
"$o/kindred" agent --api-server "http://127.0.0.1:$(cat "$work/port")" --scope cluster --intake-host 127.0.0.1 \
	--intake-port 9 --vector "sqlite:$work/k.db" --graph "sqlite:$work/k.db" --events "jsonl:$work/events" --otlp http://127.0.0.1:9 \
	--socket "$work/socket" >"$work/log" 2>&1 &
pids+=($!)

# A node's agent has what the other has not: its peers.
"$o/kindred" agent --api-server "http://127.0.0.1:$(cat "$work/port")" --node-name n --intake-host 127.0.0.1 \
	--intake-port 9 --flows off --peers http://127.0.0.1:9 --socket "$work/node" >"$work/node.log" 2>&1 &
pids+=($!)

metrics() { # SOCKET
	python3 - "$1" 2>/dev/null <<'END'
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.settimeout(10)
s.connect(sys.argv[1])
s.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
data = b""
while True:
    part = s.recv(65536)
    if not part:
        break
    data += part
sys.stdout.write(data.decode().split("\r\n\r\n", 1)[1])
END
}

# Once documents are written everything has begun.
page() {
	metrics "$work/socket" >"$work/page" && grep -q '^kindred_vector_upserts_total.* [1-9]' "$work/page" &&
		metrics "$work/node" >"$work/of-node" && grep -E '^(# TYPE )?kindred_peers_' "$work/of-node" >>"$work/page"
}
wait_for 120 page || { tail -n 20 "$work/log"; echo 'no page'; exit 1; }
whole=no
grep -q '^kindred_flow_tier' "$work/page" && whole=yes
[ "$whole" = yes ] || echo 'no flows here: their metrics are held against the README alone'
export PYTHONDONTWRITEBYTECODE=1
python3 tests/deploy/alerts.py "promtool=$promtool" "page=$work/page" "whole=$whole"
