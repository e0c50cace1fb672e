"""The vector sink of the whole agent, between kube-replay and databases. README.md has the plan.

    test-vector.sh [PART...]"""

import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time

import parts_ask as ask
import parts_env as env
import parts_play as play
import parts_redact as redact
import parts_services as services
import parts_store as store
import parts_trouble as trouble
from rig import Checks, Rig

PARTS = {       # the longest first
    "play": play.play,
    "qdrant": services.qdrant,
    "embedders": services.embedders,
    "receiver": services.receiver,
    "content": services.content,
    "chroma": services.chroma,
    "leader": trouble.leader,
    "away": trouble.away,
    "last-try": trouble.last_try,
    "disk": trouble.disk,
    "canaries": redact.canaries,
    "old-names": env.old_names,
    "capabilities": env.capabilities,
    "export": ask.export,
    "stores": store.stores,
}
IDLE = {        # waits for a clock: beside the others, from the start
    "last-words": trouble.last_words,
}
LONG = {        # more than a minute: when it is named
    "resync": trouble.resync,
}


JOBS = 4        # parts wait more than they work


class Part(threading.Thread):
    """One part with its processes and counts."""

    def __init__(self, name, o, work, seed):
        super().__init__(daemon=True)
        self.name, self.checks, self.rig = name, Checks(), None
        self.args = o, work, seed

    def run(self):
        begin = time.monotonic()
        o, work, seed = self.args
        self.rig = Rig(self.checks, o, work, self.name, seed)
        try:
            self.checks.part(self.name, lambda: (PARTS | IDLE | LONG)[self.name](self.rig))
        finally:
            self.rig.close()
        if self.checks.failed:
            for p in self.rig.children:
                if p.log_path.endswith("agent.log"):
                    self.checks.say("--- %s\n%s" % (p.log_path, p.log()[-2500:]))
        self.checks.say("  %-34s %5.1f s" % (self.name, time.monotonic() - begin))


def run_parts(parts):
    """JOBS at a time, in order, and the idle ones."""
    waiting = [p for p in parts if p.name not in IDLE]
    running = [p for p in parts if p.name in IDLE]
    jobs = JOBS + len(running)
    try:
        for p in running:
            p.start()
        while waiting or running:
            while waiting and len(running) < jobs:
                running.append(waiting.pop(0))
                running[-1].start()
            running[0].join(0.05)
            for p in [p for p in running if not p.is_alive()]:
                running.remove(p)
    finally:
        for p in running:       # the test is stopped
            if p.rig:
                p.rig.close()


def stop(*_):
    raise KeyboardInterrupt


def main():
    o = sys.argv[1]
    seed = int(os.environ.get("SEED") or random.randrange(1 << 32))
    print("seed %d" % seed, flush=True)
    signal.signal(signal.SIGTERM, stop)
    work = tempfile.mkdtemp(prefix="kindred-vector-")
    os.chmod(work, 0o755)
    parts = [Part(name, o, work, seed) for name in sys.argv[2:] or PARTS | IDLE]
    try:
        run_parts(parts)
    finally:
        if os.environ.get("KEEP"):
            print("kept: " + work)
        else:
            shutil.rmtree(work, ignore_errors=True)
        passed, failed, skipped = (sum(getattr(p.checks, k) for p in parts)
                                   for k in ("passed", "failed", "skipped"))
        print("%d passed, %d failed, %d skipped" % (passed, failed, skipped))
    return 1 if failed else 0


sys.exit(main())
