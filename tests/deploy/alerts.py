"""Alert rules and dashboard: they use metrics and labels that exist, and nothing else. test-alerts.sh
starts this with promtool=PATH (or empty), page=FILE (a running agent's /metrics) and whole=yes|no
(with flows or without)."""

import json
import os
import re
import subprocess
import sys
import tempfile

import yaml

import charts

FILES = os.path.join(charts.CHART, "files")
RULES = os.path.join(FILES, "alerts.yaml")
TESTS = os.path.join(charts.HERE, "alerts.test.yaml")
PROMTOOL, PAGE, WHOLE = charts.need("promtool"), charts.need("page"), charts.need("whole") == "yes"
# Prometheus gives these to everything it scrapes, or to itself.
SCRAPED = {"instance", "job", "node", "namespace", "pod", "le"}
ALWAYS = {"up": {"job", "instance"}}


def read(path):
    with open(path) as f:
        return f.read()


def page():
    """{family or series: labels} as a running agent prints them."""
    out = dict(ALWAYS)
    for line in read(PAGE).splitlines():
        m = re.match(r"# TYPE (\w+) (\w+)", line)
        if m:
            out.setdefault(m[1], set())
            for suffix in {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}.get(m[2], ()):
                out.setdefault(m[1] + suffix, set())
        m = re.match(r"(\w+)(?:\{(.*)\})? ", line)
        if m and not line.startswith("#"):
            out.setdefault(m[1], set()).update(re.findall(r'(\w+)="', m[2] or ""))
    return out


def table():
    """Names of the README's table of metrics."""
    text = read(os.path.join(charts.ROOT, "README.md"))
    text = text[text.index("<!-- metrics: begin -->"):text.index("<!-- metrics: end -->")]
    return set(re.findall(r"^\| `(\w+)`", text, re.M))


def rules():
    return [r for g in yaml.safe_load(read(RULES))["groups"] for r in g["rules"]]


def panels():
    return [p for p in json.loads(read(os.path.join(FILES, "dashboard.json")))["panels"] if p["type"] != "row"]


def expressions():
    """(where, PromQL)"""
    found = [(r["alert"], r["expr"]) for r in rules()]
    found += [(p["title"], t["expr"]) for p in panels() for t in p["targets"]]
    for v in json.loads(read(os.path.join(FILES, "dashboard.json")))["templating"]["list"]:
        if v["type"] == "query":
            found.append((v["name"], v["query"]["query"]))
    return found


def series(expr):
    """(metric, {label: matcher's value}) of each selector."""
    for m in re.finditer(r"\b(kindred_\w+|process_\w+|up)\b(?:\{([^}]*)\})?", expr):
        yield m[1], dict(re.findall(r'(\w+)\s*[=!]~?\s*"([^"]*)"', m[2] or ""))


def family(name):
    return re.sub(r"_(bucket|sum|count)$", "", name)


def test_metrics():
    """every metric of rules and dashboard is in the README's table and on a running agent's page"""
    known, printed, seen = table(), page(), set()
    for where, expr in expressions():
        names = [n for n, _ in series(expr)]
        assert names, "%s: no metric in %s" % (where, expr)
        for n in names:
            seen.add(n)
            assert n == "up" or {n, family(n)} & known, "%s: %s is not in the README" % (where, n)
            assert n in printed or not WHOLE, "%s: nobody prints %s" % (where, n)
    assert len(seen) > 40, seen


def test_labels():
    """labels that are matched and summed by are the metric's own, as far as it has series"""
    printed = page()
    for where, expr in expressions():
        own = [printed.get(n, set()) for n, _ in series(expr)]
        for n, matchers in series(expr):
            assert not printed.get(n) or set(matchers) <= printed[n] | SCRAPED, "%s: %s" % (where, matchers)
        for by in re.findall(r"\b(?:by|on) \(([^)]*)\)", expr) if all(own) else []:
            labels = {x.strip() for x in by.split(",")} - SCRAPED
            assert labels <= set().union(*own), "%s: by %s" % (where, labels)


