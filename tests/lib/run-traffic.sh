# shellcheck shell=sh
# Traffic for `make run`: small clients and servers inside cgroups named after containers of the
# recorded pods, in a network namespace of their own that has the pods' addresses. Read by run.sh,
# which sets $o and $work; everything made here goes away in traffic_stop.

: "${o:?}" "${work:?}"
traffic_pids=
traffic_top=

# Says why there is none; 0 when there can be.
traffic_possible() {
	[ "$(id -u)" = 0 ] || { echo 'not root'; return 1; }
	# CAP_BPF is bit 39, CAP_PERFMON 38.
	caps=0x$(awk '/^CapEff/ { print $2 }' /proc/self/status)
	[ $((caps >> 39 & caps >> 38 & 1)) = 1 ] || { echo 'no CAP_BPF'; return 1; }
	for tool in nsenter ip; do
		command -v $tool >/dev/null || { echo "no $tool"; return 1; }
	done
	unshare --net true 2>/dev/null || { echo 'no network namespaces'; return 1; }
	traffic_top=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)/kindred-run-$$
	mkdir "$traffic_top" 2>/dev/null || { traffic_top=; echo 'cgroups cannot be made'; return 1; }
}

# One pod of each workload that was there from the recording's beginning to its end:
# uid, namespace, name, address, container id.
traffic_pods() {
	gzip -dc tests/fixtures/recorded/truth-ever.tsv.gz | awk -F '\t' '
		NR == 1 { next }
		{ if (!first || $19 < first) first = $19; if ($20 > last) last = $20; row[NR] = $0 }
		END {
			for (i = 2; i <= NR; i++) {
				split(row[i], f, "\t")
				id = f[17]; sub(/,.*/, "", id); sub(/^.*:\/\//, "", id)
				owner = f[2] "/" f[11] "/" f[12]
				if (f[19] != first || f[20] != last || f[7] != "false" || owner in seen ||
				    length(f[2] f[12]) > 36 || f[4] != "Running" || f[5] !~ /^10\./ ||
				    length(id) != 64 || f[11] !~ /^(Deployment|StatefulSet)$/)
					continue
				seen[owner]
				print f[1], f[2], f[3], f[5], id
			}
		}' | sort -k 2 | head -n 8
}

# Runs an actor in the namespace and in cgroup $1.
traffic_actor() {
	dir=$1
	shift
	"$o/actor" --out /dev/null --netns "/proc/$traffic_netns/ns/net" --cgroup "$dir" "$@" \
		>/dev/null </dev/null &
	traffic_pids="$! $traffic_pids"
}

traffic_start() {
	mkfifo "$work/traffic"
	# The namespace lives until its standard input ends: this shell holds the other end.
	"$o/actor" pause <"$work/traffic" >"$work/traffic.ready" &
	traffic_netns=$!
	traffic_pids=$traffic_netns
	exec 8>"$work/traffic"
	n=0
	until [ -s "$work/traffic.ready" ]; do
		n=$((n + 1))
		[ "$n" -lt 50 ] || return 1
		sleep 0.1
	done
	traffic_pods >"$work/pods"
	{
		echo 'link set lo up'
		awk '{ print "addr add " $4 "/32 dev lo" }' "$work/pods"
	} | nsenter "--net=/proc/$traffic_netns/ns/net" ip -batch -
	first=$(awk 'NR == 1 { print $4 }' "$work/pods")
	while read -r uid _ _ ip id; do
		dir=$traffic_top/kubepods.slice/kubepods-burstable.slice
		dir=$dir/kubepods-burstable-pod$(echo "$uid" | tr - _).slice/cri-containerd-$id.scope
		mkdir -p "$dir"
		traffic_actor "$dir" listen "$ip" 8080 r300,w4000,R
	done <"$work/pods"
	sleep 0.3
	# Each pod calls the next one of the list, and the last the first.
	while read -r uid _ _ ip id; do
		next=$(awk -v ip="$ip" 'found { print $4; exit } $4 == ip { found = 1 }' "$work/pods")
		dir=$traffic_top/kubepods.slice/kubepods-burstable.slice
		dir=$dir/kubepods-burstable-pod$(echo "$uid" | tr - _).slice/cri-containerd-$id.scope
		traffic_actor "$dir" connect "${next:-$first}" 8080 w300,r4000,d400 "from=$ip" \
			count=1000000
	done <"$work/pods"
	echo "run: clients and servers run in cgroups of $(wc -l <"$work/pods") recorded pods"
}

traffic_stop() {
	# shellcheck disable=SC2086
	[ -z "$traffic_pids" ] || kill $traffic_pids 2>/dev/null || :
	for p in $traffic_pids; do wait "$p" 2>/dev/null || :; done
	traffic_pids=
	[ -n "$traffic_top" ] || return 0
	n=0 # a cgroup is busy until its last process is quite gone
	until find "$traffic_top" -depth -type d -exec rmdir {} + 2>/dev/null; do
		[ -d "$traffic_top" ] || break
		n=$((n + 1))
		[ "$n" -lt 50 ] || { echo "run: $traffic_top is left" >&2; break; }
		sleep 0.1
	done
	traffic_top=
}
