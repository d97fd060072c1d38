"""Pods and operators that die in the middle: the audit ends as if nothing had happened, once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from assay_api.report import Report
from tests.e2e.data import AUDITS, DATASETS, audit
from tests.e2e.place import SYSTEM, Manifest, Place, Room, condition
from tests.lab import Unavailable
from tests.lab.processes import wait_until

DATA = {"uri": f"s3://{DATASETS}/long/", "labels": "label", "batch": 8}
CHECKS = [{"finite": {}}, {"layerDrift": {}}, {"runToRun": {"runs": 5}}]
CANDIDATE = "assay.dev/kind=candidate"
WAYS = ("deleted", "killed")


def start(room: Room) -> None:
    """Apply an audit whose candidate runs for a while."""
    room.apply(audit("long", room.place.inside, "bf16", dataset=DATA, checks=CHECKS))


def assert_done_once(room: Room, found: Manifest) -> None:
    """One Job per task, each succeeded once; one report per task; one verdict."""
    assert found["status"]["verdict"] == "Passed"
    assert condition(found, "Complete")["reason"] == "Passed"

    def counted() -> bool:
        jobs = room.objects("jobs", "assay.dev/audit=long")
        kinds = sorted(job["metadata"]["labels"]["assay.dev/kind"] for job in jobs)
        assert kinds == ["candidate", "golden", "summary"]
        return [job["status"].get("succeeded") for job in jobs] == [1, 1, 1]

    # The Job controller counts a Pod a moment after the operator has read its answer.
    wait_until(counted, "every Job succeeded once", every=0.3)
    client = room.place.s3.client()
    listed = client.list_objects_v2(Bucket=AUDITS, Prefix=f"{room.name}/long/")["Contents"]
    keys = sorted(entry["Key"] for entry in listed if entry["Key"].endswith("report.json"))
    summary = found["status"]["report"]["uri"].removeprefix(f"s3://{AUDITS}/")
    assert keys == sorted([summary, summary.replace("report.json", "bf16/report.json")])
    report = Report.model_validate_json(client.get_object(Bucket=AUDITS, Key=summary)["Body"].read())
    assert report.candidates[0].samples == report.dataset.samples
    assert report.candidates[0].samples % 797 == 0


def strike(room: Room, how: str) -> str | Unavailable:
    """Let an audit's candidate begin and its pod die: the pod's name, or why this cannot be done here."""
    start(room)
    pod = room.running_pod(CANDIDATE)
    try:
        if how == "deleted":
            room.kubectl("delete", "pod", pod, "--grace-period=1", "--wait=false")
        else:
            room.place.kill(room.name, pod)
    except Unavailable as error:
        return error
    return pod


@pytest.fixture(scope="module")
def struck(place: Place) -> Iterator[dict[str, tuple[Room, str | Unavailable]]]:
    """An audit whose pod died for each way to die: a Job's controller takes ten seconds before it makes another."""
    rooms = {how: Room.make(place, f"e2e-pod-{how}") for how in WAYS}
    with ThreadPoolExecutor() as side:
        pods = side.map(strike, rooms.values(), rooms)
        yield {how: (room, pod) for (how, room), pod in zip(rooms.items(), pods, strict=True)}
    for room in rooms.values():
        place.kubectl("delete", "namespace", room.name, "--wait=false")


@pytest.fixture
def bereft(struck: dict[str, tuple[Room, str | Unavailable]], how: str) -> Room:
    """The namespace of that audit."""
    return struck[how][0]


@pytest.mark.parametrize("how", WAYS)
def test_pod_that_dies_is_replaced(bereft: Room, struck: dict[str, tuple[Room, str | Unavailable]], how: str) -> None:
    _, pod = struck[how]
    if isinstance(pod, Unavailable):
        raise pod
    found = bereft.wait("long", "Complete", 180)
    assert_done_once(bereft, found)
    pods = [p["metadata"]["name"] for p in bereft.objects("pods", CANDIDATE)]
    assert [name for name in pods if name != pod], "the pod that died finished all the same"


@pytest.mark.parametrize("how", WAYS)
def test_operator_that_dies_takes_up_where_it_was(room: Room, place: Place, how: str) -> None:
    start(room)
    room.running_pod(CANDIDATE)
    (operator,) = place.operators()
    name, uid = operator["metadata"]["name"], operator["metadata"]["uid"]
    if how == "deleted":
        place.kubectl("delete", "pod", name, "--namespace", SYSTEM, "--grace-period=0", "--force")
    else:
        place.kill(SYSTEM, name)
    found = room.wait("long", "Complete", 180)
    assert_done_once(room, found)

    def anew() -> bool:
        pods = place.operators()
        return [
            p["metadata"]["uid"] != uid or p["status"]["containerStatuses"][0]["restartCount"] > 0 for p in pods
        ] == [True]

    wait_until(anew, "one new operator", every=0.5)
