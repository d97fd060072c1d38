"""Sweeps by the operator as users start it, on a real API server: audits made, answers counted, nothing done twice."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.lab.apiserver import ApiServer
from tests.operator.kubelet import Kubelet
from tests.operator.lab import Namespace, Operator, Raw
from tests.operator.sweeps import CANDIDATES, MODELS, SAME, apply, audits, concluded, going, looked, status


def test_a_sweep_from_its_models_to_its_verdict(operator: Operator, namespace: Namespace, kubelet: Kubelet) -> None:
    apply(namespace, "nightly")
    looked(namespace, kubelet, "nightly", SAME)
    concluded(namespace, kubelet, "nightly", {"vit/fp16@NVIDIA-L4": "Failed"})
    namespace.wait("Complete", "sweep/nightly")
    said = status(namespace, "nightly")
    assert said["counts"] == {"cells": 4, "passed": 3, "failed": 1}
    assert (said["verdict"], said["phase"], said["finished"], said["models"]) == ("Failed", "Stalled", "4/4", 2)
    assert said["gpuSeconds"] == 200
    (worst,) = said["worst"]
    assert (worst["model"], worst["candidate"], worst["gpuProduct"]) == ("vit", "fp16", "NVIDIA-L4")
    assert worst["message"] == "judged Failed"
    assert worst["audit"] == audits(namespace, "nightly")["vit/fp16@NVIDIA-L4"]["metadata"]["name"]
    assert [run["verdict"] for run in said["history"]] == ["Failed"]
    namespace.until(
        lambda: not [j for j in namespace.items("jobs") if "sweep" in str(j["metadata"]["labels"])], "no Job"
    )
    namespace.until(lambda: any(e.startswith("Complete: Run") for e in namespace.events()), "the event")
    # The audits are the sweep's own, and of the spec that the template and the model make.
    audit = audits(namespace, "nightly")["bert/fp16@NVIDIA-L4"]
    (owner,) = audit["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"]) == ("AccuracySweep", "nightly")
    assert audit["spec"]["dataset"]["uri"] == "s3://datasets/bert/"
    assert audit["spec"]["target"] == {"gpuProducts": ["NVIDIA-L4"], "image": "registry.example/assay-runner:1"}


def test_what_has_not_changed_is_not_audited_again(operator: Operator, namespace: Namespace, kubelet: Kubelet) -> None:
    apply(namespace, "again")
    looked(namespace, kubelet, "again", SAME)
    concluded(namespace, kubelet, "again")
    namespace.wait("Complete", "sweep/again")
    first = {a["metadata"]["uid"] for a in namespace.items("accuracyaudits")}
    # Another run of the same content makes nothing; one in which a model has changed makes that model's alone.
    namespace("annotate", "sweep", "again", "assay.dev/rerun-failed=1")
    looked(namespace, kubelet, "again", SAME)
    namespace.until(lambda: status(namespace, "again")["counts"].get("unchanged") == 4, "four unchanged cells")
    assert {a["metadata"]["uid"] for a in namespace.items("accuracyaudits")} == first
    namespace("wait", "--for=jsonpath={.status.rerunFailed}=1", "sweep/again", "--timeout=90s")
    assert status(namespace, "again").get("gpuSeconds", 0) == 0
    namespace("annotate", "sweep", "again", "--overwrite", "assay.dev/rerun-failed=2")
    looked(namespace, kubelet, "again", {**SAME, "vit": "c" * 16})
    concluded(namespace, kubelet, "again", {"vit/cpu": "Failed"}, count=2)
    namespace.until(lambda: status(namespace, "again")["counts"].get("regressed") == 1, "the regression")
    said = status(namespace, "again")
    assert said["counts"] == {"cells": 4, "passed": 3, "failed": 1, "unchanged": 2, "regressed": 1}
    assert said["worst"][0]["regressed"] is True


def test_what_failed_is_audited_again_where_that_is_asked(
    operator: Operator, namespace: Namespace, kubelet: Kubelet
) -> None:
    apply(namespace, "retry")
    looked(namespace, kubelet, "retry", SAME)
    concluded(namespace, kubelet, "retry", {"vit/cpu": "Failed", "bert/cpu": "Error"})
    namespace.wait("Complete", "sweep/retry")
    assert status(namespace, "retry")["counts"] == {"cells": 4, "passed": 2, "failed": 1, "errors": 1}
    namespace("annotate", "sweep", "retry", "assay.dev/rerun-failed=1")
    looked(namespace, kubelet, "retry", SAME)
    namespace.until(lambda: len(going(namespace, "retry")) == 2, "two audits anew")
    assert set(going(namespace, "retry")) == {"vit/cpu", "bert/cpu"}
    concluded(namespace, kubelet, "retry", count=2)
    namespace.until(lambda: status(namespace, "retry")["verdict"] == "Passed", "the verdict")
    assert status(namespace, "retry")["counts"]["passed"] == 4
    namespace("annotate", "sweep", "retry", "assay.dev/rerun=1")
    looked(namespace, kubelet, "retry", SAME)
    concluded(namespace, kubelet, "retry")


def test_an_audit_that_somebody_changed_answers_for_nothing(
    operator: Operator, namespace: Namespace, kubelet: Kubelet
) -> None:
    apply(namespace, "edited", models=MODELS[:1], template__candidates=CANDIDATES[1:])
    looked(namespace, kubelet, "edited", {"bert": "a" * 16})
    namespace.until(lambda: len(going(namespace, "edited")) == 1, "the audit")
    (audit,) = going(namespace, "edited").values()
    patch = '{"spec": {"checks": [{"finite": {}}]}}'
    namespace("patch", "audit", audit["metadata"]["name"], "--type=merge", "-p", patch)

    def fresh() -> bool:
        return [a["metadata"]["uid"] for a in audits(namespace, "edited").values()] not in (
            [],
            [audit["metadata"]["uid"]],
        )

    namespace.until(fresh, "another audit in its place")
    (made,) = audits(namespace, "edited").values()
    assert "checks" not in made["spec"]


def test_numbers_that_the_api_server_writes_otherwise_are_no_change(
    operator: Operator, namespace: Namespace, kubelet: Kubelet
) -> None:
    calibration = {"uri": "s3://datasets/calib/", "method": "percentile", "percentile": 100}
    whole = [{"name": "int8", "backend": "onnxruntime", "precision": "int8", "calibration": calibration}]
    apply(namespace, "whole", models=MODELS[:1], template__candidates=whole)
    looked(namespace, kubelet, "whole", {"bert": "a" * 16})
    namespace.until(lambda: len(going(namespace, "whole")) == 1, "the audit")
    hold = json.dumps({"spec": {"suspend": True}})
    namespace("patch", "sweep", "whole", "--type=merge", "-p", hold)
    namespace.until(lambda: all(a["spec"].get("suspend") for a in going(namespace, "whole").values()), "held audits")
    (audit,) = going(namespace, "whole").values()
    namespace("patch", "sweep", "whole", "--type=merge", "-p", hold.replace("true", "false"))
    namespace.until(lambda: not any(a["spec"].get("suspend") for a in going(namespace, "whole").values()), "going on")
    concluded(namespace, kubelet, "whole", count=1)
    namespace.wait("Complete", "sweep/whole")
    (again,) = audits(namespace, "whole").values()
    assert again["metadata"]["uid"] == audit["metadata"]["uid"]
    assert again["metadata"]["generation"] == 3


def test_what_a_deleted_sweep_has_left_is_in_nobody_s_way(
    operator: Operator, namespace: Namespace, kubelet: Kubelet
) -> None:
    for _ in range(2):
        apply(namespace, "reborn", models=MODELS[:1], template__candidates=CANDIDATES[1:])
        looked(namespace, kubelet, "reborn", {"bert": "a" * 16})
        concluded(namespace, kubelet, "reborn", count=1)
        namespace.wait("Complete", "sweep/reborn")
        assert status(namespace, "reborn")["counts"] == {"cells": 1, "passed": 1}
        # Nothing collects garbage here: all that it had is there when the next one comes.
        namespace("delete", "sweep", "reborn")
    assert len(namespace.items("accuracyaudits")) == 2


def test_suspending_holds_its_audits_and_resuming_goes_on(
    operator: Operator, namespace: Namespace, kubelet: Kubelet
) -> None:
    apply(namespace, "held", suspend=True)
    namespace.until(lambda: status(namespace, "held").get("phase") == "Suspended", "the phase")
    assert namespace.items("jobs") == []
    resume, hold = (json.dumps({"spec": {"suspend": word}}) for word in (False, True))
    namespace("patch", "sweep", "held", "--type=merge", "-p", resume)
    looked(namespace, kubelet, "held", SAME)
    namespace.until(lambda: len(going(namespace, "held")) == 4, "the audits")
    namespace("patch", "sweep", "held", "--type=merge", "-p", hold)
    namespace.until(lambda: all(a["spec"].get("suspend") for a in going(namespace, "held").values()), "held audits")
    namespace("patch", "sweep", "held", "--type=merge", "-p", resume)
    namespace.until(lambda: not any(a["spec"].get("suspend") for a in going(namespace, "held").values()), "going on")
    concluded(namespace, kubelet, "held")
    namespace.wait("Complete", "sweep/held")


def test_no_more_audits_at_once_than_asked(operator: Operator, namespace: Namespace, kubelet: Kubelet) -> None:
    # On CPU: one that waits for a GPU which no node has is beside them.
    apply(namespace, "few", maxParallel=1, template__candidates=CANDIDATES[1:])
    looked(namespace, kubelet, "few", SAME)
    for _ in range(2):
        concluded(namespace, kubelet, "few", count=1)
    namespace.wait("Complete", "sweep/few")
    assert len(audits(namespace, "few")) == 2


def test_a_budget_halts_a_run_and_a_larger_one_lets_it_go_on(
    operator: Operator, namespace: Namespace, kubelet: Kubelet
) -> None:
    # The first audit shows what one takes: 100 s. Of 150 s a second one does not fit.
    budget = {"gpuHours": 150 / 3600, "whenOver": "Halt"}
    apply(namespace, "halt", maxParallel=1, budget=budget, template__candidates=CANDIDATES[:1])
    looked(namespace, kubelet, "halt", SAME)
    concluded(namespace, kubelet, "halt", count=1)
    namespace.wait("Complete", "sweep/halt")
    said = status(namespace, "halt")
    assert said["counts"] == {"cells": 2, "passed": 1, "overBudget": 1}
    assert (said["verdict"], said["gpuSeconds"]) == ("Inconclusive", 100)
    (complete,) = [c for c in said["conditions"] if c["type"] == "Complete"]
    assert complete["reason"] == "OverBudget"
    assert "1 not audited" in complete["message"]
    namespace("patch", "sweep", "halt", "--type=merge", "-p", '{"spec": {"budget": {"gpuHours": 1}}}')
    looked(namespace, kubelet, "halt", SAME)
    concluded(namespace, kubelet, "halt", count=1)
    namespace.until(lambda: status(namespace, "halt")["verdict"] == "Passed", "the verdict")
    # All of it anew is reckoned to take 200 s: more than is allowed, so none of it begins.
    patch = {"spec": {"budget": {"gpuHours": 150 / 3600, "whenOver": "Refuse"}}}
    namespace("patch", "sweep", "halt", "--type=merge", "-p", json.dumps(patch))
    namespace("annotate", "sweep", "halt", "assay.dev/rerun=1")
    looked(namespace, kubelet, "halt", SAME)
    namespace.until(lambda: status(namespace, "halt")["counts"].get("overBudget") == 2, "the refusal")
    (complete,) = [c for c in status(namespace, "halt")["conditions"] if c["type"] == "Complete"]
    assert "2 cells have changed and would take 0.0556 GPU hours" in complete["message"]
    assert going(namespace, "halt") == {}


def test_what_no_schema_knows_is_told_in_one_sentence(operator: Operator, namespace: Namespace) -> None:
    apply(namespace, "wrong", schedule={"cron": "0 0 30 2 *", "timeZone": "Mars/Base"})
    namespace.wait("Stalled", "sweep/wrong")
    (stalled,) = [c for c in status(namespace, "wrong")["conditions"] if c["type"] == "Stalled"]
    assert stalled["reason"] == "InvalidInput"
    assert "spec.schedule.timeZone: there is no time zone 'Mars/Base'" in stalled["message"]
    assert "spec.schedule.cron: '0 0 30 2 *' is no schedule of cron" in stalled["message"]
    apply(namespace, "bare", fleet=True, template__target={})
    namespace.wait("Stalled", "sweep/bare")
    assert "no node has the label nvidia.com/gpu.product" in str(status(namespace, "bare")["conditions"])


def test_a_model_s_audit_that_cannot_be_is_an_error_and_holds_nobody_up(
    operator: Operator, namespace: Namespace, kubelet: Kubelet
) -> None:
    apply(namespace, "odd", models=None, modelPrefix={"uri": "s3://models/"}, template__candidates=CANDIDATES[1:])
    # A name that makes the dataset's URI longer than a URI may be.
    looked(namespace, kubelet, "odd", {"bert": "a" * 16, "x" * 1100: "b" * 16})
    concluded(namespace, kubelet, "odd", count=1)
    namespace.wait("Complete", "sweep/odd")
    said = status(namespace, "odd")
    assert said["counts"] == {"cells": 2, "passed": 1, "errors": 1}
    assert "dataset.uri" in said["worst"][0]["message"]


def test_deleting_a_sweep_leaves_its_audits_to_the_garbage_collector(
    operator: Operator, namespace: Namespace, kubelet: Kubelet
) -> None:
    apply(namespace, "gone")
    looked(namespace, kubelet, "gone", SAME)
    namespace.until(lambda: len(audits(namespace, "gone")) == 4, "the audits")
    namespace("delete", "sweep", "gone")
    owners = {a["metadata"]["ownerReferences"][0]["name"] for a in audits(namespace, "gone").values()}
    assert owners == {"gone"}
    assert all(a["metadata"]["ownerReferences"][0]["controller"] for a in audits(namespace, "gone").values())


NODE: Raw = {"nvidia.com/gpu.product": "NVIDIA-H200", "nvidia.com/cuda.driver-version.full": "570.86.15"}


@pytest.fixture
def nodes(bare_api: ApiServer) -> Any:
    """Two nodes with a GPU and one without."""
    names = []
    for number, labels in enumerate((NODE, NODE | {"nvidia.com/cuda.driver-version.full": "580.1"}, {})):
        names.append(f"node-{number}-{time.monotonic_ns()}")
        meta = {"name": names[-1], "labels": labels}
        bare_api.kubectl.apply({"apiVersion": "v1", "kind": "Node", "metadata": meta})
    yield names
    bare_api.kubectl("delete", "node", *names)


def test_the_fleet_is_every_product_that_nodes_show(
    operator: Operator, namespace: Namespace, kubelet: Kubelet, nodes: list[str]
) -> None:
    # What was listed before counts for a minute: an operator that has not looked yet sees them at once.
    apply(namespace, "fleet", fleet=True, template__target={}, models=MODELS[:1])
    looked(namespace, kubelet, "fleet", {"bert": "a" * 16})
    namespace.until(lambda: len(audits(namespace, "fleet")) == 2, "the audits")
    assert set(audits(namespace, "fleet")) == {"bert/fp16@NVIDIA-H200", "bert/cpu"}
    (target,) = status(namespace, "fleet")["targets"]
    assert target == {"gpuProduct": "NVIDIA-H200", "driver": "570.86.15,580.1", "nodes": 2}
