"""The names of options that the chart's values node.config and collector.config may have.

    python3 deploy/helm/options.py --write|--check KINDRED

They stand in values.schema.json and are those of `kindred agent`, but for those that the chart sets
itself by other values and those that do one thing and leave. --check says what differs.
"""

import json
import os
import re
import subprocess
import sys

SCHEMA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "kindred", "values.schema.json")
# What follows from other values, or from being in a pod.
BOTH = """
    config check-config check-access print-access print-config kubeconfig context api-server token-file ca-file
    client-cert client-key scope node-name socket log-level log-format intake-host intake-port
    intake-tls intake-ca-file follow-owners watch-config probe-listen probe-tls-cert-file
    probe-tls-key-file probe-auth listen tls-cert-file tls-key-file listen-token-file peers
    peers-token-file peers-ca-file serve-peers leader-election lease-name lease-namespace pod-name
    cgroup-root proc-root flows udp agent-cluster cluster-name resync-listen record
    record-uncompressed intake-encoder delete-ttl-secs delete-capacity otlp otlp-token-file
    otlp-headers-file otlp-ca-file
""".split()
# What the other role does.
NODE = """
    namespaces resources watch-resources exclude-resources exclude-namespaces namespace-selector
    resource-selector metadata-only whole cache-resources cache-ttl store-max index ignore-fields
    keep-config-values keep-env-values hold-initial resync-interval vector rest-endpoint
    lease-duration lease-renew-deadline lease-retry peers-clients
    capabilities graph graph-filter events events-filter document document-status id debounce
    debounce-max batch-interval batch-size batch-bytes reembed ledger
""".split()
COLLECTOR = """
    namespaces resources watch-resources exclude-resources vector rest-endpoint capabilities graph
    events flows-out owner-refresh peers-max
""".split()


def all_options(kindred):
    text = subprocess.run([kindred, "help", "--markdown"], check=True, capture_output=True,
                          text=True).stdout
    return re.findall(r"^\| `--([a-z0-9-]+)", text, re.M)


def role_options(names):
    node = [n for n in names if n not in BOTH + NODE and not n.startswith(("vector-", "embed"))]
    collector = [n for n in names if n not in BOTH + COLLECTOR and
                 not n.startswith(("flow-", "udp-", "dns-", "otlp-"))]
    return {"nodeOptions": node, "collectorOptions": collector}


def dump(value, indent=0):
    """JSON with everything on one line that finds room there."""
    line = json.dumps(value)
    if not isinstance(value, (dict, list)) or len(line) + indent <= 98:
        return line
    inner = " " * (indent + 2)
    if isinstance(value, dict):
        parts = ["%s%s: %s" % (inner, json.dumps(k), dump(v, indent + 2)) for k, v in value.items()]
        return "{\n%s\n%s}" % (",\n".join(parts), " " * indent)
    if all(isinstance(v, str) for v in value):
        return fill(value, inner, indent)
    return "[\n%s\n%s]" % (",\n".join(inner + dump(v, indent + 2) for v in value), " " * indent)


def fill(words, inner, indent):
    lines = [inner.rstrip("\n")]
    for i, w in enumerate(words):
        w = json.dumps(w) + ("," if i + 1 < len(words) else "")
        if len(lines[-1]) + len(w) > 98:
            lines.append(inner)
        lines[-1] += w + " "
    return "[\n%s\n%s]" % ("\n".join(x.rstrip() for x in lines), " " * indent)


def main():
    how, kindred = sys.argv[1:]
    with open(SCHEMA) as f:
        before = f.read()
    schema = json.loads(before)
    for role, names in role_options(all_options(kindred)).items():
        schema["definitions"][role]["propertyNames"]["enum"] = names
    after = dump(schema) + "\n"
    if how == "--write":
        with open(SCHEMA, "w") as f:
            f.write(after)
    elif after != before:
        print("values.schema.json does not have the options of %s: make readme" % kindred)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
