#!/bin/bash
# Fetches Debian's cloud kernels, one a suite, by package name with apt, and unpacks them with
# dpkg: DIR/SUITE/{vmlinuz,root/}. Nothing of the system's own package state is touched. A suite
# that is there already is kept.
#
#   tests/vm/kernels.sh DIR SUITE...
set -eu
out=$1
shift

# Where this system takes its packages from.
mirror() {
	local u
	u=$(sed -n 's/^URIs: *//p' /etc/apt/sources.list.d/debian.sources 2>/dev/null | head -n 1)
	[ -n "$u" ] || u=$(awk '$1 == "deb" { print $2; exit }' /etc/apt/sources.list 2>/dev/null)
	echo "${u:-http://deb.debian.org/debian}"
}

# What $1 depends on that is of the kernel itself: names with a version, as newer suites cut an
# image into binary and modules.
parts() {
	apt-cache "${apt[@]}" depends "$1" |
		sed -n 's/^ *Depends: \(linux-\(image\|binary\|modules\)-[0-9].*\)/\1/p'
}

fetch() {
	local suite=$1 dir=$out/$1 image
	[ ! -s "$dir/vmlinuz" ] || return 0
	rm -rf "$dir"
	mkdir -p "$dir/apt/lists/partial" "$dir/apt/cache/archives/partial" "$dir/root"
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(mirror) $suite main" \
		>"$dir/apt/sources.list"
	apt=(-qq -o "Dir::Etc::SourceList=$dir/apt/sources.list" -o Dir::Etc::SourceParts=-
		-o "Dir::State::Lists=$dir/apt/lists" -o "Dir::Cache=$dir/apt/cache"
		-o APT::Sandbox::User=root -o Acquire::Languages=none)
	apt-get "${apt[@]}" update
	image=$(parts linux-image-cloud-amd64 | head -n 1)
	# shellcheck disable=SC2046
	(cd "$dir" && apt-get "${apt[@]}" download "$image" $(parts "$image"))
	for deb in "$dir"/*.deb; do dpkg -x "$deb" "$dir/root"; done
	cp "$(find "$dir/root" -name 'vmlinuz*' -type f | head -n 1)" "$dir/vmlinuz"
	rm -rf "$dir"/*.deb "$dir/apt"
	echo "vm: $suite: $image"
}

for suite; do fetch "$suite"; done
