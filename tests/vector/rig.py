"""The processes of a test, how they are asked, and how what a database holds is held against the
truth."""

import array
import contextlib
import http.client
import json
import os
import random
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import traceback
import urllib.error
import urllib.request

import truth

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)
PATIENCE = float(os.environ.get("PATIENCE", "60"))  # only what fails takes as long

QUICK = ("--api-qps", "1000", "--api-burst", "1000", "--debounce", "150ms", "--debounce-max", "600ms",
         "--backoff-min", "50ms", "--backoff-max", "500ms",
         "--batch-interval", "100ms", "--vector-backoff-max", "300ms", "--flows", "off", "--scope", "cluster")


def until(what, seconds=None, every=0.05):
    """The first true value of what(), or its last value when the time is over."""
    end = time.monotonic() + (seconds or PATIENCE)
    while True:
        value = what()
        if value or time.monotonic() > end:
            return value
        time.sleep(every)


class Checks:
    """Counted tests. One test is one thing that can be wrong."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.where = ""

    def say(self, text):
        """In one piece: parts run side by side."""
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def test(self, name, problems):
        """`problems`: a list of texts, or a bool that says all is well."""
        if problems is True or problems == []:
            self.passed += 1
            return True
        self.failed += 1
        lines = list(problems) if isinstance(problems, (list, tuple)) else []
        more = ["... %d more" % (len(lines) - 8)] if len(lines) > 8 else []
        self.say("FAILED %s: %s\n%s" % (self.where, name, "\n".join(
            "  " + str(p)[:2000] for p in lines[:8] + more)))
        return False

    def part(self, name, run):
        """A part that stumbles is one failed test; the rest goes on."""
        self.where = name
        try:
            run()
        except Exception:   # whatever it is, it is this part's failure
            self.test("runs to its end", [traceback.format_exc()])

    def skip(self, name, why):
        self.skipped += 1
        self.say("skipped: %s: %s" % (name, why))


class Process:
    """A child, ended with the test. What it says goes through a pipe: limits of files that it is
    under leave its log alone."""

    def __init__(self, args, log, env=None, cwd=None, wrap=()):
        self.log_path = log
        self.proc = subprocess.Popen(list(wrap) + list(args), stdout=subprocess.PIPE,
                                     stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=env,
                                     cwd=cwd)
        with open(log, "ab"):
            pass
        self.copier = threading.Thread(target=self.copy, daemon=True)
        self.copier.start()

    def copy(self):
        with open(self.log_path, "ab", buffering=0) as out:
            while data := self.proc.stdout.read1(65536):
                out.write(data)

    def log(self):
        if self.proc.poll() is not None:    # its last words may still be on their way
            self.copier.join(5)
        with open(self.log_path, "r", encoding="utf-8", errors="replace") as f:
            return f.read()

    def end(self, sig=signal.SIGKILL, seconds=30):
        if self.proc.poll() is None:
            self.proc.send_signal(sig)
            try:
                self.proc.wait(seconds)
            except subprocess.TimeoutExpired:
                self.proc.kill()
                self.proc.wait()
        return self.proc.returncode


def wait_port(process, path):
    if not until(lambda: os.path.exists(path) or process.proc.poll() is not None, 30) or \
            process.proc.poll() is not None:
        raise RuntimeError("it does not start: " + process.log()[-2000:])
    with open(path, encoding="ascii") as f:
        return int(f.read())


def ask(url, method="GET", body=None, headers=None):
    """(status, body) of a request."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    q = urllib.request.Request(url, data=data, method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(q, timeout=60) as r:
            return r.status, r.read()
    except urllib.error.HTTPError as e:
        return e.code, e.read()


