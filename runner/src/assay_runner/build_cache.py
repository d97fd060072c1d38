"""Calibrated builds kept in the artifact store: calibration is the long part of a build, and its result one file.

Addressed by everything the build depends on. Builds without calibration take less time than fetching them would.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from assay_api.audit import Candidate
from assay_api.model import Model, parse, to_wire
from assay_runner.backends import Backend, Built
from assay_runner.golden_cache import cache_key
from assay_runner.model_files import external_tensors
from assay_runner.stores import join

if TYPE_CHECKING:
    from assay_runner.datasets import Dataset
    from assay_runner.models import LoadedModel
    from assay_runner.progress import Tracker
    from assay_runner.stores import Store

RECORD: Final = "build.json"
FILE: Final = "model.onnx"


class BuildRecord(Model):
    """What was built."""

    backend: str
    """What built it."""
    precision: str
    """Precision asked for."""
    emulated: bool
    """Whether it stands in for an engine."""
    notes: tuple[str, ...]
    """How it was made."""


def build_key(backend: str, model: LoadedModel, candidate: Candidate, calibration: Dataset, versions: str) -> str:
    """Digest of all that a calibrated build depends on; the candidate's name is not among it."""
    wire = {key: value for key, value in to_wire(candidate).items() if key != "name"}
    return cache_key(
        backend=backend,
        model=model.identity,
        candidate=json.dumps(wire, sort_keys=True),
        calibration=calibration.identity,
        versions=versions,
    )


def build_or_take(
    backend: Backend,
    model: LoadedModel,
    candidate: Candidate,
    calibration: Dataset | None,
    workdir: Path,
    progress: Tracker,
    store: Store,
    cache: str,
    versions: str,
) -> Built:
    """The build of the cache, or a new one, which then goes there.

    Raises:
        InvalidInput: the model cannot be built so.
        Unavailable: something is missing here.
    """
    if calibration is None:
        return backend.build(model, candidate, None, workdir, progress)
    folder = join(cache, "build", build_key(backend.name, model, candidate, calibration, versions))
    taken = _take(store, folder, model, workdir)
    if taken:
        progress.note("build taken from the cache")
        return taken
    built = backend.build(model, candidate, calibration, workdir, progress)
    if built.path != model.path and _self_contained(built.path):
        store.put(join(folder, FILE), built.path)
        record = BuildRecord(
            backend=built.backend, precision=built.precision, emulated=built.emulated, notes=built.notes
        )
        store.put(join(folder, RECORD), record.model_dump_json(by_alias=True).encode(), "application/json")
    return built


def _take(store: Store, folder: str, model: LoadedModel, workdir: Path) -> Built | None:
    if store.stat(join(folder, RECORD)) is None:
        return None
    try:
        record = parse(BuildRecord, json.loads(store.read(join(folder, RECORD))))
    except (ValidationError, ValueError):
        return None
    path = workdir / "cached" / FILE
    store.get(join(folder, FILE), path)
    return Built(
        backend=record.backend,
        precision=record.precision,
        path=path,
        source=model.path,
        folder=workdir,
        emulated=record.emulated,
        notes=record.notes,
    )


def _self_contained(path: Path) -> bool:
    import onnx

    return path.suffix == ".onnx" and not any(external_tensors(onnx.load(str(path), load_external_data=False)))
