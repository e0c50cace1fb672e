#!/bin/sh
# Puts together what a container image of kindred holds: the program, the libraries it links,
# certificates, and nothing that could be started besides. The Containerfile calls it; without a
# container engine it makes the same folder.
#
#   deploy/image.sh KINDRED FOLDER
#
# As root the program gets file capabilities that are permitted and not effective: it raises what
# it finds itself. Effective ones (+ep) could not even start where the bounding set has fewer.
set -eu
kindred=$1 image=$2
caps=cap_bpf,cap_perfmon,cap_net_admin,cap_sys_ptrace,cap_sys_resource
PATH=$PATH:/usr/sbin:/sbin

[ ! -e "$image" ] || { echo "image.sh: $image is there already" >&2; exit 1; }
for tool in ldd strip setcap xz; do
	command -v $tool >/dev/null || { echo "image.sh: $tool is not installed" >&2; exit 1; }
done

libraries() {
	ldd "$kindred" | sed -n 's,^[^/]*\(/[^ ]*\) (.*,\1,p'
}

# Libraries where the program looks for them: /lib is /usr/lib, as on the system they are from.
mkdir -p "$image/usr/bin" "$image/usr/lib" "$image/etc/ssl/certs" "$image/usr/lib/ssl"
for dir in /lib /lib64; do
	[ ! -L "$dir" ] || { mkdir -p "$image/usr$dir" && ln -s "usr$dir" "$image$dir"; }
done
libraries | while read -r lib; do
	mkdir -p "$image$(dirname "$lib")"
	cp -L "$lib" "$image$lib"
done

cp -L /etc/ssl/certs/ca-certificates.crt "$image/etc/ssl/certs/"
ln -s /etc/ssl/certs/ca-certificates.crt "$image/usr/lib/ssl/cert.pem"
echo 'nonroot:x:65532:65532:nonroot:/:/usr/sbin/nologin' >"$image/etc/passwd"
echo 'nonroot:x:65532:' >"$image/etc/group"
echo 'hosts: files dns' >"$image/etc/nsswitch.conf"

# Terms of what is copied: the files of its packages, one after the other.
mkdir -p "$image/usr/share/doc"
{
	cat "$(dirname "$0")/../LICENSE"
	libraries | while read -r lib; do
		lib=$(readlink -f "$lib")
		dpkg-query -S "$lib" 2>/dev/null || dpkg-query -S "${lib#/usr}" 2>/dev/null || :
	done | sed 's/:.*//' | sort -u | while read -r package; do
		printf '\n==== %s\n\n' "$package"
		cat "/usr/share/doc/$package/copyright"
	done
} | xz -9e >"$image/usr/share/doc/copyright.xz"

# Where pods have volumes; the root is read-only then.
for dir in proc sys dev tmp run/kindred var/lib/kindred etc/kindred host; do
	mkdir -p "$image/$dir"
done
ln -s /run "$image/var/run"
chown 65532:65532 "$image/run/kindred" "$image/var/lib/kindred" 2>/dev/null || :
chmod 1777 "$image/tmp"

strip -o "$image/usr/bin/kindred" "$kindred"
chmod 755 "$image/usr/bin/kindred"
if [ "$(id -u)" = 0 ]; then
	setcap "$caps=p" "$image/usr/bin/kindred"
else
	echo "image.sh: not root: the program has no file capabilities" >&2
fi
