"""What `assay plan` tells of an audit: its tasks, their GPUs, the builds that its checks and a repair cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cli.audits import assay, changed, spec, write

TENSORRT = {"name": "trt", "backend": "tensorrt", "precision": "fp16"}


def test_the_plan_says_which_candidates_share_a_job(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    two = [TENSORRT, {**TENSORRT, "name": "bf16", "precision": "bf16"}]
    file = write(tmp_path, changed(candidates=two, candidatesPerJob=8))
    ended = assay(capsys, "plan", "-f", file)
    lines = [" ".join(line.split()) for line in ended.out.splitlines()]
    assert "together_1 together golden 1 any" in lines
    assert "bf16 candidate golden, together_1 1 any" in lines
    assert "3 tasks, 1 GPUs in all, at most 1 at once (maxParallel: 4)" in lines
    said = "together_1 audits trt, bf16 in one Job, and what it leaves unanswered gets one of its own"
    assert said in lines
    here = assay(capsys, "plan", "-f", file, "--backend", "onnxruntime")
    assert "together" not in here.out
    wrong = assay(capsys, "validate", "-f", write(tmp_path, changed(candidatesPerJob=0)))
    assert wrong.code == 64
    assert "spec.candidatesPerJob: input should be greater than or equal to 1" in wrong.out


def test_the_plan_counts_gpus(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = {"gpuProducts": ["NVIDIA-H200", "NVIDIA-L4"], "resources": {"nvidia.com/gpu": 2}}
    content = changed(candidates=[TENSORRT, spec()["candidates"][0]], target=target, maxParallel=1)
    ended = assay(capsys, "plan", "-f", write(tmp_path, content))
    lines = [" ".join(line.split()) for line in ended.out.splitlines()]
    assert ended.code == 0
    assert lines[1:-1] == [
        "TASK KIND AFTER GPUS GPU PRODUCT",
        "golden golden - 0 -",
        "trt@NVIDIA-H200 candidate golden 2 NVIDIA-H200",
        "trt@NVIDIA-L4 candidate golden 2 NVIDIA-L4",
        "fp32 candidate golden 0 -",
        "summary summary golden, trt@NVIDIA-H200, trt@NVIDIA-L4, fp32 0 -",
        "5 tasks, 4 GPUs in all, at most 2 at once (maxParallel: 1)",
        "2 builds per tensorrt candidate: the engine and, beside it, a probe that shows tensors (finite)",
        "more only where a check fails inside a fused layer, outputs differ, or a probe cannot be built whole",
    ]


@pytest.mark.parametrize(
    ("checks", "told"),
    [
        ([{"outputDrift": {}}, {"latency": {}}, {"fp16Range": {}}], "1 build per tensorrt candidate: the engine"),
        (
            [{"finite": {}}, {"layerDrift": {"tensors": "all"}}, {"extraOutput": {}}, {"runToRun": {}}],
            "4 builds per tensorrt candidate: the engine and, beside it, a probe that shows tensors (finite, "
            "layerDrift), the layers alone (layerDrift), an engine with one more output (extraOutput)",
        ),
    ],
)
def test_the_plan_tells_which_builds_checks_cost_and_share(
    checks: list[dict[str, Any]], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = assay(capsys, "plan", "-f", write(tmp_path, changed(candidates=[TENSORRT], checks=checks)))
    assert ended.out.splitlines()[-3] == told


def test_the_plan_of_what_needs_no_engine_tells_of_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ended = assay(capsys, "plan", "-f", write(tmp_path, changed()))
    assert "builds per" not in ended.out


def test_the_plan_tells_what_a_repair_may_cost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    remedies = {"precision": {}, "calibration": {}, "budget": {"builds": 12, "minutes": 30}}
    ended = assay(capsys, "plan", "-f", write(tmp_path, changed(candidates=[TENSORRT], remedies=remedies)))
    lines = [" ".join(line.split()) for line in ended.out.splitlines()]
    assert "repair repair golden, trt 1 any" in lines
    assert "4 tasks, 2 GPUs in all, at most 1 at once (maxParallel: 4)" in lines
    assert lines[-2] == (
        "a repair (calibration, precision) only where a candidate fails: at most 12 builds, 2000 emulations and 30 "
        "min; searched with 50% of the samples, judged on the others"
    )
