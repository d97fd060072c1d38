"""Statuses that another hand has edited: put right from what the operator knows, never believed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.lab.apiserver import ApiServer
from tests.operator.kubelet import Kubelet, report
from tests.operator.lab import Namespace, Operator, running
from tests.operator.test_run import finish_candidates

EDITS = {
    "verdict": {"verdict": "Passed"},
    "whole": {
        "verdict": "Passed", "phase": "Complete", "finished": "2/2",
        "conditions": [
            {"type": kind, "status": status, "reason": "Passed", "message": "All 2 candidates passed.",
             "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1}
            for kind, status in (("Ready", "True"), ("Reconciling", "False"), ("Stalled", "False"),
                                 ("Complete", "True"), ("Passed", "True"))
        ],
    },
    "one-candidate": {"candidates": [{"name": "bf16", "state": "Finished", "verdict": "Passed"}]},
    "one-more-candidate": {"candidates": [{"name": "fp8", "state": "Finished", "verdict": "Passed"}]},
    "what-to-ship": {"recommendation": {"candidate": "bf16", "message": "trust me"}},
    "a-token": {"rerun": "never asked for"},
    "a-reason-of-a-later-version": {
        "conditions": [{"type": kind, "status": "True", "reason": "Bogus", "message": "",
                        "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1}
                       for kind in ("Complete", "Ready")],
    },
    "all-of-it": None,
}  # fmt: skip


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("jobs", ["there", "expired"])
def test_a_status_that_another_hand_has_edited_is_put_right(
    operator: Operator, namespace: Namespace, kubelet: Kubelet, edit: str, jobs: str
) -> None:
    namespace.apply_audit("digits")
    finish_candidates(namespace, kubelet, {"fp16": "Passed", "bf16": "Failed"})
    kubelet.finish(namespace.job("summary"), verdict="Failed", report=report("all"))
    namespace.wait("Stalled")
    if jobs == "expired":
        namespace("delete", "jobs", "--all")
        namespace.until(lambda: not namespace.items("jobs"), "the Jobs to go")
    before = namespace.audit("digits")["status"]
    namespace("patch", "audit", "digits", "--subresource=status", "--type=merge", "-p",
              json.dumps({"status": EDITS[edit]}))  # fmt: skip
    namespace.until(lambda: namespace.audit("digits")["status"] == before, f"the status as it was: {before}")
    assert not namespace.items("jobs") or jobs == "there"


@pytest.fixture(scope="module")
def nobody(operator: Operator) -> Operator:
    """The module's operator, ended."""
    operator.stop()
    return operator


def test_a_verdict_that_its_candidates_do_not_make_is_looked_at_anew(
    bare_api: ApiServer, nobody: Operator, namespace: Namespace, kubelet: Kubelet, folder: Path
) -> None:
    """Forged while no operator was there to see it."""
    with running(bare_api, folder):
        namespace.apply_audit("digits")
        finish_candidates(namespace, kubelet, {"fp16": "Passed", "bf16": "Failed"})
        kubelet.finish(namespace.job("summary"), verdict="Failed", report=report("all"))
        namespace.wait("Stalled")
    namespace("patch", "audit", "digits", "--subresource=status", "--type=merge", "-p",
              json.dumps({"status": EDITS["whole"]}))  # fmt: skip
    with running(bare_api, folder):
        namespace.until(lambda: namespace.audit("digits")["status"].get("verdict") == "Failed", "the verdict")
        assert namespace.condition("digits", "Stalled")["status"] == "True"
        assert namespace.condition("digits", "Passed")["status"] == "False"
