"""In which order `assay run` does its tasks, with a kind of task that nobody here knew of among them."""

from __future__ import annotations

import io
import sys
import types
from pathlib import Path

import pytest

from assay_api.audit import AuditSpec
from assay_api.model import parse
from assay_api.plan import After, Task, in_order, plan
from assay_api.report import Verdict
from assay_api.result import TaskResult
from assay_api.task_kinds import KINDS, TaskKind
from assay_runner.cli.local import run_all
from assay_runner.errors import AuditError, InvalidInput
from assay_runner.progress.tracker import Tracker
from assay_runner.progress.views import PlainView
from assay_runner.stores.memory import MemoryStore
from assay_runner.tasks import TASKS, Context


class Noting:
    """Does a task by noting that it was done, with the verdict that a test wants; none is an error."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.verdicts: dict[str, Verdict | None] = {}

    def run(self, task: Task, context: Context) -> TaskResult:
        self.done.append(task.key)
        verdict = self.verdicts.get(task.key, Verdict.PASSED)
        if verdict is None:
            raise InvalidInput("cannot be used")
        return TaskResult(task=task.digest, verdict=verdict)


def tasks() -> tuple[Task, ...]:
    spec = {
        "model": {"uri": "file:///m.onnx"}, "dataset": {"uri": "file:///d/"}, "artifacts": {"uri": "file:///o"},
        "candidates": [{"name": name, "backend": "onnxruntime", "precision": name} for name in ("fp16", "bf16")],
    }  # fmt: skip
    *first, summary = plan(parse(AuditSpec, spec), "a", output="memory://o", cache="memory://o/cache")
    after = tuple(After(task=task.key, when="Over") for task in first if task.candidate)
    repair = {"kind": "repair", "key": "repair", "after": after, "condition": "aCandidateFailed"}
    last = summary.model_copy(update={"after": (*summary.after, After(task="repair", when="Over"))})
    return in_order((summary.model_copy(update=repair), last, *first))


@pytest.fixture
def noting(monkeypatch: pytest.MonkeyPatch) -> Noting:
    noting = Noting()
    monkeypatch.setitem(KINDS, "repair", TaskKind("a repair", "Repairing", "what failed", beside=True))
    for kind in KINDS:
        monkeypatch.setitem(TASKS, kind, "tests.noted:run")
    module = types.ModuleType("tests.noted")
    module.run = noting.run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tests.noted", module)
    return noting


def run(tmp_path: Path) -> dict[str, AuditError]:
    return run_all(tasks(), Context(MemoryStore(), tmp_path, Tracker(PlainView(io.StringIO()))))


@pytest.mark.parametrize(
    ("fp16", "order"),
    [
        (Verdict.PASSED, ["golden", "fp16", "bf16", "summary"]),
        (Verdict.INCONCLUSIVE, ["golden", "fp16", "bf16", "summary"]),
        (Verdict.FAILED, ["golden", "fp16", "bf16", "repair", "summary"]),
        # What cannot be measured has not failed, and stops nobody.
        (None, ["golden", "fp16", "bf16", "summary"]),
    ],
)
def test_a_task_is_done_on_its_condition(
    noting: Noting, tmp_path: Path, fp16: Verdict | None, order: list[str]
) -> None:
    noting.verdicts["fp16"] = fp16
    run(tmp_path)
    assert noting.done == order


def test_what_is_done_beside_may_fail(noting: Noting, tmp_path: Path) -> None:
    noting.verdicts |= {"fp16": Verdict.FAILED, "repair": None}
    failures = run(tmp_path)
    assert noting.done == ["golden", "fp16", "bf16", "repair", "summary"]
    assert {key: str(error) for key, error in failures.items()} == {"repair": "cannot be used"}


def test_without_golden_outputs_nothing_else_is_done(noting: Noting, tmp_path: Path) -> None:
    noting.verdicts["golden"] = None
    with pytest.raises(InvalidInput):
        run(tmp_path)
    assert noting.done == ["golden"]
