"""What a golden task measured of golden, its candidates' tasks take from its record, in processes of their own."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from assay_api.plan import Task
from assay_runner.backends.sessions import OrtSession
from assay_runner.progress.tracker import Tracker
from assay_runner.progress.views import PlainView
from assay_runner.stores import open_store
from assay_runner.tasks import Context, run_task
from assay_runner.tasks.golden import dataset_of
from assay_runner.tasks.records import read_record
from tests.cli.audits import FP32
from tests.cli.test_task import tasks
from tests.models import constant, model, node, random, value
from tests.runner.io.made import shard

STEPS = 8
CANDIDATES = [FP32, {**FP32, "name": "tf32", "precision": "tf32"}]


def steps_first() -> onnx.ModelProto:
    """(steps, samples, 5) out, with the axes' names taken for one another, and views inside that tell nothing."""
    nodes = [
        node("Reshape", "x flat", "rows"),
        node("MatMul", "rows w", "made"),
        node("Reshape", "made back", "samples"),
        node("Transpose", "samples", "steps", perm=[1, 0, 2]),
        node("QuickGelu", "steps", "y", domain="com.microsoft"),
    ]
    sizes = {"flat": [-1, 6], "back": [-1, STEPS, 5], "w": random(6, 5)}
    weights = [constant(name, array) for name, array in sizes.items()]
    made = model(nodes, [value("x", "N", STEPS, 6)], [value("y", "N", STEPS, 5)], weights)
    made.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))
    return made


class Process:
    """What one Pod knows, and how often it opened the audit's model."""

    def __init__(self, folder: Path, name: str, task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
        opening = OrtSession.__init__
        self.opened: list[Path] = []

        def noted(session: OrtSession, path: Path, *rest: Any) -> None:
            self.opened.append(path)
            opening(session, path, *rest)

        monkeypatch.setattr(OrtSession, "__init__", noted)
        store = open_store(task.spec.storage, folder)
        self.context = Context(store=store, scratch=folder / name, progress=Tracker(PlainView(io.StringIO())))
        self.context.scratch.mkdir()


@pytest.mark.parametrize("stored", [False, True])
def test_candidates_open_no_session_to_find_the_samples(
    stored: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnx.save(steps_first(), tmp_path / "model.onnx")
    shard(tmp_path / "data" / "part-0.npz", x=random(24, STEPS, 6))
    shard(tmp_path / "golden.npz", y=np.zeros((24, STEPS, 5), np.float32))
    more = {"golden": {"uri": "file://./golden.npz"}} if stored else {}
    dataset = {"uri": "file://./data/", "batch": 8}
    checks: list[dict[str, Any]] = [{"finite": {}}, {"outputDrift": {}}]
    plans = tasks(tmp_path, dataset=dataset, candidates=CANDIDATES, checks=checks, **more)
    first = Process(tmp_path, "golden", plans["golden"], monkeypatch)
    run_task(plans["golden"], first.context)
    record = read_record(plans["fp32"], first.context)
    assert record.axes.outputs == {"y": 1}
    assert record.axes.inner is not None
    assert "golden's lie along axis 1" in "; ".join(record.notes)
    with monkeypatch.context() as patched:
        candidate = Process(tmp_path, "fp32", plans["fp32"], patched)
        run_task(plans["fp32"], candidate.context)
        loaded = candidate.context.load(plans["fp32"].spec.model, plans["fp32"].spec.dataset)
        axes = candidate.context.axes(loaded, dataset_of(plans["fp32"], loaded, candidate.context))
        assert axes.kept == record.axes
        # As it is served, and once more with its tensors shown.
        assert len(candidate.opened) == 2
