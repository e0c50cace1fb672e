"""What the whole agent answers by HTTP, and to whom. README.md has the plan.

    test-serve.sh [PART...]"""

import os
import random
import shutil
import signal
import sys
import tempfile
import time

import parts_hostile as hostile
import parts_metrics as metrics
import parts_openapi as openapi
import parts_ready as ready
import parts_scrapers as scrapers
import parts_secrets as secrets
import parts_start as start
from world import Checks, Rig

PARTS = {
    "start": start.start,
    "noise": start.noise,
    "secrets": secrets.secrets,
    "strangers": secrets.strangers,
    "ready": ready.ready,
    "taken": ready.taken,
    "scrapers": scrapers.scrapers,
    "metrics": metrics.metrics,
    "openapi": openapi.openapi,
    "memory": metrics.memory,
    "hostile": hostile.hostile,
    "slow": hostile.slow,
}


def stop(*_):
    raise KeyboardInterrupt


def run(name, o, work, seed, checks):
    begin = time.monotonic()
    rig = Rig(checks, o, work, name, seed)
    failed = checks.failed
    try:
        checks.part(name, lambda: PARTS[name](rig))
    finally:
        rig.close()
    for p in rig.children if checks.failed > failed else ():
        if p.log_path.endswith("agent.log"):
            checks.say("--- %s\n%s" % (p.log_path, p.log()[-2500:]))
    checks.say("  %-34s %5.1f s" % (name, time.monotonic() - begin))


def main():
    seed = int(os.environ.get("SEED") or random.randrange(1 << 32))
    print("seed %d" % seed, flush=True)
    signal.signal(signal.SIGTERM, stop)
    work = tempfile.mkdtemp(prefix="kindred-serve-")
    checks = Checks()
    try:
        for name in sys.argv[2:] or PARTS:
            run(name, sys.argv[1], work, seed, checks)
    finally:
        if os.environ.get("KEEP"):
            print("kept: " + work)
        else:
            shutil.rmtree(work, ignore_errors=True)
        print("%d passed, %d failed, %d skipped" % (checks.passed, checks.failed, checks.skipped))
    return 1 if checks.failed else 0


sys.exit(main())
