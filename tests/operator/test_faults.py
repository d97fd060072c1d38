"""Faults of the way to the API server and of those beside us: nothing is lost, and nothing is run twice.

Each goes through a proxy before a real API server. What takes longer is in tests/soak; docs/soak.md says which
fault is held by which test.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.bench.kube import Refused
from tests.lab.apiserver import ApiServer
from tests.lab.proxy import Asked, Cut, Expire, Fault, Proxy, Refuse
from tests.operator import sweeps
from tests.operator.kubelet import Kubelet
from tests.operator.lab import Namespace
from tests.operator.player import ONE, Lives, behind, finish, open_jobs, over, play, tasks_done

ONE_OF_EACH = {"golden", "fp16", "summary"}


@pytest.fixture
def proxy(bare_api: ApiServer) -> Iterator[Proxy]:
    with Proxy(bare_api) as proxy:
        yield proxy


def ended_well(namespace: Namespace, proxy: Proxy, jobs: int, audit: str = "digits") -> None:
    """An audit has passed, each of its Jobs was created once, and nobody else's."""
    status = namespace.audit(audit)["status"]
    assert (status["verdict"], status["phase"]) == ("Passed", "Complete"), status
    done = tasks_done(proxy)
    assert set(done.values()) == {1}, done
    assert len(done) == jobs, done


@pytest.mark.parametrize("after", [True, False], ids=["its-answer-lost", "before-the-next"])
def test_a_leader_killed_at_every_write(
    proxy: Proxy, namespace: Namespace, kubelet: Kubelet, folder: Path, after: bool
) -> None:
    with Lives(proxy, namespace, folder, after=after) as lives:
        namespace.apply_audit("digits", candidates=ONE)
        play(namespace, kubelet, lambda: over(namespace.audit("digits")), lives.tend)
        # Its Jobs and its end at least; how many statuses there are between them is a matter of time.
        assert lives.killed >= 4
    ended_well(namespace, proxy, 3)
    assert set(namespace.jobs()) == ONE_OF_EACH


def test_a_leader_of_a_sweep_killed_at_every_write(
    proxy: Proxy, namespace: Namespace, kubelet: Kubelet, folder: Path
) -> None:
    with Lives(proxy, namespace, folder, after=True) as lives:
        one = sweeps.MODELS[:1]
        sweeps.apply(namespace, "nightly", models=one, template__candidates=sweeps.CANDIDATES[1:])
        play(namespace, kubelet, lambda: over(namespace.read("accuracysweeps", "nightly")), lives.tend)
        assert lives.killed >= 5
    assert sweeps.status(namespace, "nightly")["counts"] == {"cells": 1, "passed": 1}
    assert len(proxy.done("POST", "accuracyaudits")) == 1
    (audit,) = namespace.items("accuracyaudits")
    # The Job that looks at its models, and the audit's three.
    ended_well(namespace, proxy, 4, audit["metadata"]["name"])


def test_an_audit_of_one_candidate_takes_few_writes(
    proxy: Proxy, namespace: Namespace, kubelet: Kubelet, folder: Path
) -> None:
    """Beside one for each Job, and events, which are told to people."""
    with behind(proxy, namespace, folder):
        namespace.apply_audit("digits", candidates=ONE)
        for task in ("golden", "fp16", "summary"):
            job = namespace.job(task)
            pod = kubelet.pod(job, phase="Pending")
            namespace.until(lambda t=task: said(namespace, t) == "Pending", f"{task} to be pending")  # type: ignore[misc]
            kubelet.set_pod(pod, phase="Running")
            # That the summary runs is told where it takes longer.
            if task != "summary":
                namespace.until(lambda t=task: said(namespace, t) == "Running", f"{task} to be running")  # type: ignore[misc]
            finish(kubelet, job, pod)
        namespace.wait("Complete")
        ended_well(namespace, proxy, 3)
    jobs = len(proxy.done("POST", "jobs"))
    writes = [a for a in proxy.asked if a.writes and a.plural != "events"]
    assert len(writes) - jobs <= 6, "\n".join(f"{a.method} {a.path} {a.done} {a.body[-900:]!r}" for a in writes)


def said(namespace: Namespace, task: str) -> str:
    """What the status says of a task's state."""
    status = namespace.audit("digits")["status"]
    entries = [*status.get("candidates", ()), *status.get("tasks", ())]
    return next((str(entry["state"]) for entry in entries if entry["name"] == task), "")


STORM: tuple[Fault, ...] = (
    Refuse(429, retry=1, reason="TooManyRequests"), Refuse(500), Refuse(503, reason="ServiceUnavailable"),
    Refuse(504, after=True, reason="Timeout"), Refuse(500, after=True), Cut(), Cut(after=True),
)  # fmt: skip


