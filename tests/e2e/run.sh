#!/bin/sh
# The end-to-end test: real etcd, kube-apiserver and kube-controller-manager,
# the agent and the reducer of the given binary, and what deploy/ has. See
# README.md here.
#
#   tests/e2e/run.sh [KINDRED]        default build/kindred
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
kindred=${1:-${KINDRED:-$root/build/kindred}}
case $kindred in /*) ;; *) kindred=$PWD/$kindred ;; esac
programs="etcd kube-apiserver kube-controller-manager"

skip() {
	echo "e2e: skipped: $*"
	echo "0 passed, 0 failed, 1 skipped"
	exit 0
}

seconds() {
	date +%s
}

version() {
	sed -n "s,^[[:space:]]*$1 \(v[^ ]*\).*,\1,p" "$here/apiserver/go.mod" | head -n 1
}

have_all() {
	for p in $programs; do
		[ -x "$1/$p" ] || return 1
	done
}

# Builds beside $1 and renames: a build that was cut short is never taken for a whole one.
build() {
	export CGO_ENABLED=0 GOFLAGS="${GOFLAGS:+$GOFLAGS }-p=2 -mod=readonly -buildvcs=false"
	mkdir -p "$(dirname "$1")"
	new=$(mktemp -d "$1.new.XXXXXX")
	trap 'rm -rf "$new"' EXIT
	cd "$here/apiserver"
	if ! go mod download >"$new/download.log" 2>&1; then
		skip "the Go modules cannot be had: $(tail -n 1 "$new/download.log")"
	fi
	minor=${kube#v1.}
	stamp=k8s.io/component-base/version
	go build -trimpath -o "$new/" -ldflags "-s -w -X $stamp.gitVersion=$kube \
		-X $stamp.gitMajor=1 -X $stamp.gitMinor=${minor%%.*}" \
		./etcd k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kube-controller-manager
	chmod 755 "$new"
	rm -rf "$1"
	mv "$new" "$1"
	trap - EXIT
	cd "$root"
}

# Into $1, beside the servers: what people apply manifests with. 0 when it is there.
build_kubectl() {
	[ ! -x "$1/kubectl" ] || return 0
	command -v go >/dev/null || return 1
	(
		export CGO_ENABLED=0 GOFLAGS="${GOFLAGS:+$GOFLAGS }-p=2 -mod=readonly -buildvcs=false"
		cd "$here/apiserver" && go build -trimpath -o "$1/kubectl.new" -ldflags "-s -w" \
			k8s.io/kubernetes/cmd/kubectl >"$1/kubectl.log" 2>&1 && mv "$1/kubectl.new" "$1/kubectl"
	)
}

command -v python3 >/dev/null || skip "python3 is not installed"
command -v openssl >/dev/null || skip "openssl is not installed"
[ -x "$kindred" ] || { echo "e2e: $kindred is missing; run make first" >&2; exit 2; }

if [ -n "${KINDRED_E2E_BIN:-}" ]; then
	bin=$KINDRED_E2E_BIN
	for p in $programs; do
		[ -x "$bin/$p" ] || { echo "e2e: KINDRED_E2E_BIN=$bin has no $p" >&2; exit 2; }
	done
else
	kube=$(version k8s.io/kubernetes)
	etcd=$(version go.etcd.io/etcd/server/v3)
	bin=${XDG_CACHE_HOME:-$HOME/.cache}/kindred-e2e/$kube-etcd-$etcd
	if ! have_all "$bin"; then
		command -v go >/dev/null || skip "go is not installed and KINDRED_E2E_BIN is not set"
		echo "e2e: building kube-apiserver $kube and etcd $etcd (minutes, once)"
		began=$(seconds)
		build "$bin"
		echo "e2e: $(($(seconds) - began)) s build servers"
	fi
fi

tested=$(python3 -B "$here/truth_test.py" 2>&1) || { echo "$tested"; exit 1; }
r=0
python3 -B "$here/scenario.py" --bin "$bin" --kindred "$kindred" || r=$?
[ "$r" -le 1 ] || exit "$r"

# The chart and the manifests.
if ! python3 -c 'import yaml' 2>/dev/null; then
	echo "e2e: skipped: deploy: no python3 with yaml"
elif helm=$(sh "$root/tests/deploy/helm.sh"); then
	build_kubectl "$bin" 2>/dev/null || echo "e2e: no kubectl was built: that of the system is taken, or none"
	python3 -B "$here/deploy.py" --bin "$bin" --kindred "$kindred" --helm "$helm" || r=$?
else
	echo "e2e: skipped: deploy: $helm"
fi
exit "$r"
