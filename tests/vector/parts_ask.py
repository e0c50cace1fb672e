"""What the running agent answers: `kindred export` holds what the API server's objects say, redacted;
`kindred search` asks the database that is configured."""

import copy
import json
import re

import make
import rig as r
import truth

MASK = "[redacted]"
DROPPED = ("kubectl.kubernetes.io/", "meta.helm.sh/", "helm.sh/", "deployment.kubernetes.io/",
           "control-plane.alpha.kubernetes.io/", "kubernetes.io/")
BARE = ("Secret", "ConfigMap")      # of which metadata alone is read


def pruned(o):
    """What an object is without its noise."""
    o = copy.deepcopy(o)
    if o["kind"] in BARE:
        o = {k: v for k, v in o.items() if k in ("apiVersion", "kind", "metadata")}
    meta = o["metadata"]
    for k in ("managedFields", "selfLink"):
        meta.pop(k, None)
    kept = {k: v for k, v in meta.get("annotations", {}).items() if not k.startswith(DROPPED)}
    if meta.get("annotations") and not kept:
        del meta["annotations"]
    elif kept:
        meta["annotations"] = kept
    return o


def noted(ns):
    """A Service with an annotation of each noisy prefix, and one to keep."""
    return make.service("annotated", ns, annotations={p + "x": "gone" for p in DROPPED} | {"example.com/x": "kept"})


def masked(has, wants):
    """Whether `has` is the text `wants` with parts of it masked; JSON in a text may be written anew."""
    if not isinstance(wants, str):
        return has == MASK
    if re.fullmatch(".*".join(map(re.escape, has.split(MASK))), wants, re.DOTALL):
        return True
    try:
        return not unlike("", json.loads(has), json.loads(wants))
    except ValueError:
        return False


def unlike(path, has, wants):
    """Where the two differ by more than masks."""
    if isinstance(has, dict) and isinstance(wants, dict):
        out = ["%s.%s: only in one" % (path, k) for k in set(has) ^ set(wants)]
        return out + [x for k in set(has) & set(wants) for x in unlike("%s.%s" % (path, k), has[k], wants[k])]
    if isinstance(has, list) and isinstance(wants, list) and len(has) == len(wants):
        return [x for i, (a, b) in enumerate(zip(has, wants)) for x in unlike("%s[%d]" % (path, i), a, b)]
    if has == wants or isinstance(has, str) and MASK in has and masked(has, wants):
        return []
    return ["%s is %r, not %r" % (path, has, wants)]


def by_name(objects):
    return {(o["apiVersion"], o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]): o for o in objects}


def exported(agent, *args):
    code, out, err = agent.command("export", *args)
    return json.loads(out)["items"] if code == 0 else [err]


def export_differs(agent, api, args=(), wanted=lambda o: True):
    has = by_name(exported(agent, *args))
    wants = by_name(pruned(o) for o in truth.objects(api.url) if wanted(o))
    out = ["%s: only in one" % (k,) for k in set(has) ^ set(wants)]
    return out + [x for k in set(has) & set(wants) for x in unlike("/".join(map(str, k)), has[k], wants[k])]


def export(rig):
    api = r.Replay(rig)
    api.put(noted("shop"))
    agent = r.Agent(rig, api, "--resources", "on")
    problems = [["never looked"]]

    def same():
        try:
            problems[0] = export_differs(agent, api)
        except (OSError, KeyError, TypeError, ValueError) as e:     # it is not there yet
            problems[0] = [repr(e)]
        return not problems[0]

    r.until(same, every=0.3)
    rig.checks.test("it is the cluster's objects, masked", problems[0])
    every = exported(agent)
    rig.checks.test("each once", len(by_name(every)) == len(every) > 300 or [len(every)])
    rig.checks.test("with masks", MASK in json.dumps(every))
    rig.checks.test("of a kind", export_differs(agent, api, ("--kind", "services"), lambda o: o["kind"] == "Service"))
    rig.checks.test("of a namespace", export_differs(agent, api, ("-n", "shop"),
                                                     lambda o: o["metadata"].get("namespace") == "shop"))
    code, out, _ = agent.command("export", "--kind", "services", "-o", "yaml")
    names = re.findall(rb"^  name: (\S+)$", out, re.MULTILINE)
    services = exported(agent, "--kind", "services")
    rig.checks.test("in YAML, as many", code == 0 and out.count(b"---\n") == len(services) and
                    [n.decode() for n in names] == [o["metadata"]["name"] for o in services] or [code, names])


def found(agent, *args):
    code, out, err = agent.command("search", "-o", "json", *args)
    return json.loads(out) if code == 0 else [{"error": [code, err]}]


def search(rig, api, agent, what, holds, exact=True):
    """`kindred search` asks this agent's database for words that no other objects have. `exact`: the
    database looks at all vectors; an approximate index may miss some."""
    shop = ["zebra-crossing-%d" % i for i in range(4)]
    api.put(*[make.deployment(name, "shop") for name in shop], make.deployment("zebra-crossing", "other"),
            make.service("zebra-crossing", "shop"))
    mine = {"shop/apps/v1/Deployment/" + name for name in shop}
    every = mine | {"other/apps/v1/Deployment/zebra-crossing", "shop/v1/Service/zebra-crossing"}
    r.until(lambda: every <= set(holds()))

    def right(hits, wants):
        ids = [h.get("id") for h in hits[:len(wants)]]
        return set(ids) == wants if exact else ids[:1] and ids[0] in wants

    hits = found(agent, "zebra", "crossing", "-n", "6")
    rig.checks.test(what + ": what the words say is found first", len(hits) == 6 and right(hits, every) or hits)
    hits = found(agent, "zebra crossing", "--kind", "Deployment", "--namespace", "shop")
    rig.checks.test(what + ": of a kind and a namespace", right(hits, mine) and
                    {(h["kind"], h["namespace"]) for h in hits} == {("Deployment", "shop")} or hits)
    code, out, err = agent.command("search", "zebra crossing")
    rig.checks.test(what + ": as a table", code == 0 and b"zebra-crossing" in out or [code, out, err])
