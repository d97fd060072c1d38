"""Suspend, resume, change, delete."""

from __future__ import annotations

from tests.e2e.data import DATASETS, audit
from tests.e2e.place import Room
from tests.lab.processes import wait_until

LONG = {"uri": f"s3://{DATASETS}/long/", "labels": "label", "batch": 8}


def patch(room: Room, name: str, text: str) -> None:
    """Change an audit as a user would."""
    room.kubectl("patch", "audit", name, "--type=merge", "--patch", text)


def test_suspend_holds_and_resumes(room: Room) -> None:
    room.apply(audit("held", room.place.inside, "fp32", suspend=True))
    room.kubectl("wait", "--for=jsonpath={.status.phase}=Suspended", "audit/held", "--timeout=120s")
    assert not room.objects("pods")
    assert not [job for job in room.objects("jobs") if not job["spec"].get("suspend")]
    patch(room, "held", '{"spec": {"suspend": false}}')
    found = room.wait("held", "Complete", 120)
    assert found["status"]["verdict"] == "Passed"


def test_suspend_stops_what_runs(room: Room) -> None:
    room.apply(audit("stopped", room.place.inside, "bf16", dataset=LONG, checks=[{"finite": {}}]))
    room.running_pod("assay.dev/kind=candidate")
    run = room.audit("stopped")["status"]["run"]
    patch(room, "stopped", '{"spec": {"suspend": true}}')
    wait_until(lambda: not room.active_pods(), "no task pod while suspended", every=0.3)
    assert room.audit("stopped")["status"]["phase"] == "Suspended"
    patch(room, "stopped", '{"spec": {"suspend": false}}')
    found = room.wait("stopped", "Complete", 180)
    assert (found["status"]["verdict"], found["status"]["run"]) == ("Passed", run)


def test_a_changed_spec_is_a_new_run_and_ends_the_old(room: Room) -> None:
    room.apply(audit("changed", room.place.inside, "bf16", dataset=LONG, checks=[{"finite": {}}]))
    room.running_pod("assay.dev/kind=candidate")
    before = room.audit("changed")["status"]["run"]
    room.apply(audit("changed", room.place.inside, "fp32"))
    found = room.wait("changed", "Complete", 180)
    assert found["status"]["observedGeneration"] == 2
    assert found["status"]["run"] != before
    assert [c["name"] for c in found["status"]["candidates"]] == ["fp32"]
    wait_until(lambda: not room.objects("jobs", f"assay.dev/run={before}"), "the superseded Jobs gone", every=0.3)


def test_deletion_takes_jobs_and_pods_along(room: Room) -> None:
    room.apply(audit("gone", room.place.inside, "bf16", dataset=LONG))
    room.running_pod("assay.dev/audit=gone")
    room.kubectl("delete", "audit", "gone", "--timeout=120s")
    wait_until(lambda: not [*room.objects("jobs"), *room.objects("pods")], "Jobs and pods gone", every=0.3)
