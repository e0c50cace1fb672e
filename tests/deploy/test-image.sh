#!/bin/bash
# What a container image holds, and both roles of the chart in it (image.py), without a container
# engine: deploy/image.sh makes the folder that the Containerfile copies.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/script.sh
PATH=$PATH:/usr/sbin:/sbin

[ -z "${SAN:-}" ] || skip 'an image is of a release build'
[ "$(id -u)" = 0 ] || skip 'not root'
python3 -c 'import yaml' 2>/dev/null || skip 'no python3 with yaml'
for tool in setcap nsenter strip xz; do
	command -v $tool >/dev/null || skip "no $tool"
done
unshare --mount --pid --fork true 2>/dev/null || skip 'no mount and process namespaces'
helm=$(sh tests/deploy/helm.sh)
case $? in
0) ;;
77) echo "$helm: what needs it is skipped" && helm= ;;
*) echo "$helm"; exit 1 ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
sh deploy/image.sh "$o/kindred" "$work/image" || exit 1
getfattr -n security.capability "$work/image/usr/bin/kindred" >/dev/null 2>&1 ||
	[ -n "$(getcap "$work/image/usr/bin/kindred")" ] || skip 'the file system keeps no file capabilities'
export PYTHONDONTWRITEBYTECODE=1
python3 tests/deploy/image.py "image=$work/image" "helm=$helm" "o=$o"
