"""Audits with remedies, run in this process up to their repair: golden outputs, every candidate, and the repair."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import pytest

from assay_api.audit import AuditSpec
from assay_api.model import parse
from assay_api.plan import cache_folder, plan
from assay_api.repair import RemedyEntry, RepairEntry, TrialEntry
from assay_api.report import Report
from assay_api.task_kinds import REPAIR, SUMMARY
from assay_runner.backends import BACKENDS, Backend
from assay_runner.progress.tracker import Tracker
from assay_runner.progress.views import PlainView
from assay_runner.stores import open_store
from assay_runner.tasks import Context, run_task
from assay_runner.tasks.publish import published
from assay_runner.tensors import Array
from tests.models import constant, model, node, random, value

FP16: Final = {"name": "fp16", "backend": "onnxruntime", "precision": "fp16"}
ENGINE: Final = {"name": "fp16", "backend": "tensorrt", "precision": "fp16"}
INT8: Final = {
    "name": "int8", "backend": "onnxruntime", "precision": "int8", "calibration": {"uri": "file://./calib/"},
}  # fmt: skip
DRIFT: Final[tuple[dict[str, Any], ...]] = ({"finite": {}}, {"outputDrift": {"snr": 30}})


@dataclass(frozen=True)
class Repaired:
    """What became of a repair.

    Attributes:
        report: of the task.
        folder: where the audit lies.
    """

    report: Report
    folder: Path

    @property
    def entry(self) -> RepairEntry:
        """The repair."""
        (found,) = self.report.repair
        return found

    @property
    def remedy(self) -> RemedyEntry:
        """What came of the one remedy for the one candidate that failed."""
        (found,) = self.entry.remedies
        return found

    @property
    def trials(self) -> tuple[TrialEntry, ...]:
        """Every trial."""
        return self.entry.trials

    @property
    def model(self) -> Path:
        """The repaired model."""
        assert self.remedy.deploy.model
        return Path(self.remedy.deploy.model.removeprefix("file://"))


def squares() -> onnx.ModelProto:
    """Squares that FP16 cannot hold, made small again, and a product."""
    nodes = [node("Mul", "x x", "square"), node("Mul", "square small", "h"), node("MatMul", "h w", "y")]
    weights = [constant("small", np.float32(1e-5)), constant("w", random(16, 16, seed=3) / np.float32(4))]
    return model(nodes, [value("x", "N", 16)], [value("y", "N", 16)], weights)


def staged(
    folder: Path,
    proto: onnx.ModelProto,
    inputs: Mapping[str, Array],
    calibration: Mapping[str, Array] | None = None,
    shards: int = 1,
    **saved: Any,
) -> None:
    """A model and its data in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(proto, str(folder / "model.onnx"), **saved)
    for number, rows in enumerate(np.array_split(np.arange(len(next(iter(inputs.values())))), shards)):
        _shard(folder / "data" / f"part-{number}.npz", {name: array[rows] for name, array in inputs.items()})
    if calibration:
        _shard(folder / "calib" / "part-0.npz", calibration)


def _shard(path: Path, arrays: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)


def repaired(folder: Path, engine: Backend | None = None, backend: str | None = None, **fields: Any) -> Repaired:
    """Run the audit of what is staged, until what failed is repaired.

    Args:
        folder: what is staged; what is computed comes below `out`, and what is there already is taken.
        engine: takes the place of backend tensorrt.
        backend: by which all candidates are built in place of their own.
        fields: of the spec, in place of those by default.
    """
    offered = {**BACKENDS, **({"tensorrt": engine} if engine else {})}
    with pytest.MonkeyPatch.context() as patch:
        for module in ("candidate", "repair"):
            patch.setattr(f"assay_runner.tasks.{module}.BACKENDS", offered)
        return Repaired(_run(folder, backend, fields), folder)


def _run(folder: Path, backend: str | None, fields: Mapping[str, Any]) -> Report:
    spec = parse(
        AuditSpec,
        {
            "model": {"uri": "file://./model.onnx"},
            "dataset": {"uri": "file://./data/", "batch": 4},
            "candidates": [FP16],
            "checks": list(DRIFT),
            "remedies": {"precision": {"to": ["fp32"]}},
            "artifacts": {"uri": "file:///nowhere/"},
            **fields,
        },
    )
    out = f"file://{folder}/out"
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    progress = Tracker(PlainView(io.StringIO()))
    context = Context(open_store(spec.storage, folder), scratch, progress, backend, resume=False)
    tasks = [task for task in plan(spec, "an-audit", output=out, cache=cache_folder(out)) if task.kind != SUMMARY]
    for task in tasks:
        run_task(task, context)
    found = published(next(task for task in tasks if task.kind == REPAIR), context.store)
    assert found is not None
    return found[0]
