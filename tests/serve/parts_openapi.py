"""The description (include/openapi.json) and the running agent, held against each other."""

import http.client
import json
import os
import re
import urllib.parse

import world
from world import Agent, Reducer, Replay, ask, until

ROOT = os.path.dirname(world.TESTS)
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
TYPES = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "array": list, "object": dict}


# ---- a schema as far as the description uses it

def problems(schema, value, doc, where="answer"):
    """What of the value the schema does not allow."""
    while "$ref" in schema:
        path, schema = schema["$ref"], doc
        for part in path[2:].split("/"):
            schema = schema[part]
    if "oneOf" in schema:
        tried = [problems(s, value, doc, where) for s in schema["oneOf"]]
        return [] if [] in tried else tried[0]
    kind = schema.get("type")
    if kind and (not isinstance(value, TYPES[kind]) or (isinstance(value, bool) and kind != "boolean")):
        return ["%s: %r is no %s" % (where, value, kind)]
    bad = []
    if "enum" in schema and value not in schema["enum"]:
        bad.append("%s: %r is none of %s" % (where, value, schema["enum"]))
    if isinstance(value, (int, float)) and not isinstance(value, bool) and not \
            schema.get("minimum", value) <= value <= schema.get("maximum", value):
        bad.append("%s: %r is out of range" % (where, value))
    if isinstance(value, str) and (len(value) < schema.get("minLength", 0) or not re.search(
            schema.get("pattern", ""), value) or schema.get("format") == "date-time" and not STAMP.fullmatch(value)):
        bad.append("%s: %r is malformed" % (where, value))
    if isinstance(value, list):
        for i, x in enumerate(value):
            bad += problems(schema.get("items", {}), x, doc, "%s[%d]" % (where, i))
    if isinstance(value, dict):
        known = schema.get("properties", {})
        bad += ["%s: %s is missing" % (where, k) for k in schema.get("required", ()) if k not in value]
        if schema.get("additionalProperties", True) is False:
            bad += ["%s: %s is not described" % (where, k) for k in value if k not in known]
        for k, s in known.items():
            if k in value:
                bad += problems(s, value[k], doc, where + "." + k)
    return bad


def is_used(doc):
    """Keywords that problems() does not know would be checks that nobody makes."""
    known = {"type", "enum", "required", "properties", "additionalProperties", "items", "$ref", "oneOf", "minimum",
             "maximum", "minLength", "pattern", "format", "description"}
    found = []

    def walk(schema):
        found.extend(k for k in schema if k not in known)
        for s in list(schema.get("properties", {}).values()) + schema.get("oneOf", []):
            walk(s)
        if "items" in schema:
            walk(schema["items"])

    for s in doc["components"]["schemas"].values():
        walk(s)
    return found


# ---- requests

def send(base, method, target):
    """(status, type without its parameters, body)"""
    u = urllib.parse.urlsplit(base)
    c = http.client.HTTPConnection(u.hostname, u.port, timeout=60)
    try:
        c.request(method, target)
        r = c.getresponse()
        return r.status, (r.getheader("Content-Type") or "").split(";")[0], r.read()
    finally:
        c.close()


def target_of(path, params, values):
    for p in params:
        if p["in"] == "path":
            path = path.replace("{%s}" % p["name"], urllib.parse.quote(str(p["example"]), safe="*"))
    query = urllib.parse.urlencode(values)
    return path + ("?" + query if query else "")


def answer_problems(doc, op, status, kind, body):
    """Whether this is an answer as it is described."""
    response = op["responses"].get(str(status))
    if not response:
        return ["%d is not described: %s" % (status, body[:300])]
    while "$ref" in response:
        response = doc["components"]["responses"][response["$ref"].rsplit("/", 1)[1]]
    content = response["content"].get(kind)
    if not content:
        return ["%d comes as %s, which is not described" % (status, kind)]
    text = body.decode("utf-8")
    if kind in ("application/x-ndjson", "text/event-stream"):
        lines = re.findall(r"^data: (.*)", text, re.M) if kind.startswith("text") else text.splitlines()
        return [p for line in lines for p in problems(content["schema"], json.loads(line), doc)]
    return problems(content["schema"], json.loads(text) if kind == "application/json" else text, doc)


def bad_values(schema):
    if "enum" in schema:
        return ["no-such-value"]
    if schema.get("type") == "integer":
        top = schema.get("maximum", 2 ** 53)
        return ["x", "-1", "1.5"] + ([str(top + 1)] if top < 2 ** 53 else [])
    return ["%"] * bool(schema.get("pattern")) + [""] * bool(schema.get("minLength"))


# ---- the parts

