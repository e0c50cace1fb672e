#!/bin/bash
# The Helm chart and the plain manifests (chart.py).
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/script.sh

python3 -c 'import yaml' 2>/dev/null || skip 'no python3 with yaml'
helm=$(sh tests/deploy/helm.sh)
case $? in
0) ;;
77) echo "$helm: what needs it is skipped" && helm= ;;
*) echo "$helm"; exit 1 ;;
esac
export PYTHONDONTWRITEBYTECODE=1
exec python3 tests/deploy/chart.py "helm=$helm" "kindred=$o/kindred"
