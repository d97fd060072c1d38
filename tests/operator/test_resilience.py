"""What an operator must survive: its own death, a rival, an API server that goes away, a watch that lies."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.lab.apiserver import ApiServer
from tests.lab.processes import PATIENCE, Server, wait_until
from tests.operator.kubelet import Kubelet, report
from tests.operator.lab import GRACE, Namespace, Operator, install, running

LEASE = ("-n", "default", "lease", "assay-operator")


@pytest.fixture
def api(bare_api: ApiServer) -> ApiServer:
    """The session's API server, its Lease held by nobody."""
    bare_api.kubectl.attempt("delete", *LEASE, "--ignore-not-found")
    return bare_api


def holder(api: ApiServer) -> str:
    return str(api.kubectl.json("get", *LEASE)["spec"].get("holderIdentity") or "")


def test_killed_in_the_middle_it_goes_on_and_doubles_nothing(
    api: ApiServer, namespace: Namespace, kubelet: Kubelet, folder: Path
) -> None:
    with running(api, folder) as first:
        namespace.apply_audit("digits")
        kubelet.finish(namespace.job("golden"))
        namespace.job("fp16")
        first.kill()
    before = {name: job["metadata"]["uid"] for name, job in namespace.jobs().items()}
    kubelet.finish(namespace.jobs()["fp16"], verdict="Passed", report=report("fp16"))
    with running(api, folder):
        kubelet.finish(namespace.job("bf16"), verdict="Passed", report=report("bf16"))
        kubelet.finish(namespace.job("summary"), verdict="Passed", recommendation="fp16")
        namespace.wait("Complete")
        after = {name: job["metadata"]["uid"] for name, job in namespace.jobs().items()}
    assert {name: after[name] for name in before} == before
    assert len(namespace.items("jobs")) == 4
    assert namespace.audit("digits")["status"]["verdict"] == "Passed"
    told = namespace.events()
    assert len(told) == len(set(told))


def test_of_two_replicas_one_leads_and_the_other_takes_over(api: ApiServer, namespace: Namespace, folder: Path) -> None:
    with running(api, folder) as first:
        second = Operator(api, folder / "second.log").start()
        try:
            second.ready()
            assert not second.leads()
            namespace.apply_audit("one")
            namespace.until(lambda: len(namespace.items("jobs")) == 1, "the leader's Job")
            first.kill()
            second.leading()
            namespace.apply_audit("two")
            namespace.until(lambda: len(namespace.items("jobs")) == 2, "the new leader's Job")
        finally:
            second.end()


def test_asked_to_stop_it_gives_the_lease_back(api: ApiServer, folder: Path) -> None:
    with running(api, folder, ASSAY_LEASE_SECONDS="60", ASSAY_RENEW_SECONDS="40") as first:
        assert holder(api)
        assert first.stop() == 0
        assert holder(api) == ""
    with running(api, folder, ASSAY_LEASE_SECONDS="60", ASSAY_RENEW_SECONDS="40"):
        assert holder(api)


def test_a_standby_stops_when_asked(api: ApiServer, folder: Path) -> None:
    with running(api, folder):
        before = holder(api)
        standby = Operator(api, folder / "standby.log").start()
        try:
            standby.ready()
            assert standby.stop(GRACE) == 0
        finally:
            standby.end()
        assert holder(api) == before


def test_a_leader_that_lost_its_lease_ends(api: ApiServer, folder: Path) -> None:
    with running(api, folder) as operator:
        lease = {"spec": {"holderIdentity": "rival", "leaseDurationSeconds": 3600}}
        deadline = time.monotonic() + PATIENCE
        while operator.alive and time.monotonic() < deadline:
            renewed = {
                "spec": {**lease["spec"], "renewTime": time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime())}
            }
            api.kubectl("patch", *LEASE, "--type=merge", "-p", json.dumps(renewed))
            time.sleep(0.5)
        assert operator.process is not None
        assert operator.process.poll() == 1
        assert holder(api) == "rival"
    api.kubectl("delete", *LEASE)


def versions(api: ApiServer, *kinds: str) -> dict[str, str]:
    items = [item for kind in kinds for item in api.kubectl.json("get", kind, "--all-namespaces")["items"]]
    return {item["metadata"]["uid"]: item["metadata"]["resourceVersion"] for item in items}


