"""A seccomp profile, as container runtimes have it, made a filter of this process: names without
arguments, for the machine's own architecture."""

import ctypes
import errno
import glob
import json
import platform
import re
import struct

LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
RET_ALLOW, RET_ERRNO, RET_KILL = 0x7fff0000, 0x00050000, 0x80000000
LD_W_ABS, JEQ_K, RET_K = 0x20, 0x15, 0x06
MACHINES = {"x86_64": (0xc000003e, "SCMP_ARCH_X86_64", "unistd_64.h"),
            "aarch64": (0xc00000b7, "SCMP_ARCH_AARCH64", "unistd.h")}


def numbers():
    """{name: number} of this machine's system calls, from the kernel's header."""
    name = MACHINES[platform.machine()][2]
    paths = glob.glob("/usr/include/*/asm/" + name) + ["/usr/include/asm-generic/" + name]
    with open(paths[0]) as f:
        return {m[0]: int(m[1]) for m in re.findall(r"^#define __NR_(\w+)\s+(\d+)", f.read(), re.M)}


def load(path):
    """(arch, error, numbers that are allowed). A name that this machine has not is left out."""
    with open(path) as f:
        profile = json.load(f)
    arch, word, _ = MACHINES[platform.machine()]
    if word not in profile["architectures"] or profile["defaultAction"] != "SCMP_ACT_ERRNO":
        raise ValueError("%s: %s is not allowed, or what is not named is not refused" % (path, word))
    have = numbers()
    names = {n for rule in profile["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW" for n in rule["names"]}
    return arch, profile.get("defaultErrnoRet", errno.EPERM), sorted(have[n] for n in names if n in have)


def install(filters):
    """Needs no_new_privs."""
    arch, error, allowed = filters
    code = [(LD_W_ABS, 0, 0, 4), (JEQ_K, 1, 0, arch), (RET_K, 0, 0, RET_KILL), (LD_W_ABS, 0, 0, 0)]
    for n in allowed:
        code += [(JEQ_K, 0, 1, n), (RET_K, 0, 0, RET_ALLOW)]
    code.append((RET_K, 0, 0, RET_ERRNO | error))
    text = b"".join(struct.pack("<HBBI", *c) for c in code)
    room = ctypes.create_string_buffer(text, len(text))
    program = struct.pack("@HP", len(code), ctypes.addressof(room))
    if LIBC.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "seccomp")
