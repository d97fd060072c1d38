"""`assay plan`: what a run would do, and the GPUs, memory and scratch that takes."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Final

from assay_api.audit import AccuracyAudit, AuditSpec
from assay_api.gpu_screening import GpuScreening
from assay_api.names import ANNOTATION_RERUN, ENV_RETRY_SECONDS, ENV_SCRATCH, ExitCode
from assay_api.plan import Task, cache_folder, plan, run_digest, run_folder
from assay_api.remedies import REMEDIES
from assay_api.sweep import AccuracySweep
from assay_runner.cli.documents import base_folder, read_resources
from assay_runner.cli.failures import printable
from assay_runner.cli.heads import Resource
from assay_runner.cli.places import temporary
from assay_runner.cli.selection import for_backend, selected
from assay_runner.errors import InvalidInput, Unavailable

PATIENCE: Final = "5"
"""Seconds that storage is waited for, unless the environment says otherwise: an estimate is worth no more."""
_CREDENTIALS: Final = (
    "AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)  # fmt: skip
"""Where none is set there is nobody to ask s3:// as, and finding that out would take seconds."""


def command(arguments: argparse.Namespace) -> int:
    """Print a table per audit of the file, and what each sweep comes to.

    Raises:
        InvalidInput: an option is for audits and the file has something else, or for sweeps and it has none.
    """
    resources = read_resources(arguments.filename)
    _refuse_useless(resources, arguments)
    for written in resources:
        if isinstance(written, AccuracySweep):
            # Time zones take a while to import, and an audit has none.
            from assay_runner.cli.plan_sweep import measured, sweep_lines

            there = measured(written) if arguments.measured else None
            lines = sweep_lines(written, arguments.cell_seconds, there, datetime.now(timezone.utc))
            print("\n".join(map(printable, lines)))
            continue
        if isinstance(written, GpuScreening):
            print(printable(f"{written.metadata['name']}: a screening, which the nodes of its cluster decide upon"))
            continue
        audit = selected(written, arguments)
        audit = audit.model_copy(update={"spec": for_backend(audit.spec, arguments.backend)})
        run = run_digest(audit.spec, _rerun(audit))
        tasks = _tasks(audit, run)
        if arguments.backend:
            tasks = tuple(task.model_copy(update={"gpus": 0}) for task in tasks)
        name = audit.metadata["name"]
        print(f"{name}, run {run}")
        print("\n".join(_table(tasks)))
        # What has been done ahead is done by nobody else.
        held = [t for t in tasks if t.key not in {key for ahead in tasks for key in ahead.together}]
        gpus = [t.gpus for t in held if t.gpus]
        # A repair comes after the candidates, so that it holds no GPU beside them.
        groups = [[t.gpus for t in held if t.about.beside is beside] for beside in (False, True)]
        most = max(sum(sorted(group, reverse=True)[: audit.spec.max_parallel]) for group in groups)
        at_once = f", at most {most} at once (maxParallel: {audit.spec.max_parallel})" if gpus else ""
        print(f"{len(held)} tasks, {sum(gpus)} GPUs in all{at_once}")
        more = _left(audit.spec, arguments.backend) if arguments.backend else _builds(audit.spec)
        told = (*_together(tasks), *more, *_repair(audit.spec), *_needs(audit.spec, arguments.filename))
        print("".join(f"{line}\n" for line in told), end="")
    return ExitCode.PASSED


def _refuse_useless(resources: Sequence[Resource], arguments: argparse.Namespace) -> None:
    """Refuse options that would change nothing: what is printed would be taken for what they ask."""
    of_audits = {"--backend": arguments.backend, "--candidate": arguments.candidate, "--check": arguments.check}
    of_sweeps = {"--cell-seconds": arguments.cell_seconds is not None, "--measured": arguments.measured}
    narrowing, pricing = ([option for option, given in of.items() if given] for of in (of_audits, of_sweeps))
    other = next((each for each in resources if not isinstance(each, AccuracyAudit)), None)
    if narrowing and other is not None:
        kind = "a sweep" if isinstance(other, AccuracySweep) else "a screening"
        raise InvalidInput(
            f"{other.metadata['name']} is {kind}, which takes no {' or '.join(narrowing)}: leave that out"
        )
    if pricing and not any(isinstance(each, AccuracySweep) for each in resources):
        raise InvalidInput(f"{arguments.filename} has no sweep, which {pricing[0]} is there for: leave that out")