class Replay(Process):
    """The API server."""

    def __init__(self, rig, *args):
        self.rig = rig
        port = rig.path("replay.port")
        super().__init__([rig.bin("kube-replay"), os.path.join(TESTS, "fixtures/recorded"),
                          "--objects", os.path.join(TESTS, "fixtures/objects"),
                          "--listen", "127.0.0.1:0", "--port-file", port, "--speed", "0", *args],
                         rig.path("replay.log"))
        rig.own(self)
        self.url = "http://127.0.0.1:%d" % wait_port(self, port)

    def control(self, path, method="POST", body=None):
        status, answer = ask(self.url + "/replay/" + path, method, body)
        if status != 200:
            raise RuntimeError("%s: %d %s" % (path, status, answer[:300]))
        return answer

    def put(self, *objects):
        self.control("object", body={"kind": "List", "apiVersion": "v1", "items": list(objects)})

    def drop(self, version, kind, name, ns=None):
        query = "object?apiVersion=%s&kind=%s&name=%s" % (version, kind, name)
        self.control(query + ("&namespace=" + ns if ns else ""), "DELETE")

    def fault(self, spec):
        self.control("fault?add=" + urllib.request.quote(spec, safe=""))

    def clear(self):
        self.control("fault?clear=1")

    def state(self):
        return json.loads(self.control("state", "GET"))


class Unix(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=60)
        self.file = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(self.file)


