"""What a backend may offer beyond the seam that every backend has; asked for with `isinstance`."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

from assay_runner.backends.backend import Backend, Built, Session
from assay_runner.behaviour_evidence import Condition
from assay_runner.models import LoadedModel
from assay_runner.tensors import Arrays


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
"""Folder below a build's working folder whose files are worth keeping for the next audit: plans, timing caches."""


@runtime_checkable
class Keeping(Protocol):
    """A backend whose builds are dear: it looks into `workdir / KEPT` first, and leaves there what it made."""

    def identity(self) -> str:
        """What decides the bits of a build beside model and candidate: library, driver and device."""
        ...


@runtime_checkable
class Adopting(Protocol):
    """A backend that can run what somebody else has built."""

    def adopt(self, plan: Path, model: LoadedModel, workdir: Path) -> Built:
        """An existing plan as it is.

        Raises:
            InvalidInput: it cannot be loaded here, or its inputs or outputs are not the model's.
        """
        ...


LEAST: frozenset[Condition] = frozenset({"sameSession", "newSession"})
"""What every backend can."""


def conditions_of(backend: Backend) -> frozenset[Condition]:
    """Conditions under which a backend can run a candidate again."""
    return backend.conditions if isinstance(backend, Conditioned) else LEAST