def good_requests(test, doc, agent):
    for path, item in doc["paths"].items():
        for method, op in item.items():
            params = op.get("parameters", [])
            query = [p for p in params if p["in"] == "query"]
            whole = {p["name"]: p["example"] for p in query if p["example"] != "" and "x-optional-feature" not in p}
            least = {p["name"]: p["example"] for p in query if p.get("required") or
                     (p["name"] == "limit" and path.endswith("/stream"))}  # which else has no end
            for values in (whole, least):
                target = target_of(path, params, values)
                status, kind, body = send(agent.data, method.upper(), target)
                ok = status == 200 or (status == 503 and path.endswith(("/flows", "/edges"))) or (
                    status == 404 and path.endswith("/peers")) or (
                    status == 400 and path.endswith("/graph") and not values)
                test("%s %s" % (method.upper(), target), answer_problems(doc, op, status, kind, body) +
                     ([] if ok else ["%d: %s" % (status, body[:300])]))
            if method == "get" and not path.endswith(("/flows", "/edges", "/graph", "/search", "/memory", "/peers")):
                head = send(agent.data, "HEAD", target_of(path, params, least))
                test("HEAD " + path, head[0] == 200 and head[2] == b"" or [head])


def bad_requests(test, doc, agent):
    error = doc["components"]["schemas"]["Error"]

    def refused(name, method, target, status):
        got, kind, body = send(agent.data, method, target)
        test("%s: %s %s" % (name, method, target), [] if got == status and kind == "application/json" and
             not problems(error, json.loads(body), doc) else ["%d %s %s" % (got, kind, body[:300])])

    for path, item in doc["paths"].items():
        for method, op in item.items():
            params = op.get("parameters", [])
            good = {p["name"]: p["example"] for p in params if p.get("required") and p["in"] == "query"}
            target = target_of(path, params, good)
            for other in ("PUT", "DELETE", "PATCH", "OPTIONS", "POST" if method == "get" else "GET"):
                refused("another method", other, target, 405)
            if "400" in op["responses"]:
                refused("a parameter that is none", method.upper(), target_of(path, params, {**good, "colour": 1}), 400)
                refused("an escape that is none", method.upper(), path.split("{")[0].rstrip("/") +
                        ("/services" if "{" in path else "") + "?q=%zz", 400)
            for p in params:
                if p["in"] != "query":
                    continue
                if p.get("required"):
                    refused("without " + p["name"], method.upper(), target_of(path, params, {}), 400)
                for value in bad_values(p["schema"]):
                    refused("a value that is none", method.upper(),
                            target_of(path, params, {**good, p["name"]: value}), 400)
    refused("no such path", "GET", "/api/v2/pods", 404)
    refused("no such kind", "GET", "/api/v1/resources/nothings", 404)
    refused("no such object", "GET", "/api/v1/resources/services/payments/nothing", 404)
    refused("nobody has that address", "GET", "/api/v1/whois?q=192.0.2.1", 404)
    refused("no such node of the graph", "GET", "/api/v1/graph?q=Secret/payments/nothing", 404)
    refused("no such sink", "POST", "/api/v1/resync?sink=nothing", 404)
    refused("a token of another life", "GET", "/api/v1/pods?continue=1-1", 410)


def openapi(rig):
    test = rig.checks.test
    store = "sqlite:" + rig.path("k.db")
    agent = Agent(rig, Replay(rig), "--flows", "auto", "--vector", store, "--graph", store, "--events",
                  "jsonl:" + rig.path("events"), "--resync-listen", "127.0.0.1:0", reducer=Reducer(rig).port)
    test("in step", until(lambda: ask(agent.probe + "/readyz")[0] == 200 and all(
        s.get("complete", True) and not s["lag_changes"] for s in agent.sinks().values()), 60))
    with open(os.path.join(ROOT, "include", "openapi.json"), encoding="utf-8") as f:
        text = f.read()
    doc = json.loads(text)
    test("it is served as it stands", ask(agent.data + "/api/v1/openapi.json")[1].decode() == text)
    test("every word of its schemas is checked here", is_used(doc))
    routes = re.findall(r"/[\w/.-]*", json.loads(ask(agent.data + "/nothing")[1])["error"])
    described = {p.split("/{")[0] for p in doc["paths"]}
    test("every route of the agent is described, and no other", sorted(set(routes) ^ described))
    good_requests(test, doc, agent)
    bad_requests(test, doc, agent)
    resync = agent.url(re.search(r"answers: (.*)", agent.log()).group(1), "resync")
    for place, base in (("probe", agent.probe), ("resync", resync)):
        for path, item in doc["paths"].items():
            for method, op in item.items():
                status = send(base, method.upper(), path.replace("{", "").replace("}", ""))[0]
                test("%s %s is at %s or not" % (method, path, place),
                     (status != 404) == (place in op["tags"]) or ["%d" % status])
