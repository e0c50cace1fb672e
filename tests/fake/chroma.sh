#!/bin/sh
# A real Chroma server, from the bindings of its npm package (the last version that runs with the
# libc of Debian 12). Installed once, outside the tree.
#
#   tests/fake/chroma.sh install            prints the file that is to be loaded, or "skipped: why"
#   tests/fake/chroma.sh run FOLDER PORT    serves on 127.0.0.1 until it is killed (SIGKILL)
#
# KINDRED_CHROMA names a folder where the package is installed already.
set -eu

package=chromadb-js-bindings-linux-x64-gnu
version=1.0.5
folder=${KINDRED_CHROMA:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/kindred-chroma/$version}
node=$folder/node_modules/$package/chromadb-js-bindings.linux-x64-gnu.node

skip() {
	echo "skipped: $*"
	exit 77
}

# Beside it first and renamed: an installation that was cut short is never taken for a whole one.
install() {
	[ ! -f "$node" ] || return 0
	[ -z "${KINDRED_CHROMA:-}" ] || skip "KINDRED_CHROMA=$folder holds no $package (cannot run here)"
	command -v npm >/dev/null || skip "no npm to install Chroma with (cannot run here)"
	mkdir -p "$(dirname "$folder")"
	new=$(mktemp -d "$folder.new.XXXXXX")
	trap 'rm -rf "$new"' EXIT
	(cd "$new" && npm install --no-audit --no-fund --ignore-scripts --silent "$package@$version") \
		>"$new/log" 2>&1 ||
		skip "Chroma's package cannot be had: $(tail -n 1 "$new/log") (cannot run here)"
	[ -d "$folder" ] || mv "$new" "$folder"
}

[ "$(uname -sm)" = "Linux x86_64" ] || skip "Chroma's package is for Linux on x86_64 (cannot run here)"
command -v node >/dev/null || skip "no node to run Chroma with (cannot run here)"
case ${1:-} in
install)
	install
	echo "$node"
	;;
run)
	[ -f "$node" ] || skip "Chroma is not installed (cannot run here)"
	exec node -e 'require(process.argv[1]).cli(["chroma", "run", "--path", process.argv[2],
		"--host", "127.0.0.1", "--port", process.argv[3]])' "$node" "$2" "$3"
	;;
*)
	echo "usage: $0 install | run FOLDER PORT" >&2
	exit 2
	;;
esac
