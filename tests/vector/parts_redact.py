"""Canaries: texts that must never leave, put wherever a cluster hides secrets, and searched for in
every byte that leaves the agent."""

import base64
import glob
import os

import make
import rig as r


class Canaries:
    """Each has a core of its own, which is searched for alone and in base64."""

    def __init__(self, random):
        self.random, self.where = random, {}

    def core(self, where, n=12, alphabet="ABCDEFGHJKLMNPQRSTUVWXYZ23456789"):
        text = "".join(self.random.choice(alphabet) for _ in range(n))
        self.where[text] = where
        return text

    def found(self, data):
        out = []
        for text, where in self.where.items():
            forms = [text.encode()] + [base64.b64encode(text.encode()).rstrip(b"=")[:-1]]
            out += ["%s (%s)" % (text, where) for f in forms if f in data]
        return out


def objects(c):
    """Everything that hides something."""
    b64 = lambda t: base64.b64encode(t.encode()).decode()
    jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI%s.%s" % (c.core("JWT"), c.core("JWT's signature", 30))
    pem = "-----BEGIN RSA PRIVATE KEY-----\n%s\n%s\n-----END RSA PRIVATE KEY-----" % (
        c.core("PEM", 40), c.core("PEM, second line", 40))
    userinfo = "postgres://app:%s@db.shop:5432/x" % c.core("URL userinfo")
    bearer = "Authorization: Bearer %s" % c.core("bearer", 24)
    key = "AKIA" + c.core("AKIA key", 16)
    slack = "xox" + "b-1234567890-%s" % c.core("Slack", 20)
    forge = "ghp_" + c.core("GitHub", 36)
    web = make.deployment("leaky", "shop")
    main = web["spec"]["template"]["spec"]["containers"][0]
    main["env"] = [{"name": "DB_PASSWORD", "value": c.core("env of a telling name")},
                   {"name": "GREETING", "value": c.core("env of a harmless name")},
                   {"name": "DSN", "value": userinfo}]
    main["args"] = ["--password", c.core("arg after --password"),
                    "--token=" + c.core("arg --token="), "--url=" + userinfo, "--verbose"]
    main["command"] = ["sh", "-c", "curl -H '%s' -u me:%s http://x" % (bearer, c.core("curl -u"))]
    web["metadata"]["annotations"] = {
        "kubectl.kubernetes.io/last-applied-configuration": '{"x":"%s"}' % c.core("last-applied"),
        "example.com/note": "see " + userinfo, "example.com/key": key,
        "description": "call with %s" % bearer}
    service = make.service("leaky", "shop", annotations={"example.com/jwt": jwt,
                                                         "example.com/forge": forge})
    spec = {"endpoint": userinfo, "auth": {"header": bearer, "password": c.core("spec.password"),
                                           "apiKey": c.core("spec.apiKey")},
            "tls": pem, "token": jwt, "aws": {"id": key}, "hook": slack,
            "list": ["--secret=" + c.core("--secret= in a list"), pem]}
    return [
        make.secret("leaky", "shop", data={"password": b64(c.core("Secret data"))},
                    stringData={"token": c.core("Secret stringData")}),
        make.config_map("leaky", "shop", {"app.conf": "password = " + c.core("ConfigMap value"),
                                          "plain": c.core("ConfigMap plain value")}),
        web, service, make.crd("leaks", "Leak"), make.custom("Leak", "leaky", "shop", spec)]


def leaves(rig, agent, fakes):
    """(what, bytes) of everything that leaves."""
    for f in fakes:
        yield f.name, b"\n".join((q["path"] + q.get("body", "")).encode() for q in f.requests())
        yield f.name + "'s contents", repr(f.dump()).encode()
    yield "/metrics", agent.raw("/metrics")[1]
    yield "/api/v1/resources", agent.raw("/api/v1/resources")[1]
    yield "/api/v1/resources/*", agent.raw("/api/v1/resources/*")[1]
    yield "kindred export -o json", b"".join(agent.command("export", "-o", "json")[1:])
    yield "kindred export -o yaml", b"".join(agent.command("export", "-o", "yaml")[1:])
    yield "kindred sinks", b"".join(agent.command("sinks")[1:])
    for path in glob.glob(rig.work + "/*"):
        if os.path.isfile(path) and "replay" not in path:
            with open(path, "rb") as f:
                yield os.path.basename(path), f.read()


def canaries(rig):
    api = r.Replay(rig)
    fakes = [r.Fake(rig, n, keep=True) for n in ("qdrant", "whisperer", "openai")]
    qdrant, whisperer, openai = fakes
    for args in ((), ("--whole", "secrets,configmaps", "--document", "json",
                      "--document-status", "--keep-config-values", "--keep-env-values")):
        how = " ".join(args) or "by default"
        c, store = Canaries(rig.random), rig.path("store.db")
        qdrant.control("drop", {})
        agent = r.Agent(rig, api, "--vector", "sqlite:" + store, "--vector", "qdrant:" + qdrant.url,
                        "--vector", "http:" + whisperer.url + "/api/v1/instances/sync",
                        "--embed", "openai:" + openai.url, "--embed-model", "test-model", *args,
                        level="debug")
        every = objects(c)
        if "--keep-env-values" in args:     # harmless ones are asked for
            c.where = {k: w for k, w in c.where.items() if "harmless" not in w and "plain" not in w}
        api.put(*every)
        rig.compare("equal, " + how, lambda s=store: r.sqlite_rows(s), api,
                    lambda a=agent: a.settled(3))
        openai.fault(times=2, path="/v1/embeddings", status=400, body={"error": {
            "message": "cannot embed %s of %s" % (every[2]["metadata"]["annotations"]["description"],
                                                  every[5]["spec"]["endpoint"])}})
        api.put(make.service("leaky", "shop", 81, annotations=every[3]["metadata"]["annotations"]))
        r.until(lambda a=agent: a.settled(3))
        seen = b""
        for what, data in leaves(rig, agent, fakes):
            rig.checks.test("no canary in %s, %s" % (what, how), c.found(data))
            seen += data
        rig.checks.test("what surrounds them is there, " + how, b"leaky" in seen and
                        b"[redacted]" in seen)
        agent.end()
