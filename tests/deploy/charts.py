"""What the tests of deploy/ share: counted tests, the chart as helm renders it, and what an object of
it says."""

import os
import subprocess
import sys
import tempfile
import traceback

import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
CHART = os.path.join(ROOT, "deploy", "helm", "kindred")
MANIFESTS = os.path.join(ROOT, "deploy", "manifests")


class Skip(Exception):
    """A test that cannot run here; the text says why."""


def run(tests):
    """Runs functions of no arguments; their docstrings say what they prove. The exit code."""
    failed = skipped = 0
    for test in tests:
        try:
            test()
        except Skip as e:
            skipped += 1
            print("skipped: %s: %s (cannot run here)" % (test.__name__, e))
        except Exception as e:
            failed += 1
            text = str(e) if isinstance(e, AssertionError) and str(e) else traceback.format_exc()
            print("FAILED %s: %s\n    %s" % (test.__name__, test.__doc__, text.replace("\n", "\n    ")))
    print("%d passed, %d failed, %d skipped" % (len(tests) - failed - skipped, failed, skipped))
    return 1 if failed else 77 if skipped == len(tests) else 0


class Plain:
    """Where there is no helm: what it renders of the default values is in deploy/manifests."""

    program = None

    def __init__(self):
        self.work = tempfile.TemporaryDirectory(prefix="kindred-deploy.")

    def render(self, values):
        if values:
            raise Skip("no helm")
        objects = Objects("")
        for name in sorted(os.listdir(MANIFESTS)):
            if name not in ("kustomization.yaml", "namespace.yaml"):
                with open(os.path.join(MANIFESTS, name)) as f:
                    objects += Objects(f.read())
        return objects

    def refusal(self, values):
        raise Skip("no helm")

    def call(self, *args):
        raise Skip("no helm")


class Helm:
    def __init__(self, program):
        self.program = program
        self.work = tempfile.TemporaryDirectory(prefix="kindred-deploy.")

    def call(self, *args):
        return subprocess.run((self.program,) + args, capture_output=True, text=True)

    def template(self, values):
        """The finished process of `helm template` with these values on top of the chart's."""
        path = os.path.join(self.work.name, "values.yaml")
        with open(path, "w") as f:
            yaml.safe_dump(values, f)
        return self.call("template", "kindred", CHART, "--namespace", "kindred",
                         "--kube-version", "1.33.0", "--values", path)

    def render(self, values):
        """The objects; a refusal is a failed test."""
        done = self.template(values)
        assert done.returncode == 0, "%s: %s" % (values, done.stderr)
        return Objects(done.stdout)

    def refusal(self, values):
        """The words of it."""
        done = self.template(values)
        assert done.returncode != 0, "%s: is accepted" % (values,)
        return done.stderr


class Objects(list):
    """What a stream of YAML documents holds."""

    def __init__(self, text):
        super().__init__(d for d in yaml.safe_load_all(text) if d)

    def kinds(self):
        return {o["kind"] for o in self}

    def all(self, kind):
        return [o for o in self if o["kind"] == kind]

    def one(self, kind, name=None):
        found = [o for o in self.all(kind) if name in (None, o["metadata"]["name"])]
        assert len(found) == 1, "%d of %s %s" % (len(found), kind, name or "")
        return found[0]

    def pods(self):
        """(object, pod spec) of everything that makes pods."""
        return [(o, o["spec"]["template"]["spec"]) for o in self
                if o["kind"] in ("DaemonSet", "Deployment")]

    def config(self, role):
        """The options of a role, and their text."""
        text = self.one("ConfigMap", "kindred-" + role)["data"]["config.yaml"]
        return yaml.safe_load(text), text

    def permissions(self, account):
        """{(namespace or "", group, resource or URL, verb, object's name or "")} of an account, by all
        bindings."""
        out = set()
        for b in self.all("ClusterRoleBinding") + self.all("RoleBinding"):
            if not any(s["kind"] == "ServiceAccount" and s["name"] == account for s in b["subjects"]):
                continue
            place = b["metadata"].get("namespace", "")
            roles = [r for r in self.all(b["roleRef"]["kind"])
                     if r["metadata"]["name"] == b["roleRef"]["name"]
                     and r["metadata"].get("namespace", "") in ("", place)]
            assert len(roles) == 1, "%s: its role is not there" % b["metadata"]["name"]
            out |= {(place,) + r[1:] for r in rules(roles)}
        return out


def rules(roles):
    """The same of Roles and ClusterRoles."""
    return {(o["metadata"].get("namespace", ""), g, r, v, n) for o in roles for rule in o["rules"]
            for g in rule.get("apiGroups", [""])
            for r in rule.get("resources", rule.get("nonResourceURLs", []))
            for v in rule["verbs"] for n in rule.get("resourceNames", [""])}


def commands():
    """The lines of commands in the README's chapter on operating; some others are lines of a log."""
    with open(os.path.join(ROOT, "README.md")) as f:
        text = f.read()
    chapter = text[text.index("\n## Operate\n"):]
    chapter = chapter[:chapter.index("\n## ", 1)]
    return [line.strip() for line in chapter.splitlines() if line.startswith("    ") and not line.startswith("    info ")]


def need(program):
    """Argument `program` of the command line, NAME=PATH."""
    return dict(a.split("=", 1) for a in sys.argv[1:] if "=" in a)[program]


def helm():
    """By the argument of that name, which is empty where there is none."""
    program = need("helm")
    return Helm(program) if program else Plain()
