"""Watches that are too old, fall silent, are torn or refused, and what is seen all the same.

Each goes through a proxy before a real API server.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path

from tests.lab.proxy import Asked, Expire, Fault, Hang, Proxy, Refuse, Say, status_object
from tests.operator.kubelet import Kubelet
from tests.operator.lab import REPOSITORY, Namespace, Operator
from tests.operator.player import ONE, behind, ended_well, finish, open_jobs, over, play, settings, tasks_done

BROKEN = json.dumps({"type": "ERROR", "object": status_object(500, "InternalError")}) + "\n"
ADDED = '{"type": "ADDED", "object": %s}\n'
BREAKS: dict[str, list[Fault]] = {
    # After each a listing, of which the first is refused, and once more too old.
    "accuracyaudits": [Say('{"type": "MODIF'), Expire(), Refuse(503)],
    "jobs": [Say("null\n"), Say("{}\n")],
    "accuracysweeps": [Say(ADDED % "null"), Say(ADDED % '{"metadata": {}}')],
    "pods": [Say("<html>please log in</html>\n"), Say(BROKEN), Refuse(429, retry=1)],
}
"""What becomes of the next watches of a kind, one after the other."""
PAGES = ("<html>please log in</html>", "null", "{}")
"""What is answered in place of listings and of the Lease by whatever stands before the API server."""


def test_listings_and_watches_that_are_too_old(
    proxy: Proxy, namespace: Namespace, kubelet: Kubelet, folder: Path
) -> None:
    """410, as a compaction of etcd makes it: in the middle of a listing, and at the start of a watch, in both forms."""
    for index in range(5):
        namespace.apply_audit(f"held-{index}", suspend=True)
    proxy.page = 2
    count = {"lists": 0, "watches": 0}

    def strike(asked: Asked) -> Fault | None:
        if asked.watch and asked.plural in ("accuracyaudits", "jobs", "pods"):
            count["watches"] += 1
            return (Expire(), Refuse(410, reason="Expired"), None)[count["watches"] % 3]
        if "continue" in asked.query:
            count["lists"] += 1
            return Refuse(410, reason="Expired") if count["lists"] % 4 == 1 else None
        return None

    proxy.rules.append(strike)
    with behind(proxy, namespace, folder, ASSAY_RESYNC_SECONDS="3") as operator:
        namespace.apply_audit("digits", candidates=ONE)
        play(namespace, kubelet, lambda: over(namespace.audit("digits")))
        namespace.until(lambda: 'assay_audits{phase="Suspended",verdict="None"} 5.0' in operator.scrape(), "the others")
        namespace.until(lambda: count["lists"] >= 4 and count["watches"] >= 4, "a few listings and watches")
        assert operator.alive
    ended_well(namespace, proxy, 3)


def test_watches_that_fall_silent_and_tell_it_all_later(
    proxy: Proxy, namespace: Namespace, kubelet: Kubelet, folder: Path
) -> None:
    """What they would have told is found by listing, once that is answered; told late, it changes nothing."""
    left = {"jobs": list(PAGES), "leases": list(PAGES[:1])}

    def strike(asked: Asked) -> Fault | None:
        return Say(left[asked.plural].pop(0)) if left.get(asked.plural) and not asked.watch else None

    with behind(proxy, namespace, folder, ASSAY_RESYNC_SECONDS="1") as operator:
        namespace.apply_audit("before", candidates=ONE)
        namespace.until(lambda: len(namespace.items("jobs")) == 1, "the watches to work")
        proxy.stalled |= {"accuracyaudits", "jobs", "pods"}
        proxy.rules.append(strike)
        namespace.until(lambda: not any(left.values()), "listings and the Lease to be asked for again and again")
        namespace.apply_audit("digits", candidates=ONE)
        namespace("delete", "audit", "before")
        namespace.until(lambda: len(open_jobs(namespace)) == 2, "the Job of an audit that no watch told of")
        mine = next(j for j in open_jobs(namespace) if j["metadata"]["labels"]["assay.dev/audit"] == "digits")
        finish(kubelet, mine)
        namespace.until(lambda: len(namespace.items("jobs")) == 3, "the candidate's")
        namespace.until(lambda: 'phase="Pending",verdict="None"} ' not in operator.scrape(), "the deleted one to go")
        assert operator.metric("assay_resync_healed_total") >= 3
        versions = {a["metadata"]["name"]: a["metadata"]["resourceVersion"] for a in namespace.items("accuracyaudits")}
        proxy.stalled.clear()
        namespace.apply_audit("after", candidates=ONE)
        namespace.until(lambda: len(namespace.items("jobs")) == 4, "the watches to work again")
        after = {a["metadata"]["name"]: a["metadata"]["resourceVersion"] for a in namespace.items("accuracyaudits")}
        assert {name: after[name] for name in versions} == versions
    assert set(tasks_done(proxy).values()) == {1}


def test_pods_that_no_watch_tells_of(proxy: Proxy, namespace: Namespace, kubelet: Kubelet, folder: Path) -> None:
    """While Jobs are told of as ever: no answer is given up, nor asked for a second time."""
    with behind(proxy, namespace, folder):
        namespace.apply_audit("digits", candidates=ONE)
        golden = namespace.job("golden")
        proxy.stalled.add("pods")
        finish(kubelet, golden)
        namespace.job("fp16")
        proxy.stalled.clear()
        play(namespace, kubelet, lambda: over(namespace.audit("digits")))
    ended_well(namespace, proxy, 3)


def test_watches_that_break_off_in_any_way_are_begun_anew(
    proxy: Proxy, namespace: Namespace, kubelet: Kubelet, folder: Path
) -> None:
    """Within seconds, with nothing missed, and with no more requests than there are seconds."""
    left = {plural: list(faults) for plural, faults in BREAKS.items()}
    lists: Counter[str] = Counter()

    def strike(asked: Asked) -> Fault | None:
        if asked.watch and asked.plural == "gpuscreenings":
            return Say()
        if asked.watch and left.get(asked.plural):
            return left[asked.plural].pop(0)
        if asked.method == "GET" and "limit" in asked.query and not asked.watch:
            lists[asked.plural] += 1
            return {1: Refuse(503), 2: Refuse(410, reason="Expired")}.get(lists[asked.plural])
        return None

    with behind(proxy, namespace, folder) as operator:
        namespace.apply_audit("before", candidates=ONE)
        namespace.job("golden")
        proxy.rules.append(strike)
        began, asked = time.monotonic(), len(proxy.asked)
        proxy.torn |= set(BREAKS)
        proxy.cut_watches()
        namespace.apply_audit("digits", candidates=ONE)
        play(namespace, kubelet, lambda: all(map(over, namespace.items("accuracyaudits"))), seconds=60.0)
        assert not any(left.values())
        mine = [each for each in proxy.asked[asked:] if each.watch and each.plural == "gpuscreenings"]
        assert 2 <= len(mine) <= time.monotonic() - began + 2
        assert operator.alive
        assert operator.metric("assay_resync_healed_total") == 0
    ended_well(namespace, proxy, 6)


def test_a_watch_without_an_answer_is_given_up_and_no_other_is_lost_for_it(
    proxy: Proxy, namespace: Namespace, folder: Path
) -> None:
    """Whatever the operator does when the time is up."""
    hung: list[Asked] = []

    def strike(asked: Asked) -> Fault | None:
        if not asked.watch or asked.plural != "accuracyaudits" or hung:
            return None
        hung.append(asked)
        return Hang()

    proxy.rules.append(strike)
    env = settings(namespace, KUBECONFIG=str(proxy.kubeconfig), PYTHONPATH=str(REPOSITORY))
    operator = Operator(proxy.api, folder / "operator.log", **env)
    operator.module = "tests.operator.hasty"
    try:
        operator.start().leading()
        for jobs, name in enumerate(("one", "two", "three"), start=1):
            namespace.apply_audit(name, candidates=ONE)
            namespace.until(lambda n=jobs: len(namespace.items("jobs")) == n, f"the Job of audit {name}")  # type: ignore[misc]
        assert operator.metric("assay_resync_healed_total") == 0
    finally:
        operator.end()
    assert len(hung) == 1
