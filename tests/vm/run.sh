#!/bin/bash
# `make vmtest`: the same binary on other kernels. For each suite of Debian a machine is booted under
# QEMU (TCG) with cgroup v2 alone, with v1 alone, and with both and the pods in v1; what the agent in
# it wrote must name both ends of every flow, and say of what is off why. Prints a table of features
# per kernel; "N passed, N failed, N skipped" at the end.
#
#   tests/vm/run.sh BUILD-FOLDER [SUITE...]
set -u
cd "$(dirname "$0")/../.." || exit 1
o=$1
shift
suites=${*:-bullseye bookworm trixie sid}
layouts=${VM_CGROUPS:-v2 v1 hybrid}
cache=${VM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kindred-vm}
seconds=${VM_SECONDS:-240}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0 skipped=0
features=(tcp refresh found retransmits resets cgroups processes udp udp_drops dns asked
	conntrack existing)

for tool in qemu-system-x86_64 busybox cpio setpriv xz; do
	command -v "$tool" >/dev/null || {
		echo "vmtest: skipped: $tool is not installed (cannot run here); on Debian:" \
			"apt-get install qemu-system-x86 busybox-static cpio xz-utils"
		echo '0 passed, 0 failed, 1 skipped'
		exit 77
	}
done

check() { # NAME CONDITION...
	local name=$1
	shift
	if "$@"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "vmtest: FAILED: $suite, cgroup $layout: $name"
	fi
}

# Some line of log $1 that begins with $2 has every further word in it.
has() {
	local log=$1 begin=$2 word lines
	shift 2
	lines=$(grep "^$begin " "$log")
	for word; do lines=$(grep -F -- "$word" <<<"$lines"); done
	[ -n "$lines" ]
}

# The two recorded pods, with the names that their flows must carry.
pods() {
	zcat tests/fixtures/recorded/truth-pods.tsv.gz | awk -F '\t' -v OFS='\t' '
		$11 == "Deployment" && $17 ~ /containerd:/ && !($2 in seen) {
			id = $17
			sub(/^[^=]*=containerd:\/\//, "", id)
			sub(/,.*/, "", id)
			print $1, id, $2, $12
			seen[$2] = 1
		}' | head -n 2
}

flow_checks() {
	local log=$1 tier=$2 a="\"workload\":\"$a_name\"" b="\"workload\":\"$b_name\""

	check "$tier: the agent ends in order" has "$log" "agent $tier" 'exit 0'
	check "$tier: a client's connection" has "$log" "flow $tier" '"event":"close"' \
		'"direction":"out"' '"port":7001' "$a" "$b" '"bytes_sent":1000,' '"bytes_received":2000,'
	check "$tier: a server's connection" has "$log" "flow $tier" '"event":"close"' \
		'"direction":"in"' '"port":7001' "$a" "$b" '"bytes_sent":2000,' '"bytes_received":1000,'
	check "$tier: a refused connection" has "$log" "flow $tier" '"event":"fail"' '"port":7009' \
		"$a" '"reason":"refused"'
	check "$tier: a question answered" has "$log" "asked $tier" '"port":7001' "$a" "$b"
	[ "$tier" = full ] && [ "$layout" != v1 ] || return 0
	check "$tier: a UDP conversation" has "$log" "flow $tier" '"proto":"udp"' '"direction":"out"' \
		'"port":7002' "$a" "$b" '"bytes_sent":600,' '"bytes_received":600,'
}

# What needs a v2 hierarchy, or the pods in it, is off for that reason, and is said so.
layout_checks() {
	local log=$1 f
	case $layout in
	v1)
		check 'pods are in v1 alone' has "$log" 'log full' "cgroups v1: $controller;"
		check 'v1 alone: udp, dns, asked' off_with "$log" \
			'off: udp, dns, asked (no cgroup v2 is mounted here)'
		check 'v1 alone: drops of udp' off_with "$log" 'off: udp_drops (needs udp)'
		;;
	hybrid)
		check 'pods are in v1 beside v2' has "$log" 'log full' \
			"cgroups hybrid: pods in v1 $controller;"
		check 'hybrid: asked' off_with "$log" 'off: asked (pods are in cgroup v1)'
		;;
	esac
}

off_with() {
	has "$1" 'log full' 'flows: on, with CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN' "; $2"
}

# "on" or "off" of each feature, from the agent's own words.
row() {
	local log=$1 tier=$2 f cell line
	line=$(grep "^log $tier .* flows: on, " "$log" | head -n 1)
	printf '%-10s %-27s %-14s %-6s' "$suite" "$release" "$layout${controller:+: $controller}" "$tier"
	for f in "${features[@]}"; do
		cell=on
		[ -n "$line" ] && ! grep -qE "; off:( [a-z_]+,)* $f\b" <<<"$line" || cell=off
		printf ' %-4s' "$cell"
	done
	echo
}

# The v1 controller that the agent follows: the first that the kernel has. Empty: none.
controller_of() {
	sed -n 's/^hierarchies \(memory\|pids\) .*/\1/p' "$1"
}

boot() {
	local log=$work/$suite.$layout.log tier
	controller=
	bash tests/vm/boot.sh "$cache/$suite/vmlinuz" "$1" "$seconds" \
		"cgroups=$layout cgroup_enable=memory" >"$log" 2>&1
	check "the machine comes to its end" [ $? = 0 ]
	[ -z "${VM_KEEP:-}" ] || cp "$log" "$VM_KEEP/"
	if [ "$layout" != v2 ]; then
		controller=$(controller_of "$log")
		if [ -z "$controller" ] && grep -q '^hierarchies ' "$log"; then
			echo "vmtest: skipped: $suite has no cgroup v1 memory or pids (cannot run here)"
			skipped=$((skipped + 1))
			return
		fi
	fi
	for tier in trace full; do
		flow_checks "$log" "$tier"
		row "$log" "$tier" >>"$work/table"
	done
	layout_checks "$log"
}

one() {
	local cpio=$work/$suite.gz
	release=$(basename "$(find "$cache/$suite/root" -type d -path '*/lib/modules/*' -prune | head -n 1)")
	bash tests/vm/image.sh "$cache/$suite" "$cpio" "$o/kindred" "$o/kube-replay" "$o/actor" \
		"$(command -v setpriv)=/usr/sbin/setpriv" tests/fixtures/recorded=/fixtures tests/vm/guest-test.sh=/test.sh \
		"$work/pods=/pods"
	for layout in $layouts; do boot "$cpio"; done
}

pods >"$work/truth"
cut -f 1,2 "$work/truth" | tr '\t' ' ' >"$work/pods"
a_name=$(sed -n 1p "$work/truth" | cut -f 4)
b_name=$(sed -n 2p "$work/truth" | cut -f 4)
for suite in $suites; do
	if bash tests/vm/kernels.sh "$cache" "$suite"; then
		one
	else
		echo "vmtest: skipped: the kernel of $suite cannot be fetched (cannot run here)"
		skipped=$((skipped + 1))
	fi
done
printf '\n%-10s %-27s %-14s %-6s' suite kernel cgroups tier
printf ' %-4.4s' "${features[@]}"
echo
cat "$work/table"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
