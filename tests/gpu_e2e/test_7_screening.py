"""A `GpuScreening` of the node's GPUs, and `assay screen` in a pod: on real ones of an engine that an audit built."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from assay_api.screening import AnswerRecord, ScreenReport
from assay_runner.screening.gpus import FIELDS
from tests.e2e.data import AUDITS
from tests.e2e.place import Manifest, Place, Room, condition
from tests.e2e.test_audits import fetch
from tests.e2e.test_screening import ended as screened
from tests.gpu_e2e.conftest import SECONDS
from tests.gpu_e2e.evidence import Evidence
from tests.gpu_e2e.place import allocations
from tests.gpu_e2e.pods import SCRIPT, ended, start
from tests.gpu_e2e.watching import watching
from tests.lab.gpus import Gpus
from tests.runner.screening.injected import FAULTS

NAME = "gpus"
COUNT, BATCH = 4, 4
SOURCES = [Path(__file__).with_name("screens_in_pod.py")]
SOURCES += [Path(__file__).parents[1] / "runner" / "screening" / name for name in ("injected.py", "faulty.py")]
FOUND_SECONDS = 120
"""Within which a fault must have been found, on each GPU."""


def runs(gpus: Gpus, many: int) -> int:
    """So many on a GPU; a tenth on stand-ins, which say nothing of any."""
    return many if gpus.real else many // 10


def screening(room: Room, gpus: Gpus, plan: str, **spec: Any) -> Manifest:
    """A screening of the node."""
    count, s3 = len(gpus.devices), room.place.inside
    # A process for each GPU, with TensorRT in it.
    resources = {"memory": f"{4 + 4 * count}Gi" if gpus.real else "1Gi"}
    whole = {
        "plan": {"uri": plan},
        "artifacts": {"uri": f"s3://{AUDITS}/"},
        "storage": {"secretRef": {"name": "assay-s3"}, "endpoint": s3.endpoint, "region": s3.region},
        "target": {"gpuProducts": [gpus.label], "resources": resources, "scratch": "2Gi"},
        "runs": runs(gpus, 10_000), "heatSeconds": 5 if gpus.real else 0, "inputs": COUNT, "batch": BATCH, **spec,
    }  # fmt: skip
    return {"apiVersion": "assay.dev/v1alpha1", "kind": "GpuScreening", "metadata": {"name": NAME}, "spec": whole}


def done(room: Room, gpus: Gpus, evidence: Evidence, title: str, manifest: Manifest) -> tuple[Manifest, ScreenReport]:
    """A screening as it ended and its report, with what `kubectl` says kept; all GPUs were one Pod's."""
    with watching(room) as watch:
        room.apply(manifest)
        found = screened(room, NAME, SECONDS)
    report = ScreenReport.model_validate_json(fetch(room.place, found["status"]["report"]["uri"]))
    seconds = {each.device: each.seconds for each in report.devices}
    told = {"status": found["status"], "seconds by GPU": seconds, "pods": watch.told()}
    evidence.fact(f"screening, {title}", {**told, "classes": [each.kind.model_dump() for each in report.devices]})
    story = [room.kubectl("get", "screenings"), room.kubectl("describe", "screening", NAME)]
    evidence.text("kubectl.txt", f"screening, {title}", "\n".join(story))
    page = fetch(room.place, found["status"]["report"]["page"])
    evidence.blob(f"screening-{title.replace(' ', '-')}.html", page)
    assert "healthy" not in "".join([*story, page.decode()]).lower()
    assert found["status"]["verdict"] in story[0]
    assert f"{condition(found, 'Complete')['reason']}: " in story[1].partition("Events:")[2]
    assert [pod.gpus for pod in watch.pods.values() if pod.kind == "screen"] == [len(gpus.devices)]
    assert {each.state for each in report.devices} == {"Scanned"}, [each.message for each in report.devices]
    assert len(report.devices) == len(gpus.devices)
    assert bool(found["status"].get("emulated")) is not gpus.real
    return found, report


