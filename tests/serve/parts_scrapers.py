"""Who may read /metrics at the probe's address, as the API server says."""

import time
import urllib.parse

from world import Agent, Replay, ask, until


def scrape(agent, token=None):
    return ask(agent.probe + "/metrics", headers={"Authorization": "Bearer " + token} if token else {})[0]


def asked(api, verb):
    return sum(sum(n.values()) for what, n in api.state()["requests"].items() if what.split()[0] == verb)


def scrapers(rig):
    test = rig.checks.test
    api = Replay(rig)

    def known(token, user, allow):
        api.control("reviewer?" + urllib.parse.urlencode(
            {"token": token, "user": user, **({"allow": 1} if allow else {})}))

    known("prometheus", "system:serviceaccount:monitoring:prometheus", True)
    known("somebody", "jane", False)
    agent = Agent(rig, api, "--probe-auth", "kube")
    test("health and readiness stay open", ask(agent.probe + "/healthz")[0] == 200 and
         ask(agent.probe + "/readyz")[0] in (200, 503))
    test("the data API has no other door", ask(agent.data + "/metrics")[0] == 200)
    test("without a token", scrape(agent) == 401)
    test("with one that nobody has", scrape(agent, "guess") == 401)
    test("of one who may not", scrape(agent, "somebody") == 403)
    test("of one who may", scrape(agent, "prometheus") == 200)
    before = asked(api, "tokenreview"), asked(api, "accessreview")
    test("each was asked for once", before == (3, 2) or [before])
    test("answers are kept", [scrape(agent, t) for t in ("guess", "somebody", "prometheus") * 3] ==
         [401, 403, 200] * 3 and (asked(api, "tokenreview"), asked(api, "accessreview")) == before)
    known("late", "jane", True)
    test("whoever is new is asked for", scrape(agent, "late") == 200)
    # What cannot be learned is no yes.
    for i, fault in enumerate(("500-tokenreview", "403-tokenreview", "garbage-tokenreview=100",
                               "empty-tokenreview", "500-accessreview", "html-accessreview")):
        api.fault(fault)
        token = "new-%d" % i
        known(token, "p%d" % i, True)
        test("fails closed: " + fault, scrape(agent, token) == 503)
        test("and those who are known come in: " + fault, scrape(agent, "prometheus") == 200)
        api.clear()
        time.sleep(0.6)     # the budget of questions: two a second
        test("and is asked for again: " + fault, until(lambda: scrape(agent, token) == 200, 10))
    test("the reason is said", "tokenreviews.authentication.k8s.io" in agent.log())
    codes = [scrape(agent, "guess-%d" % i) for i in range(60)]
    test("guesses cost the API server little", codes.count(401) <= 30 and codes.count(503) >= 30 and
         set(codes) == {401, 503} or [codes])
    test("and keep nobody out who is known", scrape(agent, "prometheus") == 200)
    api.end()
    test("without an API server", scrape(agent, "unheard") == 503 and scrape(agent, "prometheus") == 200)
    test("no token is in the log", not any(t in agent.log() for t in ("prometheus ", "guess", "unheard")))
