"""Faults of the way to the API server and of those beside us: nothing is lost, and nothing is run twice.

Each goes through a proxy before a real API server. What takes longer is in tests/soak; docs/soak.md says which
fault is held by which test.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from assay_operator.cluster.handlers import SILENT_SECONDS
from tests.bench.kube import Refused
from tests.lab.proxy import Asked, Cut, Fault, Proxy, Refuse
from tests.operator import sweeps
from tests.operator.kubelet import Kubelet
from tests.operator.lab import Namespace
from tests.operator.player import ONE, Lives, behind, ended_well, finish, over, play

UNLISTED = SILENT_SECONDS - 10.0
"""Seconds in which a watch that tells nothing is not given up yet, and nothing is listed for it."""
ONE_OF_EACH = {"golden", "fp16", "summary"}


@pytest.mark.parametrize("after", [True, False], ids=["its-answer-lost", "before-the-next"])
def test_a_leader_killed_at_every_write(
    proxy: Proxy, namespace: Namespace, kubelet: Kubelet, folder: Path, after: bool
) -> None:
    with Lives(proxy, namespace, folder, after=after) as lives:
        namespace.apply_audit("digits", candidates=ONE)
        play(namespace, kubelet, lambda: over(namespace.audit("digits")), lives.tend)
        # Its Jobs and its end at least, of which the last has no next; how many statuses there are between them is a
        # matter of time.
        assert lives.killed >= (4 if after else 3)
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
    """One request in four, the Lease's and watches too; of some the API server has done what was asked.

    Watches that stand are cut again and again. Everything is listed in five minutes only: nothing here waits for that.
    """
    dice, struck = random.Random(20261126), 0

    def strike(asked: Asked) -> Fault | None:
        nonlocal struck
        if len(proxy.asked) % 40 == 0:
            proxy.cut_watches()
        hit = dice.random() < 0.25
        struck += hit
        return dice.choice(STORM) if hit else None

    with behind(proxy, namespace, folder) as operator:
        proxy.rules.append(strike)
        namespace.apply_audit("digits")
        sweeps.apply(namespace, "nightly", models=sweeps.MODELS[:1], template__candidates=sweeps.CANDIDATES[1:])
        for index in range(5):
            namespace.apply_audit(f"more-{index}", candidates=ONE)
        kinds = ("accuracyaudits", "accuracysweeps")
        play(namespace, kubelet, lambda: all(over(item) for kind in kinds for item in namespace.items(kind)))
        assert operator.alive
        assert operator.answer("/livez") == 200
        proxy.rules.clear()
        operator.leading()
        told = namespace.events
        namespace.until(lambda: sum(e.startswith("Complete") for e in told()) == 8, "every end to be told")
        assert operator.metric("assay_resync_healed_total") == 0
    ended_well(namespace, proxy, 4 + 4 + 5 * 3)
    assert sweeps.status(namespace, "nightly")["counts"] == {"cells": 1, "passed": 1}
    assert struck >= 10
    assert sum(asked.watch for asked in proxy.asked) >= 10


def test_what_waits_for_the_lease_goes_on_with_it(proxy: Proxy, namespace: Namespace, folder: Path) -> None:
    """However much happened meanwhile: nothing has failed that would have to be tried ever more slowly."""
    with behind(proxy, namespace, folder) as operator:
        proxy.rules.append(lambda asked: Refuse(503) if asked.plural == "leases" else None)
        namespace.until(lambda: operator.answer("/readyz") == 503, "the lease to be too old")
        namespace.apply_audit("digits", candidates=ONE)
        for turn in range(12):
            change = {"metadata": {"annotations": {"example.com/turn": str(turn)}}}
            path = namespace.path("accuracyaudits", "digits")
            namespace.kube.request("PATCH", path, change, "application/merge-patch+json")
            time.sleep(0.3)
        assert not namespace.items("jobs")
        proxy.rules.clear()
        namespace.until(lambda: operator.answer("/readyz") == 200, "the lease")
        # What has failed twelve times would be tried again in half a minute at the earliest.
        namespace.job("golden", 25)


ENDS: tuple[Fault, ...] = (Refuse(504, after=True, reason="Timeout"), Cut(after=True), Refuse(500, after=True))


@pytest.mark.parametrize("silent", [False, True], ids=["told-by-a-watch", "told-by-none"])
def test_an_end_that_was_written_though_the_answer_was_lost(
    proxy: Proxy, namespace: Namespace, kubelet: Kubelet, folder: Path, silent: bool
) -> None:
    """It stands as it was written, its sweep goes by it, and no listing is waited for."""
    ends: list[Asked] = []

    def strike(asked: Asked) -> Fault | None:
        if asked.method != "PATCH" or asked.plural != "accuracyaudits" or b"completionTime" not in asked.body:
            return None
        ends.append(asked)
        if silent:
            proxy.stalled.add("accuracyaudits")
        return ENDS[(len(ends) - 1) % 3] if len(ends) <= 3 else None

    with behind(proxy, namespace, folder):
        proxy.rules.append(strike)
        for name in ("one", "two", "three"):
            sweeps.apply(namespace, name, models=sweeps.MODELS[:1], template__candidates=sweeps.CANDIDATES[1:])
        play(namespace, kubelet, lambda: all(map(over, namespace.items("accuracysweeps"))), seconds=UNLISTED)
        told = namespace.events
        namespace.until(lambda: sum(e.startswith("Complete") for e in told()) == 6, "every end to be told")
    assert len(ends) >= 3
    assert sum(asked.done == 200 for asked in ends) == 3
    assert not [asked for asked in proxy.asked if b'"status": null' in asked.body], "an end was taken away"
    for name in ("one", "two", "three"):
        assert sweeps.status(namespace, name)["counts"] == {"cells": 1, "passed": 1}


def test_a_job_that_ended_before_its_creation_was_answered(
    proxy: Proxy, namespace: Namespace, kubelet: Kubelet, folder: Path
) -> None:
    """And that no watch tells of: its end is seen where it is found to be there already."""
    ended = threading.Event()

    def strike(asked: Asked) -> Fault | None:
        if asked.method != "POST" or asked.plural != "jobs" or ended.is_set():
            return None
        again = "jobs" in proxy.stalled
        proxy.stalled.add("jobs")
        return Refuse(503) if again else Cut(after=True)

    with behind(proxy, namespace, folder):
        proxy.rules.append(strike)
        namespace.apply_audit("digits", candidates=ONE)
        finish(kubelet, namespace.job("golden"))
        # Its Pod is told of, and passes fail, before the Job is found.
        time.sleep(1.0)
        ended.set()
        namespace.job("fp16", UNLISTED)
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
                    claim = {"status": {"phase": "Complete", "verdict": "Passed", "finished": "9/9"}}
                    with suppress(Refused):
                        # It may be gone by now, or written to by somebody faster again and again (409).
                        kube.kube.request("PATCH", path, change, merge)
                        if kind != "jobs" and turn % 3 == 0:
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
