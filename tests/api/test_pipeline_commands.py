"""`assay wait`, `assay junit` and `assay ctrf` against a real API server, by a real kubectl."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from assay_api.asked import asked
from assay_api.finding import Verdict
from assay_api.model import to_wire
from assay_api.names import ANNOTATION_CELLS
from assay_api.report import to_json
from assay_runner.cli.kubectl import Place, read_object
from assay_runner.cli.standing import Standing
from assay_runner.cli.wait import waited
from assay_runner.errors import InvalidInput, Unavailable
from tests.api.desk import with_kubectl
from tests.bench.kube import Kube
from tests.cli.audits import assay
from tests.lab.apiserver import ApiServer
from tests.lab.discovery import establish
from tests.operator.screenings import manifest
from tests.unit.api.audits import audit
from tests.unit.api.sweeps import sweep
from tests.unit.report import samples
from tests.unit.report.test_ctrf import checked
from tests.unit.report.test_screen_suites import device, screened

CRDS = Path(__file__).resolve().parents[2] / "crds"
THEN = "2026-01-01T00:00:00Z"
Capture = pytest.CaptureFixture[str]
Raw = dict[str, Any]


def ended(reason: str, message: str = "told", verdict: str | None = None, generation: int = 1) -> Raw:
    """The status of a run that ended."""
    common = {"reason": reason, "message": message, "lastTransitionTime": THEN, "observedGeneration": generation}
    conditions = [common | {"type": "Complete", "status": "True"}, common | {"type": "Ready", "status": "True"}]
    return {"observedGeneration": generation, "phase": "Complete", "conditions": conditions} | (
        {"verdict": verdict} if verdict else {}
    )


def going(message: str) -> Raw:
    common = {"reason": "Running", "message": message, "lastTransitionTime": THEN, "observedGeneration": 1}
    conditions = [common | {"type": "Complete", "status": "False"}, common | {"type": "Ready", "status": "False"}]
    return {"observedGeneration": 1, "phase": "Running", "conditions": conditions}


def screening() -> Raw:
    whole = manifest(Path("/plan.onnx"), Path("/artifacts"), "")
    return {key: whole[key] for key in ("apiVersion", "kind", "spec")}


class Cluster:
    """A namespace whose statuses say what an operator would have written."""

    def __init__(self, server: ApiServer) -> None:
        self.server, self.kube = server, Kube(server.kubeconfig)
        self.namespace = f"pipeline-{uuid.uuid4().hex[:8]}"
        kinds = ("accuracyaudits", "accuracysweeps", "gpuscreenings")
        establish(server.kubectl, *(CRDS / f"{name}.yaml" for name in kinds))
        self.kube.request("POST", "/api/v1/namespaces", {"metadata": {"name": self.namespace}})

    def path(self, kind: str, name: str) -> str:
        plural = "gpuscreenings" if kind == "screening" else f"accuracy{kind}s"
        return f"/apis/assay.dev/v1alpha1/namespaces/{self.namespace}/{plural}/{name}"

    def put(self, name: str, status: Raw | None, kind: str = "audit", **meta: Any) -> None:
        made = {"audit": audit, "sweep": sweep, "screening": screening}[kind]()
        self.kube.apply(self.path(kind, name), made | {"metadata": {"name": name, **meta}})
        if status is not None:
            self.tell(name, status, kind)

    def tell(self, name: str, status: Raw, kind: str = "audit") -> None:
        self.merge(f"{self.path(kind, name)}/status", {"status": status})

    def annotate(self, name: str, kind: str = "audit", **annotations: str) -> None:
        told = {f"assay.dev/{key.replace('_', '-')}": value for key, value in annotations.items()}
        self.merge(self.path(kind, name), {"metadata": {"annotations": told}})

    def merge(self, path: str, patch: Raw) -> None:
        self.kube.request("PATCH", path, patch, "application/merge-patch+json")

    def cell(self, of: str, model: str, **entry: Any) -> None:
        """An audit of a sweep with one cell."""
        found = self.kube.request("GET", self.path("sweep", of))
        made = {ANNOTATION_CELLS: json.dumps({"place": model, "cells": {"fp16": "0" * 16}})}
        owner = {"apiVersion": "assay.dev/v1alpha1", "kind": "AccuracySweep", "name": of, "controller": True}
        owners = [owner | {"uid": found["metadata"]["uid"]}]
        status = {"candidates": [{"name": "fp16", "state": "Finished", **entry}]}
        self.put(f"{of}-{model}", ended("Passed") | status, labels={"assay.dev/sweep": of}, annotations=made,
                 ownerReferences=owners)  # fmt: skip

    def waited(self, name: str, *story: Callable[[], object], timeout: float = 120) -> Standing:
        """Wait for an audit; before each look but the first one step of the story happens."""
        steps = iter(((lambda: None), *story))

        def look(place: Place) -> Raw:
            next(steps, lambda: None)()
            return read_object(place)

        return waited(Place(name, self.namespace), time.monotonic() + timeout, timeout, look, every=0)


@pytest.fixture(scope="module")
def shared(apiserver: ApiServer) -> Iterator[Cluster]:
    cluster = Cluster(apiserver)
    yield cluster
    cluster.kube.own.connection.close()


@pytest.fixture
def cluster(shared: Cluster, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    with_kubectl(shared.server, monkeypatch)
    monkeypatch.setattr("assay_runner.cli.wait.EVERY", 0.2)
    return shared


@pytest.mark.parametrize(
    ("status", "code", "word"),
    [
        (ended("Passed", verdict="Passed"), 0, "Passed"),
        (ended("Breached", verdict="Failed"), 1, "Failed"),
        (ended("Inconclusive", verdict="Inconclusive"), 2, "Inconclusive"),
        (ended("InvalidInput"), 64, "no verdict"),
        (ended("Error"), 69, "no verdict"),
        (ended("Error", verdict="Failed"), 1, "Failed"),
        (ended("OfTomorrow", verdict="Passed"), 69, "Passed"),
    ],
)
def test_the_exit_code_is_the_verdict(cluster: Cluster, capsys: Capture, status: Raw, code: int, word: str) -> None:
    name = f"a-{uuid.uuid4().hex[:6]}"
    cluster.put(name, status)
    done = assay(capsys, "wait", f"audit/{name}", "-n", cluster.namespace, "--timeout", "0")
    assert (done.code, done.out) == (code, f"audit/{name} {word}: told\n")


def test_it_waits_for_this_spec_and_tells_what_is_being_done(cluster: Cluster, capsys: Capture) -> None:
    """The verdict of the spec before, and of the run before a rerun, is none."""
    cluster.put("turns", ended("Passed", verdict="Passed", generation=0), annotations={"assay.dev/rerun": "1"})
    passed = ended("Passed", verdict="Passed")
    story = [going("1/3 finished") | {"rerun": "1"}, going("1/3 finished") | {"rerun": "1"}, passed]
    now = cluster.waited("turns", *(partial(cluster.tell, "turns", status) for status in story))
    assert (now.code, now.word) == (0, "Passed")
    said = capsys.readouterr().err.splitlines()
    assert said == ["assay: audit/turns Pending: the operator has not looked at this spec yet",
                    "assay: audit/turns Running: 1/3 finished"]  # fmt: skip
    cluster.annotate("turns", rerun="2")
    done = assay(capsys, "wait", "audit/turns", "-n", cluster.namespace, "--timeout", "0s")
    assert done.code == 69
    assert "has not ended within 0 s (Pending: the operator has not taken the rerun up yet)" in done.complaints[-1]


def test_one_that_another_controller_carries_out_says_so(cluster: Cluster, capsys: Capture) -> None:
    cluster.kube.apply(cluster.path("audit", "away"), {**audit(managedBy="kueue.x-k8s.io/multikueue"),
                                                       "metadata": {"name": "away"}})  # fmt: skip
    done = assay(capsys, "wait", "audit/away", "-n", cluster.namespace, "--timeout", "0")
    assert done.code == 69
    assert "spec.managedBy is kueue.x-k8s.io/multikueue, so the operator leaves it alone" in done.complaints[-1]


def test_one_that_is_not_ended_in_time_and_those_that_are_not_there(cluster: Cluster, capsys: Capture) -> None:
    cluster.put("slow", going("building"))
    begun = time.monotonic()
    done = assay(capsys, "wait", "audit/slow", "-n", cluster.namespace, "--timeout", "1s")
    assert time.monotonic() - begun < 30
    assert (done.code, done.out) == (69, "")
    assert "audit slow in namespace" in done.complaints[-1]
    assert "it goes on in the cluster, wait again or longer (--timeout)" in done.complaints[-1]
    for what, told in (
        ("audit/nobody", "does not exist"),
        ("nobody", "is none of audit/NAME, sweep/NAME and screening/NAME"),
        ("pod/x", "is none of"),
        ("audit/", "is none of"),
        ("sweep/../x", "is no name of a sweep"),
    ):
        done = assay(capsys, "wait", what, "-n", cluster.namespace)  # fmt: skip
        assert (done.code, told in done.complaints[-1]) == (64, True), done.err
    done = assay(capsys, "wait", "audit/slow", "--timeout", "soon")
    assert (done.code, "takes a duration such as 90s, 30m or 2h, got 'soon'" in done.err) == (64, True)


def test_one_that_is_deleted_meanwhile_and_a_cluster_that_is_away(
    cluster: Cluster, capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.put("leaves", going("building"))
    with pytest.raises(InvalidInput, match=r"audit leaves in namespace .* does not exist"):
        cluster.waited("leaves", lambda: cluster.kube.raw("DELETE", cluster.path("audit", "leaves")))
    cluster.put("lasts", going("building"))
    config, good = tmp_path / "kubeconfig", cluster.server.kubeconfig.read_text()
    bad = good.replace(cluster.server.url, "https://127.0.0.1:9")
    config.write_text(good)
    monkeypatch.setenv("KUBECONFIG", str(config))

    def back() -> None:
        cluster.tell("lasts", ended("Passed", verdict="Passed"))
        config.write_text(good)

    assert cluster.waited("lasts", lambda: config.write_text(bad), back).code == 0
    assert "audit/lasts Unknown: kubectl could not read audit lasts" in capsys.readouterr().err
    config.write_text(bad)
    with pytest.raises(Unavailable, match="kubectl could not read audit lasts"):
        cluster.waited("lasts")


def test_of_several_the_worst_decides(cluster: Cluster, capsys: Capture) -> None:
    cluster.put("good", ended("Passed", verdict="Passed"))
    cluster.put("unclear", ended("Inconclusive", verdict="Inconclusive"))
    cluster.put("nightly", ended("Breached", verdict="Failed"), "sweep")
    every = ("audit/good", "audit/unclear", "sweep/nightly", "audit/good")
    done = assay(capsys, "wait", *every, "-n", cluster.namespace)
    assert (done.code, len(done.out.splitlines())) == (1, 3)
    assert assay(capsys, "wait", *every[:2], "-n", cluster.namespace).code == 2
    assert assay(capsys, "wait", every[0], "-n", cluster.namespace).code == 0


def test_a_sweep_over_its_budget_has_not_passed_and_a_rerun_of_one_is_waited_for(
    cluster: Cluster, capsys: Capture
) -> None:
    wait = ("wait", "sweep/halted", "-n", cluster.namespace, "--timeout", "0")
    cluster.put("halted", ended("OverBudget", verdict="Passed"), "sweep")
    assert assay(capsys, *wait).code == 2
    cluster.tell("halted", {"verdict": "Failed"}, "sweep")
    assert assay(capsys, *wait).code == 1
    cluster.tell("halted", ended("Passed", verdict="Passed"), "sweep")
    assert assay(capsys, *wait).code == 0
    cluster.annotate("halted", "sweep", rerun_failed="now")
    assert assay(capsys, *wait).code == 69
    cluster.tell("halted", {"asked": asked("", "now", None)}, "sweep")
    assert assay(capsys, *wait).code == 0
    # What cannot be run is asked in vain, and a token that no status holds is told of as far as it is held.
    cluster.annotate("halted", "sweep", rerun="t" * 300)
    assert assay(capsys, *wait).code == 69
    cluster.tell("halted", {"rerun": "t" * 256} | ended("InvalidInput"), "sweep")
    assert assay(capsys, *wait).code == 64
    cluster.annotate("good", rerun="t" * 300)
    cluster.tell("good", {"rerun": "t" * 256} | ended("InvalidInput"))
    assert assay(capsys, "wait", "audit/good", "-n", cluster.namespace, "--timeout", "0").code == 64


@pytest.mark.parametrize("kind", ["sweep", "audit"])
def test_regressions_are_told_and_end_with_1_where_that_is_asked(cluster: Cluster, capsys: Capture, kind: str) -> None:
    name, place = f"worse-{kind}", f"{kind}/worse-{kind}"
    worse: Raw = {"counts": {"cells": 9, "passed": 9, "regressed": 2}}
    if kind == "audit":
        states = ("Regressed", "Changed", "Regressed")
        entries = [{"name": f"c{at}", "state": "Finished", "baseline": {"state": s}} for at, s in enumerate(states)]
        worse = {"candidates": entries}
    cluster.put(name, ended("Passed", verdict="Passed") | worse, kind)
    wait = ("wait", place, "-n", cluster.namespace, "--timeout", "0")
    done = assay(capsys, *wait)
    of = "--sweep worse-sweep" if kind == "sweep" else place
    told = f"{place} Passed: told; 2 regressed: see `assay baseline show {of} --namespace={cluster.namespace}`\n"
    assert (done.code, done.out) == (0, told)
    assert assay(capsys, *wait, "--regressions").code == 1
    cluster.put(f"fine-{kind}", ended("Passed", verdict="Passed"), kind)
    done = assay(capsys, "wait", f"{kind}/fine-{kind}", "-n", cluster.namespace, "--regressions")
    assert (done.code, done.out) == (0, f"{kind}/fine-{kind} Passed: told\n")


def stored(cluster: Cluster, folder: Path, name: str, **changes: Any) -> None:
    """An audit that ended, with its report on disk."""
    folder.mkdir()
    content = to_json(samples.failed())
    (folder / "report.json").write_bytes(content)
    (folder / "report.html").write_text("<html>")
    told = {"uri": f"file://{folder}/report.json", "sha256": hashlib.sha256(content).hexdigest()}
    cluster.put(name, ended("Breached", verdict="Failed", **changes) | {"report": told})


def test_an_audit_in_both_formats(cluster: Cluster, capsys: Capture, tmp_path: Path) -> None:
    stored(cluster, tmp_path / "run", "told")
    out = tmp_path / "deep" / "junit.xml"
    done = assay(capsys, "junit", "audit/told", "-n", cluster.namespace, "--out", str(out))
    assert (done.code, done.out) == (0, "")
    assert ElementTree.parse(out).getroot().get("failures") == "2"
    done = assay(capsys, "ctrf", "audit/told", "-n", cluster.namespace)
    assert done.code == 0
    assert checked(done.out.encode())["results"]["summary"]["failed"] == 2
    # The same of the file itself, for which there is no cluster.
    assert assay(capsys, "ctrf", str(tmp_path / "run")).out == done.out


@pytest.mark.parametrize("name", ["of-before", "running", "without", "nobody"])
def test_where_there_is_no_answer_the_file_is_red(cluster: Cluster, capsys: Capture, tmp_path: Path, name: str) -> None:
    out = tmp_path / "ctrf.json"
    out.write_text("yesterday's")
    if name == "of-before":
        stored(cluster, tmp_path / "run", name, generation=0)
    elif name != "nobody":
        cluster.put(name, going("building") if name == "running" else ended("Error", "the image is gone"))
    done = assay(capsys, "ctrf", f"audit/{name}", "-n", cluster.namespace, "-o", str(out))
    assert done.code == (64 if name == "nobody" else 69)
    (test,) = checked(out.read_bytes())["results"]["tests"]
    assert test["status"] == "failed"
    assert done.complaints[-1] == f"assay: {test['message']}"
    told = {"running": "wait for it with `assay wait audit/running", "of-before": "has not looked at this spec",
            "without": "the image is gone", "nobody": "does not exist"}  # fmt: skip
    assert told[name] in test["message"]


def test_a_sweep_is_a_suite_per_model(cluster: Cluster, capsys: Capture, tmp_path: Path) -> None:
    out = tmp_path / "junit.xml"

    def suites() -> dict[str, tuple[str | None, str | None, str | None]]:
        assert assay(capsys, "junit", "sweep/models", "-n", cluster.namespace, "-o", str(out)).code == 0
        found = ElementTree.parse(out).getroot()
        return {str(s.get("name")): (s.get("tests"), s.get("failures"), s.get("errors")) for s in found}

    cluster.put("models", going("looking"), "sweep")
    assert suites() == {"sweep": ("1", "0", "1")}
    worst = {"check": "finite", "node": "/Mul", "message": "/Mul overflows"}
    cluster.cell("models", "bert", verdict="Passed")
    cluster.cell("models", "vit", verdict="Failed", worst=worst)
    cluster.tell("models", ended("Breached", verdict="Failed") | {"counts": {"cells": 2, "passed": 1}}, "sweep")
    assert suites() == {"bert": ("1", "0", "0"), "vit": ("1", "1", "0")}
    assert "/Mul overflows (audit models-vit)" in out.read_text()
    cluster.tell("models", ended("OverBudget", "1 not audited") | {"counts": {"cells": 3, "overBudget": 1}}, "sweep")
    assert suites()["sweep"] == ("2", "0", "2")
    assert "1 cells have no audit (1 are over the budget)" in out.read_text()
    done = assay(capsys, "ctrf", "sweep/models", "-n", cluster.namespace)
    assert checked(done.out.encode())["results"]["summary"]["failed"] == 3


def test_a_screening_is_waited_for_and_is_a_suite_per_node(cluster: Cluster, capsys: Capture, tmp_path: Path) -> None:
    where = ("-n", cluster.namespace)
    devices = (device("GPU-1", host="a"), device("GPU-2", Verdict.FAILED, host="b"))
    content = json.dumps(to_wire(screened(*devices, verdict=Verdict.FAILED))).encode()
    (tmp_path / "screen.json").write_bytes(content)
    (tmp_path / "screen.html").write_text("<html>")
    told = {"uri": f"file://{tmp_path}/screen.json", "page": f"file://{tmp_path}/screen.html"}
    report = {"report": told | {"sha256": hashlib.sha256(content).hexdigest()}}
    cluster.put("h100", going("1 of 2 nodes done") | report, "screening")
    out = tmp_path / "junit.xml"
    done = assay(capsys, "junit", "screening/h100", *where, "-o", str(out))
    assert (done.code, "wait for it with `assay wait screening/h100" in done.complaints[-1]) == (69, True)
    assert ElementTree.parse(out).getroot().get("errors") == "1"
    for reason, verdict, code in (
        ("Passed", "Passed", 0), ("Breached", "Failed", 1), ("Inconclusive", "Inconclusive", 2),
        ("InvalidInput", None, 64), ("Error", None, 69),
    ):  # fmt: skip
        # What an earlier run reported stays in the status of a spec that is wrong.
        cluster.tell("h100", ended(reason, verdict=verdict) | report | {"verdict": verdict}, "screening")
        assert assay(capsys, "wait", "screening/h100", *where, "--timeout", "0").code == code
        done = assay(capsys, "ctrf", "screening/h100", *where, "-o", str(out))
        assert done.code == (code if code > 2 else 0), done.err
        tests = checked(out.read_bytes())["results"]["tests"]
        names = ["a: GPU-1", "b: GPU-2"] if code <= 2 else ["audit: run"]
        assert [test["name"] for test in tests] == names
    # A rerun that is asked for is waited for, and of what lies on disk there is no cluster to ask.
    cluster.tell("h100", ended("Passed", verdict="Passed"), "screening")
    cluster.annotate("h100", "screening", rerun="1")
    assert assay(capsys, "wait", "screening/h100", *where, "--timeout", "0").code == 69
    for given in (tmp_path, tmp_path / "screen.json"):
        done = assay(capsys, "junit", str(given))
        assert (done.code, ElementTree.fromstring(done.out).get("failures")) == (0, "1")
    (tmp_path / "screen.json").write_text('{"devices": 1, "rule": 2}')
    done = assay(capsys, "junit", str(tmp_path))
    assert (done.code, "is a damaged report of a screening" in done.complaints[-1]) == (64, True)
