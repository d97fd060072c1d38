"""Dear builds kept in the artifact store, addressed by everything they depend on.

ONNX Runtime's calibrated builds are a model and, where it is large, a file of weights; those without calibration take
less time than fetching them would. A backend whose builds are always dear keeps two folders of files: what this very
build can take again (engines, ranges), and what every build on the same device can use (the timing cache: a layer that
was timed once is not timed again).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from assay_runner.backends import Backend, Built
from assay_runner.backends.found import Range
from assay_runner.backends.order import BuildOrder
from assay_runner.backends.seams import KEPT, SHARED, Keeping
from assay_runner.builds.shelves import SharedShelf, Shelf, Shelves
from assay_runner.digests import cache_key
from assay_runner.evidence import Cut
from assay_runner.graphs.control_flow import hidden
from assay_runner.graphs.documents import load_outline
from assay_runner.graphs.weights import WEIGHTS
from assay_runner.models.files import external_tensors
from assay_runner.models.outline import read_outline
from assay_runner.models.witness import unchanged
from assay_runner.stores import join
from assay_runner.stores.sealed import Damaged, EntryRecord, get_file, put_file, put_record, read_record
from assay_runner.tensors import Extents, Progress

if TYPE_CHECKING:
    from assay_runner.data.datasets import Dataset
    from assay_runner.models.loading import LoadedModel
    from assay_runner.stores import Store

RECORD: Final = "build.json"
WHAT: Final = "build"
TIMINGS: Final = "timing"
"""Folder of the cache with what every build of one identity shares."""


class BuildRecord(EntryRecord):
    """What was built; its first file is the model."""

    backend: str
    """What built it."""
    precision: str
    """Precision asked for."""
    emulated: bool
    """Whether it stands in for an engine."""
    notes: tuple[str, ...]
    """How it was made."""
    wide: tuple[str, ...] = ()
    """Nodes that are held to a format of wider range."""
    seen: dict[str, Range] = {}
    """Ranges of graph inputs."""
    cut: dict[str, Any] | None = None
    """Where calibration cuts most of a tensor's range."""


@dataclass(frozen=True)
class BuildRequest:
    """What is to be built, by whom, and everything else that the build depends on.

    Attributes:
        backend: builds it.
        model: the candidate's own model if it has one, else the audit's.
        order: what to build of it.
        calibration: inputs to find 8-bit ranges with, or None.
        versions: of what computes here.
        shapes: in which shapes each input will be fed.
    """

    backend: Backend
    model: LoadedModel
    order: BuildOrder
    calibration: Dataset | None
    versions: str
    shapes: Mapping[str, Extents]

    def key(self) -> str:
        """Digest of all that the build depends on."""
        of_device = {}
        versions = self.versions
        if isinstance(self.backend, Keeping):
            versions = f"{versions} {self.backend.identity()}"
            of_device = {"shapes": repr(sorted(self.shapes.items()))}
        return cache_key(
            backend=self.backend.name,
            model=self.model.identity,
            order=self.order.canonical(),
            calibration=self.calibration.identity if self.calibration else "",
            versions=versions,
            **of_device,
        )

    def build(self, workdir: Path, progress: Progress) -> Built:
        """Build it."""
        return self.backend.build(self.model, self.order, self.calibration, workdir, progress, self.shapes)


def shared_uri(cache: str, backend: Keeping) -> str:
    """Where the files that every build of one identity shares lie."""
    return join(cache, TIMINGS, cache_key(identity=backend.identity()))


def build_or_take(
    request: BuildRequest, workdir: Path, progress: Progress, store: Store, cache: str
) -> tuple[Built, Shelves]:
    """The build of the cache, or a new one, which then goes there; and the shelves that what it yet leaves goes to.

    What the cache holds is used only where it is what was stored there; where it was made again, the notes say so.

    Raises:
        InvalidInput: the model cannot be built so.
        Unavailable: something is missing here.
    """
    backend = request.backend
    if isinstance(backend, Keeping):
        shelves = (
            Shelf(store, join(cache, "engines", request.key()), workdir / KEPT),
            SharedShelf(store, shared_uri(cache, backend), workdir / SHARED, backend.merge),
        )
        notes = tuple(note for shelf in shelves for note in shelf.fetch())
        built = _noted(request.build(workdir, progress), notes, progress)
        for shelf in shelves:
            shelf.keep()  # Now too: what was dear must not be lost with a pod that is killed while it measures.
        return built, shelves
    if request.calibration is None:
        return request.build(workdir, progress), ()
    return _one_file(request, workdir, progress, store, join(cache, "build", request.key())), ()


def _noted(built: Built, notes: tuple[str, ...], progress: Progress) -> Built:
    for note in notes:
        progress.note(note)
    return replace(built, notes=(*built.notes, *notes))


def _one_file(request: BuildRequest, workdir: Path, progress: Progress, store: Store, folder: str) -> Built:
    try:
        taken = _take(store, folder, request.model, workdir)
    except Damaged as error:
        return _noted(_made(request, workdir, progress, store, folder), (error.note,), progress)
    if taken:
        progress.note("build taken from the cache")
        return taken
    return _made(request, workdir, progress, store, folder)


def _made(request: BuildRequest, workdir: Path, progress: Progress, store: Store, folder: str) -> Built:
    built = request.build(workdir, progress)
    told = built.unrounded or built.overflows or built.vanished or built.literal  # Of which a record says nothing.
    unchanged(request.model.files)
    if not told and built.path != request.model.path and (files := _own_files(built.path)):
        record = BuildRecord(
            files=tuple(put_file(store, folder, file) for file in files),
            backend=built.backend,
            precision=built.precision,
            emulated=built.emulated,
            notes=built.notes,
            wide=tuple(sorted(built.wide)),
            cut=asdict(built.cut) if built.cut else None,
            seen=dict(built.seen),
        )
        put_record(store, join(folder, RECORD), record)
    return built


def _take(store: Store, folder: str, model: LoadedModel, workdir: Path) -> Built | None:
    record = read_record(store, join(folder, RECORD), BuildRecord, WHAT)
    if record is None:
        return None
    home = workdir / "cached"
    for file in record.files:
        get_file(store, folder, file, WHAT, home / file.name)
    path = home / record.files[0].name
    return Built(
        backend=record.backend,
        precision=record.precision,
        path=path,
        source=model.path,
        folder=workdir,
        emulated=record.emulated,
        notes=record.notes,
        hidden=hidden(load_outline(model.path)),
        wide=frozenset(record.wide),
        cut=Cut(**record.cut) if record.cut else None,
        seen=record.seen,
        cached=True,
    )


def _own_files(path: Path) -> tuple[Path, ...]:
    """The model, and the file with its weights; nothing where some of them lie where no build put them."""
    if path.suffix != ".onnx":
        return ()
    outside = {location for location, _end in external_tensors(read_outline(path))}
    return (path, *(path.parent / name for name in outside)) if outside <= {WEIGHTS} else ()
