"""INT8 ranges from the wrong images lose labels, from the right ones they keep them; with calibrators of both kinds.

Under explicit quantisation Q/DQ pairs in the graph decide what runs in INT8. Under implicit quantisation TensorRT's own
calibrator finds the ranges and its builder chooses; then plain TensorRT says what the verdict has to be.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from assay_api.report import CandidateReport, Verdict
from tests.gpu.audits import Audited, audit, measured, run, trt
from tests.gpu.bare import Bare, inputs_and_outputs
from tests.gpu.opinions import agree, opinions
from tests.scenarios import DIGITS

pytestmark = pytest.mark.usefixtures("gpu")

BATCH = 64
KEEP = 0.98
DARK = 32
"""Images this many times darker are not those that are served."""
CASES = [("digits-cnn", "explicit", 0), ("digits-vit", "explicit", 0), ("digits-cnn", "implicit", 1)]


def candidates(folder: Path, quantization: str, level: int) -> list[dict[str, Any]]:
    """One calibrated on images like those that are served, one on dark ones made of them."""
    images = np.concatenate([np.load(path)["image"] for path in sorted((DIGITS / "calib").glob("*.npz"))])
    found = []
    for name, made in (("right", images), ("wrong", images / DARK)):
        (folder / name).mkdir()
        np.savez(folder / name / "part-0.npz", image=made.astype(np.float32))
        calibration = {"uri": f"file://{folder / name}/", "method": "minmax", "quantization": quantization}
        found.append(trt("int8", name, level=level, calibration=calibration))
    return found


@pytest.mark.parametrize(("model", "quantization", "level"), CASES)
def test_the_right_set_passes_and_the_wrong_one_fails(
    model: str, quantization: str, level: int, tmp_path: Path
) -> None:
    checks = [{"labelAccuracy": {"metric": "top1", "keep": KEEP}}, "achievedPrecision"]
    both = candidates(tmp_path, quantization, level)
    title, path = f"{model}-calibrated-{quantization}", DIGITS / f"{model}.onnx"
    told = run(audit(title, path, DIGITS / "data", both, checks, labels="label", batch=BATCH), tmp_path)
    for name in ("right", "wrong"):
        measured(told, name, "has no calibrators")
    same_as_counted(told, path)
    if quantization == "explicit":
        # In the dark images' INT8 all that is served is saturated, whatever kernels run it.
        judged = {name: verdict_of(told, name) for name in ("right", "wrong")}
        assert all(found.achieved.get("INT8") for found in told.report.candidates)
        assert judged == {"right": Verdict.PASSED, "wrong": Verdict.FAILED}, [f.message for f in told.findings()]
        assert told.code == 1
        assert told.report.recommendation
        assert told.report.recommendation.candidate == "right"


def same_as_counted(told: Audited, model: Path) -> None:
    """The accuracies that the report tells are those of its engines, run by plain TensorRT; and its verdicts fit."""
    counted = [round(each, 6) for each in top1_of_engines(told, model)]
    reported = [found.accuracy["top1"] for found in told.report.candidates]
    for value in reported:
        assert any(value == pytest.approx(each, abs=0.003) for each in counted), (reported, counted)
    for value in counted:
        assert any(value == pytest.approx(each, abs=0.003) for each in reported), (reported, counted)
    for found in told.report.candidates:
        fits(found, verdict_of(told, found.name))


def fits(found: CandidateReport, judged: Verdict) -> None:
    """Far below what must remain fails, golden's own accuracy passes; between them chance is weighed."""
    top1, golden = found.accuracy["top1"], found.accuracy["goldenTop1"]
    if top1 < 0.9 * golden:
        assert judged is Verdict.FAILED
    if top1 >= golden:
        assert judged is Verdict.PASSED


def verdict_of(told: Audited, candidate: str) -> Verdict:
    """What labelAccuracy says of a candidate."""
    [found] = told.findings("labelAccuracy", candidate)
    return found.verdict


def top1_of_engines(told: Audited, model: Path) -> list[float]:
    """Top-1 of every engine in the audit's cache that takes and gives what the model does."""
    arrays, labels = data()
    found = []
    for plan in told.plans():
        bare = Bare(plan)
        if (set(bare.of_mode("INPUT")), set(bare.of_mode("OUTPUT"))) == inputs_and_outputs(model):
            [scores] = bare.over(arrays, BATCH).values()
            found.append(float((scores.argmax(1) == labels).mean()))
    return found


def data() -> tuple[Mapping[str, NDArray[Any]], NDArray[Any]]:
    """The images that are served, and their labels."""
    shards = [dict(np.load(path)) for path in sorted((DIGITS / "data").glob("*.npz"))]
    joined = {name: np.concatenate([shard[name] for shard in shards]) for name in ("image", "label")}
    return {"image": joined["image"]}, joined["label"]


def test_a_plugin_is_calibrated_around_or_refused_in_a_sentence(tmp_path: Path) -> None:
    """A reducing ScatterElements is a plugin of TensorRT's; it reads integers too, which have no range."""
    folder = tmp_path / "data"
    calibration = {"uri": f"file://{folder}/", "method": "minmax", "quantization": "implicit"}
    checks = ("finite", {"outputDrift": {"snr": 17}})
    fields = {"precision": "int8", "calibration": calibration, "level": 0}
    both = opinions("scatter-behind-a-product", tmp_path, checks, refusable=True, **fields)
    assert any("ScatterElements" in node.op_type for node in onnx.load(str(tmp_path / "model.onnx")).graph.node)
    agree(both)
