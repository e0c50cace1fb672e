"""The end-to-end scenario; run.sh starts it.

Every step changes the cluster or hurts one of the parts, waits until the
cluster is at rest, and compares what each agent has made the reducer hold
with what plain GETs of the API say (truth.py), for a bounded time.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback

from fault_steps import FaultSteps
from leader_steps import LeaderSteps
from rig import Failure, Skip
from workload_steps import WorkloadSteps

ORDER = """
    first_state scaling rollout same_name live_pod jobs short_lives adoption custom_owners
    follow_owners other_ways owner_gone_first cron_fires connections_cut reducer_restart
    apiserver_killed apiserver_unchanged compaction etcd_stalls token_rotation
    missing_permission namespace_granted namespace_teardown agent_restart leader gentle clean_stop
""".split()


class Scenario(WorkloadSteps, FaultSteps, LeaderSteps):
    pass


def attempt(name, words, action):
    """Runs one step and prints its line; "passed", "failed" or "skipped"."""
    began, text = time.monotonic(), ""
    try:
        action()
        result = "passed"
    except Skip as e:
        result, text = "skipped", str(e)
    except (Failure, TimeoutError) as e:
        result, text = "failed", str(e)
    except Exception:
        result, text = "failed", traceback.format_exc()
    print("e2e: %5.1f s  %-7s  %s: %s" % (
        time.monotonic() - began, result, name, words), flush=True)
    if text:
        print("    " + text.rstrip().replace("\n", "\n    "), flush=True)
    return result


def run(scenario, only):
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    todo = [("start", "servers, permissions, namespaces", scenario.set_up)]
    for name in ORDER:
        step = getattr(scenario, "step_" + name)
        if not only or name in only or name == ORDER[0]:
            todo.append((name, step.__doc__, step))
    for name, words, action in todo:
        result = attempt(name, words, action)
        counts[result] += 1
        if result == "failed" and name in ("start", ORDER[0]):
            print("e2e: nothing else can be tried")
            break
    return counts


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--bin", required=True, help="folder of the server programs")
    p.add_argument("--kindred", required=True, help="the program under test")
    p.add_argument("--only", help="these steps after the first, by name, with commas")
    args = p.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = tempfile.mkdtemp(prefix="kindred-e2e.")
    scenario = Scenario(args.bin, args.kindred, folder)
    try:
        counts = run(scenario, args.only.split(",") if args.only else None)
        print("%(passed)d passed, %(failed)d failed, %(skipped)d skipped" % counts, flush=True)
        return 1 if counts["failed"] else 0
    except KeyboardInterrupt:
        return 130
    finally:
        scenario.stop()
        if os.environ.get("KEEP"):
            print("e2e: kept %s" % folder, file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
