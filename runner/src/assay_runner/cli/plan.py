"""`assay plan`: what a run would do, and the GPUs that takes."""

from __future__ import annotations

import argparse

from assay_api.audit import AccuracyAudit
from assay_api.names import ANNOTATION_RERUN, ExitCode
from assay_api.plan import Task, cache_folder, plan, run_digest, run_folder
from assay_runner.cli.documents import read_audits


def command(arguments: argparse.Namespace) -> int:
    """Print a table per audit of the file."""
    for audit in read_audits(arguments.filename):
        tasks = _tasks(audit)
        name = audit.metadata["name"]
        print(f"{name}, run {tasks[0].run}")
        print("\n".join(_table(tasks)))
        gpus = [t.gpus for t in tasks if t.gpus]
        most = sum(sorted(gpus, reverse=True)[: audit.spec.max_parallel])
        at_once = f", at most {most} at once (maxParallel: {audit.spec.max_parallel})" if gpus else ""
        print(f"{len(tasks)} tasks, {sum(gpus)} GPUs in all{at_once}")
    return ExitCode.PASSED


def _tasks(audit: AccuracyAudit) -> tuple[Task, ...]:
    spec, metadata = audit.spec, audit.metadata
    name, namespace = str(metadata["name"]), str(metadata.get("namespace") or "default")
    annotations = metadata.get("annotations")
    rerun = str(annotations.get(ANNOTATION_RERUN, "")) if isinstance(annotations, dict) else ""
    artifacts = spec.artifacts.uri
    folder = run_folder(artifacts, namespace, name, run_digest(spec, rerun), uid="uid")
    return plan(spec, f"{namespace}/{name}", output=folder, cache=cache_folder(artifacts), rerun=rerun)


def _table(tasks: tuple[Task, ...]) -> list[str]:
    rows = [("TASK", "KIND", "AFTER", "GPUS", "GPU PRODUCT")]
    rows += [(t.key, t.kind, ", ".join(t.after) or "-", str(t.gpus), _product(t)) for t in tasks]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _product(task: Task) -> str:
    if not task.gpus:
        return "-"
    return task.gpu_product or "any"