def _left(spec: AuditSpec, backend: str) -> list[str]:
    """What an emulation does not answer, so that it is left for the GPU."""
    from assay_runner.checks import parse_checks
    from assay_runner.tasks.for_gpu import split

    checks = parse_checks(spec)
    stood_for = [candidate for candidate in spec.candidates if candidate.backend != backend]
    left: dict[str, list[str]] = {}
    for candidate in stood_for:
        for entry in split(candidate, checks)[1]:
            left.setdefault(f"{entry.check or 'all'}: {entry.message}", []).append(candidate.name)
    return [f"left for the GPU, of {', '.join(names)}: {what}" for what, names in left.items()]


def _together(tasks: Iterable[Task]) -> list[str]:
    """Which candidates share a Job."""
    return [
        f"{task.key} audits {', '.join(task.together)} in one Job, and what it leaves unanswered gets one of its own"
        for task in tasks
        if task.together
    ]


def _builds(spec: AuditSpec) -> list[str]:
    """How many engines a TensorRT candidate costs, and which checks they are for."""
    if not any(candidate.backend == "tensorrt" for candidate in spec.candidates):
        return []
    from assay_runner.checks import parse_checks
    from assay_runner.checks.builds import builds_of, spoken

    extra = builds_of(parse_checks(spec))
    beside = f" and, beside it, {spoken(extra)}" if extra else ""
    count = f"{1 + len(extra)} builds" if extra else "1 build"
    return [
        f"{count} per tensorrt candidate: the engine{beside}",
        "more only where a check fails inside a fused layer, outputs differ, or a probe cannot be built whole",
    ]


def _repair(spec: AuditSpec) -> list[str]:
    """When there is a repair, by which remedies, and what it may cost."""
    if spec.remedies is None:
        return []
    named = ", ".join(name for name in REMEDIES if spec.remedies.asked(name))
    budget = spec.remedies.budget
    return [
        f"a repair ({named}) only where a candidate fails: at most {budget.builds} builds, {budget.proposals} "
        f"emulations and {budget.minutes} min; searched with {spec.remedies.search_share:.0%} of the samples, judged "
        "on the others"
    ]


def _needs(spec: AuditSpec, filename: str) -> list[str]:
    """Memory and scratch that each task needs at least, and what there is of both on this machine."""
    if "s3://" in spec.model.uri + spec.dataset.uri and not any(os.environ.get(name) for name in _CREDENTIALS):
        return ["memory and scratch are not estimated: there are no AWS credentials here to look at s3:// with"]
    from assay_runner.stores import open_store
    from assay_runner.tasks.estimates import estimated

    os.environ.setdefault(ENV_RETRY_SECONDS, PATIENCE)
    scratch = Path(os.environ.get(ENV_SCRATCH) or temporary())
    try:
        return estimated(spec, open_store(spec.storage, base_folder(filename)), scratch).told(scratch)
    except (InvalidInput, Unavailable) as error:
        return [f"memory and scratch are not estimated: {printable(str(error))}"]


def _rerun(audit: AccuracyAudit) -> str:
    annotations = audit.metadata.get("annotations")
    return str(annotations.get(ANNOTATION_RERUN, "")) if isinstance(annotations, dict) else ""


def _tasks(audit: AccuracyAudit, run: str) -> tuple[Task, ...]:
    spec, metadata = audit.spec, audit.metadata
    name, namespace = str(metadata["name"]), str(metadata.get("namespace") or "default")
    folder = run_folder(spec.artifacts.uri, namespace, name, run, uid="uid")
    cache = cache_folder(spec.artifacts.uri)
    return plan(spec, f"{namespace}/{name}", output=folder, cache=cache, rerun=_rerun(audit))


def _table(tasks: tuple[Task, ...]) -> list[str]:
    rows = [("TASK", "KIND", "AFTER", "GPUS", "GPU PRODUCT")]
    rows += [(t.key, t.kind, ", ".join(a.task for a in t.after) or "-", str(t.gpus), _product(t)) for t in tasks]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _product(task: Task) -> str:
    if not task.gpus:
        return "-"
    return task.gpu_product or "any"
