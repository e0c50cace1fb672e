"""Neo4j's HTTP transaction endpoint, POST /db/NAME/tx/commit, for the statements that the graph sink
is known to send: each is carried out on a small graph in memory, anything else is a syntax error, as
are parameters that no property could hold. One request is one transaction. See fake.py for how it
is started and told to fail; besides, /_fake/set {"fail_with": [CODE, TIMES]} answers 200 with an error
of that code.
"""

import copy
import re

from fake import Fake, Refuse, serve

EDGE = re.compile(
    r"UNWIND \$rows AS r MERGE \(a:Resource \{key: r\.from\}\) ON CREATE SET a \+= r\.from_new "
    r"MERGE \(b:Resource \{key: r\.to\}\) ON CREATE SET b \+= r\.to_new "
    r"CREATE \(a\)-\[e:([A-Z_]+)\]->\(b\) SET e = r\.props")
OLD = ("MATCH (n:Resource {cluster: $cluster, group: $group, kind: $kind, present: true}) "
       "WHERE n.epoch < $epoch ")
GONE = ("epoch", "uid", "state", "since", "labels")


class CypherError(Exception):
    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


def wrong(message):
    raise CypherError("Neo.ClientError.Statement.TypeError", message)


def check_props(props):
    for k, v in props.items():
        scalar = isinstance(v, (str, int, float, bool))
        texts = isinstance(v, list) and all(isinstance(x, str) for x in v)
        if not k or not (scalar or texts):
            wrong(f"Property values can only be of primitive types or arrays thereof: {k}={v!r}")


class Graph:
    def __init__(self):
        self.nodes, self.edges, self.states = {}, [], {}
        self.schema = set()

    # --- what statements do ---

    def drop_edges(self, p):
        keys = set(p["keys"])
        self.edges = [e for e in self.edges
                      if not (e["props"].get("source") in keys and
                              e["props"]["source"] in (e["from"], e["to"]))]

    def detach(self, keys):
        self.edges = [e for e in self.edges if e["from"] not in keys and e["to"] not in keys]
        for k in keys:
            self.nodes.pop(k, None)

    def drop_parts(self, p):
        owners = set(p["keys"])
        self.detach({k for k, n in self.nodes.items() if n.get("owner") in owners})

    def drop_states(self, p):
        keys = set(p["keys"])
        self.states = {i: s for i, s in self.states.items() if not s["of"] & keys}

    def be_missing(self, p):
        for k in p["keys"]:
            n = self.nodes.get(k)
            if n:
                n["present"] = False
                for name in GONE:
                    n.pop(name, None)

    def set_nodes(self, p):
        for r in p["rows"]:
            check_props(r["props"])
            if r["props"].get("key") != r["key"]:
                wrong("key and props.key differ")
            self.nodes[r["key"]] = dict(r["props"])

    def set_states(self, p):
        for r in p["rows"]:
            check_props(r["props"])
            if r["key"] in self.nodes:
                self.states.setdefault(r["id"], {"of": set(), "props": r["props"]})
                self.states[r["id"]]["of"].add(r["key"])

    def set_edges(self, kind, p):
        for r in p["rows"]:
            for end, new in (("from", "from_new"), ("to", "to_new")):
                check_props(r[new])
                self.nodes.setdefault(r[end], dict(r[new]))
            check_props(r["props"])
            self.edges.append({"type": kind, "from": r["from"], "to": r["to"],
                               "props": r["props"]})

    def lonely(self):
        tied = {e["from"] for e in self.edges} | {e["to"] for e in self.edges}
        for s in self.states.values():
            tied |= s["of"]
        return {k for k in self.nodes if k not in tied}

    def prune(self, p, **want):
        for k in self.lonely():
            n = self.nodes[k]
            if n.get("cluster") == p["cluster"] and all(n.get(a) is b for a, b in want.items()):
                del self.nodes[k]

    def old(self, p):
        return [k for k, n in self.nodes.items()
                if n.get("cluster") == p["cluster"] and n.get("group") == p["group"] and
                n.get("kind") == p["kind"] and n.get("present") is True and
                n.get("epoch", p["epoch"]) < p["epoch"]]

    def statements(self):
        keys = "UNWIND $keys AS k "
        return {
            keys + "MATCH (:Resource {key: k})-[e]-() WHERE e.source = k DELETE e":
                (("keys",), self.drop_edges),
            keys + "MATCH (p:Resource {owner: k}) DETACH DELETE p": (("keys",), self.drop_parts),
            keys + "MATCH (:Resource {key: k})-[:TRANSITIONED_TO]->(s:State) DETACH DELETE s":
                (("keys",), self.drop_states),
            keys + "MATCH (n:Resource {key: k}) SET n.present = false "
            "REMOVE n.epoch, n.uid, n.state, n.since, n.labels": (("keys",), self.be_missing),
            "UNWIND $rows AS r MERGE (n:Resource {key: r.key}) SET n = r.props":
                (("rows",), self.set_nodes),
            "UNWIND $rows AS r MATCH (n:Resource {key: r.key}) MERGE (s:State {id: r.id}) "
            "ON CREATE SET s += r.props MERGE (n)-[:TRANSITIONED_TO]->(s)":
                (("rows",), self.set_states),
            "MATCH (n:Resource {cluster: $cluster, present: false}) WHERE NOT (n)--() DELETE n":
                (("cluster",), lambda p: self.prune(p, present=False)),
            "MATCH (n:Resource {cluster: $cluster, virtual: true}) WHERE NOT (n)--() DELETE n":
                (("cluster",), lambda p: self.prune(p, virtual=True)),
            OLD + "MATCH (n)-[e]-() WHERE e.source = n.key DELETE e":
                (("cluster", "group", "kind", "epoch"),
                 lambda p: self.drop_edges({"keys": self.old(p)})),
            OLD + "MATCH (p:Resource {owner: n.key}) DETACH DELETE p":
                (("cluster", "group", "kind", "epoch"),
                 lambda p: self.drop_parts({"keys": self.old(p)})),
            OLD + "MATCH (n)-[:TRANSITIONED_TO]->(s:State) DETACH DELETE s":
                (("cluster", "group", "kind", "epoch"),
                 lambda p: self.drop_states({"keys": self.old(p)})),
            OLD + "SET n.present = false REMOVE n.epoch, n.uid, n.state, n.since, n.labels":
                (("cluster", "group", "kind", "epoch"),
                 lambda p: self.be_missing({"keys": self.old(p)})),
        }

    def run(self, text, parameters):
        if re.fullmatch(r"CREATE (CONSTRAINT|INDEX) \w+ IF NOT EXISTS FOR \(\w:\w+\) "
                        r"(REQUIRE \w\.\w+ IS UNIQUE|ON \(\w\.\w+\))", text):
            self.schema.add(text)
            return
        edge = EDGE.fullmatch(text)
        names, run = (("rows",), lambda p: self.set_edges(edge[1], p)) if edge else \
            self.statements().get(text, (None, None))
        if not run:
            raise CypherError("Neo.ClientError.Statement.SyntaxError", f"Invalid input: {text}")
        for n in names:
            if n not in parameters:
                raise CypherError("Neo.ClientError.Statement.ParameterMissing",
                                  f"Expected parameter(s): {n}")
        try:
            run(parameters)
        except (KeyError, TypeError, AttributeError) as e:
            wrong(f"{type(e).__name__} {e} in {text}")


