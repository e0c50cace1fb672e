"""What the commands print that ask a running agent. README.md has the plan.

    test-cli.sh [PART...]"""

import os
import shutil
import signal
import sys
import tempfile
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
    "server": broken.server,
    "top": top.tables,
    "top-keys": top.keys,
    "top-ends": top.given_back,
    "completion": texts.completion,
    "manual": texts.manual,
    "installed": texts.installed,
}


def stop(*_):
    raise KeyboardInterrupt


def run(name, o, work, checks):
    begin = time.monotonic()
    rig = Rig(checks, o, work, name, 0)
    try:
        checks.part(name, lambda: PARTS[name](rig))
    finally:
        rig.close()
    checks.say("  %-34s %5.1f s" % (name, time.monotonic() - begin))


def main():
    signal.signal(signal.SIGTERM, stop)
    work = tempfile.mkdtemp(prefix="kindred-cli-")
    checks = Checks()
    try:
        for name in sys.argv[2:] or PARTS:
            run(name, sys.argv[1], work, checks)
    finally:
        if os.environ.get("KEEP"):
            print("kept: " + work)
        else:
            shutil.rmtree(work, ignore_errors=True)
        print("%d passed, %d failed, %d skipped" % (checks.passed, checks.failed, checks.skipped))
    return 1 if checks.failed else 0


sys.exit(main())
