"""A webhook that takes the event stream: POST /hook, one message as application/json, several as
application/x-ndjson, one a line. Each is checked and kept in order. See fake.py for how it is started
and told to fail; besides, /_fake/set {"refuse_name": NAME} refuses (422) whatever holds that object,
and {"max_body": N} sets the largest body.
"""

import re

from fake import Fake, Refuse, serve, strict_json

KEYS = {"action", "cluster", "namespace", "time", "kind", "object"}


class Hook(Fake):
    refuse_name = None

    def __init__(self, args):
        super().__init__(args)
        self.messages = []

    def dump(self):
        return self.messages

    def check(self, m):
        if set(m) != KEYS:
            self.complain(f"message has {sorted(m)}")
        if m["action"] not in ("Applied", "Deleted", "Restarted"):
            self.complain(f"action {m['action']}")
        if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", m["time"]):
            self.complain(f"time {m['time']}")
        meta = m["object"]["metadata"]
        if m["object"]["kind"] != m["kind"] or meta.get("namespace", "") != m["namespace"]:
            self.complain("the message and its object differ")
        if meta["name"] == self.refuse_name:
            raise Refuse(422, {"error": f"{meta['name']} is refused"})

    def route(self, r):
        if r.path != "/hook" or r.method != "POST":
            raise Refuse(404, "not here", "text/plain")
        lines = r.body.split(b"\n")[:-1]  # each ends with one
        kind = r.headers.get("Content-Type")
        if kind != ("application/x-ndjson" if len(lines) > 1 else "application/json"):
            self.complain(f"{len(lines)} messages as {kind}")
        messages = [strict_json(x) for x in lines]
        for m in messages:
            self.check(m)
        self.messages += [f"{m['action']} {m['object']['metadata']['name']}" for m in messages]
        return 200, {}


serve(Hook)
