"""Audits and sweeps deleted at every phase, beside the real garbage collector: all that was theirs goes, once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab import toolchain
from tests.lab.apiserver import ApiServer, start_controller_manager
from tests.operator import sweeps
from tests.operator.kubelet import Kubelet
from tests.operator.lab import Namespace, Operator, Raw, install, running
from tests.operator.player import ONE, finish, open_jobs, over, play

COLLECTORS = "garbage-collector-controller,namespace-controller"
PHASES = {"new": 0, "golden": 0, "candidate": 1, "summary": 2, "ended": 3, "suspended": 0, "running": 0}
"""Of an audit, with how many of its Jobs have ended by then."""
SWEEP_PHASES = {"looking": 0, "begun": 1, "halfway": 2, "done": 4, "held": 0}


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ApiServer, Operator]]:
    """An API server where somebody collects garbage and the test ends Jobs, and an operator."""
    with ApiServer() as api:
        install(api)
        manager = toolchain.kubernetes()
        api.servers.append(start_controller_manager(manager, api.folder, api.kubeconfig, api.credentials, COLLECTORS))
        with running(api, tmp_path_factory.mktemp("deleted")) as operator:
            yield api, operator


def of(namespace: Namespace, name: str) -> list[Raw]:
    """The Jobs of an audit or a sweep of this name that go on."""
    words = ("assay.dev/audit", "assay.dev/sweep")
    return [job for job in open_jobs(namespace) if name in [job["metadata"]["labels"].get(word) for word in words]]


def advanced(namespace: Namespace, kubelet: Kubelet, phase: str, ended: int) -> None:
    """Bring the audit called like the phase to it."""
    namespace.apply_audit(phase, candidates=ONE, suspend=phase == "suspended")
    for _ in range(ended):
        namespace.until(lambda: bool(of(namespace, phase)), f"a Job of {phase}")
        for job in of(namespace, phase):
            finish(kubelet, job)
    if phase == "ended":
        namespace.until(lambda: over(namespace.audit(phase)), "its end")
    elif phase != "new":
        wanted = 0 if phase == "suspended" else 1
        namespace.until(lambda: len(of(namespace, phase)) == wanted, f"the next Job of {phase}")
        namespace.until(lambda: bool(namespace.audit(phase)["status"]["run"]), f"the status of {phase}")
    if phase == "running":
        kubelet.pod(of(namespace, phase)[0])


@pytest.mark.parametrize("how", ["background", "foreground", "orphan"])
def test_audits(collected: tuple[ApiServer, Operator], how: str) -> None:
    api, operator = collected
    with Namespace(api.kubectl, f"audits-{how}") as namespace:
        kubelet = Kubelet(namespace)
        for phase, ended in PHASES.items():
            advanced(namespace, kubelet, phase, ended)
        before = {audit["metadata"]["uid"] for audit in namespace.items("accuracyaudits")}
        namespace("delete", "audits", "--all", f"--cascade={how}", "--wait=false")
        namespace.until(lambda: not namespace.items("accuracyaudits"), "the audits to go")
        if how != "orphan":
            namespace.until(lambda: not (namespace.items("jobs") or namespace.items("pods")), "all of theirs to go")
        # Their successors run from the start to the end, whatever was left of them.
        for phase in PHASES:
            namespace.apply_audit(phase, candidates=ONE)
        play(namespace, kubelet, lambda: all(map(over, namespace.items("accuracyaudits"))))
        after = {audit["metadata"]["uid"] for audit in namespace.items("accuracyaudits")}
        assert not before & after
        assert {audit["status"]["verdict"] for audit in namespace.items("accuracyaudits")} == {"Passed"}
        mine = [j for j in namespace.items("jobs") if j["metadata"].get("ownerReferences", [{}])[0].get("uid") in after]
        assert len(mine) == 3 * len(PHASES)
        assert operator.alive
        assert operator.metric('assay_reconciles_total{result="exception"}') == 0


@pytest.mark.parametrize("how", ["background", "foreground", "orphan"])
def test_sweeps(collected: tuple[ApiServer, Operator], how: str) -> None:
    api, operator = collected
    with Namespace(api.kubectl, f"sweeps-{how}") as namespace:
        kubelet = Kubelet(namespace)
        for phase in SWEEP_PHASES:
            sweep(namespace, phase, suspend=phase == "held")
        for phase, ended in SWEEP_PHASES.items():
            reached(namespace, kubelet, phase, ended)
        namespace("delete", "sweeps", "--all", f"--cascade={how}", "--wait=false")
        everything = ("accuracysweeps", *(("accuracyaudits", "jobs", "pods") if how != "orphan" else ()))
        namespace.until(lambda: not any(map(namespace.items, everything)), "the sweeps and all of theirs to go")
        left = {audit["metadata"]["uid"] for audit in namespace.items("accuracyaudits")}
        assert bool(left) == (how == "orphan")
        for phase in SWEEP_PHASES:
            sweep(namespace, phase)
        every = ("accuracysweeps", "accuracyaudits")
        play(namespace, kubelet, lambda: all(over(item) for kind in every for item in namespace.items(kind)))
        assert {each["status"]["verdict"] for each in namespace.items("accuracysweeps")} == {"Passed"}
        # What was left to itself comes to its own end, and answers for nobody.
        made = [a for a in namespace.items("accuracyaudits") if a["metadata"]["uid"] not in left]
        assert len(made) == len(SWEEP_PHASES)
        assert {a["status"]["verdict"] for a in namespace.items("accuracyaudits")} == {"Passed"}
        assert operator.alive
        assert operator.metric('assay_reconciles_total{result="exception"}') == 0


def sweep(namespace: Namespace, name: str, *, suspend: bool = False) -> None:
    sweeps.apply(namespace, name, models=sweeps.MODELS[:1], template__candidates=sweeps.CANDIDATES[1:], suspend=suspend)


def reached(namespace: Namespace, kubelet: Kubelet, name: str, ended: int) -> None:
    """Bring a sweep to where so many Jobs of it and its audit have ended."""

    def going() -> list[Raw]:
        audits = [a["metadata"]["name"] for _, a in sweeps.of_sweep(namespace, name)]
        return [job for each in (name, *audits) for job in of(namespace, each)]

    for _ in range(ended):
        namespace.until(lambda: bool(going()), f"a Job of {name}")
        for job in going():
            finish(kubelet, job)
    if ended == 4:
        namespace.until(lambda: over(namespace.read("accuracysweeps", name)), f"the end of {name}")
    elif name != "held":
        namespace.until(lambda: bool(going()), f"the next Job of {name}")
