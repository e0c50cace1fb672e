#!/bin/bash
# The Debian package: installs, starts, upgrades, is removed and purged, in a root of its own
# (deb-in-root.sh). That is a minimal Debian where debootstrap and a mirror can be had, kept in a cache:
# then the package has what it says it depends on and nothing else. Else it is this system, below a
# layer in memory.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/script.sh
PATH=$PATH:/usr/sbin:/sbin

[ -z "${SAN:-}" ] || skip 'a package is of a release build'
[ "$(id -u)" = 0 ] || skip 'not root'
for tool in dpkg-deb dpkg-shlibdeps apt-get unshare setpriv; do
	command -v $tool >/dev/null || skip "no $tool"
done
unshare --mount true 2>/dev/null || skip 'no mount namespaces'

work=$(mktemp -d)
pids=()
finish() {
	for p in "${pids[@]}"; do kill "$p" 2>/dev/null; done
	wait
	rm -rf "$work"
}
trap finish EXIT

server() { # NAME PROGRAM...
	local name=$1
	shift
	"$@" --listen 127.0.0.1:0 --port-file "$work/in/$name" >"$work/$name.log" 2>&1 &
	pids+=($!)
	for _ in $(seq 300); do
		[ -s "$work/in/$name" ] && return
		sleep 0.1
	done
	cat "$work/$name.log"
	exit 1
}

mkdir "$work/in"
old=$(bash deploy/deb.sh "$o/kindred" "$(cat VERSION)" "$work/debs") || exit 1
mv "$old" "$work/in/old.deb"
dpkg-deb -R "$work/in/old.deb" "$work/new"
sed -i 's/^Version: .*/Version: 99.0/' "$work/new/DEBIAN/control"
echo 'heartbeat: 7s' >>"$work/new/etc/kindred/config.yaml"
(cd "$work/new" && find . -path ./DEBIAN -prune -o -type f -printf '%P\0' | sort -z | xargs -0 md5sum) >"$work/new/DEBIAN/md5sums"
dpkg-deb --root-owner-group --build "$work/new" "$work/in/new.deb" >/dev/null || exit 1
server api "$o/kube-replay" tests/fixtures/recorded
server intake "$o/kindred" reducer --json
cp tests/deploy/deb-in-root.sh "$work/in/"

# Says where an archive of a minimal Debian like this one is, or why there is none.
minimal() {
	local codename mirror base dir=${XDG_CACHE_HOME:-$HOME/.cache}/kindred-deploy
	codename=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
	[ "$(sed -n 's/^ID=//p' /etc/os-release)" = debian ] || { echo 'this is no Debian'; return 1; }
	base=$dir/debian-$codename.tar
	[ ! -s "$base" ] || { echo "$base"; return 0; }
	command -v debootstrap >/dev/null || { echo 'no debootstrap'; return 1; }
	mirror=$(apt-get indextargets --format '$(SITE)' "Codename: $codename" 'Created-By: Packages' 2>/dev/null | head -n 1)
	[ -n "$mirror" ] || { echo 'no mirror is configured'; return 1; }
	mkdir -p "$dir"
	debootstrap --variant=minbase "$codename" "$work/base" "$mirror" >"$work/debootstrap.log" 2>&1 || {
		echo "debootstrap: $(tail -n 1 "$work/debootstrap.log")"
		return 1
	}
	rm -f "$work"/base/var/cache/apt/archives/*.deb
	tar -C "$work/base" -cf "$base.$$" . && mv "$base.$$" "$base" # others may make it, too
	rm -rf "$work/base"
	echo "$base"
}

if base=$(minimal); then
	touch "$work/in/fetch"
	echo 'in a minimal Debian of its own'
else
	echo "in a layer over this system: $base"
	base=
fi

# Everything below is gone with the namespace.
cat >"$work/enter.sh" <<'END'
set -eu
work=$1 base=$2
mount --make-rprivate /
mkdir "$work/root"
if [ -n "$base" ]; then
	mount -t tmpfs -o size=2g tmpfs "$work/root"
	tar -C "$work/root" -xf "$base"
	cp -L /etc/resolv.conf "$work/root/etc/resolv.conf"
	for f in /etc/apt/sources.list /etc/apt/sources.list.d /etc/apt/apt.conf.d /etc/apt/preferences.d /etc/apt/trusted.gpg.d /usr/share/keyrings; do
		[ ! -e "$f" ] || { rm -rf "${work:?}/root$f"; cp -rL "$f" "$work/root$f"; }
	done
else
	mkdir "$work/layer"
	mount -t tmpfs tmpfs "$work/layer"
	mkdir "$work/layer/upper" "$work/layer/over"
	mount -t overlay overlay -o "lowerdir=/,upperdir=$work/layer/upper,workdir=$work/layer/over" "$work/root"
fi
for dir in proc sys dev; do mount --rbind "/$dir" "$work/root/$dir"; done
mount -t tmpfs tmpfs "$work/root/run"
mkdir -p "$work/root/in"
mount --bind "$work/in" "$work/root/in"
if [ -z "$base" ]; then
	mkdir "$work/root/in/layer"
	mount --bind "$work/layer/upper" "$work/root/in/layer"
fi
exec chroot "$work/root" /bin/bash /in/deb-in-root.sh /in
END
r=0
unshare --mount bash "$work/enter.sh" "$work" "$base" || r=$?
if [ "$r" = 75 ]; then
	echo 'so in a layer over this system'
	rm "$work/in/fetch"
	rmdir "$work/root"
	r=0
	unshare --mount bash "$work/enter.sh" "$work" '' || r=$?
fi
exit "$r"
