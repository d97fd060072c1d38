"""What was measured by changing circumstances only (other runs, other batches, one more output), and the time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal, get_args

import numpy as np

from assay_runner.evidence.outputs import OutputDrifts
from assay_runner.tensors import Site

Condition = Literal["sameSession", "newSession", "newProcess", "otherStream", "usedMemory", "underLoad"]
CONDITIONS: Final[tuple[Condition, ...]] = get_args(Condition)


@dataclass(frozen=True)
class Difference:
    """The same input gave other bits.

    Attributes:
        site: first tensor that differs, in graph order.
        condition: what was different about the run.
        batch: index of the batch.
        run: first run that differed, from 1.
        max_abs: largest absolute difference; Inf where one run alone holds NaN or Inf, NaN where the shapes differ, 0
            where the numbers are equal all the same (a zero's sign, another NaN).
        differing: runs in which it differs.
        runs: runs that were held against the first one.
    """

    site: Site
    condition: Condition
    batch: int
    run: int
    max_abs: float
    differing: int = 1
    runs: int = 1

    def once_more(self, max_abs: float) -> Difference:
        """The same, in one run more."""
        return replace(self, max_abs=float(np.maximum(self.max_abs, max_abs)), differing=self.differing + 1)


@dataclass(frozen=True)
class Suspects:
    """Nodes that a tensor is computed by, its own among them, that may well give other bits each time.

    Attributes:
        random: those that draw random numbers.
        custom: those whose operator is none of ONNX's own (plugins).
    """

    random: tuple[Site, ...] = ()
    custom: tuple[Site, ...] = ()


@dataclass(frozen=True)
class Inside:
    """What running again with every tensor shown gave, after outputs had differed.

    Attributes:
        first: first tensor in topological order that differs; None where none did.
        tensors: tensors that were shown.
        samples: samples of the batch that they were shown of.
        tried: runs held against the first one, by condition.
        reason: why there is no more.
        before: tensors that were shown before under all of these conditions, by a probe that changes less, none of
            which differed.
    """

    first: Difference | None = None
    tensors: int = 0
    samples: int = 0
    tried: Mapping[Condition, int] = field(default_factory=dict)
    reason: str = ""
    before: int = 0


@dataclass(frozen=True)
class Unwritten:
    """What was found out of outputs that differ in used memory.

    Attributes:
        site: first output that follows what lay in memory before the run: equal bits there give equal ones in it, other
            bits others; None where none does.
        suspects: what may be the cause, upstream of it.
    """

    site: Site | None = None
    suspects: Suspects = field(default_factory=Suspects)


@dataclass(frozen=True)
class Repeats:
    """What running again showed.

    Attributes:
        batches: batches run again.
        runs: runs of each in one session, in used memory, and under load.
        differences: outputs that differ: the first one per batch and condition, by condition.
        random: nodes of the model that draw random numbers.
        tried: conditions that were run.
        untried: conditions asked for that could not be run, and why.
        inside: what running again with every tensor shown gave; None where no output differs.
        suspects: what may be the cause, upstream of the first tensor that differs.
        memory: what was found out of outputs that differ in used memory; None where none does, or it is not known.
    """

    batches: int
    runs: int
    differences: tuple[Difference, ...]
    random: tuple[Site, ...] = ()
    tried: tuple[Condition, ...] = ("sameSession", "newSession")
    untried: Mapping[Condition, str] = field(default_factory=dict)
    inside: Inside | None = None
    suspects: Suspects = field(default_factory=Suspects)
    memory: Unwritten | None = None


@dataclass(frozen=True)
class Comparison:
    """Outputs of two runs that must agree; the first is taken for golden.

    Attributes:
        outputs: figures per output, one per row compared.
        places: what each row is, in words, for example "sample 3".
        other_bits: rows whose bits differ, by output.
        unmeasured: outputs that could not be compared, and why.
        suspects: what may be the cause of a difference, by output.
    """

    outputs: tuple[OutputDrifts, ...]
    places: tuple[str, ...]
    other_bits: Mapping[str, tuple[int, ...]]
    unmeasured: Mapping[str, str] = field(default_factory=dict)
    suspects: Mapping[str, Suspects] = field(default_factory=dict)


@dataclass(frozen=True)
class Invariance:
    """Whether a sample's outputs depend on what else is in its batch.

    Attributes:
        rows: rows of batches made of copies of one sample, against the first row; None where a batch has one row.
        alone: rows of the dataset's batches against the same samples run alone; None where that cannot be run.
        notes: why one of them is None.
        single: whether the model takes a single sample at a time, so that there never is anything beside it.
    """

    rows: Comparison | None
    alone: Comparison | None
    notes: tuple[str, ...] = ()
    single: bool = False


@dataclass(frozen=True)
class ExtraOutput:
    """Outputs with one tensor more among them, against those without.

    Attributes:
        site: the tensor; None where there was none to add.
        same: the comparison; None where it could not be run.
        reason: why not.
    """

    site: Site | None
    same: Comparison | None
    reason: str = ""


@dataclass(frozen=True)
class Timing:
    """Time of one batch.

    Attributes:
        milliseconds: one per run, warm-up left out.
        rows: samples per batch.
        device: whether it is device time, copies excluded; else it is wall clock around a run.
        emulated: whether an emulation was timed.
        engine: bytes of what was run.
        memory: bytes of device memory that it needs; None where that is not known.
    """

    milliseconds: tuple[float, ...]
    rows: int
    device: bool
    emulated: bool
    engine: int
    memory: int | None = None