def test_states():
    """values that are matched exist: states, causes and sides that an agent prints"""
    text = read(PAGE)
    for where, expr in expressions():
        for n, matchers in series(expr):
            for label, value in matchers.items():
                if label in SCRAPED or value.startswith("$") or not re.search(r"^%s\{" % n, text, re.M):
                    continue
                for v in value.split("|"):
                    there = re.search(r'^%s\{[^}]*\b%s="%s"' % (n, label, v), text, re.M)
                    assert there, "%s: %s=%s" % (where, label, v)


def test_rules_complete():
    """each alert has a severity, says what it is and what to do, and is tested silent and firing"""
    tests = yaml.safe_load(read(TESTS))["tests"]
    silent = {t["alertname"] for t in tests[0]["alert_rule_test"] if not t.get("exp_alerts")}
    firing = {t["alertname"] for t in tests[1]["alert_rule_test"] if t.get("exp_alerts")}
    names = [r["alert"] for r in rules()]
    assert len(set(names)) == len(names) and set(names) == silent == firing, (
        set(names) ^ silent, set(names) ^ firing)
    for r in rules():
        assert r["labels"]["severity"] in ("critical", "warning", "info"), r["alert"]
        assert r["annotations"]["summary"] and r["annotations"]["description"], r["alert"]


def test_promtool():
    """promtool finds nothing in the rules, and its tests of them pass"""
    done = subprocess.run([PROMTOOL, "check", "rules", "--lint-fatal", RULES], capture_output=True, text=True)
    assert done.returncode == 0 and "FAILED" not in done.stdout, done.stdout + done.stderr
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as f:
        f.write(read(TESTS).replace("RULES", RULES))
        f.flush()
        done = subprocess.run([PROMTOOL, "test", "rules", f.name], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_readme():
    """the README's own command for the rules"""
    lines = [x for x in charts.commands() if x.startswith("promtool ")]
    assert lines
    for line in lines:
        done = subprocess.run([PROMTOOL] + line.split()[1:], cwd=charts.ROOT, capture_output=True, text=True)
        assert done.returncode == 0 and "SUCCESS" in done.stdout, "%s: %s%s" % (line, done.stdout, done.stderr)


def test_promql():
    """every expression of the dashboard is PromQL"""
    groups = [{"alert": "P%d" % i, "expr": e.replace("$instance", ".*")}
              for i, (_, e) in enumerate(expressions()) if not e.startswith("label_values")]
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as f:
        yaml.safe_dump({"groups": [{"name": "x", "rules": groups}]}, f)
        f.flush()
        done = subprocess.run([PROMTOOL, "check", "rules", f.name], capture_output=True, text=True)
    assert done.returncode == 0 and "%d rules found" % len(groups) in done.stdout, done.stdout + done.stderr


def test_dashboard():
    """panels have ids of their own, do not overlap, and ask the chosen data source for the chosen agents"""
    board = json.loads(read(os.path.join(FILES, "dashboard.json")))
    ids = [p["id"] for p in board["panels"]]
    assert len(set(ids)) == len(ids)
    taken = set()
    for p in board["panels"]:
        g = p["gridPos"]
        cells = {(x, y) for x in range(g["x"], g["x"] + g["w"]) for y in range(g["y"], g["y"] + g["h"])}
        assert not cells & taken and g["x"] + g["w"] <= 24, p["title"]
        taken |= cells
    for p in panels():
        assert p["datasource"]["uid"] == "${datasource}", p["title"]
        for t in p["targets"]:
            for n, matchers in series(t["expr"]):
                assert matchers.get("instance") == "$instance", "%s: %s" % (p["title"], n)


if __name__ == "__main__":
    sys.exit(charts.run([f for n, f in sorted(globals().items()) if n.startswith("test_")]))
