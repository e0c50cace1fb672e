"""An OpenTelemetry collector's OTLP/HTTP receiver, strict: POST /v1/metrics and /v1/logs in protobuf,
gzip or not. Bytes are decoded by the tables below, made of the published .proto files; where
OpenTelemetry's own package is installed it must read them, too, and write the same bytes. Of what is
told it wants what the specifications say: cumulative sums that never go back while their start stays,
each stream once a request, attributes with one value and keys of the semantic conventions or of
kindred's own, valid UTF-8.

See fake.py for how it is started and told to fail; besides, /_fake/set takes
    reject: N, message: TEXT    a partial success for each request from then on
"wrong": "html" answers with a page, after having taken the request.
"""

import gzip
import re
import struct
import zlib

from fake import Fake, Refuse, serve

try:
    from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
    from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
    OFFICIAL = {"/v1/logs": logs_service_pb2.ExportLogsServiceRequest,
                "/v1/metrics": metrics_service_pb2.ExportMetricsServiceRequest}
except ImportError:
    OFFICIAL = {}

MESSAGES = {    # name: {number: (name, kind)}; "*" repeated; a kind in capitals is a message
    "METRICS": {1: ("resource_metrics", "*RESOURCE_METRICS")},
    "RESOURCE_METRICS": {1: ("resource", "RESOURCE"), 2: ("scopes", "*SCOPE_METRICS"),
                         3: ("schema_url", "text")},
    "SCOPE_METRICS": {1: ("scope", "SCOPE"), 2: ("metrics", "*METRIC"), 3: ("schema_url", "text")},
    "METRIC": {1: ("name", "text"), 2: ("description", "text"), 3: ("unit", "text"),
               7: ("sum", "SUM"), 9: ("histogram", "HISTOGRAM")},
    "SUM": {1: ("points", "*POINT"), 2: ("temporality", "number"), 3: ("monotonic", "number")},
    "HISTOGRAM": {1: ("points", "*HIST_POINT"), 2: ("temporality", "number")},
    "POINT": {2: ("start", "fixed64"), 3: ("time", "fixed64"), 6: ("value", "sfixed64"),
              7: ("attributes", "*KEY_VALUE")},
    "HIST_POINT": {2: ("start", "fixed64"), 3: ("time", "fixed64"), 4: ("value", "fixed64"),
                   5: ("sum", "double"), 9: ("attributes", "*KEY_VALUE")},
    "LOGS": {1: ("resource_logs", "*RESOURCE_LOGS")},
    "RESOURCE_LOGS": {1: ("resource", "RESOURCE"), 2: ("scopes", "*SCOPE_LOGS"),
                      3: ("schema_url", "text")},
    "SCOPE_LOGS": {1: ("scope", "SCOPE"), 2: ("records", "*RECORD"), 3: ("schema_url", "text")},
    "RECORD": {1: ("time", "fixed64"), 2: ("severity", "number"), 3: ("severity_text", "text"),
               5: ("body", "ANY"), 6: ("attributes", "*KEY_VALUE"), 11: ("observed", "fixed64"),
               12: ("event", "text")},
    "RESOURCE": {1: ("attributes", "*KEY_VALUE")},
    "SCOPE": {1: ("name", "text"), 2: ("version", "text")},
    "KEY_VALUE": {1: ("key", "text"), 2: ("value", "ANY")},
    "ANY": {1: ("text", "text"), 2: ("bool", "number"), 3: ("int", "number"), 4: ("double", "double")},
}
WIRE = {"number": 0, "fixed64": 1, "sfixed64": 1, "double": 1}     # all others: 2
FORMAT = {"fixed64": "<Q", "sfixed64": "<q", "double": "<d"}
SEMANTIC = re.compile(r"""(source|destination|client|server)\.(address|port)
    |(source|destination)\.k8s\.(namespace|deployment|replicaset|statefulset|daemonset|job|cronjob
        |replicationcontroller|service|node|pod|container)\.name
    |(source|destination)\.k8s\.pod\.uid
    |network\.(transport|type|io\.direction|peer\.address|peer\.port)
    |error\.type|log\.record\.uid
    |service\.(name|version|instance\.id)|host\.name|k8s\.(node|cluster)\.name""", re.X)
OURS = re.compile(r"((source|destination)\.)?kindred\.[a-z_.]+")


