#!/bin/sh
# Says where a promtool is: the installed one, or the one in Debian's package prometheus, which is
# unpacked into a cache and not installed (it would start a server). Exit code 77, with the reason,
# where that cannot be.
set -eu
if command -v promtool; then
	exit 0
fi
dir=${XDG_CACHE_HOME:-$HOME/.cache}/kindred-deploy/promtool
if [ ! -x "$dir/usr/bin/promtool" ]; then
	[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || { echo "no promtool"; exit 77; }
	mkdir -p "$(dirname "$dir")"
	new=$(mktemp -d "$dir.new.XXXXXX")
	trap 'rm -rf "$new"' EXIT
	cd "$new"
	{ apt-get download -q prometheus || { apt-get update -qq && apt-get download -q prometheus; }; } >log 2>&1 || {
		echo "no promtool: $(tail -n 1 log)"
		exit 77
	}
	dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool
	rm -f prometheus_*.deb
	rm -rf "$dir"
	mv "$new" "$dir"
	trap - EXIT
fi
echo "$dir/usr/bin/promtool"
