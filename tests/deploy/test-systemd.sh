#!/bin/bash
# The systemd unit (unit.py). test-deb.sh starts the program as it says.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/script.sh

python3 -c 'import yaml' 2>/dev/null || skip 'no python3 with yaml'
command -v systemd-analyze >/dev/null || skip 'no systemd-analyze'
systemd-analyze security --offline=true --help >/dev/null 2>&1 || skip 'systemd is too old to look at a unit offline'
export PYTHONDONTWRITEBYTECODE=1
exec python3 tests/deploy/unit.py "kindred=$o/kindred"
