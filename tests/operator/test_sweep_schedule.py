"""A schedule on a real API server, with a leader that is killed in the middle of a run."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from assay_api.names import ANNOTATION_CELLS
from tests.lab.apiserver import ApiServer
from tests.operator.kubelet import Kubelet
from tests.operator.lab import Namespace, running
from tests.operator.sweeps import SAME, apply, audits, concluded, looked, status


def test_a_schedule_begins_each_run_once_whoever_leads(
    bare_api: ApiServer, namespace: Namespace, kubelet: Kubelet, folder: Path
) -> None:
    with running(bare_api, folder, ASSAY_NAMESPACES=namespace.name, ASSAY_LEASE_NAMESPACE=namespace.name) as first:
        apply(namespace, "timed", schedule={"cron": "* * * * *"}, template__onBreach="Report")
        namespace.until(lambda: "nextScheduleTime" in status(namespace, "timed"), "the next time")
        said = status(namespace, "timed")
        ready = {c["type"]: c["status"] for c in said["conditions"]}
        assert "run" in said or (ready["Ready"], ready["Reconciling"]) == ("True", "False")
        looked(namespace, kubelet, "timed", SAME)
        begun = status(namespace, "timed")["run"]
        first.kill()
    with running(bare_api, folder, ASSAY_NAMESPACES=namespace.name, ASSAY_LEASE_NAMESPACE=namespace.name):
        concluded(namespace, kubelet, "timed")
        namespace.until(lambda: begun in {r["name"] for r in status(namespace, "timed").get("history", ())}, "its end")
    made = {
        json.loads(a["metadata"]["annotations"][ANNOTATION_CELLS])["run"] for a in audits(namespace, "timed").values()
    }
    assert made == {begun}
    assert datetime.strptime(begun, "%Y%m%dT%H%MZ").replace(tzinfo=UTC) - datetime.now(UTC) < timedelta(0)
