#!/bin/bash
# What the commands print that ask a running agent (main.py).
#
#   O=DIR tests/cli/test-cli.sh [PART...]
#
# UPDATE=1 writes the golden files anew; KEEP=1 keeps the folder with logs.
set -u
cd "$(dirname "$0")/../.." || exit 1
o=${O:-build}
case $o in /*) ;; *) o=$PWD/$o ;; esac

if ! command -v python3 >/dev/null; then
	echo 'skipped: no python3 (cannot run here)'
	echo '0 passed, 0 failed, 1 skipped'
	exit 77
fi
[ -x "$o/kube-replay" ] && [ -x "$o/kindred" ] || { echo "test-cli: build $o first" >&2; exit 1; }
export PYTHONDONTWRITEBYTECODE=1
exec python3 tests/cli/main.py "$o" "$@"
