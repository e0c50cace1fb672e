"""What the stand-ins share: an HTTP/1.1 server that is strict about requests, keeps them for the
test to look at, and misbehaves on order.

A stand-in is a subclass of Fake with route(). It raises Refuse for whatever the real service
refuses, and calls complain() for what a real service would let pass but a client must not do: tests
end with "no complaints".

    PROGRAM --port-file FILE [--port PORT] [--host ADDR] [--tls-cert FILE --tls-key FILE] [--prefix PATH]
            [--token TOKEN] [--token-header NAME] [MODE...]

Control, never counted as a request and outside the prefix:
    GET  /_fake/dump        what it holds
    GET  /_fake/requests    [{method, path, headers, bytes, status}], and their body as text when
                            `keep_bodies` was set
    GET  /_fake/complaints  [text]
    GET  /_fake/faults      [fault]: those that no request has taken yet
    POST /_fake/fault       {times?, method?, path?, and one of:
                             status, body?, type?, headers?   answer with this instead
                             half: true      half of the right answer, then the end of the connection
                             cut: true       hang up without an answer
                             reset: true     the same, by a reset
                             hang: true      never answer
                             delay: SECONDS  then answer right
                             wrong: NAME     the answer, spoilt as the stand-in knows how}
                            `path` is a part of the path; `times` 0 is for good
    POST /_fake/set         {name: value}: attributes of the stand-in
    POST /_fake/clear       forgets faults, requests and complaints
"""

import argparse
import json
import math
import os
import re
import socket
import ssl
import struct
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


# What a document says of itself: every key each time, a text or null.
FIELDS = ("cluster namespace name kind api_group api_version uid resource_version created_at "
          "owner_kind owner_name node phase images labels content_id").split()
HASHES = ("text_hash", "meta_hash", "content_hash")
ORIGIN = ("template", "model", "source")


class Refuse(Exception):
    """An answer that is no success: body is text, or anything JSON can hold."""

    def __init__(self, status, body, kind=None, headers=None):
        super().__init__(status)
        self.status, self.body, self.kind, self.headers = status, body, kind, headers or {}


def strict_json(raw):
    """RFC 8259: no NaN, no repeated key, UTF-8."""

    def pairs(items):
        keys = [k for k, _ in items]
        if len(set(keys)) != len(keys):
            raise ValueError(f"repeated key in {keys}")
        return dict(items)

    def constant(name):
        raise ValueError(f"{name} is no JSON")

    return json.loads(raw.decode("utf-8", "strict"), object_pairs_hook=pairs,
                      parse_constant=constant)


def is_number(v):
    return isinstance(v, (int, float)) and not isinstance(v, bool) and math.isfinite(v)


def is_int(v):
    return isinstance(v, int) and not isinstance(v, bool)


def is_uuid(v):
    """As Qdrant reads them: hyphenated; the client writes lower case."""
    return isinstance(v, str) and re.fullmatch(
        r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", v) is not None


def uuid_of(text):
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, text))


def document_wrong(fields):
    """None, or what is wrong with the flat fields of a document."""
    want = set(FIELDS) | set(HASHES) | set(ORIGIN)
    if set(fields) != want:
        return f"keys {sorted(set(fields) ^ want)} missing or too many"
    for k, v in fields.items():
        if v is not None and not isinstance(v, str):
            return f"{k} is no text"
        if v == "":
            return f"{k} is empty and not null"
        if k in HASHES and not re.fullmatch("[0-9a-f]{64}", v or ""):
            return f"{k} is no hash"
    if fields["source"] != "kindred" or not fields["model"] or not fields["template"]:
        return "source, model or template is missing"
    return None


