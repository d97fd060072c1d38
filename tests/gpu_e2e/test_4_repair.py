"""A transformer that overflows in FP16 is repaired on the node: engines decide, not emulations."""

from __future__ import annotations

import io
import time

import onnx

from tests.e2e.place import Place, Room
from tests.e2e.test_audits import fetch
from tests.gpu_e2e.audits import repair
from tests.gpu_e2e.conftest import SECONDS
from tests.gpu_e2e.evidence import Evidence
from tests.gpu_e2e.place import needs_real
from tests.gpu_e2e.watching import steps, watching
from tests.lab.gpus import Gpus


def test_the_decomposed_transformer_is_repaired(place: Place, node_gpus: Gpus, room: Room, evidence: Evidence) -> None:
    needs_real(node_gpus, "a repair that engines decide")
    with watching(room) as watch:
        room.apply(repair("repair", place.inside, node_gpus))
        found = room.wait("repair", "Complete", SECONDS)
        seconds = round(time.monotonic() - watch.begin, 1)
    status = found["status"]
    evidence.fact("repair", {"seconds": seconds, "status": status, "pods": watch.told()})
    for pod, seen in watch.pods.items():
        if seen.kind == "repair":
            evidence.text("pods.log", pod, "\n".join(steps(room, pod)))
    evidence.text("kubectl.txt", "kubectl describe audit repair", room.kubectl("describe", "audit", "repair"))
    (candidate,) = status["candidates"]
    assert candidate["verdict"] == "Failed"
    (mended,) = status["repairs"]
    assert [cure["outcome"] for cure in mended["cures"]] == ["Cured"]
    deploy = status["recommendation"]["deploy"]
    assert fetch(place, deploy["plan"])[:4] == b"ftrt"
    onnx.checker.check_model(onnx.load(io.BytesIO(fetch(place, deploy["model"]))))
    assert b"trtexec" in fetch(place, deploy["reproduce"])
