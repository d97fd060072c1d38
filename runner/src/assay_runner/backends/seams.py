"""What a backend may offer beyond the seam that every backend has; asked for with `isinstance`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import ClassVar, Final, Protocol, runtime_checkable

from assay_api.entries import BuildEntry
from assay_runner.backends.backend import Backend, Built, Session
from assay_runner.evidence import FusedLayer
from assay_runner.evidence.reruns import Condition
from assay_runner.models.loading import LoadedModel
from assay_runner.statistics.blocks import Sums
from assay_runner.statistics.exact import Exact
from assay_runner.statistics.figures import Figures
from assay_runner.tensors import Array, Arrays, Batch


@runtime_checkable
class Timed(Protocol):
    """A session that times itself on its device."""

    def time(self, inputs: Arrays, runs: int) -> tuple[float, ...]:
        """Milliseconds of device time of each of `runs` runs on one batch, copies to and from the device excluded."""
        ...


@runtime_checkable
class Weighed(Protocol):
    """A session that knows its device memory."""

    @property
    def device_memory(self) -> int:
        """Bytes of device memory that it needs: weights and activations."""
        ...


FILLINGS: Final = 4
"""Fillings that memory can be spoilt with."""


@runtime_checkable
class Spoiling(Protocol):
    """A session, or a comparison, that can spoil the memory its next run uses: condition usedMemory."""

    def spoil(self, filling: int) -> None:
        """Fill what the next run computes in and writes to with bits that no run left there.

        Args:
            filling: which bits; each of the first FILLINGS numbers means others, and then they begin anew.

        Raises:
            Unavailable: memory of its own cannot be had.
            Unsupported: it runs in memory that cannot be filled.
        """
        ...


@runtime_checkable
class Conditioned(Protocol):
    """A backend that says under which conditions it can run a candidate again."""

    conditions: ClassVar[frozenset[Condition]]


@runtime_checkable
class Streamed(Protocol):
    """A backend that can run a candidate in another stream: condition otherStream."""

    def open_on_other_stream(self, built: Built) -> AbstractContextManager[Session]:
        """The candidate as it would be served, run in a stream that `open` does not use."""
        ...


@runtime_checkable
class Extensible(Protocol):
    """A backend that can give a candidate one more output."""

    def open_with_output(self, built: Built, tensor: str) -> AbstractContextManager[Session]:
        """The candidate as it would be served, optimisation included, with one tensor more among its outputs.

        Raises:
            InvalidInput: it cannot be built so.
        """
        ...


KEPT = "kept"
"""Folder below a build's working folder whose files serve this very build again: plans, ranges, records."""
GIVEN = "given"
"""Folder below a build's working folder with what its user brought: the timing cache of an order with `timings`."""
SHARED = "shared"
"""Folder below a build's working folder whose files serve every build of one identity: timing caches."""


@runtime_checkable
class Keeping(Protocol):
    """A backend whose builds are dear: it looks into `workdir / KEPT` and `workdir / SHARED`, and leaves files there.

    A file of SHARED is grown by everybody, whole or damaged, and must never break or change a build's result.
    """

    def identity(self) -> str:
        """What decides the bits of a build beside model and candidate: library, driver and device."""
        ...

    def merge(self, ours: Path, theirs: Path) -> None:
        """Add to a file of SHARED what another process has written meanwhile, ours winning where both have a say.

        What cannot be used is left out; ours stays as it is then.
        """
        ...


@runtime_checkable
class Accounting(Protocol):
    """A backend that builds more than what is served, and tells what."""

    def made(self, built: Built) -> tuple[BuildEntry, ...]:
        """What was built to look into it so far, in order."""
        ...


@runtime_checkable
class Adopting(Protocol):
    """A backend that can run what somebody else has built."""

    def adopt(self, plan: Path, model: LoadedModel, workdir: Path, plugins: Sequence[str] = ()) -> Built:
        """An existing plan as it is, which may need the libraries of plugins.

        Raises:
            InvalidInput: it cannot be loaded here, or its inputs or outputs are not the model's.
        """
        ...


