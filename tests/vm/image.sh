#!/bin/bash
# Builds the first disk of a test machine: busybox, the modules of a kernel, the programs with the
# libraries they need, and the guest's script.
#
#   tests/vm/image.sh KERNEL-DIR OUT.cpio.gz [FILE|FILE=PATH ...]
#
# FILE goes to /bin, FILE=PATH to PATH (a folder is copied whole).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
kernel=$1
out=$2
shift 2
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root"/{bin,sbin,dev,proc,sys,tmp,run,etc,lib/modules}

copy_libs() {
	ldd "$1" 2>/dev/null | grep -o '/[^ ]*' | while read -r lib; do
		mkdir -p "$root$(dirname "$lib")"
		[ -e "$root$lib" ] || cp -L "$lib" "$root$lib"
	done
}

add() {
	local from=${1%%=*} to=/bin/
	case $1 in *=*) to=${1#*=} ;; esac
	mkdir -p "$root$(dirname "${to}x")"
	cp -rL "$from" "$root$to"
	[ -d "$from" ] || copy_libs "$from"
}

# Only what the test needs: whole kernels have hundreds of modules.
modules() {
	local version from m
	from=$(find "$kernel/root" -type d -path '*/lib/modules/*' -prune | head -n 1)
	version=$(basename "$from")
	mkdir -p "$root/lib/modules/$version"
	for m in inet_diag tcp_diag udp_diag nfnetlink nf_conntrack nf_conntrack_netlink nf_defrag_ipv4 \
		nf_defrag_ipv6 libcrc32c crc32c_generic nf_tables nf_nat nft_chain_nat nft_nat nft_numgen \
		nft_ct veth bridge stp llc ipv6; do
		find "$from" \( -name "$m.ko" -o -name "$m.ko.xz" \) -exec cp {} "$root/lib/modules/$version/" \;
	done
	find "$root/lib/modules" -name '*.xz' -exec xz -d {} +
	cp "$from"/modules.{order,builtin} "$root/lib/modules/$version/" 2>/dev/null || :
	chroot "$root" /bin/busybox depmod "$version" 2>/dev/null || :
}

add "$(command -v busybox)=/bin/busybox"
for applet in sh mount mkdir modprobe depmod insmod; do ln -sf busybox "$root/bin/$applet"; done
for f; do add "$f"; done
modules
cp "$here/guest-init.sh" "$root/init"
chmod 755 "$root/init"
(cd "$root" && find . | cpio -o -H newc --quiet) | gzip -1 >"$out"
