"""Databases and embedders by their stand-ins, with everything that may go wrong: in the end equal,
and nothing embedded twice that did not change."""

import json
import subprocess

import make
import parts_ask as questions
import rig as r
import truth

NOTES_MAX = 64 << 10    # bytes of an object's annotations
PROBE = "kubernetes"    # what an embedder is asked first, for its dimension


def texts(fake):
    """Texts that the embedder was asked for and answered."""
    out = []
    for q in fake.requests():
        if q["method"] != "POST" or q["status"] != 200 or "/infer" in q["path"] and "body" not in q:
            continue
        body = json.loads(q["body"])
        asked = body["input"] if "input" in body else body["inputs"][0].get("data", [])
        out += [t for t in asked if t != PROBE]
    return out


def count(fake, part, method=None):
    return len([q for q in fake.requests() if part in q["path"] and
                method in (None, q["method"])])


def touch(rig, api, n=12, ns="shop"):
    """Changes the text of some objects."""
    api.put(*[make.service("touched-%d" % i, ns, 8000 + rig.random.randrange(999))
              for i in range(n)])


def settle(agent):
    return bool(r.until(lambda: agent.settled())) or agent.sinks()


# What an answer of Qdrant may be, and where.
QDRANT_FAULTS = (
    [{"path": "/points", "method": "PUT", **f} for f in (
        {"status": 429, "body": "slower", "headers": {"Retry-After": 1}}, {"status": 503},
        {"status": 413, "body": "too large"}, {"half": True}, {"reset": True}, {"cut": True},
        {"wrong": "no-result"}, {"wrong": "list"}, {"wrong": "acknowledged"},
        {"wrong": "wait_timeout"}, {"status": 200, "body": "<html>login</html>", "type": "text/html"},
        {"status": 500, "body": {"status": {"error": "disk"}, "time": 0}})] +
    [{"path": "/points/delete", **f} for f in (
        {"status": 503}, {"half": True}, {"status": 429, "headers": {"Retry-After": 1}})])

OPENAI_FAULTS = [{"path": "/v1/embeddings", **f} for f in (
    {"status": 429, "headers": {"Retry-After": 1}}, {"status": 503}, {"status": 413}, {"half": True},
    {"reset": True}, {"wrong": "count"}, {"wrong": "extra"}, {"wrong": "index"}, {"wrong": "nan"},
    {"wrong": "nan-base64"}, {"wrong": "zero"}, {"wrong": "overflow"}, {"wrong": "uneven"},
    {"wrong": "no-data"})]


def said_of(fault):
    return ", ".join("%s" % (v if k in ("status", "wrong") else k) for k, v in fault.items()
                     if k in ("status", "wrong", "half", "reset", "cut"))


def troubled(rig, api, agent, fake, faults, holds, bunch=3):
    """Each fault strikes once while objects change and go. In bunches, for each costs a pause."""
    for i in range(0, len(faults), bunch):
        some = faults[i:i + bunch]
        for f in some:
            fake.fault(times=1, **f)
        touch(rig, api)
        api.put(*[make.config_map("gone-%d" % n, "shop") for n in range(3)])
        r.until(agent.settled)
        for n in range(3):
            api.drop("v1", "ConfigMap", "gone-%d" % n, "shop")
        rig.compare("equal after " + "; ".join(said_of(f) for f in some), holds, api, agent.settled)
    left = [q for q in fake.requests() if q["status"] == 200]
    rig.checks.test("requests were answered in between", bool(left))


