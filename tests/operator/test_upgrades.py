"""An upgrade gate by the operator as users start it, on a real API server, and the command that CI asks."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.lab import toolchain
from tests.operator.kubelet import Kubelet, report
from tests.operator.lab import Namespace, Operator, Raw
from tests.operator.sweeps import CANDIDATES, MODELS, SAME, apply, going, looked, open_jobs_until_over, status

OLD, NEW = "registry.example/assay-runner:10", "registry.example/assay-runner:11"
UPGRADE = {"fromImage": OLD, "toImage": NEW}


def finish(namespace: Namespace, kubelet: Kubelet, name: str, told: Raw) -> None:
    """Have an audit end; `told` is what its candidate's task tells beside its report."""
    for job in open_jobs_until_over(namespace, name):
        kind = job["metadata"]["labels"]["assay.dev/kind"]
        verdict = {} if kind == "golden" else {"verdict": told["verdict"]}
        kubelet.finish(job, report=report(f"{name}/{kind}"), **{**verdict, **(told if kind == "candidate" else {})})


def gate(namespace: Namespace, *words: str) -> tuple[int, str, str]:
    path = f"{toolchain.kubectl().parent}:{os.environ['PATH']}"
    env = {**os.environ, **namespace.kubectl.env, "PATH": path, "COLUMNS": "200"}
    whole = [sys.executable, "-m", "assay_runner", "gate", *words, "-n", namespace.name]
    done = subprocess.run(whole, env=env, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout, done.stderr


def leg(namespace: Namespace, kubelet: Kubelet, image: str, told: dict[str, Raw]) -> None:
    """End the audits of one image, by what is told of each model."""
    namespace.until(lambda: len(going(namespace, "up")) == 2, f"the audits of {image}")
    for key, audit in going(namespace, "up").items():
        assert audit["spec"]["target"]["image"] == image
        finish(namespace, kubelet, audit["metadata"]["name"], told[key.partition("\n")[0]])


def test_an_upgrade_from_the_old_engine_to_the_exit_code(
    operator: Operator, namespace: Namespace, kubelet: Kubelet
) -> None:
    apply(namespace, "up", upgrade=UPGRADE, template__candidates=CANDIDATES[1:])
    looked(namespace, kubelet, "up", SAME)
    failed: Raw = {"verdict": "Failed", "message": "error 0.23"}
    leg(namespace, kubelet, OLD, {"bert": {"verdict": "Passed"}, "vit": failed})
    code, out, err = gate(namespace, "up")
    assert (code, "not been audited with both images" in " ".join(out.split())) == (2, True)
    assert "has not ended" in err
    (audit, _) = going_when(namespace, 2)
    assert audit["spec"]["compareWith"]["sha256"] == report("x")["sha256"]
    assert audit["spec"]["compareWith"]["uri"].endswith("/summary/report.json")
    worse = {"state": "Regressed", "why": "loses 19 of 1,240", "causes": ["onnxruntime 1.20 -> 1.23"]}
    leg(
        namespace,
        kubelet,
        NEW,
        {
            "bert": {"verdict": "Passed", "compared": worse},
            "vit": {"verdict": "Passed", "compared": {"state": "Improved"}},
        },
    )
    namespace.wait("Complete", "sweep/up")
    told = status(namespace, "up")["gate"]
    assert (told["decision"], told["go"], told["noGo"], told["cured"]) == ("NoGo", 1, 1, 1)
    (row,) = told["worst"]
    assert row["message"].startswith("cpu: within the limits, and worse than the old engine: loses 19 of 1,240")
    assert "NoGo" in namespace("get", "sweep", "up", "-o", "wide")
    code, out, err = gate(namespace, "up", "--wait", "30")
    assert (code, err) == (1, "")
    assert out.splitlines()[1].split()[:5] == ["bert", "any", "cpu", "No", "go"]
    assert "Go, cured" in out.splitlines()[2]
    assert out.splitlines()[-1] == (
        "No go: 1 no go, 1 go of 2 models times GPU products; the upgrade cures something of 1."
    )
    code, out, _ = gate(namespace, "up", "--json")
    rows = json.loads(out)["rows"]
    assert (code, [row["decision"] for row in rows]) == (1, ["NoGo", "Go"])
    assert rows[0]["judged"][0]["new"]["beside"] == "Regressed"


def going_when(namespace: Namespace, count: int) -> list[Raw]:
    namespace.until(lambda: len(going(namespace, "up")) == count, f"{count} audits")
    return list(going(namespace, "up").values())


MISUSED = [
    (("nowhere",), "sweep nowhere in namespace"),
    (("plain",), "has no upgrade: set spec.upgrade"),
    (("Not A Name",), "is no name of a sweep"),
    (("plain", "--wait", "soon"), "takes a number of seconds"),
]


@pytest.mark.parametrize(("words", "said"), MISUSED)
def test_misuse_is_told_in_one_sentence(namespace: Namespace, words: tuple[str, ...], said: str) -> None:
    if "plain" in words:
        apply(namespace, "plain")
    code, out, err = gate(namespace, *words)
    assert (code, out) == (64, "")
    assert said in err
    assert len(err.strip().splitlines()) == 1


def test_plans_alone_are_no_upgrade(operator: Operator, namespace: Namespace) -> None:
    plan = [{"name": "serving", "backend": "tensorrt", "engine": {"uri": "s3://engines/{model}.plan"}}]
    apply(namespace, "plans", upgrade=UPGRADE, models=MODELS[:1], template__candidates=plan)
    namespace.wait("Stalled", "sweep/plans")
    assert "every candidate is an existing plan" in str(status(namespace, "plans")["conditions"])
