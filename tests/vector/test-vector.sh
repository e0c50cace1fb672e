#!/bin/bash
# The vector sink of the whole agent, between kube-replay and databases (main.py).
#
#   O=DIR tests/vector/test-vector.sh [PART...]
#
# KEEP=1 keeps the folder with logs and stores, SEED=n repeats what is random.
set -u
cd "$(dirname "$0")/../.." || exit 1
o=${O:-build}
case $o in /*) ;; *) o=$PWD/$o ;; esac

if ! command -v python3 >/dev/null; then
	echo 'skipped: no python3 (cannot run here)'
	echo '0 passed, 0 failed, 1 skipped'
	exit 77
fi
[ -x "$o/kube-replay" ] && [ -x "$o/kindred" ] || { echo "test-vector: build $o first" >&2; exit 1; }
export PYTHONDONTWRITEBYTECODE=1
exec python3 tests/vector/main.py "$o" "$@"
