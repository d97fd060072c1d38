"""The definition of an earlier version, put in place under an operator that is at work."""

from __future__ import annotations

from pathlib import Path

import yaml

from tests.lab.apiserver import ApiServer
from tests.operator.kubelet import Kubelet, report
from tests.operator.lab import CRDS, Namespace, install, running


def test_a_definition_of_an_earlier_version_under_an_operator_at_work(folder: Path) -> None:
    """As a rollback of the chart leaves it: nothing ends by it, and the right one puts all of it right."""
    with ApiServer() as api:
        install(api)
        with Namespace(api.kubectl, "team") as namespace, running(api, folder) as operator:
            kubelet = Kubelet(namespace)
            namespace.apply_audit("digits")
            kubelet.finish(namespace.job("golden"), report=report("golden"))
            namespace.job("bf16")
            earlier(api, folder)
            for name in ("fp16", "bf16"):
                kubelet.finish(namespace.job(name), verdict="Passed", report=report(name))
            kubelet.finish(namespace.job("summary"), verdict="Passed", report=report("all"))
            namespace.apply_audit("after")
            namespace.until(lambda: len(namespace.items("jobs")) == 5, "the Job of the other audit")
            install(api)
            namespace.wait("Complete")
            namespace.until(lambda: "tasks" in namespace.audit("after")["status"], "all of the status again")
            status = namespace.audit("digits")["status"]
            assert (status["verdict"], status["finished"]) == ("Passed", "2/2")
            assert all("reportSha256" in entry for entry in status["candidates"])
            assert len(namespace.items("jobs")) == 5
            assert operator.alive


def earlier(api: ApiServer, folder: Path) -> None:
    """Put a definition in place that lacks fields of the status, as an earlier version's does."""
    definition = yaml.safe_load((CRDS / "accuracyaudits.yaml").read_text())
    (version,) = definition["spec"]["versions"]
    fields = version["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]
    del fields["tasks"], fields["repairs"], fields["candidates"]["items"]["properties"]["reportSha256"]
    file = folder / "earlier.yaml"
    file.write_text(yaml.safe_dump(definition))
    api.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(file))
