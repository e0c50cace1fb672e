"""The systemd unit: what systemd says of it, and that it is as confined as the chart's pods.
test-systemd.sh starts this with kindred=PATH."""

import json
import os
import re
import subprocess
import sys
import tempfile

import yaml

import charts

UNIT = os.path.join(charts.ROOT, "deploy", "systemd", "kindred.service")
PROFILE = os.path.join(charts.ROOT, "deploy", "seccomp", "kindred.json")


def analyze(*args):
    return subprocess.run(("systemd-analyze",) + args, capture_output=True, text=True)


def values(key):
    """All lines of a setting, in order."""
    with open(UNIT) as f:
        return [line.split("=", 1)[1].strip() for line in f if line.startswith(key + "=")]


def test_verify():
    """systemd finds nothing to complain about"""
    with open(UNIT) as f:
        text = f.read().replace("/usr/bin/kindred", charts.need("kindred"))
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "kindred.service")
        with open(path, "w") as f:
            f.write(text)
        done = analyze("verify", "--man=no", path)
    assert done.returncode == 0 and not done.stderr, done.stderr


def test_exposure():
    """its exposure, as systemd weighs it, is at most 2.0 of 10"""
    done = analyze("security", "--offline=true", "--no-pager", "--threshold=20", UNIT)
    print([line for line in done.stdout.splitlines() if "Overall" in line][0].strip("\u2192 "))
    assert done.returncode == 0, done.stdout


def test_like_the_chart():
    """it has the capabilities of the chart's pods, and as they neither gains any nor writes its root"""
    with open(os.path.join(charts.MANIFESTS, "daemonset.yaml")) as f:
        c = yaml.safe_load(f)["spec"]["template"]["spec"]["containers"][0]["securityContext"]
    want = ["CAP_" + n for n in c["capabilities"]["add"]]
    assert values("AmbientCapabilities") == values("CapabilityBoundingSet") == [" ".join(want)]
    assert values("NoNewPrivileges") == ["yes"] and c["allowPrivilegeEscalation"] is False
    assert values("ProtectSystem") == ["strict"] and c["readOnlyRootFilesystem"] is True
    assert values("User") == ["kindred"]


def group(name):
    out = set()
    for line in analyze("syscall-filter", name).stdout.splitlines()[1:]:
        word = line.strip()
        if word.startswith("@"):
            out |= group(word)
        elif re.fullmatch(r"\w+", word):
            out.add(word)
    return out


def test_system_calls():
    """every call that agents were seen to make passes its filter"""
    allowed = set()
    for line in values("SystemCallFilter"):
        names = set()
        for word in line.lstrip("~").split():
            names |= group(word) if word.startswith("@") else {word}
        allowed = allowed - names if line.startswith("~") else allowed | names
    with open(PROFILE) as f:
        rules = json.load(f)["syscalls"]
    named = [n for r in rules for n in r["names"]]
    assert len(named) == len(set(named)), sorted(n for n in named if named.count(n) > 1)
    # Newer than this systemd's groups, which a process may do without.
    late = {"futex_waitv", "epoll_pwait2"}
    refused = {n for r in rules[:2] for n in r["names"]} - allowed - late
    assert not refused, refused
    assert "mount" not in allowed and "ptrace" not in allowed and "chroot" not in allowed


if __name__ == "__main__":
    sys.exit(charts.run([f for n, f in sorted(globals().items()) if n.startswith("test_")]))
