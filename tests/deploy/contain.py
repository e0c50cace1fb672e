"""Starts one container of a rendered pod as a container runtime would, without one.

    contain.py OBJECTS.yaml KIND ROOT [--env K=V]... [--give VOLUME=FOLDER]... [--seccomp FILE]

What is taken from the pod: user, groups, capabilities, privilege escalation, read-only root, host
namespaces, mounts, arguments and environment. As runc does it: the bounding set is what is added,
permitted and effective are set to it after the change of user, inheritable and ambient are empty; so
a program of another user than root has what its file's capabilities say, and no more. The network is
the caller's, whatever the pod says: the servers of a test are there.

The process becomes the container, or waits for it where the pod has processes of its own.
"""

import argparse
import ctypes
import os
import signal
import sys

import yaml

import seccomp

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWPID = 0x20000, 0x02000000, 0x20000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
PR_CAPBSET_DROP, PR_SET_KEEPCAPS, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 24, 8, 38, 47
CAPS = {"NET_ADMIN": 12, "SYS_PTRACE": 19, "SYS_RESOURCE": 24, "PERFMON": 38, "BPF": 39}
MASKED = ("kcore", "keys", "timer_list", "sched_debug", "latency_stats")
FIXED = ("bus", "fs", "irq", "sys", "sysrq-trigger")


def check(r, what):
    if r != 0:
        e = ctypes.get_errno()
        raise OSError(e, "%s: %s" % (what, os.strerror(e)))


def mount(source, target, kind, flags, data=None):
    check(LIBC.mount(source.encode(), target.encode(), kind and kind.encode(), flags,
                     data and data.encode()), "mount %s at %s" % (source, target))


def bind(source, target, read_only):
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        open(target, "a").close()
    mount(source, target, None, MS_BIND | MS_REC)
    if read_only:
        mount("none", target, None, MS_BIND | MS_REMOUNT | MS_RDONLY)


# ---- mounts ----------------------------------------------------------------------------------------

def volume_source(volume, given, objects, work):
    """A folder or file with what the volume holds; None: empty, in memory."""
    name = volume["name"]
    if name in given:
        return given[name]
    if "hostPath" in volume:
        return os.path.realpath(volume["hostPath"]["path"])
    if "emptyDir" in volume:
        return None
    data = next(o["data"] for o in objects if o["kind"] == "ConfigMap" and
                o["metadata"]["name"] == volume["configMap"]["name"])
    folder = os.path.join(work, name)
    os.makedirs(folder)
    for k, text in data.items():
        with open(os.path.join(folder, k), "w") as f:
            f.write(text)
    return folder


def mount_volumes(root, pod, container, given, objects, work):
    volumes = {v["name"]: v for v in pod["volumes"]}
    for m in container["volumeMounts"]:
        target = root + m["mountPath"]
        source = volume_source(volumes[m["name"]], given, objects, work)
        if source is None:
            os.makedirs(target, exist_ok=True)
            mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777,size=1m")
        else:
            bind(source, target, m.get("readOnly", False))
    if "hosts" in given:
        bind(given["hosts"], root + "/etc/hosts", True)
    if "serviceaccount" in given:
        bind(given["serviceaccount"], root + "/run/secrets/kubernetes.io/serviceaccount", True)


def mount_devices(root):
    mount("tmpfs", root + "/dev", "tmpfs", MS_NOSUID, "mode=755,size=64k")
    for name in ("null", "zero", "random", "urandom"):
        bind("/dev/" + name, root + "/dev/" + name, False)


