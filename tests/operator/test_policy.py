"""A whole audit under the chart's admission policies: the operator, the Job controller and the garbage collector."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chart.conftest import NAMESPACE, Chart
from tests.lab import toolchain
from tests.lab.apiserver import ApiServer
from tests.operator.kubelet import report
from tests.operator.lab import Namespace, Raw, install, running

KUBELET = ("--as=system:node:one", "--as-group=system:nodes", "--as-group=system:masters")


@pytest.fixture
def held() -> Iterator[ApiServer]:
    """An API server with the chart's rights and policies and the real controllers."""
    made = Chart(toolchain.helm()).render("--set", "admissionPolicy.enabled=true")
    with ApiServer() as api:
        install(api)
        api.kubectl("create", "namespace", NAMESPACE)
        api.kubectl.apply(*(o for o in made if any(word in o["kind"] for word in ("Role", "Account", "Admission"))))
        api.start_controllers()
        yield api


def finish(namespace: Namespace, task: str, **result: Any) -> None:
    """End the Pod that the Job controller made of a task, as its kubelet."""
    job = namespace.job(task)

    def pods() -> list[Raw]:
        metas = [pod["metadata"] for pod in namespace.items("pods")]
        mine = [meta for meta in metas if meta["labels"]["job-name"] == job["metadata"]["name"]]
        return [meta for meta in mine if "deletionTimestamp" not in meta]

    namespace.until(lambda: bool(pods()), f"a Pod of {task}")
    message = json.dumps({"task": job["metadata"]["labels"]["assay.dev/task"], **result})
    ended = {"exitCode": 0, "reason": "Completed", "message": message}
    container = {
        "name": "task", "image": "x", "imageID": "", "ready": False, "restartCount": 0, "state": {"terminated": ended},
    }  # fmt: skip
    status = json.dumps({"status": {"phase": "Succeeded", "containerStatuses": [container]}})
    namespace("patch", "pod", pods()[0]["name"], *KUBELET, "--subresource=status", "--type=merge", "-p", status)


def suspend(namespace: Namespace, value: bool) -> None:
    patch = json.dumps({"spec": {"suspend": value}})
    namespace("patch", "accuracyaudit", "digits", "--type=merge", "-p", patch)
    namespace.until(lambda: bool(namespace.jobs()["summary"]["spec"].get("suspend")) is value, f"suspend: {value}")


def test_an_audit_goes_its_way_under_the_policies(held: ApiServer, folder: Path) -> None:
    rights = held.kubectl.as_service_account(NAMESPACE, "assay", folder)
    env = {"KUBECONFIG": str(rights), "ASSAY_LEASE_NAMESPACE": NAMESPACE, "ASSAY_LEASE_NAME": "assay"}
    with running(held, folder, **env) as operator, Namespace(held.kubectl, "team-a") as namespace:
        namespace.apply_audit("digits")
        finish(namespace, "golden")
        for candidate in ("fp16", "bf16"):
            finish(namespace, candidate, verdict="Passed", report=report(candidate))
        namespace.job("summary")
        suspend(namespace, True)
        suspend(namespace, False)
        finish(namespace, "summary", verdict="Passed", report=report("all"))
        namespace.wait("Complete")
        assert namespace.audit("digits")["status"]["verdict"] == "Passed"
        # Of a write that another's came before (409) no policy is the reason; it is read again, and done.
        assert [line for line in operator.counted("assay_api_errors_total") if 'code="409"' not in line] == []
        namespace("delete", "accuracyaudit", "digits", "--cascade=foreground")
        namespace.until(lambda: not namespace.items("jobs") and not namespace.items("pods"), "the garbage to go")
