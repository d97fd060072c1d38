"""Backup and restore as docs/operations.md has it: another UID, with the status or without."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.lab.apiserver import ApiServer
from tests.operator.kubelet import Kubelet, report
from tests.operator.lab import Namespace, Raw, running
from tests.operator.test_run import finish_candidates


@pytest.mark.parametrize("with_status", [True, False])
def test_an_audit_that_is_restored(
    bare_api: ApiServer, namespace: Namespace, kubelet: Kubelet, folder: Path, with_status: bool
) -> None:
    env = {"ASSAY_NAMESPACES": namespace.name}
    with running(bare_api, folder, **env):
        namespace.apply_audit("digits")
        finish_candidates(namespace, kubelet, {"fp16": "Passed", "bf16": "Passed"})
        kubelet.finish(namespace.job("summary"), verdict="Passed", report=report("all"))
        namespace.wait("Complete")
    backup = namespace.audit("digits")
    namespace("delete", "audit", "digits")
    namespace("delete", "jobs", "--all")
    restore(namespace, backup, with_status)
    assert namespace.audit("digits")["metadata"]["uid"] != backup["metadata"]["uid"]
    with running(bare_api, folder, **env):
        if with_status:
            # It is looked at once the operator is ready, and left as it is.
            namespace.apply_audit("another")
            namespace.until(lambda: bool(namespace.items("jobs")), "the operator to work")
            assert namespace.audit("digits")["status"] == backup["status"]
            assert {job["metadata"]["labels"]["assay.dev/audit"] for job in namespace.items("jobs")} == {"another"}
        else:
            namespace.until(lambda: "golden" in namespace.jobs(), "its run to begin again")
            assert namespace.audit("digits")["status"].get("verdict") is None


def restore(namespace: Namespace, backup: Raw, with_status: bool) -> None:
    """Make it again as a backup tool does: a new object, and its status by a request of its own."""
    kept = {key: backup["metadata"][key] for key in ("name", "namespace")}
    namespace.kubectl.apply({**{key: backup[key] for key in ("apiVersion", "kind", "spec")}, "metadata": kept})
    if with_status:
        change = json.dumps({"status": backup["status"]})
        namespace("patch", "audit", "digits", "--subresource=status", "--type=merge", "-p", change)
