"""Health as Argo CD, kstatus and Flux see it, by their own code, on audits, sweeps and screenings in every phase.

The checks are those of `examples/gitops`. Resources of every phase are judged as a real API server gives them back;
every other recorded decision as it is written.
"""

from __future__ import annotations

import copy
import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.api.gitops import argo_checks, audit_of, audits_by_phase, flux_checks, judged, sweeps
from tests.bench.kube import Kube
from tests.lab import LabError
from tests.lab.apiserver import ApiServer
from tests.lab.discovery import establish
from tests.lab.judging import Judged, judge
from tests.reconcile.cases import names, status_after
from tests.reconcile.sweeps import World
from tests.unit.api.audits import audit
from tests.unit.operator.test_screenings import World as Screenings

CRDS = Path(__file__).parents[2] / "crds"
TOKEN = "assay.dev/rerun"
HEALTH = {"Current": {"Healthy"}, "Failed": {"Degraded"}, "InProgress": {"Progressing", "Suspended"}}
Raw = dict[str, Any]


@cache
def of_cases() -> dict[str, Judged]:
    return dict(zip(names(), judged(*map(audit_of, names())), strict=True))


@pytest.mark.parametrize("name", names())
def test_the_tools_agree(name: str) -> None:
    found, raw = of_cases()[name], audit_of(name)
    assert found.argo.status in HEALTH[found.kstatus.status]
    assert found.flux.status == found.kstatus.status
    suspended = raw["spec"].get("suspend") is True and found.kstatus.status == "InProgress"
    assert (found.argo.status == "Suspended") == suspended
    assert found.argo.message


@pytest.mark.parametrize(
    ("name", "health"),
    [("passed", "Healthy"), ("one-breached", "Degraded"), ("one-breached-report", "Healthy"),
     ("candidates-running", "Progressing"), ("wrong-credentials", "Progressing"), ("node-lost", "Progressing"),
     ("credentials-never-mended", "Degraded"), ("kueue-holds-the-job", "Progressing"), ("suspended", "Suspended"),
     ("rerun-annotation", "Progressing"), ("rerun-annotation-removed", "Progressing")],
)  # fmt: skip
def test_what_argo_cd_shows(name: str, health: str) -> None:
    assert of_cases()[name].argo.status == health


@pytest.mark.parametrize("name", ["passed", "one-breached"])
def test_a_rerun_that_is_not_taken_up_yet_is_in_progress_and_one_that_is_answered_is_not(name: str) -> None:
    asked = audit_of(name, **{TOKEN: "2"})
    unseen, old, new, taken_away = (copy.deepcopy(asked) for _ in range(4))
    old["status"]["rerun"] = "1"
    new["status"]["rerun"] = taken_away["status"]["rerun"] = "2"
    del taken_away["metadata"]["annotations"][TOKEN]
    found, as_before = judged(unseen, old, new, taken_away), of_cases()[name]
    assert [one.argo.status for one in found[:2]] == ["Progressing"] * 2
    assert found[0].argo.message == "Waiting for the operator to take the rerun up"
    assert [one.flux.status for one in found[:2]] == ["InProgress"] * 2
    for one in found[2:]:
        assert (one.argo, one.flux) == (as_before.argo, as_before.flux)


@pytest.mark.parametrize("annotation", ["rerun", "rerun_failed"])
@pytest.mark.parametrize("spec", [{}, {"schedule": {"cron": "0 2 * * *"}}], ids=["once", "nightly"])
def test_a_rerun_of_a_sweep_is_in_progress_from_its_annotation_to_its_end(annotation: str, spec: Raw) -> None:
    world, one_fails = World.of(template__onBreach="Report", **spec), {"bert/cpu": "Failed"}
    world.now = datetime(2026, 3, 1, 2, 1, tzinfo=UTC)
    world.run(one_fails)
    told, words = [as_it_is(world)], ["Current"]

    def tell(word: str) -> None:
        told.append(as_it_is(world))
        words.append(word)

    world.annotate(**{annotation: "1"})
    # Of this moment kstatus alone knows nothing.
    tell("InProgress")
    for _ in range(3):
        world.step()
        tell("InProgress")
    world.run(one_fails)
    tell("Current")
    # Taken away it asks for nothing, and the other one with a value of its own is another matter.
    world.raw["metadata"]["annotations"].clear()
    world.settle()
    tell("Current")
    world.annotate(rerun="2", rerun_failed="2")
    tell("InProgress")
    world.run()
    tell("Current")
    found = judged(*told)
    assert [one.flux.status for one in found] == words
    assert [one.argo.status for one in found] == [{"Current": "Healthy"}.get(word, "Progressing") for word in words]
    assert found[1].argo.message == "Waiting for the operator to take the rerun up"


