"""The seam between what is measured and what runs a candidate."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, Final, Protocol

from assay_api.text_enum import StrEnum
from assay_runner.backends.found import Range
from assay_runner.backends.order import BuildOrder
from assay_runner.evidence import Cut, EngineFacts, Guard, Overflow
from assay_runner.graphs.sample_axes import SampleAxes, declared_axes
from assay_runner.models.loading import LoadedModel
from assay_runner.tensors import Array, Arrays, Batches, Extents, Progress, Site

NOTHING: Mapping[str, Extents] = MappingProxyType({})
EMULATED_INSTEAD: Final = "`assay run --backend onnxruntime` emulates the candidate on CPU"
"""The way out where an engine that is to be built cannot be; nothing stands in for one that exists."""


class Capability(StrEnum):
    """What only some backends, or some versions of one, can do. Asked for by name, never by version number."""

    TENSORS = "tensors"
    """Can show every tensor of a run."""
    SEGMENTS = "segments"
    """Can run a segment of the graph on inputs from elsewhere."""
    TACTICS = "tactics"
    """Can record which tactic each layer of a build got, and hold the layers of another build to them."""
    TIMINGS = "timings"
    """Can tell the tactic of each key of the timing cache, of a build with EDITABLE_TIMING_CACHE among its flags."""


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
        literal: whether it is run just as its graph says: an optimiser might leave out what rounds.
        notes: what a reader of the report must know about how it was made.
        unrounded: nodes of the source inside which the precision was not emulated: nothing may pass then.
        hidden: nodes of the source inside which float tensors are computed that cannot be shown.
        overflows: weights that the precision cannot hold.
        vanished: what should keep something from zero and is zero in the precision.
        cut: where its calibration cuts most of a tensor's range.
        seen: by graph input that is rounded to 8 bits before anything is computed of it, its range.
        wide: nodes of the source that compute in a format of wider range, as they are held; an engine tells itself.
        engine: what it is made of, where it is an engine.
        cached: whether that of an earlier build was taken, as far as the backend does not tell itself.
        measured: where the samples of its tensors are, where more is known of it than the source declares.
        tactics: the tactic of each layer, where the order asked for a record; as `BuildOrder.tactics` takes them.
        timed: the tactic of each key of the timing cache, where the order's flags asked for an editable one.
    """

    backend: str
    precision: str
    path: Path
    source: Path
    folder: Path
    emulated: bool = False
    literal: bool = False
    notes: tuple[str, ...] = ()
    unrounded: tuple[Site, ...] = ()
    hidden: tuple[Site, ...] = ()
    overflows: tuple[Overflow, ...] = ()
    vanished: tuple[Guard, ...] = ()
    cut: Cut | None = None
    seen: Mapping[str, Range] = field(default_factory=dict)
    wide: frozenset[str] = frozenset()
    engine: EngineFacts | None = None
    tactics: Mapping[str, str] | None = None
    cached: bool = False
    timed: Mapping[str, str] | None = None
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
class Segment:
    """Segments of a candidate that run on golden tensors.

    Attributes:
        needs: names of the tensors `run` must be given.
        gives: shared tensors it makes, by the name `run` gives them.
        session: runs them.
        lost: why a tensor cannot be made, by its name; what is there may grow while it runs.
    """

    needs: frozenset[str]
    gives: Mapping[str, str]
    session: Session
    lost: Mapping[str, str] = field(default_factory=dict)


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
        order: BuildOrder,
        calibration: Batches | None,
        workdir: Path,
        progress: Progress,
        shapes: Mapping[str, Extents] = NOTHING,
    ) -> Built:
        """Build what is ordered in `workdir`.

        Args:
            model: the candidate's own model if it has one, else the audit's.
            order: what to build of it.
            calibration: inputs to find INT8 ranges with.
            workdir: an empty folder of its own.
            progress: told how far it is.
            shapes: in which shapes each input will be fed.

        Raises:
            InvalidInput: the model cannot be built so, or a node or a layer's tactic that the order holds is not there.
            Unsupported: something is missing here, or does not exist in this version.
        """
        ...

    def release(self, built: Built) -> None:
        """Forget all that was kept for a build: what it takes to look into it, and what was derived for that.

        What was built itself stays, and can be opened as it is served; it cannot be looked into any more. No session of
        it may be open. Doing it twice is doing it once; other builds are not touched.
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

    def segments(
        self, built: Built, shared: Mapping[str, int], limit: int, golden: Built | None = None
    ) -> AbstractContextManager[tuple[Segment, ...]]:
        """The candidate cut at shared tensors (name to bytes), few enough per segment that results fit `limit` bytes.

        Where it is told how golden's tensors were made, a segment may give golden's very arrays for what the candidate
        makes in the same way, and leave its nodes out.

        Needs Capability.SEGMENTS.
        """
        ...
