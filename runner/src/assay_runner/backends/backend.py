"""The seam between what is measured and what runs a candidate."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, Protocol

from assay_api.audit import Candidate
from assay_runner.evidence import EngineFacts, Overflow, Site
from assay_runner.graphs.sample_axes import SampleAxes, declared_axes
from assay_runner.models import LoadedModel
from assay_runner.tensors import Array, Arrays, Batches, Extents, Progress

NOTHING: Mapping[str, Extents] = MappingProxyType({})


class Capability(StrEnum):
    """What only some backends, or some versions of one, can do. Asked for by name, never by version number."""

    TENSORS = "tensors"
    """Can show every tensor of a run."""
    PIECES = "pieces"
    """Can run a piece of the graph on inputs from elsewhere."""


@dataclass(frozen=True)
class Built:
    """A candidate, ready to run.

    Attributes:
        backend: name of what built it.
        precision: precision asked for.
        path: what is run: an ONNX model or a plan.
        source: the ONNX model it was built from; its tensors and nodes are what people know.
        folder: where it may keep derived models.
        emulated: whether it stands in for an engine.
        notes: what a reader of the report must know about how it was made.
        unrounded: nodes of the source inside which the precision was not emulated: nothing may pass then.
        hidden: nodes of the source inside which float tensors are computed that cannot be shown.
        overflows: weights that the precision cannot hold.
        engine: what it is made of, where it is an engine.
        measured: where the samples of its tensors are, where more is known of it than the source declares.
    """

    backend: str
    precision: str
    path: Path
    source: Path
    folder: Path
    emulated: bool = False
    notes: tuple[str, ...] = ()
    unrounded: tuple[Site, ...] = ()
    hidden: tuple[Site, ...] = ()
    overflows: tuple[Overflow, ...] = ()
    engine: EngineFacts | None = None
    measured: SampleAxes | None = None

    @property
    def axes(self) -> SampleAxes:
        """Where the samples of its tensors are."""
        return self.measured or declared_axes(self.source)


class Session(Protocol):
    """A candidate, loaded."""

    def run(self, inputs: Arrays) -> dict[str, Array]:
        """Its tensors by name for one batch; strings and sequences are left out.

        The arrays may share memory with the backend, which takes it back when they are dropped.

        Raises:
            InvalidInput: it cannot be run on these inputs.
            Unavailable: memory or the device gave out.
        """
        ...


@dataclass(frozen=True)
class Piece:
    """Pieces of a candidate that run on golden tensors.

    Attributes:
        needs: names of the tensors `run` must be given.
        gives: shared tensors it makes, by the name `run` gives them.
        session: runs them.
    """

    needs: frozenset[str]
    gives: Mapping[str, str]
    session: Session


class Backend(Protocol):
    """Builds candidates and runs them."""

    name: ClassVar[str]

    def available(self) -> None:
        """Do nothing if it can build and run here.

        Raises:
            Unsupported: it cannot; one sentence says what is missing.
        """
        ...

    def can(self, capability: Capability) -> bool:
        """Whether it can do this."""
        ...

    def build(
        self,
        model: LoadedModel,
        candidate: Candidate,
        calibration: Batches | None,
        workdir: Path,
        progress: Progress,
        shapes: Mapping[str, Extents] = NOTHING,
    ) -> Built:
        """Build a candidate in `workdir`.

        Args:
            model: the candidate's own model if it has one, else the audit's.
            candidate: what to build.
            calibration: inputs to find INT8 ranges with.
            workdir: an empty folder of its own.
            progress: told how far it is.
            shapes: in which shapes each input will be fed.

        Raises:
            InvalidInput: the model cannot be built so.
            Unsupported: something is missing here, or does not exist in this version.
        """
        ...

    def sites(self, built: Built) -> tuple[Site, ...]:
        """Every tensor it can show, in topological order."""
        ...

    def random(self, built: Built) -> tuple[Site, ...]:
        """Tensors drawn at random by design."""
        ...

    def open(self, built: Built) -> AbstractContextManager[Session]:
        """The candidate as it would be served; `run` gives its outputs."""
        ...

    def open_tapped(self, built: Built, tensors: Collection[str] | None = None) -> AbstractContextManager[Session]:
        """The candidate with tensors shown; `run` gives outputs and these, default all. Needs Capability.TENSORS."""
        ...

    def pieces(self, built: Built, shared: Mapping[str, int], limit: int) -> AbstractContextManager[tuple[Piece, ...]]:
        """The candidate cut at shared tensors (name to bytes), few enough per piece that results fit `limit` bytes.

        Needs Capability.PIECES.
        """
        ...
