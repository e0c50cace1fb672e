#!/bin/busybox sh
# shellcheck shell=dash
# In the test machine: two recorded pods, as cgroups of the names containerd gives them, talk TCP,
# UDP and DNS on loopback, once for each tier of capabilities. Prints "feature", "flow" and "dns"
# lines for the script outside, which knows what must be there.
#
# /pods: two lines "UID CONTAINER-ID". `cgroups`: what guest-init.sh mounted; with v1 the pods are in
# each of its hierarchies, and in no other.
roots=/sys/fs/cgroup
if [ "${cgroups:=v2}" != v2 ]; then
	roots=$(echo /sys/fs/cgroup/[mp]*)
	echo # what the firmware wrote has no end
	# shellcheck disable=SC2086
	echo "hierarchies $(basename -a $roots | tr '\n' ' ')"
	[ "$roots" != '/sys/fs/cgroup/[mp]*' ] || exit 0
fi

container() { # an option for each directory of pod $1's container $2
	for root in $roots; do
		slice=$root/kubepods.slice/kubepods-burstable.slice
		dir=$slice/kubepods-burstable-pod$(echo "$1" | tr - _).slice/cri-containerd-$2.scope
		mkdir -p "$dir"
		echo "--cgroup $dir"
	done
}
{
	read -r uid id
	a=$(container "$uid" "$id")
	read -r uid id
	b=$(container "$uid" "$id")
} </pods

port() { # the port a program wrote to file $1
	n=0
	until [ -s "$1" ] || [ $n -ge 200 ]; do n=$((n + 1)); usleep 50000; done
	cat "$1"
}

wait_for() { # up to 20 s for $1 in file $2
	n=0
	until grep -q "$1" "$2" || [ $n -ge 200 ]; do n=$((n + 1)); usleep 100000; done
}

# shellcheck disable=SC2086
traffic() { # servers run until their standard input ends
	actor $b --out /tmp/b.truth listen 127.0.0.1 7001 r1000,w2000,R <&3 &
	tcp=$!
	actor $b --out /tmp/b.truth udp-serve 127.0.0.1 7002 <&3 &
	udp=$!
	actor $b --out /tmp/b.truth dns-serve 127.0.0.1 53 <&3 &
	dns=$!
	sleep 1
	actor $a --out /tmp/a.truth connect 127.0.0.1 7001 w1000,r2000,s,R
	actor $a --out /tmp/a.truth connect ::1 7009 w1 2>/dev/null
	actor $a --out /tmp/a.truth udp-send 127.0.0.1 7002 100,200,300
	actor $a --out /tmp/a.truth dns-ask 127.0.0.1 53 a.example.com/A nx.example.com/A
	kill $tcp $udp $dns
}

# $1: name of the tier, $2: its capabilities
tier() {
	: >/tmp/agent.log
	rm -f /tmp/out.jsonl /tmp/port.*
	kube-replay /fixtures --listen 127.0.0.1:0 --port-file /tmp/port.api --speed 0 \
		>/dev/null 2>&1 &
	api=$!
	kindred reducer --listen 127.0.0.1:0 --port-file /tmp/port.red >/tmp/red.log 2>&1 &
	red=$!
	/usr/sbin/setpriv --bounding-set="-all$2" --inh-caps="-all$2" --ambient-caps="-all$2" \
		kindred agent --log-level ${LEVEL:-info} --flows on --flows-out jsonl:/tmp/out.jsonl --scope cluster \
		--start-jitter 0s --socket /run/kindred.sock --udp-idle 2s --flow-refresh 500ms --streaming-list auto \
		--api-server "http://127.0.0.1:$(port /tmp/port.api)" \
		--intake-port "$(port /tmp/port.red)" >/tmp/agent.log 2>&1 &
	agent=$!
	wait_for 'pods: synced' /tmp/agent.log
	sleep 1
	traffic
	sleep 5
	wget -q -O /dev/null http://127.0.0.1:1 2>/dev/null
	kindred flows --socket /run/kindred.sock --last 5m -o json >/tmp/asked.jsonl 2>&1
	kill $agent
	wait $agent
	echo "agent $1 exit $?"
	kill $red $api
	wait $red $api
	sed "s/^/log $1 /" /tmp/agent.log
	grep -h -v '"port":53\b' /tmp/out.jsonl | sed "s/^/flow $1 /"
	sed "s/^/asked $1 /" /tmp/asked.jsonl | head -n 20
	sed "s/^/reducer $1 /" /tmp/red.log | tail -n 20
}

mkfifo /tmp/open && exec 3<>/tmp/open
ulimit -l unlimited # below 5.11 maps are charged to it
tier trace ,+bpf,+perfmon
tier full ,+bpf,+perfmon,+net_admin
exit 0