def qdrant(rig):
    api = r.Replay(rig)
    db, model = r.Fake(rig, "qdrant", keep=True), r.Fake(rig, "openai", keep=True)
    args = ("--vector", "qdrant:" + db.url, "--embed", "openai:" + model.url, "--embed-model",
            "test-model", "--embed-batch", "100")
    agent = r.Agent(rig, api, *args)

    def holds():
        return r.qdrant_rows(db)

    rig.compare("documents equal the cluster's objects", holds, api, agent.settled)
    n = len(holds())
    asked = texts(model)
    rig.checks.test("each text is embedded once", len(asked) == n or [len(asked), n])
    most = 11 * n / 1000 + 2    # what does not fill a batch goes after its time, all the same
    writes = count(db, "/points", "PUT")
    rig.checks.test("at most 11 requests a thousand documents", writes <= most or [writes, n])

    db.clear()
    model.clear()
    agent.end()
    agent = r.Agent(rig, api, *args)
    rig.compare("after a restart", holds, api, agent.settled)
    rig.checks.test("which embeds and writes nothing", texts(model) == [] and
                    agent.idle() == [] or [texts(model)[:3], agent.idle()])

    model.clear()
    db.clear()
    api.put(make.service("noted", "shop", 80, annotations={"example.com/ticket": "4711"}))
    rig.compare("a new object", holds, api, agent.settled)
    rig.checks.test("is embedded once", len(texts(model)) == 1 or texts(model))
    vectors = vectors_of(db)
    model.clear()
    api.put(make.service("noted", "shop", 80, annotations={"example.com/ticket": "4712"}))
    r.until(lambda: count(db, "/points/batch"))
    settle(agent)
    rig.checks.test("a change of metadata alone writes the payload and embeds nothing",
                    count(db, "/points/batch") == 1 and texts(model) == [] and
                    vectors_of(db) == vectors or [texts(model), db.requests()[-3:]])

    troubled(rig, api, agent, db, QDRANT_FAULTS, holds)
    troubled(rig, api, agent, model, OPENAI_FAULTS, holds)
    wrong_dimension(rig, api, agent, model, holds)
    aside(rig, api, agent, holds)
    collection_gone(rig, api, agent, db, holds)
    rig.checks.test("no complaints of the database", db.complaints())
    rig.checks.test("no complaints of the embedder", model.complaints())
    agent.end()
    other_model(rig, api, db, holds)


def vectors_of(db):
    return {k: p["vector"] for k, p in db.dump()["kindred"]["points"].items()}


def wrong_dimension(rig, api, agent, model, holds):
    """An answer of another dimension stops the writing, says so, and is over when it is over."""
    before = len(holds())
    model.fault(times=0, path="/v1/embeddings", wrong="dimension")
    touch(rig, api)
    s = r.until(lambda: (agent.sink() or {}).get("health") == "mismatch" and agent.sink()) or {}
    rig.checks.test("another dimension is refused in words",
                    "384" in s.get("reason", "") and "385" in s.get("reason", "") or [s])
    rig.checks.test("and costs no document", len(holds()) >= before)
    model.clear()
    agent.json("/api/v1/resync", "POST")
    rig.compare("equal when the dimension is right again", holds, api, agent.settled)


def aside(rig, api, agent, holds):
    """A text that the embedder refuses costs this document alone."""
    api.put(*[make.service("fine-%d" % i, "shop", 70 + i) for i in range(5)],
            make.service("refuse-me", "shop"))
    s = r.until(lambda: agent.settled() and agent.sink()["quarantined"] == 1 and agent.sink())
    quarantine = (s or {}).get("quarantine") or [{}]
    rig.checks.test("a document that is refused is set aside with its reason",
                    quarantine[0].get("id") == "shop/v1/Service/refuse-me" and
                    "tokenized" in quarantine[0].get("reason", "") or [s, agent.sinks()])
    code, out, _ = agent.command("sinks")
    rig.checks.test("and shown", code == 0 and b"refuse-me" in out or [code, out])
    wants = truth.documents(api.url)
    rig.checks.test("alone", sorted(set(wants) ^ set(holds())) == ["shop/v1/Service/refuse-me"])
    api.drop("v1", "Service", "refuse-me", "shop")
    rig.compare("equal without it", holds, api, agent.settled)
    rig.checks.test("nothing is set aside any more", agent.sink()["quarantined"] == 0)


def collection_gone(rig, api, agent, db, holds):
    db.control("drop", {})
    touch(rig, api)
    rig.compare("a collection that was dropped is made and filled again", holds, api, agent.settled)


