"""Qdrant's REST API, version 1.10 to 1.19, as far as a client of one collection needs it. See fake.py
for how it is started and told to fail."""

import json
import math
import re
import uuid

from fake import Fake, Refuse, document_wrong, is_int, is_number, is_uuid, serve, uuid_of

DISTANCES = ("Cosine", "Dot", "Euclid", "Manhattan")
SCHEMAS = ("keyword", "integer", "float", "bool", "datetime", "text", "uuid")


def error(status, text, headers=None):
    return Refuse(status, {"status": {"error": text}, "time": 0.00001}, headers=headers)


def ok(result):
    return 200, {"result": result, "status": "ok", "time": 0.0001}


class Qdrant(Fake):
    open_paths = ("/", "/healthz", "/readyz", "/livez")
    ready = True
    write_status = "completed"
    strict = None  # strict_mode_config
    page_most = 1 << 30

    def __init__(self, args):
        super().__init__(args)
        self.collections = {}

    def unauthorized(self, _r):
        return Refuse(401, "Must provide an API key or an Authorization bearer token",
                      "text/plain")

    def too_large(self):
        return Refuse(413, {"status": {"error": "JSON payload is larger than allowed"}, "time": 0})

    def bad_json(self, why):
        return error(400, f"Format error in JSON body: {why}")

    # --- routes ---

    def route(self, r):
        if r.path in ("/healthz", "/livez"):
            return 200, "healthz check passed"
        if r.path == "/readyz":
            if not self.ready:
                raise Refuse(503, "some shards are not ready", "text/plain")
            return 200, "all shards are ready"
        m = re.fullmatch(r"/collections/([A-Za-z0-9._-]+)(/.*)?", r.path)
        if not m:
            raise Refuse(404, "", "text/plain")
        name, rest = m.group(1), m.group(2) or ""
        if rest == "/exists":
            return ok({"exists": name in self.collections})
        if rest == "" and r.method == "PUT":
            return self.create(name, r.json())
        c = self.collections.get(name)
        if c is None:
            raise error(404, f"Not found: Collection `{name}` doesn't exist!")
        routes = {("GET", ""): self.inspect, ("DELETE", ""): self.drop,
                  ("PUT", "/index"): self.index, ("PUT", "/points"): self.upsert,
                  ("POST", "/points/delete"): self.delete, ("POST", "/points/batch"): self.batch,
                  ("POST", "/points/scroll"): self.scroll, ("POST", "/points/query"): self.query,
                  ("POST", "/points/count"): self.count}
        if (r.method, rest) not in routes:
            raise Refuse(404, "", "text/plain")
        return routes[(r.method, rest)](name, c, r)

    def fields(self, q, known, what):
        if not isinstance(q, dict):
            raise error(400, f"Format error in JSON body: {what} is no object")
        for k in q:
            if k not in known:
                self.complain(f"{what}: unknown field {k}")

    def waits(self, r):
        if r.query.get("wait") != ["true"]:
            self.complain(f"{r.method} {r.path} does not wait")
            return "acknowledged"
        return self.write_status

    def create(self, name, q):
        if name in self.collections:
            raise error(409, f"Wrong input: Collection `{name}` already exists!")
        self.fields(q, {"vectors", "on_disk_payload", "hnsw_config", "metadata"}, "create")
        v = q.get("vectors")
        self.fields(v, {"size", "distance", "on_disk"}, "vectors")
        if not is_int(v.get("size")) or not 0 < v["size"] <= 65536 or \
                v.get("distance") not in DISTANCES:
            raise error(422, "Validation error in JSON body: [vectors.size: value out of range]")
        self.collections[name] = {"vectors": dict(v), "points": {}, "schema": {}}
        return ok(True)

    def drop(self, name, _c, _r):
        del self.collections[name]
        return ok(True)

    def inspect(self, _name, c, _r):
        config = {"params": {"vectors": c["vectors"], "shard_number": 1, "on_disk_payload": True},
                  "hnsw_config": {"m": 16}, "wal_config": {}, "quantization_config": None}
        if self.strict:
            config["strict_mode_config"] = self.strict
        schema = {k: {"data_type": v, "points": 0} for k, v in c["schema"].items()}
        return ok({"status": "green", "optimizer_status": "ok", "points_count": len(c["points"]),
                   "segments_count": 2, "config": config, "payload_schema": schema})

    def index(self, _name, c, r):
        q = r.json()
        self.fields(q, {"field_name", "field_schema"}, "index")
        if not isinstance(q.get("field_name"), str) or q.get("field_schema") not in SCHEMAS:
            raise error(400, "Format error in JSON body: field_schema")
        if c["points"]:
            self.complain(f"index of {q['field_name']} made after points were loaded")
        c["schema"][q["field_name"]] = q["field_schema"]
        return ok({"operation_id": 1, "status": self.waits(r)})

    # --- points ---

    def point_id(self, v):
        if is_int(v) and 0 <= v < 1 << 64:
            return v
        if not is_uuid(v):
            raise error(400, f"Format error in JSON body: value {v} is not a valid point ID, valid "
                             "values are either an unsigned integer or a UUID")
        return v

    def ids(self, q):
        ids = q.get("points")
        if not isinstance(ids, list) or not ids:
            raise error(422, "Validation error in JSON body: [points: length must be at least 1]")
        ids = [self.point_id(i) for i in ids]
        if len(set(ids)) != len(ids):
            self.complain("the same id twice")
        return ids

    def limit(self, n):
        most = (self.strict or {}).get("upsert_max_batchsize")
        if most and n > most:
            raise error(403, f"Forbidden: Upsert batch size {n} is larger than {most}")

    def check_payload(self, pid, payload):
        if not isinstance(payload, dict):
            raise error(400, "Format error in JSON body: payload is no object")
        rest = dict(payload)
        original, text = rest.pop("_originalId", None), rest.pop("document", None)
        if not isinstance(original, str) or uuid_of(original) != pid:
            self.complain(f"point {pid} is not the UUIDv5 of its _originalId {original}")
        if not isinstance(text, str) or not text:
            self.complain(f"point {pid} has no document")
        wrong = document_wrong(rest)
        if wrong:
            self.complain(f"point {pid}: {wrong}")

    def upsert(self, _name, c, r):
        q = r.json()
        self.fields(q, {"points"}, "upsert")
        points = q.get("points")
        if not isinstance(points, list) or not points:
            raise error(400, "Format error in JSON body: points")
        self.limit(len(points))
        ids = [self.point_id(p.get("id")) for p in points]
        if len(set(ids)) != len(ids):
            self.complain("the same id twice")
        for p in points:
            self.fields(p, {"id", "vector", "payload"}, "point")
            v = p.get("vector")
            if not isinstance(v, list) or not all(is_number(x) for x in v):
                raise error(400, "Format error in JSON body: data did not match any variant of "
                                 "untagged enum VectorStruct")
            if len(v) != c["vectors"]["size"]:
                raise error(400, "Wrong input: Vector dimension error: expected dim: "
                                 f"{c['vectors']['size']}, got {len(v)}")
            if not any(v):
                self.complain(f"point {p['id']} has a zero vector")
            self.check_payload(p["id"], p.get("payload"))
            if "refuse-me" in str(p.get("payload")):
                raise error(400, "Wrong input: payload is refused")
        for p in points:
            length = math.sqrt(sum(x * x for x in p["vector"])) or 1
            c["points"][p["id"]] = {"vector": [x / length for x in p["vector"]],
                                    "payload": p["payload"]}
        return ok({"operation_id": 2, "status": self.waits(r)})

    def batch(self, _name, c, r):
        q = r.json()
        self.fields(q, {"operations"}, "batch")
        results = []
        for op in q.get("operations") or []:
            self.fields(op, {"overwrite_payload"}, "operation")
            o = op["overwrite_payload"]
            self.fields(o, {"payload", "points"}, "overwrite_payload")
            for pid in self.ids(o):
                if pid not in c["points"]:
                    raise error(404, f"Not found: No point with id {pid} found")
                self.check_payload(pid, o.get("payload"))
                c["points"][pid]["payload"] = o["payload"]
            results.append({"operation_id": 3, "status": self.waits(r)})
        return ok(results)

    def delete(self, _name, c, r):
        q = r.json()
        self.fields(q, {"points"}, "delete")
        for pid in self.ids(q):
            c["points"].pop(pid, None)
        return ok({"operation_id": 4, "status": self.waits(r)})

    # --- filters ---

    def passes(self, c, f, payload):
        self.fields(f, {"must", "must_not", "should"}, "filter")
        if not all(self.holds(c, x, payload) for x in f.get("must", [])):
            return False
        return not any(self.holds(c, x, payload) for x in f.get("must_not", []))

    def holds(self, c, cond, payload):
        if "must" in cond or "must_not" in cond:
            return self.passes(c, cond, payload)
        self.fields(cond, {"key", "match"}, "condition")
        self.fields(cond["match"], {"value"}, "match")
        if (self.strict or {}).get("unindexed_filtering_retrieve") is False and \
                cond["key"] not in c["schema"]:
            raise error(400, f"Bad request: Index required but not found for \"{cond['key']}\"")
        return payload.get(cond["key"]) == cond["match"]["value"]

    def filtered(self, c, q):
        f = q.get("filter") or {}
        self.passes(c, f, {})  # also an empty collection refuses a wrong filter
        return {i: p for i, p in c["points"].items() if self.passes(c, f, p["payload"])}

    def most(self, q):
        n = q.get("limit")
        if not is_int(n) or n < 1:
            raise error(422, "Validation error in JSON body: [limit: must be at least 1]")
        most = (self.strict or {}).get("max_query_limit")
        if most and n > most:
            raise error(400, f"Bad request: Limit exceeded {n} > {most} for \"limit\"")
        return min(n, self.page_most)

    def part(self, q, payload):
        want = q.get("with_payload", True)
        if isinstance(want, list):
            return {k: v for k, v in payload.items() if k in want}
        return payload if want else None

    def scroll(self, _name, c, r):
        q = r.json()
        self.fields(q, {"limit", "offset", "filter", "with_payload", "with_vector"}, "scroll")
        if q.get("with_vector") is not False:
            self.complain("scroll fetches vectors")
        n = self.most(q)
        points = sorted(self.filtered(c, q).items(), key=lambda p: str(p[0]))
        if q.get("offset") is not None:
            offset = self.point_id(q["offset"])
            points = [p for p in points if str(p[0]) >= str(offset)]
        page, rest = points[:n], points[n:]
        return ok({"points": [{"id": i, "payload": self.part(q, p["payload"])} for i, p in page],
                   "next_page_offset": rest[0][0] if rest else None})

    def query(self, _name, c, r):
        q = r.json()
        self.fields(q, {"query", "limit", "filter", "with_payload", "score_threshold"}, "query")
        v = q.get("query")
        if not isinstance(v, list) or len(v) != c["vectors"]["size"]:
            raise error(400, "Wrong input: Vector dimension error: expected dim: "
                             f"{c['vectors']['size']}, got {len(v or [])}")
        length = math.sqrt(sum(x * x for x in v)) or 1
        scored = [{"id": i, "version": 1, "payload": self.part(q, p["payload"]),
                   "score": sum(a * b / length for a, b in zip(v, p["vector"]))}
                  for i, p in self.filtered(c, q).items()]
        scored.sort(key=lambda p: -p["score"])
        return ok({"points": scored[:self.most(q)]})

    def count(self, _name, c, r):
        return ok({"count": len(self.filtered(c, r.json()))})

    # --- for tests ---

    def spoil(self, name, answer):
        if name == "no-result":
            return {"status": "ok", "time": 0}
        if name == "same-page":
            answer["result"]["next_page_offset"] = "00000000-0000-0000-0000-000000000000"
        elif name == "list":
            return [answer]
        elif name == "acknowledged":
            answer["result"] = {"operation_id": 9, "status": "acknowledged"}
        elif name == "wait_timeout":
            answer["result"] = {"operation_id": 9, "status": "wait_timeout"}
        else:
            raise KeyError(name)
        return answer

    def control(self, method, path, body):
        if path == "/_fake/put":  # a point of another program
            q = json.loads(body)
            c = self.collections[q["collection"]]
            c["points"][q.get("id") or str(uuid.uuid4())] = {
                "vector": [1.0] * c["vectors"]["size"], "payload": q["payload"]}
            return {}
        if path == "/_fake/drop":
            self.collections.clear()
            return {}
        return super().control(method, path, body)

    def dump(self):
        return self.collections


serve(Qdrant)
