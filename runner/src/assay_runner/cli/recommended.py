"""`DIR/recommended`: what goes into production of the candidate that is recommended, and how to build it anew.

It is written beside its place and moved there once it is whole; one of an earlier run goes before a run begins
(`leftovers`), by the note that lies in it.
"""

from __future__ import annotations

import glob
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from assay_api.audit import Candidate
from assay_api.model import to_wire
from assay_api.repair import Deployable
from assay_api.report import CandidateReport
from assay_runner.backends import BACKENDS
from assay_runner.backends.order import order_of
from assay_runner.backends.subject import Subject
from assay_runner.builds.cache import BuildRequest, build_or_take
from assay_runner.cli.leftovers import RECOMMENDED, RECOMMENDED_NOTE, RECOMMENDED_VERSION, check_free
from assay_runner.cli.local import Ran
from assay_runner.data.datasets import Dataset
from assay_runner.errors import AuditError
from assay_runner.remedies.case import Design
from assay_runner.remedies.deploy import MODEL, SCRIPT, deployed, external_files
from assay_runner.stores import basename, beside
from assay_runner.tasks.candidate import calibration_of
from assay_runner.tasks.environment import versions
from assay_runner.tasks.golden import dataset_of
from assay_runner.tensors import Progress

PART: Final = "recommended.part"


@dataclass(frozen=True)
class _Bench:
    """What writing a model needs."""

    scratch: Path
    progress: Progress
    dataset: Dataset


def lay_out(ran: Ran) -> str:
    """Write `DIR/recommended`; one sentence about what is there, or why nothing is.

    Raises:
        InvalidInput: another folder of that name is in the way.
        Unavailable: the disk fails.
    """
    check_free(ran.out)
    part = ran.out / PART
    shutil.rmtree(part, ignore_errors=True)
    try:
        return _laid_out(ran, ran.out / RECOMMENDED, part)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _laid_out(ran: Ran, folder: Path, part: Path) -> str:
    found = ran.report.recommendation
    if found is None or found.candidate is None:
        return f"Nothing to ship, so nothing is written to {folder}."
    chosen = [c for c in ran.report.candidates if found.candidate in (c.name, c.candidate)]
    if any(candidate.repaired for candidate in chosen):
        if found.deploy is None:
            return f"{found.candidate} has a repair for each of several GPU products: see the report for their files."
        return _written(ran, chosen[0], _copied(found.deploy, part, ran), "")
    candidate = (
        next(c for c in ran.report.spec.candidates if c.name == chosen[0].candidate) if ran.report.spec else None
    )
    if candidate is None or candidate.engine:
        where = f" ({candidate.engine.uri})" if candidate and candidate.engine else ""
        return f"{found.candidate} is an existing plan{where}: ship it as it is, so nothing is written to {folder}."
    try:
        return _written(ran, chosen[0], _own(candidate, chosen[0], part, ran), _typing(chosen[0]))
    except AuditError as error:
        return f"{found.candidate} is to be shipped as it was built, and could not be laid out in {folder}: {error}."


def _copied(deploy: Deployable, folder: Path, ran: Ran) -> Deployable:
    """The files of a repair, where the run has stored them, in the folder."""
    uris = deploy.model_dump(exclude_none=True)
    folder.mkdir(exist_ok=True)
    for uri in uris.values():
        ran.context.store.get(uri, folder / basename(uri))
    for name in external_files(folder / MODEL) if deploy.model else ():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        ran.context.store.get(beside(deploy.model or "", name), folder / name)
    return Deployable.model_validate({what: f"file://{folder / basename(uri)}" for what, uri in uris.items()})


def _own(candidate: Candidate, report: CandidateReport, folder: Path, ran: Ran) -> Deployable:
    """The files of a candidate that needs no repair: its model with every choice written into it, and its engine."""
    context, task = ran.context, next(task for task in ran.tasks if task.key == report.name)
    model = context.load(candidate.model or task.spec.model, task.spec.dataset)
    dataset = dataset_of(task, context.load(task.spec.model, task.spec.dataset), context)
    calibration = calibration_of(task, candidate, model, context)
    words = f"{report.name} as the audit {ran.report.audit} asks for it"
    design = Design(order_of(candidate, model.path), model, calibration, words)
    scratch = context.workdir(task) / RECOMMENDED
    scratch.mkdir(parents=True, exist_ok=True)
    bench = _Bench(scratch, context.progress, dataset)
    if report.emulated or candidate.backend == "onnxruntime":
        return deployed(design, None, f"file://{folder}", context.store, bench)
    backend = BACKENDS[candidate.backend]
    request = BuildRequest(backend, model, design.order, calibration, versions(), dataset.extents())
    built, _shelves = build_or_take(request, scratch, context.progress, context.store, task.cache)
    try:
        subject = Subject(report.name, backend, built, model)
        return deployed(design, subject, f"file://{folder}", context.store, bench)
    finally:
        backend.release(built)


def _layers(ran: Ran, chosen: CandidateReport) -> list[dict[str, str]]:
    """What a candidate's `layers` say to be audited as this repair was: the nodes that run wider."""
    entries = [entry for repair in ran.report.repair for entry in repair.remedies]
    wide = next((entry.wide for entry in entries if entry.repaired == chosen.name), {})
    return [{"nodes": glob.escape(node), "precision": precision} for node, precision in wide.items()]


def _typing(report: CandidateReport) -> str:
    if report.typing != "weak":
        return ""
    return (
        "model.plan is what was audited; model.onnx has its precision written into its types, which a weakly typed "
        "build leaves to the builder, so audit what reproduce.sh builds of it before you ship that"
    )


def _written(ran: Ran, chosen: CandidateReport, deploy: Deployable, remark: str) -> str:
    """Write the note, and say what is there."""
    part, folder, found = ran.out / PART, ran.out / RECOMMENDED, ran.report.recommendation
    names = {what: basename(uri) for what, uri in to_wire(deploy).items()}
    files = sorted(str(path.relative_to(part)) for path in part.rglob("*") if path.is_file())
    script = part / SCRIPT
    if script.exists():
        script.chmod(0o755)
    note = {
        "version": RECOMMENDED_VERSION,
        "candidate": chosen.name,
        "repairOf": chosen.repaired,
        "why": found.message if found else "",
        "remark": remark or None,
        "run": ran.report.run,
        "files": files,
        "layers": _layers(ran, chosen) or None,
        "validFor": next((each.valid_for for each in ran.report.repair if chosen.repaired), None),
        "deploy": names,
    }
    text = json.dumps({key: value for key, value in note.items() if value is not None}, indent=2)
    (part / RECOMMENDED_NOTE).write_text(f"{text}\n")
    if folder.exists():
        folder.rmdir()
    part.rename(folder)
    told = f"To ship {chosen.name}: {folder} with {', '.join(files)}"
    return f"{told}; {remark}." if remark else f"{told}."