def mount_kernel(root):
    mount("proc", root + "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    for name in MASKED:
        if os.path.exists(root + "/proc/" + name):
            mount("/dev/null", root + "/proc/" + name, None, MS_BIND)
    for name in FIXED:
        if os.path.exists(root + "/proc/" + name):
            bind(root + "/proc/" + name, root + "/proc/" + name, True)
    mount("sysfs", root + "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY)


def enter(image, pod, container, given, objects, work):
    """Over the image lies a layer in memory, which has the mount points."""
    check(LIBC.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None), "private mounts")
    mount("tmpfs", work, "tmpfs", 0, "mode=755,size=16m")
    root = os.path.join(work, "root")
    for name in ("root", "upper", "over"):
        os.makedirs(os.path.join(work, name))
    mount("overlay", root, "overlay", 0, "lowerdir=%s,upperdir=%s/upper,workdir=%s/over" % (
        image, work, work))
    mount_kernel(root)
    mount_devices(root)
    mount_volumes(root, pod, container, given, objects, work)
    if container["securityContext"]["readOnlyRootFilesystem"]:
        mount("none", root, None, MS_REMOUNT | MS_RDONLY)
    os.chroot(root)
    os.chdir("/")


# ---- privileges ------------------------------------------------------------------------------------

class CapHeader(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class CapData(ctypes.Structure):
    _fields_ = [(n, ctypes.c_uint32) for n in ("effective", "permitted", "inheritable")]


def set_caps(mask):
    header = CapHeader(0x20080522, 0)
    data = (CapData * 2)(*(CapData(mask >> s & 0xffffffff, mask >> s & 0xffffffff, 0) for s in (0, 32)))
    check(LIBC.capset(ctypes.byref(header), data), "capset")


def confine(pod, container, filters):
    c, p = container["securityContext"], pod["securityContext"]
    if "ALL" not in c["capabilities"]["drop"]:
        raise ValueError("capabilities are not dropped")
    mask = sum(1 << CAPS[n] for n in c["capabilities"].get("add", []))
    for n in range(64):
        if not mask >> n & 1:
            LIBC.prctl(PR_CAPBSET_DROP, n, 0, 0, 0)     # beyond the last one: an error, and no matter
    check(LIBC.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0), "keepcaps")
    os.setgroups([])
    os.setresgid(*[p["runAsGroup"]] * 3)
    os.setresuid(*[p["runAsUser"]] * 3)
    set_caps(mask)
    check(LIBC.prctl(PR_CAP_AMBIENT, 4, 0, 0, 0), "ambient")
    if not c["allowPrivilegeEscalation"]:
        check(LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    if filters:
        seccomp.install(filters)


def environment(container, given):
    """Fields of the pod are what the test gives under the variable's name."""
    env = {"PATH": "/usr/bin"}
    for e in container.get("env", []):
        env[e["name"]] = e.get("value", given.get(e["name"], "x"))
    env.update(given)
    return env


# ---- the process -----------------------------------------------------------------------------------

def wait_for(pid):
    """What a signal says is said to the container; its exit code is this process's."""
    for s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(s, lambda n, _: os.kill(pid, n))
    status = os.waitpid(pid, 0)[1]
    sys.exit(os.waitstatus_to_exitcode(status) & 0xff)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("objects")
    p.add_argument("kind")
    p.add_argument("root")
    p.add_argument("--work", required=True, help="an empty folder")
    p.add_argument("--env", action="append", default=[])
    p.add_argument("--give", action="append", default=[])
    p.add_argument("--seccomp")
    a = p.parse_args()
    with open(a.objects) as f:
        objects = [o for o in yaml.safe_load_all(f) if o]
    pod = next(o for o in objects if o["kind"] == a.kind)["spec"]["template"]["spec"]
    container = pod["containers"][0]
    filters = a.seccomp and seccomp.load(a.seccomp)
    os.umask(0o022)
    check(LIBC.unshare(CLONE_NEWNS | CLONE_NEWCGROUP | (0 if pod.get("hostPID") else CLONE_NEWPID)), "unshare")
    if not pod.get("hostPID"):
        pid = os.fork()
        if pid:
            wait_for(pid)
    enter(a.root, pod, container, dict(g.split("=", 1) for g in a.give), objects, a.work)
    confine(pod, container, filters)
    env = environment(container, dict(e.split("=", 1) for e in a.env))
    os.execve("/usr/bin/kindred", ["kindred"] + container["args"], env)


if __name__ == "__main__":
    main()