class Bad(ValueError):
    pass


def varint(data, at):
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise Bad("a number is cut or too long")
        byte = data[at]
        value |= (byte & 0x7f) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            if not byte and shift > 7:
                raise Bad("a number with a byte too many")
            return value, at


def read_value(kind, data, at):
    if kind == "number":
        return varint(data, at)
    if kind in FORMAT:
        if at + 8 > len(data):
            raise Bad("eight bytes are cut")
        return struct.unpack_from(FORMAT[kind], data, at)[0], at + 8
    n, at = varint(data, at)
    if at + n > len(data):
        raise Bad("a length beyond the end")
    part = data[at:at + n]
    return (part.decode("utf-8", "strict") if kind == "text" else read(kind, part)), at + n


def read(message, data):
    """A dict; strict: known fields in their order, singular ones once."""
    out, at, last = {}, 0, 0
    while at < len(data):
        tag, at = varint(data, at)
        number, wire = tag >> 3, tag & 7
        if number not in MESSAGES[message]:
            raise Bad("%s has no field %d" % (message, number))
        name, kind = MESSAGES[message][number]
        many, kind = kind.startswith("*"), kind.lstrip("*")
        if wire != WIRE.get(kind, 2):
            raise Bad("%s.%s has wire type %d" % (message, name, wire))
        if number < last or (number == last and not many):
            raise Bad("%s.%s comes late, or twice" % (message, name))
        value, at = read_value(kind, data, at)
        last = number
        if many:
            out.setdefault(name, []).append(value)
        else:
            out[name] = value
    return out


def attributes(pairs):
    out = {}
    for p in pairs:
        if len(p.get("value", {})) != 1 or not p.get("key"):
            raise Bad("an attribute without a key or with %d values" % len(p.get("value", {})))
        if not SEMANTIC.fullmatch(p["key"]) and not OURS.fullmatch(p["key"]):
            raise Bad("nobody knows the attribute " + p["key"])
        if p["key"] in out:
            raise Bad("the attribute %s comes twice" % p["key"])
        out[p["key"]] = next(iter(p["value"].values()))
    return out


