"""The tasks of a screening where there is no GPU, where the driver hangs, and where a report went away."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from assay_api.audit import AuditSpec
from assay_api.model import parse
from assay_api.plan import Task
from assay_api.result import TaskResult
from assay_api.screen_orders import CompareOrder, ScreenOrder
from assay_api.screening import ScreenReport
from assay_api.task_kinds import COMPARE, SCREEN
from assay_runner.errors import InvalidInput
from assay_runner.progress.tracker import Tracker
from assay_runner.progress.views import PlainView
from assay_runner.screening import gpus
from assay_runner.stores import open_store
from assay_runner.tasks import Context, run_task
from tests.models import loaded, mlp

ORDER: dict[str, Any] = {
    "node": "worker-1", "gpus": 3, "inputs": 2, "batch": 1, "runs": 20, "heat_seconds": 0, "scan_seconds": 20,
    "silence_seconds": 20,
}  # fmt: skip


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "bert.plan"
    path.write_bytes(b"a plan")
    return path


def task(folder: Path, subject: Path, kind: str, key: str, **fields: Any) -> Task:
    whole = {
        "model": {"uri": f"file://{subject}"}, "dataset": {"uri": f"file://{subject}"},
        "candidates": [{"name": "plan", "backend": "tensorrt", "precision": "fp32"}],
        "artifacts": {"uri": f"file://{folder}/artifacts"},
    }  # fmt: skip
    return Task(
        kind=kind, key=key, audit="team/h100", run="r", output=f"file://{folder}/artifacts/run",
        cache=f"file://{folder}/artifacts/cache", spec=parse(AuditSpec, whole), **fields,
    )  # fmt: skip


def screen(folder: Path, subject: Path, node: str = "worker-1", **more: Any) -> TaskResult:
    order = ScreenOrder(**{**ORDER, "node": node, **more})
    return ran(folder, task(folder, subject, SCREEN, f"screen@{node}", screen=order))


def compare(folder: Path, subject: Path, **order: Any) -> TaskResult:
    return ran(folder, task(folder, subject, COMPARE, "compare", compare=CompareOrder(**order)))


def ran(folder: Path, what: Task) -> TaskResult:
    return run_task(what, Context(open_store(what.spec.storage), folder / "scratch", Tracker(PlainView(sys.stderr))))


def report(folder: Path, place: str) -> ScreenReport:
    return ScreenReport.model_validate_json((folder / "artifacts" / "run" / place / "screen.json").read_text())


def test_a_node_without_a_driver_is_skipped_with_why(
    tmp_path: Path, plan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    told = screen(tmp_path, plan)
    assert told.screened is not None
    assert (told.screened.node, told.screened.hung) == ("worker-1", False)
    (entry,) = report(tmp_path, "screen.worker-1").devices
    assert (entry.state, entry.device) == ("Skipped", "node/worker-1")
    assert "there is no nvidia-smi here" in entry.message


def test_a_driver_that_does_not_answer_is_a_node_that_hangs(
    tmp_path: Path, plan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    smi = tmp_path / "bin" / "nvidia-smi"
    smi.parent.mkdir()
    smi.write_text("#!/bin/sh\nexec /bin/sleep 60\n")
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", str(smi.parent))
    monkeypatch.setattr(gpus, "SECONDS", 0.2)
    told = screen(tmp_path, plan)
    assert told.screened is not None
    assert told.screened.hung
    assert "nvidia-smi does not answer" in report(tmp_path, "screen.worker-1").devices[0].message


def test_what_is_stored_is_not_screened_again_and_what_is_lost_is_listed(tmp_path: Path) -> None:
    subject = loaded(mlp(), tmp_path).path
    first = screen(tmp_path, subject)
    made = report(tmp_path, "screen.worker-1").made
    assert screen(tmp_path, subject).verdict == first.verdict
    assert report(tmp_path, "screen.worker-1").made == made
    scans = {"worker-1": ("screen.worker-1",), "worker-2": ("screen.worker-2",)}
    told = compare(tmp_path, subject, scans=scans, skipped={"it is cordoned": ("worker-3",)}, hung={"worker-4": 1})
    assert told.fleet is not None
    assert (told.fleet.scanned, told.fleet.again, told.fleet.recorded) == (4, ("worker-4",), True)
    listed = {entry.host: entry.message for entry in report(tmp_path, ".").devices}
    assert listed["worker-2"] == "its report is gone from the artifact store"
    assert listed["worker-3"] == "it is cordoned"
    assert listed["worker-4"] == "did not come to an end, in one try"
    with pytest.raises(InvalidInput, match="there is no report to compare"):
        compare(tmp_path, subject, scans={"worker-9": ("screen.worker-9",)})


def test_a_report_that_is_none_is_no_report(tmp_path: Path) -> None:
    subject = loaded(mlp(), tmp_path).path
    screen(tmp_path, subject)
    folder = tmp_path / "artifacts" / "run" / "screen.worker-2"
    folder.mkdir()
    (folder / "screen.json").write_text(json.dumps({"verdict": "Passed"}))
    told = compare(tmp_path, subject, scans={node: (f"screen.{node}",) for node in ("worker-1", "worker-2")})
    assert told.verdict == "Inconclusive"
    # What two GPUs answer is no record of what is right.
    few = screen(tmp_path, subject, "worker-5", gpus=2)
    assert few.verdict == "Passed"
    told = compare(tmp_path, subject, scans={"worker-5": ("screen.worker-5",)})
    assert told.fleet is not None
    assert not told.fleet.recorded
