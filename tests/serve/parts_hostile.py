"""Requests that are none, clients that are slow, and many of both: each costs itself."""

import json
import random
import re
import socket
import struct
import threading
import time
import urllib.parse

import world
from world import Agent, Reducer, Replay, ask, until

REQUESTS = 10000
THREADS = 8
GROWN = 24e6        # bytes that all of it may leave behind
STATUSES = {200, 400, 401, 403, 404, 405, 408, 410, 431, 503, 504, 505}
KNOWN = ["/healthz", "/readyz", "/metrics", "/api/v1/pods", "/api/v1/workloads", "/api/v1/flows", "/api/v1/whois?q=1",
         "/api/v1/resources", "/api/v1/resources/pods", "/api/v1/graph", "/api/v1/search?q=a", "/api/v1/sinks",
         "/api/v1/debug/memory", "/api/v1/openapi.json", "/api/v1/resync"]


def dial(url):
    u = urllib.parse.urlsplit(url)
    s = socket.create_connection((u.hostname, u.port), timeout=20)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def words(r, n):
    return r.randbytes(n)


def good(r, extra=b""):
    return b"GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n" % (r.choice(KNOWN).encode(), extra)


# Each gives bytes to send. What follows a head that was refused is the client's own affair.
def noise(r):
    return words(r, r.randrange(1, 3000))


def noisy_line(r):
    return b"GET /" + words(r, r.randrange(1, 200)).replace(b"\r", b"x") + b" HTTP/1.1\r\nHost: x\r\n\r\n"


def half_head(r):
    head = good(r)
    return head[:r.randrange(1, len(head))]


def pipelined(r):
    return good(r) * r.randrange(2, 40)


def huge_header(r):
    return good(r, b"X-Much: " + b"a" * r.choice([7900, 8180, 8192, 9000, 65536, 1 << 20]) + b"\r\n")


def many_headers(r):
    return good(r, b"".join(b"X-%d: %d\r\n" % (i, i) for i in range(r.choice([50, 400, 5000]))))


def long_target(r):
    return b"GET /api/v1/whois?q=" + b"%41" * r.choice([100, 170, 2000, 5000]) + b" HTTP/1.1\r\nHost: x\r\n\r\n"


def bodies(r):
    return r.choice([
        b"POST /api/v1/resync?sink=x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n" + b"x" * 5000,
        b"POST /api/v1/resync?sink=x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 18446744073709551616\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"])


def other_protocols(r):
    return r.choice([b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + words(r, 500), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                     b"SSH-2.0-x\r\n", b"\x05\x01\x00", b"GET /\r\n", b"\r\n" * 3000, b"\x00" * 9000])


def bad_queries(r):
    target = r.choice(KNOWN).split("?")[0] + "?" + "&".join(
        "%s=%s" % (r.choice(["limit", "q", "namespace", "continue", "last", "n", "depth", "at", "x" * 600]),
                   r.choice(["%00", "%", "%zz", "-1", "99999999999999999999", "*" * 400, "\\", "'", "%F0%9F%A6%80"]))
        for _ in range(r.randrange(1, 40)))
    return b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % target.encode()


def pages(r):
    return good(r, r.choice([b"Origin: http://evil.example\r\n", b"Origin: null\r\n", b"Host: second\r\n",
                             b" folded\r\n", b"Bad Name: x\r\n"]))


KINDS = [noise, noisy_line, half_head, pipelined, huge_header, many_headers, long_target, bodies, other_protocols,
         bad_queries, pages]


def one(r, url, wrong):
    """Sends one of them in one of several ways."""
    kind = r.choice(KINDS)
    began = time.monotonic()
    data, how = kind(r), r.randrange(6)
    try:
        with dial(url) as s:
            if how == 0:        # in pieces
                for i in range(0, min(len(data), 1940), 97):
                    s.sendall(data[i:i + 97])
                data = data[1940:]
            s.sendall(data)
            if how == 1:        # a reset amid the answer
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            if how == 2 or kind in (noise, half_head, other_protocols):
                s.shutdown(socket.SHUT_WR)
            s.settimeout(20)
            answer = b""
            while len(answer) < 4096 and (part := s.recv(65536)):
                answer += part
    except socket.timeout:
        wrong.append("%s: no end of the answer" % kind.__name__)
        return
    except OSError:
        return      # the agent may hang up at once
    m = re.match(rb"HTTP/1\.1 (\d+) ", answer)
    if answer and not (m and int(m.group(1)) in STATUSES):
        wrong.append("%s: %r" % (kind.__name__, answer[:200]))


