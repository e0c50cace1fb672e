"""An agent that is absent or broken, or does not want to answer: one line that helps."""

import http.server
import os
import shutil
import socket
import subprocess
import threading

from setting import Agent, Replay, Terminal, kindred, until

ASKING = (("status",), ("flows",), ("pods",), ("workloads",), ("whois", "10.0.0.1"), ("search", "x"),
          ("graph", "Pod/a/b"), ("sinks",), ("export",))


class Bad:
    """A server on a unix socket that answers every request with these bytes, after a while."""

    def __init__(self, rig, answer, delay=0.0):
        self.path, self.answer, self.delay = rig.path("bad.sock"), answer, delay
        self.over = threading.Event()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(16)
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                c, _ = self.listener.accept()
            except OSError:
                return
            c.recv(65536)
            self.over.wait(self.delay)
            try:
                c.sendall(self.answer)
            except OSError:
                pass
            c.close()

    def close(self):
        self.over.set()
        self.listener.shutdown(socket.SHUT_RDWR)    # wakes who accepts
        self.thread.join()
        self.listener.close()


def page(body, status=b"200 OK"):
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


def expect(rig, name, said, code, *words):
    rig.checks.test(name, said.code == code and said.out == "" and said.err.count("\n") == 1 and
                    said.err.startswith("kindred ") and all(w in said.err for w in words) or [said])


def absent(rig):
    """Nobody there: exit code 3."""
    nothing, file = rig.path("nothing.sock"), rig.path("file")
    with open(file, "w", encoding="ascii"):
        pass
    free = socket.socket()
    free.bind(("127.0.0.1", 0))
    url = "http://127.0.0.1:%d" % free.getsockname()[1]
    for args in ASKING:
        expect(rig, "%s: no socket" % args[0], kindred(rig, *args, "--socket", nothing), 3,
               "no agent answers at " + nothing, "No such file", "is `kindred agent` running")
    expect(rig, "a file", kindred(rig, "pods", "--socket", file), 3, "Connection refused")
    expect(rig, "a long path", kindred(rig, "pods", "--socket", "/" + 200 * "x"), 3, "too long")
    expect(rig, "a closed port", kindred(rig, "pods", "--server", url), 3, url, "--listen")
    for wrong in ("127.0.0.1:1", "ftp://x", "http://", "http://me@x"):
        expect(rig, "no URL: " + wrong, kindred(rig, "pods", "--server", wrong), 2, "--server must be")
    free.close()


