#!/bin/sh
# Installs what a built program prints of itself: its manual page, and completion for shells.
#
#   deploy/texts.sh KINDRED FOLDER [ZSH]     below FOLDER, which is /usr/share or its like; ZSH: where
#                                            zsh looks below its zsh/ (site-functions)
set -eu
kindred=$1 share=$2 zsh=${3:-site-functions}

write() { # FILE ARGUMENT...
	file=$share/$1
	shift
	mkdir -p "$(dirname "$file")"
	"$kindred" "$@" >"$file"
	chmod 644 "$file"
}

write man/man8/kindred.8 man
write bash-completion/completions/kindred completion bash
write "zsh/$zsh/_kindred" completion zsh
