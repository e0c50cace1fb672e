#!/bin/sh
# Installs the packages named in DEBS when it can (root, apt-get); else stays silent: make names them.
# TOOLS lists "program:package" that some tests use, python3.MODULE for a module of Python: what is
# missing is installed, or named with what that means; this never fails.
set -eu
may_install() {
	[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null
}

install() {
	echo "installing: $*"
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

have() {
	case $1 in
	python3.*) python3 -c "import ${1#*.}" 2>/dev/null ;;
	*) PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null ;;
	esac
}

missing() {
	for t in $TOOLS; do
		have "${t%%:*}" || printf '%s ' "${t#*:}"
	done
}

if [ -n "${DEBS:-}" ]; then
	may_install || exit 0
	# shellcheck disable=SC2086
	install $DEBS
fi
if [ -n "${TOOLS:-}" ] && [ -n "$(missing)" ]; then
	# shellcheck disable=SC2046
	! may_install || install $(missing) || :
	[ -z "$(missing)" ] || echo "not installed: $(missing)(what needs them says so and is left out)"
fi
