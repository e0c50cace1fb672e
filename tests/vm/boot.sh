#!/bin/bash
# Boots a kernel with a first disk under QEMU without hardware help and prints its serial line.
#
#   tests/vm/boot.sh VMLINUZ CPIO SECONDS [WORDS]     WORDS: for the kernel's command line
#
# A plain CPU and no self-tests of ciphers: emulated vector instructions made those of 6.12 crash.
#
# Exit code: the one that /test.sh in the machine ended with; 124 when it did not come to an end.
set -u
log=$(mktemp)
trap 'rm -f "$log"' EXIT
timeout "$3" qemu-system-x86_64 -accel tcg -cpu Nehalem -smp 1 -m 1024 -nographic -no-reboot -nic none \
	-kernel "$1" -initrd "$2" -append "console=ttyS0 quiet panic=-1 cryptomgr.notests ${4:-}" </dev/null 2>&1 |
	tr -d '\r' | tee "$log"
code=$(sed -n 's/^vm: exit code \([0-9]*\)$/\1/p' "$log" | tail -n 1)
exit "${code:-124}"
