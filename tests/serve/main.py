"""What the whole agent answers by HTTP, and to whom. README.md has the plan.

    test-serve.sh [PART...]"""

import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time

import parts_hostile as hostile
import parts_metrics as metrics
import parts_openapi as openapi
import parts_ready as ready
import parts_scrapers as scrapers
import parts_secrets as secrets
import parts_start as start
from world import Checks, Rig

PARTS = {       # the longest first
    "hostile": hostile.hostile,
    "memory": metrics.memory,
    "slow": hostile.slow,
    "strangers": secrets.strangers,
    "secrets": secrets.secrets,
    "scrapers": scrapers.scrapers,
    "metrics": metrics.metrics,
    "noise": start.noise,
    "openapi": openapi.openapi,
    "ready": ready.ready,
    "taken": ready.taken,
    "start": start.start,
}


JOBS = 3        # parts wait about as much as they work


class Part(threading.Thread):
    """One part with its processes and counts."""

    def __init__(self, name, o, work, seed):
        super().__init__(daemon=True)
        self.name, self.checks = name, Checks()
        self.rig = Rig(self.checks, o, work, name, seed)

    def run(self):
        begin = time.monotonic()
        try:
            self.checks.part(self.name, lambda: PARTS[self.name](self.rig))
        finally:
            self.rig.close()
        for p in self.rig.children if self.checks.failed else ():
            if p.log_path.endswith("agent.log"):
                self.checks.say("--- %s\n%s" % (p.log_path, p.log()[-2500:]))
        self.checks.say("  %-34s %5.1f s" % (self.name, time.monotonic() - begin))


def run_parts(parts):
    """JOBS at a time, in order."""
    waiting, running = list(parts), []
    try:
        while waiting or running:
            while waiting and len(running) < JOBS:
                running.append(waiting.pop(0))
                running[-1].start()
            running[0].join(0.05)
            running = [p for p in running if p.is_alive()]
    finally:
        for p in running:       # the test is stopped
            p.rig.close()


def stop(*_):
    raise KeyboardInterrupt


def main():
    seed = int(os.environ.get("SEED") or random.randrange(1 << 32))
    print("seed %d" % seed, flush=True)
    signal.signal(signal.SIGTERM, stop)
    work = tempfile.mkdtemp(prefix="kindred-serve-")
    parts = [Part(name, sys.argv[1], work, seed) for name in sys.argv[2:] or PARTS]
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
