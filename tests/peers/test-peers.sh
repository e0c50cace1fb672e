#!/bin/bash
# Fifty agents that follow two collectors while everything comes and goes (main.py).
#
#   O=DIR tests/peers/test-peers.sh
#
# KEEP=1 keeps the folder with logs, SEED=n repeats what is random, AGENTS=n takes as many.
set -u
cd "$(dirname "$0")/../.." || exit 1
o=${O:-build}
case $o in /*) ;; *) o=$PWD/$o ;; esac

for tool in python3 openssl; do
	if ! command -v "$tool" >/dev/null; then
		echo "skipped: no $tool (cannot run here)"
		echo '0 passed, 0 failed, 1 skipped'
		exit 77
	fi
done
[ -x "$o/kube-replay" ] && [ -x "$o/kindred" ] || { echo "test-peers: build $o first" >&2; exit 1; }
export PYTHONDONTWRITEBYTECODE=1
exec python3 tests/peers/main.py "$o"