class Neo4j(Fake):
    graph = Graph()
    fail_with = None
    max_rows = 0  # rows a statement; over it the transaction is refused

    def unauthorized(self, _r):
        return Refuse(401, {"errors": [{"code": "Neo.ClientError.Security.Unauthorized",
                                        "message": "Invalid username or password."}]})

    def dump(self):
        g = self.graph
        return {"nodes": g.nodes, "edges": g.edges, "schema": sorted(g.schema),
                "states": [s["props"] for s in g.states.values()]}

    def failed(self, code, message):
        return 200, {"results": [], "errors": [{"code": code, "message": message}]}

    def route(self, r):
        if r.path != "/db/graph/tx/commit":
            raise Refuse(404, {"errors": [{"code": "Neo.ClientError.Database.DatabaseNotFound",
                                           "message": "The database requested does not exist."}]})
        if r.method != "POST":
            raise Refuse(405, "Method Not Allowed", "text/plain")
        q = r.json()
        if set(q) != {"statements"} or not isinstance(q["statements"], list):
            self.complain(f"body has {sorted(q)}")
        if self.fail_with and self.fail_with[1] > 0:
            self.fail_with[1] -= 1
            return self.failed(self.fail_with[0], "on order")
        return self.commit(q["statements"])

    def commit(self, statements):
        trial = copy.deepcopy(self.graph)
        for s in statements:
            if set(s) != {"statement", "parameters"}:
                self.complain(f"statement has {sorted(s)}")
            if self.max_rows and len(s["parameters"].get("keys", [])) > self.max_rows:
                return self.failed("Neo.ClientError.General.TransactionOutOfMemoryError", "too much")
            try:
                trial.run(s["statement"], s["parameters"])
            except CypherError as e:
                self.complain(f"{e.code}: {e}")
                return self.failed(e.code, str(e))
        self.graph = trial
        return 200, {"results": [{"columns": [], "data": []} for _ in statements], "errors": []}


serve(Neo4j)
