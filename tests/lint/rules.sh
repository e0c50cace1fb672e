#!/bin/bash
# The rules of the house that a compiler does not know: which room may include which, which room
# alone may include a library, and calls nobody makes. Prints FILE:LINE: RULE: words.
#
#   tests/lint/rules.sh ROOT
set -u
cd "$1" || exit 2
bad=0

say() {
	printf '%s: %s: %s\n' "$1" "$2" "$3"
	bad=1
}

sources() {
	find "$@" -type f \( -name '*.c' -o -name '*.h' \) -not -path 'tests/lint/bad/*' 2>/dev/null
}

# What each room may include, besides itself. Data goes one way: nothing to its right. Of bpf/ a room
# sees the skeletons alone; what kernel and agent share is include/, which includes no room.
rooms() {
	cat <<-'END'
		base
		model base
		config base
		http base
		decode base model
		tree base decode
		kube base model http decode
		inventory base model
		peers base model inventory
		match base model inventory peers
		flow base model bpf
		store base tree model
		sink base tree model http inventory peers flow match store proto
		core base tree model decode kube inventory peers flow match store sink proto
		serve base tree model http inventory peers flow match store sink
		reducer base model proto
		cli base tree model config http decode kube inventory peers match store sink core flow serve reducer proto
		main.c base cli
		proto base
		bpf
		include
	END
}

room_rule() {
	local room allowed file line to
	while read -r room allowed; do
		local from=agent/$room
		case $room in proto | bpf | include) from=$room ;; esac
		[ -e "$from" ] || continue
		while IFS=: read -r file line to; do
			to=${to#*\"}
			to=${to%%/*}
			case " $allowed $room " in
			*" $to "*) ;;
			*) say "$file:$line" room "$room must not include $to" ;;
			esac
		done < <(sources "$from" | xargs -r grep -nHE '^#[[:space:]]*include "[a-z_.-]+/')
	done < <(rooms)
	for from in agent/*/; do
		room=$(basename "$from")
		[ -d "$from" ] || continue
		case $room in proto | bpf | include) say "$from" room "$room stands beside agent/" ;; esac
		rooms | grep -q "^$room\( \|\$\)" || say "$from" room "$room is not in the table of rules.sh"
	done
}

# only PATTERN WHERE...: the header may be included in these places alone (agent/, proto/, include/).
only() {
	local pattern=$1 file line rest place
	shift
	while IFS=: read -r file line rest; do
		for place; do
			case $file in "$place"*) continue 2 ;; esac
		done
		say "$file:$line" library "${rest#*include } may only be included in: $*"
	done < <(sources agent proto include | xargs -r grep -nHE "^#[[:space:]]*include <$pattern")
}

# Programs for the kernel see libbpf's headers for it and ours, and nothing of libc or the kernel's
# own: bpf/kernel.h says what they need of it.
bpf_rule() {
	local file line rest
	while IFS=: read -r file line rest; do
		say "$file:$line" bpf "programs may not include ${rest#*include }"
	done < <(sources bpf | xargs -r grep -nHE '^#[[:space:]]*include <' | grep -vE '<(bpf/bpf_[a-z_]+|stdint)\.h>')
}

library_rule() {
	only 'curl/' agent/http/
	only '(bpf/(bpf|libbpf|btf|skel)|linux/(bpf|btf))' agent/flow/
	only 'libmnl' agent/flow/
	only '(linux/(netlink|rtnetlink|netfilter|inet_diag|sock_diag)|sys/capability\.h)' agent/flow/
	only 'lz4' proto/ agent/peers/ agent/store/ agent/cli/cmd_version.c
	only 'yaml\.h' agent/config/ agent/kube/ agent/cli/cmd_version.c
	only 'sqlite3' agent/sink/ agent/cli/cmd_version.c
	only 'event2/' agent/http/ agent/kube/ agent/sink/ agent/serve/ agent/reducer/ agent/flow/ agent/cli/
	only '(sys/(socket|epoll|un)|netdb|netinet/tcp)\.h' agent/http/ agent/kube/ agent/sink/ \
		agent/serve/ agent/reducer/ agent/flow/ agent/cli/
	only '(pthread|threads)\.h' agent/sink/ agent/flow/
}

# The core does no I/O: time comes as an argument, nobody logs or reads the environment.
core_rule() {
	local file line rest
	local core=(agent/tree agent/store agent/model agent/decode agent/inventory agent/peers agent/match agent/sink/peers agent/core proto
		agent/sink/reducer/session.c agent/kube/reflector*.c agent/kube/owners*.c
		agent/base/backoff.c agent/kube/{budget,catalog*,lease,lease_object,review_object}.c
		agent/flow/{flows,table,tombs,tcp,found,udp,twins,nat,ends,pending,log,cgroups}.c
		agent/flow/{cgroup_says,cgroup_name,procs,names,ledger,dns,dns_match}.c
		agent/sink/reducer/feed*.c agent/sink/jsonl/line.c agent/sink/metrics
		agent/reducer/{ingest*,table,traffic*,report*,spans}.c)
	while IFS=: read -r file line rest; do
		say "$file:$line" core "no I/O, clock or log in the core: ${rest//	/}"
	done < <(sources "${core[@]}" | xargs -r grep -nHE \
		'\b(clock_mono|clock_boot|clock_wall|clock_offset|log_(error|warn|info|debug|err|write)|getenv|fopen|open|socket|connect|clock_gettime|gettimeofday|time)\(' |
		grep -vE ':[0-9]+:[[:space:]]*(/?\*|//)' | grep -vE '(->|\.)(open|connect|time)\(')
}

# Calls that cut no length, keep hidden state, or hide errors.
call_rule() {
	local file line rest
	while IFS=: read -r file line rest; do
		say "$file:$line" call "banned: ${rest//	/}"
	done < <(sources agent bpf proto include tests | xargs -r grep -nHE \
		'(^|[^A-Za-z0-9_])(strcpy|strcat|strncat|sprintf|vsprintf|strtok|atoi|atol|atof|gmtime|localtime|gets|tmpnam|alloca)\(' |
		grep -vE ':[0-9]+:[[:space:]]*(/?\*|//)')
}

pragma_rule() {
	local file
	while read -r file; do
		grep -q '^#pragma once$' "$file" || say "$file:1" pragma "a header needs #pragma once"
	done < <(sources agent bpf proto include tests | grep '\.h$')
}

room_rule
library_rule
bpf_rule
core_rule
call_rule
pragma_rule
exit "$bad"
