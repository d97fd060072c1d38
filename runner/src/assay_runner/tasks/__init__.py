"""Tasks: golden, candidate, summary. Each takes its description and a context, publishes, and returns a few bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from assay_api.plan import Task
from assay_api.result import TaskResult
from assay_runner.tasks.candidate import run_candidate
from assay_runner.tasks.context import Context
from assay_runner.tasks.golden import run_golden
from assay_runner.tasks.summary import run_summary

__all__ = ["TASKS", "Context", "run_task"]

TASKS: Mapping[str, Callable[[Task, Context], TaskResult]] = MappingProxyType(
    {"golden": run_golden, "candidate": run_candidate, "summary": run_summary}
)


def run_task(task: Task, context: Context) -> TaskResult:
    """Run one task."""
    context.progress.subject(task.key)
    return TASKS[task.kind](task, context)
