#!/bin/bash
# What the whole agent answers by HTTP, and to whom (main.py).
#
#   O=DIR tests/serve/test-serve.sh [PART...]
#
# KEEP=1 keeps the folder with logs, SEED=n repeats what is random.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/script.sh

command -v python3 >/dev/null || skip 'no python3'
[ -x "$o/kube-replay" ] && [ -x "$o/kindred" ] || { echo "test-serve: build $o first" >&2; exit 1; }
export PYTHONDONTWRITEBYTECODE=1
exec python3 tests/serve/main.py "$o" "$@"