def broken(rig):
    """Somebody there who is no agent, or a broken one."""
    for name, answer, code in (
            ("hangs up", b"", 3), ("noise", b"\0\1\2SSH-2.0\r\n\r\n", 3), ("half a head", b"HTTP/1.1 200", 3),
            ("a web page", page(b"<html>hello</html>"), 1), ("an error", page(b"no", b"500 Oops"), 1),
            ("half a body", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{", 1),
            ("another object", page(b"{}"), 1), ("bad chunks", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: "
                                                 b"chunked\r\n\r\nzz\r\n", 1)):
        bad = Bad(rig, answer)
        for args in (("status",), ("pods",), ("workloads",), ("sinks",), ("search", "x"),
                     ("whois", "10.0.0.1")):
            if name == "another object" and args[0] == "whois":
                continue    # an object is an answer
            expect(rig, "%s: %s" % (args[0], name), kindred(rig, *args, "--socket", bad.path), code)
        bad.close()


def slow(rig):
    """What takes longer than a second shows that it waits, on a terminal alone."""
    bad = Bad(rig, page(b'{"sinks": []}'), 1.5)
    said = kindred(rig, "sinks", "--socket", bad.path)
    rig.checks.test("nothing in a pipe", said.code == 0 and said.err == "" or [said])
    if not Terminal.there():
        rig.checks.skip("progress", "no tmux (cannot run here)")
        bad.close()
        return
    bad.delay = 60.0
    t = Terminal(rig).run("sinks", "--socket", bad.path)
    waiting = t.wait(r"waiting for the agent, \d+ s")
    bad.over.set()
    ended = t.wait(r"\[ended 0\]") or ""
    t.end()
    rig.checks.test("it shows that it waits", bool(waiting) or [ended])
    rig.checks.test("which goes away", ended and "waiting" not in ended or [ended])
    bad.close()


class Reviews(http.server.BaseHTTPRequestHandler):
    """An API server that allows everything, once it is let."""

    def do_GET(self):
        self.send_error(404)

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.over.wait(self.server.delay)
        body = b'{"kind": "SelfSubjectAccessReview", "status": {"allowed": true}}'
        self.send_response(201)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def asking(rig):
    """`--check-access` shows how far it is, on a terminal alone."""
    api = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Reviews)
    api.over, api.delay, api.daemon_threads = threading.Event(), 1.5, True
    threading.Thread(target=api.serve_forever, daemon=True).start()
    args = ("agent", "--check-access", "--flows", "off", "--node-name", "n1", "--api-server",
            "http://127.0.0.1:%d" % api.server_port)
    said = kindred(rig, *args)
    rig.checks.test("nothing in a pipe", said.code == 0 and said.err == "" and "asking" not in said.out or [said])
    if Terminal.there():
        api.delay = 60.0
        t = Terminal(rig).run(*args)
        waiting = t.wait(r"asking the API server for permissions, 0 answers, \d+ s")
        api.over.set()
        ended = t.wait(r"\[ended 0\]") or ""
        t.end()
        rig.checks.test("it shows that it asks", bool(waiting) or [ended])
        rig.checks.test("which goes away", "are there" in ended and "asking" not in ended or [ended])
    else:
        rig.checks.skip("progress", "no tmux (cannot run here)")
    api.over.set()
    api.shutdown()
    api.server_close()


def certificate(rig):
    """(file of the certificate, of its key) for 127.0.0.1, signed by itself."""
    cert, key = rig.path("cert.pem"), rig.path("key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                    "-subj", "/CN=agent", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key,
                    "-out", cert], check=True, capture_output=True)
    return cert, key


def server(rig):
    """--server: plain on this machine, with TLS and a token elsewhere."""
    api = Replay(rig)
    plain = Agent(rig, api)
    until(lambda: b"payments" in plain.raw("/api/v1/workloads")[1])
    args = ("workloads", "-n", "payments")
    by_socket = kindred(rig, *args, "--socket", plain.socket)
    rig.checks.test("plain", by_socket.code == 0 and
                    kindred(rig, *args, "--server", plain.data).out == by_socket.out)
    if shutil.which("openssl") is None:
        rig.checks.skip("TLS", "no openssl (cannot run here)")
        return
    cert, key = certificate(rig)
    token = rig.path("token")
    with open(token, "w", encoding="ascii") as f:
        f.write("a-token-of-some-length-0123456789\n")
    os.chmod(token, 0o600)
    tls = Agent(rig, api, "--tls-cert-file", cert, "--tls-key-file", key,
                "--listen-token-file", token)
    until(lambda: b"payments" in tls.raw("/api/v1/workloads")[1])
    where = ("--server", tls.data or "")
    said = kindred(rig, *args, *where, "--ca-file", cert, "--token-file", token)
    rig.checks.test("TLS and a token", said.code == 0 and said.out == by_socket.out or
                    [said, tls.log()])
    expect(rig, "no token", kindred(rig, *args, *where, "--ca-file", cert), 1, "token")
    expect(rig, "who is not known", kindred(rig, *args, *where, "--token-file", token), 3, "--ca-file")
    name = where[1].replace("127.0.0.1", "localhost")
    expect(rig, "another name", kindred(rig, *args, "--server", name, "--ca-file", cert,
                                        "--token-file", token), 3, "no TLS with")
    expect(rig, "no TLS", kindred(rig, *args, "--server", where[1].replace("https", "http")), 3)
    expect(rig, "no file", kindred(rig, *args, *where, "--token-file", "/nowhere"), 3, "/nowhere")
