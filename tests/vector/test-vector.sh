#!/bin/bash
# The vector sink of the whole agent, between kube-replay and databases (main.py).
#
#   O=DIR tests/vector/test-vector.sh [PART...]
#
# KEEP=1 keeps the folder with logs and stores, SEED=n repeats what is random.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/script.sh

command -v python3 >/dev/null || skip 'no python3'
[ -x "$o/kube-replay" ] && [ -x "$o/kindred" ] || { echo "test-vector: build $o first" >&2; exit 1; }
export PYTHONDONTWRITEBYTECODE=1
exec python3 tests/vector/main.py "$o" "$@"