class Agent(Process):
    """`server`: options that say where the API server is, instead of `api`."""

    def __init__(self, rig, api, *args, env=None, wrap=(), quick=QUICK, level="info", server=None):
        self.rig = rig
        self.socket = rig.path("agent.sock")
        # The old names are the test's own affair, and no proxy stands between.
        clean = {k: v for k, v in os.environ.items()
                 if k in ("PATH", "HOME", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS")}
        clean.update(env or {}, KINDRED_START_JITTER="0s")
        more = ["--log-level", level] if level else []
        where = server or ["--api-server", api.url]
        super().__init__([rig.bin("kindred"), "agent", *where, "--socket", self.socket, "--intake-host", "127.0.0.1",
                          "--intake-port", "9", *quick, *more, *args], rig.path("agent.log"), env=clean, wrap=wrap)
        rig.own(self)

    def raw(self, path, method="GET"):
        c = Unix(self.socket)
        try:
            c.request(method, path)
            r = c.getresponse()
            return r.status, r.read()
        finally:
            c.close()

    def json(self, path, method="GET"):
        status, body = self.raw(path, method)
        if status != 200:
            raise RuntimeError("%s: %d %s" % (path, status, body[:500]))
        return json.loads(body)

    def lines(self, path):
        status, body = self.raw(path)
        if status != 200:
            raise RuntimeError("%s: %d %s" % (path, status, body[:500]))
        return [json.loads(x) for x in body.splitlines()]

    def sinks(self):
        """Sinks by name, or {} while nobody answers."""
        try:
            answer = self.json("/api/v1/sinks")
        except (OSError, http.client.HTTPException, ValueError):
            return {}
        rows = answer["sinks"] if isinstance(answer, dict) else answer
        return {s["name"]: s for s in rows}

    def sink(self):
        rows = list(self.sinks().values())
        return rows[0] if rows else None

    def idle(self):
        """[] when it has written nothing since it was started, else what it did."""
        keys = ("embedded", "upserts", "payloads", "deletes")
        return [s for s in self.sinks().values() if any(s[k] for k in keys)]

    def settled(self, n=1):
        """All sinks are in step, twice in a row: what they are, else None."""
        rows = list(self.sinks().values())
        good = len(rows) == n and all(
            s["health"] == "ok" and s["complete"] and not s["waiting"] and not s["ready"] and
            not s["lag_changes"] for s in rows)
        return rows if good else None

    def metrics(self):
        return self.raw("/metrics")[1].decode()

    def command(self, *args):
        r = subprocess.run([self.rig.bin("kindred"), *args, "--socket", self.socket],
                           capture_output=True, timeout=60, check=False)
        return r.returncode, r.stdout, r.stderr


class Fake(Process):
    """A stand-in of tests/fake."""

    def __init__(self, rig, name, *args, keep=False):
        port = rig.path(name + ".port")
        self.name = name
        super().__init__(["python3", os.path.join(TESTS, "fake", name + ".py"), "--port-file", port,
                          *args], rig.path(name + ".log"), cwd=os.path.join(TESTS, "fake"))
        rig.own(self)
        self.port = wait_port(self, port)
        self.url = "http://127.0.0.1:%d" % self.port
        if keep:
            self.set(keep_bodies=True)

    def control(self, what, body=None):
        status, answer = ask(self.url + "/_fake/" + what, "GET" if body is None else "POST", body)
        if status != 200:
            raise RuntimeError("%s: %d" % (what, status))
        return json.loads(answer)

    def dump(self):
        return self.control("dump")

    def requests(self):
        return self.control("requests")

    def complaints(self):
        return self.control("complaints")

    def fault(self, **f):
        self.control("fault", f)

    def set(self, **values):
        self.control("set", values)

    def clear(self):
        self.control("clear", {})


class Rig:
    """One part's processes and files."""

    def __init__(self, checks, o, work, name, seed):
        self.checks, self.o, self.name = checks, o, name
        self.work = os.path.join(work, name)
        self.random = random.Random("%s %s" % (seed, name))
        os.makedirs(self.work)
        self.children, self.n = [], 0

    def bin(self, name):
        return os.path.join(self.o, name)

    def path(self, name):
        """A name of its own each time."""
        self.n += 1
        return os.path.join(self.work, "%d-%s" % (self.n, name))

    def own(self, process):
        self.children.append(process)

    def close(self):
        for p in reversed(self.children):
            p.end()

    def log(self, agent):
        return [agent.log()[-1500:]]

    # -- what a database holds: id -> fields

    def compare(self, name, holds, api, settled=lambda: True, **more):
        """Waits until `holds` gives what the API server's objects ask for."""
        problems = [["never looked"]]

        def right():
            if not settled():
                problems[0] = ["not settled"]
                return False
            problems[0] = differences(holds(), truth.documents(api.url, **more))
            return not problems[0]

        until(right, every=0.2)
        return self.checks.test(name, problems[0])


def differences(has, wants):
    out = ["orphan: " + i for i in sorted(set(has) - set(wants))]
    out += ["hole: " + i for i in sorted(set(wants) - set(has))]
    for i in sorted(set(has) & set(wants)):
        for k in truth.FIELDS:
            if (has[i].get(k) or None) != wants[i][k]:
                out.append("%s: %s is %r, not %r" % (i, k, has[i].get(k), wants[i][k]))
    return out


def sqlite_rows(path):
    """Documents, each with its text, and whether the other tables agree."""
    with contextlib.closing(sqlite3.connect("file:%s?mode=ro" % path, uri=True, timeout=30)) as db:
        db.row_factory = sqlite3.Row
        rows = {r["id"]: dict(r) for r in db.execute("SELECT * FROM document")}
        n = db.execute("SELECT (SELECT count(*) FROM document), (SELECT count(*) FROM vector), "
                       "(SELECT count(*) FROM vector v JOIN document d USING(doc)), "
                       "(SELECT count(*) FROM document_fts_docsize)").fetchone()
        for doc, blob in db.execute("SELECT doc, v FROM vector"):
            length = sum(x * x for x in array.array("f", blob))
            if not 0.99 < length < 1.01:    # NaN is neither
                raise RuntimeError("the vector of %d has length %f" % (doc, length))
    if len(set(tuple(n))) != 1:
        raise RuntimeError("documents, vectors, joined, words: %s" % list(n))
    return rows


def ledger_rows(path, backend="%"):
    """Of one database, or of all."""
    with contextlib.closing(sqlite3.connect("file:%s?mode=ro" % path, uri=True, timeout=30)) as db:
        return {r[0]: r[1] for r in db.execute("SELECT id, state FROM ledger JOIN ledger_backend AS b ON "
                                               "b.number = backend WHERE b.name LIKE ?", (backend,))}


def qdrant_rows(fake, collection="kindred"):
    points = fake.dump().get(collection, {"points": {}})["points"]
    return {p["payload"]["_originalId"]: p["payload"] for p in points.values()}


def said(log, pattern):
    return re.search(pattern, log) is not None
