"""The stage of the scenario: servers, permissions and the agents that stay on it."""

import json
import os

import objects as o
from agents import Agent, Proxy
from cluster import wait_for
from rig import Rig, path

READ = ("get", "list", "watch")
OWNERS = (("apps", ["replicasets"]), ("batch", ["jobs"]))


class Stage(Rig):
    def __init__(self, *args):
        super().__init__(*args)
        self.proxy = None
        self.old_secret = None

    def set_up(self):
        self.start_servers()
        self.give_permissions()
        self.make_agents()

    def start_servers(self):
        self.cluster.make_keys()
        self.cluster.start_etcd()
        self.cluster.start_apiserver()
        for args in o.CRDS:
            self.create(o.crd(*args))
        for args in o.CRDS:
            kind = args[3] if args[3] in ("Rollout", "App") else "example.com/" + args[3]
            wait_for(lambda k=kind: self.api.get(path(k)), 20, "custom resources")
        # After the definitions: the garbage collector looks for new kinds only every 30 s.
        self.cluster.start_manager()
        self.kubelets.start()
        for ns in ("kindred", "shop", "batch", "private"):
            self.namespace(ns)
        self.proxy = Proxy(self.cluster.port)

    def give_permissions(self):
        pods = ("", ["pods"], READ)
        node = ("", ["nodes"], ["get"])
        lists = [(g, r, READ) for g, r in OWNERS]
        gets = [(g, r, ["get"]) for g, r in OWNERS]
        roles = {
            "agent": [pods, node] + lists,
            "node-agent": [pods, node] + gets,
            "nojobs": [pods, node, lists[0]],
            "jobs": [lists[1]],
            "follow": [pods, node, ("argoproj.io", ["rollouts"], ["get"])] + lists,
        }
        for name, rules in roles.items():
            self.create(o.role("ClusterRole", "kindred-" + name, rules))
        for name in ("agent", "nojobs", "follow", "narrow"):
            self.create({"kind": "ServiceAccount", "apiVersion": "v1",
                         "metadata": {"name": name}}, "kindred")
            if name != "narrow":
                self.bind_cluster(name, name, o.account(name))
        for i in (1, 2, 3):
            self.bind_cluster("node-agent-%d" % i, "node-agent", o.user("node-agent-%d" % i))
            self.cluster.make_cert("node-agent-%d" % i, "/O=kindred:agents/CN=node-agent-%d" % i,
                                   "extendedKeyUsage=clientAuth")
        for ns in ("shop", "batch"):
            self.bind_narrow(ns)

    def bind_cluster(self, name, role, subject):
        self.create(o.binding("ClusterRoleBinding", "kindred-" + name, "ClusterRole",
                              "kindred-" + role, subject))

    def bind_narrow(self, ns):
        rules = [("", ["pods"], READ)] + [(g, r, READ) for g, r in OWNERS]
        self.create(o.role("Role", "narrow", rules), ns)
        self.create(o.binding("RoleBinding", "narrow", "Role", "narrow", o.account("narrow")), ns)

    def token(self, name, bound=None):
        spec = {"expirationSeconds": 3600}
        if bound:
            spec["boundObjectRef"] = {"kind": "Secret", "apiVersion": "v1",
                                      "name": bound["metadata"]["name"],
                                      "uid": bound["metadata"]["uid"]}
        answer = self.api.post(path("ServiceAccount", "kindred", name) + "/token", {
            "kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "spec": spec})
        return answer["status"]["token"]

    def write_token(self, name, bound=None, account=None):
        """Into the file that the kubeconfig names, replaced in one step as kubelets do."""
        file = self.cluster.path(name + ".token")
        token = self.token(account or name, bound)
        with open(file + ".new", "w") as f:
            f.write(token)
        os.rename(file + ".new", file)
        return file, token

    def new_secret(self, name):
        return self.create({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": name}},
                           "kindred")

    def token_agent(self, name, args, port=None, bound=None, scope=None):
        file = self.write_token(name, bound)[0]
        config = self.cluster.kubeconfig(name, port, {"tokenFile": file})
        return Agent(self.cluster, self.reducer, name,
                     ["--kubeconfig", config, "--scope", "cluster"] + args, scope=scope)

    def make_agents(self):
        self.old_secret = self.new_secret("token-1")
        self.agents["agent"] = self.token_agent("agent", [], self.proxy.port, self.old_secret)
        self.agents["narrow"] = self.token_agent(
            "narrow", ["--namespaces", "shop,batch,private"],
            scope={"namespaces": ("shop", "batch")})
        for i in (1, 2):
            node, cert = "node-%d" % i, self.cluster.path("node-agent-%d" % i)
            config = self.cluster.kubeconfig("node-agent-%d" % i, self.proxy.port, {
                "client-certificate": cert + ".crt", "client-key": cert + ".key"})
            # The ways a DaemonSet sets them: the environment for one, flags for the other.
            args = [] if i == 1 else ["--scope", "node", "--node-name", node,
                                      "--owner-refresh", "10s"]
            env = {"KUBECONFIG": config}
            if i == 1:
                env.update(NODE_NAME=node, KINDRED_SCOPE="node")
            self.agents[node] = Agent(self.cluster, self.reducer, node, args, env,
                                      {"node": node}, late_owners=True)

    def other_agents(self):
        """One for each further way to say who the API server is, and to read from it."""
        servers = self.cluster
        token = self.token("agent")
        script = servers.path("credential.sh")
        with open(script, "w") as f:
            f.write("#!/bin/sh\ncat <<'END'\n%s\nEND\n" % json.dumps({
                "kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1",
                "status": {"token": token}}))
        os.chmod(script, 0o700)
        plugin = servers.kubeconfig("json", user={"exec": {
            "apiVersion": "client.authentication.k8s.io/v1", "command": script,
            "interactiveMode": "Never"}})
        inline_token = servers.kubeconfig("pages", user={"token": token})
        inline = servers.kubeconfig("node-3", user={
            "client-certificate-data": servers.encoded("node-agent-3.crt"),
            "client-key-data": servers.encoded("node-agent-3.key")})
        file = self.write_token("agent-flags", account="agent")[0]
        pages = ["--streaming-list", "off", "--page-size", "3"]
        for name, args, scope in (
            ("json", ["--kubeconfig", plugin, "--encoding", "json"], {}),
            ("json-pages", ["--kubeconfig", plugin, "--encoding", "json"] + pages, {}),
            ("pages", ["--kubeconfig", inline_token] + pages, {}),
            ("flags", ["--api-server", "https://127.0.0.1:%d" % servers.port,
                       "--ca-file", servers.ca, "--token-file", file], {}),
            ("node-3", ["--kubeconfig", inline, "--node-name", "node-3"] + pages,
             {"node": "node-3"}),
        ):
            yield Agent(servers, self.reducer, name, args, scope=scope, late_owners="node" in scope)

    def controller_of(self, kind, ns, name):
        refs = self.get(kind, ns, name)["metadata"].get("ownerReferences") or []
        return [r["kind"] for r in refs if r.get("controller")]

    def replica_sets(self, ns, app):
        return self.api.get(path("ReplicaSet", ns) + "?labelSelector=app%3D" + app)["items"]

    def job_done(self, name, how):
        status = self.get("Job", "batch", name)["status"]
        return any(c["type"] == how and c["status"] == "True"
                   for c in status.get("conditions") or [])

    def cron_run(self, cron, name, runs, exit_code="0"):
        """A Job as `kubectl create job --from=cronjob` makes it."""
        ref = o.owner("batch/v1", "CronJob", self.get("CronJob", "batch", cron))
        self.create(o.job(name, [ref], runs=runs, exit_code=exit_code), "batch")