def test_a_rerun_of_a_sweep_whose_run_goes_on_or_that_is_held_waits() -> None:
    nightly = World.of(schedule={"cron": "0 2 * * *"})
    nightly.now = datetime(2026, 3, 1, 2, 1, tzinfo=UTC)
    nightly.settle()
    nightly.annotate(rerun="1")
    nightly.settle()
    going = as_it_is(nightly)
    assert "rerun" not in going["status"]
    while not nightly.status.rerun:
        nightly.end(nightly.going)
        nightly.now += timedelta(seconds=11)
        nightly.step()
    assert [run.name for run in nightly.status.history] == ["20260301T0200Z"]
    between = as_it_is(nightly)
    nightly.run()
    nightly.change(schedule={"cron": "0 2 * * *"}, suspend=True)
    nightly.annotate(rerun="2")
    nightly.settle()
    found = judged(going, between, as_it_is(nightly))
    assert [one.argo.status for one in found] == ["Progressing", "Progressing", "Suspended"]
    assert {one.flux.status for one in found} == {"InProgress"}


@pytest.mark.parametrize("annotation", ["rerun", "rerun_failed"])
def test_what_asks_for_a_rerun_in_vain_has_failed(annotation: str) -> None:
    """A token that no status holds, and a spec that cannot be run."""
    long, wrong = World.of(), World.of(schedule={"cron": "61 * * * *"})
    long.run()
    long.annotate(**{annotation: "t" * 257})
    wrong.annotate(**{annotation: "1"})
    for world in (long, wrong):
        world.settle()
    audit = audit_of("passed", **{TOKEN: "t" * 257})
    audit["status"] = audit["status"] | {"rerun": "t" * 256, "conditions": as_it_is(long)["status"]["conditions"]}
    for one in judged(as_it_is(long), as_it_is(wrong), audit):
        assert (one.argo.status, one.flux.status, one.kstatus.status) == ("Degraded", "Failed", "Failed")


def test_a_sweep_of_an_operator_that_told_of_no_rerun_is_not_asked_again() -> None:
    world = World.of()
    world.annotate(rerun="1", rerun_failed="x")
    world.run()
    del world.raw["status"]["rerun"], world.raw["status"]["rerunFailed"]
    made, run = len(world.made), world.status.run
    world.settle()
    assert (world.status.rerun, world.status.rerun_failed) == ("1", "x")
    assert (len(world.made), world.status.run) == (made, run)


PASSED = {"verdict": "Passed", "report": {"uri": "s3://a/screen.json", "sha256": "0" * 64}}
NAMED: Raw = {
    **PASSED, "verdict": "Failed",
    "fleet": {"scanned": 24, "named": 1, "wrong": [{"node": "node-0", "device": "GPU-0", "message": "one bit"}]},
}  # fmt: skip


@pytest.mark.parametrize(
    ("told", "spec", "health"),
    [({**PASSED, "fleet": {"scanned": 24}}, {}, "Healthy"), (NAMED, {}, "Degraded"),
     (NAMED, {"onBreach": "Report"}, "Healthy"), (None, {}, "Progressing"), (None, {"suspend": True}, "Suspended")],
    ids=["passed", "named", "reported", "going", "suspended"],
)  # fmt: skip
def test_a_screening_is_healthy_once_no_gpu_is_named(told: Raw | None, spec: Raw, health: str) -> None:
    world = Screenings(3, **spec)
    world.step()
    if told is not None:
        world.answer("screen")
        world.step()
        world.answer("compare", **told)
        world.step()
    # Where a GPU is named, its node is looked at once more.
    for _ in range(3):
        for kind in ("screen", "again") if told is not None else ():
            world.answer(kind)
        if told is not None:
            world.answer("compare", **told)
        world.step()
    (found,) = judged({"apiVersion": "assay.dev/v1alpha1", "kind": "GpuScreening", **copy.deepcopy(world.raw)})
    words = {"Healthy": "Current", "Degraded": "Failed"}
    assert found.argo.status == health
    assert found.flux.status == found.kstatus.status == words.get(health, "InProgress")


def as_it_is(world: World) -> Raw:
    return copy.deepcopy(world.raw)


