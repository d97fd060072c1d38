"""What was measured on one candidate: the only thing a check sees.

Checks say what they need as values; a trial runs only the passes that provide it. Every value is a few numbers per
tensor or sample. A need without evidence was not measured: a check that asks for it answers `Inconclusive`, and says
why where that is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from assay_runner.evidence.eight_bit import Cut, Unlike
from assay_runner.evidence.endings import Guard
from assay_runner.evidence.engine import EngineFacts
from assay_runner.evidence.faults import Overflow
from assay_runner.evidence.needs import E, Need
from assay_runner.tensors import Site


@dataclass(frozen=True)
class BatchTimes:
    """How long the candidate took as it was run beside golden, copies and all.

    Attributes:
        rows: samples of a batch, padding included.
        milliseconds: one per batch of that size, in their order.
    """

    rows: int = 0
    milliseconds: tuple[float, ...] = ()


@dataclass(frozen=True)
class Evidence:
    """Everything measured on one candidate.

    Attributes:
        candidate: key of the candidate.
        samples: samples run.
        precision: the candidate's; empty where it is not known.
        hidden: nodes inside which float tensors are computed that cannot be shown.
        unrounded: nodes inside which the candidate's precision was not emulated.
        overflows: weights that its precision cannot hold.
        vanished: what should keep something from zero and is zero in its precision.
        cut: where its calibration cuts most of a tensor's range.
        unlike: which graph input is not like those that it was calibrated on.
        wide: nodes that an emulation holds to a format of wider range.
        engine: what the candidate is made of, where it is an engine.
        found: what was measured, by need.
        missing: why a need has no evidence, one sentence each.
        times: of the plain run.
        seconds: that were spent on a need, those of a pass that provides several shared out equally.
        notes: what a reader must know of how it was measured.
    """

    candidate: str
    samples: int = 0
    precision: str = ""
    hidden: tuple[Site, ...] = ()
    unrounded: tuple[Site, ...] = ()
    overflows: tuple[Overflow, ...] = ()
    vanished: tuple[Guard, ...] = ()
    cut: Cut | None = None
    unlike: Unlike | None = None
    wide: frozenset[str] = frozenset()
    engine: EngineFacts | None = None
    found: Mapping[Need[Any], Any] = field(default_factory=dict)
    missing: Mapping[Need[Any], str] = field(default_factory=dict)
    times: BatchTimes = BatchTimes()
    seconds: Mapping[Need[Any], float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def of(self, need: Need[E]) -> E | None:
        """What was measured for a need; None where it was not."""
        return cast("E | None", self.found.get(need))

    def each(self, kind: type[Need[E]]) -> Iterator[E]:
        """Whatever was measured for needs of this kind: of use to who did not ask for it and is glad to have it."""
        return (cast("E", found) for need, found in self.found.items() if isinstance(need, kind))

    def any(self, kind: type[Need[E]]) -> E | None:
        """The first of `each`, or None."""
        return next(self.each(kind), None)
