#!/bin/sh
# `make run`: shows what kindred does. Without a cluster, recorded traffic of a real API server is
# replayed, and where eBPF programs may be loaded, traffic is made between some of its pods; with
# KUBECONFIG set, that cluster is used. Its resources go to a store that is searched while it runs.
# RUN_SECONDS=n stops after n seconds.
set -eu
o=$1
case $o in /*) ;; *) o=$PWD/$o ;; esac
work=$(mktemp -d)
pids=
. tests/lib/run-traffic.sh
stop() {
	trap '' PIPE
	trap - EXIT INT TERM HUP
	for p in $pids; do kill "$p" 2>/dev/null || :; done
	for p in $pids; do wait "$p" 2>/dev/null || :; done
	traffic_stop
	rm -rf "$work"
}
trap stop EXIT
trap 'stop; exit 0' INT TERM HUP PIPE

# The port that a program wrote to file $1, within 10 s.
port() {
	n=0
	until [ -s "$1" ]; do
		n=$((n + 1))
		[ "$n" -lt 100 ] || { echo "run: $2 did not start" >&2; exit 1; }
		sleep 0.1
	done
	cat "$1"
}

"$o/kindred" reducer --listen 127.0.0.1:0 --port-file "$work/reducer" &
reducer=$!
pids=$reducer
intake=$(port "$work/reducer" "the reducer")
set -- --scope cluster --intake-host 127.0.0.1 --intake-port "$intake"
if [ -n "${KUBECONFIG:-}" ]; then
	echo "run: watching the cluster of $KUBECONFIG"
else
	echo "run: no KUBECONFIG: watching recorded traffic of a kube-apiserver 1.36"
	"$o/kube-replay" tests/fixtures/recorded --objects tests/fixtures/objects \
		--listen 127.0.0.1:0 --port-file "$work/replay" \
		--speed "${RUN_SPEED:-2}" &
	pids="$! $pids"
	api=$(port "$work/replay" kube-replay)
	set -- "$@" --api-server "http://127.0.0.1:$api" --start-jitter 0s
fi
# It stays when this has ended: kindred search --store, kindred graph --store.
store=$o/run.db
rm -f "$store" "$store-wal" "$store-shm"
# Commands find the agent of this host by themselves where its usual socket can be made.
ask=
if [ ! -w /run ]; then
	ask="--socket $o/run.sock"
	set -- "$@" --socket "$o/run.sock"
fi
mkfifo "$work/says"
(trap '' INT TERM HUP; exec tee "$work/log" <"$work/says" >&2) & # ends with the agent
log=$!
"$o/kindred" agent "$@" --vector "sqlite:$store" --graph "sqlite:$store" 2>"$work/says" &
agent=$!
pids="$agent $pids"
flows=
if [ -z "${KUBECONFIG:-}" ]; then
	traffic_possible >"$work/why" && flows=yes || echo "run: no traffic between pods is made here: $(cat "$work/why")"
fi
[ -z "$flows" ] || traffic_start

# What anybody on this node sees of it; the same with -f goes on and on.
show_flows() {
	echo 'run: kindred flows --port 8080 --last 5s'
	# shellcheck disable=SC2086
	"$o/kindred" flows $ask --port 8080 --last 5s 2>&1 | head -n 8 || :
}

# Whether it works, and if not, why.
show_status() {
	echo 'run: kindred status'
	# shellcheck disable=SC2086
	"$o/kindred" status $ask 2>&1 || :
	sed -n 's/.* page: \(http[^ ]*\).*/run: open \1 in a browser: the map of who talks to whom/p' "$work/log"
	echo "run: see more: ${o#"$PWD"/}/kindred top, pods, workloads, whois ADDRESS${ask:+ ($ask)}"
}

# A question in plain words, to the running agent; any other works as well.
show_search() {
	question='who mounts the payments database secret'
	echo "run: kindred search \"$question\" -n 3"
	# shellcheck disable=SC2086
	"$o/kindred" search $ask "$question" -n 3 2>&1 || :
	echo 'run: kindred graph Secret/payments/postgres-credentials --in'
	# shellcheck disable=SC2086
	"$o/kindred" graph $ask Secret/payments/postgres-credentials --in 2>&1 || :
	echo "run: ask more: ${o#"$PWD"/}/kindred search --store ${store#"$PWD"/} \"...\""
}

n=0
while [ -z "${RUN_SECONDS:-}" ] || [ "$n" -lt "$RUN_SECONDS" ]; do
	sleep 1
	n=$((n + 1))
	[ -z "$flows" ] || [ $((n % 10)) != 6 ] || show_flows
	[ "$n" != 4 ] || show_status
	[ "$n" != 9 ] || show_search
	for p in $pids; do
		kill -0 "$p" 2>/dev/null || { echo "run: a program ended by itself" >&2; exit 1; }
	done
done
echo 'run: stopping'
# The reducer goes first and shows what it holds; then the agent, with exit code 0.
kill "$reducer"
wait "$reducer" || :
kill "$agent"
r=0
wait "$agent" || r=$?
wait "$log" || :
[ "$r" = 0 ] || { echo "run: the agent ended with exit code $r" >&2; exit 1; }
