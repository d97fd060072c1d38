"""What was built is not built again, a plan is audited as it is, and a GPU that nobody has is said."""

from __future__ import annotations

import time

from assay_api.report import Report
from tests.e2e.data import AUDITS
from tests.e2e.place import Place, Room, condition
from tests.e2e.test_audits import fetch
from tests.gpu.plans import plans_in, served
from tests.gpu_e2e.audits import engines, existing
from tests.gpu_e2e.conftest import SECONDS, Audited
from tests.gpu_e2e.evidence import Evidence
from tests.gpu_e2e.place import needs_real
from tests.gpu_e2e.watching import watching
from tests.lab.gpus import Gpus
from tests.lab.processes import wait_until

LEAST = 5
"""Candidates that every GPU and every TensorRT since 10.6 builds: fp32, fp16, bf16, int8 by Q/DQ of either kind."""


def test_equal_inputs_build_no_engine(
    audited: Audited, place: Place, node_gpus: Gpus, room: Room, evidence: Evidence
) -> None:
    needs_real(node_gpus, "building engines")
    before = set(plans_in(place.lab.folder / "s3")) if place.lab else set()
    with watching(room) as watch:
        room.apply(engines("again", place.inside, node_gpus, store="digits"))
        found = room.wait("again", "Complete", SECONDS)
        evidence.fact("the same again", {"seconds": round(time.monotonic() - watch.begin, 1), "pods": watch.told()})
    cached = 0
    first = {each["name"]: each for each in audited.found["status"]["candidates"]}
    for each in found["status"]["candidates"]:
        report = Report.model_validate_json(fetch(place, each["reportUri"]))
        built = [build for candidate in report.candidates for build in candidate.builds if build.what == "the engine"]
        assert all(build.cached for build in built), each["name"]
        cached += len(built)
        assert each["verdict"] == first[each["name"]]["verdict"]
        assert each.get("achieved") == first[each["name"]].get("achieved")
    assert cached >= LEAST
    assert set(plans_in(place.lab.folder / "s3") if place.lab else ()) == before


def test_a_plan_is_audited_as_it_is(
    audited: Audited, place: Place, node_gpus: Gpus, room: Room, evidence: Evidence
) -> None:
    needs_real(node_gpus, "a plan")
    assert place.lab
    data = place.lab.folder / "s3"
    uri = f"s3://{served(data / AUDITS / 'digits').relative_to(data)}"
    room.apply(existing("plan", place.inside, node_gpus, uri))
    found = room.wait("plan", "Complete", SECONDS)
    evidence.fact("an existing plan", {"uri": uri, "status": found["status"]})
    (candidate,) = found["status"]["candidates"]
    assert candidate["verdict"] == "Passed", candidate
    assert candidate["achieved"]
    assert not audited.room.active_pods()


def test_a_product_that_nobody_has_is_said_within_a_minute(
    place: Place, node_gpus: Gpus, room: Room, evidence: Evidence
) -> None:
    manifest = engines("elsewhere", place.inside, node_gpus)
    manifest["spec"]["target"]["gpuProducts"] = ["NVIDIA-GB300"]
    begin = time.monotonic()
    room.apply(manifest)

    def said() -> bool:
        return condition(room.audit("elsewhere"), "Ready").get("reason") == "Unschedulable"

    wait_until(said, "Unschedulable in the status", 60, every=0.3)
    seconds = time.monotonic() - begin
    message = room.audit("elsewhere")["status"]["candidates"][0]["message"]
    evidence.fact("a product that nobody has", {"seconds": round(seconds, 1), "message": message})
    assert "NVIDIA-GB300" in message