class Otlp(Fake):
    reject, message = 0, ""
    max_body = 20 << 20

    def __init__(self, args):
        super().__init__(args)
        self.records, self.uids, self.again = [], set(), 0
        self.streams = {}       # (metric, attributes): the last point
        self.points = 0
        self.resources = {}
        self.exports = {"/v1/logs": 0, "/v1/metrics": 0}

    def dump(self):
        return {"records": self.records, "again": self.again, "points": self.points,
                "exports": self.exports, "official": bool(OFFICIAL),
                "resources": list(self.resources.values()),
                "streams": [dict(p, metric=name, attributes=dict(attrs))
                            for (_, name, attrs), p in self.streams.items()]}

    # --- metrics ---

    def take_point(self, instance, name, p, told):
        attrs = attributes(p.get("attributes", []))
        key = (instance, name, tuple(sorted(attrs.items())))
        p = {"start": p.get("start", 0), "time": p.get("time", 0), "value": p.get("value", 0),
             "sum": p.get("sum")}
        before = self.streams.get(key)
        if key in told:
            raise Bad("%s %s comes twice in a request" % (name, attrs))
        told.add(key)
        if not 0 < p["start"] <= p["time"]:
            raise Bad("%s is from %d to %d" % (name, p["start"], p["time"]))
        if before and p["time"] < before["time"]:
            raise Bad("%s goes back in time" % name)
        if before and p["start"] == before["start"] and p["value"] < before["value"]:
            raise Bad("%s %s falls from %d to %d" % (name, attrs, before["value"], p["value"]))
        if before and p["start"] < before["start"]:
            raise Bad("%s begins before it began" % name)
        self.streams[key] = p
        self.points += 1

    def take_metric(self, instance, m, told):
        if not re.fullmatch(r"kindred\.flow\.[a-z]+", m.get("name", "")) or not m.get("unit") or \
                not m.get("description"):
            raise Bad("a metric's name, unit or description: %s" % m)
        if ("sum" in m) == ("histogram" in m):
            raise Bad("%s is neither a sum nor a histogram, or both" % m["name"])
        data = m.get("sum") or m.get("histogram")
        if data.get("temporality") != 2 or ("sum" in m and data.get("monotonic") != 1):
            raise Bad("%s is not cumulative and monotonic" % m["name"])
        if not data.get("points"):
            raise Bad("%s has no point" % m["name"])
        for p in data["points"]:
            self.take_point(instance, m["name"], p, told)

    # --- logs ---

    def take_record(self, instance, r, _told):
        attrs = attributes(r.get("attributes", []))
        uid = attrs.get("log.record.uid", "")
        if not 0 < r.get("time", 0) or not r.get("observed"):
            raise Bad("a record without its times")
        if not re.fullmatch(r"kindred\.flow\.(open|refresh|close|fail|drop)", r.get("event", "")):
            raise Bad("event " + r.get("event", ""))
        if (r.get("severity"), r.get("severity_text")) not in ((9, "INFO"), (13, "WARN")):
            raise Bad("severity")
        if not r.get("body", {}).get("text"):
            raise Bad("a record without words")
        if not uid.startswith(instance + "-"):
            raise Bad("uid " + uid)
        for key in ("source.address", "source.port", "destination.address", "destination.port",
                    "network.transport", "network.type", "kindred.flow.id"):
            if key not in attrs:
                raise Bad("a record without " + key)
        if uid in self.uids:
            self.again += 1
            return
        self.uids.add(uid)
        self.records.append({"event": r["event"], "time": r["time"], "body": r["body"]["text"],
                             "attributes": attrs})

    # --- a request ---

    def take(self, path, body):
        told = set()
        what, group, entries, one = (
            ("LOGS", "resource_logs", "records", self.take_record) if path == "/v1/logs" else
            ("METRICS", "resource_metrics", "metrics", self.take_metric))
        groups = read(what, body).get(group, [])
        if len(groups) != 1 or len(groups[0].get("scopes", [])) != 1:
            raise Bad("not one resource and one scope")
        of = attributes(groups[0].get("resource", {}).get("attributes", []))
        scope = groups[0]["scopes"][0]
        if of.get("service.name") != "kindred" or not of.get("service.instance.id"):
            raise Bad("resource %s" % of)
        for url in (groups[0].get("schema_url", ""), scope.get("schema_url", "")):
            if not re.fullmatch(r"https://opentelemetry\.io/schemas/1\.\d+\.\d+", url):
                raise Bad("schema URL " + url)
        if scope.get("scope", {}).get("name") != "kindred.flow" or not scope.get(entries):
            raise Bad("scope %s" % scope.get("scope"))
        self.resources[of["service.instance.id"]] = of
        for entry in scope[entries]:
            one(of["service.instance.id"], entry, told)
        if path in OFFICIAL:
            message = OFFICIAL[path].FromString(body)
            if message.SerializeToString(deterministic=True) != body:
                raise Bad("OpenTelemetry's own library writes other bytes")
        self.exports[path] += 1

    def answer_body(self):
        """ExportLogsServiceResponse, which has the same bytes as that of metrics."""
        partial = b""
        if self.reject:
            partial += b"\x08" + self.number(self.reject)
        if self.message:
            raw = self.message.encode()
            partial += b"\x12" + self.number(len(raw)) + raw
        return b"\x0a" + self.number(len(partial)) + partial if partial else b""

    @staticmethod
    def number(n):
        out = bytearray()
        while n > 127:
            out.append(n & 127 | 128)
            n >>= 7
        out.append(n)
        return bytes(out)

    def spoil(self, name, answer):
        return "<html>welcome</html>" if name == "html" else super().spoil(name, answer)

    def route(self, r):
        if r.path not in self.exports or r.method != "POST":
            raise Refuse(404, "not here", "text/plain")
        if r.headers.get("Content-Type") != "application/x-protobuf":
            self.complain("content type %s" % r.headers.get("Content-Type"))
        body = r.body
        try:
            if r.headers.get("Content-Encoding"):
                if r.headers["Content-Encoding"] != "gzip":
                    raise Bad("encoding " + r.headers["Content-Encoding"])
                body = gzip.decompress(body)
            self.take(r.path, body)
        except (Bad, UnicodeDecodeError, zlib.error, OSError, EOFError) as e:
            self.complain("%s: %s" % (r.path, e))
            raw = str(e).encode()[:100]
            raise Refuse(400, b"\x12" + self.number(len(raw)) + raw, "application/x-protobuf") from e
        return 200, self.answer_body()


serve(Otlp)
