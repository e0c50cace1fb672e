"""The processes of these tests: those of ../vector/rig.py, and an agent with addresses of its own."""

import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "vector"))
import rig as base     # noqa: E402

Checks, Rig, Replay, Process = base.Checks, base.Rig, base.Replay, base.Process
TESTS = base.TESTS
ask, until, wait_port = base.ask, base.until, base.wait_port

# Default addresses are other agents' business.
ALONE = ("--probe-listen", "127.0.0.1:0", "--listen", "127.0.0.1:0")


def is_sanitized(rig):
    return "address" in rig.o or "thread" in rig.o


class Reducer(Process):
    def __init__(self, rig, port=0):
        file = rig.path("reducer.port")
        super().__init__([rig.bin("kindred"), "reducer", "--json", "--port-file", file,
                          "--listen", "127.0.0.1:%d" % port], rig.path("reducer.log"))
        rig.own(self)
        self.port = wait_port(self, file)


class Agent(base.Agent):
    """Its addresses, from its log: `probe` and `data` are URLs, None where there is none."""

    def __init__(self, rig, api, *args, reducer=9, listen=ALONE, **more):
        super().__init__(rig, api, "--intake-port", str(reducer), *listen, *args, **more)
        said = until(lambda: re.search(r"answers: (.*)", self.log()) or self.proc.poll() is not None)
        where = said.group(1) if hasattr(said, "group") else ""
        self.probe, self.data = (self.url(where, what) for what in ("probes", "data"))

    def url(self, where, what):
        m = re.search(what + r" at (\S+?)( \(TLS\))?(,|$)", where)
        return m and ("https" if m.group(2) else "http") + "://" + m.group(1)
