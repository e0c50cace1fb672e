# Sourced by tests that are scripts, from the project's root: `o` is the build folder, whole.
# shellcheck shell=bash disable=SC2034
o=${O:-build}
case $o in /*) ;; *) o=$PWD/$o ;; esac

skip() { # WHY
	echo "skipped: $1 (cannot run here)"
	echo '0 passed, 0 failed, 1 skipped'
	exit 77
}