def test_at_rest_it_writes_nothing_but_its_lease(
    api: ApiServer, namespace: Namespace, kubelet: Kubelet, folder: Path
) -> None:
    with running(api, folder, ASSAY_RESYNC_SECONDS="1") as operator:
        namespace.apply_audit("running")
        kubelet.pod(namespace.job("golden"))
        namespace.apply_audit("held", suspend=True)
        namespace.apply_audit("wrong", artifacts={"uri": "file:///out"})
        namespace.until(
            lambda: all(
                a["status"]["observedGeneration"] == 1 for a in namespace.items("accuracyaudits")
            ) and namespace.audit("running")["status"]["phase"] == "Running",
            "every audit observed",
        )  # fmt: skip
        namespace.until(lambda: operator.metric("assay_events_total") >= 4, "the events")
        kinds = ("audits", "jobs", "pods", "events")
        before, passes = versions(api, *kinds), operator.metric("assay_reconciles_total")
        renewed = api.kubectl.json("get", *LEASE)["spec"]["renewTime"]
        namespace.until(lambda: operator.metric("assay_reconciles_total") >= passes + 6, "a few resyncs")
        namespace.until(
            lambda: api.kubectl.json("get", *LEASE)["spec"]["renewTime"] != renewed, "the Lease to be renewed"
        )
        assert versions(api, *kinds) == before
        assert operator.metric("assay_resync_healed_total") == 0


def restart(api: ApiServer) -> None:
    """Stop the API server and start it again on the same etcd and port."""
    server = api.servers[1]
    server.stop()
    api.servers[1] = Server(list(server.process.args), server.log)  # type: ignore[arg-type]
    wait_until(lambda: api.kubectl.attempt("get", "--raw", "/readyz").returncode == 0, "the API server again")


def test_an_api_server_that_goes_away_and_forgets(folder: Path) -> None:
    """Its watch cache is new after the restart, so every watch of before is too old: 410 Gone, and all is listed."""
    with ApiServer() as api:
        install(api)
        patient = {"ASSAY_LEASE_SECONDS": "120", "ASSAY_RENEW_SECONDS": "100", "ASSAY_RESYNC_SECONDS": "5"}
        with Namespace(api.kubectl, "team") as namespace, running(api, folder, **patient) as operator:
            namespace.apply_audit("before")
            namespace.apply_audit("doomed")
            namespace.until(lambda: len(namespace.items("jobs")) == 2, "the first Jobs")
            assert operator.process is not None
            operator.process.send_signal(signal.SIGSTOP)
            namespace("delete", "audit", "doomed")
            namespace.apply_audit("meanwhile")
            restart(api)
            operator.process.send_signal(signal.SIGCONT)
            namespace.apply_audit("after")
            namespace.until(lambda: jobs_of(namespace) >= {"before", "meanwhile", "after"}, "their Jobs")
            assert operator.alive
            assert operator.answer("/livez") == 200
            namespace.until(lambda: 'assay_audits{phase="Pending",verdict="None"} 3.0' in operator.scrape(),
                            "the deleted audit to be forgotten")  # fmt: skip


def jobs_of(namespace: Namespace) -> set[Any]:
    return {job["metadata"]["labels"]["assay.dev/audit"] for job in namespace.items("jobs")}


@contextmanager
def ready(api: ApiServer, folder: Path) -> Iterator[Namespace]:
    """Controllers and an operator at work, and a namespace for them."""
    install(api)
    api.start_controllers()
    with running(api, folder), Namespace(api.kubectl, "team") as namespace:
        yield namespace


def test_with_real_controllers_from_start_to_deletion(folder: Path) -> None:
    with ApiServer() as api, ready(api, folder) as namespace:
        namespace.apply_audit("digits")
        for task, result in (
            ("golden", {}),
            ("fp16", {"verdict": "Passed"}),
            ("bf16", {"verdict": "Inconclusive", "message": "12 samples cannot prove 99.9 %"}),
            ("summary", {"verdict": "Inconclusive"}),
        ):
            end_pod_of(namespace, namespace.job(task), result)
        namespace.wait("Complete")
        assert namespace.condition("digits", "Complete")["reason"] == "Inconclusive"
        assert namespace.condition("digits", "Stalled")["status"] == "True"
        namespace.wait("Complete", "jobs", "--all")
        namespace("delete", "audit", "digits")
        namespace.until(lambda: not (namespace.items("jobs") or namespace.items("pods")), "everything it owned to go")


def end_pod_of(namespace: Namespace, job: dict[str, Any], result: dict[str, Any]) -> None:
    """Let the Pod that the Job controller made succeed, as the kubelet would."""
    name = job["metadata"]["name"]

    def pods() -> list[dict[str, Any]]:
        return [pod for pod in namespace.items("pods") if pod["metadata"]["labels"]["job-name"] == name]

    namespace.until(lambda: len(pods()) == 1, f"the Pod of {name}")
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    message = json.dumps({"task": job["metadata"]["labels"]["assay.dev/task"], **result})
    ended = {"exitCode": 0, "reason": "Completed", "message": message, "startedAt": now, "finishedAt": now}
    container = {"name": "task", "image": "x", "imageID": "", "ready": False, "restartCount": 0,
                 "state": {"terminated": ended}}  # fmt: skip
    Kubelet(namespace).set_pod(
        pods()[0]["metadata"]["name"], phase="Succeeded", containerStatuses=[container], startTime=now
    )