class Comparison(Protocol):
    """A candidate run with its tensors shown, each looked at, and compared with golden's, where it lies."""

    @property
    def shown(self) -> frozenset[str]:
        """Tensors that it shows, of those that `Backend.sites` names: at once, or none before a batch was added."""
        ...

    @property
    def fused(self) -> frozenset[str]:
        """Tensors inside fused layers, which what is served never makes; empty where nothing is fused or known."""
        ...

    @property
    def batches(self) -> frozenset[int]:
        """Starts of the batches in which a tensor was not finite."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know of how it was done: what could not be measured, and why."""
        ...

    @property
    def others(self) -> tuple[Mapping[str, Array], ...]:
        """Outputs of the last batch by further runs, where one run does not show all tensors: none mostly."""
        ...

    def fits(self, batch: Batch, limit: int) -> int:
        """Samples of a batch like this of which all tensors, the larger of golden's and its own, fit into host memory.

        Args:
            batch: one of the dataset's.
            limit: bytes of host memory; what lies on a device does not count.

        Returns:
            At least 1; 0 where the batch cannot be taken apart, or there is no limit.
        """
        ...

    def add(self, batch: Batch, golden: dict[str, Array]) -> dict[str, Array]:
        """Run the candidate on a batch, and, where it was opened so, its operations on golden's tensors.

        Args:
            batch: what is fed; rows of padding are not judged.
            golden: golden's tensors of numbers, of those shown; emptied on the way, at the latest before the next batch
                or once a figure is asked for. Empty: only look for what is not finite.

        Returns:
            The candidate's outputs, in host memory.

        Raises:
            InvalidInput: it cannot be run on these inputs.
            Unavailable: memory or the device gave out.
        """
        ...

    def show(self, batch: Batch, names: Collection[str]) -> dict[str, Array]:
        """Run a batch again, count nothing; the tensors of these names that it shows, in host memory."""
        ...

    def accumulated(self) -> Mapping[str, Figures]:
        """By name, of each floating-point tensor that was shown: the candidate's own run against golden's."""
        ...

    def local(self) -> Mapping[str, Sums]:
        """By name, of each floating-point tensor whose operation could be run on golden's tensors: what it gave."""
        ...

    def exact(self) -> Mapping[str, Exact]:
        """By name, of each tensor of integers or booleans that was shown, golden's beside it: how many are golden's."""
        ...


@runtime_checkable
class Comparing(Protocol):
    """A backend that compares tensors where they lie; of any other, `passes.host` compares them in host memory."""

    def open_comparison(self, built: Built, *, local: bool, whole: bool = False) -> AbstractContextManager[Comparison]:
        """The candidate with tensors shown.

        Args:
            built: the candidate.
            local: whether local errors are wanted.
            whole: whether every tensor is wanted, though showing it changes what is computed; else as many as leave
                the candidate as it is served.

        Raises:
            Unsupported: no tensor can be shown.
        """
        ...


@runtime_checkable
class Opening(Protocol):
    """A backend that fuses layers, and can build the candidate once more with one of them split."""

    def fused_layer(self, built: Built, tensor: str) -> FusedLayer | None:
        """What makes this tensor, where it is more than one node."""
        ...

    def open_inside(self, built: Built, tensor: str) -> AbstractContextManager[Comparison]:
        """The candidate with this tensor and those inside the layer that makes it shown; local errors if it can.

        It is another engine than the one that is served: callers look whether the tensor still is as it was.

        Raises:
            InvalidInput: it cannot be built so.
            Unsupported: the plan was not built here.
        """
        ...


LEAST: frozenset[Condition] = frozenset({"sameSession", "newSession"})
"""What every backend can."""


def conditions_of(backend: Backend) -> frozenset[Condition]:
    """Conditions under which a backend can run a candidate again."""
    return backend.conditions if isinstance(backend, Conditioned) else LEAST