@pytest.fixture(scope="module")
def in_a_pod(place: Place, node_gpus: Gpus, plan: str, evidence: Evidence) -> dict[str, Any]:
    """What `assay screen` said in one pod with all GPUs: of them as they are, and with one of them injected faults."""
    room, count = Room.make(place, "gpu-screens"), len(node_gpus.devices)
    devices = [] if node_gpus.real else ["--devices", str(count)]
    few = ["--runs", str(runs(node_gpus, 2_000)), "--heat", "0"]
    many = ["--runs", str(runs(node_gpus, 30_000)), "--heat", "0"]
    order = {
        "plan": plan, "record": f"s3://{AUDITS}/pod/answers.json", "page": f"s3://{AUDITS}/pod/screen.html",
        "words": [*devices, "--count", str(COUNT), "--batch", str(BATCH)], "alone": few,
        "clean": ["--runs", str(runs(node_gpus, 30_000)), "--heat", "10" if node_gpus.real else "0.2"],
        "faults": {name: (scaled(fault, node_gpus), many if fault["kind"] == "rarely" else few)
                   for name, fault in FAULTS.items()},
        "smi": [f"--query-gpu={','.join(FIELDS)}", "--format=csv,noheader"],
        "held": ["--query-compute-apps=gpu_uuid,pid", "--format=csv,noheader"],
    }  # fmt: skip
    files = {"order.json": json.dumps(order), **{path.name: path.read_text() for path in SOURCES}}
    start(room, "screens", files, ["python3", f"{SCRIPT}/{SOURCES[0].name}"], count)
    end = ended(room, "screens", SECONDS)
    log = room.kubectl("logs", "screens")
    evidence.text("pods.log", "assay screen", log)
    assert end["exitCode"] == 0, log
    told: dict[str, Any] = json.loads(log.splitlines()[-1])
    evidence.fact("nvidia-smi in a pod", told.pop("smi"))
    facts = {name: {key: each[key] for key in ("code", "seconds")} for name, each in told.items()}
    evidence.fact("assay screen in a pod", {**facts, "report": told["clean"]["report"]})
    return told


def scaled(fault: Any, gpus: Gpus) -> dict[str, Any]:
    """The fault, ten times as often on stand-ins."""
    return {**fault, "one_in": runs(gpus, fault["one_in"])} if "one_in" in fault else dict(fault)


def of(told: dict[str, Any]) -> ScreenReport:
    assert told["report"], told["said"]
    return ScreenReport.model_validate_json(json.dumps(told["report"]))


def test_the_gpus_of_the_node_are_held_against_one_another_or_against_nothing(
    place: Place, node_gpus: Gpus, plan: str, room: Room, evidence: Evidence
) -> None:
    before = len(allocations(place))
    found, report = done(room, node_gpus, evidence, "as they are", screening(room, node_gpus, plan))
    assert len(allocations(place)[before].split()) == len(node_gpus.devices)
    judged_without_a_record(found, report)
    for each in report.devices:
        assert each.runs >= runs(node_gpus, 10_000), each
        if node_gpus.real:
            assert each.device.startswith("GPU-")
            assert (each.kind.product, each.kind.driver) == (node_gpus.product, node_gpus.driver)


def judged_without_a_record(found: Manifest, report: ScreenReport) -> None:
    """Whatever came out, the status says it of every GPU, and names none of fewer than three."""
    verdict, told = found["status"]["verdict"], {each["device"]: each for each in found["status"].get("worst", ())}
    answers = {each.answers for each in report.devices}
    steady = not any(each.deviations for each in report.devices)
    record = found["status"]["report"].get("record")
    if len(report.devices) == 1:
        (one,) = report.devices
        assert verdict == "Inconclusive"
        assert ("agrees with itself, and nothing else" if steady else "varies") in one.message
        assert told[one.device]["message"].startswith(one.message[:60])
        assert not record
    elif len(report.devices) == 2:
        equal = steady and len(answers) == 1
        assert verdict == ("Passed" if equal else "Inconclusive")
        assert all(("agrees with the other device" in each.message) is equal for each in report.devices)
        assert not record
        assert set(told) == (set() if equal else {each.device for each in report.devices})
    elif steady and len(answers) == 1:
        assert (verdict, bool(record)) == ("Passed", True)


