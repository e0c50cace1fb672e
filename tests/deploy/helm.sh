#!/bin/sh
# Says where a helm of this version is, and builds it by Go through its module proxy the first time:
# minutes, once. Exit code 77, with the reason, where that cannot be.
set -eu
version=v3.18.4
name=kindred-deploy/helm-$version
dir=${XDG_CACHE_HOME:-$HOME/.cache}/$name
if [ ! -x "$dir/helm" ]; then
	command -v go >/dev/null || { echo "no helm: go is not installed"; exit 77; }
	mkdir -p "$(dirname "$dir")"
	new=$(mktemp -d "$dir.new.XXXXXX")
	trap 'rm -rf "$new"' EXIT
	GOBIN=$new GOFLAGS="${GOFLAGS:+$GOFLAGS }-p=2" CGO_ENABLED=0 \
		go install "helm.sh/helm/v3/cmd/helm@$version" >"$new/log" 2>&1 || {
		echo "no helm: $(tail -n 1 "$new/log")"
		exit 77
	}
	chmod 755 "$new"
	rm -rf "$dir"
	mv "$new" "$dir"
	trap - EXIT
fi
echo "$dir/helm"
