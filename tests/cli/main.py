"""What the commands print that ask a running agent. README.md has the plan.

    test-cli.sh [PART...]"""

import os
import shutil
import signal
import sys
import tempfile
import threading
import time

import parts_broken as broken
import parts_tables as tables
import parts_texts as texts
import parts_top as top
from setting import Checks, Rig

PARTS = {
    "truth": tables.truth,
    "tables": tables.tables,
    "terminal": tables.terminal,
    "flows": tables.flows,
    "status": tables.status,
    "absent": broken.absent,
    "broken": broken.broken,
    "slow": broken.slow,
    "asking": broken.asking,
    "server": broken.server,
    "top": top.tables,
    "top-keys": top.keys,
    "top-ends": top.given_back,
    "outputs": texts.outputs,
    "completion": texts.completion,
    "manual": texts.manual,
    "installed": texts.installed,
}


JOBS = int(os.environ.get("JOBS", "4"))     # parts mostly wait


class Part(threading.Thread):
    """One part with its processes and counts."""

    def __init__(self, name, o, work):
        super().__init__(daemon=True)
        self.name, self.checks = name, Checks()
        self.rig = Rig(self.checks, o, work, name, 0)

    def run(self):
        begin = time.monotonic()
        try:
            self.checks.part(self.name, lambda: PARTS[self.name](self.rig))
        finally:
            self.rig.close()
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
    signal.signal(signal.SIGTERM, stop)
    work = tempfile.mkdtemp(prefix="kindred-cli-")
    parts = [Part(name, sys.argv[1], work) for name in sys.argv[2:] or PARTS]
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