def test_two_gpus_of_one_class_are_equal_or_different_and_none_is_named(
    place: Place, two: Gpus, plan: str, room: Room, evidence: Evidence
) -> None:
    found, report = done(room, two, evidence, "two", screening(room, two, plan, runs=runs(two, 2_000)))
    assert not [each for each in report.devices if len(report.devices) == 2 and each.verdict == "Failed"]
    judged_without_a_record(found, report)


def test_a_record_is_written_where_all_agree_and_used_by_the_next_screening(
    place: Place, node_gpus: Gpus, plan: str, room: Room, evidence: Evidence, in_a_pod: dict[str, Any]
) -> None:
    uri = f"s3://{AUDITS}/pod/answers.json"
    (record,) = json.loads(fetch(place, uri))["records"]
    written = AnswerRecord.model_validate_json(json.dumps(record))
    assert written.devices == len(node_gpus.devices)
    spec = screening(room, node_gpus, plan, record={"uri": uri})
    found, report = done(room, node_gpus, evidence, "with a record", spec)
    assert found["status"]["verdict"] == "Passed", [each.message for each in report.devices]
    assert report.rule == "digest"
    assert all("every answer is that of the record" in each.message for each in report.devices)
    assert {each.answers for each in report.devices} == {written.answers}
    assert "met" in room.kubectl("wait", "--for=condition=Passed", f"screening/{NAME}", "--timeout=10s")


def test_the_command_says_how_often_it_ran_the_plan_cold_heating_and_warm(
    node_gpus: Gpus, in_a_pod: dict[str, Any], place: Place, evidence: Evidence
) -> None:
    clean, held = of(in_a_pod["clean"]), of(in_a_pod["held"])
    assert in_a_pod["held"]["code"] == 0, in_a_pod["held"]["said"]
    assert {each.verdict for each in held.devices} == {"Passed"}
    for each in clean.devices:
        phases = {phase.name: phase for phase in each.phases}
        assert list(phases) == ["cold", "heating", "warm"]
        assert phases["cold"].runs == COUNT
        assert phases["warm"].runs >= runs(node_gpus, 30_000)
        pace = {name: round(phase.runs / phase.seconds) for name, phase in phases.items() if phase.seconds}
        evidence.fact(f"runs per second of {each.device}", pace)
        assert each.clock_mhz is None or (node_gpus.real and 100 < each.clock_mhz < 5000), each
    page = fetch(place, f"s3://{AUDITS}/pod/screen.html")
    evidence.blob("screening-pod.html", page)
    assert b"Runs per second" in page


@pytest.mark.parametrize("fault", FAULTS)
def test_an_injected_fault_is_found_within_two_minutes(
    fault: str, node_gpus: Gpus, in_a_pod: dict[str, Any], evidence: Evidence
) -> None:
    told = in_a_pod[fault]
    bad, *others = of(told).devices
    evidence.fact(f"fault: {fault}", {"seconds": told["seconds"], "said": bad.message, "runs": bad.runs})
    assert (told["code"], bad.verdict, bad.confirmed) == (1, "Failed", True), told["said"]
    assert {each.verdict for each in others} <= {"Passed"}
    assert told["seconds"] < FOUND_SECONDS
    if not bad.differences:
        # Wrong from its first run on, and alone: a record holds digests, so nobody has the right answer in full.
        assert (fault, others) == ("one bit", [])
        return
    how = bad.differences[0]
    if fault == "several bits":
        assert (how.bits, how.first) == ((1, 7, 12), (2,))
    elif fault == "every third element":
        assert (how.period, how.first[:3]) == (3, (0, 3, 6))
    else:
        assert (how.bits, how.first) == ((0,), (0,))


def test_without_a_record_fewer_than_three_name_nobody(node_gpus: Gpus, in_a_pod: dict[str, Any]) -> None:
    told = in_a_pod["without a record"]
    named = [each.device for each in of(told).devices if each.verdict == "Failed"]
    assert (told["code"], named) == ((1, [of(told).devices[0].device]) if len(node_gpus.devices) > 2 else (2, []))