def figures(agent):
    m = ask(agent.probe + "/metrics")[1].decode()
    return {k: float(re.search(r"^%s (\S+)" % k, m, re.M).group(1)) for k in (
        "process_open_fds", "process_resident_memory_bytes", "kindred_clients", "kindred_questions_total")}


def hostile(rig):
    test = rig.checks.test
    store = "sqlite:" + rig.path("k.db")
    agent = Agent(rig, Replay(rig), "--vector", store, "--graph", store, reducer=Reducer(rig).port)
    test("in step", until(lambda: ask(agent.probe + "/readyz")[0] == 200, 60))
    before, wrong, ill, over = figures(agent), [], [], threading.Event()

    def attack(number):
        r = random.Random("%s %d" % (rig.random.random(), number))
        for i in range(REQUESTS // THREADS):
            one(r, agent.data if i % 4 else agent.probe, wrong)

    def watch():        # as a kubelet does, at an address that is attacked, too
        while not over.wait(0.25):
            try:
                begin = time.monotonic()
                if ask(agent.probe + "/healthz")[0] not in (200, 503) or time.monotonic() - begin > 10:
                    ill.append("late: %.1f s" % (time.monotonic() - begin))
            except OSError as e:
                ill.append(str(e))

    threads = [threading.Thread(target=attack, args=(i,)) for i in range(THREADS)] + [threading.Thread(target=watch)]
    for t in threads:
        t.start()
    for t in threads[:-1]:
        t.join()
    over.set()
    threads[-1].join()
    test("every answer is HTTP, and ends", wrong[:5])
    test("health was answered all the time", ill[:5])
    test("it runs", agent.proc.poll() is None or [agent.log()[-2000:]])
    test("all clients are forgotten", until(lambda: figures(agent)["kindred_clients"] <= 1, 30))
    after = figures(agent)
    test("no socket stays open", abs(after["process_open_fds"] - before["process_open_fds"]) <= 12 or [before, after])
    grown = after["process_resident_memory_bytes"] - before["process_resident_memory_bytes"]
    # Sanitizers keep what was freed.
    test("memory stays bounded", grown < GROWN or world.is_sanitized(rig) or [grown])
    rig.checks.say("  %d hostile requests: %d were questions; memory grew by %.1f MB" % (
        REQUESTS, after["kindred_questions_total"] - before["kindred_questions_total"], grown / 1e6))
    test("good requests are answered as before", ask(agent.data + "/api/v1/pods?limit=1")[0] == 200)
    test("and the log is not flooded", agent.log().count("\n") < 200 or [agent.log()[-1000:]])


# ---- slow ones

def trickle(url, seconds, ends):
    """A byte of a head now and then: when and how the agent ended it."""
    begin, answer = time.monotonic(), b""
    with dial(url) as s:
        s.settimeout(0.5)
        for c in b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 1000:
            try:
                s.sendall(bytes([c]))
                answer += s.recv(4096)
                break
            except socket.timeout:
                pass
            except ConnectionError:
                break
            if time.monotonic() - begin > seconds:
                break
    ends.append((time.monotonic() - begin, answer[:12]))


def slow(rig):
    test = rig.checks.test
    agent = Agent(rig, Replay(rig), reducer=Reducer(rig).port)
    test("in step", until(lambda: ask(agent.probe + "/readyz")[0] == 200, 60))
    ends = []
    threads = [threading.Thread(target=trickle, args=(agent.data, 15, ends)) for _ in range(16)]
    for t in threads:
        t.start()
    time.sleep(1)  # one who asks before all are there takes the place of one of them
    test("16 who are slow take all places", until(lambda: figures(agent)["kindred_clients"] >= 16, 10))
    test("and one more gets the place of the slowest", until(lambda: ask(agent.data + "/healthz")[0] == 200, 3))
    test("the probe's address has places of its own", ask(agent.probe + "/healthz")[0] == 200)
    test("so have the commands", agent.raw("/healthz")[0] == 200)
    for t in threads:
        t.join()
    late = [e for e in ends if e[1] == b"HTTP/1.1 408"]
    test("each of the others is told 408 after 5 s", [e for e in late if not 4 < e[0] < 9] +
         ["%d of 16 were" % len(late)] * (not 12 <= len(late) < 16))
    # One that asks for much and takes nothing of it.
    with dial(agent.data) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for path in ("/metrics", "/api/v1/openapi.json"):
            s.sendall(b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % path.encode())
        time.sleep(1)
        test("others are answered meanwhile", ask(agent.data + "/api/v1/pods?limit=1")[0] == 200)
    test("it runs", agent.proc.poll() is None)