def test_a_storm_of_refusals_and_lost_answers(
    proxy: Proxy, namespace: Namespace, kubelet: Kubelet, folder: Path
) -> None:
    """One request in four, those about the Lease among them; of some the API server has done what was asked."""
    dice, struck = random.Random(20261126), 0

    def strike(asked: Asked) -> Fault | None:
        nonlocal struck
        hit = dice.random() < 0.25
        struck += hit
        # Watches that fail or fall silent are another fault, with a test of its own.
        return dice.choice(STORM) if hit and not asked.watch else None

    # A watch that tells nothing more is made good by a listing, here sooner than after five minutes.
    with behind(proxy, namespace, folder, ASSAY_RESYNC_SECONDS="5") as operator:
        proxy.rules.append(strike)
        namespace.apply_audit("digits")
        sweeps.apply(namespace, "nightly", models=sweeps.MODELS[:1], template__candidates=sweeps.CANDIDATES[1:])
        for index in range(5):
            namespace.apply_audit(f"more-{index}", candidates=ONE)
        kinds = ("accuracyaudits", "accuracysweeps")

        def all_over() -> bool:
            return all(over(item) for kind in kinds for item in namespace.items(kind))

        # Listings are struck too, and what is tried again waits ever longer.
        play(namespace, kubelet, all_over, seconds=300.0)
        assert operator.alive
        assert operator.answer("/livez") == 200
        proxy.rules.clear()
        operator.leading()
        told = namespace.events
        namespace.until(lambda: sum(e.startswith("Complete") for e in told()) == 8, "every end to be told")
    ended_well(namespace, proxy, 4 + 4 + 5 * 3)
    assert sweeps.status(namespace, "nightly")["counts"] == {"cells": 1, "passed": 1}
    assert struck >= 10


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
    """What they would have told is found by listing; told late, it changes nothing."""
    with behind(proxy, namespace, folder, ASSAY_RESYNC_SECONDS="1") as operator:
        namespace.apply_audit("before", candidates=ONE)
        namespace.until(lambda: len(namespace.items("jobs")) == 1, "the watches to work")
        proxy.stalled |= {"accuracyaudits", "jobs", "pods"}
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
        namespace.until(lambda: len(namespace.items("jobs")) == 4, "the watches to work again", 5)
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


@pytest.fixture
def meddler(namespace: Namespace) -> Iterator[threading.Event]:
    """Another hand that writes into all audits, sweeps and Jobs of a namespace as fast as it can, until it is told."""
    stop = threading.Event()
    kube = Namespace(namespace.kubectl, namespace.name, made=True)
    merge = "application/merge-patch+json"

    def meddle() -> None:
        turn = 0
        while not stop.is_set():
            for kind in ("accuracyaudits", "accuracysweeps", "jobs"):
                for item in kube.items(kind):
                    turn += 1
                    path = kube.path(kind, item["metadata"]["name"])
                    change = {"metadata": {"annotations": {"example.com/turn": str(turn)}}}
                    with suppress(Refused):
                        # It may be gone by now.
                        kube.kube.request("PATCH", path, change, merge)
                    if kind != "jobs" and turn % 3 == 0:
                        claim = {"status": {"phase": "Complete", "verdict": "Passed", "finished": "9/9"}}
                        kube.kube.request("PATCH", f"{path}/status", claim, merge)
        kube.disconnect()

    thread = threading.Thread(target=meddle, daemon=True)
    thread.start()
    yield stop
    stop.set()
    thread.join()


def test_other_hands_that_write_all_the_time(
    proxy: Proxy, namespace: Namespace, kubelet: Kubelet, folder: Path, meddler: threading.Event
) -> None:
    with behind(proxy, namespace, folder) as operator:
        namespace.apply_audit("digits", candidates=ONE)
        sweeps.apply(namespace, "nightly", models=sweeps.MODELS[:1], template__candidates=sweeps.CANDIDATES[1:])
        both = [("accuracyaudits", "digits"), ("accuracysweeps", "nightly")]
        play(namespace, kubelet, lambda: all(over(namespace.read(*thing)) for thing in both))
        assert operator.metric('assay_reconciles_total{result="conflict"}') > 0
        assert operator.metric('assay_reconciles_total{result="exception"}') == 0
        meddler.set()
        namespace.until(lambda: namespace.audit("digits")["status"]["finished"] == "1/1", "the status put right")
        namespace.until(lambda: sweeps.status(namespace, "nightly")["finished"] == "1/1", "the sweep's put right")
    ended_well(namespace, proxy, 3 + 4)
