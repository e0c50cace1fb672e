#!/bin/busybox sh
# shellcheck shell=dash
# The first process of the test machine: cgroups, loopback, the modules; then /test.sh, and off. What
# it prints goes to the serial line. `cgroups` comes from the kernel's command line: v1, hybrid, or
# nothing for v2.
/bin/busybox --install -s /bin
export PATH=/bin:/sbin:/usr/sbin:/usr/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
mkdir -p /sys/fs/cgroup
v1() { # a kernel may be built without one of them
	mount -t tmpfs cgroup /sys/fs/cgroup
	for c in memory pids; do
		mkdir /sys/fs/cgroup/$c
		mount -t cgroup -o $c $c /sys/fs/cgroup/$c || rmdir /sys/fs/cgroup/$c
	done
}
case ${cgroups:=v2} in
v1) v1 ;;
hybrid) v1 && mkdir /sys/fs/cgroup/unified && mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified ;;
v2) mount -t cgroup2 cgroup2 /sys/fs/cgroup ;;
esac
export cgroups
mount -t bpf bpf /sys/fs/bpf
for ko in ipv6 inet_diag tcp_diag udp_diag nfnetlink nf_conntrack nf_conntrack_netlink nf_tables \
	nft_chain_nat nft_nat nft_numgen nft_ct veth; do
	modprobe $ko 2>/dev/null
done
ip link set lo up
dmesg -n 1
sh /test.sh
echo "vm: exit code $?"
sync
poweroff -f