class Served:
    """Resources as a real API server gives them back."""

    def __init__(self, server: ApiServer) -> None:
        self.kube, self.namespace = Kube(server.kubeconfig), f"gitops-{uuid.uuid4().hex[:8]}"
        establish(server.kubectl, *(CRDS / f"{name}.yaml" for name in ("accuracyaudits", "accuracysweeps")))
        self.kube.request("POST", "/api/v1/namespaces", {"metadata": {"name": self.namespace}})

    def put(self, raw: Raw, status: Raw | None) -> Raw:
        """Store a resource, and a status of its generation where there is one."""
        name = f"r-{uuid.uuid4().hex[:8]}"
        path = f"/apis/assay.dev/v1alpha1/namespaces/{self.namespace}/{raw['kind'].lower()}s/{name}"
        meta = {"name": name, "annotations": raw["metadata"].get("annotations") or {}}
        made = {"apiVersion": raw["apiVersion"], "kind": raw["kind"], "metadata": meta, "spec": raw["spec"]}
        there = self.kube.apply(path, made)
        if status is None:
            return there
        told = json.dumps({"status": status}).replace(
            f'"observedGeneration": {status["observedGeneration"]}', '"observedGeneration": 1'
        )
        return self.kube.request("PATCH", f"{path}/status", json.loads(told), "application/merge-patch+json")


@pytest.fixture(scope="module")
def served(apiserver: ApiServer) -> Iterator[Served]:
    made = Served(apiserver)
    yield made
    made.kube.own.connection.close()


def test_audits_of_every_phase_in_an_api_server(served: Served) -> None:
    phases = audits_by_phase()
    assert phases.keys() >= {"Pending", "Running", "Suspended", "Complete", "Stalled"}
    told = [(phase, name) for phase, found in phases.items() for name in found if phase != "New"]
    there = [served.put(audit_of(name), status_after(name)) for _, name in told]
    new = served.put(audit(), None)
    assert new["status"] == {"observedGeneration": -1}, "the API server's own default, before an operator is there"
    before = [raw | {"metadata": {**raw["metadata"], "generation": 2}} for raw in there]
    found = judged(new, *there, *before)
    word = {"Complete": "Current", "Stalled": "Failed"}
    assert (found[0].kstatus.status, found[0].argo.status, found[0].flux.status) == (
        "InProgress", "Progressing", "InProgress",
    )  # fmt: skip
    for (phase, name), one in zip(told, found[1:], strict=False):
        assert one.kstatus.status == one.flux.status == word.get(phase, "InProgress"), name
        assert one.argo.status in HEALTH[one.kstatus.status], name
    for one in found[1 + len(told) :]:
        assert {one.kstatus.status, one.flux.status} == {"InProgress"}, "of an earlier spec"
        assert one.argo.status == "Progressing"


def test_sweeps_of_every_phase_in_an_api_server(served: Served) -> None:
    told = sweeps()
    there = [served.put(raw, None if name == "new" else raw["status"]) for name, (raw, _) in told.items()]
    assert {raw["status"].get("phase") for raw in there} == {
        None, "Pending", "Running", "Suspended", "Complete", "Stalled",
    }  # fmt: skip
    before = [raw | {"metadata": {**raw["metadata"], "generation": 9}} for raw in there]
    found = judged(*there, *before)
    for (name, (raw, word)), one in zip(told.items(), found, strict=False):
        assert (one.kstatus.status, one.flux.status) == (word, word), name
        assert one.argo.status in HEALTH[word], name
        assert (one.argo.status == "Suspended") == (raw["spec"].get("suspend") is True), name
        assert one.argo.message, name
    assert {one.kstatus.status for one in found[len(told) :]} == {"InProgress"}
    assert {one.argo.status for one in found[len(told) :]} == {"Progressing"}


def test_without_a_check_argo_cd_sees_no_health_and_a_wrong_one_is_an_error() -> None:
    """What the shipped checks are for, and that they are what is judged by."""
    (bare,) = judge([audit_of("one-breached")], argo={}, flux=[])
    assert (bare.argo.status, bare.flux.status, bare.kstatus.status) == ("", "", "Failed")
    key = "assay.dev_AccuracyAudit"
    with pytest.raises(LabError, match="Argo CD"):
        judge([audit_of("passed")], argo={key: argo_checks()[key].replace("obj.status", "obj.nothing.status")}, flux=[])
    with pytest.raises(LabError, match="healthCheckExprs of AccuracyAudit"):
        judge([], argo={}, flux=[flux_checks()[0] | {"current": "status.conditions.exists(c,"}])