def other_model(rig, api, db, holds):
    """Another model is refused, or has a collection of its own."""
    before = db.dump()
    db.clear()
    agent = r.Agent(rig, api, "--vector", "qdrant:" + db.url, "--embed", "hash:384")
    s = r.until(lambda: (agent.sink() or {}).get("health") == "mismatch" and agent.sink()) or {}
    words = s.get("reason", "")
    rig.checks.test("another model is refused in words that name both, and the way out",
                    all(w in words for w in ("test-model", "hash", "--reembed")) or [s, agent.log()])
    rig.checks.test("and nothing is written", db.dump() == before and
                    count(db, "/points", "PUT") == 0)
    agent.end()
    agent = r.Agent(rig, api, "--vector", "qdrant:" + db.url, "--embed", "hash:384", "--reembed")
    r.until(agent.settled)
    new = [c for c in db.dump() if c != "kindred"]
    rig.checks.test("--reembed makes a new collection", len(new) == 1 or new)
    if new:
        rig.compare("which equals the cluster", lambda: r.qdrant_rows(db, new[0]), api, agent.settled)
    rig.checks.test("and the old one stays", db.dump()["kindred"] == before["kindred"])
    agent.end()


def embedders(rig):
    """Triton, in JSON and in binary, with SQLite behind."""
    api = r.Replay(rig)
    for binary in (False, True):
        model, db = r.Fake(rig, "triton", keep=not binary), rig.path("store.db")
        agent = r.Agent(rig, api, "--vector", "sqlite:" + db, "--embed", "triton:" + model.url,
                        "--embed-model", "embedder", *(["--embed-binary"] if binary else []))
        how = "in binary" if binary else "in JSON"

        def holds(db=db):
            return r.sqlite_rows(db)

        rig.compare("equal, " + how, holds, api, agent.settled)
        if not binary:
            n = len(texts(model))
            rig.checks.test("each text is embedded once", n == len(holds()) or [n, len(holds())])
        spoilt = ("count", "shape", "zero", "text", "nan", "no-output") if not binary else \
            ("header", "short", "nan")
        faults = [{"path": "/infer", "wrong": w} for w in spoilt]
        faults += [{"path": "/infer", "status": 503}, {"path": "/infer", "half": True}]
        troubled(rig, api, agent, model, faults, holds, 4)
        rig.checks.test("no complaints, " + how, model.complaints())
        agent.end()


def annotations_differ(db, api):
    """They are told whole or, when they are many, not at all."""
    def wanted(o):
        notes = questions.pruned(o)["metadata"].get("annotations", {})
        return notes if len(json.dumps(notes)) < NOTES_MAX else {}

    has = {i: d["annotations"] for i, d in db.dump().items()}
    wants = {truth.document(o, {}, None, False)[0]: wanted(o) for o in truth.objects(api.url)}
    return questions.unlike("", has, wants) if any(wants.values()) else ["there are none"]


def receiver(rig):
    """cluster-whisperer's sync: it embeds by itself, and cannot be asked what it holds."""
    api = r.Replay(rig)
    db, ledger = r.Fake(rig, "whisperer", keep=True), rig.path("ledger.db")
    args = ("--vector", "http:" + db.url + "/api/v1/instances/sync", "--ledger", ledger)
    agent = r.Agent(rig, api, *args)

    def holds():
        """With what the payload has."""
        wants = truth.documents(api.url)
        out = {}
        for i, d in db.dump().items():
            labels = d["labels"]
            row = dict(wants.get(i, {}), name=d["name"], kind=d["kind"], api_version=d["apiVersion"],
                       api_group=d["apiGroup"], created_at=d["createdAt"],
                       namespace=None if d["namespace"] == "_cluster" else d["namespace"],
                       labels="," + ",".join("%s=%s" % (k, labels[k]) for k in sorted(labels)) + ","
                       if labels else None)
            out[i] = row
        return out

    api.put(questions.noted("shop"))
    rig.compare("instances equal the cluster's objects", holds, api, agent.settled)
    rig.checks.test("and have their annotations, without noise", annotations_differ(db, api))
    faults = [{"status": 429, "headers": {"Retry-After": 1}}, {"status": 503}, {"status": 413},
              {"half": True}, {"reset": True}, {"wrong": "later"}, {"wrong": "list"}]
    troubled(rig, api, agent, db, faults, holds, 4)
    db.clear()
    agent.end()
    agent = r.Agent(rig, api, *args)
    rig.compare("after a restart", holds, api, agent.settled)
    rig.checks.test("which sends nothing", count(db, "/sync") == 0 or db.requests())
    api.drop("v1", "Service", "touched-1", "shop")
    rig.compare("a deletion is told", holds, api, agent.settled)
    rig.checks.test("no complaints", db.complaints())


