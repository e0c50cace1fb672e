#!/bin/bash
# What the commands print that ask a running agent (main.py).
#
#   O=DIR tests/cli/test-cli.sh [PART...]
#
# UPDATE=1 writes the golden files anew; KEEP=1 keeps the folder with logs.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/script.sh

command -v python3 >/dev/null || skip 'no python3'
[ -x "$o/kube-replay" ] && [ -x "$o/kindred" ] || { echo "test-cli: build $o first" >&2; exit 1; }
export PYTHONDONTWRITEBYTECODE=1
exec python3 tests/cli/main.py "$o" "$@"
