"""Dear builds kept in the artifact store, addressed by everything they depend on.

ONNX Runtime's calibrated builds are one file each; those without calibration take less time than fetching them would. A
backend whose builds are always dear keeps two folders of files: what this very build can take again (engines, ranges),
and what every build on the same device can use (the timing cache: a layer that was timed once is not timed again).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from assay_api.audit import Candidate
from assay_api.model import Model, parse, to_wire
from assay_runner.backends import Backend, Built
from assay_runner.backends.seams import KEPT, SHARED, Keeping
from assay_runner.errors import InvalidInput
from assay_runner.golden.cache import cache_key
from assay_runner.models.files import external_tensors
from assay_runner.stores import basename, join
from assay_runner.tensors import Extents, Progress

if TYPE_CHECKING:
    from assay_runner.data.datasets import Dataset
    from assay_runner.models.loading import LoadedModel
    from assay_runner.stores import Store

RECORD: Final = "build.json"
FILE: Final = "model.onnx"
TIMINGS: Final = "timing"
"""Folder of the cache with what every build of one identity shares."""
MOST_SHARED: Final = 64 << 20
"""Bytes of a shared file that are still worth fetching; one that grew beyond is begun anew."""


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


@dataclass(frozen=True)
class Order:
    """A candidate to be built, and everything else that its build depends on.

    Attributes:
        backend: builds it.
        model: the candidate's own model if it has one, else the audit's.
        candidate: what to build.
        calibration: inputs to find 8-bit ranges with, or None.
        versions: of what computes here.
        shapes: in which shapes each input will be fed.
    """

    backend: Backend
    model: LoadedModel
    candidate: Candidate
    calibration: Dataset | None
    versions: str
    shapes: Mapping[str, Extents]

    def key(self) -> str:
        """Digest of all that the build depends on; the candidate's name is not among it."""
        wire = {key: value for key, value in to_wire(self.candidate).items() if key != "name"}
        of_device = {}
        versions = self.versions
        if isinstance(self.backend, Keeping):
            versions = f"{versions} {self.backend.identity()}"
            of_device = {"shapes": repr(sorted(self.shapes.items()))}
        return cache_key(
            backend=self.backend.name,
            model=self.model.identity,
            candidate=json.dumps(wire, sort_keys=True),
            calibration=self.calibration.identity if self.calibration else "",
            versions=versions,
            **of_device,
        )

    def build(self, workdir: Path, progress: Progress) -> Built:
        """Build it."""
        return self.backend.build(self.model, self.candidate, self.calibration, workdir, progress, self.shapes)


class Shelf:
    """A folder's files in the artifact store: fetched before a build, stored after it as far as they changed."""

    def __init__(self, store: Store, uri: str, folder: Path, merge: Callable[[Path, Path], None] | None = None) -> None:
        """Keep the files of `folder` below `uri`.

        With `merge` others write there too: what they wrote meanwhile is added to ours before ours takes its place. Who
        stores within the same moment wins; what is lost so is only made again.
        """
        self._store, self._uri, self._folder, self._merge = store, uri, folder, merge
        self._known: dict[str, tuple[int, ...]] = {}
        self._versions: dict[str, str] = {}

    def fetch(self) -> None:
        """Whatever lies there."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for stat in tuple(self._store.list(f"{self._uri}/")):
            name = basename(stat.uri)
            self._versions[name] = stat.version
            if self._merge and stat.size > MOST_SHARED:
                continue
            if self._fetched(stat.uri, self._folder / name):
                self._known[name] = _signature(self._folder / name)

    def keep(self) -> None:
        """Whatever is new or changed; plans before the record that speaks of them."""
        for path in sorted(self._folder.iterdir(), key=lambda path: (path.suffix == ".json", path.name)):
            if self._known.get(path.name) == _signature(path):
                continue
            uri = join(self._uri, path.name)
            if self._merge:
                self._take_in(uri, path, self._merge)
            self._store.put(uri, path)
            self._known[path.name] = _signature(path)
            stat = self._store.stat(uri) if self._merge else None
            self._versions[path.name] = stat.version if stat else ""

    def _take_in(self, uri: str, ours: Path, merge: Callable[[Path, Path], None]) -> None:
        stat = self._store.stat(uri)
        if stat is None or stat.version == self._versions.get(ours.name) or stat.size > MOST_SHARED:
            return
        theirs = self._folder.with_name(f"{self._folder.name}-others") / ours.name
        if self._fetched(uri, theirs):
            merge(ours, theirs)
            theirs.unlink()

    def _fetched(self, uri: str, path: Path) -> bool:
        try:
            self._store.get(uri, path)
        except InvalidInput:
            if self._store.stat(uri) is not None:
                raise
            return False  # Deleted since it was looked up, as a cache may be at any time.
        return True


def _signature(path: Path) -> tuple[int, ...]:
    """Changes whenever a file is written; plans are too large to be read for that."""
    stat = path.stat()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def shared_uri(cache: str, backend: Keeping) -> str:
    """Where the files that every build of one identity shares lie."""
    return join(cache, TIMINGS, cache_key(identity=backend.identity()))


def build_or_take(
    order: Order, workdir: Path, progress: Progress, store: Store, cache: str
) -> tuple[Built, tuple[Shelf, ...]]:
    """The build of the cache, or a new one, which then goes there; and the shelves that what it yet leaves goes to.

    Raises:
        InvalidInput: the model cannot be built so.
        Unavailable: something is missing here.
    """
    backend = order.backend
    if isinstance(backend, Keeping):
        shelves = (
            Shelf(store, join(cache, "engines", order.key()), workdir / KEPT),
            Shelf(store, shared_uri(cache, backend), workdir / SHARED, backend.merge),
        )
        for shelf in shelves:
            shelf.fetch()
        built = order.build(workdir, progress)
        for shelf in shelves:
            shelf.keep()  # Now too: what was dear must not be lost with a pod that is killed while it measures.
        return built, shelves
    if order.calibration is None:
        return order.build(workdir, progress), ()
    return _one_file(order, workdir, progress, store, join(cache, "build", order.key())), ()


def _one_file(order: Order, workdir: Path, progress: Progress, store: Store, folder: str) -> Built:
    taken = _take(store, folder, order.model, workdir)
    if taken:
        progress.note("build taken from the cache")
        return taken
    built = order.build(workdir, progress)
    if built.path != order.model.path and _self_contained(built.path):
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
