"""A repair in a cluster: after a candidate that failed, beside the verdict, and told of with what to deploy."""

from __future__ import annotations

import json
from functools import partial

from tests.operator.kubelet import Kubelet, report
from tests.operator.lab import Namespace, Operator, Raw
from tests.operator.test_run import finish_candidates

REMEDIES: Raw = {"auto": {}, "budget": {"builds": 10}}
FOLDER = "s3://audits/x/repair/bf16-precision"
CURED: Raw = {"candidate": "bf16", "remedy": "precision", "outcome": "Cured", "repaired": "bf16-precision"}
DEPLOY: Raw = {"folder": FOLDER, "files": {"model": "model.onnx", "plan": "model.plan", "reproduce": "reproduce.sh"}}


def test_a_cure_is_recommended_and_the_verdict_stays(
    operator: Operator, namespace: Namespace, kubelet: Kubelet
) -> None:
    namespace.apply_audit("digits", remedies=REMEDIES)
    finish_candidates(namespace, kubelet, {"fp16": "Passed", "bf16": "Failed"})
    job = namespace.job("repair")
    kubelet.pod(job)
    namespace.until(lambda: [entry["state"] for entry in repairs(namespace)] == ["Running"], "it to run")
    assert "summary" not in namespace.jobs()
    kubelet.finish(job, verdict="Passed", cures=[CURED], message="bf16: cured by precision", report=report("repair"))
    summary = namespace.job("summary")
    told = {env["name"]: env.get("value", "") for env in summary["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert json.loads(told["ASSAY_REPORTS"])["repair"] == "ab" * 32
    kubelet.finish(
        summary, verdict="Failed", recommendation="bf16-precision", recommendedBecause="it is a repair of bf16",
        deploy=DEPLOY, report=report("all"),
    )  # fmt: skip
    namespace.wait("Stalled")
    status = namespace.audit("digits")["status"]
    assert status["verdict"] == "Failed"
    assert namespace.condition("digits", "Complete")["reason"] == "Breached"
    assert "ship the repaired bf16-precision" in namespace.condition("digits", "Complete")["message"]
    assert status["finished"] == "2/2", "a repair is no candidate"
    assert status["recommendation"] == {
        "candidate": "bf16-precision", "message": "it is a repair of bf16",
        "deploy": {name: f"{FOLDER}/{file}" for name, file in DEPLOY["files"].items()},
    }  # fmt: skip
    [entry] = repairs(namespace)
    assert (entry["name"], entry["state"], entry["cures"]) == ("repair", "Finished", [CURED])
    namespace.until(lambda: any("RepairFinished" in event for event in namespace.events()), "its event")


def test_a_repair_that_fails_changes_no_verdict(operator: Operator, namespace: Namespace, kubelet: Kubelet) -> None:
    namespace.apply_audit("digits", remedies=REMEDIES)
    finish_candidates(namespace, kubelet, {"fp16": "Passed", "bf16": "Failed"})
    sentence = "the calibration set is gone"
    kubelet.finish(namespace.job("repair"), code=64, error={"reason": "InvalidInput", "message": sentence})
    kubelet.finish(namespace.job("summary"), verdict="Failed", recommendation="fp16", report=report("all"))
    namespace.wait("Stalled")
    assert namespace.audit("digits")["status"]["verdict"] == "Failed"
    complete = namespace.condition("digits", "Complete")
    assert (complete["reason"], namespace.condition("digits", "Passed")["status"]) == ("Breached", "False")
    assert f"repair failed: {sentence}" in complete["message"]
    [entry] = repairs(namespace)
    assert (entry["state"], sentence in entry["message"]) == ("Failed", True)
    namespace.until(lambda: any("RepairFailed" in event for event in namespace.events()), "its event")


def test_where_nothing_failed_there_is_none(operator: Operator, namespace: Namespace, kubelet: Kubelet) -> None:
    namespace.apply_audit("digits", remedies=REMEDIES)
    finish_candidates(namespace, kubelet, {"fp16": "Passed", "bf16": "Passed"})
    kubelet.finish(namespace.job("summary"), verdict="Passed", recommendation="fp16", report=report("all"))
    namespace.wait("Complete")
    assert "repair" not in namespace.jobs()
    assert "repairs" not in namespace.audit("digits")["status"]


def test_suspended_it_is_kept_and_goes_on(operator: Operator, namespace: Namespace, kubelet: Kubelet) -> None:
    namespace.apply_audit("digits", remedies=REMEDIES)
    finish_candidates(namespace, kubelet, {"fp16": "Passed", "bf16": "Failed"})
    name = namespace.job("repair")["metadata"]["name"]
    for held in ("true", "false"):
        namespace("patch", "audit", "digits", "--type=merge", "-p", f'{{"spec":{{"suspend":{held}}}}}')
        namespace.until(partial(is_held, namespace, held == "true"), f"suspend: {held}")
    assert namespace.job("repair")["metadata"]["name"] == name


def is_held(namespace: Namespace, held: bool) -> bool:
    return bool(namespace.job("repair")["spec"].get("suspend")) is held


def repairs(namespace: Namespace) -> list[Raw]:
    found: list[Raw] = (namespace.audit("digits").get("status") or {}).get("repairs") or []
    return found
