#!/bin/sh
# `make run`: shows what kindred does. Without a cluster, recorded traffic of a real API server is
# replayed; with KUBECONFIG set, that cluster is used. RUN_SECONDS=n stops after n seconds.
set -eu
o=$1
case $o in /*) ;; *) o=$PWD/$o ;; esac
work=$(mktemp -d)
pids=
stop() {
	trap - EXIT INT TERM
	for p in $pids; do kill "$p" 2>/dev/null || :; done
	for p in $pids; do wait "$p" 2>/dev/null || :; done
	rm -rf "$work"
}
trap stop EXIT
trap 'stop; exit 0' INT TERM

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
set -- --intake-host 127.0.0.1 --intake-port "$intake"
if [ -n "${KUBECONFIG:-}" ]; then
	echo "run: watching the cluster of $KUBECONFIG"
else
	echo "run: no KUBECONFIG: watching recorded traffic of a kube-apiserver 1.36"
	"$o/kube-replay" tests/fixtures/recorded --listen 127.0.0.1:0 --port-file "$work/replay" \
		--speed "${RUN_SPEED:-2}" &
	pids="$! $pids"
	api=$(port "$work/replay" kube-replay)
	set -- "$@" --api-server "http://127.0.0.1:$api" --scope cluster
fi
"$o/kindred" agent "$@" &
agent=$!
pids="$agent $pids"

n=0
while [ -z "${RUN_SECONDS:-}" ] || [ "$n" -lt "$RUN_SECONDS" ]; do
	sleep 1
	n=$((n + 1))
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
[ "$r" = 0 ] || { echo "run: the agent ended with exit code $r" >&2; exit 1; }
