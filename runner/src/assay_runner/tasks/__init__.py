"""Tasks: golden, candidate, repair, summary, and what sweeps, acceptances and screenings ask.

Each takes its description and a context, publishes, tells a few bytes.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Final, cast

from assay_api.plan import Task
from assay_api.result import TaskResult
from assay_api.task_kinds import BASELINE, CANDIDATE, COMPARE, GOLDEN, REPAIR, RESOLVE, SCREEN, SUMMARY, TOGETHER
from assay_runner import journal
from assay_runner.errors import Unsupported, debug
from assay_runner.tasks.context import Context

__all__ = ["TASKS", "Context", "answered", "run_task"]

TASKS: Final[dict[str, str]] = {
    GOLDEN: "assay_runner.tasks.golden:run_golden",
    CANDIDATE: "assay_runner.tasks.candidate:run_candidate",
    TOGETHER: "assay_runner.tasks.together:run_together",
    REPAIR: "assay_runner.tasks.repair:run_repair",
    SUMMARY: "assay_runner.tasks.summary:run_summary",
    RESOLVE: "assay_runner.tasks.resolve:run_resolve",
    BASELINE: "assay_runner.tasks.baseline:run_baseline",
    SCREEN: "assay_runner.tasks.screen:run_screen",
    COMPARE: "assay_runner.tasks.compare:run_compare",
}
"""Every kind of task that can be planned → "module:function"; imported when first run, for a summary needs no ONNX
Runtime."""


def run_task(task: Task, context: Context) -> TaskResult:
    """Run one task.

    Raises:
        AuditError: it cannot be done; `Died` where it ended a process before.
    """
    context.progress.subject(task.key)
    journal.be_patient(task.spec.stall_deadline_seconds)
    with journal.step(task.key, f"{task.about.verb.lower()} {task.key if task.candidate else task.about.makes}"):
        module, function = TASKS[task.kind].split(":")
        run = cast(Callable[[Task, Context], TaskResult], getattr(importlib.import_module(module), function))
        return run(task, context)


def answered(task: Task, context: Context) -> TaskResult:
    """Run one task as a Pod does: of a candidate that cannot be measured, that is the answer.

    A retry would hold a GPU only to say the same.

    Raises:
        AuditError: it cannot be done, and perhaps another time or with other input it can.
    """
    try:
        return run_task(task, context)
    except Unsupported as error:
        if task.candidate is None:
            raise
        from assay_runner.tasks.sections import publish_unmeasured

        debug(error)
        return publish_unmeasured(task, context, error)
