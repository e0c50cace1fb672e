#!/bin/bash
# What test-deb.sh does inside of a root of its own, where dpkg may do as it likes:
#   deb-in-root.sh FOLDER      with old.deb, new.deb (another version, another config.yaml), port of an API
#                              server and of a reducer in it
set -u
work=$1
export DEBIAN_FRONTEND=noninteractive LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin
passed=0 failed=0
agent=
top=/
[ ! -d "$work/layer" ] || top=$work/layer

test_that() { # WORDS COMMAND...
	local words=$1
	shift
	if "$@" >"$work/out" 2>&1; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		printf 'FAILED: %s\n%s\n' "$words" "$(cat "$work/out")"
	fi
}

not() { ! "$@"; }

# Every file with mode, owner, size and time, but for what dpkg and its helpers keep for themselves.
# Over another system: the files of the layer, which has folders for each.
snapshot() {
	cd "$top" && find . -xdev \( -path ./proc -o -path ./sys -o -path ./dev -o -path ./tmp -o -path ./run \
		-o -path ./in -o -path ./var/lib/dpkg -o -path ./var/log -o -path ./var/cache -o -path ./var/lib/apt \
		-o -path ./var/lib/systemd/deb-systemd-helper-enabled \
		-o -path ./var/lib/systemd/deb-systemd-helper-masked \) -prune -o -type d -printf '%p d %m %u %g\n' \
		-o -printf '%p %y %m %u %g %s %T@ %l\n' |
		grep -vE '^\./etc/((passwd|group|shadow|gshadow|subuid|subgid)-?|ld\.so\.cache|\.pwd\.lock) ' |
		if [ "$top" = / ]; then cat; else grep -v ' d [0-7]* [a-z]* [a-z]*$'; fi | sort
}

users() { getent passwd | cut -d : -f 1 | sort; }

# As the unit starts it: user, capabilities, no new privileges; folders are systemd's to make.
start() {
	install -d -o kindred -g kindred /run/kindred /var/lib/kindred
	cat >/etc/kindred/kubeconfig <<-END
		apiVersion: v1
		kind: Config
		current-context: c
		clusters: [{name: c, cluster: {server: "http://127.0.0.1:$(cat "$work/api")"}}]
		users: [{name: u, user: {}}]
		contexts: [{name: c, context: {cluster: c, user: u}}]
	END
	chown root:kindred /etc/kindred/kubeconfig
	chmod 640 /etc/kindred/kubeconfig
	local unit caps
	unit=/lib/systemd/system/kindred.service
	rm -f "$work/agent.log"
	caps=$(sed -n 's/^AmbientCapabilities=//p' "$unit" | tr 'A-Z' 'a-z' | sed 's/cap_/+/g; s/ /,/g')
	# shellcheck disable=SC2046
	env -i PATH="$PATH" NODE_NAME=node-12.fixture.internal EBPF_NET_INTAKE_PORT="$(cat "$work/intake")" \
		KINDRED_PROBE_LISTEN=off KINDRED_LISTEN=off \
		setpriv --reuid kindred --regid kindred --clear-groups --inh-caps="-all,$caps" --bounding-set="-all,$caps" \
		--ambient-caps="-all,$caps" --no-new-privs $(sed -n 's/^ExecStart=//p' "$unit") >"$work/agent.log" 2>&1 &
	agent=$!
	for _ in $(seq 200); do
		grep -qs '/api/v1/pods: synced' "$work/agent.log" && return 0
		sleep 0.1
	done
	cat "$work/agent.log"
	return 1
}

# With exit code 0; and what the log says is there.
stop() {
	local r=0
	kill "$agent"
	wait "$agent" || r=$?
	agent=
	[ "$r" = 0 ] || { cat "$work/agent.log"; echo "exit code $r"; return 1; }
}

asked() { kindred whois 127.0.0.1 >/dev/null; [ $? -le 1 ]; }

installed() { dpkg-query -W -f '${Status} ${Version}' kindred 2>/dev/null; }

printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
if [ -e "$work/fetch" ]; then
	# Only what the package says it depends on.
	if ! apt-get update -qq -o APT::Update::Error-Mode=any >"$work/out" 2>&1; then
		grep -m 1 '^E:' "$work/out"
		exit 75 # no mirror answers
	fi
	test_that 'what it depends on can be had' apt-get satisfy -y -q --no-install-recommends \
		"$(dpkg-deb -f "$work/old.deb" Depends)"
fi
snapshot >"$work/before"
users >"$work/users"

# As the README says; all it depends on is there, what it recommends may not be.
test_that 'it installs' apt-get install -y -q --no-install-recommends "$work/old.deb"
test_that 'dpkg finds every file as it was packed' test -z "$(dpkg -V kindred)"
test_that 'its user is there, without a shell' grep -qE '^kindred:.*:/nonexistent:/usr/sbin/nologin$' /etc/passwd
test_that 'the program finds its libraries' kindred version
test_that 'the unit is enabled' test -L /etc/systemd/system/multi-user.target.wants/kindred.service
if command -v systemd-analyze >/dev/null; then
	test_that 'systemd finds nothing wrong with the unit' test -z \
		"$(systemd-analyze verify --man=no /lib/systemd/system/kindred.service 2>&1)"
fi
test_that 'it starts as its unit says' start
test_that 'its configuration is right' kindred agent --check-config --config /etc/kindred/config.yaml
test_that 'commands reach it' asked
if grep -q 'flows: off' "$work/agent.log"; then
	grep -m 1 'flows: off' "$work/agent.log"
else
	test_that 'it observes flows with the capabilities of its unit' \
		grep -q 'flows: on, with CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN' "$work/agent.log"
fi
test_that 'it stops with exit code 0' stop

test_that 'it upgrades' dpkg -i "$work/new.deb"
test_that 'the new version is there' test "$(installed)" = 'install ok installed 99.0'
test_that 'an untouched configuration follows' grep -q '^heartbeat: 7s' /etc/kindred/config.yaml
test_that 'it starts again' start
test_that 'it stops again' stop
echo '# mine' >>/etc/kindred/config.yaml
test_that 'it goes back' dpkg -i --force-downgrade --force-confdef --force-confold "$work/old.deb"
test_that 'a configuration that was touched stays' grep -q '^# mine' /etc/kindred/config.yaml
touch /var/lib/kindred/kindred.db

test_that 'it is removed' dpkg -r kindred
test_that 'nothing can be started any more' not test -e /usr/bin/kindred
test_that 'configuration and user stay' grep -q '^# mine' /etc/kindred/config.yaml
test_that 'the unit is gone' not test -e /lib/systemd/system/kindred.service
test_that 'it is installed again' dpkg -i --force-confold "$work/old.deb"
test_that 'with the configuration that was there' grep -q '^# mine' /etc/kindred/config.yaml
test_that 'it is purged' apt-get purge -y -q kindred
test_that 'credentials stay, they are the administrator'"'"'s' test -e /etc/kindred/kubeconfig
rm -rf /etc/kindred /run/kindred
snapshot >"$work/after"
users >"$work/users.after"
test_that 'nothing else is left' diff -u "$work/before" "$work/after"
test_that 'nor a user' diff -u "$work/users" "$work/users.after"
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
