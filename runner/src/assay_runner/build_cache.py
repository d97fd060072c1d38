"""Dear builds kept in the artifact store, addressed by everything they depend on.

ONNX Runtime's calibrated builds are one file each; those without calibration take less time than fetching them would. A
backend whose builds are always dear keeps a folder of files: engines, timing caches, ranges.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from assay_api.audit import Candidate
from assay_api.model import Model, parse, to_wire
from assay_runner.backends import Backend, Built
from assay_runner.backends.backend import NOTHING
from assay_runner.backends.seams import KEPT, Keeping
from assay_runner.golden_cache import cache_key
from assay_runner.model_files import external_tensors, file_sha256
from assay_runner.stores import basename, join
from assay_runner.tensors import Extents

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


def build_key(
    backend: str, model: LoadedModel, candidate: Candidate, calibration: Dataset | None, versions: str, shapes: str = ""
) -> str:
    """Digest of all that a build depends on; the candidate's name is not among it."""
    wire = {key: value for key, value in to_wire(candidate).items() if key != "name"}
    return cache_key(
        backend=backend,
        model=model.identity,
        candidate=json.dumps(wire, sort_keys=True),
        calibration=calibration.identity if calibration else "",
        versions=versions,
        **({"shapes": shapes} if shapes else {}),
    )


class Shelf:
    """Files of a dear build in the artifact store: fetched before it, stored after it."""

    def __init__(self, store: Store, uri: str, folder: Path) -> None:
        """Keep the files of `folder` below `uri`."""
        self._store, self._uri, self._folder = store, uri, folder
        self._known: dict[str, str] = {}

    def fetch(self) -> None:
        """Whatever lies there."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for stat in tuple(self._store.list(f"{self._uri}/")):
            name = basename(stat.uri)
            self._store.get(stat.uri, self._folder / name)
            self._known[name] = file_sha256(self._folder / name)

    def keep(self) -> None:
        """Whatever is new or changed; plans before the record that speaks of them."""
        for path in sorted(self._folder.iterdir(), key=lambda path: (path.suffix == ".json", path.name)):
            digest = file_sha256(path)
            if self._known.get(path.name) != digest:
                self._store.put(join(self._uri, path.name), path)
                self._known[path.name] = digest


def shelf(
    backend: Backend,
    model: LoadedModel,
    candidate: Candidate,
    calibration: Dataset | None,
    workdir: Path,
    store: Store,
    cache: str,
    versions: str,
    shapes: Mapping[str, Extents],
) -> Shelf | None:
    """Where a backend's dear builds are kept; None for one whose builds are cheap."""
    if not isinstance(backend, Keeping):
        return None
    identity = f"{versions} {backend.identity()}"
    key = build_key(backend.name, model, candidate, calibration, identity, repr(sorted(shapes.items())))
    return Shelf(store, join(cache, "engines", key), workdir / KEPT)


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
    shapes: Mapping[str, Extents] = NOTHING,
) -> Built:
    """The build of the cache, or a new one, which then goes there.

    Raises:
        InvalidInput: the model cannot be built so.
        Unavailable: something is missing here.
    """
    if calibration is None or isinstance(backend, Keeping):
        return backend.build(model, candidate, calibration, workdir, progress, shapes)
    folder = join(cache, "build", build_key(backend.name, model, candidate, calibration, versions))
    taken = _take(store, folder, model, workdir)
    if taken:
        progress.note("build taken from the cache")
        return taken
    built = backend.build(model, candidate, calibration, workdir, progress, shapes)
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
