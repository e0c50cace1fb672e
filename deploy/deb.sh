#!/bin/bash
# Makes a Debian package of a built program, without debhelper: dpkg-dev alone.
#
#   deploy/deb.sh KINDRED VERSION FOLDER        writes FOLDER/kindred_VERSION_ARCH.deb and prints its path
set -eu
kindred=$(realpath "$1") version=$2
mkdir -p "$3"
out=$(realpath "$3")
here=$(cd "$(dirname "$0")" && pwd)
for tool in dpkg-deb dpkg-shlibdeps strip gzip; do
	command -v $tool >/dev/null || { echo "deb.sh: $tool is not installed" >&2; exit 1; }
done
arch=$(dpkg --print-architecture)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=$work/tree
epoch=${SOURCE_DATE_EPOCH:-$(git -C "$here" log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH=$epoch

put() { # MODE FILE TARGET
	install -D -m "$1" "$2" "$tree/$3"
}

umask 022
put 755 "$kindred" usr/bin/kindred
strip --remove-section=.comment --remove-section=.note "$tree/usr/bin/kindred"
put 644 "$here/systemd/kindred.service" lib/systemd/system/kindred.service
put 644 "$here/systemd/config.yaml" etc/kindred/config.yaml
put 644 "$here/systemd/default" etc/default/kindred
put 644 "$here/debian/copyright" usr/share/doc/kindred/copyright
sh "$here/texts.sh" "$kindred" "$tree/usr/share" vendor-completions
gzip -9n "$tree/usr/share/man/man8/kindred.8"
{
	echo "kindred ($version) unstable; urgency=medium"
	printf '\n  * Version %s.\n\n' "$version"
	echo " -- $(sed -n 's/^Maintainer: //p' "$here/debian/control")  $(date -R -u -d "@$epoch")"
} >"$work/changelog"
gzip -9nc "$work/changelog" >"$tree/usr/share/doc/kindred/changelog.gz"

mkdir "$tree/DEBIAN" "$work/debian"
for script in postinst prerm postrm; do put 755 "$here/debian/$script" "DEBIAN/$script"; done
(cd "$tree" && find etc -type f | sort | sed 's,^,/,') >"$tree/DEBIAN/conffiles"
(cd "$tree" && find . -path ./DEBIAN -prune -o -type f -printf '%P\0' | sort -z | xargs -0 md5sum) >"$tree/DEBIAN/md5sums"
chmod 644 "$tree/DEBIAN/conffiles" "$tree/DEBIAN/md5sums"
cp "$here/debian/control" "$work/debian/control"
depends=$(cd "$work" && dpkg-shlibdeps -O --warnings=1 -e"$tree/usr/bin/kindred" 2>/dev/null | sed 's/^shlibs:Depends=//')
{
	echo "Package: kindred"
	echo "Version: $version"
	echo "Architecture: $arch"
	echo "Installed-Size: $(du -sk --exclude=DEBIAN "$tree" | cut -f 1)"
	grep -E '^(Section|Priority|Maintainer):' "$here/debian/control"
	sed -n '/^Package:/,$p' "$here/debian/control" | grep -vE '^(Package|Architecture):' |
		sed "s|\${shlibs:Depends}|$depends|"
} >"$tree/DEBIAN/control"
find "$tree" -newermt "@$epoch" -exec touch -h -d "@$epoch" {} +
dpkg-deb --root-owner-group -Zxz --build "$tree" "$out/kindred_${version}_$arch.deb" >/dev/null
echo "$out/kindred_${version}_$arch.deb"
