"""cluster-whisperer's receivers: POST /api/v1/instances/sync and POST /api/v1/capabilities/scan. See
fake.py for how it is started and told to fail."""

import re

from fake import Fake, Refuse, serve

TEXTS = ("id", "namespace", "name", "kind", "apiVersion", "apiGroup", "createdAt")
SYNC = "/api/v1/instances/sync"
SCAN = "/api/v1/capabilities/scan"


class Whisperer(Fake):
    max_body = 5 << 20
    open_paths = ("/healthz", "/readyz")
    ready = True

    def __init__(self, args):
        super().__init__(args)
        self.instances = {}
        self.capabilities = []

    def unauthorized(self, _r):
        return Refuse(401, {"error": "unauthorized"})

    def too_large(self):
        return Refuse(413, {"error": "Payload too large"})

    def bad_json(self, why):
        return Refuse(400, {"error": "Invalid payload", "details": [str(why)]})

    def route(self, r):
        if r.path == "/healthz" and r.method == "GET":
            if not self.ready:
                raise Refuse(503, {"error": "starting"})
            return 200, {"status": "ok"}
        if r.path not in (SYNC, SCAN):
            raise Refuse(404, {"error": "Not found"})
        if r.method != "POST":
            raise Refuse(405, {"error": "Method not allowed"})
        return self.sync(r.json()) if r.path == SYNC else self.scan(r.json())

    def invalid(self, *details):
        return Refuse(400, {"error": "Invalid payload", "details": list(details)})

    def check(self, i):
        for k in TEXTS:
            if not isinstance(i.get(k), str):
                self.complain(f"{i.get('id')}: {k} is no text")
                raise self.invalid(f"{k}: Required")
        for k in i:
            if k not in TEXTS + ("labels", "annotations"):
                self.complain(f"unknown field {k}")
        if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", i["createdAt"]):
            self.complain(f"createdAt {i['createdAt']}")
            raise self.invalid("createdAt: Invalid datetime")
        for k in ("labels", "annotations"):
            v = i.get(k)
            if not isinstance(v, dict) or not all(isinstance(x, str) for x in v.values()):
                self.complain(f"{i['id']}: {k} {v}")
                raise self.invalid(f"{k}: Invalid")
        want = f"{i['namespace']}/{i['apiVersion']}/{i['kind']}/{i['name']}"
        if i["id"] != want:
            self.complain(f"id {i['id']}, expected {want}")
        if not i["name"] or not i["kind"] or not i["namespace"]:
            self.complain(f"{i['id']}: empty name, kind or namespace")
        if "refuse-me" in i["name"]:
            raise self.invalid("name: refused")

    def sync(self, q):
        if not isinstance(q, dict) or set(q) - {"upserts", "deletes"}:
            self.complain(f"fields {sorted(q)}")
            raise self.invalid("fields")
        upserts, deletes = q.get("upserts") or [], q.get("deletes") or []
        if not upserts and not deletes:
            self.complain("an empty payload")
        for i in upserts:
            self.check(i)
        if not all(isinstance(d, str) and d for d in deletes):
            self.complain("deletes are no ids")
            raise self.invalid("deletes")
        for d in deletes:
            self.instances.pop(d, None)
        for i in upserts:
            self.instances[i["id"]] = i
        return 200, {"status": "ok", "upserted": len(upserts), "deleted": len(deletes)}

    def scan(self, q):
        if not isinstance(q, dict) or set(q) - {"upserts", "deletes"} or not q:
            self.complain(f"fields {q}")
            raise self.invalid("fields")
        for names in q.values():
            if not isinstance(names, list) or not names or not all(re.fullmatch(r"[a-z0-9.-]+", n) for n in names):
                self.complain(f"names {names}")
                raise self.invalid("names")
        if sum(map(len, q.values())) > 200:
            self.complain("over 200 items")
            raise self.invalid("too many items")
        for n in q.get("deletes", []):
            if n not in self.capabilities:
                self.complain(f"{n} was never told")
            else:
                self.capabilities.remove(n)
        for n in q.get("upserts", []):
            if n in self.capabilities:
                self.complain(f"{n} is told twice")
            else:
                self.capabilities.append(n)
        return 202, {"status": "accepted", "upserts": len(q.get("upserts", [])), "deletes": len(q.get("deletes", []))}

    def spoil(self, name, answer):
        return {"status": "later"} if name == "later" else [answer]

    def dump(self):
        return {"capabilities": sorted(self.capabilities)} if self.capabilities else self.instances


serve(Whisperer)