def content(rig):
    """--id content: a document has another id at each change, and the former one goes."""
    api = r.Replay(rig)
    db = r.Fake(rig, "qdrant")
    store = rig.path("store.db")
    args = ("--vector", "qdrant:" + db.url, "--vector", "sqlite:" + store, "--embed", "hash:384",
            "--id", "content")
    agent = r.Agent(rig, api, *args)
    problems = []

    def by_path(rows):
        """By the path, for the comparison; what is wrong with the ids is noted."""
        out = {}
        for i, d in rows.items():
            path = "/".join((d["namespace"] or "_cluster", d["api_version"], d["kind"], d["name"]))
            if path in out:
                out[path + " again"] = d
            out[path] = d
            if i != d["content_id"] or len(i) != 64:
                problems.append("%s has id %s, content %s" % (path, i, d["content_id"]))
        return out

    def settled():
        return agent.settled(2)

    def same(name):
        problems.clear()
        rig.compare(name + ", qdrant", lambda: by_path(r.qdrant_rows(db)), api, settled)
        rig.compare(name + ", sqlite", lambda: by_path(r.sqlite_rows(store)), api, settled)
        rig.checks.test(name + ": ids are those of the content", list(problems))

    same("each object has one document")
    agent.end()
    agent = r.Agent(rig, api, *args)
    rig.checks.test("a restart embeds and writes nothing", bool(r.until(settled)) and
                    agent.idle() == [] or [agent.idle()])
    for i in range(3):
        touch(rig, api, 20)
        api.put(*[make.config_map("c-%d" % n, "shop", labels={"round": str(i)}) for n in range(20)])
        if i == 1:
            agent.end()
            agent = r.Agent(rig, api, *args)
    api.drop("v1", "ConfigMap", "c-3", "shop")
    same("after changes and a restart")
    rig.checks.test("no complaints", db.complaints())


def chroma(rig):
    """A real server, where its package can be had."""
    script = r.os.path.join(r.TESTS, "fake/chroma.sh")
    try:
        got = subprocess.run(["sh", script, "install"], capture_output=True, text=True, check=False,
                             timeout=240)
    except subprocess.TimeoutExpired:
        rig.checks.skip("chroma", "its package did not come in time (cannot run here)")
        return
    if got.returncode:
        rig.checks.skip("chroma", got.stdout.strip().replace("skipped: ", ""))
        return
    with r.socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    url = "http://127.0.0.1:%d" % port
    folder = rig.path("chroma")

    def start():
        p = r.Process(["sh", script, "run", folder, str(port)], rig.path("chroma.log"))
        rig.own(p)
        return p

    server = start()
    api = r.Replay(rig)
    args = ("--vector", "chroma:" + url, "--embed", "hash:384")
    agent = r.Agent(rig, api, *args)
    base = url + "/api/v2/tenants/default_tenant/databases/default_database/collections/"

    def holds():
        status, answer = r.ask(base + "kindred")
        if status != 200:
            return {}
        c = json.loads(answer)["id"]
        status, answer = r.ask(base + c + "/get", "POST", {"include": ["metadatas"]},
                               {"Content-Type": "application/json"})
        rows = json.loads(answer)
        return dict(zip(rows["ids"], rows["metadatas"]))

    rig.compare("documents equal the cluster's objects", holds, api, agent.settled)
    touch(rig, api)
    api.put(*[make.config_map("c-%d" % n, "shop") for n in range(10)])
    r.until(agent.settled)
    for n in range(10):
        api.drop("v1", "ConfigMap", "c-%d" % n, "shop")
    server.end()
    touch(rig, api, 10)
    server = start()
    rig.compare("after changes and an end of the server", holds, api, agent.settled)
    agent.end()
    agent = r.Agent(rig, api, *args)
    rig.compare("after a restart", holds, api, agent.settled)
    rig.checks.test("which embeds and writes nothing", agent.idle())
    questions.search(rig, api, agent, "chroma", holds, exact=False)