def embedding(text, dim):
    """A vector that stands for a text: of length 1, never zero, the same each time."""
    seed = uuid.uuid5(uuid.NAMESPACE_URL, text).int
    v = []
    for i in range(dim):
        seed = (seed * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        v.append((seed >> 11) / (1 << 53) - 0.5)
    length = math.sqrt(sum(x * x for x in v)) or 1
    return [struct.unpack("<f", struct.pack("<f", x / length))[0] for x in v]


class Fake:
    max_body = 32 << 20
    open_paths = ()  # no token needed
    keep_bodies = False

    def __init__(self, args):
        self.args = args
        self.lock = threading.Lock()
        self.requests, self.complaints, self.faults = [], [], []

    # --- for subclasses ---

    def route(self, r):
        """r: method, path, query (dict of lists), headers, body (bytes), json(). Returns (status,
        answer) where answer is JSON, bytes, or text."""
        raise NotImplementedError

    def dump(self):
        return {}

    def spoil(self, name, answer):
        raise Refuse(500, f"unknown spoil {name}")

    def unauthorized(self, _r):
        return Refuse(401, "Must provide an API key or an Authorization bearer token",
                      "text/plain")

    def too_large(self):
        return Refuse(413, "Payload too large", "text/plain")

    def bad_json(self, why):
        return Refuse(400, {"error": f"bad JSON: {why}"})

    def complain(self, text):
        self.complaints.append(text)

    # --- control ---

    def control(self, method, path, body):
        what = path[len("/_fake/"):]
        if method == "GET":
            if what == "dump":
                return self.dump()
            return {"requests": self.requests, "complaints": self.complaints, "faults": self.faults}[what]
        value = json.loads(body or b"{}")
        if what == "fault":
            self.faults.append(value)
        elif what == "set":
            for k, v in value.items():
                setattr(self, k, v)
        elif what == "clear":
            self.faults, self.requests, self.complaints = [], [], []
        else:
            raise KeyError(what)
        return {}

    def fault_for(self, r):
        for f in self.faults:
            if f.get("method", r.method) != r.method or f.get("path", "") not in r.target:
                continue
            if f.get("times", 1):
                f["times"] = f.get("times", 1) - 1
                if not f["times"]:
                    self.faults.remove(f)
            return f
        return None

    # --- what every request must have ---

    def check_token(self, r):
        if not self.args.token or r.path in self.open_paths:
            return
        name = self.args.token_header or "Authorization"
        want = self.args.token if self.args.token_header else "Bearer " + self.args.token
        if r.headers.get(name) != want:
            raise self.unauthorized(r)

    def check_head(self, r):
        for name in ("Host", "Accept"):
            if not r.headers.get(name):
                self.complain(f"{r.method} {r.path}: no {name}")
        if r.headers.get("Accept-Encoding", "identity") != "identity":
            self.complain(f"{r.method} {r.path}: asks for an encoding")
        if r.headers.get("Expect"):
            self.complain(f"{r.method} {r.path}: Expect")
        if r.method == "GET" and r.body:
            self.complain(f"GET {r.path} has a body")

    def answer(self, r):
        try:
            self.check_head(r)
            self.check_token(r)
            if len(r.body) > self.max_body:
                raise self.too_large()
            status, answer = self.route(r)
            return status, answer, None, {}
        except Refuse as e:
            return e.status, e.body, e.kind, e.headers


class Request:
    def __init__(self, fake, handler, body):
        url = urlsplit(handler.path)
        self.fake, self.method, self.target = fake, handler.command, handler.path
        self.path, self.query = url.path, parse_qs(url.query, keep_blank_values=True)
        self.headers, self.body = handler.headers, body

    def json(self, kind="application/json"):
        if self.headers.get("Content-Type", "").split(";")[0] != kind:
            raise Refuse(415, f"Expected request with `Content-Type: {kind}`", "text/plain")
        try:
            return strict_json(self.body)
        except (ValueError, RecursionError) as e:
            self.fake.complain(f"{self.method} {self.path}: {e}")
            raise self.fake.bad_json(e) from e


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fake = None

    def log_message(self, *_):
        pass

    def send(self, status, answer, kind=None, headers=None, part=None):
        if isinstance(answer, bytes):
            raw, default = answer, "application/octet-stream"
        elif isinstance(answer, str):
            raw, default = answer.encode(), "text/plain"
        else:
            raw, default = json.dumps(answer).encode(), "application/json"
        self.send_response(status)
        self.send_header("Content-Type", kind or default)
        self.send_header("Content-Length", str(len(raw)))
        for k, v in (headers or {}).items():
            self.send_header(k, str(v))
        self.end_headers()
        self.wfile.write(raw if part is None else raw[:part])

    def hang(self):
        self.connection.settimeout(60)
        try:
            while self.connection.recv(65536):
                pass
        except OSError:
            pass

    def drop(self, reset=False):
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                       struct.pack("ii", 1, 0))
        self.close_connection = True
        try:
            if not reset:
                self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.connection.close()

    def misbehave(self, f, r):
        """The answer when the fault leaves one to be given, as (status, answer, type, headers)."""
        if f.get("hang"):
            self.hang()
            self.close_connection = True
            return None
        if f.get("cut") or f.get("reset"):
            self.drop(f.get("reset"))
            return None
        if "status" in f:
            return f["status"], f.get("body", ""), f.get("type"), f.get("headers", {})
        if "delay" in f:
            time.sleep(f["delay"])
        with self.fake.lock:
            status, answer, kind, headers = self.fake.answer(r)
        if "wrong" in f:
            answer = self.fake.spoil(f["wrong"], answer)
            if isinstance(answer, tuple):
                answer, headers = answer
        if f.get("half"):
            raw = answer if isinstance(answer, (bytes, str)) else json.dumps(answer)
            self.send(status, raw, "application/json", headers, len(raw) // 2)
            self.wfile.flush()
            self.drop()
            return None
        return status, answer, kind, headers

    def serve(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.startswith("/_fake/"):
            with self.fake.lock:
                self.send(200, self.fake.control(self.command, self.path, body))
            return
        r = Request(self.fake, self, body)
        prefix = self.fake.args.prefix
        with self.fake.lock:
            note = {"method": r.method, "path": r.target, "headers": dict(self.headers.items()),
                    "bytes": len(body), "status": 0}
            if self.fake.keep_bodies:
                note["body"] = body.decode("utf-8", "replace")
            self.fake.requests.append(note)
            if not r.path.startswith(prefix):
                self.fake.complain(f"{r.method} {r.path}: outside {prefix}")
            r.path = r.path[len(prefix):]
            fault = self.fake.fault_for(r)
            given = None if fault else self.fake.answer(r)
        if fault:
            given = self.misbehave(fault, r)
        if given:
            note["status"] = given[0]
            self.send(*given)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = serve


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass  # clients that hang up are part of the tests


def serve(kind, modes=()):
    p = argparse.ArgumentParser()
    p.add_argument("--port-file", required=True)
    p.add_argument("--port", type=int, default=0)
    p.add_argument("--host", default="127.0.0.1")
    p.add_argument("--tls-cert")
    p.add_argument("--tls-key")
    p.add_argument("--prefix", default="")
    p.add_argument("--token", default="")
    p.add_argument("--token-header", default="")
    if modes:
        p.add_argument("--mode", choices=modes, default=modes[0])
    args = p.parse_args()
    handler = type("Bound", (Handler,), {"fake": kind(args)})
    if ":" in args.host:
        Server.address_family = socket.AF_INET6
    server = Server((args.host, args.port), handler)
    if args.tls_cert:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(args.tls_cert, args.tls_key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    with open(args.port_file + ".new", "w", encoding="ascii") as f:
        f.write(f"{server.server_address[1]}\n")
    os.rename(args.port_file + ".new", args.port_file)
    server.serve_forever()
