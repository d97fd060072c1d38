"""What a GitOps tool makes of an audit: the page's own Lua, as Argo CD runs it, and the rules of kstatus."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from lupa import LuaRuntime

from tests.reconcile.cases import Case, names, status_after

PAGE = Path(__file__).parents[3] / "docs" / "gitops.md"
KEY = "resource.customizations.health.assay.dev_AccuracyAudit"
TOKEN = "assay.dev/rerun"
Raw = dict[str, Any]


def shipped() -> str:
    (block,) = [b for b in re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL) if KEY in b]
    script: str = yaml.safe_load(block)["data"][KEY]
    return script


def argo(audit: Raw) -> tuple[str, str]:
    """Health and message, by the script on the page."""
    lua = LuaRuntime(unpack_returned_tuples=True)
    judge = lua.eval(f"function(obj) {shipped()} end")
    health = judge(lua.table_from(audit, recursive=True))
    return str(health["status"]), str(health["message"])


def kstatus(audit: Raw) -> str:
    """The rules of cli-utils' pkg/kstatus/status/generic.go, in their order."""
    status = audit.get("status") or {}
    if "observedGeneration" in status and status["observedGeneration"] != audit["metadata"]["generation"]:
        return "InProgress"
    said = {c["type"]: c["status"] for c in status.get("conditions") or ()}
    if said.get("Reconciling") == "True":
        return "InProgress"
    if said.get("Stalled") == "True":
        return "Failed"
    return "Current" if said.get("Ready", "True") == "True" else "InProgress"


def audit_of(name: str, **annotations: str) -> Raw:
    """The audit of a recorded decision, as it stands once that is carried out."""
    raw: Raw = Case(name).read("audit.yaml")
    meta = {**raw["metadata"], "generation": Case(name).seen.get("generation", 1)}
    meta["annotations"] = {**meta.get("annotations", {}), **annotations}
    return {**raw, "metadata": meta, "status": status_after(name)}


HEALTH = {"Current": {"Healthy"}, "Failed": {"Degraded"}, "InProgress": {"Progressing", "Suspended"}}


@pytest.mark.parametrize("name", names())
def test_argo_cd_and_kstatus_agree(name: str) -> None:
    audit = audit_of(name)
    health, message = argo(audit)
    assert health in HEALTH[kstatus(audit)]
    assert (health == "Suspended") == (audit["spec"].get("suspend") is True and kstatus(audit) == "InProgress")
    assert message


@pytest.mark.parametrize(
    ("name", "health"),
    [("passed", "Healthy"), ("one-breached", "Degraded"), ("one-breached-report", "Healthy"),
     ("candidates-running", "Progressing"), ("wrong-credentials", "Progressing"), ("node-lost", "Progressing"),
     ("credentials-never-mended", "Degraded"), ("kueue-holds-the-job", "Progressing"), ("suspended", "Suspended"),
     ("rerun-annotation", "Progressing"), ("rerun-annotation-removed", "Progressing")],
)  # fmt: skip
def test_what_argo_cd_shows(name: str, health: str) -> None:
    assert argo(audit_of(name))[0] == health


@pytest.mark.parametrize("name", ["passed", "one-breached"])
def test_a_rerun_that_is_not_taken_up_yet_is_in_progress_and_one_that_is_answered_is_not(name: str) -> None:
    asked = audit_of(name, **{TOKEN: "2"})
    assert argo(asked) == ("Progressing", "Waiting for the operator to take the rerun up")
    asked["status"]["rerun"] = "1"
    assert argo(asked)[0] == "Progressing"
    asked["status"]["rerun"] = "2"
    assert argo(asked)[0] == argo(audit_of(name))[0]
    del asked["metadata"]["annotations"][TOKEN]
    assert argo(asked)[0] == argo(audit_of(name))[0]


def test_a_new_audit_is_in_progress_before_the_operator_has_seen_it() -> None:
    audit = {**audit_of("new-audit"), "status": {"observedGeneration": -1}}
    assert (argo(audit)[0], kstatus(audit)) == ("Progressing", "InProgress")
